"""What is drawn for a training, as a hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ase_crystalnet.crystals.disordered import random_packing


def window_hash(drawn: Iterable[tuple[np.ndarray, np.ndarray]]) -> str:
    """Hash of windows and targets, to 1e-6: the last bits of a sine are the processor's."""
    result = hashlib.sha256()
    for pair in drawn:
        for array in pair:
            result.update(str(array.shape).encode())
            result.update(np.rint(1e6 * np.asarray(array, float)).astype("<i8").tobytes())
    return result.hexdigest()[:16]


def small_packing(calls: list[tuple[float, int]]) -> Callable[..., Any]:
    """`random_packing` in small, which notes the densities and sweeps it was asked for."""

    def small(density: float, rng: np.random.Generator, *, sweeps: int) -> Any:
        calls.append((float(density), sweeps))
        return random_packing(density, rng, atoms=150, sweeps=10)

    return small


def other_value(value: Any) -> Any:
    """Another number, or other numbers of a range, still sensible."""
    if isinstance(value, tuple):
        return tuple(other_value(one) for one in value)
    if isinstance(value, int):
        return value + 1
    return value + 0.07 if value < 0.7 else 0.85 * value
