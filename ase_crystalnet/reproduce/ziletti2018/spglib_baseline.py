"""The baseline of Ziletti et al.: the space group that spglib finds, at three tolerances."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

__all__ = ["TOLERANCES", "matches", "space_group", "space_groups"]

#: Name, symprec (Angstrom) and angle tolerance (degrees) of the settings in the paper's Table 1.
TOLERANCES: tuple[tuple[str, float, float], ...] = (
    ("loose", 1e-1, 5.0),
    ("medium", 1e-2, 1.0),
    ("tight", 1e-3, 1.0),
)


def space_group(atoms: Atoms, symprec: float, angle_tolerance: float) -> int:
    """Space group number of a periodic structure, 0 where spglib finds none."""
    os.environ.setdefault("SPGLIB_WARNING", "OFF")  # at loose tolerances it says much to stderr
    import spglib

    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that errors will become exceptions one day
        try:
            found = spglib.get_symmetry_dataset(
                cell, symprec=symprec, angle_tolerance=angle_tolerance
            )
        except spglib.SpglibError:
            return 0
    return 0 if found is None else int(found.number)


def space_groups(structures: Sequence[Atoms]) -> NDArray[np.int64]:
    """Space groups of structures at each of `TOLERANCES`, (B, 3)."""
    return np.array(
        [[space_group(atoms, *values) for _, *values in TOLERANCES] for atoms in structures],
        np.int64,
    ).reshape(-1, len(TOLERANCES))


def matches(found: NDArray[np.int64], truth: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether each found space group (B, 3) is that of the parent (B,).

    Groups 166 and 194 count as one, as in the classes of the paper (hex/rh).
    """
    merged = {166: 194}
    same = np.vectorize(lambda number: merged.get(int(number), int(number)), otypes=[np.int64])
    return np.asarray(same(found) == same(truth)[:, None])
