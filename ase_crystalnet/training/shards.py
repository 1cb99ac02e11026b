"""Training windows on disk, in shards that a resumed run finds again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.whole_files import whole_file, write_whole
from ase_crystalnet.lattice.finder import Lattices

__all__ = ["keep_recipe", "pad_windows", "read_shards", "write_shard"]


def pad_windows(windows: Sequence[Array]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Windows (n, 3) as positions (B, N, 3) and mask (B, N)."""
    counts = np.array([len(w) for w in windows])
    positions = np.zeros((len(windows), counts.max(), 3), np.float32)
    for row, window in zip(positions, windows, strict=True):
        row[: len(window)] = window
    return positions, np.arange(counts.max()) < counts[:, None]


def keep_recipe(out: Path, record: Mapping[str, Any]) -> None:
    """Write down what the windows of a folder are made from, or check that they are made from it.

    Raises
    ------
    InputError
        The folder holds windows of another recipe or seed.
    """
    text = json.dumps(record, indent=1)
    kept = out / "recipe.json"
    if kept.exists() and kept.read_text() != text:
        raise InputError(f"{out} holds windows of another recipe or seed: choose another folder")
    write_whole(kept, text)


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
    with whole_file(out / f"shard{index:04d}.npz") as part:
        np.savez(part, images=images, targets=np.array([t for _, t in drawn], np.float32))
    return index


def read_shards(folder: Path, count: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Images (B, 64, 64, 3) and targets (B, 8) of the first `count` shards."""
    images, targets = [], []
    for i in range(count):
        with np.load(folder / f"shard{i:04d}.npz") as shard:
            images.append(shard["images"])
            targets.append(shard["targets"])
    return np.concatenate(images), np.concatenate(targets)
