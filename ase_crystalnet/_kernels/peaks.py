"""Structure factor of a window: map, peaks, Newton steps; and its nearest-neighbour distance.

Positions are divided by the nearest-neighbour distance, so every wave vector is in units of its
inverse.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ase_crystalnet._kernels.options import JIT, f32, sincos
from ase_crystalnet._kernels.tiles import BLOCK, ROWS, product

Q_MIN = 2.5  # below lies the window's own form factor
Q_MAX = 10.0
MAX_AXIS = 28  # half-axis points of the map: windows of 1,000 ions of 4,000 sites
MAX_TABLE = -(-MAX_AXIS // BLOCK) * BLOCK
MAX_COLUMNS = -(-4 * MAX_AXIS // BLOCK) * BLOCK  # of a product: cos and sin in x times those in z
MAX_PEAKS = 32
BINS = 120  # of the pair distribution
SHELL_RANGE = (0.45, 1.85)  # of the mean distance to the nearest neighbour: where it is looked at


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


@njit(**JIT)
def half_phases(t, w, n, h, count, cosines, sines):
    """cos and sin of (k + 1/2) h t for k < count, times w; count is a multiple of the vectors'."""
    for m in range(n):
        x = h * t[m]
        a = w[m]
        for k in range(count):
            s, c = sincos((f32(k) + f32(0.5)) * x)
            cosines[m, k] = a * c
            sines[m, k] = a * s


@njit(**JIT)
def scaled_rows(cosines, sines, i, n, full, source, out, columns):
    """out[m] = source[m] times cosines[m, i] in the first `full` columns, sines[m, i] after."""
    for m in range(n):
        c = cosines[m, i]
        s = sines[m, i]
        for k in range(columns):
            out[m, k] = source[m, k] * (c if k < full else s)


@njit(**JIT)
def structure_map(x, y, z, w, ones, n, h, half, work, s_map):
    """|sum w exp(-i q.x)|^2 at q = (i + 1/2, j + 1/2, k + 1/2) h; i >= 0, j and k of both signs.

    No plane of zeros: every point of the map is independent information. For each i one product
    of the tables in y and in (x, z) gives the sums over atoms of cos or sin in each direction,
    from which come the four signs of (j, k).
    """
    cx, sx, cosines, sines, along_y, along_z, both, sums, extents = work
    table = (half + BLOCK - 1) // BLOCK * BLOCK
    half_phases(x, w, n, h, table, cx, sx)
    half_phases(y, ones, n, h, table, cosines, sines)
    for m in range(n):
        for j in range(half):  # cosine and sine of one j beside each other: rows end with j
            along_y[m, 2 * j] = cosines[m, j]
            along_y[m, 2 * j + 1] = sines[m, j]
        for j in range(2 * half, 2 * half + 2):
            along_y[m, j] = 0
    half_phases(z, ones, n, h, table, cosines, sines)
    full = 2 * half
    blocks = (2 * full + BLOCK - 1) // BLOCK
    for m in range(n):
        for k in range(half):
            along_z[m, k] = cosines[m, k]
            along_z[m, half + k] = sines[m, k]
        for k in range(full):
            along_z[m, full + k] = along_z[m, k]
        for k in range(2 * full, blocks * BLOCK):
            along_z[m, k] = 0
    limit = (Q_MAX / h + 0.9) ** 2
    for i in range(half):
        reach = 0
        while reach < half and (i + 0.5) ** 2 + (reach + 0.5) ** 2 <= limit:
            reach += 1
        for j in range(reach, half):
            for k in range(full):
                s_map[i, half + j, k] = 0
                s_map[i, half - 1 - j, k] = 0
        scaled_rows(cx, sx, i, n, full, along_z, both, blocks * BLOCK)
        quads = (2 * reach + ROWS - 1) // ROWS
        extents[:quads] = blocks
        product(along_y, both, 0, n, extents[:quads], sums)
        for j in range(reach):
            c = sums[2 * j]
            s = sums[2 * j + 1]
            for k in range(half):
                # Phase of (+-qy): cos(px +- py) = a -+ b, sin(px +- py) = c +- d.
                for sign in range(2):
                    sg = f32(1) if sign == 0 else f32(-1)
                    cc = c[k] - sg * s[full + k]
                    cs_ = c[half + k] - sg * s[full + half + k]
                    sc = c[full + k] + sg * s[k]
                    ss = c[full + half + k] + sg * s[half + k]
                    jj = half + j if sign == 0 else half - 1 - j
                    s_map[i, jj, half + k] = (cc - ss) ** 2 + (sc + cs_) ** 2
                    s_map[i, jj, half - 1 - k] = (cc + ss) ** 2 + (sc - cs_) ** 2


