"""Plane normals of many windows gathered into poles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import poisson

from ase_crystalnet._compute.types import Array
from ase_crystalnet.atom_probe.search.findings import WindowFindings
from ase_crystalnet.atom_probe.search.planes import PlaneFinder
from ase_crystalnet.errors import InputError

__all__ = ["Pole", "find_poles"]

#: Planes of a pole have spacings within this share of each other.
SPACING_TOLERANCE = 0.08


@dataclass(frozen=True, eq=False)
class Pole:
    """Planes of one spacing and normal that several windows show (see docs/glossary.md).

    Attributes
    ----------
    normal : (3,) array
        Mean normal, z >= 0.
    spacing, spacing_spread : float
        Mean and standard deviation over the windows, Angstrom.
    spread : float
        Root mean square angle of the windows' normals to the mean, degrees.
    windows : (n,) int64 array
        Indices of the windows.
    independent : int
        Number of them that share no ions.
    expected : float
        Number of independent windows that false alarms alone would put here.
    p_value : float
        Probability of that number of windows at any normal and spacing.
    contrast : float
        Mean over the windows.
    """

    normal: Array
    spacing: float
    spacing_spread: float
    spread: float
    windows: NDArray[np.int64]
    independent: int
    expected: float
    p_value: float
    contrast: float


def find_poles(
    centers: Array,
    found: WindowFindings,
    *,
    finder: PlaneFinder | None = None,
    tolerance: float = 8.0,
    apart: float | None = None,
    least: int = 2,
) -> list[Pole]:
    """Gather significant plane normals into poles, the least likely by chance first.

    Parameters
    ----------
    centers : (B, 3) array
        Of the windows, Angstrom.
    found : WindowFindings
        Of these windows; all significant peaks count, not only the strongest of each.
    finder : PlaneFinder, optional
        With which they were found: its false alarms are what chance puts into a pole. Default: one
        with default parameters.
    tolerance : float
        Largest angle between a normal and its pole, degrees.
    apart : float, optional
        Centres this far apart have windows that share no ions, Angstrom; by default twice the
        distance between neighbouring centres.
    least : int
        Fewest independent windows of a pole.

    Raises
    ------
    InputError
        If the centres are not those of the findings.
    """
    centers = np.asarray(centers, np.float64)
    if centers.shape != (len(found), 3):
        raise InputError(f"centers have shape {centers.shape}; expected ({len(found)}, 3)")
    if not 0.0 < tolerance < 90.0:
        raise InputError(f"tolerance={tolerance!r} is not between 0 and 90 degrees")
    window, peak = np.nonzero(np.isfinite(found.wave_vectors[..., 0]))
    if len(window) == 0:
        return []
    if apart is None:
        apart = 2 * _neighbor_distance(centers)
    q = found.wave_vectors[window, peak]
    strength = found.strengths[window, peak]
    size = np.linalg.norm(q, axis=1)
    normal = q / size[:, None]
    left = np.ones(len(q), bool)
    cosine = np.cos(np.deg2rad(tolerance))
    finder = finder or PlaneFinder()
    poles = []
    while left.any():
        # The pole around the peak that has most others near it.
        rows = np.flatnonzero(left)
        near = _alike(normal[rows], size[rows], normal[rows], size[rows], cosine)
        seed = rows[np.argmax(near @ strength[rows])]
        axis, length = normal[seed], size[seed]
        for _ in range(4):
            inside = rows[
                _alike(normal[rows], size[rows], axis[None], np.array([length]), cosine)[:, 0]
            ]
            if len(inside) == 0:
                inside = np.array([seed])
                break
            signed = normal[inside] * np.sign(normal[inside] @ axis)[:, None]
            axis = (signed * strength[inside, None]).sum(axis=0)
            axis /= np.linalg.norm(axis)
            length = float(np.average(size[inside], weights=strength[inside]))
        left[inside] = False
        left[seed] = False
        poles.append(_pole(axis, inside, window, q, found, centers, apart, cosine, finder))
    poles = [pole for pole in poles if pole.independent >= least]
    return sorted(poles, key=lambda pole: (pole.p_value, -len(pole.windows)))


def _alike(a: Array, size_a: Array, b: Array, size_b: Array, cosine: float) -> NDArray[np.bool_]:
    """Which peaks (A, B) have the same normal and spacing within the tolerances."""
    spacing = np.abs(np.log(size_a[:, None] / size_b[None])) < SPACING_TOLERANCE
    return np.asarray((np.abs(a @ b.T) > cosine) & spacing)


def _neighbor_distance(centers: Array) -> float:
    if len(centers) < 2:
        return 0.0
    return float(np.median(cKDTree(centers).query(centers, k=2)[0][:, 1]))


def _independent(centers: Array, apart: float) -> int:
    """Size of a set of centres that are all farther apart than `apart`, taken in order."""
    chosen: list[Array] = []
    for center in centers:
        if all(np.linalg.norm(center - other) >= apart * (1 - 1e-6) for other in chosen):
            chosen.append(center)
    return len(chosen)


def _pole(
    axis: Array,
    inside: NDArray[np.int64],
    window: NDArray[np.int64],
    q: Array,
    found: WindowFindings,
    centers: Array,
    apart: float,
    cosine: float,
    finder: PlaneFinder,
) -> Pole:
    size = np.linalg.norm(q[inside], axis=1)
    spacing = 2 * np.pi / size
    along = np.clip(np.abs(q[inside] @ axis) / size, 0, 1)
    members = np.unique(window[inside])
    independent = _independent(centers[members], apart)
    # Of the false alarms, the share in this cap and range of spacings: they lie evenly over the
    # volume of q, and by direction as the finder spends them. The largest |q| seen stands for the
    # end of the range searched.
    largest = float(np.linalg.norm(q, axis=1).max())
    shell = min(1.0, 6 * SPACING_TOLERANCE * (float(size.mean()) / largest) ** 3)
    share = min(1.0, (1 - cosine) * shell * finder.alarm_density(axis))
    alarms = finder.false_alarm * len(found) * independent / len(members)
    chance = float(poisson.sf(independent - 1, alarms * share))
    p_value = -np.expm1(np.log1p(-min(chance, 1 - 1e-12)) / share)
    contrast = found.contrast[members]
    return Pole(
        normal=axis * (-1.0 if axis[2] < 0 else 1.0),
        spacing=float(spacing.mean()),
        spacing_spread=float(spacing.std()),
        spread=float(np.rad2deg(np.sqrt(np.mean(np.arccos(along) ** 2)))),
        windows=members,
        independent=independent,
        expected=alarms * share,
        p_value=float(p_value),
        contrast=float(np.mean(contrast)),
    )
