"""Law of the superlattice intensity where species sit at random, and its tail.

Ions keep their places. Each belongs to the chosen species with the chance c(x) of its
neighbourhood, whatever its lattice site: density, planes, gradients and clusters stay as they are,
order goes. With w_j = s_j - c(x_j) and v_j = c (1 - c), the sums a = sum_j w_j (cos q_k x_j,
sin q_k x_j) over all reflections are then normal with covariance M = sum_j v_j (...)(...)^T, and

    Q = sum_k g_k |a_k|^2

is distributed as a sum of chi-squares of one degree of freedom, weighted by the eigenvalues of
G^1/2 M G^1/2. Both parts of a_k, and reflections that differ by one of the parent, are correlated
where planes resolve; that is in M, so nothing is assumed of it. The tail follows from the cumulants
(saddle point; Kuonen, Biometrika 86, 929 (1999)).
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammainccinv, log_ndtr

from ase_crystalnet._compute.types import Array

__all__ = ["quadratic_tail", "quadratic_threshold"]

_STEPS = 80


def quadratic_tail(value: Array, weights: Array) -> Array:
    """Chance (B,) that a weighted sum of chi-squares of one degree of freedom exceeds a value.

    Parameters
    ----------
    value : (B,) array
    weights : (B, K) array
        0 or more; all 0 gives 1.
    """
    value = np.asarray(value, np.float64)
    weights = np.maximum(np.asarray(weights, np.float64), 0.0)
    largest = weights.max(axis=1)
    safe = np.where(largest > 0, largest, 1.0)
    lam, x = weights / safe[:, None], np.maximum(value, 0.0) / safe
    mean, variance = lam.sum(axis=1), 2 * (lam**2).sum(axis=1)
    # K'(t) rises from 0 to infinity over t below 1/2: bisection in u = 1 - 2 t, in its logarithm.
    low, high = np.full(len(x), -40.0), np.full(len(x), 40.0)
    for _ in range(_STEPS):
        middle = 0.5 * (low + high)
        slope = (lam / (1 + (np.exp(middle) - 1)[:, None] * lam)).sum(axis=1)
        # In u the largest weight has 1 - 2 t lam = u for lam = 1.
        above = slope > x
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    u = np.exp(0.5 * (low + high))
    t = 0.5 * (1 - u)
    inner = 1 - 2 * t[:, None] * lam
    cumulant = -0.5 * np.log(inner).sum(axis=1)
    curvature = 2 * ((lam / inner) ** 2).sum(axis=1)
    w = np.sign(t) * np.sqrt(np.maximum(2 * (t * x - cumulant), 1e-300))
    v = t * np.sqrt(curvature)
    with np.errstate(invalid="ignore", divide="ignore"):
        z = w + np.log(v / w) / w
    # At the mean both vanish: there the first correction of the normal law.
    spread = np.sqrt(np.where(variance > 0, variance, 1.0))
    skew = 8 * (lam**3).sum(axis=1) / spread**3
    normal = (x - mean) / spread
    near = np.abs(w) < 1e-3
    z = np.where(near | ~np.isfinite(z), normal + skew / 6, z)
    return np.where(largest > 0, np.exp(log_ndtr(-z)), 1.0)


def quadratic_threshold(chance: Array | float, weights: Array) -> Array:
    """Value (B,) that is exceeded with a chance, about: of the gamma law of same mean and variance.

    Parameters
    ----------
    chance : float or (B,) array
    weights : (B, K) array
    """
    weights = np.asarray(weights, np.float64)
    mean, variance = weights.sum(axis=1), 2 * (weights**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        scale = np.where(mean > 0, variance / mean, 0.0)
        shape = np.where(variance > 0, mean**2 / variance, 1.0)
    return np.asarray(scale * gammainccinv(shape, chance))
