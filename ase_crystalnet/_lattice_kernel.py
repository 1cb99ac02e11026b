"""Compiled inner loops of `ase_crystalnet.lattice`: structure factor map, peaks, basis, reduction.

Positions reach these functions divided by the nearest-neighbour distance, so every wave vector
here is in units of its inverse. Lattice algebra is float64; sums over atoms are float32.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

JIT = dict(nogil=True, cache=True, fastmath=True, error_model="numpy", boundscheck=False)
# The 3x3 algebra decides by comparing nearly equal lengths: no reassociation there.
STRICT = dict(nogil=True, cache=True, error_model="numpy", boundscheck=False)
f32 = np.float32

Q_MIN = 2.5  # below lies the window's own form factor
Q_MAX = 10.0
Q_POLISH = 12.0  # holds two orders of every class (bcc 200 at 10.9)
MAX_AXIS = 18  # half-axis points of the map
MAX_PEAKS = 32
MAX_BASIS = 22  # peaks and their differences tried as basis vectors
MAX_HKL = 512
BINS = 120
MAX_SITES = 24
PROBES = 7
PROBE_REACH = 0.5  # of the radius
CENTER_WIDTH = 0.25  # of the radius: a Gaussian that holds about 40 of 250 atoms


@njit(inline="always", **JIT)
def sincos(x):
    """Sine and cosine, float32, error 1e-7 for |x| < 1e4: range reduction by pi/2, Cephes polynomials."""
    k = f32(math.floor(x * f32(0.6366197723675814) + f32(0.5)))
    r = x - k * f32(1.5707963109016418)
    r = r - k * f32(1.5893254712295857e-8)
    z = r * r
    s = r + r * z * (f32(-1.6666654611e-1) + z * (f32(8.3321608736e-3) - z * f32(1.9515295891e-4)))
    c = (
        f32(1)
        - f32(0.5) * z
        + z
        * z
        * (
            f32(4.166664568298827e-2)
            + z * (f32(-1.388731625493765e-3) + z * f32(2.443315711809948e-5))
        )
    )
    q = np.int32(k)
    odd = (q & np.int32(1)) != 0
    sine = c if odd else s
    cosine = s if odd else c
    cosine = -cosine if ((q + np.int32(1)) & np.int32(2)) != 0 else cosine
    sine = -sine if (q & np.int32(2)) != 0 else sine
    return sine, cosine


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


@njit(**STRICT)
def inverse3(b, out):
    out[0, 0] = b[1, 1] * b[2, 2] - b[1, 2] * b[2, 1]
    out[0, 1] = b[0, 2] * b[2, 1] - b[0, 1] * b[2, 2]
    out[0, 2] = b[0, 1] * b[1, 2] - b[0, 2] * b[1, 1]
    out[1, 0] = b[1, 2] * b[2, 0] - b[1, 0] * b[2, 2]
    out[1, 1] = b[0, 0] * b[2, 2] - b[0, 2] * b[2, 0]
    out[1, 2] = b[0, 2] * b[1, 0] - b[0, 0] * b[1, 2]
    out[2, 0] = b[1, 0] * b[2, 1] - b[1, 1] * b[2, 0]
    out[2, 1] = b[0, 1] * b[2, 0] - b[0, 0] * b[2, 1]
    out[2, 2] = b[0, 0] * b[1, 1] - b[0, 1] * b[1, 0]
    d = b[0, 0] * out[0, 0] + b[0, 1] * out[1, 0] + b[0, 2] * out[2, 0]
    if d != 0:
        for i in range(3):
            for j in range(3):
                out[i, j] /= d
    return d


@njit(**STRICT)
def minkowski(b):
    """Reduce the rows of b in place to the shortest vectors (Minkowski); always ends.

    Each step shortens a vector by a relative 1e-9 at least, so equal lengths cannot make it cycle.
    """
    for step in range(200):
        for i in range(2):
            for j in range(2 - i):
                l0 = b[j, 0] ** 2 + b[j, 1] ** 2 + b[j, 2] ** 2
                l1 = b[j + 1, 0] ** 2 + b[j + 1, 1] ** 2 + b[j + 1, 2] ** 2
                if l1 < l0:
                    for c in range(3):
                        t = b[j, c]
                        b[j, c] = b[j + 1, c]
                        b[j + 1, c] = t
        g00 = b[0, 0] ** 2 + b[0, 1] ** 2 + b[0, 2] ** 2
        g11 = b[1, 0] ** 2 + b[1, 1] ** 2 + b[1, 2] ** 2
        g22 = b[2, 0] ** 2 + b[2, 1] ** 2 + b[2, 2] ** 2
        g01 = b[0, 0] * b[1, 0] + b[0, 1] * b[1, 1] + b[0, 2] * b[1, 2]
        g02 = b[0, 0] * b[2, 0] + b[0, 1] * b[2, 1] + b[0, 2] * b[2, 2]
        g12 = b[1, 0] * b[2, 0] + b[1, 1] * b[2, 1] + b[1, 2] * b[2, 2]
        k = round(g01 / g00)
        if k != 0 and g11 - 2 * k * g01 + k * k * g00 < g11 * (1 - 1e-9):
            for c in range(3):
                b[1, c] -= k * b[0, c]
            continue
        det = g00 * g11 - g01 * g01
        a0 = round((g02 * g11 - g12 * g01) / det)
        b0 = round((g12 * g00 - g02 * g01) / det)
        best = g22 * (1 - 1e-9)
        ba = 0.0
        bb = 0.0
        for da in range(-1, 2):
            for db in range(-1, 2):
                u = a0 + da
                v = b0 + db
                w = g22 + u * u * g00 + v * v * g11 - 2 * u * g02 - 2 * v * g12 + 2 * u * v * g01
                if w < best:
                    best = w
                    ba = u
                    bb = v
        if ba == 0 and bb == 0:
            return step
        for c in range(3):
            b[2, c] -= ba * b[0, c] + bb * b[1, c]
    return 200


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
    cx, sx, cy, sy, cz, sz, re, im, cs = work
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


@njit(**STRICT)
def find_basis(q, s, count, tolerance, penalty, ext, basis):
    """The triple of peaks (or their differences) that explains the peaks best.

    Evidence = weight of the indexed peaks - penalty x number of reflections the triple predicts:
    a cell that is too large in real space indexes everything, also noise, and pays for it.
    Returns the indexed share of the weight, or -1.
    """
    candidates = np.empty((160, 3))
    length = np.empty(160)
    nc = 0
    for i in range(min(count, 14)):
        candidates[nc] = q[i]
        length[nc] = math.sqrt(q[i, 0] ** 2 + q[i, 1] ** 2 + q[i, 2] ** 2)
        nc += 1
    for i in range(min(count, 9)):
        for j in range(i):
            for sign in (-1.0, 1.0):
                v0 = q[i, 0] + sign * q[j, 0]
                v1 = q[i, 1] + sign * q[j, 1]
                v2 = q[i, 2] + sign * q[j, 2]
                l = math.sqrt(v0 * v0 + v1 * v1 + v2 * v2)
                if l > 0.8 and l < 9.5:
                    candidates[nc, 0] = v0
                    candidates[nc, 1] = v1
                    candidates[nc, 2] = v2
                    length[nc] = l
                    nc += 1
    order = np.argsort(length[:nc])
    ne = 0
    for o in range(nc):
        v = candidates[order[o]]
        fresh = True
        for b in range(ne):
            dm = (v[0] - ext[b, 0]) ** 2 + (v[1] - ext[b, 1]) ** 2 + (v[2] - ext[b, 2]) ** 2
            dp = (v[0] + ext[b, 0]) ** 2 + (v[1] + ext[b, 1]) ** 2 + (v[2] + ext[b, 2]) ** 2
            if min(dm, dp) < 0.36:
                fresh = False
                break
        if fresh:
            ext[ne] = v
            ne += 1
            if ne == MAX_BASIS:
                break
    if ne < 3:
        return -1.0
    total = 0.0
    for i in range(count):
        total += s[i]
    norm = np.empty(ne)
    for i in range(ne):
        norm[i] = math.sqrt(ext[i, 0] ** 2 + ext[i, 1] ** 2 + ext[i, 2] ** 2)
    trial = np.empty((3, 3))
    inv = np.empty((3, 3))
    best = -1e300
    best_miss = 0.0
    predicted = penalty * 2.0 / 3.0 * math.pi * Q_MAX**3
    tol2 = tolerance * tolerance
    for i in range(ne):
        for j in range(i):
            c0 = ext[i, 1] * ext[j, 2] - ext[i, 2] * ext[j, 1]
            c1 = ext[i, 2] * ext[j, 0] - ext[i, 0] * ext[j, 2]
            c2 = ext[i, 0] * ext[j, 1] - ext[i, 1] * ext[j, 0]
            for k in range(j):
                det = abs(c0 * ext[k, 0] + c1 * ext[k, 1] + c2 * ext[k, 2])
                if det < 0.3 * norm[i] * norm[j] * norm[k]:
                    continue
                allowed = total - predicted / det - best
                if allowed <= 0:
                    continue
                for c in range(3):
                    trial[0, c] = ext[i, c]
                    trial[1, c] = ext[j, c]
                    trial[2, c] = ext[k, c]
                inverse3(trial, inv)
                miss = 0.0
                for p in range(count):
                    r0 = 0.0
                    r1 = 0.0
                    r2 = 0.0
                    for c in range(3):
                        f = q[p, 0] * inv[0, c] + q[p, 1] * inv[1, c] + q[p, 2] * inv[2, c]
                        f -= np.rint(f)
                        r0 += f * trial[c, 0]
                        r1 += f * trial[c, 1]
                        r2 += f * trial[c, 2]
                    r = (r0 * r0 + r1 * r1 + r2 * r2) / tol2
                    miss += s[p] * min(r, 1.0)
                    if miss >= allowed:
                        break
                if miss < allowed:
                    best = total - predicted / det - miss
                    best_miss = miss
                    basis[:] = trial
    if best < -1e299:
        return -1.0
    return 1.0 - best_miss / total


@njit(**STRICT)
def refine_cell(q, s, count, tight, penalty, basis, trial):
    """Enlarge the real-space cell where bright peaks lie between the reflections of the basis.

    Superlattice reflections (graphite, dhcp, alpha-As) are weak and near strong ones, so the loose
    tolerance of `find_basis` takes them for those. With the fitted basis they stand out at
    p/k, k = 2..6; the lattice generated by the basis and such a point replaces it when the peaks it
    adds outweigh the reflections it predicts. Returns whether it did (in place).
    """
    inv = np.empty((3, 3))
    inverse3(basis, inv)
    frac = np.empty(3)
    worst = -1
    for p in range(count):
        r = 0.0
        for c in range(3):
            frac[c] = q[p, 0] * inv[0, c] + q[p, 1] * inv[1, c] + q[p, 2] * inv[2, c]
            frac[c] -= np.rint(frac[c])
        for c in range(3):
            r += (frac[0] * basis[0, c] + frac[1] * basis[1, c] + frac[2] * basis[2, c]) ** 2
        if r > tight * tight and s[p] > 11.0:
            worst = p
            break
    if worst < 0:
        return False
    rows = np.zeros((4, 3), np.int64)
    for k in range(2, 7):
        error = 0.0
        for c in range(3):
            e = 0.0
            for d in range(3):
                e += (frac[d] - np.rint(frac[d] * k) / k) * basis[d, c]
            error += e * e
        if error > 0.36 * tight * tight:
            continue
        # Integer row reduction of (k I; p): a basis of the enlarged set of points, times k.
        rows[:] = 0
        for c in range(3):
            rows[c, c] = k
            rows[3, c] = int(np.rint(frac[c] * k))
        top = 0
        for c in range(3):
            while True:
                pivot = -1
                others = 0
                for r_ in range(top, 4):
                    if rows[r_, c] != 0:
                        others += 1
                        if pivot < 0 or abs(rows[r_, c]) < abs(rows[pivot, c]):
                            pivot = r_
                for d in range(3):
                    t = rows[top, d]
                    rows[top, d] = rows[pivot, d]
                    rows[pivot, d] = t
                if others <= 1:
                    break
                for r_ in range(top + 1, 4):
                    m = rows[r_, c] // rows[top, c]
                    for d in range(3):
                        rows[r_, d] -= m * rows[top, d]
            top += 1
        for r_ in range(3):
            for c in range(3):
                trial[r_, c] = 0.0
                for d in range(3):
                    trial[r_, c] += rows[r_, d] * basis[d, c] / k
        inverse3(trial, inv)
        gain = 0.0
        old = np.empty((3, 3))
        inverse3(basis, old)
        for p in range(count):
            before = 0.0
            after = 0.0
            f0 = np.empty(3)
            f1 = np.empty(3)
            for c in range(3):
                f0[c] = q[p, 0] * old[0, c] + q[p, 1] * old[1, c] + q[p, 2] * old[2, c]
                f1[c] = q[p, 0] * inv[0, c] + q[p, 1] * inv[1, c] + q[p, 2] * inv[2, c]
                f0[c] -= np.rint(f0[c])
                f1[c] -= np.rint(f1[c])
            for c in range(3):
                before += (f0[0] * basis[0, c] + f0[1] * basis[1, c] + f0[2] * basis[2, c]) ** 2
                after += (f1[0] * trial[0, c] + f1[1] * trial[1, c] + f1[2] * trial[2, c]) ** 2
            limit = tight * tight
            gain += s[p] * (min(before, limit) - min(after, limit)) / limit
        det = abs(inverse3(trial, inv))
        reflections_added = 2.0 / 3.0 * math.pi * Q_MAX**3 * (1.0 - 1.0 / k) / det
        if gain > penalty * reflections_added + 8.0:
            basis[:] = trial
            return True
    return False


@njit(**STRICT)
def fit_basis(q, s, count, tolerance, basis):
    """Weighted least squares of the basis to the peaks it indexes (in place)."""
    inv = np.empty((3, 3))
    f = np.empty(3)
    for _ in range(3):
        inverse3(basis, inv)
        a = np.zeros((3, 3))
        y = np.zeros((3, 3))
        for p in range(count):
            for c in range(3):
                f[c] = np.rint(q[p, 0] * inv[0, c] + q[p, 1] * inv[1, c] + q[p, 2] * inv[2, c])
            r = 0.0
            for c in range(3):
                r += (q[p, c] - f[0] * basis[0, c] - f[1] * basis[1, c] - f[2] * basis[2, c]) ** 2
            if r < tolerance * tolerance:
                for u in range(3):
                    for v in range(3):
                        a[u, v] += s[p] * f[u] * f[v]
                        y[u, v] += s[p] * f[u] * q[p, v]
        d = inverse3(a, inv)
        if abs(d) < 1e-6:
            return
        basis[:] = inv @ y


@njit(**STRICT)
def reflections(basis, limit, hkl):
    """Half of the reflections of a reduced basis with |q| < limit; returns how many."""
    inv = np.empty((3, 3))
    inverse3(basis, inv)
    top = np.empty(3, np.int64)
    for c in range(3):
        top[c] = int(limit * math.sqrt(inv[0, c] ** 2 + inv[1, c] ** 2 + inv[2, c] ** 2))
    count = 0
    for h in range(0, top[0] + 1):
        for k in range(-top[1] if h > 0 else 0, top[1] + 1):
            for l in range(-top[2] if (h > 0 or k > 0) else 1, top[2] + 1):
                r = 0.0
                for c in range(3):
                    r += (h * basis[0, c] + k * basis[1, c] + l * basis[2, c]) ** 2
                if r < limit * limit and count < MAX_HKL:
                    hkl[count, 0] = h
                    hkl[count, 1] = k
                    hkl[count, 2] = l
                    count += 1
    return count


@njit(**STRICT)
def polish(x, y, z, w, n, norm, curve, basis, iterations, hkl, value):
    """Newton steps of all nine components on all predicted reflections; returns their number."""
    q = np.empty(3)
    inv = np.empty((3, 3))
    count = reflections(basis, Q_POLISH, hkl)
    for it in range(iterations + 1):
        a = np.zeros((3, 3))
        b = np.zeros((3, 3))
        for p in range(count):
            for c in range(3):
                q[c] = hkl[p, 0] * basis[0, c] + hkl[p, 1] * basis[1, c] + hkl[p, 2] * basis[2, c]
            c0, s0, g0, g1, g2 = amplitude(x, y, z, w, n, f32(q[0]), f32(q[1]), f32(q[2]))
            s = (c0 * c0 + s0 * s0) * norm
            value[p] = s
            if s < 5.0 or it == iterations:
                continue
            d0 = curve[0, 0] * g0 + curve[0, 1] * g1 + curve[0, 2] * g2
            d1 = curve[1, 0] * g0 + curve[1, 1] * g1 + curve[1, 2] * g2
            d2 = curve[2, 0] * g0 + curve[2, 1] * g1 + curve[2, 2] * g2
            length = math.sqrt(d0 * d0 + d1 * d1 + d2 * d2)
            f = s if length < 0.5 else s * 0.5 / length
            for u in range(3):
                for v in range(3):
                    a[u, v] += s * hkl[p, u] * hkl[p, v]
                b[u, 0] += f * d0 * hkl[p, u]
                b[u, 1] += f * d1 * hkl[p, u]
                b[u, 2] += f * d2 * hkl[p, u]
        if it == iterations:
            break
        trace = a[0, 0] + a[1, 1] + a[2, 2]
        for u in range(3):
            a[u, u] += 1e-4 * trace + 1e-9
        inverse3(a, inv)
        basis += inv @ b
    return count


@njit(**STRICT)
def lit_index(hkl, value, count, threshold):
    """Index of the sublattice that the lit reflections generate (1: all of it; 0: no three)."""
    g = 0
    for i in range(count):
        if value[i] < threshold:
            continue
        for j in range(i):
            if value[j] < threshold:
                continue
            c0 = hkl[i, 1] * hkl[j, 2] - hkl[i, 2] * hkl[j, 1]
            c1 = hkl[i, 2] * hkl[j, 0] - hkl[i, 0] * hkl[j, 2]
            c2 = hkl[i, 0] * hkl[j, 1] - hkl[i, 1] * hkl[j, 0]
            for k in range(j):
                if value[k] < threshold:
                    continue
                d = abs(c0 * hkl[k, 0] + c1 * hkl[k, 1] + c2 * hkl[k, 2])
                while d > 0:
                    g, d = d, g % d
            if g == 1:
                return 1
    return g


@njit(**STRICT)
def motif(x, y, z, n, basis, site, size):
    """Sites of the atoms folded into the primitive cell; returns how many.

    Atoms join the site nearest to them within half a nearest-neighbour distance, or found one.
    `site` gets Cartesian positions, `size` the numbers of atoms; sites that hold a small share
    (stray atoms, tails of the displacements) are dropped.
    """
    inv = np.empty((3, 3))
    inverse3(basis, inv)  # columns are real-space vectors / 2 pi
    most = site.shape[0]
    count = 0
    d = np.empty(3)
    for m in range(n):
        nearest = 0.25
        owner = -1
        for k in range(count):
            fold(x[m] - site[k, 0], y[m] - site[k, 1], z[m] - site[k, 2], basis, inv, d)
            r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
            if r2 < nearest:
                nearest = r2
                owner = k
        if owner >= 0:
            k = owner
            fold(x[m] - site[k, 0], y[m] - site[k, 1], z[m] - site[k, 2], basis, inv, d)
            size[k] += 1.0
            for c in range(3):
                site[k, c] += d[c] / size[k]
        elif count < most:
            site[count, 0] = x[m]
            site[count, 1] = y[m]
            site[count, 2] = z[m]
            size[count] = 1.0
            count += 1
    top = 0.0
    for k in range(count):
        top = max(top, size[k])
    kept = 0
    for k in range(count):
        if size[k] > 0.3 * top:
            for c in range(3):
                site[kept, c] = site[k, c]
            size[kept] = size[k]
            kept += 1
    return kept


@njit(inline="always", **STRICT)
def fold(u, v, w, basis, inv, out):
    """Shortest difference vector modulo the lattice (by rounding: right for reduced cells)."""
    f0 = np.rint((basis[0, 0] * u + basis[0, 1] * v + basis[0, 2] * w) / (2 * math.pi))
    f1 = np.rint((basis[1, 0] * u + basis[1, 1] * v + basis[1, 2] * w) / (2 * math.pi))
    f2 = np.rint((basis[2, 0] * u + basis[2, 1] * v + basis[2, 2] * w) / (2 * math.pi))
    out[0] = u - 2 * math.pi * (inv[0, 0] * f0 + inv[0, 1] * f1 + inv[0, 2] * f2)
    out[1] = v - 2 * math.pi * (inv[1, 0] * f0 + inv[1, 1] * f1 + inv[1, 2] * f2)
    out[2] = w - 2 * math.pi * (inv[2, 0] * f0 + inv[2, 1] * f1 + inv[2, 2] * f2)


@njit(**STRICT)
def debye_waller(x, y, z, n, basis, hkl, value, count, atoms, site, size):
    """Mean-square displacement per component from the fall of log S with q^2.

    S = N f^2 exp(-q^2 sigma^2) + 1, with the structure factor f of the window's own motif. The
    height at q = 0 is free, since a part of the window may be no crystal. A reflection is used if
    the line itself, not its lucky value, puts it above the noise.
    """
    sites = motif(x, y, z, n, basis, site, size)
    if sites == 0:
        return np.nan
    total = 0.0
    for k in range(sites):
        total += size[k]
    slope = 0.0
    level = math.log(atoms)
    used = 0
    for it in range(6):
        sw = 0.0
        sx = 0.0
        sy = 0.0
        sxx = 0.0
        sxy = 0.0
        used = 0
        for p in range(count):
            g0 = hkl[p, 0] * basis[0, 0] + hkl[p, 1] * basis[1, 0] + hkl[p, 2] * basis[2, 0]
            g1 = hkl[p, 0] * basis[0, 1] + hkl[p, 1] * basis[1, 1] + hkl[p, 2] * basis[2, 1]
            g2 = hkl[p, 0] * basis[0, 2] + hkl[p, 1] * basis[1, 2] + hkl[p, 2] * basis[2, 2]
            q2 = g0 * g0 + g1 * g1 + g2 * g2
            re = 0.0
            im = 0.0
            for k in range(sites):
                phase = g0 * site[k, 0] + g1 * site[k, 1] + g2 * site[k, 2]
                re += size[k] * math.cos(phase)
                im += size[k] * math.sin(phase)
            f2 = (re * re + im * im) / (total * total)
            expected = f2 * math.exp(level - slope * q2)
            s = value[p] - 1.0
            if f2 < 0.15 or s < 0.5 or (it > 0 and expected < 6.0):
                continue
            wt = min(s, expected)
            v = math.log(s / f2)
            sw += wt
            sx += wt * q2
            sy += wt * v
            sxx += wt * q2 * q2
            sxy += wt * q2 * v
            used += 1
        det = sw * sxx - sx * sx
        if used < 3 or det < 1e-3 * sw * sxx:
            if sx > 0:  # one order only: the line starts at N
                slope = max((sw * math.log(atoms) - sy) / sx, 0.0)
            break
        slope = max(-(sw * sxy - sx * sy) / det, 0.0)
        level = min((sy + slope * sx) / sw, math.log(atoms))
        if level == math.log(atoms):
            slope = max((sw * level - sy) / sx, 0.0)
    return slope


@njit(**STRICT)
def center_coherence(x, y, z, w, n, near, basis, hkl, value, count, floor):
    """How well the atoms at the centre scatter in phase with the window's lattice.

    The amplitude of the lit reflections, in the window's own phases, of the atoms about the
    centre, over the largest such amplitude about seven points of the window: 1 in one crystal, 1/2
    on a plane that bounds it, 0 beyond. The window's mean amplitude would not do as a reference,
    since it falls with the crystal's part of the window.
    """
    inner = np.zeros(PROBES)
    for k in range(PROBES):
        for m in range(n):
            inner[k] += w[m] * near[k, m]
    local = np.zeros(PROBES)
    sums = np.empty((2 * PROBES + 2), np.float32)
    for p in range(count):
        s = value[p]
        if s < floor:
            continue
        g0 = f32(hkl[p, 0] * basis[0, 0] + hkl[p, 1] * basis[1, 0] + hkl[p, 2] * basis[2, 0])
        g1 = f32(hkl[p, 0] * basis[0, 1] + hkl[p, 1] * basis[1, 1] + hkl[p, 2] * basis[2, 1])
        g2 = f32(hkl[p, 0] * basis[0, 2] + hkl[p, 1] * basis[1, 2] + hkl[p, 2] * basis[2, 2])
        probe_amplitudes(x, y, z, w, near, n, g0, g1, g2, sums)
        re = sums[2 * PROBES]
        im = sums[2 * PROBES + 1]
        size = math.sqrt(re * re + im * im)
        for k in range(PROBES):
            local[k] += s * (re * sums[2 * k] + im * sums[2 * k + 1]) / size
    best = 0.0
    # A probe outside the material holds too few atoms to be a reference.
    enough = 0.35 * inner.max()
    for k in range(PROBES):
        if inner[k] > enough:
            best = max(best, local[k] / inner[k])
    return local[0] / inner[0] / best if best > 0 and inner[0] > 0 else np.nan


@njit(**JIT)
def probe_amplitudes(x, y, z, w, near, n, qx, qy, qz, sums):
    """Re and Im of sum w near_k exp(i q.x) for every probe k, and of sum w exp(i q.x)."""
    sums[:] = 0
    for m in range(n):
        s, c = sincos(qx * x[m] + qy * y[m] + qz * z[m])
        s *= w[m]
        c *= w[m]
        for k in range(PROBES):
            sums[2 * k] += near[k, m] * c
            sums[2 * k + 1] += near[k, m] * s
        sums[2 * PROBES] += c
        sums[2 * PROBES + 1] += s


@njit(**JIT)
def window_lattice(x, y, z, w, ones, near, n, penalty, tolerance, polishing, scratch, out, info):
    """One window. Positions are in nearest-neighbour distances; `out` gets the reciprocal basis (rows).

    info: 0 order, 1 rank, 2 indexed share, 3 lattice order, 4 msd, 5-7 and 8-10 two strongest
    peaks, 11 their number, 12 index of the lit sublattice, 13 coherence of the centre. Returns 1 where there is a lattice.
    """
    work, s_map, pk, pv, q, s, ext, hkl, value, site, size = scratch
    total = 0.0
    square = 0.0
    m1 = np.zeros(3)
    for m in range(n):
        total += w[m]
        square += w[m] * w[m]
        m1[0] += w[m] * x[m]
        m1[1] += w[m] * y[m]
        m1[2] += w[m] * z[m]
    atoms = total * total / square
    norm = 1.0 / square
    moments = np.zeros((3, 3))
    for c in range(3):
        m1[c] /= total
    for m in range(n):
        d0 = x[m] - m1[0]
        d1 = y[m] - m1[1]
        d2 = z[m] - m1[2]
        moments[0, 0] += w[m] * d0 * d0
        moments[0, 1] += w[m] * d0 * d1
        moments[0, 2] += w[m] * d0 * d2
        moments[1, 1] += w[m] * d1 * d1
        moments[1, 2] += w[m] * d1 * d2
        moments[2, 2] += w[m] * d2 * d2
    for i in range(3):
        for j in range(i, 3):
            moments[i, j] = 2 * moments[i, j] / total
            moments[j, i] = moments[i, j]
        moments[i, i] += 1e-3
    curve = np.empty((3, 3))
    inverse3(moments, curve)
    gyration = math.sqrt((moments[0, 0] + moments[1, 1] + moments[2, 2]) * 5.0 / 6.0)
    h = min(1.0, 3.9 / gyration)
    half = min(int(8.5 / h + 1.0), MAX_AXIS)
    structure_map(x, y, z, w, ones, n, f32(h), half, work, s_map)
    count = find_peaks(s_map, half, h, f32(3.0 * square), pk, pv)
    kept = 0
    top = 0.0
    for p in range(count):
        v = newton(x, y, z, w, n, norm, curve, pk[p], 3, 0.5 * h)
        q2 = pk[p, 0] ** 2 + pk[p, 1] ** 2 + pk[p, 2] ** 2
        if q2 < Q_MIN * Q_MIN:
            continue
        top = max(top, v)
        if v < 7.0:
            continue
        fresh = True
        for k in range(kept):
            dm = (pk[p, 0] - q[k, 0]) ** 2 + (pk[p, 1] - q[k, 1]) ** 2 + (pk[p, 2] - q[k, 2]) ** 2
            dp = (pk[p, 0] + q[k, 0]) ** 2 + (pk[p, 1] + q[k, 1]) ** 2 + (pk[p, 2] + q[k, 2]) ** 2
            if min(dm, dp) < 0.5 * h * h:
                fresh = False
                break
        if not fresh:
            continue
        k = kept
        kept += 1
        while k > 0 and s[k - 1] < v:
            s[k] = s[k - 1]
            for c in range(3):
                q[k, c] = q[k - 1, c]
            k -= 1
        s[k] = v
        for c in range(3):
            q[k, c] = pk[p, c]
    info[0] = top / atoms
    info[11] = kept
    # Rank of what rises above a liquid's S(q): noise reaches ln(independent points) = 7 times its
    # mean, which near a liquid's first maximum is 3.
    bright = max(18.0, 0.12 * atoms)
    rank = 0
    for p in range(kept):
        if s[p] < bright:
            break
        if rank == 0:
            rank = 1
            for c in range(3):
                info[5 + c] = q[p, c]
        elif rank == 1:
            u0 = q[p, 1] * q[0, 2] - q[p, 2] * q[0, 1]
            u1 = q[p, 2] * q[0, 0] - q[p, 0] * q[0, 2]
            u2 = q[p, 0] * q[0, 1] - q[p, 1] * q[0, 0]
            l2 = (q[p, 0] ** 2 + q[p, 1] ** 2 + q[p, 2] ** 2) * (
                q[0, 0] ** 2 + q[0, 1] ** 2 + q[0, 2] ** 2
            )
            if u0 * u0 + u1 * u1 + u2 * u2 > 0.04 * l2:
                rank = 2
    for p in range(min(kept, 1)):
        for c in range(3):
            info[5 + c] = q[p, c]
    # The second direction: the strongest that is not along the first.
    for p in range(1, kept):
        d = q[p, 0] * q[0, 0] + q[p, 1] * q[0, 1] + q[p, 2] * q[0, 2]
        l2 = (q[p, 0] ** 2 + q[p, 1] ** 2 + q[p, 2] ** 2) * (
            q[0, 0] ** 2 + q[0, 1] ** 2 + q[0, 2] ** 2
        )
        if d * d < 0.9 * l2:
            for c in range(3):
                info[8 + c] = q[p, c]
            break
    info[1] = rank
    if kept < 3 or top < 9.0:
        return 0
    trial = np.empty((3, 3))
    excess = np.empty(MAX_PEAKS)
    # Noise alone reaches the logarithm of the number of map points: only the excess is evidence.
    noise = math.log(4.0 * half**3)
    for p in range(kept):
        excess[p] = max(s[p] - noise, 0.5)
    share = find_basis(q, excess, kept, tolerance * h, penalty, ext, out)
    info[2] = share
    if share < 0:
        return 0
    minkowski(out)
    fit_basis(q, s, kept, tolerance * h, out)
    minkowski(out)
    count = polish(x, y, z, w, n, norm, curve, out, polishing, hkl, value)
    for _ in range(3):
        if not refine_cell(q, s, kept, 0.45 * h, penalty, out, trial):
            break
        minkowski(out)
        count = polish(x, y, z, w, n, norm, curve, out, 1, hkl, value)
    best = 0.0
    for p in range(count):
        best = max(best, value[p])
    info[12] = lit_index(hkl, value, count, max(7.0, 0.04 * best))
    mean = 0.0
    weight = 0.0
    for p in range(kept):
        mean += s[p] * s[p]
        weight += s[p]
    info[3] = mean / weight / atoms * share
    info[13] = center_coherence(x, y, z, w, n, near, out, hkl, value, count, max(7.0, 0.04 * best))
    info[4] = debye_waller(x, y, z, n, out, hkl, value, count, atoms, site, size)
    info[0] = max(info[0], best / atoms)
    if best >= bright:
        info[1] = 3
    return 1


@njit(parallel=True, nogil=True, cache=True, error_model="numpy", boundscheck=False)
def batch(
    positions,
    counts,
    weights,
    radius,
    chunks,
    penalty,
    tolerance,
    polishing,
    scale,
    basis,
    found,
    info,
):
    """All windows: nearest-neighbour distance, then the lattice of the scaled positions."""
    total, width = positions.shape[0], positions.shape[1]
    for chunk in prange(chunks):
        x = np.empty(width, np.float32)
        y = np.empty(width, np.float32)
        z = np.empty(width, np.float32)
        w = np.empty(width, np.float32)
        ones = np.ones(width, np.float32)
        near = np.empty((PROBES, width), np.float32)
        row = np.empty(width, np.float32)
        hist = np.empty(BINS, np.float64)
        smooth = np.empty(BINS, np.float64)
        work = (
            np.empty((width, MAX_AXIS), np.float32),
            np.empty((width, MAX_AXIS), np.float32),
            np.empty((width, MAX_AXIS), np.float32),
            np.empty((width, MAX_AXIS), np.float32),
            np.empty((width, MAX_AXIS), np.float32),
            np.empty((width, MAX_AXIS), np.float32),
            np.empty((4, 2 * MAX_AXIS), np.float32),
            np.empty((1, 1), np.float32),
            np.empty((width, 2 * MAX_AXIS), np.float32),
        )
        scratch = (
            work,
            np.zeros((MAX_AXIS, 2 * MAX_AXIS, 2 * MAX_AXIS), np.float32),
            np.empty((MAX_PEAKS, 3)),
            np.empty(MAX_PEAKS),
            np.empty((MAX_PEAKS, 3)),
            np.empty(MAX_PEAKS),
            np.empty((MAX_BASIS, 3)),
            np.empty((MAX_HKL, 3), np.int64),
            np.empty(MAX_HKL),
            np.empty((MAX_SITES, 3)),
            np.empty(MAX_SITES),
        )
        start = chunk * total // chunks
        stop = (chunk + 1) * total // chunks
        for b in range(start, stop):
            n = counts[b]
            found[b] = 0
            if n < 8:
                continue
            for m in range(n):
                x[m] = positions[b, m, 0]
                y[m] = positions[b, m, 1]
                z[m] = positions[b, m, 2]
                w[m] = weights[b, m]
                # Probes: the centre, and six points on the axes.
                for k in range(PROBES):
                    r2 = 0.0
                    for c in range(3):
                        d = positions[b, m, c]
                        if k > 0 and (k - 1) // 2 == c:
                            d -= (1.0 if k % 2 else -1.0) * PROBE_REACH * radius[b]
                        r2 += d * d
                    near[k, m] = math.exp(-0.5 * r2 / (CENTER_WIDTH * radius[b]) ** 2)
            d = first_shell(x, y, z, n, row, hist, smooth)
            scale[b] = d
            if d <= 0:
                continue
            for m in range(n):
                x[m] /= d
                y[m] /= d
                z[m] /= d
            found[b] = window_lattice(
                x, y, z, w, ones, near, n, penalty, tolerance, polishing, scratch, basis[b], info[b]
            )


@njit(**STRICT)
def reduce_batch(lattices):
    """Minkowski reduction of each (3, 3), rows by length, in place."""
    for b in range(lattices.shape[0]):
        minkowski(lattices[b])
        for _ in range(2):
            for j in range(2):
                l0 = lattices[b, j, 0] ** 2 + lattices[b, j, 1] ** 2 + lattices[b, j, 2] ** 2
                l1 = (
                    lattices[b, j + 1, 0] ** 2
                    + lattices[b, j + 1, 1] ** 2
                    + lattices[b, j + 1, 2] ** 2
                )
                if l1 < l0:
                    for c in range(3):
                        t = lattices[b, j, c]
                        lattices[b, j, c] = lattices[b, j + 1, c]
                        lattices[b, j + 1, c] = t
