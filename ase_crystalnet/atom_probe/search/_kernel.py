"""Inner loops of `ase_crystalnet.atom_probe`: the strongest peaks of S(q) in a shell of |q|.

S(q) = |sum exp(i q.x)|^2 / n: its mean is 1 for independent ions. Ions are taken relative to their
centre of mass, so that neighbouring points of the map differ by no linear phase.
"""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.algebra import inverse3
from ase_crystalnet._compute.options import JIT, f32, njit, sincos
from ase_crystalnet._compute.structure_factor import (
    Q_MAX,
    insert_peak,
    is_maximum,
    map_work,
    newton,
    structure_map,
)

LEAST_IONS = 16
#: Step of the map in 1 / (radius of gyration of a ball): S falls to 0.22 of a peak at the worst
#: place between two points, and Newton steps climb from there.
MAP_STEP = 3.0


@njit(**JIT)
def center(positions, n, x, y, z, curve):
    """Ions about their centre of mass into x, y, z; returns their covariance.

    `curve` becomes the inverse of twice the covariance: the shape of the window's own spot.
    """
    mean = np.zeros(3)
    for m in range(n):
        for c in range(3):
            mean[c] += positions[m, c]
    moments = np.zeros((3, 3))
    for c in range(3):
        mean[c] /= n
    for m in range(n):
        d0 = positions[m, 0] - mean[0]
        d1 = positions[m, 1] - mean[1]
        d2 = positions[m, 2] - mean[2]
        x[m] = d0
        y[m] = d1
        z[m] = d2
        moments[0, 0] += d0 * d0
        moments[0, 1] += d0 * d1
        moments[0, 2] += d0 * d2
        moments[1, 1] += d1 * d1
        moments[1, 2] += d1 * d2
        moments[2, 2] += d2 * d2
    twice = np.empty((3, 3))
    for i in range(3):
        for j in range(i, 3):
            moments[i, j] /= n
            moments[j, i] = moments[i, j]
    for i in range(3):
        for j in range(3):
            twice[i, j] = 2 * moments[i, j]
        twice[i, i] += 1e-6
    inverse3(twice, curve)
    return moments


@njit(**JIT)
def accumulate(s_map, half, step, low, high, limit, total, points):
    """Add min(S, limit) and the number of points to bins of |q|; outside the shell S becomes 0."""
    q_bins = total.size
    scale = q_bins / (high - low)
    for i in range(half):
        q0 = (i + 0.5) * step
        for j in range(2 * half):
            q1 = (j + 0.5 - half) * step
            for k in range(2 * half):
                q2 = (k + 0.5 - half) * step
                q = math.sqrt(q0 * q0 + q1 * q1 + q2 * q2)
                if q < low or q > high:
                    s_map[i, j, k] = 0
                    continue
                b = min(int((q - low) * scale), q_bins - 1)
                total[b] += min(s_map[i, j, k], limit)
                points[b] += 1


@njit(**JIT)
def strongest(s_map, half, step, low, high, floor, x, y, z, ones, n, curve, near, peaks, values):
    """Local maxima of S in the shell, climbed to their top, strongest first; returns how many."""
    count = 0
    q = np.empty(3)
    for i in range(half):
        for j in range(2 * half):
            for k in range(2 * half):
                v = s_map[i, j, k]
                if v <= floor:
                    continue
                if not is_maximum(s_map, half, i, j, k):
                    continue
                q[0] = (i + 0.5) * step
                q[1] = (j + 0.5 - half) * step
                q[2] = (k + 0.5 - half) * step
                value = newton(x, y, z, ones, n, 1.0 / n, curve, q, 4, 0.5 * step)
                length = math.sqrt(q[0] ** 2 + q[1] ** 2 + q[2] ** 2)
                if length < low or length > high:
                    continue
                fresh = True
                for p in range(count):
                    plus = 0.0
                    minus = 0.0
                    for c in range(3):
                        plus += (q[c] - peaks[p, c]) ** 2
                        minus += (q[c] + peaks[p, c]) ** 2
                    if min(plus, minus) < near * near:
                        fresh = False
                if not fresh:
                    continue
                count = insert_peak(q[0], q[1], q[2], value, count, peaks, values)
    return count


