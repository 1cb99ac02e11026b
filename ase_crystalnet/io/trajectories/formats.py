"""Which format a trajectory file has, and which of our readers takes it."""

from __future__ import annotations

import importlib
import io
import lzma
import os
import re
import zlib
from collections.abc import Callable
from typing import IO, Any, cast

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import check_plain, open_plain

__all__ = [
    "DAMAGE",
    "MARK",
    "MOLECULAR",
    "FrameError",
    "as_we_call_it",
    "format_of",
    "is_compressed",
    "open_compressed",
    "reader_of",
]

_HEAD = 4096
#: What some editors put before a text to say that it is UTF-8: no part of it.
MARK = b"\xef\xbb\xbf"
#: What a damaged .gz, .bz2 or .xz file makes its reader raise.
DAMAGE = (EOFError, OSError, ValueError, zlib.error, lzma.LZMAError)


#: Suffixes of trajectories that chemfiles reads, and our names of their formats.
MOLECULAR = {
    ".dcd": "dcd",
    ".xtc": "xtc",
    ".trr": "trr",
    ".trj": "trj",
    ".tng": "tng",
}
_NETCDF = (".nc", ".ncdf", ".netcdf", ".ncrst")
#: What people call formats, and what ASE does.
_CALLED = {
    "lammps": "lammps-dump-text",
    "dump": "lammps-dump-text",
    "lammpstrj": "lammps-dump-text",
    "lammps-dump": "lammps-dump-text",
    "lammps-yaml": "lammps-dump-yaml",
    "data": "lammps-data",
    "poscar": "vasp",
    "xdatcar": "vasp-xdatcar",
    "outcar": "vasp-out",
    "vasprun": "vasp-xml",
    "gro": "gromacs",
    "pdb": "proteindatabank",
    "netcdftrajectory": "netcdf",
    "amber": "netcdf",
}


class FrameError(ValueError):
    """What is wrong with a frame, in our own words."""


def as_we_call_it(format: str) -> str:
    """Name of a format for one that users may give it."""
    return _CALLED.get(format.lower(), format)


def format_of(source: str, format: str | None) -> str:
    """ASE's name of the file's format, also where only the content tells a LAMMPS data file.

    Raises
    ------
    InputError
        If the file is empty, no plain file, or its format is not recognised.
    FileNotFoundError, IsADirectoryError, PermissionError
        If it cannot be opened.
    """
    from ase.io.formats import UnknownFileTypeError, filetype, get_ioformat

    # Not recognised is what can be looked at: that a file may not be read is said as such.
    open_plain(source).close()
    if format is not None:
        return as_we_call_it(format)
    if source.lower().endswith(".gsd"):
        return "gsd"
    if check_plain(source) and _suffix(source) in _NETCDF:
        return "netcdf"
    if check_plain(source) and (molecular := MOLECULAR.get(_suffix(source))):
        return molecular
    try:
        with open_compressed(source) as file:
            head = file.read(_HEAD).removeprefix(MARK).decode(errors="replace")
    except DAMAGE:
        head = ""  # binary or damaged: the name has to tell
    if re.search(r"^[ \t]*\d+[ \t]+atoms\b", head, re.M) and re.search(
        r"\b(?:xlo\s+xhi|avec)\b", head
    ):
        return "lammps-data"
    if head.startswith(("ITEM: TIMESTEP", "ITEM: UNITS", "ITEM: TIME")):
        return "lammps-dump-text"
    if head.startswith("---") and re.search(r"^timestep:", head, re.M) and "LAMMPS" in head:
        return "lammps-dump-yaml"
    if re.match(r"#F\s+[AbBlL]\b", head):
        return "imd"
    if check_plain(source) == 0:
        raise InputError(f"{source}: the file is empty")
    try:
        try:
            name = _filetype(source)
        except (EOFError, zlib.error, lzma.LZMAError):
            # A compressed file, cut short or damaged: its beginning may still be read.
            name = str(filetype(_without_zst(source), read=False))
        get_ioformat(name)
    except (UnknownFileTypeError, *DAMAGE) as error:
        raise InputError(
            f"{source}: format not recognised; name it as ASE does, for example format "
            "extxyz, lammps-dump-text, lammps-data, vasp or traj (`ase info --formats` lists them)"
        ) from error
    return name


def _filetype(source: str) -> str:
    """ASE's guess, also of what ASE does not unpack."""
    from ase.io.formats import filetype

    if not source.lower().endswith(".zst"):
        return str(filetype(source))
    with open_compressed(source) as file:
        head = io.BytesIO(file.read(50_000))
    head.name = _without_zst(source)
    return str(filetype(cast(Any, head)))


def _without_zst(source: str) -> str:
    return source[:-4] if source.lower().endswith(".zst") else source


def _suffix(source: str) -> str:
    return os.path.splitext(source)[1].lower()


def reader_of(format: str) -> str:
    """Which reader takes a format: one of the values here, or "ase"."""
    if format in MOLECULAR.values():
        return "molecular"
    return {
        "extxyz": "xyz",
        "xyz": "xyz",
        "lammps-dump-text": "dump",
        "gsd": "gsd",
        "traj": "traj",
        "lammps-dump-yaml": "yaml",
        "lammps-data": "text",
        "imd": "text",
        "netcdf": "netcdf",
    }.get(format, "ase")


def open_compressed(source: str) -> IO[Any]:
    """Open a file for reading bytes; .gz, .bz2, .xz and .zst are unpacked on the way."""
    from ase.io.formats import open_with_compression

    check_plain(source)
    if source.lower().endswith(".zst"):
        return cast(IO[Any], io.BufferedReader(_open_zst(source)))
    file = open_with_compression(source, "rb")
    # Python's own readers of compressed files are slow at giving out lines.
    return cast(IO[Any], io.BufferedReader(file)) if is_compressed(source) else file


def is_compressed(source: str) -> bool:
    """Whether `open_compressed` has to unpack, so that going back means starting anew."""
    from ase.io.formats import get_compression

    return get_compression(source)[1] is not None or source.lower().endswith(".zst")


def _open_zst(source: str) -> Any:
    """A raw stream of what a .zst file holds, its frames one after the other."""
    try:
        zstandard = importlib.import_module("zstandard")
    except ImportError as error:
        raise InputError(
            f"{source}: .zst files need the package zstandard (pip install zstandard, or the "
            "extra files)"
        ) from error
    unpacker = zstandard.ZstdDecompressor(max_window_size=2**27)
    return _Zst(
        lambda: unpacker.stream_reader(open_plain(source), read_across_frames=True, closefd=True),
        zstandard.ZstdError,
    )


class _Zst(io.RawIOBase):
    """Bytes of a .zst file; what is wrong with it is an `OSError`."""

    def __init__(self, start: Callable[[], Any], error: type[Exception]) -> None:
        self._start, self._error = start, error
        self._reader, self._place = start(), 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._reader.read(len(buffer))
        except self._error as error:
            raise OSError(f"a damaged .zst file ({error})") from error
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Forwards by reading; backwards by beginning anew."""
        if whence == io.SEEK_END:
            raise io.UnsupportedOperation("the end of a .zst file is not known")
        target = offset + (self._place if whence == io.SEEK_CUR else 0)
        if target < self._place:
            self._reader.close()
            self._reader, self._place = self._start(), 0
        while self._place < target and self.readinto(bytearray(min(2**18, target - self._place))):
            pass
        return self._place

    def close(self) -> None:
        if not self.closed:
            self._reader.close()
        super().close()
