"""Heaps of words in an HDF5 file, looked through before HDF5 reads them.

HDF5 (1.14.6, `H5HG__cache_heap_deserialize`) goes through a global heap collection object by
object, and stays for ever at a free one whose size is zero, as in a heap that was zeroed.
"""

from __future__ import annotations

import mmap
import os

from ase_crystalnet.errors import InputError

__all__ = ["check_heaps"]

_MARK = b"GCOL\x01\0\0\0"
_HEAD = 16  # bytes before the objects, and before the content of each
#: Attributes come first in a file: heaps are looked for up to here.
_FAR = 64 * 2**20


def check_heaps(path: str | os.PathLike[str]) -> None:
    """Refuse a file with a heap that HDF5 would not come out of.

    Raises
    ------
    InputError
        It has one.
    """
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return
        with mmap.mmap(file.fileno(), min(size, _FAR), access=mmap.ACCESS_READ) as content:
            begin = content.find(_MARK)
            while begin >= 0:
                if not _ends(content, begin):
                    raise InputError(
                        f"{path}: damaged, it cannot be read (a heap of words at {begin} is broken)"
                    )
                begin = content.find(_MARK, begin + 1)


def _ends(content: mmap.mmap, begin: int) -> bool:
    """Whether the objects of a collection lead to its end."""
    size = int.from_bytes(content[begin + 8 : begin + 16], "little")
    end = begin + size
    if end > len(content):  # cut off: HDF5 says so, or these are not the bytes of a heap
        return True
    place = begin + _HEAD
    while place + _HEAD <= end:
        number = int.from_bytes(content[place : place + 2], "little")
        length = int.from_bytes(content[place + 8 : place + 16], "little")
        # That of a free object has its head in it; others fill up to eight bytes.
        step = _HEAD + -(-length // 8) * 8 if number else length
        if step == 0 or place + step > end:
            return False
        place += step
    return True
