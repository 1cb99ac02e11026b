"""From windows to atoms: which windows speak for an atom, and their weighted mean."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.threads import share
from ase_crystalnet.windows.windower import PreparedSystem

__all__ = ["blend", "window_weights"]

#: Windows blended for an atom that has none of its own, and how far they speak, in radii. In the
#: default grid an atom is at most 0.61 radii from a centre.
GRID_NEIGHBORS = 8
GRID_REACH = 0.75


def window_weights(
    prepared: PreparedSystem,
    points: NDArray[np.float64],
    center_indices: NDArray[np.int64],
    sparse: NDArray[np.bool_],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Weights (N, K) and windows (N, K) that speak for each atom; -1 and 0 where none does.

    An atom with a window of its own is spoken for by it alone; others by their nearest centres
    within `GRID_REACH` of a window's radius, with a Gaussian as wide as atoms are from them.
    """
    total = len(prepared.given)
    own = np.full(total, -1, np.int64)
    at_atom = np.flatnonzero(center_indices >= 0)
    own[center_indices[at_atom]] = at_atom
    if (own >= 0).all() or len(points) == 0:
        return np.where(own[:, None] >= 0, 1.0, 0.0), own[:, None]
    usable = np.flatnonzero(~sparse)
    count = min(GRID_NEIGHBORS, len(usable))
    if count == 0:
        return np.zeros((total, 1)), np.full((total, 1), -1, np.int64)
    reach = GRID_REACH * prepared.radii(points[usable])
    nearest, distance = prepared.nearest_centers(points[usable], count, float(reach.max()))
    near = (nearest >= 0) & (distance <= reach[nearest])
    closest = distance[near[:, 0], 0]
    width = max(float(np.median(closest)), 1e-6) if len(closest) else 1.0
    first = np.where(near[:, :1], distance[:, :1], 0.0)
    # Where no window is near there is no distance either, and the exponent would overflow.
    excess = np.where(near, np.where(near, distance, 0.0) ** 2 - first**2, 0.0)
    weights = np.where(near, np.exp(-0.5 * excess / width**2), 0.0)
    windows = np.where(near, usable[nearest], -1)
    mine = own >= 0
    weights[mine] = 0.0
    weights[mine, 0] = 1.0
    windows[mine, 0] = own[mine]
    return weights, windows


def blend(
    values: NDArray[Any], weights: NDArray[np.float64], windows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Weighted means (N, C) of window values (W, C); nan where no window speaks."""
    from ase_crystalnet.local._blending_kernel import weighted_rows  # compiled on first use

    values = np.ascontiguousarray(values, np.float32)
    out = np.empty((len(windows), values.shape[1]), np.float32)
    share(
        lambda start, stop: weighted_rows(values, weights, windows, start, stop, out),
        len(out),
        None,
    )
    return out
