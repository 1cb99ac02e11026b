"""What a file is asked before a reader that trusts it is let loose on it.

Readers of ASE read a file at once, allocate what its head promises, and make do with what is
missing. Text is looked through first: lines of bounded length, no more atoms than lines, and a
cell where there are fractional coordinates.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO

from ase_crystalnet.inputs import LONGEST_LINE
from ase_crystalnet.io.trajectories.formats import (
    FrameError,
    is_compressed,
    open_compressed,
    reader_of,
)

__all__ = ["check_text", "check_unpacked"]

_BLOCK = 2**18
#: Atoms do not compress this well: what does is a bomb, if it is also large.
MOST_PACKED = 200
_HARMLESS = 2**28
#: The head of a text, where the stated numbers are.
_HEAD = 2**16
_CELL = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")


@dataclass(frozen=True)
class _Text:
    """A text file: its head, its number of lines, and what of a CIF was met in it."""

    head: str
    lines: int
    tags: frozenset[bytes]


def check_unpacked(source: str, size: int) -> None:
    """Refuse what has so many more bytes than the compressed file it comes from.

    Raises
    ------
    FrameError
        It has.
    """
    if size > _HARMLESS and is_compressed(source) and size > MOST_PACKED * os.path.getsize(source):
        raise FrameError(
            f"unpacks to {size / 1e6:.0f} MB and more, over {MOST_PACKED} times the file; unpack it"
        )


def check_text(source: str, format: str) -> None:
    """Look through a file that ASE is to read, if it is text.

    Raises
    ------
    FrameError
        A line has no end in sight, there are fewer lines than stated atoms, the file unpacks to far
        more than it is, or a CIF has fractional coordinates and lacks a part of the cell.
    """
    # ASE reads some text formats as bytes, CIF among them.
    if reader_of(format) == "ase" and format not in _CHECKS:
        from ase.io.formats import get_ioformat

        if get_ioformat(format).isbinary:
            return
    with open_compressed(source) as file:
        text = _look_through(file, source, format == "cif")
    check = _CHECKS.get(format)
    if check is not None:
        check(text)


def _look_through(file: IO[bytes], source: str, cif: bool) -> _Text:
    lines, size, open_line = 0, 0, 0
    head = rest = b""
    tags: set[bytes] = set()
    while block := file.read(_BLOCK):
        head = head or block[:_HEAD]
        size += len(block)
        ends = re.split(rb"[\r\n]", block)
        if open_line + len(ends[0]) > LONGEST_LINE:
            raise FrameError(
                f"line {lines + 1} is longer than {LONGEST_LINE} bytes; expected a text file"
            )
        open_line = len(ends[-1]) + (open_line if len(ends) == 1 else 0)
        lines += len(ends) - 1
        check_unpacked(source, size)
        if cif:
            # The end of the block before: a tag may lie across.
            tags.update(found.lower() for found in _TAGS.findall(rest + block))
            rest = block[-64:]
    return _Text(head.decode("latin-1"), lines + 1, frozenset(tags))


_TAGS = re.compile(rb"_(?:atom_site|cell)_[A-Za-z_]{1,30}")


def _check_cif(text: _Text) -> None:
    if b"_atom_site_fract_x" not in text.tags or b"_atom_site_cartn_x" in text.tags:
        return
    missing = [name for name in _CELL if f"_cell_{name}".encode() not in text.tags]
    if missing:
        raise FrameError(
            f"fractional coordinates, and no _cell_{missing[0]}; expected the three lengths and "
            "three angles of the cell, add what is missing"
        )


def _check_poscar(text: _Text) -> None:
    for line in text.head.splitlines()[5:7]:
        words = line.split("!")[0].split()
        if words and all(re.fullmatch(r"[0-9]{1,18}", word) for word in words):
            _compare(sum(map(int, words)), text.lines)
            return


def _check_lammps_data(text: _Text) -> None:
    for stated in re.findall(r"^[ \t]*([0-9]{1,18})[ \t]+atoms\b", text.head, re.MULTILINE):
        _compare(int(stated), text.lines)


def _compare(stated: int, lines: int) -> None:
    if stated > lines:
        raise FrameError(f"cut short, it states {stated} atoms and has {lines} lines")


_CHECKS: dict[str, Callable[[_Text], None]] = {
    "cif": _check_cif,
    "vasp": _check_poscar,
    "lammps-data": _check_lammps_data,
}
