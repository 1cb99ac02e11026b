"""Inner loops of the search for phases: features, breathing cells, model patterns."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.options import STRICT, njit

RADIAN = math.pi / 180


@njit(**STRICT)
def features(out, sines, strengths, owner, first, step, least, instrument):
    """Add the lines to rows of `out` (M, B): bins of log(sin theta) from `first` in steps.

    Each line is a Gaussian whose deviation is that of a cell, `least`, and of an instrument,
    `instrument` (radians of theta), in squares.
    """
    bins = out.shape[1]
    for i in range(sines.shape[0]):
        sine = sines[i]
        center = (math.log(sine) - first) / step - 0.5
        cotangent = math.sqrt(max(1 - sine * sine, 0.0)) / sine
        sigma = math.sqrt(least * least + (cotangent * instrument) ** 2) / step
        low = max(math.ceil(center - 3 * sigma), 0)
        high = min(math.floor(center + 3 * sigma), bins - 1)
        factor = strengths[i] / sigma
        row = owner[i]
        for b in range(low, high + 1):
            t = (b - center) / sigma
            out[row, b] += factor * math.exp(-0.5 * t * t)


@njit(**STRICT)
def breathe(smooth, first, step, sines, roots, offsets, chosen, centers, scales, shifts, best):
    """Scale of the cell and shift of the angles that put an entry's lines on a pattern's, best.

    `smooth` (P,) is the pattern's root at `first` + `step` i degrees, smoothed; `best` (N, 3) gets
    score, factor of sin(theta), and shift for each of the `chosen` entries, whose factors are tried
    about `centers`.
    """
    points = smooth.shape[0]
    for n in range(chosen.shape[0]):
        start, stop = offsets[chosen[n]], offsets[chosen[n] + 1]
        best[n, 0] = -1.0
        for k in range(scales.shape[0]):
            factor = centers[n] * scales[k]
            for m in range(shifts.shape[0]):
                total = 0.0
                for j in range(start, stop):
                    sine = sines[j] * factor
                    if sine >= 1.0:
                        continue
                    place = (2 * math.asin(sine) / RADIAN + shifts[m] - first) / step
                    i = math.floor(place)
                    if 0 <= i < points - 1:
                        part = place - i
                        total += roots[j] * (smooth[i] + part * (smooth[i + 1] - smooth[i]))
                if total > best[n, 0]:
                    best[n, 0] = total
                    best[n, 1] = factor
                    best[n, 2] = shifts[m]


@njit(**STRICT)
def render(out, angles, intensities, first, step, fwhm, mixing, doublet):
    """Add pseudo-Voigt lines of unit height times `intensities` to `out` (P,).

    `doublet` is the relative distance of the second wavelength of half the weight; 0 for one line.
    """
    points = out.shape[0]
    for j in range(angles.shape[0]):
        for part in range(2 if doublet > 0 else 1):
            center = angles[j]
            weight = intensities[j]
            if part == 1:
                half = 0.5 * center * RADIAN
                sine = math.sin(half) * (1 + doublet)
                if sine >= 1.0:
                    continue
                center = 2 * math.asin(sine) / RADIAN
                weight *= 0.5
            reach = 6.0 * fwhm
            low = max(math.ceil((center - reach - first) / step), 0)
            high = min(math.floor((center + reach - first) / step), points - 1)
            for i in range(low, high + 1):
                t = (first + i * step - center) / (0.5 * fwhm)
                value = mixing / (1 + t * t) + (1 - mixing) * math.exp(-0.6931471805599453 * t * t)
                out[i] += weight * value


@njit(**STRICT)
def pair_lines(places, widths, angles, intensities, reach, taken, distance):
    """Which line of a pattern belongs to each line of a phase: `taken` (m,), -1 for none.

    Each line of the pattern takes the strongest of the phase's near it, unless another that is
    nearly as strong stands apart from that; each line of the phase keeps the nearest.
    """
    taken[:] = -1
    for k in range(places.shape[0]):
        best, weight = -1, 0.0
        for j in range(angles.shape[0]):
            off = abs(angles[j] - places[k])
            if off < reach:
                t = off / (0.5 * reach)
                value = intensities[j] * math.exp(-0.5 * t * t)
                if value > weight:
                    best, weight = j, value
        if best < 0:
            continue
        alone = True
        for j in range(angles.shape[0]):
            if j != best and abs(angles[j] - places[k]) < reach:
                apart = abs(angles[j] - angles[best])
                if intensities[j] > 0.4 * intensities[best] and apart > 0.25 * widths[k]:
                    alone = False
        off = abs(angles[best] - places[k])
        if alone and (taken[best] < 0 or off < distance[best]):
            taken[best] = k
            distance[best] = off


@njit(**STRICT)
def line_overlap(
    pattern, first, step, low, high, angles, intensities, tolerance, weakest, noise, places,
    heights, quantile,
):  # fmt: skip
    """How a phase fits under a pattern: (scale, gained, lines, missing share, covered share).

    The scale is the largest at which all but `quantile` of the phase (by the root of the intensity)
    does not stand above the pattern; gained is what of the `heights` (n,) of the pattern's lines at
    `places` lies under the phase then; covered is the share of the range that its lines take.
    """
    number = angles.shape[0]
    place = np.empty(number)
    ratio = np.empty(number)
    weight = np.empty(number)
    height = np.empty(number)
    own = np.empty(number)
    count = 0
    for j in range(number):
        if angles[j] < low or angles[j] > high or intensities[j] < weakest:
            continue
        # Lines closer than the tolerance are one: the pattern shows their sum.
        total = 0.0
        strongest = True
        for k in range(number):
            if abs(angles[k] - angles[j]) < tolerance:
                total += intensities[k]
                if intensities[k] > intensities[j] or (intensities[k] == intensities[j] and k < j):
                    strongest = False
        if not strongest:
            continue
        a = max(int((angles[j] - 0.5 * tolerance - first) / step), 0)
        b = min(int((angles[j] + 0.5 * tolerance - first) / step) + 1, pattern.shape[0] - 1)
        seen = 0.0
        for i in range(a, b + 1):
            seen = max(seen, pattern[i])
        place[count] = angles[j]
        ratio[count] = max(seen - noise, 0.0) / total
        weight[count] = math.sqrt(total)
        height[count] = seen
        own[count] = total
        count += 1
    if count == 0:
        return 0.0, 0.0, 0, 1.0, 0.0
    order = np.argsort(ratio[:count])
    limit = quantile * weight[:count].sum()
    gone = 0.0
    scale = 0.0
    for k in order:
        gone += weight[k]
        if gone >= limit:
            scale = ratio[k]
            break
    lacking = 0.0
    lines = 0
    for k in range(count):
        # Only a line that would stand out of the noise can be missed.
        if scale * own[k] > 4 * noise:
            if height[k] > 0.35 * scale * own[k] and height[k] > 2 * noise:
                lines += 1
            else:
                lacking += weight[k]
    gained = 0.0
    for n in range(places.shape[0]):
        best = 0.0
        for k in range(count):
            if abs(place[k] - places[n]) < tolerance:
                best = max(best, scale * own[k])
        gained += min(best, heights[n])
    covered = min(2 * tolerance * count / max(high - low, 1.0), 1.0)
    return scale, gained, lines, lacking / weight[:count].sum(), covered
