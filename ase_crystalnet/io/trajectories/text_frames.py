"""Extended XYZ and LAMMPS text dumps: where each frame lies in the file, and its atoms.

A frame is found once, by its place in bytes, and made from those bytes alone, by whoever is handed
the place, so that any process can begin with any frame.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from functools import partial
from itertools import islice, takewhile
from typing import IO, TYPE_CHECKING

import numpy as np

from ase_crystalnet.inputs import LONGEST_LINE
from ase_crystalnet.io.trajectories.atom_table import Column, NotPlain, read_table
from ase_crystalnet.io.trajectories.comment_cells import take_cell
from ase_crystalnet.io.trajectories.conditions import stated_in
from ase_crystalnet.io.trajectories.formats import MARK, FrameError
from ase_crystalnet.io.trajectories.species import NAME, numbers_of

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["build_xyz", "scan_dump", "scan_xyz"]

#: Atom lines looked at together.
_BLOCK = 256
_FIRST = b"ITEM: TIMESTEP"
#: What a frame may begin with: units and time stand before the time step, if they are asked for.
_STARTS = (b"ITEM: TIME", b"ITEM: UNITS")


def scan_xyz(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Yield first byte and number of bytes of each frame of an (extended) XYZ file.

    Raises
    ------
    FrameError
        If a frame does not begin with a number of atoms, or has fewer lines, or a line has no end
        in sight.
    """
    offset, header = _first_line(file)
    while header:
        if not header.strip():
            offset += len(header)
            header = _line(file)
            continue
        if not header.strip().isdigit():
            found = header.decode(errors="replace").strip()[:40]
            raise FrameError(f"expected a number of atoms, found {found!r}")
        wanted, size = int(header), len(header) + len(_line(file))
        lines = 0
        while lines < wanted and (block := _block(file, wanted - lines)):
            lines += len(block)
            size += sum(map(len, block))
        if lines < wanted:
            raise FrameError(f"cut short, {lines} of {wanted} atom lines are there")
        yield offset, size
        offset += size
        header = _line(file)


