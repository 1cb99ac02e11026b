"""Regular grids of window centres, only where there are atoms.

A grid is built outward from the atoms, not cut down from the whole box: empty space, however much
of it there is around a tip, a particle or a stray atom, costs nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.periodic import PeriodicSpace

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
