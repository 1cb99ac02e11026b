"""Inner loops of `xrd/augment.py` and `xrd/pattern.py`: a pattern from reflections, axes, smooth
backgrounds. Nothing here draws random numbers.
"""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.options import STRICT, njit

#: Lines are gathered in bins of this width before they are broadened, degrees.
BIN = 0.005
#: Room for lines that lie outside the range but reach into it, degrees.
MARGIN = 0.5
RADIAN = math.pi / 180
#: The profile is tabulated out to this many half widths.
REACH = 20.0
TABLE = 512
#: Columns of the conditions of one pattern; `xrd/augment.py` fills them.
(
    SCALE,
    TEXTURE,
    AXIS,
    B_FACTOR,
    ZERO,
    DISPLACEMENT,
    K_ALPHA2,
    FWHM,
    STRAIN_WIDTH,
    SIZE_WIDTH,
    LORENTZIAN,
    JITTER,
    SHARE,
) = range(13)
CONDITIONS = 13


@njit(**STRICT)
def gather_lines(lines, vectors, strengths, strain, row, wavelengths, start):
    """Add the lines of one crystal to `lines` (bins of two-theta from `start`).

    `strain` (6,) is a strain xx, yy, zz, yz, xz, xy; `row` the conditions of the pattern;
    `wavelengths` those of K-alpha, K-alpha 1 and K-alpha 2.
    """
    bins = lines.shape[0]
    number = 2 if row[K_ALPHA2] > 0 else 1
    axis = int(row[AXIS])
    ax = ay = az = 0.0
    if row[TEXTURE] != 1.0:
        norm = 1 / math.sqrt((vectors[axis] ** 2).sum())
        ax, ay, az = vectors[axis, 0] * norm, vectors[axis, 1] * norm, vectors[axis, 2] * norm
    for i in range(strengths.shape[0]):
        gx, gy, gz = vectors[i, 0], vectors[i, 1], vectors[i, 2]
        x = gx - (strain[0] * gx + strain[5] * gy + strain[4] * gz)
        y = gy - (strain[5] * gx + strain[1] * gy + strain[3] * gz)
        z = gz - (strain[4] * gx + strain[3] * gy + strain[2] * gz)
        g = math.sqrt(x * x + y * y + z * z) * row[SCALE]
        weight = strengths[i] * math.exp(-0.5 * row[B_FACTOR] * g * g)
        if row[TEXTURE] != 1.0:
            # March-Dollase about the reflection `axis`.
            along = gx * ax + gy * ay + gz * az
            c2 = along * along / (gx * gx + gy * gy + gz * gz)
            weight *= (row[TEXTURE] ** 2 * c2 + (1 - c2) / row[TEXTURE]) ** -1.5
        for q in range(number):
            wavelength = wavelengths[0] if number == 1 else wavelengths[1 + q]
            sine = 0.5 * g * wavelength
            if sine >= 0.999:
                continue
            cosine = math.sqrt(1 - sine * sine)
            angle = 2 * math.asin(sine) / RADIAN + row[ZERO] + row[DISPLACEMENT] * cosine
            b = int((angle - start) / BIN)
            if b < 0 or b >= bins or angle < start:
                continue
            c2t = 1 - 2 * sine * sine
            factor = (1 + c2t * c2t) / (sine * sine * cosine)
            lines[b] += weight * factor * (0.5 if q == 1 else 1.0)


