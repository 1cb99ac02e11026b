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

#: Points of superlattices are counted in these parts of the reciprocal vectors: p/2 to p/5.
UNIT = 60
#: Chance of a false superlattice point in one region, over all points that are looked at.
FALSE_ALARM = 1e-4
#: The same of species alone, where it is asked whether there is any order.
FALSE_ORDER = 1e-3
#: Order of species has periods of two to four cells of the disordered crystal.
ORDERS = (2, 3, 4)
#: Phonons make displacements of atoms correlated: at points of a superlattice the mean square
#: amplitude may be so many times that of independent ones.
PHONONS = 4.0
#: Share of the mean square displacement that one wave may have without being a superlattice: what
#: is left of a bend, or of waves in a thin film, does not shrink with the number of atoms.
BENDING = 0.02
#: Share of the intensity of full order that the shape of a thin region may have: 12 layers have
#: 0.02 at a fifth of the reciprocal vector. Sites of which half are empty have 1.
FRINGE = 0.05
#: Superlattices of the found lattice up to this index in one step, and in all.
LARGEST_STEP, LARGEST = 16, 64
#: Atoms a site needs, at least, in the larger cell.
LEAST_ATOMS = 6


@cache
def superlattice_points(divisors: tuple[int, ...] = (2, 3, 4, 5)) -> NDArray[np.int64]:
    """Points p/k of the reciprocal lattice, sixtieths, one of each pair of opposites (M, 3)."""
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
        Sixtieths of reciprocal vectors.
    p_value : (M,) array
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
    # exp(-2 pi i p . n / 60) from the integers: a table of sixty values is enough.
    phase = np.exp(-2j * np.pi * np.arange(UNIT) / UNIT)
    total = np.zeros(len(points))
    freedom = 0
    power = np.zeros(len(points))
    order = np.argsort(site, kind="stable")
    edges = np.searchsorted(site[order], np.arange(sites + 1))
    occupied = np.zeros((len(points), sites), complex)
    weight = _taper(motif, cells, site)
    for s in range(sites):
        rows = order[edges[s] : edges[s + 1]]
        if len(rows) < LEAST_ATOMS:
            continue
        waves = phase[(points @ cells[rows].T) % UNIT]
        if displacements:
            moved = offsets[rows] - offsets[rows].mean(axis=0)
            amplitude = np.abs(waves @ moved) ** 2 / len(rows)
            excess = amplitude / moved.var(axis=0) - BENDING * len(rows)
            total += np.maximum(excess, 0.0).sum(axis=1) / PHONONS
            freedom += 3
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
                total += (amplitude[:, there] / variance[there]).sum(axis=1)
                freedom += len(there)
        occupied[:, s] = waves @ weight[rows]
    if occupation:
        full = np.bincount(site, weight, sites) ** 2
        excess = np.maximum(np.abs(occupied) ** 2 - FRINGE * full, 0.0)
        total += excess.sum(axis=1) / max((weight**2).sum(), 1e-12)
        freedom += 1
    # A real amplitude has half the degrees of freedom of a complex one and the same mean.
    shape = np.where(half, 0.5, 1.0) * max(freedom, 1)
    scale = np.where(half, 2.0, 1.0)
    return points, gamma.sf(total, shape, scale=scale), power / max(sites, 1)


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
        points, p_value, _ = modulations(motif, found, numbers)
        best = None
        limit = FALSE_ALARM / len(points)
        order = np.argsort(p_value, kind="stable")
        basis = UNIT * np.eye(3, dtype=np.int64)
        step = 1
        for number in order:
            if p_value[number] > limit:
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
    """The superlattice of the chemical order of a motif whose sites are mixed; else itself.

    Weak order does not pay for the many parameters of a larger cell, and is significant all the
    same: species alone are looked at, by their p-value.
    """
    found = motif.assign(positions)
    if len(np.unique(numbers[found.near])) < 2:
        return motif
    points, p_value, power = modulations(
        motif,
        found,
        numbers,
        displacements=False,
        occupation=False,
        points=superlattice_points(ORDERS),
    )
    basis, step = UNIT * np.eye(3, dtype=np.int64), 1
    for number in np.lexsort((-power, p_value)):
        # One point has to stand out of all of them; then the others of its star only by themselves.
        if p_value[number] > (FALSE_ORDER / len(points) if step == 1 else FALSE_ORDER):
            break
        trial = hermite(np.vstack([basis, points[number]]))
        larger = UNIT**3 // round(abs(float(np.linalg.det(trial))))
        if larger > LARGEST_STEP or found.near.sum() < LEAST_ATOMS * len(motif.sites) * larger:
            break
        basis, step = trial, larger
    if step == 1:
        return motif
    other = _in_superlattice(motif, found, positions, basis)
    return motif if other is None else other


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
    """The motif with the lattice whose reciprocal basis is `basis` sixtieths of the present one."""
    # Rows of the new reciprocal lattice are basis / 60 in the old one's; the real one is dual.
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
