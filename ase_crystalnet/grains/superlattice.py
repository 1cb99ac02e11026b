"""Is the cell of a crystal too small? Modulations of species, sites and occupation tell.

Points of superlattices that are significant (`modulations`) enlarge the cell if the likelihood
gains by it, or if it is species or vacancies that are ordered.
"""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from ase_crystalnet._compute.types import Array
from ase_crystalnet.grains.modulations import (
    INTERIOR_CELLS,
    LEAST_ATOMS,
    UNIT,
    interior,
    modulations,
    superlattice_points,
)
from ase_crystalnet.grains.motif import (
    CAPTURE,
    MOST_SITES,
    Assignment,
    Motif,
    reduced,
    refined,
    regression,
    score,
)
from ase_crystalnet.lattice.finder import minkowski_reduce

__all__ = ["divided", "enlarged", "hermite", "ordered"]

#: Chance of a false superlattice point in one region, over all points that are looked at.
FALSE_ALARM = 1e-4
#: The same of species alone, where it is asked whether there is any order.
FALSE_ORDER = 1e-3
#: Of arms that complete a star of which one is certain: it tells L1_2 from L1_0.
FALSE_STAR = 5e-3
#: Order of species has periods of two to four cells of the disordered crystal.
ORDERS = (2, 3, 4)
#: Largest relative difference of the lengths of arms of one star of points: the lattice may be
#: strained.
ARMS = 0.03
#: Least share of the variance of the occupation that ordered vacancies explain.
ORDERED_VACANCIES = 0.5
#: Least standard deviation of the cells of atoms along a vector of the lattice: of two in a row it
#: is 0.5, of three 0.82.
REPEATED = 0.6
#: Share of the sites that a translation must map near sites, to be tried as one of the lattice.
MAPPED = 0.7
#: Superlattices of the found lattice up to this index in one step, and in all.
LARGEST_STEP, LARGEST = 32, 64


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
            too_large = len(motif.sites) * larger > MOST_SITES
            if larger > LARGEST_STEP or index * larger > most or too_large:
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


def divided(motif: Motif, positions: Array, numbers: NDArray[np.int64]) -> Motif:
    """The motif of a cell of which the given one is a multiple; else itself.

    Parts of the lattice are tried that map sites near sites, and kept if the likelihood, with the
    parameters they save, gains.
    """
    found = motif.assign(positions)
    worth, _ = score(motif, found, numbers)
    while len(motif.sites) > 1:
        for part in _translations(motif):
            # Rows that span the finer lattice, in the present one.
            basis = hermite(np.vstack([UNIT * np.eye(3, dtype=np.int64), part])) / UNIT
            lattice = basis @ motif.lattice
            folded = _merged(motif.sites @ np.linalg.inv(basis), lattice, motif.spacing)
            other = reduced(Motif(lattice, folded, motif.origin, motif.spacing))
            other = refined(other, positions, 1)
            value, _ = score(other, other.assign(positions), numbers)
            if value > worth:
                motif, worth = other, value
                break
        else:
            return motif
    return motif


def _translations(motif: Motif) -> NDArray[np.int64]:
    """Parts p/2 to p/7 of the lattice (M, 3), in 1 / `UNIT`, that map most sites near sites."""
    result = []
    sites = motif.sites
    for prime in (2, 3, 5, 7):
        if len(sites) < prime:
            continue
        for point in superlattice_points((prime,)):
            moved = (sites + point / UNIT)[:, None] - sites
            moved -= np.rint(moved)
            far = np.linalg.norm(moved @ motif.lattice, axis=2).min(axis=1)
            if (far < CAPTURE * motif.spacing).mean() > MAPPED:
                result.append(point)
    return np.array(result, np.int64).reshape(-1, 3)


def _merged(sites: Array, lattice: Array, spacing: float) -> Array:
    """Sites of which those that are nearer to each other than atoms can be are one."""
    left = list(range(len(sites)))
    kept = []
    while left:
        moved = sites[left] - sites[left[0]]
        moved -= np.rint(moved)
        near = np.linalg.norm(moved @ lattice, axis=1) < CAPTURE * spacing
        kept.append(sites[left[0]] + moved[near].mean(axis=0))
        left = [row for row, close in zip(left, near, strict=True) if not close]
    return np.array(kept) % 1.0


