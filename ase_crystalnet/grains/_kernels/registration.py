"""Lay a known crystal into a window of atoms, and say how it fits."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.algebra import inverse3
from ase_crystalnet._compute.options import JIT, njit
from ase_crystalnet.grains._kernels.growth import fit
from ase_crystalnet.grains._kernels.orientations import COARSE, ORIENTATIONS, orientations
from ase_crystalnet.grains._kernels.sites import nearest_site

__all__ = ["FINDINGS", "cover", "register", "spread"]

#: Atoms nearest to the centre by which origins are told apart, and that are tried on the sites.
_FINE, _TRIED = 24, 3
#: What `register` finds, in the order of its columns.
FINDINGS = (
    "core", "all", "species", "chance", "filled", "least", "offset", "modulation", "variance",
    "around",
)  # fmt: skip


@njit(**JIT)
def _placed(atoms, kinds, lattice, sites, site_kinds, tolerance, origin):
    """Origin at which most atoms about the centre are on sites, and of their kind; how many."""
    inverse = np.empty((3, 3))
    inverse3(lattice, inverse)
    trial = np.empty(3)
    place = np.empty(6)
    limit = tolerance * tolerance
    few = min(_FINE, len(atoms))
    best = -1.0
    for t in range(min(_TRIED, len(atoms))):
        for s in range(len(sites)):
            if site_kinds[s] != kinds[t]:
                continue
            for i in range(3):
                trial[i] = atoms[t, i] - (
                    sites[s, 0] * lattice[0, i]
                    + sites[s, 1] * lattice[1, i]
                    + sites[s, 2] * lattice[2, i]
                )
            value = 0.0
            for j in range(few):
                found, square = nearest_site(
                    atoms[j, 0], atoms[j, 1], atoms[j, 2], lattice, inverse, trial, sites, place
                )
                if square < limit:
                    value += 1.0 - 0.5 * square / limit
                    if site_kinds[found] == kinds[j]:
                        value += 1.0
            if value > best:
                best = value
                origin[:] = trial
    return best


@njit(**JIT)
def _again(atoms, on_site, outward):
    """Whether the crystal goes on behind the atoms that are off its sites, from 0 to 1.

    Behind a boundary some atoms are on the sites by chance, and a half of those of a crystal that
    shares planes; behind a layer that is stacked otherwise most are.
    """
    count = len(atoms)
    length = max(math.sqrt((outward**2).sum()), 1e-9)
    middle = length / max(count - on_site.sum(), 1)
    behind = 0.0
    there = 0.0
    for j in range(count):
        if (atoms[j] * outward).sum() / length > middle:
            behind += 1.0
            if on_site[j]:
                there += 1.0
    if behind < 8.0:
        return 0.0
    return min(max((there / behind - 0.25) / 0.3, 0.0), 1.0)


@njit(**JIT)
def _findings(
    atoms, kinds, lattice, origin, sites, site_kinds, orbits, spacing, tolerance, core, shares, out
):
    """How a crystal fits that lies in a window: FINDINGS.

    shares (k,) of the sites of each kind of atom, by its number.
    """
    inverse = np.empty((3, 3))
    inverse3(lattice, inverse)
    place = np.empty(6)
    count = atoms.shape[0]
    total = len(sites)
    limit = tolerance * tolerance
    ball = 0.97 * math.sqrt((atoms[count - 1] ** 2).sum())
    number = np.zeros(total)
    mean = np.zeros((total, 3))
    square = np.zeros(total)
    waves = np.zeros((total, 7, 3))
    inside = np.zeros(total)
    core = min(core, count)
    on_core = 0.0
    on_all = 0.0
    right = 0.0
    chance = 0.0
    off = 0.0
    outward = np.zeros(3)
    on_site = np.zeros(count, np.bool_)
    for j in range(count):
        s, far = nearest_site(
            atoms[j, 0], atoms[j, 1], atoms[j, 2], lattice, inverse, origin, sites, place
        )
        if far >= limit:
            off += math.sqrt((atoms[j] ** 2).sum())
            outward += atoms[j]
            continue
        on_site[j] = True
        on_all += 1.0
        if j < core:
            on_core += 1.0
        if site_kinds[s] == kinds[j]:
            right += 1.0
        if kinds[j] >= 0:
            chance += shares[kinds[j]]
        number[s] += 1.0
        square[s] += far
        if (atoms[j] ** 2).sum() < ball * ball:
            inside[orbits[s]] += 1.0
        for i in range(3):
            mean[s, i] += place[3 + i]
        for m in range(7):
            sign = 1.0
            for k in range(3):
                if ((m + 1) >> k) & 1 and int(place[k]) % 2 != 0:
                    sign = -sign
            for i in range(3):
                waves[s, m, i] += sign * place[3 + i]
    out[:] = 0.0
    out[0] = on_core / core
    out[1] = on_all / count
    length = math.sqrt((outward**2).sum())
    if off > 0.0:
        out[9] = (1.0 - out[1]) * max(1.0 - length / off, _again(atoms, on_site, outward))
    if on_all < 16:
        return
    out[2] = right / on_all
    out[3] = chance / on_all
    # Sites within the ball, by their orbits.
    expected = np.zeros(total)
    reach = np.empty(3, np.int64)
    for k in range(3):
        norm = math.sqrt(inverse[0, k] ** 2 + inverse[1, k] ** 2 + inverse[2, k] ** 2)
        reach[k] = int(ball * norm) + 2
    start = np.empty(3, np.int64)
    for k in range(3):
        value = 0.0
        for i in range(3):
            value -= origin[i] * inverse[i, k]
        start[k] = int(np.rint(value))
    for a in range(start[0] - reach[0], start[0] + reach[0] + 1):
        for b in range(start[1] - reach[1], start[1] + reach[1] + 1):
            for c in range(start[2] - reach[2], start[2] + reach[2] + 1):
                for s in range(total):
                    length = 0.0
                    for i in range(3):
                        x = (
                            origin[i]
                            + (a + sites[s, 0]) * lattice[0, i]
                            + (b + sites[s, 1]) * lattice[1, i]
                            + (c + sites[s, 2]) * lattice[2, i]
                        )
                        length += x * x
                    if length < ball * ball:
                        expected[orbits[s]] += 1.0
    most = 0.0
    fewest = np.inf
    for o in range(total):
        if expected[o] >= 4.0:
            most = max(most, inside[o] / expected[o])
            fewest = min(fewest, inside[o] / expected[o])
    out[4] = inside.sum() / max(expected.sum(), 1.0)
    out[5] = fewest / most if most > 0.0 else 0.0
    # Variance about the sites, what is left of the mean offsets beyond chance, and the share of the
    # variance in one wave of twice the period.
    variance = 0.0
    offset = 0.0
    used = 0.0
    freedom = 0.0
    for s in range(total):
        if number[s] < 2.0:
            continue
        own = 0.0
        for i in range(3):
            own += (mean[s, i] / number[s]) ** 2
        spread = (square[s] - number[s] * own) / (number[s] - 1.0)
        offset += number[s] * (own - spread / number[s])
        used += number[s]
        variance += spread * (number[s] - 1.0)
        freedom += number[s] - 1.0
    if used > 0.0 and freedom > 0.0:
        variance /= freedom
        out[6] = math.sqrt(max(offset / used, 0.0)) / spacing
    largest = 0.0
    for m in range(7):
        # By chance each site has the variance over the number of its atoms.
        share = 0.0
        for s in range(total):
            if number[s] < 4.0:
                continue
            own = 0.0
            for i in range(3):
                own += (waves[s, m, i] / number[s]) ** 2
            share += number[s] * (own - variance / number[s])
        largest = max(largest, share / max(used, 1.0))
    out[7] = largest / max(variance, 1e-6 * spacing * spacing)
    out[8] = variance / (3.0 * spacing * spacing)


@njit(**JIT)
def register(
    start, stop, relative, kinds, bases, known, lattice, sites, site_kinds, orbits, shares, vectors,
    starts, spacing, tolerance, core, lattices, origins, findings,
):  # fmt: skip
    """Lay the crystal into windows from start to stop, by their own lattices.

    relative (M, W, 3) atoms about the centres, nearest first, kinds (M, W) of them; bases (M, 3, 3)
    reciprocal lattices where known (M,). lattices, origins and findings (M, FINDINGS) are written;
    findings are 0 where no orientation was found.
    """
    turns = np.empty((ORIENTATIONS, 3, 3))
    scales = np.empty(ORIENTATIONS)
    trial = np.empty((3, 3))
    origin = np.empty(3)
    for w in range(start, stop):
        findings[w] = 0.0
        if not known[w]:
            continue
        atoms = relative[w]
        number = orientations(atoms, bases[w], vectors, starts, spacing, turns, scales)
        best = -1.0
        for n in range(number):
            for i in range(3):
                for k in range(3):
                    trial[i, k] = (
                        lattice[i, 0] * turns[n, 0, k]
                        + lattice[i, 1] * turns[n, 1, k]
                        + lattice[i, 2] * turns[n, 2, k]
                    ) / scales[n]
            value = _placed(
                atoms, kinds[w], trial, sites, site_kinds, 1.3 * tolerance / scales[n], origin
            )
            if value > best:
                best = value
                lattices[w] = trial
                origins[w] = origin
        if best > 0.0:
            refit(
                atoms, kinds[w], lattices[w], origins[w], sites, site_kinds, orbits, shares,
                spacing, tolerance, core, findings[w],
            )  # fmt: skip


@njit(**JIT)
def refit(
    atoms, kinds, lattice, origin, sites, site_kinds, orbits, shares, spacing, tolerance, core, out
):
    """Fit lattice and origin to a window from its middle outwards, in place, and look at it."""
    wide = 1.3 * tolerance
    few = atoms[: min(COARSE, len(atoms))]
    inside, _ = fit(few, lattice, origin, sites, wide, core, 2)
    if inside > 0.0:
        inside, _ = fit(atoms, lattice, origin, sites, tolerance, core, 3)
    if inside > 0.0:
        _findings(
            atoms, kinds, lattice, origin, sites, site_kinds, orbits, spacing, tolerance, core,
            shares, out,
        )  # fmt: skip
    else:
        out[:] = 0.0


@njit(**JIT)
def spread(
    todo, relative, source, window_of, kinds, sites, site_kinds, orbits, shares, spacing,
    tolerance, core, near, good, lattices, origins, findings, tried,
):  # fmt: skip
    """Hand the lattices of good windows to neighbours that are not; returns windows to look at.

    todo: windows whose lattice is handed on; near: atoms of a window whose windows are neighbours.
    """
    changed = np.empty(len(relative), np.int64)
    count = 0
    lattice = np.empty((3, 3))
    origin = np.empty(3)
    out = np.empty(findings.shape[1])
    for w in todo:
        for j in range(1, near):
            other = window_of[source[w, j]]
            if other < 0 or good[other] or tried[other] >= 4:
                continue
            tried[other] += 1
            lattice[:] = lattices[w]
            if (
                _placed(
                    relative[other], kinds[other], lattice, sites, site_kinds, tolerance, origin
                )
                < 0
            ):
                continue
            refit(
                relative[other], kinds[other], lattice, origin, sites, site_kinds, orbits, shares,
                spacing, tolerance, core, out,
            )  # fmt: skip
            if out[0] + out[2] > findings[other, 0] + findings[other, 2]:
                lattices[other] = lattice
                origins[other] = origin
                findings[other] = out
                changed[count] = other
                count += 1
                if count == len(changed):
                    return changed
    return changed[:count]


@njit(**JIT)
def cover(
    rows, certainty, relative, source, neighbors, lattices, origins, sites, tolerance, core, stamp,
    on, best, window,
):  # fmt: skip
    """Certainty of atoms: that of a window that holds them, by the share of neighbours on sites.

    best (N,) and window (N,) are raised where a window is better; stamp (N,) and on (N,) are work
    space.
    """
    inverse = np.empty((3, 3))
    place = np.empty(6)
    limit = tolerance * tolerance
    for w in rows:
        inverse3(lattices[w], inverse)
        for j in range(relative.shape[1]):
            _, square = nearest_site(
                relative[w, j, 0], relative[w, j, 1], relative[w, j, 2], lattices[w], inverse,
                origins[w], sites, place,
            )  # fmt: skip
            stamp[source[w, j]] = w
            on[source[w, j]] = square < limit
        for j in range(min(core, relative.shape[1])):
            atom = source[w, j]
            seen = 1.0
            there = 1.0 if on[atom] else 0.0
            for k in range(neighbors.shape[1]):
                other = neighbors[atom, k]
                if stamp[other] == w:
                    seen += 1.0
                    there += 1.0 if on[other] else 0.0
            share = there / seen
            value = certainty[w] / (1.0 + math.exp(-(share - 0.55) / 0.05))
            if value > best[atom]:
                best[atom] = value
                window[atom] = w
