"""The parent lattice nearest to a lattice, and the stretch that leads from the one to the other."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.algebra import copy3, inverse3, minkowski
from ase_crystalnet._compute.options import JIT, STRICT, f32, njit


@njit(**STRICT)
def product3(a, b, out):
    """out = a b, whatever `out` held; it is neither of the two."""
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]


@njit(**JIT)
def metric_misfit(tables, metric, misfit):
    """|C - 1|^2 for the metric C, in the parent's axes, of every choice of the basis.

    `tables` (6, 6, K) takes the metric of the lattice (xx, yy, zz, yz, xz, xy) to that of choice k.
    """
    misfit[:] = 0
    for i in range(6):
        ideal = f32(1) if i < 3 else f32(0)
        weight = f32(1) if i < 3 else f32(2)
        for k in range(misfit.size):
            c = (
                tables[i, 0, k] * metric[0]
                + tables[i, 1, k] * metric[1]
                + tables[i, 2, k] * metric[2]
                + tables[i, 3, k] * metric[3]
                + tables[i, 4, k] * metric[4]
                + tables[i, 5, k] * metric[5]
                - ideal
            )
            misfit[k] += weight * c * c


@njit(**JIT)
def axial_misfit(tables, metric, misfit):
    """The same for parents whose c/a is free: how far from a = b, and from right or 120 degrees.

    The metric of choice k is in axes in which an undistorted one is diagonal, the first two alike.
    """
    for k in range(misfit.size):
        xx = f32(0)
        yy = f32(0)
        zz = f32(0)
        yz = f32(0)
        xz = f32(0)
        xy = f32(0)
        for j in range(6):
            xx += tables[0, j, k] * metric[j]
            yy += tables[1, j, k] * metric[j]
            zz += tables[2, j, k] * metric[j]
            yz += tables[3, j, k] * metric[j]
            xz += tables[4, j, k] * metric[j]
            xy += tables[5, j, k] * metric[j]
        a = f32(0.5) * (xx + yy)
        plane = f32(0.5) * (xx - yy) * (xx - yy) + f32(2) * xy * xy
        misfit[k] = plane / (a * a) + f32(2) * (xz * xz + yz * yz) / (a * zz)


@njit(**STRICT)
def eigen3(a, vectors):
    """Jacobi: diagonal of `a` becomes the eigenvalues, columns of `vectors` the eigenvectors."""
    for i in range(3):
        for j in range(3):
            vectors[i, j] = 1.0 if i == j else 0.0
    for _ in range(12):
        off = abs(a[0, 1]) + abs(a[0, 2]) + abs(a[1, 2])
        if off < 1e-15 * (abs(a[0, 0]) + abs(a[1, 1]) + abs(a[2, 2])):
            return
        for p in range(2):
            for q in range(p + 1, 3):
                if a[p, q] == 0.0:
                    continue
                theta = (a[q, q] - a[p, p]) / (2.0 * a[p, q])
                t = 1.0 / (abs(theta) + math.sqrt(theta * theta + 1.0))
                if theta < 0:
                    t = -t
                c = 1.0 / math.sqrt(t * t + 1.0)
                s = t * c
                for k in range(3):
                    u, v = a[k, p], a[k, q]
                    a[k, p], a[k, q] = c * u - s * v, s * u + c * v
                for k in range(3):
                    u, v = a[p, k], a[q, k]
                    a[p, k], a[q, k] = c * u - s * v, s * u + c * v
                for k in range(3):
                    u, v = vectors[k, p], vectors[k, q]
                    vectors[k, p], vectors[k, q] = c * u - s * v, s * u + c * v


@njit(**STRICT)
def squares(gradient, metric):
    """metric = gradient gradient^T."""
    for i in range(3):
        for j in range(3):
            metric[i, j] = (
                gradient[i, 0] * gradient[j, 0]
                + gradient[i, 1] * gradient[j, 1]
                + gradient[i, 2] * gradient[j, 2]
            )


@njit(**STRICT)
def stretches(step, axial, lattice, gradient, metric, vectors, length):
    """Gradient A = step . lattice, its principal stretches; returns the largest |logarithm|.

    An axial parent is given the area of the plane normal to its axis, and the volume, of `lattice`.
    """
    product3(step, lattice, gradient)
    squares(gradient, metric)
    if axial:
        area = math.sqrt(metric[0, 0] * metric[1, 1] - metric[0, 1] ** 2)
        for j in range(3):
            gradient[0, j] /= math.sqrt(area)
            gradient[1, j] /= math.sqrt(area)
            gradient[2, j] *= area
        squares(gradient, metric)
    eigen3(metric, vectors)
    size = 0.0
    for c in range(3):
        length[c] = math.sqrt(max(metric[c, c], 1e-300))
        size = max(size, abs(math.log(length[c])))
    return size


@njit(**STRICT)
def quaternion3(turn, out):
    """Unit quaternion (x, y, z, w >= 0) of a rotation matrix that acts on columns."""
    trace = turn[0, 0] + turn[1, 1] + turn[2, 2]
    a = 0
    for c in range(1, 3):
        if turn[c, c] > turn[a, a]:
            a = c
    b = (a + 1) % 3
    c = (a + 2) % 3
    if trace >= turn[a, a]:
        out[a] = turn[c, b] - turn[b, c]
        out[b] = turn[a, c] - turn[c, a]
        out[c] = turn[b, a] - turn[a, b]
        out[3] = 1.0 + trace
    else:
        out[a] = 1.0 + 2.0 * turn[a, a] - trace
        out[b] = turn[a, b] + turn[b, a]
        out[c] = turn[a, c] + turn[c, a]
        out[3] = turn[c, b] - turn[b, c]
    norm = math.sqrt(out[0] ** 2 + out[1] ** 2 + out[2] ** 2 + out[3] ** 2)
    if out[3] < 0:
        norm = -norm
    for c in range(4):
        out[c] /= norm


@njit(**STRICT)
def nearest(tables, steps, axial, lattice, metric6, misfit, work, best):
    """Size of the stretch against the nearest of a parent's bases, whose step goes to `best`."""
    if axial:
        axial_misfit(tables, metric6, misfit)
    else:
        metric_misfit(tables, metric6, misfit)
    pick = 0
    for k in range(1, misfit.size):
        if misfit[k] < misfit[pick]:
            pick = k
    copy3(steps[pick], best)
    return stretches(best, axial, lattice, *work)


