"""Is the cell of a crystal too small? Modulations of species, sites and occupation tell.

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
from ase_crystalnet.grains.motif import (
    Assignment,
    Motif,
    reduced,
    refined,
    regression,
    score,
)

__all__ = ["enlarged", "modulations", "ordered", "superlattice_points"]

#: Points of superlattices are counted in these parts of the reciprocal vectors, whole numbers for
#: p/2, p/3, p/4, p/5 and p/7; periods of 6, 8, 9 and 10 are products.
UNIT = 420
DIVISORS = (2, 3, 4, 5, 7)
#: Chance of a false superlattice point in one region, over all points that are looked at.
FALSE_ALARM = 1e-4
#: The same of species alone, where it is asked whether there is any order.
FALSE_ORDER = 1e-3
#: Order of species has periods of two to five cells of the disordered crystal.
ORDERS = (2, 3, 4, 5)
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
#: Least share of the variance of the occupation that ordered vacancies explain.
ORDERED_VACANCIES = 0.5
#: Superlattices of the found lattice up to this index in one step, and in all.
LARGEST_STEP, LARGEST = 32, 64
#: Atoms a site needs, at least, in the larger cell.
LEAST_ATOMS = 6


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
    tests = [(moved_total, moved_freedom), (mixed_total, mixed_freedom)]
    if occupation:
        tests.append(_occupation(motif, cells, site, points, phase))
    # A real amplitude has half the degrees of freedom of a complex one and the same mean.
    shape, scale = np.where(half, 0.5, 1.0), np.where(half, 2.0, 1.0)
    tests = [each for each in tests if each[1]]
    log_p = np.zeros(len(points))
    for total, freedom in tests:
        its = gamma.logsf(total, shape * freedom, scale=scale) + np.log(len(tests))
        # Where the tail underflows, its leading term.
        tail = (shape * freedom - 1) * np.log(np.maximum(total / scale, 1.0)) - total / scale
        log_p = np.minimum(log_p, np.where(np.isfinite(its), its, tail))
    return points, log_p, power / max(sites, 1)


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
    place, filled = _interior(cells, site, sites)
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


def _interior(
    cells: NDArray[np.int64], site: NDArray[np.int64], sites: int
) -> tuple[NDArray[np.int64], list[Array]]:
    """Cells of the interior (C, 3), and of each site where it holds an atom (C,)."""
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


def enlarged(
    motif: Motif, positions: Array, numbers: NDArray[np.int64], most: int = LARGEST
) -> Motif:
    """The superlattice of a motif that what differs from cell to cell asks for; else itself.

    Parameters
    ----------
    motif : Motif
    positions : (N, 3) array
        Of a region, Angstrom.
    numbers : (N,) integer array
        Atomic numbers.
    most : int
        Largest index of the new lattice in the given one.
    """
    index = 1
    found = motif.assign(positions)
    worth, _ = score(motif, found, numbers)
    while True:
        points, log_p, _ = modulations(motif, found, numbers)
        best = None
        limit = np.log(FALSE_ALARM / len(points))
        order = np.argsort(log_p, kind="stable")
        basis = UNIT * np.eye(3, dtype=np.int64)
        step = 1
        for number in order:
            if log_p[number] > limit:
                break
            trial = hermite(np.vstack([basis, points[number]]))
            larger = UNIT**3 // round(abs(float(np.linalg.det(trial))))
            if larger == step:
                continue
            if larger > LARGEST_STEP or index * larger > most:
                break
            per_site = found.near.sum() / (len(motif.sites) * larger)
            if per_site < LEAST_ATOMS:
                break
            basis, step = trial, larger
            other = _in_superlattice(motif, found, positions, basis)
            if other is None:
                continue
            assigned = other.assign(positions)
            value, _ = score(other, assigned, numbers)
            if value > worth and (best is None or value > best[0]):
                best = (value, other, assigned, step)
        if best is None:
            return motif
        worth, motif, found, step = best
        index *= step


def ordered(motif: Motif, positions: Array, numbers: NDArray[np.int64]) -> Motif:
    """The superlattice of the order of species, then of vacancies, on a motif; else itself.

    Weak order does not pay for the many parameters of a larger cell, and is significant all the
    same: what sits on sites is looked at alone, by its p-value.
    """
    found = motif.assign(positions)
    if len(np.unique(numbers[found.near])) > 1:
        other = _by_order(motif, found, positions, numbers, species=True)
        if other is not motif:
            motif, found = other, other.assign(positions)
    return _by_order(motif, found, positions, numbers, species=False)


def _by_order(
    motif: Motif,
    found: Assignment,
    positions: Array,
    numbers: NDArray[np.int64],
    species: bool,
) -> Motif:
    """The superlattice of species or else of vacancies, by p-values."""
    points, log_p, power = modulations(
        motif,
        found,
        numbers,
        species=species,
        displacements=False,
        occupation=not species,
        points=superlattice_points(ORDERS),
    )
    basis, step = UNIT * np.eye(3, dtype=np.int64), 1
    for number in np.lexsort((-power, log_p)):
        # One point has to stand out of all of them; then the others of its star only by themselves.
        if log_p[number] > np.log(FALSE_ORDER / len(points) if step == 1 else FALSE_ORDER):
            break
        trial = hermite(np.vstack([basis, points[number]]))
        larger = UNIT**3 // round(abs(float(np.linalg.det(trial))))
        if larger > LARGEST_STEP or found.near.sum() < LEAST_ATOMS * len(motif.sites) * larger:
            break
        basis, step = trial, larger
    if step == 1:
        return motif
    if not species and _share_of_vacancies(motif, found, basis) < ORDERED_VACANCIES:
        return motif
    other = _in_superlattice(motif, found, positions, basis)
    return motif if other is None else other


def _share_of_vacancies(motif: Motif, found: Assignment, basis: NDArray[np.int64]) -> float:
    """Share of the variance of the occupation that has the period of a superlattice.

    Order of vacancies is nearly all of it; of a plane of atoms that lie elsewhere, such as a
    stacking fault, waves of any length have a share, and few of them fit into the cell.
    """
    multiple = np.rint(np.linalg.inv(basis / UNIT).T).astype(np.int64)
    cells, site = found.cells[found.near], found.site[found.near]
    place, filled = _interior(cells, site, len(motif.sites))
    if len(place) < INTERIOR_CELLS:
        return 0.0
    part = place @ np.linalg.inv(multiple)
    rest = np.rint((part - np.floor(part + 1e-9)) * UNIT**3).astype(np.int64) % UNIT**3
    _, coset = np.unique(rest, axis=0, return_inverse=True)
    coset = coset.reshape(-1)
    number = np.bincount(coset)
    total, between = 0.0, 0.0
    for one in filled:
        variance = float(one.var())
        mean = np.bincount(coset, one) / number
        total += variance * len(one)
        # Less what chance gives to the means of so many parts.
        between += float((number * (mean - one.mean()) ** 2).sum()) - variance * (len(number) - 1)
    return between / total if total else 0.0


def hermite(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Upper triangular basis (3, 3) of the integer lattice that rows (M, 3) of rank 3 span."""
    rows = np.array(rows, np.int64)
    basis = []
    for column in range(3):
        while True:
            filled = np.flatnonzero(rows[:, column])
            pivot = filled[np.argmin(np.abs(rows[filled, column]))]
            rest = filled[filled != pivot]
            if not len(rest):
                break
            rows[rest] -= (rows[rest, column] // rows[pivot, column])[:, None] * rows[pivot]
        basis.append(rows[pivot])
        rows = np.delete(rows, pivot, axis=0)
    return np.array(basis)


def _in_superlattice(
    motif: Motif, found: Assignment, positions: Array, basis: NDArray[np.int64]
) -> Motif | None:
    """The motif with the lattice whose reciprocal basis is `basis` / `UNIT` of the present one."""
    # Rows of the new reciprocal lattice are basis / UNIT in the old one's; the real one is dual.
    multiple = np.rint(np.linalg.inv(basis / UNIT).T).astype(np.int64)
    inverse = np.linalg.inv(multiple)
    near = found.near
    part = found.cells[near] @ inverse
    whole = np.floor(part + 1e-9).astype(np.int64)
    rest = np.rint((part - whole) * UNIT**3).astype(np.int64) % UNIT**3
    code = np.column_stack([rest, found.site[near]])
    _, site = np.unique(code, axis=0, return_inverse=True)
    site = site.reshape(-1)
    count = int(site.max()) + 1
    filled = np.bincount(site)
    if filled.min() < 1 or count > found.near.sum() / 3:
        return None
    lattice, sites, _ = regression(whole, site, positions[near], count)
    if abs(np.linalg.det(lattice)) < 1e-3 * motif.spacing**3:
        return None
    kept = filled > 0.2 * np.mean(filled)
    sites = sites[kept] @ np.linalg.inv(lattice)
    return refined(reduced(Motif(lattice, sites, np.zeros(3), motif.spacing)), positions, 1)
