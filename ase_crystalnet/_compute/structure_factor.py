"""S(q) and its phases: what lattice search, exact fingerprint and plane search share."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.options import JIT, f32, njit, sincos
from ase_crystalnet._compute.tiles import BLOCK, ROWS, product

__all__ = [
    "MAX_AXIS",
    "Q_MAX",
    "Q_MIN",
    "amplitude",
    "half_phases",
    "insert_peak",
    "is_maximum",
    "map_work",
    "newton",
    "scaled_rows",
    "scattering",
    "structure_map",
]


@njit(**JIT)
def scattering(hkl, phases):
    """S at reflections (M, 3) of a cell: |sum_j exp(-i h.phase_j)|^2 / N for phases (3, N)."""
    out = np.empty(hkl.shape[0], np.float32)
    x = phases[0]
    y = phases[1]
    z = phases[2]
    for m in range(hkl.shape[0]):
        h = hkl[m, 0]
        k = hkl[m, 1]
        l = hkl[m, 2]  # noqa: E741 (the field's name)
        real = f32(0)
        imaginary = f32(0)
        for j in range(x.shape[0]):
            sine, cosine = sincos(h * x[j] + k * y[j] + l * z[j])
            real += cosine
            imaginary += sine
        out[m] = (real * real + imaginary * imaginary) / f32(x.shape[0])
    return out


Q_MIN = 2.5  # below lies the window's own form factor


Q_MAX = 10.0


MAX_AXIS = 28  # half-axis points of the map: windows of 1,000 ions of 4,000 sites


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
def map_work(width, half):
    """Work space of `structure_map` for `width` atoms and maps of `half` half-axis points."""
    table = (half + BLOCK - 1) // BLOCK * BLOCK
    # Of a product: cos and sin in x times those in z.
    columns = (4 * half + BLOCK - 1) // BLOCK * BLOCK
    return (
        np.empty((width, table), np.float32),
        np.empty((width, table), np.float32),
        np.empty((width, table), np.float32),
        np.empty((width, table), np.float32),
        np.empty((width, 2 * half + 2), np.float32),
        np.empty((width, columns), np.float32),
        np.empty((width, columns), np.float32),
        np.empty((2 * half + 2, columns), np.float32),
        np.empty(half, np.int64),
    )


@njit(**JIT)
def structure_map(x, y, z, w, ones, n, h, half, work, s_map):
    """|sum w exp(-i q.x)|^2 at q = (i + 1/2, j + 1/2, k + 1/2) h; i >= 0, j and k of both signs.

    No plane of zeros: every point of the map is independent information. For each i one product
    of the tables in y and in (x, z) gives the sums over atoms of cos or sin in each direction,
    from which come the four signs of (j, k). `work` is `map_work` of as many points or more.
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
def is_maximum(s_map, half, i, j, k):
    """Whether no neighbour of a point of the map, diagonal ones among them, is higher."""
    full = 2 * half
    v = s_map[i, j, k]
    for di in range(-1, 2):
        for dj in range(-1, 2):
            for dk in range(-1, 2):
                a, b, c = i + di, j + dj, k + dk
                if a < 0:  # Friedel: S(-q) = S(q)
                    a, b, c = 0, full - 1 - b, full - 1 - c
                if a >= half or b < 0 or c < 0 or b >= full or c >= full:
                    continue
                if s_map[a, b, c] > v:
                    return False
    return True


@njit(**JIT)
def insert_peak(q0, q1, q2, value, count, peaks, values):
    """Put a peak in its place among the `count` strongest, or leave it out; returns how many.

    `peaks` (K, 3) and `values` (K,) hold at most K, strongest first; of equals the earlier one.
    """
    most = values.size
    if count < most:
        p = count
        count += 1
    elif value > values[most - 1]:
        p = most - 1
    else:
        return count
    while p > 0 and values[p - 1] < value:
        values[p] = values[p - 1]
        for c in range(3):
            peaks[p, c] = peaks[p - 1, c]
        p -= 1
    values[p] = value
    peaks[p, 0] = q0
    peaks[p, 1] = q1
    peaks[p, 2] = q2
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