def scan_dump(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Yield first byte and number of bytes of each frame of a LAMMPS text dump.

    Raises
    ------
    FrameError
        If there is something before the first frame, a frame is at odds with its own header (ASE
        accepts fewer lines in silence), or a line has no end in sight.
    """
    offset, line = _first_line(file)
    while line:
        if not line.startswith(_STARTS):
            if not line.isspace():
                found = line.decode(errors="replace").strip()[:40]
                raise FrameError(f"expected 'ITEM: TIMESTEP', found {found!r}")
            offset += len(line)
            line = _line(file)
            continue
        wanted, size, before = -1, len(line), line
        begun = line.startswith(_FIRST)
        while not line.startswith(b"ITEM: ATOMS"):
            line = _line(file)
            if not line or (begun and line.startswith(_STARTS)):
                raise FrameError("cut short, it has no complete header")
            begun = begun or line.startswith(_FIRST)
            if before.startswith(b"ITEM: NUMBER OF ATOMS"):
                wanted = int(line)
            size += len(line)
            before = line
        if wanted < 0 or not begun:
            raise FrameError("cut short, it has no complete header")
        rows, body, line = _rows(file, wanted)
        if rows != wanted:
            raise FrameError(f"cut short, {rows} of {wanted} atom lines are there")
        yield offset, size + body
        offset += size + body


def _first_line(file: IO[bytes]) -> tuple[int, bytes]:
    """Where the text begins (after a byte order mark, if there is one), and its first line."""
    line = _line(file)
    text = line.removeprefix(MARK)
    return len(line) - len(text), text


def _line(file: IO[bytes]) -> bytes:
    """The next line, of bounded length."""
    line = file.readline(LONGEST_LINE + 1)
    _check_length(len(line))
    return line


def _check_length(longest: int) -> None:
    if longest > LONGEST_LINE:
        raise FrameError(f"a line is longer than {LONGEST_LINE} bytes; expected a text file")


def _block(file: IO[bytes], lines: int) -> list[bytes]:
    """The next lines, not more than so many, fewer only at the end."""
    read = partial(file.readline, LONGEST_LINE + 1)
    block = list(islice(iter(read, b""), min(lines, _BLOCK)))
    _check_length(max(map(len, block), default=0))
    return block


def _rows(file: IO[bytes], wanted: int) -> tuple[int, int, bytes]:
    """Lines that are not blank and all bytes up to the next frame, and its first line.

    The file is read forwards alone: going back in a compressed one means unpacking it anew.
    """
    rows = size = 0
    while rows < wanted and (block := _block(file, wanted - rows)):
        if b"ITEM:" in b"".join(block) and any(map(_is_item, block)):
            # The next frame begins before this one is full.
            inside = list(takewhile(lambda line: not _is_item(line), block))
            return rows + len(inside) - sum(map(bytes.isspace, inside)), size, b""
        rows += len(block) - sum(map(bytes.isspace, block))
        size += sum(map(len, block))
    while (line := _line(file)) and not line.startswith(_STARTS):
        if not line.isspace():
            raise FrameError(f"it has more than the {wanted} atom lines that it states")
        size += len(line)
    return rows, size, line


def _is_item(line: bytes) -> bool:
    return line.startswith(b"ITEM:")


def build_xyz(data: bytes, format: str, *, fast: bool = True) -> Atoms:
    """Atoms of one frame of an (extended) XYZ file.

    Parameters
    ----------
    data : bytes
        The frame.
    format : str
        "extxyz", or "xyz" for one whose comment is never read as key=value.
    fast : bool
        Read the atom lines by NumPy where that gives the same atoms, and not by ASE.

    Raises
    ------
    FrameError
        If the frame is cut short.
    """
    header, _, rest = data.decode(errors="replace").replace("\r\n", "\n").partition("\n")
    comment, _, body = rest.partition("\n")
    wanted = int(header)
    lines = [line for line in body.split("\n") if line and not line.isspace()]
    if len(lines) < wanted:
        raise FrameError(f"cut short, {len(lines)} of {wanted} atom lines are there")
    # Only a comment that says so is read as key=value; prose may hold anything.
    extended = format == "extxyz" and ("Properties=" in comment or 'Lattice="' in comment)
    columns = _xyz_columns(comment) if extended else []
    if lines and _species_are_numbers(columns, lines[0]):
        comment = comment.replace("species:S:1", "numbers:I:1")
        columns = _xyz_columns(comment)

    lines, names = _with_symbols(lines, _species_column(columns, extended))

    def by_ase(lines: list[str]) -> Atoms:
        text = "\n".join([str(len(lines)), comment, *lines, ""])
        return _read_text(text, "extxyz" if extended else "xyz")

    atoms = None
    if fast and columns and len(lines) > 1:
        with contextlib.suppress(NotPlain):
            atoms = read_table(lines, columns, by_ase(lines[:1]))
    atoms = by_ase(lines) if atoms is None else atoms
    if names is not None:
        numbered = all(name.isdigit() for name in names)
        key, values = ("type", atoms.numbers.copy()) if numbered else (NAME, np.asarray(names))
        atoms.arrays.setdefault(key, values)
    if atoms.cell.rank == 0:
        take_cell(atoms, comment)
    if not extended:
        atoms.info.update(stated_in(comment))
    return atoms


def _species_column(columns: list[Column], extended: bool) -> int | None:
    """Where the names of the species stand in a line; None if there are numbers."""
    if not columns:
        return 0
    place = 0
    for name, kind, width in columns:
        if (name, kind) == ("species", "S"):
            return place
        place += width
    return None


def _with_symbols(lines: list[str], column: int | None) -> tuple[list[str], list[str] | None]:
    """Atom lines with chemical symbols, and the names that stood there if they were none."""
    if column is None or not lines:
        return lines, None
    names = [(line.split(None, column + 1)[column : column + 1] or [""])[0] for line in lines]
    numbers, plain = numbers_of(names)
    if plain or "" in names:
        return lines, None
    from ase.data import chemical_symbols

    changed = []
    for line, number in zip(lines, numbers.tolist(), strict=True):
        words = line.split()
        words[column] = chemical_symbols[number]
        changed.append(" ".join(words))
    return changed, names


def _read_text(text: str, format: str) -> Atoms:
    from ase.io import read

    atoms = read(io.StringIO(text), index=0, format=format)
    assert not isinstance(atoms, list)
    return atoms


def _xyz_columns(comment: str) -> list[Column]:
    """Name, kind (R, I, S, L) and number of columns of each property; none if it does not say."""
    found = re.search(r'Properties="?([^\s"]+)', comment)
    fields = found[1].split(":") if found else []
    if not fields or len(fields) % 3 or not all(width.isdigit() for width in fields[2::3]):
        return []
    return [
        (name, kind, int(width))
        for name, kind, width in zip(fields[::3], fields[1::3], fields[2::3], strict=True)
    ]


def _species_are_numbers(columns: list[Column], line: str) -> bool:
    """Whether type numbers stand in place of symbols, as LAMMPS and OVITO users write them."""
    column = 0
    for name, kind, width in columns:
        if (name, kind, width) == ("species", "S", 1):
            return line.split()[column].isdigit()
        column += width
    return False
