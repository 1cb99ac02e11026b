"""How high S(q) of independent ions rises, and how likely: the law behind every significance here.

The scattering amplitude of N independent ions, sum exp(i q.x) / sqrt(N), is a complex Gaussian
random field over q, whose correlation is the window's own form factor. S = |amplitude|^2 then has
the tail exp(-S) at one q, and the number of its maxima above S in a volume V_q of reciprocal space
is, for high S, the Euler characteristic of the excursion set (Worsley, Adv. Appl. Prob. 26, 13
(1994), chi-square field of two degrees of freedom in three dimensions):

    E(S) = V_q sqrt(det C) (2 pi)^(-3/2) sqrt(2 S) (2 S - 3) exp(-S)

with C the covariance of the ions' positions, and half the volume, since S(-q) = S(q). There is
nothing to fit. Two corrections: the tail of a sum of N unit vectors is shorter than a
Gaussian's, and a background that was estimated from few points makes it longer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ase_crystalnet._compute.types import Array

__all__ = [
    "detectable_contrast",
    "expected_maxima",
    "gaussian_strength",
    "shell_volume",
    "strength_at",
    "with_background",
    "without_background",
]

#: A density wave is found with S larger than its own by this much, in the median: the noise it
#: interferes with, and the freedom of the search in amplitude, phase and three components of q
#: (half the median of chi-square with five degrees of freedom).
SEARCH_GAIN = 2.18


def shell_volume(low: ArrayLike, high: ArrayLike) -> Array:
    """Volume of the half of a shell of q."""
    return np.asarray(2 * np.pi / 3 * (np.power(high, 3) - np.power(low, 3)), np.float64)


def gaussian_strength(strength: ArrayLike, ions: ArrayLike) -> Array:
    """S of a Gaussian field that is as unlikely as S of N ions.

    The chance that N unit vectors in random directions add up to |sum|^2 = N S falls as
    exp(-N I(r)), r^2 = S / N, with I the large-deviation rate r^2 + r^4/4 + 5 r^6/36 + ... of the
    von Mises distribution.
    """
    s = np.asarray(strength, np.float64)
    share = s / np.asarray(ions, np.float64)
    return np.asarray(s * (1 + share / 4 + 5 * share**2 / 36), np.float64)


def with_background(strength: ArrayLike, level: ArrayLike, freedom: ArrayLike) -> Array:
    """S of a Gaussian field of mean 1 that is as unlikely as S over an estimated background.

    Parameters
    ----------
    strength : array
        S.
    level : array
        Estimate of its mean, with an error like that of the mean of `freedom` independent values
        of S.
    freedom : array
        Infinite where the background is known.

    Notes
    -----
    The ratio follows Fisher's F with 2 and 2 freedom degrees of freedom: its tail is
    (1 + ratio / freedom)^(-freedom).
    """
    ratio = np.asarray(strength, np.float64) / np.asarray(level, np.float64)
    freedom = np.broadcast_to(np.asarray(freedom, np.float64), ratio.shape)
    finite = np.isfinite(freedom)
    safe = np.where(finite, freedom, 1.0)
    return np.where(finite, safe * np.log1p(ratio / safe), ratio)


def without_background(strength: ArrayLike, level: ArrayLike, freedom: ArrayLike) -> Array:
    """The inverse of `with_background`: S over an estimated background."""
    s = np.asarray(strength, np.float64)
    freedom = np.broadcast_to(np.asarray(freedom, np.float64), s.shape)
    finite = np.isfinite(freedom)
    safe = np.where(finite, freedom, 1.0)
    return np.asarray(np.where(finite, safe * np.expm1(s / safe), s) * level, np.float64)


def expected_maxima(strength: ArrayLike, volume: ArrayLike, covariance: Array) -> Array:
    """Expected number of maxima of S above a value in a volume of q, for independent ions.

    Parameters
    ----------
    strength : (B,) or (B, K) array
        S; for small S, where the law does not hold, the number is that at S = 3.
    volume : array
        Volume searched, Angstrom^-3.
    covariance : (B, 3, 3) array
        Of the ions' positions, Angstrom^2.
    """
    s = np.maximum(np.asarray(strength, np.float64), 3.0)
    cells = np.sqrt(np.maximum(np.linalg.det(covariance), 0.0)) / (2 * np.pi) ** 1.5
    cells = cells.reshape(cells.shape + (1,) * (s.ndim - cells.ndim))
    return np.asarray(volume * cells * np.sqrt(2 * s) * (2 * s - 3) * np.exp(-s), np.float64)


def strength_at(expected: ArrayLike, volume: ArrayLike, covariance: Array) -> Array:
    """S above which `expected` maxima are expected: the inverse of `expected_maxima`."""
    cells = np.asarray(volume) * np.sqrt(np.linalg.det(covariance)) / (2 * np.pi) ** 1.5
    target = np.log(np.maximum(cells, 1e-300)) - np.log(expected)
    s = np.maximum(target, 4.0)
    for _ in range(40):  # S = target + log of the slow factor: a contraction for S > 4
        s = np.maximum(target + np.log(np.sqrt(2 * s) * (2 * s - 3)), 4.0)
    return np.asarray(s, np.float64)


def detectable_contrast(threshold: ArrayLike, level: ArrayLike, ions: ArrayLike) -> Array:
    """Contrast of a density wave that passes a threshold of S half of the time.

    A wave n (1 + A cos(q.x)) scatters N A^2 / 4 on top of the background.
    """
    excess = np.maximum(np.asarray(threshold) - SEARCH_GAIN * np.asarray(level), 0.0)
    return np.asarray(2 * np.sqrt(excess / np.asarray(ions, np.float64)), np.float64)