def ordered(motif: Motif, positions: Array, numbers: NDArray[np.int64]) -> Motif:
    """The superlattice of the order of species, then of vacancies, on a motif; else itself.

    Weak order does not pay for the many parameters of a larger cell, and is significant all the
    same: what sits on sites is looked at alone, by its p-value.
    """
    found = motif.assign(positions)
    if len(np.unique(numbers[found.near])) > 1:
        # Part of the order may be in the cell already; its star is one of the cell without species.
        parent = divided(motif, positions, np.ones_like(numbers))
        if len(parent.sites) < len(motif.sites):
            at = parent.assign(positions)
            other = _by_order(parent, at, positions, numbers, species=True)
            if len(other.sites) > len(motif.sites):
                motif, found = other, other.assign(positions)
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
    length, known = _lengths(points, motif.lattice), np.zeros(0)
    for number in np.lexsort((-power, log_p)):
        # One point has to stand out of all of them; then the others of its star only by themselves.
        of_star = bool((np.abs(length[number] / known - 1) < ARMS).any())
        if log_p[number] > np.log(FALSE_ORDER):
            break
        if not of_star and log_p[number] > np.log(FALSE_ORDER / len(points)):
            continue
        known = np.append(known, length[number])
        trial = hermite(np.vstack([basis, points[number]]))
        larger = UNIT**3 // round(abs(float(np.linalg.det(trial))))
        too_large = len(motif.sites) * larger > MOST_SITES
        if (
            larger > LARGEST_STEP
            or too_large
            or found.near.sum() < LEAST_ATOMS * len(motif.sites) * larger
        ):
            break
        basis, step = trial, larger
    if step == 1 and species:
        best = _best_of_star(length, log_p)
        if best is not None:
            basis = hermite(np.vstack([basis, points[best]]))
            step = UNIT**3 // round(abs(float(np.linalg.det(basis))))
    if step == 1 or found.near.sum() < LEAST_ATOMS * len(motif.sites) * step:
        return motif
    if species:
        basis = _whole_stars(motif, found, points, log_p, basis)
    if not species and _share_of_vacancies(motif, found, basis) < ORDERED_VACANCIES:
        return motif
    other = _in_superlattice(motif, found, positions, basis)
    return motif if other is None else other


def _whole_stars(
    motif: Motif,
    found: Assignment,
    points: NDArray[np.int64],
    log_p: Array,
    basis: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The basis with the arms of its points' stars that are significant together.

    Of the three arms of weak L1_2 order one may be seen for certain and two only by both, and one
    alone is L1_0's. Arms of a star are points of one length.

    Parameters
    ----------
    motif, found
    points : (M, 3) integer array
        Of superlattices, in 1 / `UNIT`.
    log_p : (M,) array
        Of each alone.
    basis : (3, 3) integer array
        Of the reciprocal lattice that is found so far.
    """
    length = _lengths(points, motif.lattice)
    inside = _inside(points, basis)
    for size in np.unique(length[inside].round(6)):
        arms = ~inside & (np.abs(length / size - 1) < ARMS)
        if not arms.any():
            continue
        # Fisher: minus twice the sum of the logarithms of p-values is chi squared.
        together = chi2.logsf(-2 * log_p[arms].sum(), 2 * int(arms.sum()))
        trial = hermite(np.vstack([basis, points[arms]]))
        larger = UNIT**3 // round(abs(float(np.linalg.det(trial))))
        sites = len(motif.sites) * larger
        if (
            together < np.log(FALSE_STAR)
            and larger <= LARGEST_STEP
            and sites <= MOST_SITES
            and found.near.sum() >= LEAST_ATOMS * sites
        ):
            basis = trial
            inside = _inside(points, basis)
    return basis


def _best_of_star(length: Array, log_p: Array) -> int | None:
    """The strongest arm of the star that is significant as a whole, if none of its arms is."""
    sizes = np.unique(length.round(6))
    starts = sizes[np.append(True, np.diff(sizes) > ARMS * sizes[1:])]
    best, found = np.log(FALSE_ORDER / len(starts)), None
    for size in starts:
        arms = np.flatnonzero(np.abs(length / size - 1) < ARMS)
        together = chi2.logsf(-2 * log_p[arms].sum(), 2 * len(arms))
        if together < best:
            best, found = together, int(arms[np.argmin(log_p[arms])])
    return found


def _inside(points: NDArray[np.int64], basis: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which points (M, 3) are of the lattice with an integer basis."""
    share = points @ np.linalg.inv(basis)
    return np.asarray((np.abs(share - np.rint(share)) < 1e-6).all(axis=1))


def _lengths(points: NDArray[np.int64], lattice: Array) -> Array:
    """Lengths (M,) of the shortest of the vectors that points (M, 3) stand for, 1 / Angstrom."""
    reciprocal = np.linalg.inv(lattice).T
    shifts = np.array(list(product((-1, 0, 1), repeat=3)))
    every = (points[:, None] / UNIT + shifts) @ reciprocal
    return np.asarray(np.linalg.norm(every, axis=2).min(axis=1))


def _share_of_vacancies(motif: Motif, found: Assignment, basis: NDArray[np.int64]) -> float:
    """Share of the variance of the occupation that has the period of a superlattice.

    Order of vacancies is nearly all of it; of a plane of atoms that lie elsewhere, such as a
    stacking fault, waves of any length have a share, and few of them fit into the cell.
    """
    multiple = np.rint(np.linalg.inv(basis / UNIT).T).astype(np.int64)
    cells, site = found.cells[found.near], found.site[found.near]
    place, filled = interior(cells, site, len(motif.sites))
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
    # A period is one only if it is seen again: across a film of six layers one of seven is none.
    basis_change = lattice @ np.linalg.inv(minkowski_reduce(lattice[None])[0])
    if (whole @ np.rint(basis_change)).std(axis=0).min() < REPEATED:
        return None
    kept = filled > 0.2 * np.mean(filled)
    sites = sites[kept] @ np.linalg.inv(lattice)
    return refined(reduced(Motif(lattice, sites, np.zeros(3), motif.spacing)), positions, 1)
