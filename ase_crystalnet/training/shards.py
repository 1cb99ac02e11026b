"""Training windows on disk, in shards that a resumed run finds again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.lattice.finder import Lattices

__all__ = ["pad_windows", "read_shards", "write_shard"]


def pad_windows(windows: Sequence[Array]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Windows (n, 3) as positions (B, N, 3) and mask (B, N)."""
    counts = np.array([len(w) for w in windows])
    positions = np.zeros((len(windows), counts.max(), 3), np.float32)
    for row, window in zip(positions, windows, strict=True):
        row[: len(window)] = window
    return positions, np.arange(counts.max()) < counts[:, None]


def write_shard(
    index: int,
    out: Path,
    draw: Callable[[np.random.Generator], tuple[Array, Array]],
    fingerprint: Callable[..., tuple[NDArray[np.uint8], Lattices]],
    seed: int,
    size: int,
    together: int,
) -> int:
    """Draw the windows of one shard, by a seed of its own, and write their byte images and targets.

    `together` windows are turned into images at a time. Returns the shard's number.
    """
    rng = np.random.default_rng([seed, index])
    drawn = [draw(rng) for _ in range(size)]
    images = np.concatenate(
        [
            fingerprint([w for w, _ in drawn[i : i + together]], threads=1)[0]
            for i in range(0, size, together)
        ]
    )
    temporary = out / f"shard{index:04d}.part.npz"
    np.savez(temporary, images=images, targets=np.array([t for _, t in drawn], np.float32))
    temporary.replace(out / f"shard{index:04d}.npz")
    return index


def read_shards(folder: Path, count: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Images (B, 64, 64, 3) and targets (B, 8) of the first `count` shards."""
    images, targets = [], []
    for i in range(count):
        with np.load(folder / f"shard{i:04d}.npz") as shard:
            images.append(shard["images"])
            targets.append(shard["targets"])
    return np.concatenate(images), np.concatenate(targets)
