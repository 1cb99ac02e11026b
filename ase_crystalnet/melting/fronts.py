"""Fronts that move: their velocity in a run, and the temperature at which it vanishes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.melting.interfaces import Interfaces

__all__ = ["FrontMotion", "MeltingPoint", "front_motion", "melting_point"]

#: Metres a second of an Angstrom a picosecond.
M_PER_S = 100.0
#: Frames with two interfaces that a velocity needs.
LEAST = 4


@dataclass(frozen=True)
class FrontMotion:
    """How the crystal of a two-phase cell grew or shrank.

    Attributes
    ----------
    time : (F,) array, ps
    thickness, thickness_error : (F,) array, Angstrom
        nan in frames without two interfaces.
    solid_fraction : (F,) array
        Share of the atoms that is solid, by the classes.
    velocity : float, m/s
        Of one front; positive if the crystal grows. nan if it is not known.
    velocity_error : float, m/s
        Standard error of it.
    temperature : float, K
        Of the run; nan if it is not known.
    name : str
        Of the run.
    """

    time: NDArray[np.float64]
    thickness: NDArray[np.float64]
    thickness_error: NDArray[np.float64]
    solid_fraction: NDArray[np.float64]
    velocity: float
    velocity_error: float
    temperature: float = float("nan")
    name: str = ""

    @property
    def used(self) -> NDArray[np.bool_]:
        """Frames from which the velocity is, shape (F,)."""
        return np.isfinite(self.thickness)


@dataclass(frozen=True)
class MeltingPoint:
    """Where the line of velocity over temperature crosses zero.

    Attributes
    ----------
    temperature, error : float, K
    slope, slope_error : float, m/s/K
        Kinetic coefficient: velocity a kelvin of undercooling.
    chi2 : float
        Of the line, a degree of freedom; the errors are larger by its root where it is above one.
        nan of two runs.
    bracketed : bool
        The crystal grew in a run and shrank in another.
    """

    temperature: float
    error: float
    slope: float
    slope_error: float
    chi2: float
    bracketed: bool

    def __repr__(self) -> str:
        note = "" if self.bracketed else " (extrapolated: all runs are on one side of it)"
        return (
            f"melting point {self.temperature:.1f} +- {self.error:.1f} K, "
            f"{self.slope:.3g} +- {self.slope_error:.2g} m/s/K{note}"
        )


def front_motion(
    time: ArrayLike,
    interfaces: Sequence[Interfaces],
    *,
    temperature: float = float("nan"),
    name: str = "",
) -> FrontMotion:
    """Velocity of the fronts of a run.

    It is half the slope of the thickness over time, from the first frame with two interfaces to
    the last before they are gone for good. The thickness does not depend on where the crystal has
    drifted. Frames near to each other are alike; the error takes that into account.

    Parameters
    ----------
    time : (F,) array, ps
    interfaces : sequence of Interfaces
        One a frame.
    temperature : float, K, optional
    name : str, optional

    Raises
    ------
    InputError
        The times do not rise, or are not as many as the frames.
    """
    times = np.asarray(time, dtype=np.float64)
    if times.shape != (len(interfaces),):
        raise InputError(f"front: expected {len(interfaces)} times, got {times.shape}")
    if not (np.diff(times) > 0).all():
        raise InputError("front: expected times that rise from frame to frame; give --timestep")
    thickness = np.array([each.thickness for each in interfaces])
    error = np.array([each.thickness_error if each.found else np.nan for each in interfaces])
    share = np.array([each.solid_fraction for each in interfaces])
    known = np.isfinite(thickness)
    velocity = scatter = float("nan")
    if known.sum() >= LEAST:
        slope, scatter = _slope(times[known], thickness[known])
        velocity, scatter = slope / 2 * M_PER_S, scatter / 2 * M_PER_S
    return FrontMotion(times, thickness, error, share, velocity, scatter, temperature, name)


def melting_point(
    temperatures: ArrayLike, velocities: ArrayLike, errors: ArrayLike
) -> MeltingPoint:
    """Temperature at which the front stands still, by a line through the velocities.

    Parameters
    ----------
    temperatures : (R,) array, K
    velocities, errors : (R,) array, m/s
        Of the runs; runs without a velocity are left out.

    Raises
    ------
    InputError
        Fewer than two temperatures have a velocity, or it does not change between them.
    """
    T, v, e = (np.asarray(x, dtype=np.float64).ravel() for x in (temperatures, velocities, errors))
    known = np.isfinite(T) & np.isfinite(v) & np.isfinite(e)
    T, v, e = T[known], v[known], e[known]
    if len(np.unique(T)) < 2:
        raise InputError(
            f"melting point: expected runs of two temperatures with moving fronts, got {len(T)}"
        )
    # An error of zero, of frames that are alike to the digit, would rule out all other runs.
    e = np.maximum(e, max(1e-3 * np.abs(v).max(), 1e-12))
    middle = np.average(T, weights=e**-2)
    design = np.column_stack([np.ones_like(T), T - middle]) / e[:, None]
    covariance = np.linalg.inv(design.T @ design)
    at_middle, slope = covariance @ design.T @ (v / e)
    rest = len(T) - 2
    chi2 = float(np.sum((v / e - design @ [at_middle, slope]) ** 2) / rest) if rest else np.nan
    covariance = covariance * max(1.0, chi2 if rest else 1.0)
    if not abs(slope) > 0:
        raise InputError("melting point: the velocity is the same at all temperatures")
    away = -at_middle / slope
    # Var(a / b) with a = at_middle, b = slope, which are independent about the weighted mean.
    gradient = np.array([-1.0, -away]) / slope
    error = float(np.sqrt(gradient @ covariance @ gradient))
    return MeltingPoint(
        float(middle + away),
        error,
        float(-slope),
        float(np.sqrt(covariance[1, 1])),
        chi2,
        bool(v.min() < 0 < v.max()),
    )


def _slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Slope of a line and its standard error, with residuals that know of each other."""
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    rest = y - y.mean() - slope * away
    variance = float(rest @ rest) / max(len(x) - 2, 1) / float(away @ away)
    # Of a first-order autoregression; a short series cannot tell it from a drift near 1.
    alike = float(rest[1:] @ rest[:-1]) / max(float(rest @ rest), 1e-300)
    alike = min(max(alike, 0.0), 0.9)
    return slope, float(np.sqrt(variance * (1 + alike) / (1 - alike)))
