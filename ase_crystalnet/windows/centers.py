"""Centres of windows: atoms by index or mask, points in space, and the points of a grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.geometry.periodic import PeriodicSpace

__all__ = ["CENTERS_EXPECTED", "chosen_centers"]

CENTERS_EXPECTED = (
    "expected 'atoms', 'grid' (or 'adaptive'), atom indices, a boolean mask over the atoms or "
    "points (W, 3) in Angstrom"
)


def chosen_centers(
    spec: Any, given: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Centres (W, 3) in Angstrom, and the atoms (W,) at them; -1 where a centre is a point.

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


#: Largest number of grid points.
MAX_POINTS = 20_000_000


#: Largest number of steps along one direction; keeps a node's number within 64 bits.
MAX_STEPS = 2**20


def candidates(
    space: PeriodicSpace, wrapped: NDArray[np.float64], spacing: float, reach: float
) -> NDArray[np.float64]:
    """Grid points that may lie within `reach` of an atom.

    Parameters
    ----------
    space : PeriodicSpace
        The cell. Periodic directions are divided evenly; others span the atoms' bounding box.
    wrapped : (N, 3) float array
        Positions in the given cell, Angstrom.
    spacing : float
        Largest step of the grid, Angstrom.
    reach : float
        Angstrom. No point within it of an atom is missing; some farther ones are among the result.

    Returns
    -------
    points : (G, 3) float64 array
        Angstrom.

    Raises
    ------
    InputError
        If `spacing` is no positive length, or so small that the grid would be enormous.
    """
    if not isinstance(spacing, (int, float, np.number)) or not 0.0 < float(spacing) < np.inf:
        raise InputError(f"spacing={spacing!r} is not a positive length in Angstrom")
    spacing = float(spacing)
    basis, pbc = space.basis, space.pbc
    fractional = wrapped @ np.linalg.inv(basis)
    lengths = np.linalg.norm(basis, axis=1)
    low = np.where(pbc, 0.0, fractional.min(axis=0))
    span = np.where(pbc, 1.0, fractional.max(axis=0) - low)
    divisions = np.ceil(span * lengths / spacing - 1e-9)
    if divisions.max() > MAX_STEPS:
        raise InputError(
            f"spacing={spacing:g} Angstrom would divide a structure {(span * lengths).max():g} "
            "Angstrom long into more than a million steps; give a larger spacing"
        )
    divisions = np.maximum(divisions, 1).astype(np.int64)
    flat = span * lengths < 1e-9  # e.g. a sheet: one layer of points, in the sheet
    step = np.where(flat, 1.0, span / divisions)
    number = np.where(pbc, divisions, np.where(flat, 1, divisions + 1))
    # The nodes around each atom's own node, as far as an atom can reach.
    node = np.rint((fractional - low) / step).astype(np.int64)
    node = _unique(np.where(pbc, node % number, node), number)
    around = np.ceil(reach / (space.heights(reduced=False) * step) + 0.5)
    around = np.minimum(around, number - 1).astype(np.int64)
    for axis in range(3):
        offsets = np.arange(-around[axis], around[axis] + 1)
        if len(node) * len(offsets) > 5 * MAX_POINTS:
            raise InputError(
                f"spacing={spacing:g} Angstrom makes more than {MAX_POINTS} grid centres; "
                "give a larger spacing"
            )
        count = len(node)
        node = np.repeat(node, len(offsets), axis=0)
        node[:, axis] += np.tile(offsets, count)
        if pbc[axis]:
            node[:, axis] %= number[axis]
        else:
            node = node[(node[:, axis] >= 0) & (node[:, axis] < number[axis])]
        node = _unique(node, number)
    return np.asarray((low + node * step) @ basis, dtype=np.float64)


def _unique(node: NDArray[np.int64], number: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of integer coordinates below `number`, each once, in lexicographic order."""
    key = (node[:, 0] * number[1] + node[:, 1]) * number[2] + node[:, 2]
    return node[np.unique(key, return_index=True)[1]]
