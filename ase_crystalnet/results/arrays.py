"""Arrays of results: shapes checked, means over what is known, numbers for tables."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError

__all__ = ["format_number", "mean_finite", "snapshot_lindemann", "validate_arrays"]


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


def mean_finite(values: NDArray[Any], axis: int | None = None) -> Any:
    """Mean over what is not nan, in float64; nan (without a warning) where nothing is left."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=RuntimeWarning)
        return np.nanmean(np.asarray(values, dtype=np.float64), axis=axis)


def format_number(value: float, digits: int = 3) -> str:
    """Return a number for a table; a dash for nan."""
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def validate_arrays(
    owner: Any, arrays: Mapping[str, tuple[Any, tuple[str | int, ...]]], sizes: dict[str, int]
) -> None:
    """Convert the named array fields of a frozen dataclass and check their shapes against sizes."""
    for name, (dtype, shape) in arrays.items():
        value = getattr(owner, name)
        if value is None and name == "lindemann":
            continue
        array = np.asarray(value)
        wanted = tuple(s if isinstance(s, int) else sizes[s] for s in shape)
        if array.shape != wanted:
            symbols = (
                "(" + ", ".join(str(s) for s in shape) + ("," if len(shape) == 1 else "") + ")"
            )
            raise InputError(
                f"{type(owner).__name__}.{name}: wanted shape {symbols} = {wanted}, "
                f"given {array.shape}"
            )
        object.__setattr__(owner, name, array.astype(dtype, copy=False))
