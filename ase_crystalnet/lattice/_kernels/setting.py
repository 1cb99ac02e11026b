"""The integer change of basis that brings a lattice nearest to a class's own."""

from __future__ import annotations

import numpy as np

from ase_crystalnet._compute.options import STRICT, njit

__all__ = []


@njit(**STRICT)
def _best_change(lattices, gram_a, gram_c, changes, index, misfit):  # type: ignore[no-untyped-def]
    """For each lattice the change of basis whose Gram matrix is nearest a^2 gram_a + c^2 gram_c."""
    aa = (gram_a * gram_a).sum()
    cc = (gram_c * gram_c).sum()
    ac = (gram_a * gram_c).sum()
    det = aa * cc - ac * ac
    g = np.empty((3, 3))
    t = np.empty((3, 3))
    for b in range(lattices.shape[0]):
        for i in range(3):
            for j in range(3):
                g[i, j] = (
                    lattices[b, i, 0] * lattices[b, j, 0]
                    + lattices[b, i, 1] * lattices[b, j, 1]
                    + lattices[b, i, 2] * lattices[b, j, 2]
                )
        best = 1e300
        for k in range(changes.shape[0]):
            ga = 0.0
            gc = 0.0
            gg = 0.0
            for i in range(3):
                for j in range(3):
                    s = 0.0
                    for p in range(3):
                        if changes[k, i, p] != 0:
                            for r in range(3):
                                s += changes[k, i, p] * g[p, r] * changes[k, j, r]
                    t[i, j] = s
                    ga += s * gram_a[i, j]
                    gc += s * gram_c[i, j]
                    gg += s * s
            if cc > 0:
                a2 = (ga * cc - gc * ac) / det
                c2 = (gc * aa - ga * ac) / det
                if a2 <= 0 or c2 <= 0:
                    continue
            else:
                a2 = ga / aa
                c2 = 0.0
            size = a2 * a2 * aa + c2 * c2 * cc + 2 * a2 * c2 * ac
            value = (gg - size) / size
            if value < best:
                best = value
                index[b] = k
        misfit[b] = best
