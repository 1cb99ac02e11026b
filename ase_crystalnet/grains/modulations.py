"""What differs from cell to cell of a crystal: species, displacements and empty sites, in waves.

Once every atom has a site and the integers of its cell, whatever differs from cell to cell is a
function on integers, and its Fourier amplitude at p/k of the reciprocal lattice is that of a
superlattice reflection, freed from the motif, from thermal displacements of the mean lattice and
from the shape of the region. By chance its square over the variance is exponential (at half a
vector: chi squared of one), so every point has a p-value.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter
from scipy.stats import gamma

from ase_crystalnet._compute.types import Array
from ase_crystalnet.grains.motif import Assignment, Motif

__all__ = [
    "INTERIOR_CELLS",
    "LEAST_ATOMS",
    "UNIT",
    "interior",
    "modulations",
    "superlattice_points",
]

#: Points of superlattices are counted in these parts of the reciprocal vectors, whole numbers for
#: p/2, p/3, p/4, p/5 and p/7; periods of 6, 8, 9 and 10 are products.
UNIT = 420
DIVISORS = (2, 3, 4, 5, 7)
#: Phonons make displacements of atoms correlated: at points of a superlattice the mean square
#: amplitude may be so many times that of independent ones.
PHONONS = 4.0
#: Share of the mean square displacement that one wave may have without being a superlattice: what
#: is left of a bend, or of waves in a thin film, does not shrink with the number of atoms.
BENDING = 0.02
#: Cells are in the interior of a region if they and those about them hold this share of the usual
#: number of atoms: beside a flat surface it is two thirds.
INTERIOR = 0.8
#: Cells of the interior from which occupation is judged; with fewer, all atoms are, weighted to
#: the middle, and the shape of a thin region may have this share of the intensity of full order:
#: 12 layers have 0.02 at a fifth of the reciprocal vector. Sites of which half are empty have 1.
INTERIOR_CELLS, FRINGE = 60, 0.05
#: Atoms a site needs, at least, to be looked at.
LEAST_ATOMS = 6
#: A reflection of a superlattice is a point; what changes slowly through a grain, such as the
#: composition below a surface, has waves of all lengths. Points with a p-value below the first
#: number need so many times the intensity of the places about them, which lie at so many inverse
#: radii of the region, where a reflection has faded.
LOOK, SHARP, RING = 1e-2, 3.0, 1.5
#: So many of the strongest points are looked at, with so many atoms.
MOST_POINTS, RING_ATOMS = 48, 4000


@cache
def superlattice_points(divisors: tuple[int, ...] = DIVISORS) -> NDArray[np.int64]:
    """Points p/k of the reciprocal lattice, in 1 / `UNIT`, one of each pair of opposites (M, 3)."""
    found = set()
    for k in divisors:
        step = UNIT // k
        for p in product(range(k), repeat=3):
            point = tuple(step * x for x in p)
            opposite = tuple(-x % UNIT for x in point)
            if any(point):
                found.add(min(point, opposite))
    return np.array(sorted(found))


def modulations(
    motif: Motif,
    found: Assignment,
    numbers: NDArray[np.int64],
    *,
    species: bool = True,
    displacements: bool = True,
    occupation: bool = True,
    points: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], Array, Array]:
    """Significance of a modulation at points of superlattices.

    Parameters
    ----------
    motif : Motif
    found : Assignment
        Of N atoms.
    numbers : (N,) integer array
        Atomic numbers.
    species, displacements, occupation : bool
        What is looked at: species on sites, their displacements, which sites hold an atom.
    points : (M, 3) integer array, optional
        `superlattice_points` by default.

    Returns
    -------
    points : (M, 3) integer array
        In 1 / `UNIT` of reciprocal vectors.
    log_p : (M,) array
        Natural logarithm of the p-value of the most significant of what is looked at, times their
        number (Bonferroni).
    power : (M,) array
        Mean square amplitude of the species' modulation, summed over sites and species and less
        what chance adds; in squared occupations, of a mean site.
    """
    near = found.near
    cells, site, offsets = found.cells[near], found.site[near], found.offsets[near]
    kinds, kind = np.unique(numbers[near], return_inverse=True)
    sites = len(motif.sites)
    points = superlattice_points() if points is None else points
    half = ((2 * points) % UNIT == 0).all(axis=1)
    # exp(-2 pi i p . n / UNIT) from the integers: a table of UNIT values is enough.
    phase = np.exp(-2j * np.pi * np.arange(UNIT) / UNIT)
    power = np.zeros(len(points))
    order = np.argsort(site, kind="stable")
    edges = np.searchsorted(site[order], np.arange(sites + 1))
    moved_total, moved_freedom = np.zeros(len(points)), 0
    mixed_total, mixed_freedom = np.zeros(len(points)), 0
    for s in range(sites):
        rows = order[edges[s] : edges[s + 1]]
        if len(rows) < LEAST_ATOMS:
            continue
        waves = phase[(points @ cells[rows].T) % UNIT]
        if displacements:
            moved = offsets[rows] - offsets[rows].mean(axis=0)
            amplitude = np.abs(waves @ moved) ** 2 / len(rows)
            excess = amplitude / moved.var(axis=0) - BENDING * len(rows)
            moved_total += np.maximum(excess, 0.0).sum(axis=1) / PHONONS
            moved_freedom += 3
        if species and len(kinds) > 1:
            one = (kind[rows, None] == np.arange(len(kinds))).astype(float)
            one -= one.mean(axis=0)
            variance = one.var(axis=0)
            there = np.flatnonzero(variance > 0)
            if len(there) > 1:
                amplitude = np.abs(waves @ one) ** 2 / len(rows)
                power += (amplitude - variance).sum(axis=1) / len(rows)
                # One of the species follows from the others.
                there = there[np.argsort(-variance[there], kind="stable")][1:]
                mixed_total += (amplitude[:, there] / variance[there]).sum(axis=1)
                mixed_freedom += len(there)
    given: list[tuple[Array, int, Array | None]] = [
        (moved_total, moved_freedom, offsets),
        (mixed_total, mixed_freedom, (kind[:, None] == np.arange(len(kinds))).astype(float)),
    ]
    if occupation:
        given.append((*_occupation(motif, cells, site, points, phase), None))
    # A real amplitude has half the degrees of freedom of a complex one and the same mean.
    shape, scale = np.where(half, 0.5, 1.0), np.where(half, 2.0, 1.0)
    tests = [each for each in given if each[1]]
    log_p = np.zeros(len(points))
    for total, freedom, signal in tests:
        its = gamma.logsf(total, shape * freedom, scale=scale) + np.log(len(tests))
        # Where the tail underflows, its leading term.
        tail = (shape * freedom - 1) * np.log(np.maximum(total / scale, 1.0)) - total / scale
        its = np.where(np.isfinite(its), its, tail)
        strong = np.argsort(its, kind="stable")[:MOST_POINTS]
        strong = strong[its[strong] < np.log(LOOK)]
        if signal is not None and len(strong):
            sharp = np.zeros(len(points), bool)
            sharp[strong] = _sharp(motif, cells, site, signal, points[strong] / UNIT)
            its[(its < np.log(LOOK)) & ~sharp] = 0.0
        log_p = np.minimum(log_p, its)
    return points, log_p, power / max(sites, 1)


def _sharp(
    motif: Motif, cells: NDArray[np.int64], site: NDArray[np.int64], signal: Array, points: Array
) -> NDArray[np.bool_]:
    """Which points (M, 3), in reciprocal vectors, stand out of the places about them."""
    place = (cells + motif.sites[site]) @ motif.lattice
    radius = np.linalg.norm(place - place.mean(axis=0), axis=1)
    rows = np.argsort(radius, kind="stable")[:RING_ATOMS]
    weight = np.cos(0.5 * np.pi * np.minimum(radius / (radius[rows].max() + 1e-9), 1.0)) ** 2
    golden = (1 + np.sqrt(5)) / 2
    corners = [(0, a, b * golden) for a in (-1, 1) for b in (-1, 1)]
    ring = np.array([np.roll(corner, k) for corner in corners for k in range(3)], float)
    ring *= RING / (radius[rows].max() + 1e-9) / np.sqrt(1 + golden**2)
    # Cartesian reciprocal vectors to fractions of the reciprocal basis.
    steps = np.vstack([np.zeros((1, 3)), ring @ motif.lattice.T])
    power = np.zeros((len(points), len(steps)))
    for s in range(len(motif.sites)):
        its = rows[site[rows] == s]
        if len(its) < LEAST_ATOMS:
            continue
        w = weight[its, None]
        one = w * (signal[its] - (w * signal[its]).sum(axis=0) / w.sum())
        n = cells[its] - cells[its].mean(axis=0)
        near = np.exp(-2j * np.pi * (steps @ n.T))
        for row, point in enumerate(points):
            wave = np.exp(-2j * np.pi * (n @ point))
            power[row] += (np.abs(near @ (wave[:, None] * one)) ** 2).sum(axis=1)
    # The median of exponential variables is ln 2 of their mean.
    around = np.median(power[:, 1:], axis=1) / np.log(2)
    return np.asarray(power[:, 0] > SHARP * around)


def _occupation(
    motif: Motif,
    cells: NDArray[np.int64],
    site: NDArray[np.int64],
    points: NDArray[np.int64],
    phase: NDArray[np.complex128],
) -> tuple[Array, int]:
    """Statistic of which sites hold an atom, and its degrees of freedom.

    Empty sites are a species like others, on the cells of the interior: whatever the shape of the
    region, only what is empty inside it counts.
    """
    sites = len(motif.sites)
    place, filled = interior(cells, site, sites)
    if len(place) >= INTERIOR_CELLS:
        total, freedom = np.zeros(len(points)), 0
        waves = phase[(points @ place.T) % UNIT]
        for one in filled:
            variance = float(one.var())
            if variance * len(one) < LEAST_ATOMS:
                continue
            total += np.abs(waves @ (one - one.mean())) ** 2 / (variance * len(one))
            freedom += 1
        return total, freedom
    weight = _taper(motif, cells, site)
    occupied = np.zeros((len(points), sites), complex)
    for s in range(sites):
        occupied[:, s] = phase[(points @ cells[site == s].T) % UNIT] @ weight[site == s]
    full = np.bincount(site, weight, sites) ** 2
    excess = np.maximum(np.abs(occupied) ** 2 - FRINGE * full, 0.0)
    return excess.sum(axis=1) / max((weight**2).sum(), 1e-12), 1


def interior(
    cells: NDArray[np.int64], site: NDArray[np.int64], sites: int
) -> tuple[NDArray[np.int64], list[Array]]:
    """Cells of the interior (C, 3), and of each site where it holds an atom (C,)."""
    if not len(cells):
        return np.empty((0, 3), np.int64), []
    low = cells.min(axis=0) - 1
    size = tuple(int(x) for x in cells.max(axis=0) + 2 - low)
    if np.prod(size) > 64 * len(cells) + 4096:  # scattered far: no region
        return np.empty((0, 3), np.int64), []
    count = np.zeros(size)
    np.add.at(count, tuple((cells - low).T), 1.0)
    about = 27 * uniform_filter(count, 3, mode="constant")
    inside = about >= INTERIOR * np.percentile(about[count > 0], 75)
    result = []
    for s in range(sites):
        filled = np.zeros(size)
        filled[tuple((cells[site == s] - low).T)] = 1.0
        result.append(filled[inside])
    return np.argwhere(inside) + low, result


def _taper(motif: Motif, cells: NDArray[np.int64], site: NDArray[np.int64]) -> Array:
    """Weights that fall to zero at the edge of a region, so that its shape has no fringes."""
    place = (cells + motif.sites[site]) @ motif.lattice
    radius = np.linalg.norm(place - place.mean(axis=0), axis=1)
    return np.asarray(np.cos(0.5 * np.pi * np.minimum(radius / (radius.max() + 1e-9), 1.0)) ** 2)
