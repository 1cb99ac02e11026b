"""Structure factor of a window: map, peaks, Newton steps; and its nearest-neighbour distance.

Positions are divided by the nearest-neighbour distance, so every wave vector is in units of its
inverse.
"""

from __future__ import annotations

from numba import njit

from ase_crystalnet._compute.options import JIT
from ase_crystalnet._compute.structure_factor import Q_MAX, Q_MIN

MAX_PEAKS = 32


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
