"""Reflections of a lattice, and the sublattice of them that holds nearly all of their weight."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.algebra import copy3, inverse3, minkowski
from ase_crystalnet._compute.options import JIT, STRICT, f32, njit
from ase_crystalnet._compute.structure_factor import Q_MIN, scattering
from ase_crystalnet.lattice._kernels.basis import MAX_HKL, reflections

#: Fewest kept reflections that a parent lattice is believed on.
LEAST_KEPT = 3
#: Least share of a parent's sites that are taken next to an atom, against those of the found
#: lattice. A film of three layers has 2/3 across it, the triangular lattice under graphite 1/2.
LEAST_TAKEN = 0.58
#: Cells of the parent along an axis that are counted, about the centre.
CELLS = 32
#: Cell of a dense parent in cubed nearest-neighbour distances: fcc has 0.71, bcc 0.77, sc 1;
#: sites that shift shorten the distance.
DENSE = 0.92
#: Square of the distance, in that of the nearest, to which reflections of a parent are as near.
NEAR = 1.5
#: Parents tried in turn.
TRIALS = 6


@njit(**STRICT)
def residues(hkl, count, code):
    """code[n, m]: residue class of reflection m modulo n, a number below n^3."""
    for n in range(2, code.shape[0]):
        for m in range(count):
            code[n, m] = ((hkl[m, 0] % n) * n + hkl[m, 1] % n) * n + hkl[m, 2] % n


@njit(**STRICT)
def spans(hkl, count, kept, code):
    """Whether the kept reflections do not all lie in one plane."""
    rank = 0
    a = 0
    b = 0
    for m in range(count):
        if not kept[code[m]]:
            continue
        if rank == 0:
            a = m
            rank = 1
            continue
        n0 = hkl[a, 1] * hkl[m, 2] - hkl[a, 2] * hkl[m, 1]
        n1 = hkl[a, 2] * hkl[m, 0] - hkl[a, 0] * hkl[m, 2]
        n2 = hkl[a, 0] * hkl[m, 1] - hkl[a, 1] * hkl[m, 0]
        if rank == 1 and (n0 != 0 or n1 != 0 or n2 != 0):
            b = m
            rank = 2
        elif rank == 2 and n0 * hkl[b, 0] + n1 * hkl[b, 1] + n2 * hkl[b, 2] != 0:
            return True
    return False


@njit(**STRICT)
def best_sublattice(hkl, excess, count, code, kept, indices, limit, refused):
    """The finest parent whose dropped reflections are weak; its number (-1: none) and the ratio.

    Parents come with their indices in ascending order; kept[f, residue class] says whether parent f
    has the reflection. None of those that are `refused`.
    """
    found = -1
    ratio = 0.0
    total = 0.0
    for m in range(count):
        total += excess[m]
    for f in range(indices.size):
        if refused[f]:
            continue
        own = code[indices[f]]
        number = 0
        weight = 0.0
        for m in range(count):
            if kept[f, own[m]]:
                number += 1
                weight += excess[m]
        if number < LEAST_KEPT or count - number < LEAST_KEPT or weight <= 0.0:
            continue
        value = (total - weight) / (count - number) * number / weight
        if value >= limit or (found >= 0 and indices[f] == indices[found] and value >= ratio):
            continue
        if spans(hkl, count, kept[f], own):
            found = f
            ratio = value
    return found, ratio


@njit(**STRICT)
def sites_taken(positions, n, lattice, parent, cells):
    """Share of the parent's sites next to an atom that are taken, against the found lattice's.

    The least over the three shortest vectors of the parent that the found lattice lacks. Missing
    atoms empty the sites of both lattices alike; where a parent's sites are empty in order, only
    its own are. `cells` (C, C, C) is work space.
    """
    inverse = np.empty((3, 3))
    found = np.empty((3, 3))
    inverse3(parent, inverse)
    inverse3(lattice, found)
    radius = 0.0
    for j in range(n):
        radius = max(radius, positions[j, 0] ** 2 + positions[j, 1] ** 2 + positions[j, 2] ** 2)
    size = cells.shape[0]
    cells[:] = 0
    phase = np.empty(3)
    for c in range(3):  # sites in the middle of the cells
        cosine = 0.0
        sine = 0.0
        for j in range(n):
            f = 0.0
            for k in range(3):
                f += positions[j, k] * inverse[k, c]
            cosine += math.cos(2 * math.pi * f)
            sine += math.sin(2 * math.pi * f)
        phase[c] = math.atan2(sine, cosine) / (2 * math.pi)
    place = np.full((n, 3), -1, np.int64)
    for j in range(n):
        inside = True
        for c in range(3):
            f = -phase[c]
            for k in range(3):
                f += positions[j, k] * inverse[k, c]
            place[j, c] = int(np.rint(f)) + size // 2
            inside = inside and place[j, c] > 0 and place[j, c] < size - 1
        if inside:
            cells[place[j, 0], place[j, 1], place[j, 2]] += 1
        else:
            place[j, 0] = -1
    least = 1e9
    full = 0.0
    vector = np.empty(3)
    for a in range(-1, 2):
        for b in range(-1, 2):
            for c in range(-1, 2):
                if (a * 3 + b) * 3 + c <= 0:
                    continue
                own = True  # of the found lattice too
                for k in range(3):
                    vector[k] = a * parent[0, k] + b * parent[1, k] + c * parent[2, k]
                for i in range(3):
                    f = vector[0] * found[0, i] + vector[1] * found[1, i] + vector[2] * found[2, i]
                    own = own and abs(f - np.rint(f)) < 1e-3
                if not own and abs(a) + abs(b) + abs(c) > 1:
                    continue
                pairs = 0.0
                room = 0.0
                for j in range(n):
                    if place[j, 0] < 0:
                        continue
                    square = 0.0
                    for k in range(3):
                        square += (positions[j, k] + vector[k]) ** 2
                    if square > radius:
                        continue
                    room += 1.0
                    pairs += cells[place[j, 0] + a, place[j, 1] + b, place[j, 2] + c]
                if room == 0.0:
                    continue
                share = pairs / room
                if own:
                    full = max(full, share)
                else:
                    least = min(least, share)
    return least / full if full > 0.0 else 1.0


@njit(**STRICT)
def significance_of(hkl, value, count, basis, parent, kept, code, phases, msd):
    """Excess of the dropped reflections over shape and displacements, in standard deviations.

    On a perfect parent lattice the amplitude at G + k, with G one of its reflections, is that at k
    dimmed by the displacements; so the shape of the window (a film's fringes), vacancies among
    them, is read off near the origin. The displacements add a background 1 - exp(-q^2 sigma^2) of
    exponential distribution.
    """
    inverse = np.empty((3, 3))
    inverse3(parent, inverse)
    q = np.empty(3)
    k = np.empty(3)
    f = np.empty(3)
    one = np.empty((1, 3), np.float32)
    own = np.empty((3, 3))
    inverse3(basis, own)
    excess = 0.0
    variance = 0.0
    for m in range(count):
        if kept[code[m]]:
            continue
        square = 0.0
        for c in range(3):
            q[c] = hkl[m, 0] * basis[0, c] + hkl[m, 1] * basis[1, c] + hkl[m, 2] * basis[2, c]
            square += q[c] * q[c]
        for c in range(3):
            f[c] = np.rint(q[0] * inverse[0, c] + q[1] * inverse[1, c] + q[2] * inverse[2, c])
        # k: what is left beyond the nearest reflection of the parent. Several may be as near; of a
        # perfect lattice they are alike, and shifts of sites show least in the darkest.
        dark = 1e300
        nearest = 1e300
        for turn in range(2):
            for a in range(-1, 2):
                for b in range(-1, 2):
                    for e in range(-1, 2):
                        length = 0.0
                        for c in range(3):
                            k[c] = q[c] - (f[0] + a) * parent[0, c]
                            k[c] -= (f[1] + b) * parent[1, c] + (f[2] + e) * parent[2, c]
                            length += k[c] * k[c]
                        if turn == 0:
                            nearest = min(nearest, length)
                        elif length < NEAR * nearest:
                            for c in range(3):
                                number = k[0] * own[0, c] + k[1] * own[1, c] + k[2] * own[2, c]
                                one[0, c] = np.rint(number)
                            dark = min(dark, scattering(one, phases)[0])
        dimmed = math.exp(-square * msd)
        background = max(1.0 - dimmed, 0.05)
        shape = dark * dimmed
        excess += value[m] - background - shape
        variance += background * background + 2.0 * background * shape
    return excess / math.sqrt(variance)


@njit(**JIT)
def structure_factors(positions, n, basis, hkl, count, table, phases, value):
    """S at reflections of a reciprocal basis; fills the phases (3, N) along it too."""
    for j in range(n):
        for c in range(3):
            phases[c, j] = (
                positions[j, 0] * f32(basis[c, 0])
                + positions[j, 1] * f32(basis[c, 1])
                + positions[j, 2] * f32(basis[c, 2])
            )
    for m in range(count):
        for c in range(3):
            table[m, c] = f32(hkl[m, c])
    value[:count] = scattering(table[:count], phases)


@njit(**STRICT)
def parent_batch(
    positions,
    counts,
    lattices,
    spacing,
    msd,
    start,
    stop,
    q_max,
    limit,
    order_limit,
    open_limit,
    chance,
    least_volume,
    kept,
    bases,
    indices,
    index,
    parent,
    strength,
    significance,
):
    """Windows start .. stop: index, parent lattice, strength and significance of what it drops."""
    hkl = np.empty((MAX_HKL, 3), np.int64)
    table = np.empty((MAX_HKL, 3), np.float32)
    value = np.empty(MAX_HKL, np.float32)
    excess = np.empty(MAX_HKL)
    code = np.empty((np.max(indices) + 1, MAX_HKL), np.int64)
    basis = np.empty((3, 3))
    finer = np.empty((3, 3))
    real = np.empty((3, 3))
    refused = np.zeros(indices.size, np.bool_)
    cells = np.empty((CELLS, CELLS, CELLS), np.uint8)
    inverse = np.empty((3, 3))
    q = np.empty(3)
    for b in range(start, stop):
        d = spacing[b]
        n = counts[b]
        volume = inverse3(lattices[b], inverse)
        if not (math.isfinite(volume) and volume != 0.0 and d > 0.0 and n > 0):
            continue
        index[b] = 1
        copy3(lattices[b], parent[b])
        minkowski(parent[b])
        if abs(volume) < least_volume * d**3:
            continue
        inverse3(parent[b], inverse)
        for i in range(3):
            for j in range(3):
                basis[i, j] = 2 * math.pi * inverse[j, i]
        minkowski(basis)
        every = reflections(basis, q_max / d, hkl)
        count = np.int64(0)
        for m in range(every):  # near the origin lies the window's own shape
            square = 0.0
            for c in range(3):
                q[c] = hkl[m, 0] * basis[0, c] + hkl[m, 1] * basis[1, c] + hkl[m, 2] * basis[2, c]
                square += q[c] * q[c]
            if square * d * d > Q_MIN * Q_MIN:
                for c in range(3):
                    hkl[count, c] = hkl[m, c]
                count += 1
        phases = np.empty((3, n), np.float32)
        structure_factors(positions[b], n, basis, hkl, count, table, phases, value)
        for m in range(count):
            excess[m] = value[m] - 1.0
        residues(hkl, count, code)
        refused[:] = False
        for _ in range(TRIALS):
            found, ratio = best_sublattice(hkl, excess, count, code, kept, indices, limit, refused)
            if found < 0:
                break
            for i in range(3):
                for c in range(3):
                    finer[i, c] = 0.0
                    for k in range(3):
                        finer[i, c] += bases[found, i, k] * basis[k, c]
            minkowski(finer)
            inverse3(finer, inverse)
            for i in range(3):
                for j in range(3):
                    real[i, j] = 2 * math.pi * inverse[j, i]
            minkowski(real)
            if sites_taken(positions[b], n, lattices[b], real, cells) < LEAST_TAKEN:
                refused[found] = True
                continue
            noise = msd[b] if msd[b] > 0.0 else 0.0
            own = code[indices[found]]
            above = significance_of(
                hkl, value, count, basis, finer, kept[found], own, phases, noise
            )
            # Volume of the parent's cell: an open lattice whose sites shift is a structure.
            dense = abs(inverse3(real, inverse)) < DENSE * d**3
            if ratio >= (order_limit if dense else open_limit) and above > chance:
                refused[found] = True
                continue
            significance[b] = above
            index[b] = indices[found]
            strength[b] = ratio
            copy3(real, parent[b])
            break
