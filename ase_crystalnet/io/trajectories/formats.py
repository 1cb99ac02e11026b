"""Which format a trajectory file has, and which of our readers takes it."""

from __future__ import annotations

import io
import lzma
import re
import zlib
from typing import IO, Any, cast

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import check_plain, open_plain

__all__ = [
    "DAMAGE",
    "MARK",
    "FrameError",
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


class FrameError(ValueError):
    """What is wrong with a frame, in our own words."""


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
        return format
    if source.lower().endswith(".gsd"):
        return "gsd"
    try:
        with open_compressed(source) as file:
            head = file.read(_HEAD).removeprefix(MARK).decode(errors="replace")
    except DAMAGE:
        head = ""  # binary or damaged: the name has to tell
    if re.search(r"^[ \t]*\d+[ \t]+atoms\s*$", head, re.M) and re.search(r"\bxlo\s+xhi\b", head):
        return "lammps-data"
    if head.startswith("ITEM: TIMESTEP"):
        return "lammps-dump-text"
    if check_plain(source) == 0:
        raise InputError(f"{source}: the file is empty")
    try:
        try:
            name = str(filetype(source))
        except (EOFError, zlib.error, lzma.LZMAError):
            # A compressed file, cut short or damaged: its beginning may still be read.
            name = str(filetype(source, read=False))
        get_ioformat(name)
    except (UnknownFileTypeError, *DAMAGE) as error:
        raise InputError(
            f"{source}: format not recognised; name it as ASE does, for example format "
            "extxyz, lammps-dump-text, lammps-data, vasp or traj (`ase info --formats` lists them)"
        ) from error
    return name


def reader_of(format: str) -> str:
    """Which reader takes a format: "xyz", "dump", "gsd", "traj", or "ase" for all others."""
    return {
        "extxyz": "xyz",
        "xyz": "xyz",
        "lammps-dump-text": "dump",
        "gsd": "gsd",
        "traj": "traj",
    }.get(format, "ase")


def open_compressed(source: str) -> IO[Any]:
    """Open a file for reading bytes; .gz, .bz2 and .xz are unpacked on the way."""
    from ase.io.formats import open_with_compression

    check_plain(source)
    file = open_with_compression(source, "rb")
    # Python's own readers of compressed files are slow at giving out lines.
    return cast(IO[Any], io.BufferedReader(file)) if is_compressed(source) else file


def is_compressed(source: str) -> bool:
    """Whether `open_compressed` has to unpack, so that going back means starting anew."""
    from ase.io.formats import get_compression

    return get_compression(source)[1] is not None
