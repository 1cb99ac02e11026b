"""Arrays of results: checks of shapes, means over known values, numbers for tables."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.results.table import quantities_of

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
    """Mean over values that are not nan, in float64; nan, without a warning, if all are."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=RuntimeWarning)
        return np.nanmean(np.asarray(values, dtype=np.float64), axis=axis)


def format_number(value: float, digits: int = 3) -> str:
    """Return a number for a table; a dash for nan."""
    return "-" if np.isnan(value) else f"{value:.{digits}f}"


def validate_arrays(owner: Any, sizes: Mapping[str, int]) -> None:
    """Convert the quantities of a frozen dataclass and check their shapes against sizes.

    Raises
    ------
    InputError
        A shape does not fit.
    """
    for name, quantity in quantities_of(owner).items():
        value = getattr(owner, name)
        if value is None and quantity.optional:
            continue
        if value is None and not quantity.required:
            object.__setattr__(owner, name, quantity.empty(sizes))
            continue
        array = np.asarray(value)
        shape = quantity.shape
        wanted = tuple(s if isinstance(s, int) else sizes[s] for s in shape)
        if array.shape != wanted:
            symbols = f"({', '.join(str(s) for s in shape)}{',' if len(shape) == 1 else ''})"
            raise InputError(
                f"{type(owner).__name__}.{name}: expected shape {symbols} = {wanted}, "
                f"got {array.shape}"
            )
        object.__setattr__(owner, name, array.astype(quantity.dtype, copy=False))
