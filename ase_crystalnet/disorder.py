"""Lindemann parameter: over the frames of a trajectory, streaming, or from one frame alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["snapshot_lindemann"]


def snapshot_lindemann(
    mean_square_displacement: NDArray[Any], nearest_neighbor_distance: NDArray[Any]
) -> NDArray[np.float64]:
    """Lindemann parameter of single windows: sqrt(3 msd) / d_nn.

    Parameters
    ----------
    mean_square_displacement : ndarray, shape (W,), Angstrom^2
        Per Cartesian component, as the Debye-Waller fall of the Bragg peaks gives it.
    nearest_neighbor_distance : ndarray, shape (W,), Angstrom

    Returns
    -------
    ndarray, shape (W,)
        nan where either is nan or not positive.
    """
    msd = np.asarray(mean_square_displacement, dtype=np.float64)
    distance = np.asarray(nearest_neighbor_distance, dtype=np.float64)
    good = (msd >= 0) & (distance > 0)
    out = np.full(np.broadcast(msd, distance).shape, np.nan)
    np.divide(np.sqrt(3 * msd, where=good, out=np.zeros_like(out)), distance, out=out, where=good)
    return out
