"""3x3 algebra of lattices: inverse, Minkowski reduction, shortest difference vectors."""

from __future__ import annotations

import math

import numpy as np

from ase_crystalnet._compute.options import STRICT, njit


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
def copy3(a, out):
    """out = a."""
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, j]


@njit(**STRICT)
def add_product3(scale, a, b, out):
    """out = scale out + a b; `out` is neither of the two."""
    for i in range(3):
        for j in range(3):
            out[i, j] = scale * out[i, j] + (
                a[i, 0] * b[0, j] + a[i, 1] * b[1, j] + a[i, 2] * b[2, j]
            )


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


@njit(inline="always", **STRICT)
def fold(u, v, w, basis, inv, out):
    """Shortest difference vector modulo the lattice (by rounding: right for reduced cells)."""
    f0 = np.rint((basis[0, 0] * u + basis[0, 1] * v + basis[0, 2] * w) / (2 * math.pi))
    f1 = np.rint((basis[1, 0] * u + basis[1, 1] * v + basis[1, 2] * w) / (2 * math.pi))
    f2 = np.rint((basis[2, 0] * u + basis[2, 1] * v + basis[2, 2] * w) / (2 * math.pi))
    out[0] = u - 2 * math.pi * (inv[0, 0] * f0 + inv[0, 1] * f1 + inv[0, 2] * f2)
    out[1] = v - 2 * math.pi * (inv[1, 0] * f0 + inv[1, 1] * f1 + inv[1, 2] * f2)
    out[2] = w - 2 * math.pi * (inv[2, 0] * f0 + inv[2, 1] * f1 + inv[2, 2] * f2)
