"""Whether windows show a crystal that is known: amplitudes at its reflections, one by one.

Positions are in Angstrom. Sums over atoms are float32, lattice algebra is float64.
"""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.algebra import add_product3, copy3, inverse3
from ase_crystalnet._compute.options import JIT, STRICT, f32, njit, sincos
from ase_crystalnet._compute.structure_factor import amplitude
from ase_crystalnet.lattice._kernels.motif import (
    CENTER_WIDTH,
    MAX_SITES,
    PROBE_REACH,
    PROBES,
    dot,
    motif,
    probe_amplitudes,
)

#: What is found in a window beside the basis.
SEEN = np.dtype(
    [
        ("known", "i8"),  # row of the crystal that it shows; -1 none of those compared
        ("order", "f8"),
        ("coherence", "f8"),
        ("msd", "f8"),  # Angstrom^2
        ("density", "f8"),  # atoms about the centre in 1 / Angstrom^3
        ("likeness", "f8"),  # share of the crystal's amplitude
    ]
)
#: Reflections are lit where the amplitude of all atoms together is above this.
LIT = 0.25
#: S above which a reflection has a part in the coherence, and the same as a share of the largest,
#: as in `window_lattice`.
CLEAR, CLEAR_SHARE = 7.0, 0.04
#: Reflections after which a crystal is left that shows less than this share of what is wanted.
FIRST, FIRST_SHARE = 4, 0.6
#: Of what is wanted, the share that must be there before the lattice is refined.
BEFORE = 0.7
#: S below which a reflection has no part in the Newton step, and the longest step of one, in
#: inverse radii of the window: half a spot.
FAINT, REACH = 5.0, 1.75
#: Fewest atoms of a window that is compared.
LEAST_ATOMS = 32


@njit(**JIT)
def gaussians(x, y, z, n, radius, near):
    """As `motif.probe_weights`, float32, with an exponential that is made of products alone."""
    s = f32(0.5 / (CENTER_WIDTH * radius) ** 2)
    reach = f32(PROBE_REACH * radius)
    shift = f32(math.exp(-s * reach * reach))
    slope = f32(2.0) * s * reach
    here = near[0]
    for m in range(n):
        here[m] = power8(-s * (x[m] * x[m] + y[m] * y[m] + z[m] * z[m]))
    for c in range(3):
        t = x if c == 0 else (y if c == 1 else z)
        up = near[2 * c + 1]
        down = near[2 * c + 2]
        for m in range(n):
            up[m] = shift * here[m] * power8(slope * t[m])
        for m in range(n):
            down[m] = shift * here[m] * power8(-slope * t[m])


@njit(inline="always", **JIT)
def power8(t):
    """exp(t), float32, to 3e-6 for |t| < 9: the eighth power of a polynomial."""
    u = f32(0.125) * t
    p = f32(1 / 362880) * u + f32(1 / 40320)
    p = p * u + f32(1 / 5040)
    p = p * u + f32(1 / 720)
    p = p * u + f32(1 / 120)
    p = p * u + f32(1 / 24)
    p = p * u + f32(1 / 6)
    p = p * u + f32(0.5)
    p = p * u + f32(1)
    p = p * u + f32(1)
    p = p * p
    p = p * p
    return p * p


@njit(**JIT)
def intensity(x, y, z, n, qx, qy, qz):
    """|sum exp(i q.x)|^2."""
    re = f32(0)
    im = f32(0)
    for m in range(n):
        s, c = sincos(qx * x[m] + qy * y[m] + qz * z[m])
        re += c
        im += s
    return re * re + im * im


