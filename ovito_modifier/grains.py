"""What OVITO's grain segmentation reads besides structure types and orientations.

It was written for polyhedral template matching (PTM), which says of each particle not only how its
neighbourhood is turned, but also which neighbour is which: the property ``Correspondences``, a
64-bit code. The grain segmentation asks it only *who* the neighbours are, so their nearest ones
are named, in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from ovito.data import NearestNeighborFinder

from ase_crystalnet.errors import InputError

__all__ = ["CORRESPONDENCES", "correspondences"]

CORRESPONDENCES = "Correspondences"
DIAMOND = 6
# In diamond the twelve second neighbours are numbered as neighbours of the four first: three each,
# out of their nearest 13.
FIRST, SECOND, NEAREST = 4, 3, 13
_FIRST_BITS, _SECOND_BITS = 15, 11


def correspondences(data: Any, structure_type: NDArray[np.int32]) -> NDArray[np.int64]:
    """Code (N,) of the neighbours of each particle.

    Zero is the unchanged order: as many nearest neighbours as the structure has.

    Raises
    ------
    InputError
        If there is no cell, without which OVITO finds no neighbours.
    """
    if data.cell is None:
        raise InputError(
            "CrystalNet: grain_segmentation needs a simulation cell; load a file with a cell, or "
            "switch grain_segmentation off"
        )
    codes = np.zeros(data.particles.count, dtype=np.int64)
    chosen = np.flatnonzero(structure_type == DIAMOND)
    if len(chosen) == 0:
        return codes
    nearest = np.asarray(NearestNeighborFinder(NEAREST, data).find_all()[0])
    # A neighbour must not be named twice, as it might where the structure is disturbed.
    named = np.concatenate([chosen[:, None], nearest[chosen, :FIRST]], axis=1)
    for k in range(FIRST):
        candidates = nearest[nearest[chosen, k]]
        free = (candidates[:, :, None] != named[:, None, :]).all(axis=2) & (candidates >= 0)
        picked = np.argsort(~free, axis=1, kind="stable")[:, :SECOND]
        named = np.concatenate([named, np.take_along_axis(candidates, picked, axis=1)], axis=1)
        codes[chosen] |= _code(picked) << (_FIRST_BITS + _SECOND_BITS * k)
    return codes


def _code(picked: NDArray[np.intp]) -> NDArray[np.int64]:
    """Which SECOND out of NEAREST were `picked` (M, SECOND), as PTM numbers it.

    Each digit says how far the wanted entry lies behind its place, which it then takes.
    """
    rows = np.arange(len(picked))
    order = np.tile(np.arange(NEAREST), (len(picked), 1))
    code = np.zeros(len(picked), dtype=np.int64)
    weight = 1
    for place in range(picked.shape[1]):
        found = (order == picked[:, place, None]).argmax(axis=1)
        order[rows, found] = order[:, place]
        order[:, place] = picked[:, place]
        code += weight * (found - place)
        weight *= NEAREST - place
    return code
