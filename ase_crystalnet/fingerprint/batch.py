"""Validation of the atoms handed to a fingerprint."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet._compute.batches import checked_positions, per_atom
from ase_crystalnet.errors import InputError

__all__ = ["AtomBatch"]

#: xraydb's form factors end at 98, and Z + 2 is looked up.
HEAVIEST = 96


class AtomBatch:
    """Validated input of one call: arrays of equal leading shape and a species index per atom.

    Parameters
    ----------
    positions : (B, N, 3) array
    mask : (B, N) bool array, optional
    weights : (B, N) array, optional
    numbers : (B, N) int array, optional

    Attributes
    ----------
    windows : int
        B.
    positions, weights : (B, N, 3) and (B, N) arrays
        float64 unless float32 came in.
    species : (B, N) int32 array
        Index into `elements`, 0 throughout without them, -1 where there is no atom.
    elements : tuple of int
        Sorted atomic numbers; empty where every atom scatters alike.

    Raises
    ------
    InputError
        A shape does not fit, a position or weight is not finite, or an element has no tabulated
        form factor.
    """

    def __init__(
        self,
        positions: ArrayLike,
        mask: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        numbers: ArrayLike | None = None,
    ) -> None:
        points = checked_positions(positions)
        shape = points.shape[:2]
        if points.dtype != np.float32:
            points = points.astype(np.float64)
        present = per_atom("mask", mask, shape, bool, True)
        self.windows: int = shape[0]
        self.weights: NDArray[Any] = per_atom("weights", weights, shape, points.dtype, 1)
        if not (np.isfinite(points).all() and np.isfinite(self.weights).all()):
            # Padding may hold anything; it must not reach the sums.
            if not (
                np.isfinite(points[present]).all() and np.isfinite(self.weights[present]).all()
            ):
                raise InputError(
                    "positions or weights hold NaN or infinity; expected finite numbers"
                )
            points = np.where(present[..., None], points, 0)
            self.weights = np.where(present, self.weights, 0)
        self.positions: NDArray[Any] = points
        self.elements: tuple[int, ...] = ()
        species = np.zeros(shape, np.int32)
        if numbers is not None:
            charges = per_atom("numbers", numbers, shape, np.int64, 0)
            self.elements = tuple(int(z) for z in np.unique(charges[present]))
            unknown = [z for z in self.elements if not 1 <= z <= HEAVIEST]
            if unknown:
                raise InputError(
                    f"numbers hold {unknown[0]}; form factors need atomic numbers 1 to {HEAVIEST}"
                )
            species = np.searchsorted(self.elements, charges).astype(np.int32)
        self.species: NDArray[np.int32] = np.where(present, species, np.int32(-1))

    def in_single_precision(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int32]]:
        """Positions and weights in float32, and species, as the compiled forms take them.

        Writeable, or the kernels would be compiled once more for read-only arrays.
        """
        return (
            np.require(self.positions, np.float32, ["C", "W"]),
            np.require(self.weights, np.float32, ["C", "W"]),
            self.species,
        )
