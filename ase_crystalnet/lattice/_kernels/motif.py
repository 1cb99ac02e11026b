"""What a window shows beyond its lattice: motif, Debye-Waller factor, coherence of its centre."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.algebra import fold, inverse3
from ase_crystalnet._compute.options import (
    JIT,
    STRICT,
    f32,
    njit,
    sincos,
)

MAX_SITES = 24
PROBES = 7  # the centre and six points on the axes
PROBE_REACH = 0.5  # of the radius
CENTER_WIDTH = 0.25  # of the radius: a Gaussian that holds about 40 of 250 atoms


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
def center_coherence(x, y, z, w, n, near, basis, hkl, value, count, floor, wave):
    """How well the atoms at the centre scatter in phase with the window's lattice.

    The amplitude of the lit reflections, in the window's own phases, of the atoms about the
    centre, over the largest such amplitude about seven points of the window: 1 in one crystal, 1/2
    on a plane that bounds it, 0 beyond. The window's mean amplitude would not do as a reference,
    since it falls with the crystal's part of the window. `wave` (2, n) is work space.
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
        probe_amplitudes(x, y, z, w, near, n, g0, g1, g2, wave, sums)
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
def probe_weights(positions, n, radius, near):
    """Gaussian weight of each atom about the probes: the centre, and six points on the axes."""
    s = 0.5 / (CENTER_WIDTH * radius) ** 2
    reach = PROBE_REACH * radius
    shift = math.exp(-s * reach * reach)
    for m in range(n):
        x, y, z = positions[m, 0], positions[m, 1], positions[m, 2]
        here = math.exp(-s * (x * x + y * y + z * z))
        near[0, m] = here
        here *= shift
        for c in range(3):
            slope = math.exp(2.0 * s * reach * positions[m, c])
            near[2 * c + 1, m] = here * slope
            near[2 * c + 2, m] = here / slope


@njit(**JIT)
def dot(a, b, n):
    """Sum of a b over n atoms."""
    total = f32(0)
    for m in range(n):
        total += a[m] * b[m]
    return total


@njit(**JIT)
def probe_amplitudes(x, y, z, w, near, n, qx, qy, qz, wave, sums):
    """Re and Im of sum w near_k exp(i q.x) for every probe k, and of sum w exp(i q.x)."""
    cosines, sines = wave[0], wave[1]
    for m in range(n):
        s, c = sincos(qx * x[m] + qy * y[m] + qz * z[m])
        cosines[m] = w[m] * c
        sines[m] = w[m] * s
    for k in range(PROBES):
        sums[2 * k] = dot(near[k], cosines, n)
        sums[2 * k + 1] = dot(near[k], sines, n)
    re = f32(0)
    im = f32(0)
    for m in range(n):
        re += cosines[m]
        im += sines[m]
    sums[2 * PROBES] = re
    sums[2 * PROBES + 1] = im
