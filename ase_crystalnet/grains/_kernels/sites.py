"""Which site of which cell each atom is nearest to."""

from __future__ import annotations

import numpy as np

from ase_crystalnet._compute.options import JIT, njit

__all__ = ["assign", "nearest_site"]


@njit(**JIT)
def nearest_site(x, y, z, lattice, inverse, origin, sites, place):
    """Site nearest to a point; place: its cell (3), the offset from it (3); the square of that."""
    x -= origin[0]
    y -= origin[1]
    z -= origin[2]
    f0 = x * inverse[0, 0] + y * inverse[1, 0] + z * inverse[2, 0]
    f1 = x * inverse[0, 1] + y * inverse[1, 1] + z * inverse[2, 1]
    f2 = x * inverse[0, 2] + y * inverse[1, 2] + z * inverse[2, 2]
    best = np.inf
    chosen = 0
    for s in range(sites.shape[0]):
        n0 = np.rint(f0 - sites[s, 0])
        n1 = np.rint(f1 - sites[s, 1])
        n2 = np.rint(f2 - sites[s, 2])
        e0 = f0 - sites[s, 0] - n0
        e1 = f1 - sites[s, 1] - n1
        e2 = f2 - sites[s, 2] - n2
        d0 = e0 * lattice[0, 0] + e1 * lattice[1, 0] + e2 * lattice[2, 0]
        d1 = e0 * lattice[0, 1] + e1 * lattice[1, 1] + e2 * lattice[2, 1]
        d2 = e0 * lattice[0, 2] + e1 * lattice[1, 2] + e2 * lattice[2, 2]
        length = d0 * d0 + d1 * d1 + d2 * d2
        if length < best:
            best = length
            chosen = s
            place[0] = n0
            place[1] = n1
            place[2] = n2
            place[3] = d0
            place[4] = d1
            place[5] = d2
    return chosen, best


@njit(**JIT)
def assign(positions, lattice, inverse, origin, sites, cells, site, offsets):
    """Fill cells (N, 3), site (N,) and offsets (N, 3) from the nearest site of each position."""
    place = np.empty(6)
    for j in range(positions.shape[0]):
        x, y, z = positions[j, 0], positions[j, 1], positions[j, 2]
        site[j], _ = nearest_site(x, y, z, lattice, inverse, origin, sites, place)
        for i in range(3):
            cells[j, i] = place[i]
            offsets[j, i] = place[3 + i]