@njit(**JIT)
def load(positions, n, x, y, z, curve):
    """Coordinates apart and the inverse of the window's moments.

    Returns the density about the centre and the distance of the farthest atom.
    """
    for m in range(n):
        x[m] = positions[m, 0]
        y[m] = positions[m, 1]
        z[m] = positions[m, 2]
    mx = f32(0)
    my = f32(0)
    mz = f32(0)
    xx = f32(0)
    yy = f32(0)
    zz = f32(0)
    xy = f32(0)
    yz = f32(0)
    xz = f32(0)
    largest = f32(0)
    for m in range(n):
        mx += x[m]
        my += y[m]
        mz += z[m]
        xx += x[m] * x[m]
        yy += y[m] * y[m]
        zz += z[m] * z[m]
        xy += x[m] * y[m]
        yz += y[m] * z[m]
        xz += x[m] * z[m]
        largest = max(largest, x[m] * x[m] + y[m] * y[m] + z[m] * z[m])
    moments = np.empty((3, 3))
    moments[0, 0] = 2 * (xx / n - (mx / n) ** 2) + 1e-3
    moments[1, 1] = 2 * (yy / n - (my / n) ** 2) + 1e-3
    moments[2, 2] = 2 * (zz / n - (mz / n) ** 2) + 1e-3
    moments[0, 1] = moments[1, 0] = 2 * (xy / n - mx / n * my / n)
    moments[1, 2] = moments[2, 1] = 2 * (yz / n - my / n * mz / n)
    moments[0, 2] = moments[2, 0] = 2 * (xz / n - mx / n * mz / n)
    inverse3(moments, curve)
    total = f32(0)
    share = f32(1) / largest
    for m in range(n):
        t = f32(1) - share * (x[m] * x[m] + y[m] * y[m] + z[m] * z[m])
        total += t * t
    # The integral of the weight (1 - r^2 / R^2)^2 over the ball.
    return total / (32.0 * math.pi / 105.0 * float(largest) ** 1.5), math.sqrt(largest)


@njit(**STRICT)
def point(h, basis, scale, q):
    """q = scale h . basis."""
    for c in range(3):
        q[c] = scale * (h[0] * basis[0, c] + h[1] * basis[1, c] + h[2] * basis[2, c])


@njit(**STRICT)
def collect(h, s, slope, curve, reach, a, b):
    """Add what one reflection says of the nine components of the basis (see `polish`)."""
    d = np.empty(3)
    length = 0.0
    for c in range(3):
        d[c] = curve[c, 0] * slope[0] + curve[c, 1] * slope[1] + curve[c, 2] * slope[2]
        length += d[c] * d[c]
    length = math.sqrt(length)
    f = s if length < reach else s * reach / length
    for u in range(3):
        for v in range(3):
            a[u, v] += s * h[u] * h[v]
            b[u, v] += f * d[v] * h[u]


@njit(**STRICT)
def step(a, b, basis):
    """The Newton step that `collect` gathered."""
    inverse = np.empty((3, 3))
    trace = a[0, 0] + a[1, 1] + a[2, 2]
    for u in range(3):
        a[u, u] += 1e-4 * trace + 1e-9
    inverse3(a, inverse)
    add_product3(1.0, inverse, b, basis)


@njit(**STRICT)
def fall(basis, hkl, factor, value, count, atoms):
    """Mean-square displacement from the fall of log S, by `motif.debye_waller`'s rules."""
    q = np.empty(3)
    slope = 0.0
    level = math.log(atoms)
    for it in range(6):
        sw = 0.0
        sx = 0.0
        sy = 0.0
        sxx = 0.0
        sxy = 0.0
        used = 0
        for p in range(count):
            f2 = factor[p]
            s = value[p] - 1.0
            if f2 < 0.15 or s < 0.5:
                continue
            point(hkl[p], basis, 1.0, q)
            q2 = q[0] * q[0] + q[1] * q[1] + q[2] * q[2]
            expected = f2 * math.exp(level - slope * q2)
            if it > 0 and expected < 6.0:
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
            if sx > 0:
                slope = max((sw * math.log(atoms) - sy) / sx, 0.0)
            break
        slope = max(-(sw * sxy - sx * sy) / det, 0.0)
        level = min((sy + slope * sx) / sw, math.log(atoms))
        if level == math.log(atoms):
            slope = max((sw * level - sy) / sx, 0.0)
    return slope


@njit(**STRICT)
def structure_factors_of(x, y, z, n, basis, hkl, count, site, size, factor):
    """Squared structure factors of the window's motif, relative to that at q = 0."""
    sites = motif(x, y, z, n, basis, site, size)
    total = 0.0
    for k in range(sites):
        total += size[k]
    q = np.empty(3)
    for p in range(count):
        point(hkl[p], basis, 1.0, q)
        re = 0.0
        im = 0.0
        for k in range(sites):
            phase = q[0] * site[k, 0] + q[1] * site[k, 1] + q[2] * site[k, 2]
            re += size[k] * math.cos(phase)
            im += size[k] * math.sin(phase)
        factor[p] = (re * re + im * im) / (total * total) if total > 0 else 0.0


