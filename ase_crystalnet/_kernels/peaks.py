"""Structure factor of a window: map, peaks, Newton steps; and its nearest-neighbour distance.

Positions are divided by the nearest-neighbour distance, so every wave vector is in units of its
inverse.
"""

from __future__ import annotations

import math

from numba import njit

from ase_crystalnet._kernels.options import JIT, f32, sincos

Q_MIN = 2.5  # below lies the window's own form factor
Q_MAX = 10.0
MAX_AXIS = 18  # half-axis points of the map
MAX_PEAKS = 32
BINS = 120  # of the pair distribution


@njit(**JIT)
def first_shell(x, y, z, n, row, hist, smooth):
    """Nearest-neighbour distance: the first maximum of the pair distribution.

    The mean distance to the nearest neighbour is no substitute: displacements shorten it and
    vacancies lengthen it (by 25 % each at the edge of what is to be analysed).
    """
    mean = 0.0
    for i in range(n):
        best = f32(1e30)
        for j in range(n):
            d = (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2 + (z[i] - z[j]) ** 2
            d = f32(1e30) if j == i else d
            best = min(best, d)
        mean += math.sqrt(best)
    mean /= n
    if mean <= 0:
        return 0.0
    low, high = 0.45 * mean, 1.85 * mean
    scale = f32(BINS / (high - low))
    offset = f32(low)
    hist[:] = 0
    for i in range(n - 1):
        for j in range(i + 1, n):
            row[j] = (
                math.sqrt((x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2 + (z[i] - z[j]) ** 2) - offset
            ) * scale
        for j in range(i + 1, n):
            v = row[j]
            if v >= 0 and v < BINS:
                hist[int(v)] += 1
    width = (high - low) / BINS
    top = 0.0
    for b in range(BINS):
        r = low + (b + 0.5) * width
        sd = 0.06 * r / width
        reach = int(2.5 * sd) + 1
        total = 0.0
        norm = 0.0
        for d in range(-reach, reach + 1):
            g = math.exp(-0.5 * (d / sd) ** 2)
            norm += g
            if b + d >= 0 and b + d < BINS:
                total += g * hist[b + d]
        # Density of pairs, less what a Poisson fluctuation of the few close ones may add.
        total = max(total - 1.5 * math.sqrt(total), 0.0) / norm
        smooth[b] = total / (r * r)
        top = max(top, smooth[b])
    for b in range(1, BINS - 1):
        if smooth[b] >= 0.4 * top and smooth[b] >= smooth[b - 1] and smooth[b] > smooth[b + 1]:
            return low + (b + 0.5) * width
    return mean


@njit(**JIT)
def tables(t, w, n, h, half, cosines, sines):
    """cos and sin of (k + 1/2) h t for k < half, times w: recurrence in the angle h t."""
    for m in range(n):
        s, c = sincos(f32(0.5) * h * t[m])
        c2 = c * c - s * s
        s2 = f32(2) * s * c
        c *= w[m]
        s *= w[m]
        for k in range(half):
            cosines[m, k] = c
            sines[m, k] = s
            cn = c * c2 - s * s2
            s = s * c2 + c * s2
            c = cn


@njit(**JIT)
def structure_map(x, y, z, w, ones, n, h, half, work, s_map):
    """|sum w exp(-i q.x)|^2 at q = (i + 1/2, j + 1/2, k + 1/2) h; i >= 0, j and k of both signs.

    No plane of zeros: every point of the map is independent information.
    """
    cx, sx, cy, sy, cz, sz, re, cs = work
    tables(x, w, n, h, half, cx, sx)
    tables(y, ones, n, h, half, cy, sy)
    tables(z, ones, n, h, half, cz, sz)
    full = 2 * half
    for m in range(n):
        for k in range(half):
            cs[m, k] = cz[m, k]
            cs[m, half + k] = sz[m, k]
    limit = (Q_MAX / h + 0.9) ** 2
    for i in range(half):
        for j in range(half):
            if (i + 0.5) ** 2 + (j + 0.5) ** 2 > limit:
                for k in range(full):
                    s_map[i, half + j, k] = 0
                    s_map[i, half - 1 - j, k] = 0
                continue
            for r in range(4):
                for k in range(full):
                    re[r, k] = 0
            for m in range(n):
                a = cx[m, i] * cy[m, j]
                b = sx[m, i] * sy[m, j]
                c = sx[m, i] * cy[m, j]
                d = cx[m, i] * sy[m, j]
                for k in range(full):
                    v = cs[m, k]
                    re[0, k] += a * v
                    re[1, k] += b * v
                    re[2, k] += c * v
                    re[3, k] += d * v
            for k in range(half):
                # Phase of (+-qy): cos(px +- py) = a -+ b, sin(px +- py) = c +- d.
                for sign in range(2):
                    sg = f32(1) if sign == 0 else f32(-1)
                    cc = re[0, k] - sg * re[1, k]
                    cs_ = re[0, half + k] - sg * re[1, half + k]
                    sc = re[2, k] + sg * re[3, k]
                    ss = re[2, half + k] + sg * re[3, half + k]
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
