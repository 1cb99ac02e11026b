"""ASE's own binary trajectories (``.traj``), looked at before ASE allocates what they promise.

The layout (`ase.io.ulm`): a head of 24 bytes, then version, number of items and place of the table
of places, all int64; an item is a length and so many bytes of JSON, in which an array is
``{"ndarray": [shape, dtype, place]}``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import IO, Any

import numpy as np

from ase_crystalnet.inputs import check_plain, open_plain
from ase_crystalnet.io.trajectories.formats import FrameError

__all__ = ["check_item", "check_table"]

_HEAD = 24
_DAMAGED = "damaged, it states more than the file holds"


def check_table(source: str) -> None:
    """Refuse a file whose table of items, or whose first item, does not lie inside it.

    Raises
    ------
    FrameError
        It does not.
    """
    with open_plain(source) as file:
        count = _table(file, check_plain(source))[1]
    if count:
        check_item(source, 0)


def check_item(source: str, number: int) -> None:
    """Refuse an item that states arrays beyond the end of the file.

    Raises
    ------
    FrameError
        It does.
    """
    size = check_plain(source)
    with open_plain(source) as file:
        start, count = _table(file, size)
        if not number < count:
            raise FrameError(_DAMAGED)
        for each in {0, number}:  # the first one has what all have in common
            file.seek(start + 8 * each)
            place = _integer(file)
            if not 0 <= place <= size - 8:
                raise FrameError(_DAMAGED)
            file.seek(place)
            length = _integer(file)
            if not 0 <= length <= size - place - 8:
                raise FrameError(_DAMAGED)
            for entry in _arrays(json.loads(file.read(length))):
                _check_array(entry, size)


def _table(file: IO[bytes], size: int) -> tuple[int, int]:
    """Place and number of entries of the table of items."""
    file.seek(_HEAD)
    _, count, start = (_integer(file) for _ in range(3))
    if count < 0 or start < 0 or start + 8 * count > size:
        raise FrameError(_DAMAGED)
    return start, count


def _integer(file: IO[bytes]) -> int:
    data = file.read(8)
    if len(data) < 8:
        raise FrameError("cut short")
    return int.from_bytes(data, "little", signed=True)


def _arrays(content: Any) -> Iterator[Any]:
    """What stands for arrays in the JSON of an item, at any depth."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name.rstrip(".") == "ndarray":
                yield value
            yield from _arrays(value)
    elif isinstance(content, list):
        for value in content:
            yield from _arrays(value)


def _check_array(entry: Any, size: int) -> None:
    # With a place in the file it is of three parts; of others the content stands in the JSON.
    if not (isinstance(entry, list) and len(entry) == 3 and isinstance(entry[2], int)):
        return
    shape, kind, place = entry
    length = math.prod(shape) * np.dtype(kind).itemsize
    if any(not isinstance(side, int) or side < 0 for side in shape) or place < 0:
        raise FrameError(_DAMAGED)
    if place + length > size:
        raise FrameError(_DAMAGED)
