"""Basis of the reciprocal lattice that explains a set of peaks, and its least squares."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.algebra import add_product3, copy3, inverse3
from ase_crystalnet._compute.options import STRICT, f32, njit
from ase_crystalnet._compute.structure_factor import Q_MAX, amplitude

Q_POLISH = 12.0  # holds two orders of every class (bcc 200 at 10.9)
MAX_BASIS = 22  # peaks and their differences tried as basis vectors
MAX_HKL = 512
#: Half the slope of ln S(q) beside a peak, by the distances between the sites of a cell: in hcp, of
#: which one plane of sites is 1/3 of a rod's period from the other, 0.72 spacings at l = 0.
SLOPE = 1.4


@njit(**STRICT)
def spot_shape(moments, shape):
    """Fill the matrix that weighs misfits of peaks by the window's shape; returns their slack.

    Peaks are as wide as the window is narrow: in a film of few layers they are rods. The slope of
    the structure factor shifts the maximum of a peak by its width squared, so that is how misfits
    count: a row vector d of reciprocal space as ``|d @ shape|``, in a ball as ``|d|``. In windows
    that are thin the shift is no smaller than the distance of reflections, so there a misfit counts
    from it on.

    Parameters
    ----------
    moments : (3, 3) array
        Twice the covariance of the atoms, in nearest-neighbour distances.
    shape : (3, 3) array
        Filled.
    """
    mean = (moments[0, 0] + moments[1, 1] + moments[2, 2]) / 3.0
    inverse = np.empty((3, 3))
    det = inverse3(moments, inverse)
    for i in range(3):
        for j in range(3):
            shape[i, j] = moments[i, j] / mean
    # 1 in a ball, 0.8 in a disk as thick as 1.5 of its radii, 0.6 in one of one radius.
    thin = max(0.0, min(1.0, (0.95 - abs(det) / mean**3) / 0.2))
    return thin * SLOPE / mean


@njit(**STRICT)
def misfit(d0, d1, d2, shape, slack):
    """Square of the length of (d0, d1, d2) as `spot_shape` has it."""
    total = 0.0
    for c in range(3):
        total += (d0 * shape[0, c] + d1 * shape[1, c] + d2 * shape[2, c]) ** 2
    if slack > 0.0:
        return max(0.0, math.sqrt(total) - slack) ** 2
    return total


@njit(**STRICT)
def find_basis(q, s, count, tolerance, penalty, shape, slack, ext, basis):
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
                norm_ = math.sqrt(v0 * v0 + v1 * v1 + v2 * v2)
                if norm_ > 0.8 and norm_ < 9.5:
                    candidates[nc, 0] = v0
                    candidates[nc, 1] = v1
                    candidates[nc, 2] = v2
                    length[nc] = norm_
                    nc += 1
                # Across a thin window peaks are shifted from either side of where none is seen.
                if (
                    slack > 0.0
                    and norm_ > 1.6
                    and misfit(v0, v1, v2, shape, 0.0) < (0.6 * norm_) ** 2
                ):
                    candidates[nc, 0] = 0.5 * v0
                    candidates[nc, 1] = 0.5 * v1
                    candidates[nc, 2] = 0.5 * v2
                    length[nc] = 0.5 * norm_
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
    shaped = np.empty((ne, 3))
    for i in range(ne):
        norm[i] = math.sqrt(ext[i, 0] ** 2 + ext[i, 1] ** 2 + ext[i, 2] ** 2)
        for c in range(3):
            shaped[i, c] = 0.0
            for d in range(3):
                shaped[i, c] += ext[i, d] * shape[d, c]
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
                        row = i if c == 0 else j if c == 1 else k
                        r0 += f * shaped[row, 0]
                        r1 += f * shaped[row, 1]
                        r2 += f * shaped[row, 2]
                    r = r0 * r0 + r1 * r1 + r2 * r2
                    if slack > 0.0:
                        r = max(0.0, math.sqrt(r) - slack) ** 2
                    r /= tol2
                    miss += s[p] * min(r, 1.0)
                    if miss >= allowed:
                        break
                if miss < allowed:
                    best = total - predicted / det - miss
                    best_miss = miss
                    copy3(trial, basis)
    if best < -1e299:
        return -1.0
    return 1.0 - best_miss / total


@njit(**STRICT)
def apart(coordinates, basis, shape, slack):
    """Square of the length of a vector in coordinates of a basis, in radii of a spot."""
    d = np.empty(3)
    for c in range(3):
        d[c] = (
            coordinates[0] * basis[0, c]
            + coordinates[1] * basis[1, c]
            + coordinates[2] * basis[2, c]
        )
    return misfit(d[0], d[1], d[2], shape, slack)


@njit(**STRICT)
def refine_cell(q, s, count, tight, penalty, shape, slack, basis, trial):
    """Enlarge the real-space cell where bright peaks lie between the reflections of the basis.

    Superlattice reflections (graphite, dhcp, alpha-As) are weak and near strong ones, so the loose
    tolerance of `find_basis` takes them for those. With the fitted basis they stand out at
    p/k, k = 2..6; the lattice generated by the basis and such a point replaces it when the peaks it
    adds outweigh the reflections it predicts. Returns whether it did (in place).
    """
    inv = np.empty((3, 3))
    inverse3(basis, inv)
    frac = np.empty(3)
    nearest = np.empty(3)
    worst = -1
    for p in range(count):
        for c in range(3):
            frac[c] = q[p, 0] * inv[0, c] + q[p, 1] * inv[1, c] + q[p, 2] * inv[2, c]
            frac[c] -= np.rint(frac[c])
        if apart(frac, basis, shape, slack) > tight * tight and s[p] > 11.0:
            worst = p
            break
    if worst < 0:
        return False
    rows = np.zeros((4, 3), np.int64)
    for k in range(2, 7):
        for d in range(3):
            nearest[d] = frac[d] - np.rint(frac[d] * k) / k
        if apart(nearest, basis, shape, slack) > 0.36 * tight * tight:
            continue
        # Integer row reduction of (k I; p): a basis of the enlarged set of points, times k.
        rows[:] = 0
        for c in range(3):
            rows[c, c] = k
            rows[3, c] = int(np.rint(frac[c] * k))
        for c in range(3):
            top = c
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
            f0 = np.empty(3)
            f1 = np.empty(3)
            for c in range(3):
                f0[c] = q[p, 0] * old[0, c] + q[p, 1] * old[1, c] + q[p, 2] * old[2, c]
                f1[c] = q[p, 0] * inv[0, c] + q[p, 1] * inv[1, c] + q[p, 2] * inv[2, c]
                f0[c] -= np.rint(f0[c])
                f1[c] -= np.rint(f1[c])
            before = apart(f0, basis, shape, slack)
            after = apart(f1, trial, shape, slack)
            limit = tight * tight
            gain += s[p] * (min(before, limit) - min(after, limit)) / limit
        det = abs(inverse3(trial, inv))
        reflections_added = 2.0 / 3.0 * math.pi * Q_MAX**3 * (1.0 - 1.0 / k) / det
        if gain > penalty * reflections_added + 8.0:
            copy3(trial, basis)
            return True
    return False


@njit(**STRICT)
def fit_basis(q, s, count, tolerance, shape, slack, basis):
    """Weighted least squares of the basis to the peaks it indexes (in place)."""
    inv = np.empty((3, 3))
    f = np.empty(3)
    d = np.empty(3)
    for _ in range(3):
        inverse3(basis, inv)
        a = np.zeros((3, 3))
        y = np.zeros((3, 3))
        for p in range(count):
            for c in range(3):
                f[c] = np.rint(q[p, 0] * inv[0, c] + q[p, 1] * inv[1, c] + q[p, 2] * inv[2, c])
            for c in range(3):
                d[c] = q[p, c] - f[0] * basis[0, c] - f[1] * basis[1, c] - f[2] * basis[2, c]
            if misfit(d[0], d[1], d[2], shape, slack) < tolerance * tolerance:
                for u in range(3):
                    for v in range(3):
                        a[u, v] += s[p] * f[u] * f[v]
                        y[u, v] += s[p] * f[u] * q[p, v]
        if abs(inverse3(a, inv)) < 1e-6:
            return
        add_product3(0.0, inv, y, basis)


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
            for m in range(-top[2] if (h > 0 or k > 0) else 1, top[2] + 1):
                r = 0.0
                for c in range(3):
                    r += (h * basis[0, c] + k * basis[1, c] + m * basis[2, c]) ** 2
                if r < limit * limit and count < MAX_HKL:
                    hkl[count, 0] = h
                    hkl[count, 1] = k
                    hkl[count, 2] = m
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
        add_product3(1.0, inv, b, basis)
    return count
