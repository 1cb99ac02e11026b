"""Inner loops of `ase_crystalnet.local.stacking`: neighbours against places of two stackings."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.options import JIT, STRICT, njit

f32 = np.float32


@njit(**JIT)
def second_neighbours(x, y, z, which, n, bond):
    """Keep, of n atoms about one, those that a first neighbour joins to it; returns how many.

    `bond` is the squared distance below which two atoms are bound. The other half of the atoms of
    diamond, the first neighbours among them, goes; third neighbours of it are near places of the
    other stacking.
    """
    first = 0
    for k in range(n):  # first neighbours to the front
        if x[k] * x[k] + y[k] * y[k] + z[k] * z[k] < bond:
            x[k], x[first] = x[first], x[k]
            y[k], y[first] = y[first], y[k]
            z[k], z[first] = z[first], z[k]
            which[k], which[first] = which[first], which[k]
            first += 1
    kept = first
    for k in range(first, n):
        joined = False
        for b in range(first):
            # The atom itself is among its neighbours and joins nothing.
            apart = x[b] * x[b] + y[b] * y[b] + z[b] * z[b]
            d = (x[k] - x[b]) ** 2 + (y[k] - y[b]) ** 2 + (z[k] - z[b]) ** 2
            joined = joined or (d < bond and apart > f32(0.01))
        if joined:
            x[kept], y[kept], z[kept], which[kept] = x[k], y[k], z[k], which[k]
            kept += 1
    for k in range(kept - first):
        x[k], y[k], z[k] = x[first + k], y[first + k], z[first + k]
        which[k] = which[first + k]
    return kept - first


@njit(**JIT)
def evidence(
    relative, found, counts, candidates, to_ideal, planes, noise, diamond, places, up, down,
    cap, bond, content, content_noise, penalty, start, stop, reference, favour, neighbours, cost,
):  # fmt: skip
    """Choose for each atom the crystal it belongs to, and weigh both stackings on each plane.

    Parameters
    ----------
    relative, found, counts
        (B, W, 3) float32, (B, W), (B,): neighbours of each atom.
    candidates
        (B, K) crystals of the windows nearby, nearest first; -1 after the last.
    to_ideal, planes, noise, diamond
        (M, 3, 3) float32, (M,), (M,) float32, (M,) of each crystal: takes vectors to the same
        without strain and with spacing 1; planes looked at; variance of a bond there; second
        neighbours are looked at.
    places
        (12 + 24, 3) float32: neighbours of the crystal, then those of the other stacking, for each
        plane three above and three below.
    up, down
        (4, 3), (4, 3): which of the first twelve are above and below each plane.
    cap, bond, content, content_noise, penalty
        Squared distances: the largest that counts; the largest of a bond of diamond; the mean of
        the twelve at which no other crystal is tried, and the same over three variances; what each
        triplet of the other stacking costs in the choice of the crystal.
    reference, favour, neighbours, cost
        (B,), (B, 4, 2), (B, 12), (B, 4), written: the crystal or -1; log likelihood of the other
        stacking less that of the crystal's, above and below; atoms at the twelve places or -1;
        mean squared distance of the best of all stackings, the same for each plane.
    """
    room = relative.shape[1]
    total = places.shape[0]
    x = np.empty(room, np.float32)
    y = np.empty(room, np.float32)
    z = np.empty(room, np.float32)
    least = np.empty(total, np.float32)
    which = np.empty(12, np.int64)
    number = np.empty(room, np.int64)
    for b in range(start, stop):
        best = f32(np.inf)
        reference[b] = -1
        for c in range(candidates.shape[1]):
            m = candidates[b, c]
            if m < 0:
                break
            t = to_ideal[m]
            n = min(counts[b], room)
            for k in range(n):
                number[k] = found[b, k]
                u = relative[b, k, 0]
                v = relative[b, k, 1]
                w = relative[b, k, 2]
                x[k] = u * t[0, 0] + v * t[1, 0] + w * t[2, 0]
                y[k] = u * t[0, 1] + v * t[1, 1] + w * t[2, 1]
                z[k] = u * t[0, 2] + v * t[1, 2] + w * t[2, 2]
            if diamond[m]:
                n = second_neighbours(x, y, z, number, n, bond)
            own = f32(0)
            for p in range(12):
                px, py, pz = places[p, 0], places[p, 1], places[p, 2]
                nearest = cap
                at = -1
                for k in range(n):
                    d = (x[k] - px) ** 2 + (y[k] - py) ** 2 + (z[k] - pz) ** 2
                    if d < nearest:
                        nearest = d
                        at = k
                least[p] = nearest
                which[p] = number[at] if at >= 0 else -1
                own += nearest
            for p in range(12, 12 + 6 * planes[m]):
                px, py, pz = places[p, 0], places[p, 1], places[p, 2]
                nearest = cap
                for k in range(n):
                    d = (x[k] - px) ** 2 + (y[k] - py) ** 2 + (z[k] - pz) ** 2
                    nearest = min(nearest, d)
                least[p] = nearest
            # The best of the crystal itself, its twins and the stacking faults, and what it costs.
            lowest = own
            priced = own
            for q in range(planes[m]):
                above = below = other_above = other_below = f32(0)
                for i in range(3):
                    above += least[up[q, i]]
                    below += least[down[q, i]]
                    other_above += least[12 + 6 * q + i]
                    other_below += least[15 + 6 * q + i]
                rest = own - above - below
                one = rest + min(above + other_below, other_above + below)
                two = rest + other_above + other_below
                lowest = min(lowest, one, two)
                priced = min(priced, one + penalty, two + 2 * penalty)
                if planes[m] == 1:  # of a hexagonal crystal none of the two is its own
                    priced = min(priced, one, two + penalty)
            if priced < best:
                best = priced
                reference[b] = m
                cost[b, :] = lowest / f32(12)
                scale = f32(0.5) / noise[m]
                for q in range(planes[m]):
                    above = below = f32(0)
                    for i in range(3):
                        above += least[up[q, i]] - least[12 + 6 * q + i]
                        below += least[down[q, i]] - least[15 + 6 * q + i]
                    favour[b, q, 0] = above * scale
                    favour[b, q, 1] = below * scale
                for p in range(12):
                    neighbours[b, p] = which[p]
            if best < f32(12) * min(content, f32(3) * content_noise * noise[m]):
                break


@njit(**STRICT)
def relation(normal, towards, planes, m, q, other):
    """Plane of crystal `other` that is plane q of m; whether it is upside down; whether turned.

    `normal` and `towards` (M, 4, 3) are the unit normal of each plane and the unit vector in it
    towards the first of the crystal's own places above. -1 where no plane is.
    """
    for p in range(planes[other]):
        along = 0.0
        for c in range(3):
            along += normal[m, q, c] * normal[other, p, c]
        if abs(along) > 0.96:
            # The places of a stacking are 120 degrees apart, those of the other one between them.
            inner = 0.0
            for c in range(3):
                inner += towards[m, q, c] * towards[other, p, c]
            same = math.cos(3.0 * math.acos(min(max(inner, -1.0), 1.0))) > 0.0
            flip = along < 0.0
            # Below the plane the crystal's own places are opposite to those above.
            return p, flip, same == flip
    return -1, False, False


@njit(**STRICT)
def averaged(
    reference, favour, neighbours, cost, planes, noise, normal, towards, ring, least_ring, quiet,
    loudness, start, stop, out, out_cost,
):  # fmt: skip
    """Means over each atom and its neighbours in each plane, where the noise is above `loudness`.

    `out` (N, 4, 2) and `out_cost` (N, 4) take the means of `favour` (N, 4, 2) and `cost` (N, 4);
    they are nan where there are fewer atoms than `least_ring` and the noise is above `quiet`, and
    what was given where the noise is smaller than `loudness`.
    """
    for i in range(start, stop):
        m = reference[i]
        if m < 0:
            continue
        for q in range(planes[m]):
            above = favour[i, q, 0]
            below = favour[i, q, 1]
            fit = cost[i, q]
            count = 1
            if noise[m] > loudness:
                for r in range(6):
                    j = neighbours[i, ring[q, r]]
                    if j < 0 or reference[j] < 0:
                        continue
                    p, flip, turned = q, False, False
                    if reference[j] != m:
                        p, flip, turned = relation(normal, towards, planes, m, q, reference[j])
                        if p < 0:
                            continue
                    side = 1 if flip else 0
                    if math.isnan(favour[j, p, side]):
                        continue
                    # In units of the atom's own noise.
                    scale = noise[reference[j]] / noise[m]
                    sign = -scale if turned else scale
                    above += sign * favour[j, p, side]
                    below += sign * favour[j, p, 1 - side]
                    fit += cost[j, p]
                    count += 1
                if count < least_ring and noise[m] > quiet:
                    above = below = fit = np.nan
            out[i, q, 0] = above / count
            out[i, q, 1] = below / count
            out_cost[i, q] = fit / count


@njit(**STRICT)
def judged(
    reference, favour, cost, planes, noise, clear, allowed, start, stop, state, plane, ratio
):
    """What follows for each atom from the means.

    `state` (N,) takes 0 nothing, 1 fcc, 2 hcp; `plane` (N,) the plane of the hcp stacking, or the
    likeliest one; `ratio` (N,) the log likelihood ratio of hcp to fcc on it. Nothing is known where
    the mean squared distance is above `allowed` (N,), or either side of the plane says less than
    `clear`, in units of what three neighbours in place do.
    """
    for i in range(start, stop):
        state[i] = 0
        plane[i] = 0
        ratio[i] = np.nan
        m = reference[i]
        if m < 0:
            continue
        enough = clear * 0.25 / noise[m]
        best = -np.inf
        misfit = np.inf
        weakest = np.inf
        twin = -np.inf
        for q in range(planes[m]):
            above = favour[i, q, 0]
            below = favour[i, q, 1]
            if math.isnan(above):
                weakest = -np.inf
                continue
            # Against both fcc stackings, the crystal's own and its twin's.
            hcp = max(min(above, -below), min(-above, below))
            if hcp > best:
                best = hcp
                plane[i] = q
                ratio[i] = hcp
                misfit = cost[i, q]
            weakest = min(weakest, min(-above, -below))
            twin = max(twin, min(above, below))
        if not misfit < allowed[i]:
            continue
        if best > enough:
            state[i] = 2
        elif best < 0.0 and (weakest > enough or twin > enough):
            state[i] = 1


@njit(**STRICT)
def in_plane(
    reference, neighbours, planes, normal, towards, ring, state, plane, chosen, start, stop, out
):
    """Neighbours in the plane, of the `chosen` state on the same plane: `out` (N, 6), or -1."""
    for i in range(start, stop):
        for r in range(6):
            out[i, r] = -1
        if state[i] != chosen:
            continue
        m = reference[i]
        for r in range(6):
            j = neighbours[i, ring[plane[i], r]]
            if j < 0 or state[j] != chosen:
                continue
            p = plane[i]
            if reference[j] != m:
                p = relation(normal, towards, planes, m, plane[i], reference[j])[0]
            if p == plane[j]:
                out[i, r] = j
