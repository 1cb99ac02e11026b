"""Structure factor along one direction, averaged over windows: planes too weak for one window."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError

__all__ = ["mean_spectrum"]


def mean_spectrum(
    positions: NDArray[np.float32],
    mask: NDArray[np.bool_],
    axis: ArrayLike,
    spacings: ArrayLike,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean over windows of S(q) = |sum_j exp(-i q.x_j)|^2 / N for q along one direction.

    Parameters
    ----------
    positions : (B, N, 3) array
        Angstrom.
    mask : (B, N) bool array
        True for ions.
    axis : (3,) array
        Direction of q, of any length.
    spacings : (M,) array
        Interplanar spacings 2 pi / |q|, Angstrom.

    Returns
    -------
    mean, error : (M,) float64 arrays
        Mean S, 1 for ions at random; its standard error, nan for one window.

    Raises
    ------
    InputError
        If there is no window, a window holds no ion, or the axis is no direction.
    """
    direction = np.asarray(axis, np.float64)
    length = float(np.linalg.norm(direction))
    count = np.count_nonzero(mask, axis=1)
    if len(mask) == 0 or (count == 0).any():
        raise InputError("spectrum: wanted one window at least, and ions in each")
    if direction.shape != (3,) or not 0.0 < length < np.inf:
        raise InputError(f"spectrum: axis={direction.tolist()} is no direction in space")
    heights = np.asarray(positions, np.float32) @ (direction / length).astype(np.float32)
    weight = mask.astype(np.float32)
    values = np.empty((len(mask), np.size(spacings)))
    for i, spacing in enumerate(np.asarray(spacings, np.float64).ravel()):
        phase = heights * np.float32(2 * np.pi / spacing)
        real = np.einsum("bn,bn->b", np.cos(phase), weight)
        imaginary = np.einsum("bn,bn->b", np.sin(phase), weight)
        values[:, i] = (real**2 + imaginary**2) / count
    if len(values) == 1:
        return values[0], np.full(values.shape[1], np.nan)
    return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(len(values))
