"""Peaks of the S(q) map of a window.

Positions are divided by the nearest-neighbour distance, so every wave vector is in units of its
inverse.
"""

from __future__ import annotations

import numpy as np

from ase_crystalnet._compute.options import JIT, njit
from ase_crystalnet._compute.structure_factor import Q_MAX, Q_MIN, insert_peak, is_maximum

MAX_PEAKS = 32


@njit(**JIT)
def find_peaks(s_map, half, h, threshold, pk, pv):
    """Local maxima of the half-space map, strongest first; returns how many, at most `pv` holds."""
    count = np.int64(0)
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
                if is_maximum(s_map, half, i, j, k):
                    count = insert_peak(
                        (i + 0.5) * h, (j + 0.5 - half) * h, (k + 0.5 - half) * h, v, count, pk, pv
                    )
    return count
