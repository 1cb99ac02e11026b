"""The grid of powder patterns, crystal systems, and what the networks are shown.

Patterns run from 5 to 90 degrees in steps of 0.01 (8,500 points; Vecsei et al. 2019, Sec. II), Cu
K-alpha, largest value 1. The shipped network sees them in bins of 0.04 degrees on an axis of
log(sin theta), where a larger cell is a shift, as the square root, where weak lines are seen.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd import _lines_kernel as kernels

__all__ = [
    "ANODES",
    "CRYSTAL_SYSTEMS",
    "INPUT_POINTS",
    "POINTS",
    "STEP",
    "SYSTEM_MATRIX",
    "TWO_THETA",
    "WAVELENGTH",
    "broaden",
    "coarse_to_input",
    "network_input",
    "system_of",
]

STEP = 0.01
POINTS = 8500
#: Two-theta of the points, degrees.
TWO_THETA = 5.0 + STEP * np.arange(POINTS)
#: Points of 0.01 degrees in one bin of the network's input.
BINNING = 4
INPUT_POINTS = POINTS // BINNING
CRYSTAL_SYSTEMS = (
    "triclinic",
    "monoclinic",
    "orthorhombic",
    "tetragonal",
    "trigonal",
    "hexagonal",
    "cubic",
)
_FIRST = (3, 16, 75, 143, 168, 195)


def system_of(space_group: ArrayLike) -> NDArray[np.int64]:
    """Crystal system 0 .. 6 (order of `CRYSTAL_SYSTEMS`) of space groups 1 .. 230."""
    groups = np.asarray(space_group)
    if groups.size and not ((groups >= 1) & (groups <= 230)).all():
        raise InputError("space groups are numbered 1 to 230")
    return np.digitize(groups, _FIRST)


#: (230, 7): probabilities of space groups times this are those of the crystal systems.
SYSTEM_MATRIX = np.eye(7, dtype=np.float32)[system_of(np.arange(1, 231))]


@cache
def _log_axis() -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Edges of the log(sin theta) axis in units of bins: whole part, fraction, and lengths."""
    step = STEP * BINNING
    start = TWO_THETA[0] - STEP / 2
    ends = np.log(np.sin(np.radians([start / 2, (start + step * INPUT_POINTS) / 2])))
    sines = np.exp(np.linspace(float(ends[0]), float(ends[1]), INPUT_POINTS + 1))
    position = (2 * np.degrees(np.arcsin(np.minimum(sines, 1))) - start) / step
    position = np.clip(position, 0, INPUT_POINTS - 1e-9)
    index = position.astype(np.int64)
    return index, position - index, np.diff(position)


def coarse_to_input(coarse: NDArray[Any]) -> NDArray[np.float32]:
    """Input of the network (B, 2125) from patterns in bins of 0.04 degrees (B, 2125)."""
    out = np.empty((len(coarse), INPUT_POINTS), np.float32)
    kernels.resample(out, np.ascontiguousarray(coarse, np.float32), *_log_axis(), True)
    return out


def network_input(patterns: ArrayLike) -> NDArray[np.float32]:
    """What the shipped network is shown.

    Parameters
    ----------
    patterns : (B, 8500) array
        Intensities on `TWO_THETA`; any scale, none below zero.

    Returns
    -------
    (B, 2125) float32 array
        Square root of the means over equal steps of log(sin theta), of patterns whose largest
        bin of 0.04 degrees is 1.

    Raises
    ------
    InputError
        Another shape, negative or not finite values, or a pattern of zeros.
    """
    x = np.asarray(patterns, np.float32)
    if x.ndim != 2 or x.shape[1] != POINTS:
        raise InputError(f"patterns have shape {x.shape}; expected (B, {POINTS})")
    if not np.isfinite(x).all() or (x < 0).any():
        raise InputError("patterns hold negative or not finite intensities")
    coarse = x.reshape(len(x), INPUT_POINTS, BINNING).mean(axis=2)
    largest = coarse.max(axis=1, keepdims=True, initial=0)
    if not (largest > 0).all():
        raise InputError("a pattern is zero everywhere")
    return coarse_to_input(coarse / largest)


def broaden(two_theta: ArrayLike, intensity: ArrayLike, fwhm: float) -> NDArray[np.float32]:
    """Pattern (8500,) of Gaussian lines, largest value 1.

    Parameters
    ----------
    two_theta, intensity : (n,) arrays
        Lines, degrees.
    fwhm : float
        Full width at half maximum, degrees.

    Raises
    ------
    InputError
        The width is not positive, or no line lies within reach.
    """
    angle, height = np.asarray(two_theta, float), np.asarray(intensity, float)
    if not fwhm > 0 or angle.shape != height.shape or angle.ndim != 1:
        raise InputError(
            f"lines {angle.shape} and {height.shape}, width {fwhm}; expected two equally long "
            "lists and a positive width in degrees"
        )
    out = np.zeros(POINTS)
    reach = 3.5 * fwhm
    for center, weight in zip(angle, height, strict=True):
        part = slice(*np.searchsorted(TWO_THETA, [center - reach, center + reach]))
        out[part] += weight * np.exp(-4 * np.log(2) * ((TWO_THETA[part] - center) / fwhm) ** 2)
    if not out.max() > 0:
        raise InputError("no line lies between 5 and 90 degrees")
    return (out / out.max()).astype(np.float32)


#: Cu K-alpha 1, Angstrom (Vecsei et al., Sec. II).
WAVELENGTH = 1.5406
#: K-alpha 1 of common anodes, Angstrom (Hoelzer et al., Phys. Rev. A 56, 4554 (1997); Ag and Mo:
#: Deslattes et al., Rev. Mod. Phys. 75, 35 (2003)).
ANODES = {
    "Cu": WAVELENGTH,
    "Mo": 0.70932,
    "Co": 1.78900,
    "Cr": 2.28973,
    "Fe": 1.93604,
    "Ag": 0.55942,
}