@njit(**STRICT)
def broaden_lines(out, lines, row, first, step, start, table, weakest):
    """Add profiles of unit area times the lines (over the strongest) to a pattern `out`.

    Pseudo-Voigt; widths add in squares: instrument, strain (tan theta), size (1 / cos theta), and
    the width of the grid's own bin.
    """
    largest = 0.0
    for b in range(lines.shape[0]):
        largest = max(largest, lines[b])
    if largest <= 0:
        return
    eta = row[LORENTZIAN]
    for k in range(TABLE + 1):
        t = REACH * k / TABLE
        gauss = 0.46971863934982566 * math.exp(-0.6931471805599453 * t * t)
        table[k] = eta * 0.3183098861837907 / (1 + t * t) + (1 - eta) * gauss
    own = 0.6797 * step  # FWHM of a Gaussian as wide as a bin: 2.3548 / sqrt(12)
    for b in range(lines.shape[0]):
        weight = lines[b] / largest
        if weight < weakest:
            continue
        center = start + (b + 0.5) * BIN
        theta = 0.5 * center * RADIAN
        width = math.sqrt(
            row[FWHM] ** 2
            + (row[STRAIN_WIDTH] * math.tan(theta)) ** 2
            + (row[SIZE_WIDTH] / math.cos(theta)) ** 2
            + own * own
        )
        half = 0.5 * width
        reach = 4.0
        if eta > 0.05:
            reach = REACH if weight > 0.05 else 8.0
        low = max(math.ceil((center - reach * half - first) / step), 0)
        high = min(math.floor((center + reach * half - first) / step), out.shape[0] - 1)
        height = weight / half
        inverse = TABLE / REACH / half
        for j in range(low, high + 1):
            t = abs(first + j * step - center) * inverse
            k = int(t)
            if k < TABLE:
                out[j] += height * (table[k] + (table[k + 1] - table[k]) * (t - k))


@njit(**STRICT)
def render(
    out, vectors, strengths, offsets, chosen, strains, rows, jitter, wavelengths, first, step,
    weakest,
):  # fmt: skip
    """Noiseless patterns, largest value 1.

    `chosen` (B, M) structures of each pattern (-1: none), `strains` (B, M, 6), `rows` (B, M, 13),
    `jitter` (B, M, J) normal numbers that change the intensities of the lines, one after the other.
    """
    points = out.shape[1]
    start = first - MARGIN
    lines = np.zeros(int((points * step + 2 * MARGIN) / BIN) + 1)
    table = np.empty(TABLE + 1)
    one = np.empty(points)
    for p in range(out.shape[0]):
        out[p] = 0
        for m in range(chosen.shape[1]):
            s = chosen[p, m]
            if s < 0:
                continue
            lines[:] = 0
            one[:] = 0
            part = slice(offsets[s], offsets[s + 1])
            row = rows[p, m]
            gather_lines(
                lines, vectors[part], strengths[part], strains[p, m], row, wavelengths, start
            )
            if row[JITTER] > 0:
                k = 0
                for b in range(lines.shape[0]):
                    if lines[b] > 0:
                        lines[b] *= math.exp(row[JITTER] * jitter[p, m, k % jitter.shape[2]])
                        k += 1
            broaden_lines(one, lines, row, first, step, start, table, weakest)
            largest = one.max()
            if largest > 0:
                factor = row[SHARE] / largest
                for j in range(points):
                    out[p, j] += one[j] * factor
        largest = out[p].max()
        if largest > 0:
            for j in range(points):
                out[p, j] /= largest


@njit(**STRICT)
def resample(out, patterns, index, fraction, width, root):
    """Means of `patterns` (B, P) over the intervals between the edges ``index + fraction``.

    `width` (K,) is the length of each interval in points; the square root is taken if `root`.
    """
    points = patterns.shape[1]
    sums = np.zeros(points + 1)
    for p in range(patterns.shape[0]):
        for j in range(points):
            sums[j + 1] = sums[j] + patterns[p, j]
        left = sums[index[0]] + fraction[0] * (sums[index[0] + 1] - sums[index[0]])
        for k in range(width.shape[0]):
            i = index[k + 1]
            right = sums[i] + fraction[k + 1] * (sums[i + 1] - sums[i])
            value = max((right - left) / width[k], 0.0)
            out[p, k] = math.sqrt(value) if root else value
            left = right
