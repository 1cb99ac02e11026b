"""Planar interfaces between solid and liquid: two of them in a periodic cell.

Across an interface the share f of a window that is crystal falls from 1 to 0 over the width of a
window. The amplitude of a Bragg peak grows with f and its intensity, the Bragg order, with f^2,
beside the order that a liquid has by chance. So the root of the order above that of the liquid is
the profile of the crystal seen through the window, and the place where it is half way between its
two levels is the interface, whatever the size of the window.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import OptimizeWarning, curve_fit

from ase_crystalnet.errors import InputError
from ase_crystalnet.melting.verdict import solid_probability

if TYPE_CHECKING:
    from ase import Atoms

    from ase_crystalnet.results.frame import FrameAnalysis
    from ase_crystalnet.results.method import Method

__all__ = ["Interfaces", "find_interfaces", "fit_interfaces"]

#: Levels of the profile must differ by so many times the scatter about the fit.
CONTRAST = 3.0
#: Bins of a profile for each radius of a window.
BINS = 5
#: Least width of an interface, in radii of a window.
SHARPEST = 0.2
#: Quantile of the order of the bins that is taken for the liquid's.
LIQUID = 0.1


@dataclass(frozen=True)
class Interfaces:
    """The two interfaces of a slab of crystal in its melt, or why there are none.

    Attributes
    ----------
    axis : int
        Cell vector that runs from one to the other; they are normal to its reciprocal vector.
    length : float, Angstrom
        Of the cell along the normal.
    low, high : float, Angstrom
        Where the crystal begins and ends along the normal; it lies between them, across the face
        of the cell where `low` is larger. nan without interfaces.
    error : float, Angstrom
        Standard error of each.
    width : float, Angstrom
        Of the tanh: what is seen of it is mostly the window.
    area : float, Angstrom^2
        Of each interface.
    solid_fraction : float
        Share of the structure that is solid, by its classes; known without interfaces, too.
    reason : str
        Why there are none; empty if there are.
    profile : (2, B) array
        Place along the normal (Angstrom) and root of the order above the liquid's, as fitted.
    """

    axis: int
    length: float
    low: float
    high: float
    error: float
    width: float
    area: float
    solid_fraction: float
    reason: str
    profile: NDArray[np.float64]

    @property
    def found(self) -> bool:
        """Whether there are two interfaces."""
        return not self.reason

    @property
    def thickness(self) -> float:
        """Of the crystal, Angstrom; nan without interfaces."""
        return float((self.high - self.low) % self.length) if self.found else float("nan")

    @property
    def thickness_error(self) -> float:
        """Standard error of it, Angstrom."""
        return float(np.sqrt(2.0) * self.error)

    def __repr__(self) -> str:
        share = f"{100 * self.solid_fraction:.1f} % solid"
        if not self.found:
            return f"Interfaces: none ({self.reason}); {share}"
        return (
            f"Interfaces: crystal from {self.low:.2f} to {self.high:.2f} +- {self.error:.2f} "
            f"Angstrom of {self.length:.2f} along {'abc'[self.axis]}; {share}"
        )


def find_interfaces(
    atoms: Atoms,
    analyzer: Method,
    *,
    axis: int | None = None,
    spacing: float | None = None,
) -> Interfaces:
    """Find the interfaces of a two-phase cell.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic along the normal of the interfaces.
    analyzer : CrystalNet
        A model of windows that has the class of disordered structures.
    axis : int, optional
        Cell vector along which the phases alternate; by default the one along which they do most.
    spacing : float, optional
        Of the grid of windows, Angstrom; by default 1.5 cube roots of an atom's volume.

    Raises
    ------
    InputError
        The structure cannot be used.
    """
    if spacing is None:
        spacing = 1.5 * (atoms.cell.volume / max(len(atoms), 1)) ** (1 / 3)
        if not spacing > 0:
            raise InputError("interfaces: expected a cell with three vectors; set cell and pbc")
    frame = analyzer.analyze(atoms, centers="grid", spacing=spacing)
    return fit_interfaces(frame, atoms, axis=axis)


def fit_interfaces(frame: FrameAnalysis, atoms: Atoms, *, axis: int | None = None) -> Interfaces:
    """The interfaces by the windows of an analysis, which must lie all over the cell.

    Parameters
    ----------
    frame : FrameAnalysis
    atoms : ase.Atoms
        The structure it is of.
    axis : int, optional
        As of `find_interfaces`.

    Raises
    ------
    InputError
        The cell is not periodic along the axis, or has no volume.
    """
    cell = atoms.cell.array
    if atoms.cell.rank < 3:
        raise InputError("interfaces: expected a cell with three vectors; set cell and pbc")
    if axis is not None and not (axis in (0, 1, 2) and atoms.pbc[axis]):
        raise InputError(f"axis: expected a periodic direction (0 to 2), got {axis}")
    if not atoms.pbc.any():
        raise InputError("interfaces: expected a periodic direction, got none; set pbc")
    of_atoms = solid_probability(frame.atom_probabilities, frame.classes)
    share = float(np.nanmean(of_atoms)) if np.isfinite(of_atoms).any() else float("nan")
    solid = solid_probability(frame.probabilities, frame.classes).astype(np.float64)
    fractional = np.linalg.solve(cell.T, frame.centers.T).T % 1.0
    values = frame.order.astype(np.float64)
    known = np.isfinite(values) & np.isfinite(solid) & ~frame.sparse
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    radius = float(np.median(frame.radius[known])) if known.any() else float("nan")
    best: Interfaces | None = None
    most = -1.0
    for each in (axis,) if axis is not None else np.flatnonzero(atoms.pbc):
        length = float(heights[each])
        empty = Interfaces(
            axis=int(each),
            length=length,
            low=float("nan"),
            high=float("nan"),
            error=float("nan"),
            width=float("nan"),
            area=abs(float(np.linalg.det(cell))) / length,
            solid_fraction=share,
            reason="no window has enough atoms",
            profile=np.empty((2, 0)),
        )
        found, contrast = _of_axis(
            fractional[known, each] * length, values[known], solid[known], length, radius, empty
        )
        if contrast > most:
            best, most = found, contrast
    assert best is not None
    return best


def _of_axis(
    places: NDArray[np.float64],
    values: NDArray[np.float64],
    solid: NDArray[np.float64],
    length: float,
    radius: float,
    empty: Interfaces,
) -> tuple[Interfaces, float]:
    """Fit of the profile along one axis, and how far it rises and falls."""

    def none(reason: str, profile: NDArray[np.float64]) -> Interfaces:
        return replace(empty, reason=reason, profile=profile)

    if not len(places):
        return empty, 0.0
    bins = max(int(BINS * length / radius), 1)
    middle, order = _binned(places, values, length, bins)
    mean = np.sqrt(np.maximum(order - np.quantile(order, LIQUID), 0.0))
    profile = np.array([middle, mean])
    if length < 4 * radius:
        reason = f"the cell is {length:.0f} Angstrom long, windows are {2 * radius:.0f} wide"
        return none(reason, profile), 0.0
    contrast = float(np.ptp(mean))
    likely = _binned(places, solid, length, bins)[1]
    if not likely.min() < 0.5 < likely.max():
        kind = "solid" if likely.min() >= 0.5 else "liquid"
        return none(f"one phase: it is {kind} all along", profile), contrast
    try:
        start = _guess(middle, mean, length, radius)
        with warnings.catch_warnings():
            # No covariance: it is infinite, and refused below.
            warnings.simplefilter("ignore", OptimizeWarning)
            fitted, covariance = curve_fit(
                lambda z, *p: _slab(z, length, *p),
                middle,
                mean,
                start,
                # Nothing is sharper than a window sees it: a step between two bins has no place.
                bounds=(
                    [-np.inf, 0.0, SHARPEST * radius, -1.0, 0.0],
                    [np.inf, length / 2, length, 1.0, 2.0],
                ),
            )
    except (RuntimeError, ValueError):
        return none("the profile is none of a slab", profile), contrast
    center, half, width, bottom, top = fitted
    width = abs(width)
    scatter = float(np.std(mean - _slab(middle, length, *fitted)))
    if not (top - bottom > CONTRAST * max(scatter, 0.01) and top - bottom > 0.1):
        return none("one phase: the order is the same all along", profile), contrast
    # In a phase that no window fits into, its level is not seen, and the fit saturates.
    if min(2 * half, length - 2 * half) < 2 * radius + width:
        return none("one phase is thinner than a window", profile), contrast
    # Neighbouring bins are seen through the same windows: so many of them count as one.
    shared = max(1.0, 2 * radius * len(mean) / length)
    error = float(np.sqrt(shared * (covariance[0, 0] + covariance[1, 1])))
    if not error < radius:
        return none("the profile does not tell where they are", profile), contrast
    found = replace(
        empty,
        low=float((center - half) % length),
        high=float((center + half) % length),
        error=error,
        width=float(width),
        reason="",
        profile=profile,
    )
    return found, contrast


def _slab(
    z: NDArray[np.float64],
    length: float,
    center: float,
    half: float,
    width: float,
    bottom: float,
    top: float,
) -> NDArray[np.float64]:
    """Two tanh steps about a centre, periodic."""
    away = np.abs((z - center + length / 2) % length - length / 2)
    # The images on both sides, so that it is smooth where the cell begins anew.
    inside = np.tanh((half - away) / width) + np.tanh((half - length + away) / width) + 1
    return bottom + (top - bottom) * 0.5 * (1 + np.clip(inside, -1, 1))


def _guess(
    middle: NDArray[np.float64], mean: NDArray[np.float64], length: float, radius: float
) -> list[float]:
    """Centre of the crystal by the phase of the first harmonic, the rest by the levels."""
    bottom, top = np.quantile(mean, [0.1, 0.9])
    wave = np.exp(2j * np.pi * middle / length)
    center = float(np.angle(np.sum((mean - mean.mean()) * wave)) / (2 * np.pi) * length)
    share = float(np.clip(np.mean(mean > (bottom + top) / 2), 0.01, 0.99))
    return [center, share * length / 2, radius / 2, float(bottom), float(top)]


def _binned(
    places: NDArray[np.float64], values: ArrayLike, length: float, bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean place and mean value of the bins that have any."""
    index = np.minimum((places / length * bins).astype(int), bins - 1)
    counts = np.bincount(index, minlength=bins)
    has = counts > 0
    sums = [np.bincount(index, weights=w, minlength=bins)[has] for w in (places, values)]
    return sums[0] / counts[has], sums[1] / counts[has]
