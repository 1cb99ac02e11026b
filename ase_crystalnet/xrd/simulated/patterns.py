"""From reflections to patterns as a diffractometer would measure them.

Two recipes are named. `PAPER` is Appendix A of Vecsei et al. (2019): Gaussian lines, uniform noise
and up to four smooth backgrounds. `MEASURED` looks like published powder patterns of minerals:
their background is subtracted, so their noise is what was left of it, never below zero and in part
as strong as the root of the signal; lines are shifted, broadened and changed in height by the
sample. Each effect is a field of `Recipe` and is off at zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd import _lines_kernel as kernels
from ase_crystalnet.xrd.pattern import (
    BINNING,
    INPUT_POINTS,
    POINTS,
    STEP,
    TWO_THETA,
    WAVELENGTH,
)
from ase_crystalnet.xrd.simulated.structures import StructureSet

__all__ = ["MEASURED", "PAPER", "Recipe", "draw_patterns", "paper_background"]

#: Cu K-alpha as one line, and K-alpha 1 and 2, Angstrom.
WAVELENGTHS = np.array([WAVELENGTH, 1.54056, 1.54439])
#: Lines weaker than this share of the strongest are not drawn.
WEAKEST = 4e-4
#: Normal numbers kept for the intensities of a pattern's lines.
JITTERS = 509
#: Textures are about one of this many strongest reflections.
AXES = 16


@dataclass(frozen=True)
class Recipe:
    """How patterns are made from reflections; stored in a model's card.

    Attributes
    ----------
    fwhm : (float, float)
        Width of the instrument's Gaussian or pseudo-Voigt line, degrees.
    fwhm_log : bool
        Whether its logarithm is drawn uniformly.
    strain : float
        Typical standard deviation of the components of a strain that keeps the symmetry; that of
        each pattern is a third to four times as large.
    scale : float
        Standard deviation of an isotropic scale (thermal expansion, errors of theory).
    texture : float
        Share of the patterns with preferred orientation (March-Dollase, r log-normal about 0.9).
    jitter : float
        Largest standard deviation of the logarithm of the lines' intensities (grain statistics,
        atoms exchanged or displaced).
    debye_waller : float
        Largest B of all atoms, Angstrom^2.
    zero_shift, displacement : float
        Largest zero shift and displacement of the sample (times cos theta), degrees.
    k_alpha2 : float
        Share of the patterns with the doublet resolved.
    strain_width, size_width : float
        Largest width that grows with tan(theta) and with 1 / cos(theta), degrees.
    lorentzian : float
        Largest share of the Lorentzian in the profile.
    impurity : float
        Share of the patterns with the lines of a second structure, up to a fifth as strong.
    background : float
        Share of the patterns with the backgrounds of the paper's Appendix A.
    uniform_noise : (float, float)
        Uniform noise at every step of 0.01 degrees (the paper's); (0, 0) is none.
    noise : (float, float)
        Standard deviation at every step of 0.01 degrees of noise that is clipped at zero, drawn
        log-uniformly; (0, 0) is none.
    noise_offset : float
        Largest mean of that noise over its standard deviation.
    """

    fwhm: tuple[float, float] = (0.05, 0.24)
    fwhm_log: bool = False
    strain: float = 0.0
    scale: float = 0.0
    texture: float = 0.0
    jitter: float = 0.0
    debye_waller: float = 0.0
    zero_shift: float = 0.0
    displacement: float = 0.0
    k_alpha2: float = 0.0
    strain_width: float = 0.0
    size_width: float = 0.0
    lorentzian: float = 0.0
    impurity: float = 0.0
    background: float = 0.0
    uniform_noise: tuple[float, float] = (0.0, 0.0)
    noise: tuple[float, float] = (0.0, 0.0)
    noise_offset: float = 2.0

    def __post_init__(self) -> None:
        for name in ("fwhm", "uniform_noise", "noise"):
            low, high = getattr(self, name)
            if not 0 <= low <= high or (name == "fwhm" and low == 0):
                raise InputError(f"{name} is ({low}, {high}); expected 0 <= low <= high")
        for name in ("texture", "k_alpha2", "impurity", "background", "lorentzian"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name} is {getattr(self, name)}; expected a share, 0 to 1")


#: Vecsei et al. (2019), Appendix A.
PAPER = Recipe(background=1.0, uniform_noise=(0.002, 0.02))
#: Like measured patterns with their background subtracted.
MEASURED = Recipe(
    fwhm=(0.045, 0.22),
    fwhm_log=True,
    strain=0.006,
    scale=0.006,
    texture=0.5,
    jitter=0.25,
    debye_waller=1.5,
    zero_shift=0.06,
    displacement=0.06,
    k_alpha2=0.7,
    strain_width=0.15,
    size_width=0.06,
    lorentzian=1.0,
    impurity=0.15,
    background=0.15,
    noise=(0.0007, 0.05),
)


def draw_patterns(
    structures: StructureSet,
    chosen: NDArray[Any],
    recipe: Recipe,
    rng: np.random.Generator,
    *,
    coarse: bool = False,
) -> NDArray[np.float32]:
    """One pattern of each chosen structure, drawn by the recipe.

    Parameters
    ----------
    structures : StructureSet
    chosen : (B,) array of int
        Structures.
    recipe : Recipe
    rng : numpy.random.Generator
    coarse : bool
        Bins of 0.04 degrees (2,125 points) instead of points of 0.01 (8,500); noise is averaged
        accordingly.

    Returns
    -------
    (B, 8500) or (B, 2125) float32 array
        Largest value 1, none below zero.
    """
    batch = len(chosen)
    points, step = (INPUT_POINTS, STEP * BINNING) if coarse else (POINTS, STEP)
    first = float(TWO_THETA[0]) + (step - STEP) / 2
    members = np.full((batch, 2), -1, np.int64)
    members[:, 0] = chosen
    second = rng.random(batch) < recipe.impurity
    members[second, 1] = rng.integers(len(structures), size=int(second.sum()))
    out = np.empty((batch, points), np.float32)
    kernels.render(
        out,
        structures.vectors,
        structures.strengths,
        structures.offsets,
        members,
        _strains(structures, members, recipe, rng),
        _conditions(structures, members, recipe, rng),
        rng.standard_normal((batch, 2, JITTERS)) if recipe.jitter > 0 else np.zeros((batch, 2, 1)),
        WAVELENGTHS,
        first,
        step,
        WEAKEST,
    )
    averaged = BINNING if coarse else 1
    for i in np.flatnonzero(rng.random(batch) < recipe.background):
        out[i] += paper_background(points, rng)
    low, high = recipe.uniform_noise
    if high > 0:
        out += rng.uniform(low, high, (averaged, batch, points)).mean(axis=0, dtype=np.float32)
    if recipe.noise[1] > 0:
        _add_noise(out, recipe, averaged, rng)
    largest = out.max(axis=1, keepdims=True)
    return np.divide(out, largest, out=out, where=largest > 0)


def _strains(
    structures: StructureSet,
    members: NDArray[np.int64],
    recipe: Recipe,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Strains (B, 2, 6) that keep the symmetry of each structure."""
    sigma = recipe.strain * np.exp(rng.uniform(np.log(1 / 3), np.log(4), (len(members), 1, 1)))
    free = sigma * rng.standard_normal((*members.shape, 6))
    strains = np.einsum("bmij,bmj->bmi", structures.strain[members], free)
    strains[..., 3:] *= np.sqrt(0.5)  # from Mandel's notation
    return np.ascontiguousarray(strains)


def _conditions(
    structures: StructureSet,
    members: NDArray[np.int64],
    recipe: Recipe,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Conditions (B, 2, 13) in the order of `xrd/_lines_kernel.py`; one instrument for both."""
    batch = len(members)
    rows = np.zeros((batch, 2, kernels.CONDITIONS))
    low, high = recipe.fwhm
    fwhm = (
        np.exp(rng.uniform(np.log(low), np.log(high), batch))
        if recipe.fwhm_log
        else rng.uniform(low, high, batch)
    )
    of_instrument = {
        kernels.FWHM: fwhm,
        kernels.ZERO: rng.uniform(-1, 1, batch) * recipe.zero_shift,
        kernels.DISPLACEMENT: rng.uniform(-1, 1, batch) * recipe.displacement,
        kernels.K_ALPHA2: rng.random(batch) < recipe.k_alpha2,
        kernels.STRAIN_WIDTH: rng.random(batch) * recipe.strain_width,
        kernels.SIZE_WIDTH: rng.random(batch) * recipe.size_width,
        kernels.LORENTZIAN: rng.random(batch) * recipe.lorentzian,
    }
    for column, values in of_instrument.items():
        rows[:, :, column] = values[:, None]
    shape = members.shape
    rows[:, :, kernels.SCALE] = 1 + recipe.scale * rng.standard_normal(shape)
    march = np.clip(np.exp(-0.1 + 0.35 * rng.standard_normal(shape)), 0.35, 1.6)
    rows[:, :, kernels.TEXTURE] = np.where(rng.random(shape) < recipe.texture, march, 1.0)
    counts = np.diff(structures.offsets)[members]
    rows[:, :, kernels.AXIS] = np.floor(np.minimum(counts, AXES) * rng.random(shape) ** 2)
    rows[:, :, kernels.B_FACTOR] = rng.random(shape) * recipe.debye_waller
    rows[:, :, kernels.JITTER] = rng.random(shape) * recipe.jitter
    rows[:, 0, kernels.SHARE] = 1.0
    rows[:, 1, kernels.SHARE] = 0.2 * rng.random(batch) ** 2
    return rows


def _add_noise(
    out: NDArray[np.float32], recipe: Recipe, averaged: int, rng: np.random.Generator
) -> None:
    """Noise with an offset, growing with the signal as counting noise does, clipped at zero."""
    batch = len(out)
    low, high = recipe.noise
    sigma = np.exp(rng.uniform(np.log(low), np.log(high), (batch, 1))).astype(np.float32)
    # Signal at which counting noise is as strong as the constant part.
    equal = np.exp(rng.uniform(np.log(0.01), np.log(1.0), (batch, 1))).astype(np.float32)
    offset = (recipe.noise_offset * rng.random((batch, 1))).astype(np.float32) * sigma
    # What a subtracted background leaves behind: noise that is stronger where it was.
    theta = np.linspace(0, 1, out.shape[1], dtype=np.float32)
    center, width = rng.uniform(0, 0.5, (batch, 1)), rng.uniform(0.05, 0.3, (batch, 1))
    height = 3 * rng.random((batch, 1)) ** 3
    hump = (height * np.exp(-(((theta - center) / width) ** 2))).astype(np.float32)
    noise = rng.standard_normal(out.shape, np.float32)
    noise *= np.sqrt(1 + hump + out / equal) * (sigma / np.float32(np.sqrt(averaged)))
    out += noise
    out += offset
    np.maximum(out, 0, out=out)


def _truncated_normal(
    rng: np.random.Generator, mean: float, sigma: float, low: float, high: float
) -> float:
    while True:
        value = rng.normal(mean, sigma)
        if low <= value <= high:
            return float(value)


def paper_background(points: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Background of Appendix A of Vecsei et al. (2019) on `points` steps of theta in [0, 1].

    Each of four functions with probability 1/2, T = 0.1 over their number: a step down near the
    left edge and a step up near the right one, h / (1 + exp(a (theta - theta_step))) and its
    mirror (h truncated normal in [0, T], mean T/3, standard deviation T/7; a in U(10, 60);
    theta_step within 1/7 of the edge); the modulus of a polynomial (n_max 0 to 4, each a_n zero
    with probability 1/2, else 3 T / (2 (n_max + 1)) U(-1, 1)); a bump h (n theta)^2 exp(-n theta)
    (h truncated normal in [0, 3T/5], mean 2T/5, standard deviation 3T/35; n in U(40, 70)).

    Returns
    -------
    (points,) float32 array
        Zero where none is chosen.
    """
    theta = np.linspace(0, 1, points, dtype=np.float32)
    total = np.zeros(points, np.float32)
    falls, rises, polynomial, bump = (rng.random(4) < 0.5).tolist()
    number = falls + rises + polynomial + bump
    if number == 0:
        return total
    t = 0.1 / number
    if falls:
        h = _truncated_normal(rng, t / 3, t / 7, 0, t)
        total += h / (1 + np.exp(rng.uniform(10, 60) * (theta - rng.uniform(0, 1 / 7))))
    if rises:
        h = _truncated_normal(rng, t / 3, t / 7, 0, t)
        total += h / (1 + np.exp(-rng.uniform(10, 60) * (theta - rng.uniform(6 / 7, 1))))
    if polynomial:
        degree = int(rng.integers(5))
        coefficients = 1.5 * t / (degree + 1) * rng.uniform(-1, 1, degree + 1)
        coefficients[rng.random(degree + 1) < 0.5] = 0
        total += np.abs(np.polynomial.polynomial.polyval(theta, coefficients)).astype(np.float32)
    if bump:
        h = _truncated_normal(rng, 2 * t / 5, 3 * t / 35, 0, 3 * t / 5)
        x = rng.uniform(40, 70) * theta
        total += h * x**2 * np.exp(-x)
    return total