@njit(**JIT)
def find_peaks(s_map, half, h, threshold, pk, pv):
    """Local maxima of the half-space map, strongest first; returns how many."""
    count = 0
    full = 2 * half
    for i in range(half):
        for j in range(full):
            for k in range(full):
                v = s_map[i, j, k]
                if v <= threshold:
                    continue
                q2 = ((i + 0.5) ** 2 + (j + 0.5 - half) ** 2 + (k + 0.5 - half) ** 2) * h * h
                if q2 < Q_MIN * Q_MIN or q2 > Q_MAX * Q_MAX:
                    continue
                is_max = True
                for di in range(-1, 2):
                    for dj in range(-1, 2):
                        for dk in range(-1, 2):
                            a, b, c = i + di, j + dj, k + dk
                            if a < 0:  # Friedel: S(-q) = S(q)
                                a, b, c = 0, full - 1 - b, full - 1 - c
                            if a >= half or b < 0 or c < 0 or b >= full or c >= full:
                                continue
                            if s_map[a, b, c] > v:
                                is_max = False
                if not is_max:
                    continue
                if count < MAX_PEAKS:
                    p = count
                    count += 1
                elif v > pv[MAX_PEAKS - 1]:
                    p = MAX_PEAKS - 1
                else:
                    continue
                while p > 0 and pv[p - 1] < v:
                    pv[p] = pv[p - 1]
                    for c in range(3):
                        pk[p, c] = pk[p - 1, c]
                    p -= 1
                pv[p] = v
                pk[p, 0] = (i + 0.5) * h
                pk[p, 1] = (j + 0.5 - half) * h
                pk[p, 2] = (k + 0.5 - half) * h
    return count


@njit(**JIT)
def amplitude(x, y, z, w, n, qx, qy, qz):
    """Re and Im of sum w exp(i q.x), and the gradient of log |.|^2."""
    c0 = f32(0)
    s0 = f32(0)
    cx = f32(0)
    cy = f32(0)
    cz = f32(0)
    sx = f32(0)
    sy = f32(0)
    sz = f32(0)
    for m in range(n):
        s, c = sincos(qx * x[m] + qy * y[m] + qz * z[m])
        s *= w[m]
        c *= w[m]
        c0 += c
        s0 += s
        cx += x[m] * c
        cy += y[m] * c
        cz += z[m] * c
        sx += x[m] * s
        sy += y[m] * s
        sz += z[m] * s
    g = f32(2) / (c0 * c0 + s0 * s0 + f32(1e-6))
    return c0, s0, g * (s0 * cx - c0 * sx), g * (s0 * cy - c0 * sy), g * (s0 * cz - c0 * sz)


@njit(**JIT)
def newton(x, y, z, w, n, norm, curve, q, steps, reach):
    """Climb to the maximum of S near q (in place), with the curvature of the window's own spot.

    log S falls from a Bragg point as -dq.M.dq with M the second moments of the window, so M^-1/2
    times the gradient is the whole step, whatever the window's shape. Returns S / norm.
    """
    value = 0.0
    for it in range(steps + 1):
        c0, s0, g0, g1, g2 = amplitude(x, y, z, w, n, f32(q[0]), f32(q[1]), f32(q[2]))
        value = (c0 * c0 + s0 * s0) * norm
        if it == steps:
            break
        d0 = curve[0, 0] * g0 + curve[0, 1] * g1 + curve[0, 2] * g2
        d1 = curve[1, 0] * g0 + curve[1, 1] * g1 + curve[1, 2] * g2
        d2 = curve[2, 0] * g0 + curve[2, 1] * g1 + curve[2, 2] * g2
        length = math.sqrt(d0 * d0 + d1 * d1 + d2 * d2)
        f = 1.0 if length < reach else reach / length
        q[0] += f * d0
        q[1] += f * d1
        q[2] += f * d2
    return value
