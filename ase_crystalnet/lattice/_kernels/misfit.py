"""Mean sites of a window's atoms in its cell, and how far they are from those of a structure."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.algebra import fold, inverse3, minkowski
from ase_crystalnet._compute.options import STRICT, njit
from ase_crystalnet.lattice._kernels.motif import MAX_SITES, motif

#: Sites nearer to each other than this, in nearest-neighbour distances, are one that was split.
ONE_SITE = 0.6
#: An atom is at a site within this distance.
AT_SITE = 0.5
#: One crystal has so large a share of its atoms at its sites, spread about them by no more than so
#: many times what the fall of its peaks says, and this: the sites of two twins are none's.
LEAST_SHARE, MOST_SPREAD, SPREAD = 0.9, 1.2, 0.003
#: Least atoms of a site against the fullest: fewer are atoms of another crystal, or of none.
LEAST_FILLED = 0.6


@njit(**STRICT)
def reciprocal(lattice, out):
    """Reciprocal basis of reduced vectors of a lattice, rows; `lattice` is reduced in place."""
    minkowski(lattice)
    inverse = np.empty((3, 3))
    inverse3(lattice, inverse)
    for i in range(3):
        for j in range(3):
            out[i, j] = 2 * math.pi * inverse[j, i]


@njit(**STRICT)
def joined(site, size, count, basis, inv):
    """Sites without split ones and without those of few atoms; returns how many are left."""
    d = np.empty(3)
    for a in range(count):
        for b in range(a):
            if size[a] <= 0.0 or size[b] <= 0.0:
                continue
            fold(
                site[a, 0] - site[b, 0], site[a, 1] - site[b, 1], site[a, 2] - site[b, 2],
                basis, inv, d,
            )  # fmt: skip
            if d[0] * d[0] + d[1] * d[1] + d[2] * d[2] < ONE_SITE * ONE_SITE:
                share = size[a] / (size[a] + size[b])
                for c in range(3):
                    site[b, c] += share * d[c]
                size[b] += size[a]
                size[a] = 0.0
    top = 0.0
    for k in range(count):
        top = max(top, size[k])
    left = 0
    for k in range(count):
        if size[k] > LEAST_FILLED * top:
            for c in range(3):
                site[left, c] = site[k, c]
            size[left] = size[k]
            left += 1
    return left


@njit(**STRICT)
def misfit_of(site, size, count, ideal, basis, inv, least):
    """Mean square distance of sites from the nearest of a structure's, best of all origins.

    Origins put one site of the window on one of the structure; then the mean shift is taken off.
    `least` is returned where none is smaller.
    """
    d = np.empty(3)
    best = np.empty(3)
    shift = np.empty((count, 3))
    for sign in (1.0, -1.0):
        for k in range(count):
            for j in range(len(ideal)):
                total = 0.0
                mean = np.zeros(3)
                for m in range(count):
                    nearest = 1e300
                    for i in range(len(ideal)):
                        fold(
                            site[m, 0] - site[k, 0] - sign * (ideal[i, 0] - ideal[j, 0]),
                            site[m, 1] - site[k, 1] - sign * (ideal[i, 1] - ideal[j, 1]),
                            site[m, 2] - site[k, 2] - sign * (ideal[i, 2] - ideal[j, 2]),
                            basis, inv, d,
                        )  # fmt: skip
                        square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
                        if square < nearest:
                            nearest = square
                            best[:] = d
                    for c in range(3):
                        shift[m, c] = best[c]
                        mean[c] += size[m] * best[c]
                    total += size[m]
                value = 0.0
                for m in range(count):
                    for c in range(3):
                        value += size[m] * (shift[m, c] - mean[c] / total) ** 2
                least = min(least, value / total)
    return least


@njit(**STRICT)
def one_crystal(x, y, z, n, site, size, count, basis, inv, displacement):
    """Whether the atoms of a window are those of one crystal, as its sites and peaks say."""
    d = np.empty(3)
    atoms = 0.0
    for k in range(count):
        atoms += size[k]
    if atoms < LEAST_SHARE * n:
        return False
    spread = 0.0
    near = 0
    for m in range(n):
        least = 1e300
        for k in range(count):
            fold(x[m] - site[k, 0], y[m] - site[k, 1], z[m] - site[k, 2], basis, inv, d)
            least = min(least, d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
        if least < AT_SITE * AT_SITE:
            spread += least
            near += 1
    return spread <= near * (MOST_SPREAD * 3.0 * displacement + SPREAD)


@njit(**STRICT)
def misfit_batch(
    positions, counts, found, parent, axis, spacing, displacement, ideal, kinds, cells, start, stop,
    misfit, noise,
):  # fmt: skip
    """Windows start .. stop: root mean square misfit of the sites, in spacings.

    The sites are those of the `found` lattices, those of a structure `ideal` (B, M, 3), of which
    `kinds` (B,) are there, in the `parent`'s, of which `cells` (B,) make one of the found ones (0:
    any number of sites is right). Along `axis`, if it is not zero, all places are alike. Where the
    sites are not as many as they should be, the window may show several crystals: no misfit. What
    displacements make of means on average, `noise`, is taken off.
    """
    site = np.empty((MAX_SITES, 3))
    size = np.empty(MAX_SITES)
    own = np.empty((3, 3))
    basis = np.empty((3, 3))
    inv = np.empty((3, 3))
    lattice = np.empty((3, 3))
    for b in range(start, stop):
        n = counts[b]
        d = spacing[b]
        x = positions[b, :n, 0] / d
        y = positions[b, :n, 1] / d
        z = positions[b, :n, 2] / d
        lattice[:] = found[b] / d
        reciprocal(lattice, own)
        count = motif(x, y, z, n, own, site, size)
        inverse3(own, inv)
        count = joined(site, size, count, own, inv)
        square = displacement[b] / (d * d)
        if cells[b] > 0 and count != cells[b] * kinds[b]:
            continue
        if count < 2 or not one_crystal(x, y, z, n, site, size, count, own, inv, square):
            continue
        for k in range(count):
            along = 0.0
            for c in range(3):
                along += site[k, c] * axis[b, c]
            for c in range(3):
                site[k, c] -= along * axis[b, c]
        lattice[:] = parent[b] / d
        reciprocal(lattice, basis)
        inverse3(basis, inv)
        value = misfit_of(site, size, count, ideal[b, : kinds[b]] / d, basis, inv, 1e300)
        atoms = 0.0
        for k in range(count):
            atoms += size[k]
        chance = 3.0 * (count - 1) / atoms * square
        noise[b] = math.sqrt(chance)
        misfit[b] = math.sqrt(max(value - chance, 0.0))
