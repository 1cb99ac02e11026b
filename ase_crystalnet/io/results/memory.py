"""What an observer remembers, kept in its result file so that it goes on as if never stopped.

Layout, in group ``memory``: two rows of `state`, written by turns, each with the number of frames
it belongs to; and a ring of the `latest` values, one row longer than what is looked back on. So
what belongs to the last complete frame is still there while the next one is being written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import h5py

__all__ = ["MEMORY", "Memory", "create_memory", "read_memory", "write_memory"]

#: The datasets.
MEMORY = ("memory/state", "memory/latest")
_CHUNK = 8192
_HEAD = 3  # frames, length of the state, number of rows of the ring that count


@dataclass(frozen=True)
class Memory:
    """What is remembered after a frame.

    Attributes
    ----------
    state : ndarray, shape (L,), float64
        Any length, which may change from frame to frame.
    latest : ndarray, shape (R, M), float32
        The latest rows, oldest first; for writing, the newest alone is enough.
    rows : int
        How many of them count, R.
    """

    state: NDArray[np.float64]
    latest: NDArray[np.float32]
    rows: int

    @property
    def nbytes(self) -> int:
        """Bytes that it can take in a file at most."""
        longest = self.latest.shape[-1]
        states = 2 * 8 * (_HEAD + len(self.state) + _CHUNK)
        return int(states + 4 * (self.rows + 2) * (longest + _CHUNK))


def create_memory(file: h5py.File, window: int) -> None:
    """Make room in a new file for looking back on `window` frames, 0 for none."""
    shapes = ((2, _HEAD), np.float64), ((window + 1, 0), np.float32)
    for name, (shape, kind) in zip(MEMORY, shapes, strict=True):
        file.create_dataset(
            name, shape=shape, maxshape=(shape[0], None), chunks=(1, _CHUNK), dtype=kind
        )


def write_memory(file: h5py.File, memory: Memory, frames: int) -> None:
    """Write what is remembered after so many frames; what was before stays until the next time."""
    state, latest = (file[name] for name in MEMORY)
    head = (frames, len(memory.state), memory.rows)
    row = np.concatenate([np.array(head, np.float64), memory.state])
    _widen(state, len(row))
    state[frames % 2, : len(row)] = row
    if memory.rows:
        newest = memory.latest[-1]
        _widen(latest, len(newest))
        latest[frames % len(latest), : len(newest)] = newest


def read_memory(state: Any, latest: Any, frames: int) -> Memory | None:
    """What was remembered after so many frames; None if that is not there.

    Parameters
    ----------
    state, latest : h5py.Dataset
    frames : int
        Complete frames of the file.
    """
    row = np.asarray(state[frames % 2], np.float64)
    held, length, rows = (int(value) for value in row[:_HEAD])
    width, ring = latest.shape[1], latest.shape[0]
    if frames == 0 or held != frames or _HEAD + length > len(row) or not 0 <= rows < max(ring, 1):
        return None
    places = [number % ring for number in range(frames - rows + 1, frames + 1)]
    values = np.array([latest[place] for place in places], np.float32).reshape(rows, width)
    return Memory(row[_HEAD : _HEAD + length], values, rows)


def _widen(data: h5py.Dataset, width: int) -> None:
    """Never narrower: what belongs to the frame before is still needed."""
    if width > data.shape[1]:
        data.resize(width, axis=1)
