"""One measured powder pattern: checks, background, conversion to the grid of the classifiers.

Whatever wavelength, range and step a diffractometer used, the classifiers see 8,500 points from 5
to 90 degrees two-theta with Cu K-alpha. Conversion keeps |g| = 2 sin(theta) / wavelength, the
areas of lines, and undoes the Lorentz-polarization factor of the one angle for that of the other.
What cannot be converted (a part that was not measured) is zero, with a remark.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.pattern import (
    POINTS,
    STEP,
    TWO_THETA,
    WAVELENGTH,
)

__all__ = ["BALL_WIDTH", "Scan", "subtract_background"]

#: Fewer points make no pattern.
FEWEST_POINTS = 50
#: Degrees of two-theta on the classifiers' axis below which a pattern is not classified.
LEAST_COVERED = 20.0
#: Wavelengths this near to Cu K-alpha are taken as it: stated are K-alpha 1 (1.54056), the mean
#: (1.5418) or anything between, while the lines lie where copper puts them.
COPPER_TOLERANCE = 0.002
#: Half width of the rolling ball, degrees: wider than any line, narrower than any hump of glass.
BALL_WIDTH = 1.0
#: A step wider than this smears lines, degrees.
COARSEST_STEP = 0.12


def subtract_background(
    intensity: ArrayLike, step: float = STEP, width: float = BALL_WIDTH
) -> NDArray[np.float64]:
    """What stands above the background: a morphological opening, smoothed (the rolling ball).

    Kneen and Annegarn, Nucl. Instrum. Methods B 109/110, 209 (1996). Measured patterns whose
    background was subtracted before change by nothing but their noise floor.

    Parameters
    ----------
    intensity : (..., M) array
        Along an axis with equal steps.
    step : float
        Of the axis, degrees.
    width : float
        Half width of the ball, degrees; wider than the lines at their feet.

    Returns
    -------
    (..., M) float64 array
        Not below zero.
    """
    from scipy.ndimage import maximum_filter1d, minimum_filter1d, uniform_filter1d

    y = np.asarray(intensity, np.float64)
    size = 2 * max(round(width / step), 1) + 1
    floor = maximum_filter1d(minimum_filter1d(y, size, axis=-1), size, axis=-1)
    return np.maximum(y - uniform_filter1d(floor, size // 2 + 1, axis=-1), 0.0)


@dataclass(frozen=True)
class Scan:
    """A measured powder pattern as its file gives it.

    Attributes
    ----------
    two_theta : (M,) float64 array
        Ascending, degrees.
    intensity : (M,) float64 array
        Any unit.
    wavelength : float
        Angstrom; Cu K-alpha 1 by default.
    name : str
        What messages call it, usually the file.
    notes : tuple of str
        What was noticed when it was read, in words; part of `remarks`.
    assumed : bool
        Whether the wavelength is nowhere stated and was taken for granted.

    Raises
    ------
    InputError
        It cannot be a powder pattern: few points, angles that do not rise, are no degrees or are
        not numbers, intensities that are zero, not numbers or constant, or too little of the range
        the classifiers know.
    """

    two_theta: NDArray[np.float64]
    intensity: NDArray[np.float64]
    wavelength: float = WAVELENGTH
    name: str = "pattern"
    notes: tuple[str, ...] = ()
    assumed: bool = False

    def __post_init__(self) -> None:
        x = np.asarray(self.two_theta, np.float64)
        y = np.asarray(self.intensity, np.float64)
        object.__setattr__(self, "two_theta", x)
        object.__setattr__(self, "intensity", y)
        problem = _shape_problem(x, y) or _angle_problem(x) or _intensity_problem(y)
        if problem:
            raise InputError(f"{self.name}: {problem}")
        if not (np.isfinite(self.wavelength) and 0.1 <= self.wavelength <= 5):
            raise InputError(
                f"{self.name}: wavelength {self.wavelength} Angstrom; expected 0.1 to 5 "
                "(1.5406 is Cu K-alpha, 0.7093 Mo K-alpha)"
            )
        low, high = self.covered
        if high - low < LEAST_COVERED:
            raise InputError(
                f"{self.name}: angles {x[0]:g} to {x[-1]:g} at {self.wavelength:g} Angstrom cover "
                f"{max(high - low, 0):.1f} degrees of the {TWO_THETA[0]:g} to {TWO_THETA[-1]:.0f} "
                f"(Cu K-alpha) the classifiers know; at least {LEAST_COVERED:g} are needed. Is the "
                "axis two-theta in degrees (not theta, Q or d), and the wavelength right?"
            )

    @property
    def is_copper(self) -> bool:
        """Whether the wavelength is Cu K-alpha, to what such statements are worth."""
        return abs(self.wavelength / WAVELENGTH - 1) < COPPER_TOLERANCE

    @property
    def as_copper(self) -> NDArray[np.float64]:
        """Angles (M,) where Cu K-alpha would have put the same lattice planes; inf beyond 180."""
        if self.is_copper:
            return self.two_theta
        sine = np.sin(np.radians(self.two_theta / 2)) * (WAVELENGTH / self.wavelength)
        reached = sine < 1
        return np.where(reached, 2 * np.degrees(np.arcsin(np.where(reached, sine, 0))), np.inf)

    @property
    def covered(self) -> tuple[float, float]:
        """First and last angle on the classifiers' axis that was measured, degrees."""
        angles = self.as_copper
        angles = angles[np.isfinite(angles)]
        if not len(angles):
            return TWO_THETA[0], TWO_THETA[0]
        return max(float(angles[0]), TWO_THETA[0]), min(float(angles[-1]), TWO_THETA[-1])

    @property
    def remarks(self) -> tuple[str, ...]:
        """What the user should know about the conversion, in words."""
        said = list(self.notes)
        if not self.is_copper:
            said.append(f"converted from {self.wavelength:g} Angstrom to Cu K-alpha")
        low, high = self.covered
        gaps = []
        if low > TWO_THETA[0] + 2:
            gaps.append(f"below {low:.1f}")
        if high < TWO_THETA[-1] - 2:
            gaps.append(f"above {high:.1f}")
        if gaps:
            said.append(
                f"not measured {' and '.join(gaps)} degrees (Cu K-alpha): taken as without lines "
                "there; the network was trained on 5 to 90"
            )
        beyond = self.as_copper
        outside = (beyond < TWO_THETA[0] - STEP) | (beyond > TWO_THETA[-1] + STEP)
        if outside.any():
            said.append("what lies outside 5 to 90 degrees (Cu K-alpha) is not used")
        step = float(np.median(np.diff(beyond[np.isfinite(beyond)])))
        if step > COARSEST_STEP:
            said.append(f"steps of {step:.2f} degrees are coarse: lines closer than that are one")
        return tuple(said)

    def on_grid(self, background: bool = True) -> NDArray[np.float32]:
        """The pattern the classifiers are shown.

        Parameters
        ----------
        background : bool
            Subtract the background first.

        Returns
        -------
        (8500,) float32 array
            Intensities at `TWO_THETA`, Cu K-alpha, largest value 1; zero where not measured.

        Raises
        ------
        InputError
            Nothing stands above the background.
        """
        near = (self.as_copper > TWO_THETA[0] - 1) & (self.as_copper < TWO_THETA[-1] + 1)
        x, y = self.as_copper[near], self.intensity[near]
        if not self.is_copper:
            theirs, ours = np.radians(self.two_theta[near] / 2), np.radians(x / 2)
            # Areas stay: the same counts on an axis stretched by d(two-theta ours)/d(theirs).
            stretch = np.cos(theirs) / np.cos(ours) * (WAVELENGTH / self.wavelength)
            y = y * _lorentz_polarization(ours) / _lorentz_polarization(theirs) / stretch
        # Finer steps are averaged, not sampled: the integral of the counts is interpolated.
        steps = np.diff(x)
        integral = np.concatenate([[0.0], np.cumsum((y[1:] + y[:-1]) / 2 * steps)])
        edges = np.concatenate([TWO_THETA - STEP / 2, [TWO_THETA[-1] + STEP / 2]])
        if np.median(steps) > 0.75 * STEP:
            grid = np.interp(TWO_THETA, x, y)
        else:
            grid = np.diff(np.interp(edges, x, integral)) / STEP
        low, high = self.covered
        inside = np.abs(TWO_THETA - (low + high) / 2) <= (high - low + STEP) / 2
        if background:
            grid[inside] = subtract_background(grid[inside])
        grid = np.where(inside, np.maximum(grid, 0), 0)
        largest = float(grid.max())
        if not largest > 0:
            raise InputError(
                f"{self.name}: nothing stands above the background between {low:.1f} and "
                f"{high:.1f} degrees; expected lines"
            )
        return np.asarray((grid / largest)[:POINTS], np.float32)


