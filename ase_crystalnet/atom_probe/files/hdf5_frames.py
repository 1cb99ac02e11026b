"""HDF5 files that others wrote: opened with care, and no array read that lies about its size."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import check_plain, reason_of
from ase_crystalnet.io.results.heaps import check_heaps

if TYPE_CHECKING:
    import h5py

__all__ = ["check_size", "open_frames"]

#: Bytes that a stored one can stand for at most, of the packings of HDF5.
_MOST_PACKED = 1100


def open_frames(path: Path) -> h5py.File:
    """Open for reading.

    Raises
    ------
    InputError
        If it is no HDF5 file, or a damaged one.
    """
    import h5py

    check_plain(path)
    check_heaps(path)
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise InputError(f"{path}: not a readable HDF5 file ({reason_of(error)})") from error


def check_size(path: Path, data: h5py.Dataset) -> None:
    """Refuse an array that says it is larger than what is stored of it can be."""
    stored = data.id.get_storage_size()
    size = int(data.size or 0) * data.dtype.itemsize
    if stored > path.stat().st_size or size > _MOST_PACKED * stored:
        raise InputError(f"{data.name} names {size} bytes, of which {stored} are stored")
