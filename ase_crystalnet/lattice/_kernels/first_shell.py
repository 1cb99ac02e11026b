"""Nearest-neighbour distance of a window: the first maximum of its pair distribution."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.options import JIT, f32, njit

__all__ = [
    "BINS",
    "SHELL_RANGE",
    "SHELL_REACH",
    "SHELL_WEIGHTS",
    "first_shell",
    "shell_filter",
    "squared_distances",
    "take_smaller",
]


BINS = 120  # of the pair distribution


SHELL_RANGE = (0.45, 1.85)  # of the mean distance to the nearest neighbour: range of the search


def shell_filter() -> tuple[np.ndarray, np.ndarray]:
    """Gaussian that smooths each bin of the pair distribution: reach (BINS,), weights (BINS, 2R+1).

    Its width is 6 % of the distance, which the bins know in units of their range.
    """
    centers = SHELL_RANGE[0] + (np.arange(BINS) + 0.5) * (SHELL_RANGE[1] - SHELL_RANGE[0]) / BINS
    deviation = 0.06 * centers * BINS / (SHELL_RANGE[1] - SHELL_RANGE[0])
    reach = (2.5 * deviation).astype(np.int64) + 1
    steps = np.arange(-reach.max(), reach.max() + 1)
    weights = np.exp(-0.5 * (steps / deviation[:, None]) ** 2)
    weights[np.abs(steps) > reach[:, None]] = 0
    return reach, weights


SHELL_REACH, SHELL_WEIGHTS = shell_filter()


@njit(**JIT)
def squared_distances(x, y, z, i, n, row):
    """Squared distances of atom i to the atoms after it, into their places of row."""
    for j in range(i + 1, n):
        k = np.uintp(j)
        row[k] = (x[i] - x[k]) ** 2 + (y[i] - y[k]) ** 2 + (z[i] - z[k]) ** 2


@njit(**JIT)
def take_smaller(row, i, n, nearest):
    """Lower `nearest` of the atoms after i to their places in row; the least of those."""
    best = f32(1e30)
    for j in range(i + 1, n):
        k = np.uintp(j)
        best = min(best, row[k])
        nearest[k] = min(nearest[k], row[k])
    return best


@njit(**JIT)
def first_shell(x, y, z, n, row, close, hist, smooth):
    """Nearest-neighbour distance: the first maximum of the pair distribution.

    The mean distance to the nearest neighbour is no substitute: displacements shorten it and
    vacancies lengthen it (by 25 % each at the edge of what is to be analysed). `row` and `close`
    (n,) and `hist` and `smooth` (BINS,) are work space.
    """
    mean = 0.0
    nearest = close
    nearest[:n] = f32(1e30)
    for i in range(n):
        squared_distances(x, y, z, i, n, row)
        mean += math.sqrt(min(nearest[i], take_smaller(row, i, n, nearest)))
    mean /= n
    if mean <= 0:
        return 0.0
    low, high = SHELL_RANGE[0] * mean, SHELL_RANGE[1] * mean
    scale = f32(BINS / (high - low))
    offset = f32(low)
    limit = f32(high * high)
    hist[:] = 0
    for i in range(n - 1):
        squared_distances(x, y, z, i, n, row)
        found = 0
        for j in range(i + 1, n):  # one pair in ten is close: no branch, no root for the others
            v = row[np.uintp(j)]
            close[np.uintp(found)] = v
            found += 1 if v < limit else 0
        for k in range(found):
            v = (math.sqrt(close[k]) - offset) * scale
            if v >= 0 and v < BINS:
                hist[int(v)] += 1
    width = (high - low) / BINS
    middle = SHELL_WEIGHTS.shape[1] // 2
    top = 0.0
    for b in range(BINS):
        total = 0.0
        norm = 0.0
        for d in range(-SHELL_REACH[b], SHELL_REACH[b] + 1):
            g = SHELL_WEIGHTS[b, middle + d]
            norm += g
            if b + d >= 0 and b + d < BINS:
                total += g * hist[b + d]
        # Density of pairs, less what a Poisson fluctuation of the few close ones may add.
        total = max(total - 1.5 * math.sqrt(total), 0.0) / norm
        r = low + (b + 0.5) * width
        smooth[b] = total / (r * r)
        top = max(top, smooth[b])
    for b in range(1, BINS - 1):
        if smooth[b] >= 0.4 * top and smooth[b] >= smooth[b - 1] and smooth[b] > smooth[b + 1]:
            return low + (b + 0.5) * width
    return mean
