"""The lattice of one window, and of many.

Positions are divided by the nearest-neighbour distance. Lattice algebra is float64; sums over
atoms are float32.
"""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.algebra import inverse3, minkowski
from ase_crystalnet._compute.options import JIT, f32, njit
from ase_crystalnet._compute.structure_factor import (
    MAX_AXIS,
    Q_MIN,
    map_work,
    newton,
    structure_map,
)
from ase_crystalnet.lattice._kernels.basis import (
    MAX_BASIS,
    MAX_HKL,
    find_basis,
    fit_basis,
    polish,
    refine_cell,
    spot_shape,
)
from ase_crystalnet.lattice._kernels.first_shell import BINS, first_shell
from ase_crystalnet.lattice._kernels.motif import (
    MAX_SITES,
    PROBES,
    center_coherence,
    debye_waller,
    probe_weights,
)
from ase_crystalnet.lattice._kernels.peaks import MAX_PEAKS, find_peaks

#: What is found in a window besides the basis; lengths in nearest-neighbour distances.
FOUND = np.dtype(
    [
        ("order", "f8"),
        ("rank", "i8"),
        ("msd", "f8"),
        ("coherence", "f8"),
        ("first", "f8", 3),  # the strongest peak
        ("second", "f8", 3),  # the next that points elsewhere
    ]
)


@njit(**JIT)
def window_lattice(
    x, y, z, w, ones, near, n, penalty, tolerance, polishing, least, faint, scratch, out, info
):
    """One window, in nearest-neighbour distances: fills the reciprocal basis and a `FOUND`.

    Returns 1 where there is a lattice.
    """
    work, s_map, pk, pv, q, s, ext, hkl, value, site, size, wave = scratch
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
    kept = np.int64(0)  # a literal would have its callees compiled once more, for it alone
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
    info.order = top / atoms
    # Rank of what rises above a liquid's S(q): noise reaches ln(independent points) = 7 times its
    # mean, which near a liquid's first maximum is 3.
    bright = max(18.0, least * atoms)
    rank = 0
    for p in range(kept):
        if s[p] < bright:
            break
        if rank == 0:
            rank = 1
            for c in range(3):
                info.first[c] = q[p, c]
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
            info.first[c] = q[p, c]
    # The second direction: the strongest that is not along the first.
    for p in range(1, kept):
        d = q[p, 0] * q[0, 0] + q[p, 1] * q[0, 1] + q[p, 2] * q[0, 2]
        l2 = (q[p, 0] ** 2 + q[p, 1] ** 2 + q[p, 2] ** 2) * (
            q[0, 0] ** 2 + q[0, 1] ** 2 + q[0, 2] ** 2
        )
        if d * d < 0.9 * l2:
            for c in range(3):
                info.second[c] = q[p, c]
            break
    info.rank = rank
    if kept < 3 or top < 9.0:
        return 0
    trial = np.empty((3, 3))
    shape = np.empty((3, 3))
    slack = spot_shape(moments, shape)
    if top < faint * atoms:
        slack = 0.0
        for i in range(3):
            for j in range(3):
                shape[i, j] = 1.0 if i == j else 0.0
    excess = np.empty(MAX_PEAKS)
    # Noise alone reaches the logarithm of the number of map points: only the excess is evidence.
    noise = math.log(4.0 * half**3)
    for p in range(kept):
        excess[p] = max(s[p] - noise, 0.5)
    share = find_basis(q, excess, kept, tolerance * h, penalty, shape, slack, ext, out)
    if share < 0:
        return 0
    minkowski(out)
    fit_basis(q, s, kept, tolerance * h, shape, slack, out)
    minkowski(out)
    count = polish(x, y, z, w, n, norm, curve, out, polishing, hkl, value)
    for _ in range(3):
        if not refine_cell(q, s, kept, 0.45 * h, penalty, shape, slack, out, trial):
            break
        minkowski(out)
        count = polish(x, y, z, w, n, norm, curve, out, np.int64(1), hkl, value)
    best = 0.0
    for p in range(count):
        best = max(best, value[p])
    info.coherence = center_coherence(
        x, y, z, w, n, near, out, hkl, value, count, max(7.0, 0.04 * best), wave
    )
    info.msd = debye_waller(x, y, z, n, out, hkl, value, count, atoms, site, size)
    info.order = max(info.order, best / atoms)
    if best >= bright:
        info.rank = 3
    return 1


@njit(**JIT)
def batch(
    positions,
    counts,
    weights,
    radius,
    start,
    stop,
    penalty,
    tolerance,
    polishing,
    least,
    faint,
    scale,
    basis,
    found,
    info,
):
    """Windows start .. stop: neighbour distance, then the lattice of the scaled positions."""
    width = positions.shape[1]
    x = np.empty(width, np.float32)
    y = np.empty(width, np.float32)
    z = np.empty(width, np.float32)
    w = np.empty(width, np.float32)
    ones = np.ones(width, np.float32)
    near = np.empty((PROBES, width), np.float32)
    row = np.empty(width, np.float32)
    close = np.empty(width, np.float32)
    hist = np.empty(BINS, np.float64)
    smooth = np.empty(BINS, np.float64)
    scratch = (
        map_work(width, MAX_AXIS),
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
        np.empty((2, width), np.float32),
    )
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
        probe_weights(positions[b], n, radius[b], near)
        d = first_shell(x, y, z, n, row, close, hist, smooth)
        scale[b] = d
        if d <= 0:
            continue
        for m in range(n):
            x[m] /= d
            y[m] /= d
            z[m] /= d
        found[b] = window_lattice(
            x,
            y,
            z,
            w,
            ones,
            near,
            n,
            penalty,
            tolerance,
            polishing,
            least,
            faint,
            scratch,
            basis[b],
            info[b],
        )
