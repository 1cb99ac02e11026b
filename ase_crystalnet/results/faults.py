"""Planar faults of stackings of close-packed planes: what they are called, and one of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["FAULT_KINDS", "STACKINGS", "Fault"]

STACKINGS = ("none", "fcc", "hcp")
"""Names of the numbers in `FrameAnalysis.stacking`."""

FAULT_KINDS = ("twin", "intrinsic", "extrinsic", "hcp lamella", "I1", "I2", "E", "fcc lamella")
"""Kinds of faults: in fcc and cubic diamond one hcp layer, two, two with an fcc layer between, and
others; in hcp and hexagonal diamond one, two, three and more fcc layers."""


@dataclass(frozen=True, eq=False)
class Fault:
    """One fault plane.

    Attributes
    ----------
    kind : str
        One of `FAULT_KINDS`.
    normal : (3,) array
        Unit normal of the plane; of its two signs that with the largest component positive.
    position : (3,) array
        A point of the plane, at its middle, inside the cell along periodic directions, Angstrom.
    atoms : (K,) int array
        Atoms whose stacking departs from the crystal about them, in all layers of the fault.
    """

    kind: str
    normal: NDArray[np.float64]
    position: NDArray[np.float64]
    atoms: NDArray[np.int64]

    def __repr__(self) -> str:
        normal = " ".join(f"{x:.3f}" for x in self.normal)
        place = " ".join(f"{x:.2f}" for x in self.position)
        return f"Fault: {self.kind}, {len(self.atoms)} atoms, normal {normal}, at {place}"
