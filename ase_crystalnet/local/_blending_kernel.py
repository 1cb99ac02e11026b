"""Inner loop of `ase_crystalnet.local.blending`: weighted means of rows."""

from __future__ import annotations

import numpy as np

from ase_crystalnet._compute.options import STRICT, njit


@njit(**STRICT)
def weighted_rows(values, weights, rows, start, stop, out):
    """Set out[i] = mean of values[rows[i]] by weights[i]; nan where no weight is positive."""
    for i in range(start, stop):
        norm = 0.0
        for c in range(out.shape[1]):
            out[i, c] = 0.0
        for k in range(rows.shape[1]):
            w = weights[i, k]
            if w > 0.0:
                norm += w
                for c in range(out.shape[1]):
                    out[i, c] += np.float32(w) * values[rows[i, k], c]
        for c in range(out.shape[1]):
            out[i, c] = out[i, c] / np.float32(norm) if norm > 0.0 else np.float32(np.nan)
