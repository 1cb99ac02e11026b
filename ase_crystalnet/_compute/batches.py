"""Checks of a batch of windows: positions (B, N, 3) and what comes with each atom, (B, N)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from ase_crystalnet._compute.types import Float32
from ase_crystalnet.errors import InputError

__all__ = ["checked_positions", "first_atoms", "per_atom"]


def checked_positions(positions: ArrayLike) -> NDArray[Any]:
    """Positions of windows as an array, its type left alone.

    Parameters
    ----------
    positions : (B, N, 3) array

    Raises
    ------
    InputError
        The shape is another.
    """
    points = np.asarray(positions)
    if points.ndim != 3 or points.shape[2] != 3:
        raise InputError(
            f"expected positions of shape (B, N, 3), got {points.shape}; "
            "for a single window give positions[None]"
        )
    return points


def per_atom(
    name: str, values: ArrayLike | None, shape: tuple[int, ...], dtype: DTypeLike, default: Any
) -> NDArray[Any]:
    """One value per atom, of a given type; the default everywhere where nothing is given.

    Parameters
    ----------
    name : str
        For the error.
    values : array, optional
    shape : (int, int)
        (B, N) of the positions.
    dtype : data type
    default : scalar

    Raises
    ------
    InputError
        The shape is not that of the positions.
    """
    if values is None:
        return np.full(shape, default, dtype)
    array = np.asarray(values)
    if array.shape != shape:
        raise InputError(
            f"expected {name} of shape {shape}, got {array.shape}; "
            "give one entry per atom of positions"
        )
    return array.astype(dtype, copy=False)


def first_atoms(positions: ArrayLike, mask: ArrayLike) -> tuple[Float32, NDArray[np.int64]]:
    """Contiguous positions, and how many atoms lead each row; the rest of a row is padding.

    Parameters
    ----------
    positions : (B, N, 3) array
    mask : (B, N) bool array
        True for atoms, which come first in each row.

    Returns
    -------
    positions : (B, N, 3) float32 array
    counts : (B,) int64 array

    Raises
    ------
    InputError
        A shape does not fit, or atoms do not come first in their rows.
    """
    points = checked_positions(np.ascontiguousarray(positions, np.float32))
    present = per_atom("mask", mask, points.shape[:2], bool, True)
    counts = np.count_nonzero(present, axis=1).astype(np.int64)
    if not np.array_equal(present, np.arange(present.shape[1]) < counts[:, None]):
        raise InputError(
            "expected a mask that is True for the first atoms of each row, then False; "
            "got another order: sort the atoms of a row, those present first"
        )
    return points, counts