def _shape_problem(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    if x.ndim != 1 or x.shape != y.shape:
        return f"angles {x.shape} and intensities {y.shape}; expected two equally long lists"
    if len(x) < FEWEST_POINTS:
        return f"{len(x)} points; expected a scan in small steps, {FEWEST_POINTS} points at least"
    bad = ~(np.isfinite(x) & np.isfinite(y))
    if bad.any():
        return (
            f"{int(bad.sum())} of {len(x)} points are not numbers (the first is point "
            f"{int(bad.argmax()) + 1}); remove them"
        )
    return ""


def _angle_problem(x: NDArray[np.float64]) -> str:
    falls = np.flatnonzero(np.diff(x) <= 0)
    if len(falls):
        i = int(falls[0])
        return (
            f"angles do not rise: {x[i]:g} is followed by {x[i + 1]:g} (point {i + 2}); expected "
            "one scan with two-theta ascending"
        )
    if x[0] < 0 or x[-1] > 180:
        hint = " (hundredths of degrees?)" if 180 < x[-1] <= 18000 and x[0] >= 100 else ""
        return f"angles {x[0]:g} to {x[-1]:g}; expected two-theta in degrees, 0 to 180{hint}"
    if x[-1] <= np.pi:
        return (
            f"angles {x[0]:g} to {x[-1]:g} look like radians or 1/d; expected two-theta in degrees"
        )
    return ""


def _intensity_problem(y: NDArray[np.float64]) -> str:
    if not (y != 0).any():
        return "all intensities are zero; expected counts"
    if (y < 0).all():
        return "all intensities are negative; expected counts"
    if y.max() == y.min():
        return f"all intensities are {y[0]:g}; expected lines"
    return ""


def _lorentz_polarization(theta: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of a powder diffractometer without monochromator, by theta in radians."""
    sine, cosine = np.sin(theta), np.cos(theta)
    return np.asarray((1 + np.cos(2 * theta) ** 2) / (sine**2 * cosine))
