"""Crystals that no window shows by itself: twins of those that some do, beyond their twin planes.

In a particle of twenty tetrahedra a window holds several of them and shows none. But the atoms of a
twin plane are known by the crystal on one side, and with the plane the crystal on the other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.local.close_packed import LAYER, Crystals
from ase_crystalnet.windows.windower import PreparedSystem

__all__ = ["twins_of"]

#: Atoms of no crystal, within so many spacings of an atom of a twin plane, that ask for a twin.
AROUND, FEWEST, ROOM = 2.2, 5, 60


def twins_of(
    prepared: PreparedSystem,
    crystals: Crystals,
    tried: NDArray[np.bool_],
    reference: NDArray[np.int64],
    plane: NDArray[np.int8],
    twinned: NDArray[np.bool_],
    unknown: NDArray[np.bool_],
) -> Crystals:
    """Twins of crystals on the far side of twin planes beyond which atoms have no crystal.

    Parameters
    ----------
    prepared : PreparedSystem
    crystals : Crystals
    tried : (M, 4) bool array
        Planes beyond which there has been a search; those that are searched now are marked.
    reference, plane : (N,) arrays
        Crystal of each atom, -1 where none, and the plane it is stacked on.
    twinned : (N,) bool array
        Atoms of a plane whose stacking is that of a twin plane of their crystal.
    unknown : (N,) bool array
        Atoms of no crystal.

    Returns
    -------
    Crystals
        At most one for each plane of each crystal.
    """
    cubic = np.append(~crystals.hexagonal, False)
    rows = np.flatnonzero(twinned & (reference >= 0) & cubic[reference])
    rows = rows[~tried[reference[rows], plane[rows]]]
    if len(rows) == 0 or not unknown.any():
        return crystals.some(np.empty(0, np.int64))
    parent = reference[rows]
    radius = AROUND * crystals.spacing[parent]
    relative, found, _ = prepared.neighbors(prepared.given[rows], radius, ROOM)
    away = (found >= 0) & unknown[found]
    count = away.sum(axis=1)
    normal = crystals.normals[parent, plane[rows]]
    height = np.einsum("bki,bi->bk", relative, normal)
    side = np.sign(np.where(away, height, 0.0).sum(axis=1))
    asks = np.flatnonzero((count >= FEWEST) & (side != 0))
    # Of each plane the atom with most of them.
    asks = asks[np.argsort(-count[asks], kind="stable")]
    groups = np.column_stack([parent[asks], plane[rows[asks]]])
    asks = asks[np.unique(groups, axis=0, return_index=True)[1]]
    tried[parent[asks], plane[rows[asks]]] = True
    result = crystals.some(parent[asks])
    n = normal[asks]
    turn = 2 * n[:, :, None] * n[:, None, :] - np.eye(3)
    beyond = side[asks, None] * n * 1.5 * LAYER * result.spacing[:, None]
    return result.moved(prepared.given[rows[asks]] + beyond, result.matrix @ turn)
