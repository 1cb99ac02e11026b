"""Validation of the atoms handed to `ase_crystalnet.fingerprint.fingerprint`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError

HEAVIEST = 96  # xraydb's form factors end at 98, and Z + 2 is looked up


class AtomBatch:
    """Validated input of one call: arrays of equal leading shape and a species index per atom.

    Attributes
    ----------
    positions, weights
        (B, N, 3) and (B, N); float64 unless float32 came in.
    species
        (B, N) int32: index into `elements`, 0 throughout without them, -1 where masked.
    elements
        Sorted atomic numbers; empty where every atom scatters alike.
    """

    def __init__(
        self,
        positions: ArrayLike,
        mask: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        numbers: ArrayLike | None = None,
    ) -> None:
        points = np.asarray(positions)
        if points.ndim != 3 or points.shape[2] != 3:
            raise InputError(
                f"positions have shape {points.shape}; expected (windows, atoms, 3), "
                "for a single window positions[None]"
            )
        shape = points.shape[:2]
        if points.dtype != np.float32:
            points = points.astype(np.float64)
        present = _matching("mask", mask, shape, bool, True)
        self.windows = shape[0]
        self.weights: NDArray[Any] = _matching("weights", weights, shape, points.dtype, 1)
        if not (np.isfinite(points).all() and np.isfinite(self.weights).all()):
            # Padding may hold anything; it must not reach the sums.
            if not (
                np.isfinite(points[present]).all() and np.isfinite(self.weights[present]).all()
            ):
                raise InputError(
                    "positions or weights hold NaN or infinity; expected finite numbers"
                )
            points = np.where(present[..., None], points, 0)
            self.weights = np.where(present, self.weights, 0)
        self.positions: NDArray[Any] = points
        self.elements: tuple[int, ...] = ()
        species = np.zeros(shape, np.int32)
        if numbers is not None:
            charges = _matching("numbers", numbers, shape, np.int64, 0)
            self.elements = tuple(int(z) for z in np.unique(charges[present]))
            unknown = [z for z in self.elements if not 1 <= z <= HEAVIEST]
            if unknown:
                raise InputError(
                    f"numbers hold {unknown[0]}; form factors need atomic numbers 1 to {HEAVIEST}"
                )
            species = np.searchsorted(self.elements, charges).astype(np.int32)
        self.species = np.where(present, species, np.int32(-1))


def _matching(
    name: str, values: ArrayLike | None, shape: tuple[int, ...], dtype: Any, default: Any
) -> NDArray[Any]:
    """Return values as an array of the given shape and type, or one filled with the default."""
    if values is None:
        return np.full(shape, default, dtype)
    array = np.asarray(values)
    if array.shape != shape:
        raise InputError(
            f"{name} has shape {array.shape}; expected {shape}, one entry per atom of positions"
        )
    return array.astype(dtype, copy=False)