@njit(**JIT)
def search(
    positions, counts, start, stop, most_half, low, high, floor, limit,
    moments, total, points, peaks, values,
):  # fmt: skip
    """Peaks of windows start .. stop, and sums for the background of each.

    Parameters
    ----------
    most_half
        Half-axis points of the largest map.
    low, high
        Shell of |q|.
    floor
        S below which no point of the map is climbed from.
    limit
        S is clipped there before it is summed for the background.
    moments, total, points, peaks, values
        Results, as in `peaks.PeakSearch`.
    """
    width = positions.shape[1]
    x = np.empty(width, np.float32)
    y = np.empty(width, np.float32)
    z = np.empty(width, np.float32)
    scaled = np.empty((3, width), np.float32)
    ones = np.ones(width, np.float32)
    curve = np.empty((3, 3))
    work = map_work(width, most_half)
    s_map = np.empty((most_half, 2 * most_half, 2 * most_half), np.float32)
    unit = high / Q_MAX  # `structure_map` ends its map at Q_MAX
    for b in range(start, stop):
        n = counts[b]
        if n < LEAST_IONS:
            continue
        moments[b] = center(positions[b], n, x, y, z, curve)
        step = map_step(moments[b])
        half = min(int(high / step + 1), most_half)
        weight = f32(1 / math.sqrt(n))  # so that the map is S itself
        for m in range(n):
            scaled[0, m] = x[m] * unit
            scaled[1, m] = y[m] * unit
            scaled[2, m] = z[m] * unit
            ones[m] = weight
        structure_map(
            scaled[0], scaled[1], scaled[2], ones, np.ones(n, np.float32), n, f32(step / unit),
            half, work, s_map,
        )  # fmt: skip
        ones[:n] = 1
        accumulate(s_map, half, step, low, high, limit, total[b], points[b])
        strongest(
            s_map, half, step, low, high, floor, x, y, z, ones, n, curve, 0.7 * step,
            peaks[b], values[b],
        )  # fmt: skip


@njit(**JIT)
def map_step(moments):
    """Step of the map of a window, from the covariance of its positions."""
    trace = moments[0, 0] + moments[1, 1] + moments[2, 2]
    return MAP_STEP / math.sqrt(5.0 / 3.0 * trace + 1e-12)


@njit(**JIT)
def line_levels(
    positions, counts, start, stop, peaks, moments, low, high, background, level, freedom
):
    """Mean of S over its background on the line through a peak and q = 0, but not at the peak.

    The line runs from half to twice the peak's |q|, inside the shell; the peak, half and twice its
    q are left out, for there the same planes may show again. `freedom` is the number of
    independent values of S the mean is made of.
    """
    bins = background.size
    scale = bins / (high - low)
    for b in range(start, stop):
        n = counts[b]
        q = math.sqrt(peaks[b, 0] ** 2 + peaks[b, 1] ** 2 + peaks[b, 2] ** 2)
        level[b] = 1.0
        freedom[b] = 0.0
        if q <= 0 or n < LEAST_IONS:
            continue
        variance = 0.0
        for i in range(3):
            for j in range(3):
                variance += peaks[b, i] * moments[b, i, j] * peaks[b, j] / (q * q)
        cell = math.sqrt(math.pi / variance)  # integral of the form factor squared
        step = 0.5 * cell
        first = max(0.5 * q, low)
        count = int((min(2 * q, high) - first) / step)
        total = 0.0
        used = 0
        for k in range(count):
            t = first + (k + 0.5) * step
            if min(abs(t - q), abs(t - 0.5 * q), abs(t - 2 * q)) < 1.3 * cell:
                continue
            re = f32(0)
            im = f32(0)
            g0 = f32(peaks[b, 0] / q * t)
            g1 = f32(peaks[b, 1] / q * t)
            g2 = f32(peaks[b, 2] / q * t)
            for m in range(n):
                s, c = sincos(
                    g0 * positions[b, m, 0] + g1 * positions[b, m, 1] + g2 * positions[b, m, 2]
                )
                re += c
                im += s
            place = min(max((t - low) * scale - 0.5, 0.0), bins - 1.0)
            left = min(int(place), bins - 2)
            part = place - left
            mean = (1 - part) * background[left] + part * background[left + 1]
            total += (re * re + im * im) / n / mean
            used += 1
        if used > 0:
            level[b] = total / used
            freedom[b] = 0.5 * used
