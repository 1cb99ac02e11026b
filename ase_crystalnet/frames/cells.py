"""Cells of one lattice: the same atoms, other vectors between their images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["lattice_change"]

#: Largest entry of the strain between two frames that is taken for one of the same lattice.
STRAIN = 0.1


def lattice_change(
    before: NDArray[np.float64], after: NDArray[np.float64], pbc: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Whole-number matrix M that makes the vectors of one frame those of the next.

    A code that shears a box flips it when it has become too oblique: b becomes b + a, the lattice
    and the atoms stay. ``after`` is then M times ``before``, up to a small strain, and fractional
    coordinates in ``after``, times M, are those along vectors that follow ``before``.

    Parameters
    ----------
    before, after : (3, 3) float arrays
        Cell vectors in rows, Angstrom; unit vectors where not periodic.
    pbc : (3,) bool array
        Which are periodic.

    Returns
    -------
    (3, 3) float array
        Whole numbers, determinant 1 or -1. The identity where the vectors are about the same, or
        are not those of the same lattice: a cell that jumps is followed vector by vector.
    """
    identity = np.eye(3)
    ratio = after @ np.linalg.inv(before)
    if np.abs(ratio - identity).max() < STRAIN:
        return identity
    change = np.rint(ratio)
    if not np.isclose(abs(np.linalg.det(change)), 1.0) or change[np.ix_(pbc, ~pbc)].any():
        return identity
    # Strain of the same lattice: before^-1 M^-1 after, in Cartesian axes.
    strain = np.linalg.inv(before) @ np.linalg.solve(change, after) - identity
    return change if np.abs(strain).max() < STRAIN else identity
