"""Grow a lattice from window to window, and hand the atoms of the windows their sites."""

from __future__ import annotations

import numpy as np

from ase_crystalnet._compute.algebra import inverse3
from ase_crystalnet._compute.options import JIT, njit
from ase_crystalnet.grains._kernels.sites import nearest_site

__all__ = ["claim", "fit", "grow", "supports"]


@njit(**JIT)
def _solve(matrix, right):
    """Solve the symmetric 4x4 system for three right sides, in place; False if it is singular."""
    for k in range(4):
        pivot = k
        for i in range(k + 1, 4):
            if abs(matrix[i, k]) > abs(matrix[pivot, k]):
                pivot = i
        if abs(matrix[pivot, k]) < 1e-9:
            return False
        if pivot != k:
            for j in range(4):
                matrix[k, j], matrix[pivot, j] = matrix[pivot, j], matrix[k, j]
            for j in range(3):
                right[k, j], right[pivot, j] = right[pivot, j], right[k, j]
        for i in range(k + 1, 4):
            factor = matrix[i, k] / matrix[k, k]
            for j in range(k, 4):
                matrix[i, j] -= factor * matrix[k, j]
            for j in range(3):
                right[i, j] -= factor * right[k, j]
    for k in range(3, -1, -1):
        for j in range(3):
            value = right[k, j]
            for i in range(k + 1, 4):
                value -= matrix[k, i] * right[i, j]
            right[k, j] = value / matrix[k, k]
    return True


@njit(**JIT)
def fit(atoms, lattice, origin, sites, tolerance, core, rounds):
    """Fit lattice and origin to the atoms of a window, in place; shares near in core and in all."""
    inverse = np.empty((3, 3))
    place = np.empty(6)
    matrix = np.empty((4, 4))
    right = np.empty((4, 3))
    row = np.empty(4)
    row[3] = 1.0
    limit = tolerance * tolerance
    inner = 0.0
    everywhere = 0.0
    for step in range(rounds + 1):
        inverse3(lattice, inverse)
        matrix[:] = 0.0
        right[:] = 0.0
        inner = 0.0
        everywhere = 0.0
        for j in range(atoms.shape[0]):
            s, square = nearest_site(
                atoms[j, 0], atoms[j, 1], atoms[j, 2], lattice, inverse, origin, sites, place
            )
            if square >= limit:
                continue
            everywhere += 1.0
            if j < core:
                inner += 1.0
            # Tukey's weight: atoms that only happen to be near a site count less.
            weight = (1.0 - square / limit) ** 2
            for i in range(3):
                row[i] = place[i] + sites[s, i]
            for i in range(4):
                for k in range(4):
                    matrix[i, k] += weight * row[i] * row[k]
                right[i, 0] += weight * row[i] * atoms[j, 0]
                right[i, 1] += weight * row[i] * atoms[j, 1]
                right[i, 2] += weight * row[i] * atoms[j, 2]
        if step == rounds:
            break
        if everywhere < 16 or not _solve(matrix, right):
            return 0.0, 0.0
        lattice[:] = right[:3]
        origin[:] = right[3]
    return inner / min(core, atoms.shape[0]), everywhere / atoms.shape[0]


@njit(**JIT)
def grow(
    seed, lattice, origin, sites, relative, source, window_of, tolerance, core, least_core,
    least_all, bend, state, lattices, origins, places,
):  # fmt: skip
    """Windows that a crystal reaches from one of them, in the order in which it does.

    relative (M, W, 3) atoms about the centres, nearest first; source (M, W) the atoms they are
    images of; window_of (N,) the window whose centre an atom is, or -1. state (M,): 0 not seen,
    1 taken, negative how often it was refused.
    lattices, origins and places (of the centres, in open space) of windows taken.
    """
    total = relative.shape[0]
    order = np.empty(total, np.int64)
    work = np.empty((3, 3))
    start = np.empty(3)
    lattices[seed] = lattice
    origins[seed] = origin
    inside, share = fit(relative[seed], lattices[seed], origins[seed], sites, tolerance, core, 3)
    if inside < least_core or share < least_all:
        return order[:0]
    places[seed] = 0.0
    state[seed] = 1
    order[0] = seed
    count = 1
    done = 0
    difference = np.empty((3, 3))
    inverse = np.empty((3, 3))
    while done < count:
        w = order[done]
        done += 1
        for j in range(1, relative.shape[1]):
            other = window_of[source[w, j]]
            if other < 0 or state[other] == 1 or state[other] <= -4:
                continue
            work[:] = lattices[w]
            for k in range(3):
                start[k] = origins[w, k] - relative[w, j, k]
            inside, share = fit(relative[other], work, start, sites, tolerance, core, 3)
            good = inside >= least_core and share >= least_all
            if good:
                inverse3(lattices[w], inverse)
                largest = 0.0
                for a in range(3):
                    for b in range(3):
                        value = 0.0
                        for c in range(3):
                            value += inverse[a, c] * work[c, b]
                        if a == b:
                            value -= 1.0
                        difference[a, b] = value
                        largest = max(largest, abs(value))
                good = largest < bend
            if not good:
                state[other] -= 1
                continue
            state[other] = 1
            lattices[other] = work
            origins[other] = start
            for k in range(3):
                places[other, k] = places[w, k] + relative[w, j, k]
            order[count] = other
            count += 1
    return order[:count]


@njit(**JIT)
def claim(
    order, relative, source, sites, lattices, origins, places, tolerance, stamp, number, distance,
    cells, site, near, offsets, positions,
):  # fmt: skip
    """Sites of the atoms of the windows of a grain, each from the window with the nearest centre.

    stamp (N,) is set to `number` where an atom was reached; distance (N,) to the centre it was
    reached from; the rest as in `motif.Assignment`, and positions in open space. Returns atoms.
    """
    reached = np.empty(stamp.shape[0], np.int64)
    count = 0
    inverse = np.empty((3, 3))
    place = np.empty(6)
    for w in order:
        inverse3(lattices[w], inverse)
        for j in range(relative.shape[1]):
            atom = source[w, j]
            x = relative[w, j, 0]
            y = relative[w, j, 1]
            z = relative[w, j, 2]
            far = x * x + y * y + z * z
            if stamp[atom] == number and distance[atom] <= far:
                continue
            s, square = nearest_site(x, y, z, lattices[w], inverse, origins[w], sites, place)
            if stamp[atom] != number:
                stamp[atom] = number
                reached[count] = atom
                count += 1
            distance[atom] = far
            site[atom] = s
            near[atom] = square < tolerance * tolerance
            for k in range(3):
                cells[atom, k] = np.int64(place[k])
                offsets[atom, k] = place[3 + k]
            positions[atom, 0] = places[w, 0] + x
            positions[atom, 1] = places[w, 1] + y
            positions[atom, 2] = places[w, 2] + z
    return reached[:count]


@njit(**JIT)
def supports(reached, neighbors, stamp, number, near, out):
    """Share of the neighbours of each atom that are near sites of the same grain."""
    for i in range(reached.shape[0]):
        atom = reached[i]
        good = 0
        for j in range(neighbors.shape[1]):
            other = neighbors[atom, j]
            if stamp[other] == number and near[other]:
                good += 1
        out[i] = good / neighbors.shape[1]