@njit(**JIT)
def references(
    positions, counts, spacing, basis, hkl, number, dark, dark_number, start, stop,
    amplitudes, factors, densities, brightest,
):  # fmt: skip
    """Fill what windows start .. stop are compared by: amplitudes, structure factors, density.

    `brightest` takes the largest S at the points that are to be dark.
    """
    width = positions.shape[1]
    x = np.empty(width, np.float32)
    y = np.empty(width, np.float32)
    z = np.empty(width, np.float32)
    curve = np.empty((3, 3))
    q = np.empty(3)
    scaled = np.empty((3, 3))
    site = np.empty((MAX_SITES, 3))
    size = np.empty(MAX_SITES)
    for b in range(start, stop):
        n = counts[b]
        densities[b] = load(positions[b], n, x, y, z, curve)[0]
        for p in range(number[b]):
            point(hkl[b, p], basis[b], 1.0, q)
            s = intensity(x, y, z, n, f32(q[0]), f32(q[1]), f32(q[2]))
            amplitudes[b, p] = math.sqrt(s) / n
        top = 0.0
        for p in range(dark_number[b]):
            point(dark[b, p], basis[b], 0.5, q)
            top = max(top, intensity(x, y, z, n, f32(q[0]), f32(q[1]), f32(q[2])) / n)
        brightest[b] = top
        for i in range(3):
            for j in range(3):
                scaled[i, j] = basis[b, i, j] * spacing[b]
        for m in range(n):
            x[m] /= spacing[b]
            y[m] /= spacing[b]
            z[m] /= spacing[b]
        structure_factors_of(x, y, z, n, scaled, hkl[b], number[b], site, size, factors[b])


@njit(**JIT)
def nears(x, y, z, ones, n, radius, curve, basis, hkl, inner, reference, least):
    """Whether a window has the reflections of a crystal near its basis, which is refined."""
    q = np.empty(3)
    slope = np.empty(3)
    a = np.zeros((3, 3))
    b = np.zeros((3, 3))
    reach = REACH / radius
    lit = 0.0
    total = 0.0
    tried = 0
    for p in range(inner):
        if reference[p] <= LIT:
            continue
        point(hkl[p], basis, 1.0, q)
        c0, s0, g0, g1, g2 = amplitude(x, y, z, ones, n, f32(q[0]), f32(q[1]), f32(q[2]))
        s = (c0 * c0 + s0 * s0) / n
        total += math.sqrt(s / n)
        lit += reference[p]
        tried += 1
        if tried == FIRST and total < FIRST_SHARE * least * lit:
            return False
        if s < FAINT:
            continue
        slope[0] = g0
        slope[1] = g1
        slope[2] = g2
        collect(hkl[p], s, slope, curve, reach, a, b)
    if total < BEFORE * least * lit:
        return False
    step(a, b, basis)
    return True


