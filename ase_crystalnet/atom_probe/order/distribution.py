"""Pair correlations of species: spatial distribution maps along one direction and in all three.

Of every ion of one species, where are the ions of another about it? Along the normal of planes the
counts peak at their spacings (z-SDM: Geiser et al., Microsc. Microanal. 13, 437 (2007)); an ordered
phase shows as a species that repeats at twice the spacing. Fourier amplitudes hold the same
information of all pairs at once (`OrderFinder`); these show it to the eye.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError

__all__ = ["spatial_distribution", "spatial_distribution_3d"]


def _pairs(
    positions: NDArray[np.floating],
    around: NDArray[np.bool_] | None,
    of: NDArray[np.bool_] | None,
    reach: float,
) -> Array:
    """Vectors (P, 3) from ions to others within a distance."""
    points = np.asarray(positions, np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise InputError(f"positions have shape {points.shape}; expected (N, 3)")
    chosen = [points if mask is None else points[mask] for mask in (around, of)]
    if not len(chosen[0]) or not len(chosen[1]):
        return np.empty((0, 3))
    found = cKDTree(chosen[0]).sparse_distance_matrix(
        cKDTree(chosen[1]), reach, output_type="ndarray"
    )
    found = found[found["v"] > 1e-9]
    return np.asarray(chosen[1][found["j"]] - chosen[0][found["i"]])


def spatial_distribution(
    positions: NDArray[np.floating],
    axis: ArrayLike = (0.0, 0.0, 1.0),
    *,
    around: NDArray[np.bool_] | None = None,
    of: NDArray[np.bool_] | None = None,
    lateral: float = 6.0,
    depth: float = 12.0,
    step: float = 0.1,
) -> tuple[Array, Array]:
    """Counts of neighbours along an axis (z-SDM), per ion.

    Parameters
    ----------
    positions : (N, 3) array
        Angstrom.
    axis : 3 floats
        Normal of the planes.
    around, of : (N,) bool arrays, optional
        Ions about which, and ions that are counted; default: all.
    lateral, depth : float
        Largest distances across and along the axis, Angstrom.
    step : float
        Of the bins, Angstrom.

    Returns
    -------
    distance : (M,) array
        Middles of the bins, Angstrom.
    count : (M,) array
        Neighbours in each, over the number of ions about which they are counted.

    Raises
    ------
    InputError
        If shapes do not fit, or the axis has no direction.
    """
    direction = np.asarray(axis, np.float64)
    if direction.shape != (3,) or not np.linalg.norm(direction) > 0:
        raise InputError(f"axis={axis!r} is not a direction (x, y, z)")
    direction = direction / np.linalg.norm(direction)
    pairs = _pairs(positions, around, of, float(np.hypot(lateral, depth)))
    along = pairs @ direction
    across = np.sqrt(np.maximum((pairs**2).sum(axis=1) - along**2, 0.0))
    bins = 2 * max(round(depth / step), 1) + 1
    edges = np.linspace(-depth - step / 2, depth + step / 2, bins + 1)
    count, _ = np.histogram(along[across < lateral], edges)
    centers = len(positions) if around is None else int(np.count_nonzero(around))
    return 0.5 * (edges[1:] + edges[:-1]), count / max(centers, 1)


def spatial_distribution_3d(
    positions: NDArray[np.floating],
    *,
    around: NDArray[np.bool_] | None = None,
    of: NDArray[np.bool_] | None = None,
    reach: float = 8.0,
    step: float = 0.5,
) -> tuple[Array, Array]:
    """Counts of neighbours in all three directions, per ion and volume.

    Parameters
    ----------
    positions : (N, 3) array
        Angstrom.
    around, of : (N,) bool arrays, optional
        As of `spatial_distribution`.
    reach : float
        Half of the edge of the cube that is counted, Angstrom.
    step : float
        Of the bins, Angstrom.

    Returns
    -------
    distance : (M,) array
        Middles of the bins along each axis, Angstrom.
    density : (M, M, M) array
        Ions in a cubic Angstrom at each vector from an ion.
    """
    pairs = _pairs(positions, around, of, float(np.sqrt(3.0) * reach))
    bins = 2 * max(round(reach / step), 1) + 1
    edges = np.linspace(-reach - step / 2, reach + step / 2, bins + 1)
    count, _ = np.histogramdd(pairs, (edges, edges, edges))
    centers = len(positions) if around is None else int(np.count_nonzero(around))
    volume = float(edges[1] - edges[0]) ** 3
    return 0.5 * (edges[1:] + edges[:-1]), count / (max(centers, 1) * volume)
