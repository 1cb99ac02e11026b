"""What a window costs at the least: operations and bytes of each stage, and the machine's rates.

Counts are of the algorithms as they are, per window of N atoms; a multiply-add is two operations,
a sine with its cosine 25. ``benchmarks/speed.py`` sets them beside what is reached.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

__all__ = ["Rates", "count", "timed"]

SINCOS = 25
PIXELS = 64
VIEWS = 5  # six, two of which are one and its quarter turn
FILTER = 12 * PIXELS * (PIXELS + 10)  # taps times pixels, along one axis
#: Of the half axis of the S(q) map at its usual step (1 / d), and pairs (i, j) within its ball.
HALF, PAIRS = 9, 73
#: Bragg peaks climbed to, reflections of the lattice in reach, Newton steps of each.
PEAKS, REFLECTIONS, STEPS = 10, 8, 4


def timed(work: Callable[[], object], repeats: int = 3) -> float:
    """Median of several timings, seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def count(net: Any, atoms: float) -> dict[str, dict[str, float]]:
    """Operations and bytes moved of each stage, for a window of so many atoms."""
    candidates = 2.6 * atoms  # points of the cubes that a ball touches, 2.5 cubes to a radius
    amplitude = atoms * (SINCOS + 16)
    lattice = {
        "first shell": 2 * atoms**2 / 2 * 8,
        "S(q) map": 3 * 16 * atoms * SINCOS + 2 * PAIRS * 2 * (4 * HALF + 12) * atoms,
        "peaks and basis": (PEAKS * STEPS + REFLECTIONS * 3) * amplitude,
        "coherence": REFLECTIONS * atoms * (SINCOS + 8 + 2 * 14),
    }
    fingerprint = {
        "tables": VIEWS * atoms * (2 * PIXELS * SINCOS + 12 * PIXELS),
        "products": VIEWS * 3 * 2 * PIXELS**2 * atoms,
        "resampling": VIEWS * 2 * 2 * 2 * FILTER,
    }
    return {
        "windows": {"operations": 8 * candidates, "bytes": 24 * candidates + 20 * atoms},
        "lattice": {"operations": sum(lattice.values()), "bytes": 12 * atoms + 300, **lattice},
        "fingerprint": {
            "operations": sum(fingerprint.values()),
            "bytes": 12 * atoms + 4 * 3 * PIXELS**2,
            **fingerprint,
        },
        "network": {
            "operations": 2 * multiply_adds(net.classifier.network),
            "bytes": 2 * 4 * 3 * PIXELS**2,
        },
    }


def multiply_adds(network: Any) -> float:
    """Multiply-adds of a Keras network for one image."""
    total = 0
    for layer in network.layers:
        weights = layer.get_weights()
        if not weights or weights[0].ndim not in (2, 4):
            continue
        places = int(np.prod(layer.output.shape[1:-1])) if weights[0].ndim == 4 else 1
        total += weights[0].size * places
    return float(total)


class Rates:
    """What this machine does in a second, measured: one core, and all of them."""

    def __init__(self) -> None:
        from ase_crystalnet._compute.threads import share, thread_count
        from ase_crystalnet._compute.tiles import LANES

        self.cores = thread_count(None)
        self.lanes = LANES
        share(_products, 64 * self.cores, self.cores)  # compiles
        repeats = 2000
        flops = 2 * 64 * 64 * 256 * repeats
        self.operations_one = flops / timed(lambda: _products(0, repeats), 5)
        everyone = timed(lambda: share(_products, repeats * self.cores, self.cores), 5)
        self.operations_all = flops * self.cores / everyone
        block = np.ones(2**25, np.float32)
        into = np.empty_like(block)
        self.bytes_one = 2 * block.nbytes / timed(lambda: np.copyto(into, block), 5)

    def seconds(self, operations: float, moved: float) -> float:
        """Least time of so many operations and bytes, all cores."""
        return max(operations / self.operations_all, moved / self.bytes_one)

    def __str__(self) -> str:
        return (
            f"{self.operations_one / 1e9:.0f} GFLOP/s on one core and "
            f"{self.operations_all / 1e9:.0f} on {self.cores} (float32 products in registers, "
            f"{self.lanes} lanes), copying {self.bytes_one / 1e9:.0f} GB/s"
        )


def _products(start: int, stop: int) -> None:
    from ase_crystalnet._compute.tiles import product

    left, right = np.ones((2, 256, 64), np.float32)
    out = np.empty((64, 64), np.float32)
    extents = np.full(16, 4)
    for _ in range(start, stop):
        product(left, right, 0, 256, extents, out)