@njit(**STRICT)
def metric_of(lattice, out):
    """xx, yy, zz, yz, xz, xy of the metric of three rows."""
    for c in range(3):
        i = (c + 1) % 3
        j = (c + 2) % 3
        out[c] = lattice[c, 0] ** 2 + lattice[c, 1] ** 2 + lattice[c, 2] ** 2
        out[3 + c] = (
            lattice[i, 0] * lattice[j, 0]
            + lattice[i, 1] * lattice[j, 1]
            + lattice[i, 2] * lattice[j, 2]
        )


@njit(**STRICT)
def scaled(given, lattice, spare):
    """Reduced copy of a lattice with volume 1; False where there is none."""
    for i in range(3):
        for j in range(3):
            if not math.isfinite(given[i, j]):
                return False
    copy3(given, lattice)
    volume = abs(inverse3(lattice, spare))
    if volume == 0.0:
        return False
    edge = volume ** (1.0 / 3.0)
    for i in range(3):
        for j in range(3):
            lattice[i, j] /= edge
    minkowski(lattice)
    return True


@njit(**STRICT)
def settle(work, operations, undo, strain, quaternion):
    """What follows from the gradient A = U R^T (rows) in `work` and its principal stretches."""
    gradient, metric, vectors, length = work
    inverse = np.empty((3, 3))
    turn = np.empty((3, 3))  # crystal axes to sample axes, columns
    turned = np.empty((3, 3))
    for i in range(3):
        for j in range(3):
            value = 0.0
            for c in range(3):
                value += vectors[i, c] * vectors[j, c] / length[c]
            inverse[i, j] = value
    product3(inverse, gradient, metric)  # R^T
    sign = 1.0 if inverse3(metric, turned) > 0 else -1.0  # either of T and -T is a basis
    for i in range(3):
        for j in range(3):
            turn[i, j] = sign * metric[j, i]
    for i in range(3):
        for j in range(3):
            value = 0.0
            for c in range(3):
                for d in range(3):
                    value += turn[i, c] * inverse[c, d] * turn[j, d]
            undo[i, j] = value
    pick = 0
    largest = -2.0
    for o in range(operations.shape[0]):
        trace = 0.0
        for i in range(3):
            for c in range(3):
                trace += turn[i, c] * operations[o, c, i]
        if trace > largest + 1e-12:
            largest = trace
            pick = o
    product3(turn, operations[pick], turned)
    quaternion3(turned, quaternion)
    for i in range(3):
        for j in range(3):
            value = 0.0
            for c in range(3):
                along_i = 0.0
                along_j = 0.0
                for d in range(3):
                    along_i += operations[pick, d, i] * vectors[d, c]
                    along_j += operations[pick, d, j] * vectors[d, c]
                value += along_i * along_j * (length[c] - 1.0)
            strain[i, j] = value


@njit(**STRICT)
def strain_batch(
    lattices, start, stop, limit, cubic, axial, parent, undo, strain, quaternion, sizes
):
    """Lattices start .. stop: nearest parent, stretch against it, the distance of every parent.

    `cubic` and `axial` hold, for each parent, tables and steps of its bases, for lattices of
    volume 1, and its proper rotations. Axial parents are asked where no cubic one is in the limit.
    """
    metric6 = np.empty(6, np.float32)
    lattice = np.empty((3, 3))
    step = np.empty((3, 3))
    best = np.empty((3, 3))
    work = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3)), np.empty(3)
    for b in range(start, stop):
        if not scaled(lattices[b], lattice, step):
            continue
        metric_of(lattice, metric6)
        found = 0
        number = 0
        for tables, steps, _ in cubic:
            misfit = np.empty(tables.shape[2], np.float32)
            size = nearest(tables, steps, np.bool_(False), lattice, metric6, misfit, work, step)
            sizes[b, number] = size
            if number == 0 or size < sizes[b, found]:
                found = number
                copy3(step, best)
            number += 1
        if not sizes[b, found] <= limit:
            for tables, steps, _ in axial:
                # Layers that slide are a hexagonal crystal's shear before another stacking.
                if number == len(cubic) + len(axial) - 1 and sizes[b, found] <= limit:
                    break
                misfit = np.empty(tables.shape[2], np.float32)
                size = nearest(tables, steps, np.bool_(True), lattice, metric6, misfit, work, step)
                sizes[b, number] = size
                if size < sizes[b, found]:
                    found = number
                    copy3(step, best)
                number += 1
            if not sizes[b, found] <= limit:
                continue
        parent[b] = found
        stretches(best, found >= len(cubic), lattice, *work)
        operations = cubic[0][2]
        number = len(cubic)
        for _, _, own in axial:
            if found == number:
                operations = own
            number += 1
        settle(work, operations, undo[b], strain[b], quaternion[b])
