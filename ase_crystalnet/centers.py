"""Centres of windows that a user names: atoms by index or mask, or points in space."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError

__all__ = ["CENTERS_EXPECTED", "chosen_centers"]

CENTERS_EXPECTED = (
    "expected 'atoms', 'grid' (or 'adaptive'), atom indices, a boolean mask over the atoms or "
    "points (W, 3) in Angstrom"
)


def chosen_centers(
    spec: Any, given: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Places (W, 3) in Angstrom, and the atoms (W,) there; -1 where a place is no atom.

    Parameters
    ----------
    spec : int array, bool array or (W, 3) float array
        Atoms by index (negative from the end) or by mask; points.
    given : (N, 3) float array
        Positions of the atoms, Angstrom.

    Raises
    ------
    InputError
        If `spec` is none of these.
    """
    try:
        array = np.asarray(spec)
    except ValueError as error:
        raise InputError(f"centers is a ragged sequence; {CENTERS_EXPECTED}") from error
    if array.ndim == 2 and array.shape[1] == 3 and array.dtype.kind in "fiu":
        points = array.astype(np.float64)
        if not np.isfinite(points).all():
            raise InputError("centers has NaN or infinite points; give finite ones in Angstrom")
        return points, np.full(len(points), -1, dtype=np.int64)
    count = len(given)
    if array.ndim == 1 and array.dtype == bool:
        if len(array) != count:
            raise InputError(
                f"centers is a mask of {len(array)} entries for a structure of {count} atoms; "
                "the lengths must agree"
            )
        chosen = np.flatnonzero(array)
    elif array.ndim == 1 and (array.dtype.kind in "iu" or array.size == 0):
        chosen = array.astype(np.int64)
        bad = (chosen < -count) | (chosen >= count)
        if bad.any():
            raise InputError(
                f"centers holds atom index {int(chosen[bad][0])}, but the structure has "
                f"{count} atoms (0 to {count - 1})"
            )
        chosen = np.where(chosen < 0, chosen + count, chosen)
    else:
        raise InputError(
            f"centers has shape {array.shape} and type {array.dtype}; {CENTERS_EXPECTED}"
        )
    return given[chosen], chosen.astype(np.int64)