@njit(**JIT)
def agrees(
    x, y, z, ones, n, near, radius, curve, basis, hkl, number, inner, dark, dark_number, reference,
    factor, least, tolerance, darkness, bright, wave, sums, value, seen,
):  # fmt: skip
    """Whether a window shows a crystal whose refined basis is given; fills `seen` where it does."""
    q = np.empty(3)
    slope = np.empty(3)
    a = np.zeros((3, 3))
    b = np.zeros((3, 3))
    reach = REACH / radius
    weight = np.zeros(PROBES)
    for k in range(PROBES):
        weight[k] = dot(near[k], ones, n)
    local = np.zeros(PROBES)
    lit = 0.0
    total = 0.0
    best = 0.0
    floor = 0.0  # of the crystal's: the window's own is known at the end
    for p in range(number):
        floor = max(floor, reference[p])
    floor = max(CLEAR, CLEAR_SHARE * floor * floor * n)
    for p in range(number):
        point(hkl[p], basis, 1.0, q)
        if reference[p] <= LIT:
            value[p] = intensity(x, y, z, n, f32(q[0]), f32(q[1]), f32(q[2])) / n
            best = max(best, value[p])
            continue
        probe_amplitudes(x, y, z, ones, near, n, f32(q[0]), f32(q[1]), f32(q[2]), wave, sums)
        re = sums[2 * PROBES]
        im = sums[2 * PROBES + 1]
        square = re * re + im * im
        s = square / n
        value[p] = s
        best = max(best, s)
        total += math.sqrt(s / n)
        lit += reference[p]
        if p >= inner or s < FAINT:
            continue
        g = 2.0 / (square + 1e-6)  # of log S
        slope[0] = g * (im * dot(x, wave[0], n) - re * dot(x, wave[1], n))
        slope[1] = g * (im * dot(y, wave[0], n) - re * dot(y, wave[1], n))
        slope[2] = g * (im * dot(z, wave[0], n) - re * dot(z, wave[1], n))
        collect(hkl[p], s, slope, curve, reach, a, b)
        if s < floor:
            continue
        size = math.sqrt(square)
        for k in range(PROBES):
            local[k] += s * (re * sums[2 * k] + im * sums[2 * k + 1]) / size
    if total < least * lit or best < bright:
        return False
    like = min(total / lit, 1.0)
    slack = tolerance / math.sqrt(n)
    for p in range(number):
        if abs(math.sqrt(value[p] / n) - like * reference[p]) > slack:
            return False
    for p in range(dark_number):
        point(dark[p], basis, 0.5, q)
        if intensity(x, y, z, n, f32(q[0]), f32(q[1]), f32(q[2])) > darkness * n:
            return False
    seen.msd = fall(basis, hkl, factor, value, inner, float(n))
    step(a, b, basis)
    most = 0.0
    enough = 0.35 * weight.max()
    for k in range(PROBES):
        if weight[k] > enough:
            most = max(most, local[k] / weight[k])
    seen.coherence = local[0] / weight[0] / most if most > 0 and weight[0] > 0 else 0.0
    seen.order = min(best / n, 1.0)
    seen.likeness = like
    return True


@njit(**JIT)
def compare(
    positions, counts, candidates, bases, roots, hkl, number, inner, dark, dark_number,
    amplitudes, factors, least, tolerance, darkness, least_bright, least_order, start, stop,
    basis, seen,
):  # fmt: skip
    """Windows start .. stop against crystals, one after the other until one is what they show.

    Parameters
    ----------
    positions, counts
        (B, N, 3) float32, (B,): the windows.
    candidates
        (B, K) windows whose bases are tried; -1 after the last.
    bases, roots
        (W, 3, 3), (W,): reciprocal bases of those windows, and the crystal that each shows.
    hkl, number, inner, dark, dark_number, amplitudes, factors
        (A, R, 3), (A,), (A,), (A, D, 3), (A,), (A, R), (A, R) of the crystals: reflections, how
        many in all, and those that the lattice is fitted to; points in halves of the basis that are
        to be dark; what the reflections are like.
    least, tolerance, darkness
        Least share of the amplitude; largest difference of one, in 1 / sqrt(atoms); largest S at
        points that are to be dark.
    least_bright, least_order
        Largest S at least, and the same in numbers of atoms.
    basis, seen
        (B, 3, 3), (B,) of `SEEN`, written.
    """
    width = positions.shape[1]
    x = np.empty(width, np.float32)
    y = np.empty(width, np.float32)
    z = np.empty(width, np.float32)
    ones = np.ones(width, np.float32)
    near = np.empty((PROBES, width), np.float32)
    wave = np.empty((2, width), np.float32)
    sums = np.empty(2 * PROBES + 2, np.float32)
    value = np.empty(hkl.shape[1])
    curve = np.empty((3, 3))
    trial = np.empty((3, 3))
    for b in range(start, stop):
        seen[b].known = -1
        n = counts[b]
        if n < LEAST_ATOMS or candidates[b, 0] < 0:
            continue
        seen[b].density, radius = load(positions[b], n, x, y, z, curve)
        bright = max(least_bright, least_order * n)
        probed = False
        for c in range(candidates.shape[1]):
            window = candidates[b, c]
            if window < 0:
                break
            r = roots[window]
            copy3(bases[window], trial)
            if not nears(
                x, y, z, ones, n, radius, curve, trial, hkl[r], inner[r], amplitudes[r], least
            ):
                continue
            if not probed:
                gaussians(x, y, z, n, radius, near)
                probed = True
            if agrees(
                x, y, z, ones, n, near, radius, curve, trial, hkl[r], number[r], inner[r], dark[r],
                dark_number[r], amplitudes[r], factors[r], least, tolerance, darkness, bright,
                wave, sums, value, seen[b],
            ):  # fmt: skip
                seen[b].known = r
                copy3(trial, basis[b])
                break
