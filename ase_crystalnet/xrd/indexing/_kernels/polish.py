"""Inner loops of trial cells: least squares of the best on more and more lines."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.options import STRICT, njit
from ase_crystalnet.xrd.indexing._kernels.trials import trial_score


@njit(**STRICT)
def refit(g, q, tol, number, reach, most):
    """Least squares of a metric (6,) to the lines that its reflections hit, in place; hits.

    Parameters that no line fixes stay: a ridge of some tolerances holds them.
    """
    limit = q[number - 1] + reach * tol[number - 1]
    a, b, c, d, e, f = g[0], g[1], g[2], g[3], g[4], g[5]
    det = a * (b * c - d * d) - f * (f * c - d * e) + e * (f * d - b * e)
    if det <= 1e-12:
        return 0
    hm = int(math.sqrt(limit * (b * c - d * d) / det))
    km = int(math.sqrt(limit * (a * c - e * e) / det))
    lm = int(math.sqrt(limit * (a * b - f * f) / det))
    if (2 * hm + 1) * (2 * km + 1) * (2 * lm + 1) > 16 * most:
        return 0
    near = np.full(number, 1e9)
    index = np.zeros((number, 3))
    for h in range(hm + 1):
        for k in range(-km if h > 0 else 0, km + 1):
            base = a * h * h + b * k * k + 2 * f * h * k
            lin = 2 * (d * k + e * h)
            for l in range(-lm if (h > 0 or k > 0) else 1, lm + 1):  # noqa: E741
                value = base + l * (lin + c * l)
                if value <= limit:
                    x, y = 0, number
                    while x < y:
                        m = (x + y) >> 1
                        if q[m] < value:
                            x = m + 1
                        else:
                            y = m
                    for i in (x - 1, x):
                        if 0 <= i < number and abs(value - q[i]) < near[i]:
                            near[i] = abs(value - q[i])
                            index[i, 0], index[i, 1], index[i, 2] = h, k, l
    normal = np.zeros((6, 6))
    right = np.zeros(6)
    row = np.empty(6)
    hits = 0
    for i in range(number):
        if near[i] > reach * tol[i]:
            continue
        hits += 1
        h, k, m = index[i, 0], index[i, 1], index[i, 2]
        row[0], row[1], row[2] = h * h, k * k, m * m
        row[3], row[4], row[5] = 2 * k * m, 2 * h * m, 2 * h * k
        rest = q[i]
        for x in range(6):
            rest -= row[x] * g[x]
        weight = 1 / (tol[i] * tol[i])
        for x in range(6):
            right[x] += weight * row[x] * rest
            for y in range(6):
                normal[x, y] += weight * row[x] * row[y]
    ridge = 1 / (3 * tol[0]) ** 2
    for x in range(6):
        normal[x, x] += ridge
    move = np.linalg.solve(normal, right)
    for x in range(6):
        g[x] += move[x]
    return hits


@njit(**STRICT)
def polish(best, scores, q, tol, number, most):
    """Refits each metric to more and more lines and scores it on all."""
    places = np.empty(most + 1)
    for n in range(best.shape[0]):
        if scores[n] < -1e8:
            continue
        g = best[n].copy()
        for part, reach in (
            (min(10, number), 1.5),
            (min(14, number), 1.3),
            (number, 1.0),
            (number, 1.0),
        ):
            if refit(g, q, tol, part, reach, most) == 0:
                break
        after, _ = trial_score(g, q, tol, number, most, places)
        before, _ = trial_score(best[n], q, tol, number, most, places)
        if after > before:
            best[n] = g
        scores[n] = max(after, before)
