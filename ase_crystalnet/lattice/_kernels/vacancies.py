"""Whether the sites of a window that are empty avoid each other."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.algebra import fold, inverse3
from ase_crystalnet._compute.options import STRICT, njit
from ase_crystalnet.lattice._kernels.misfit import AT_SITE, joined, reciprocal
from ase_crystalnet.lattice._kernels.motif import MAX_SITES, motif

#: Cells along each axis that are kept count of, the centre in the middle.
CELLS = 20
#: Share of the window's radius within which an empty site is empty, and not beyond the window.
INSIDE = 0.97
#: Vectors between sites whose pairs are counted: half of the 26 nearest cells.
VECTORS = 13


@njit(**STRICT)
def occupied(x, y, z, n, basis, inv, site, count, taken):
    """Mark the sites (K, cell, cell, cell) that hold an atom."""
    d = np.empty(3)
    taken[:count] = 0
    for m in range(n):
        nearest = AT_SITE * AT_SITE
        owner = -1
        v0 = v1 = v2 = 0.0
        for k in range(count):
            fold(x[m] - site[k, 0], y[m] - site[k, 1], z[m] - site[k, 2], basis, inv, d)
            square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
            if square < nearest:
                nearest = square
                owner = k
                v0 = x[m] - site[k, 0] - d[0]
                v1 = y[m] - site[k, 1] - d[1]
                v2 = z[m] - site[k, 2] - d[2]
        if owner < 0:
            continue
        inside = True
        place = np.empty(3, np.int64)
        for c in range(3):
            f = (basis[c, 0] * v0 + basis[c, 1] * v1 + basis[c, 2] * v2) / (2 * math.pi)
            place[c] = int(np.rint(f)) + CELLS // 2
            inside = inside and 0 <= place[c] < CELLS
        if inside:
            taken[owner, place[0], place[1], place[2]] = 1


@njit(**STRICT)
def avoidance(lattice, basis, site, count, radius, taken, known):
    """Most significant lack of pairs of empty sites, in standard deviations; 0 if there is none.

    Pairs are of sites alike, a lattice vector apart; vectors come in by their length, and each
    shell that they fill is looked at together with the shorter ones. Empty sites at random make
    x^2 of the pairs empty, with x the share of empty sites.
    """
    vectors = np.empty((VECTORS, 3), np.int64)
    length = np.empty(VECTORS)
    number = 0
    for a in range(-1, 2):
        for b in range(-1, 2):
            for c in range(-1, 2):
                if (a * 3 + b) * 3 + c <= 0:
                    continue
                square = 0.0
                for i in range(3):
                    square += (a * lattice[0, i] + b * lattice[1, i] + c * lattice[2, i]) ** 2
                k = number
                number += 1
                while k > 0 and length[k - 1] > square:
                    length[k] = length[k - 1]
                    vectors[k] = vectors[k - 1]
                    k -= 1
                length[k] = square
                vectors[k, 0] = a
                vectors[k, 1] = b
                vectors[k, 2] = c
    # Cells of the ball, counted from the middle: to where its planes touch it.
    first = np.empty(3, np.int64)
    last = np.empty(3, np.int64)
    for c in range(3):
        reach = math.sqrt(basis[c, 0] ** 2 + basis[c, 1] ** 2 + basis[c, 2] ** 2) / (2 * math.pi)
        most = int(radius * reach) + 2  # sites lie off the middle
        first[c] = max(0, CELLS // 2 - most)
        last[c] = min(CELLS, CELLS // 2 + most + 1)
    seen = np.zeros(VECTORS)
    expected = np.zeros(VECTORS)
    for k in range(count):
        sites = 0.0
        vacant = 0.0
        for i in range(first[0], last[0]):
            for j in range(first[1], last[1]):
                for m in range(first[2], last[2]):
                    square = 0.0
                    for c in range(3):
                        v = site[k, c] + (i - CELLS // 2) * lattice[0, c]
                        v += (j - CELLS // 2) * lattice[1, c] + (m - CELLS // 2) * lattice[2, c]
                        square += v * v
                    known[i, j, m] = 1 if square < radius * radius else 0
                    sites += known[i, j, m]
                    vacant += known[i, j, m] * (1 - taken[k, i, j, m])
        if sites == 0.0:
            continue
        share = vacant / sites
        for v in range(VECTORS):
            a, b, c = vectors[v, 0], vectors[v, 1], vectors[v, 2]
            for i in range(max(first[0], first[0] - a), min(last[0], last[0] - a)):
                for j in range(max(first[1], first[1] - b), min(last[1], last[1] - b)):
                    for m in range(max(first[2], first[2] - c), min(last[2], last[2] - c)):
                        if known[i, j, m] == 0 or known[i + a, j + b, m + c] == 0:
                            continue
                        expected[v] += share * share
                        if taken[k, i, j, m] == 0 and taken[k, i + a, j + b, m + c] == 0:
                            seen[v] += 1.0
    least = 0.0
    total = 0.0
    chance = 0.0
    for v in range(VECTORS):
        total += seen[v]
        chance += expected[v]
        ends = v == VECTORS - 1 or length[v + 1] > 1.2 * length[v]
        if ends and chance > 0.0:
            least = min(least, (total - chance) / math.sqrt(chance))
    return least


@njit(**STRICT)
def avoidance_batch(positions, counts, lattices, spacing, start, stop, result):
    """Windows start .. stop: the lack of pairs of empty sites, in standard deviations."""
    site = np.empty((MAX_SITES, 3))
    size = np.empty(MAX_SITES)
    basis = np.empty((3, 3))
    inv = np.empty((3, 3))
    lattice = np.empty((3, 3))
    taken = np.empty((MAX_SITES, CELLS, CELLS, CELLS), np.uint8)
    known = np.empty((CELLS, CELLS, CELLS), np.uint8)
    for b in range(start, stop):
        n = counts[b]
        d = spacing[b]
        x = positions[b, :n, 0] / d
        y = positions[b, :n, 1] / d
        z = positions[b, :n, 2] / d
        lattice[:] = lattices[b] / d
        reciprocal(lattice, basis)
        inverse3(basis, inv)
        count = motif(x, y, z, n, basis, site, size)
        count = joined(site, size, count, basis, inv)
        if count == 0:
            continue
        for k in range(count):  # the one in the middle of the window, of those alike
            fold(site[k, 0], site[k, 1], site[k, 2], basis, inv, site[k])
        radius = 0.0
        for m in range(n):
            radius = max(radius, x[m] * x[m] + y[m] * y[m] + z[m] * z[m])
        occupied(x, y, z, n, basis, inv, site, count, taken)
        result[b] = avoidance(lattice, basis, site, count, INSIDE * math.sqrt(radius), taken, known)
