"""Spectra averaged over windows, and two controls: jittered windows, and bursts thinned out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError

__all__ = ["burst_ions", "jittered", "mean_spectrum"]


def mean_spectrum(
    positions: NDArray[np.float32],
    mask: NDArray[np.bool_],
    *,
    axis: ArrayLike = (0.0, 0.0, 1.0),
    spacings: ArrayLike,
) -> tuple[Array, Array]:
    """Mean of S over windows, along one direction.

    The phase of planes differs from window to window, so intensities are averaged: planes with the
    same normal and spacing stand out of the noise as the square root of the number of windows.

    Parameters
    ----------
    positions : (B, N, 3) array
        Angstrom.
    mask : (B, N) bool array
        True for ions.
    axis : 3 floats
        Normal of the planes.
    spacings : (M,) array
        Interplanar spacings, Angstrom.

    Returns
    -------
    mean : (M,) array
        1 for independent ions; nan where there is no window.
    error : (M,) array
        Standard error from the scatter of the windows; nan for fewer than two.

    Raises
    ------
    InputError
        If the axis has no direction or a spacing is not positive.
    """
    direction = np.asarray(axis, np.float64)
    d = np.asarray(spacings, np.float64)
    if direction.shape != (3,) or not np.linalg.norm(direction) > 0:
        raise InputError(f"axis={axis!r} is not a direction (x, y, z)")
    if d.ndim != 1 or not (d > 0).all():
        raise InputError("spacings must be a list of positive lengths in Angstrom")
    depth = positions @ (direction / np.linalg.norm(direction)).astype(np.float32)
    q = (2 * np.pi / d).astype(np.float32)
    each = []
    for row, inside in zip(depth, mask, strict=True):
        phase = np.outer(q, row[inside])
        if phase.shape[1]:
            each.append(
                (np.cos(phase).sum(axis=1) ** 2 + np.sin(phase).sum(axis=1) ** 2) / phase.shape[1]
            )
    if not each:
        return np.full(len(d), np.nan), np.full(len(d), np.nan)
    values = np.array(each, np.float64)
    error = (
        values.std(axis=0, ddof=1) / np.sqrt(len(values))
        if len(values) > 1
        else np.full(len(d), np.nan)
    )
    return values.mean(axis=0), error


def jittered(
    positions: NDArray[np.float32],
    mask: NDArray[np.bool_],
    distance: float,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Windows of which every ion is moved at random: a control without planes.

    Parameters
    ----------
    positions : (B, N, 3) array
        Angstrom.
    mask : (B, N) bool array
        True for ions; the rest stays zero.
    distance : float
        Standard deviation per component, Angstrom. One distance between ions leaves slow changes
        of density and removes all planes that a search looks for.
    rng : numpy.random.Generator
    """
    if not distance >= 0:
        raise InputError(f"distance={distance!r} is not a length in Angstrom")
    moved = positions + (distance * rng.standard_normal(positions.shape)).astype(np.float32)
    result: NDArray[np.float32] = np.where(mask[..., None], moved, positions).astype(np.float32)
    return result


def burst_ions(
    positions: ArrayLike,
    *,
    neighbors: int = 10,
    lateral: float = 30.0,
    depth: float = 3.0,
) -> NDArray[np.bool_]:
    """Ions that left together with an earlier one: the control for planes along depth.

    An ion belongs to a burst if one of those detected just before it lies near it at the same
    depth. Without them (``positions[~burst_ions(positions)]``) planes of the crystal stay, at lower
    density; peaks that bursts made go.

    Parameters
    ----------
    positions : (N, 3) array
        All ions in the order of detection, Angstrom, depth along z.
    neighbors : int
        Ions detected before, which are compared with it.
    lateral, depth : float
        Largest distances across and along depth, Angstrom.

    Returns
    -------
    (N,) bool array
    """
    given = np.asarray(positions, np.float64)
    if given.ndim != 2 or given.shape[1] != 3:
        raise InputError(f"positions have shape {given.shape}; expected (N, 3)")
    burst = np.zeros(len(given), bool)
    for lag in range(1, min(neighbors, len(given) - 1) + 1):
        step = given[lag:] - given[:-lag]
        near = np.hypot(step[:, 0], step[:, 1]) < lateral
        burst[lag:] |= near & (np.abs(step[:, 2]) < depth)
    return burst
