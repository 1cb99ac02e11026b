"""Inner loops of trial cells: lines taken for low indices give a metric, others test it."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.options import STRICT, njit


@njit(**STRICT)
def trial_score(g, q, tol, number, most, places):
    """How well a metric explains the first lines: (score, hits).

    Each line that a reflection hits counts by how unlikely that is by chance at the density of
    reflections up to there, each that none hits against it. `places` is working space.
    `most` reflections at most up to the last line.
    """
    limit = q[number - 1] + tol[number - 1]
    a, b, c, d, e, f = g[0], g[1], g[2], g[3], g[4], g[5]
    # Real lengths bound the indices.
    det = a * (b * c - d * d) - f * (f * c - d * e) + e * (f * d - b * e)
    if det <= 1e-12:
        return -1e9, 0
    hm = int(math.sqrt(limit * (b * c - d * d) / det))
    km = int(math.sqrt(limit * (a * c - e * e) / det))
    lm = int(math.sqrt(limit * (a * b - f * f) / det))
    if (2 * hm + 1) * (2 * km + 1) * (2 * lm + 1) > 16 * most:
        return -1e9, 0
    count = 0
    for h in range(hm + 1):
        for k in range(-km if h > 0 else 0, km + 1):
            base = a * h * h + b * k * k + 2 * f * h * k
            lin = 2 * (d * k + e * h)
            for l in range(-lm if (h > 0 or k > 0) else 1, lm + 1):  # noqa: E741
                value = base + l * (lin + c * l)
                if value <= limit:
                    if count >= most:
                        return -1e9, 0
                    places[count] = value
                    count += 1
    if count == 0:
        return -1e9, 0
    part = places[:count]
    part.sort()
    # Equal ones are one.
    score = 0.0
    hits = 0
    j = 0
    distinct = 0
    last = -1.0
    for i in range(number):
        hit = False
        while j < count and part[j] < q[i] - tol[i]:
            if part[j] > last * 1.0002:
                distinct += 1
                last = part[j]
            j += 1
        seen = distinct
        n = j
        last2 = last
        while n < count and part[n] <= q[i] + tol[i]:
            hit = True
            if part[n] > last2 * 1.0002:
                seen += 1
                last2 = part[n]
            n += 1
        # Reflections per unit of Q grow as its root: the density is 1.5 of the mean.
        density = 1.5 * max(seen, 1) / q[i]
        chance = 1 - math.exp(-2 * tol[i] * density)
        chance = min(max(chance, 1e-4), 0.999)
        if hit:
            hits += 1
            score += math.log(0.1 + 0.9 / chance)
        else:
            score += math.log(0.1)
    return score, hits


@njit(**STRICT)
def keep_best(metric, score, best, scores, state):
    """Puts a metric in the list of the best, unless one like it is better.

    `state` holds the worst score of the list and its place.
    """
    mean = (metric[0] + metric[1] + metric[2]) / 3
    for n in range(scores.shape[0]):
        if scores[n] < -1e8:
            continue
        same = True
        for d in range(6):
            if abs(best[n, d] - metric[d]) > 0.003 * mean:
                same = False
                break
        if same:
            if score > scores[n]:
                scores[n] = score
                best[n] = metric
            return
    place = int(state[1])
    scores[place] = score
    best[place] = metric
    place = 0
    for n in range(scores.shape[0]):
        if scores[n] < scores[place]:
            place = n
    state[0] = scores[place]
    state[1] = place


@njit(**STRICT)
def look(metric, q, tol, first, spurious, most, best, scores, state, places):
    score, hits = trial_score(metric, q, tol, first, most, places)
    if hits >= first - spurious and score > state[0]:
        keep_best(metric, score, best, scores, state)


@njit(inline="always", **STRICT)
def _cross(value, a, b, way):
    """Scalar product (doubled) of two rows if a line is (1 1), (2 1) or (1 2) of their net."""
    if way == 0:
        return abs(value - a - b)
    if way == 1:
        return abs(value - 4 * a - b) / 2
    return abs(value - a - 4 * b) / 2


@njit(**STRICT)
def crossings(q, tol, cross, i, j, a, b, ways, out):
    """Scalar products (doubled) of two rows that a line of their net would show; how many."""
    most = min(1.9 * math.sqrt(a * b), 1.3 * min(a, b))
    count = 0
    out[0] = 0.0
    count = 1
    for m in range(cross):
        if m in (i, j):
            continue
        for way in range(ways):
            value = _cross(q[m], a, b, way)
            if value > most or value < 2 * tol[m]:
                continue
            same = False
            for n in range(count):
                if abs(out[n] - value) < tol[m]:
                    same = True
                    break
            if not same and count < out.shape[0]:
                out[count] = value
                count += 1
    return count


@njit(**STRICT)
def triclinic_trials(
    q, tol, first, base, cross, ways, halves, spurious, most, budget, best, scores, state
):
    """Trial cells whose reciprocal axes are lines, and whose face diagonals are. Returns tries."""
    places = np.empty(most + 1)
    g = np.empty(6)
    one, two, three = np.empty(40), np.empty(40), np.empty(40)
    tries = 0
    for total in range(3, 3 * base):
        for k in range(2, base):
            for j in range(1, k):
                i = total - j - k
                if i < 0 or i >= j:
                    continue
                for half in range(halves):
                    a = q[i] * (0.25 if half & 1 else 1.0)
                    b = q[j] * (0.25 if half & 2 else 1.0)
                    c = q[k] * (0.25 if half & 4 else 1.0)
                    number_d = crossings(q, tol, cross, j, k, b, c, ways, one)
                    number_e = crossings(q, tol, cross, i, k, a, c, ways, two)
                    number_f = crossings(q, tol, cross, i, j, a, b, ways, three)
                    for m in range(number_d):
                        for n in range(number_e):
                            for o in range(number_f):
                                for sign in range(2 if (m > 0 and n > 0 and o > 0) else 1):
                                    tries += 1
                                    if tries > budget:
                                        return tries
                                    g[0], g[1], g[2] = a, b, c
                                    g[3] = 0.5 * one[m] * (1 - 2 * sign)
                                    g[4] = 0.5 * two[n]
                                    g[5] = 0.5 * three[o]
                                    look(
                                        g,
                                        q,
                                        tol,
                                        first,
                                        spurious,
                                        most,
                                        best,
                                        scores,
                                        state,
                                        places,
                                    )
    return tries
