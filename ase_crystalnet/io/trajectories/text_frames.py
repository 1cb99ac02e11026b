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

from ase_crystalnet.inputs import LONGEST_LINE
from ase_crystalnet.io.trajectories.atom_table import Column, NotPlain, read_table
from ase_crystalnet.io.trajectories.formats import MARK, FrameError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["build_dump", "build_xyz", "scan_dump", "scan_xyz"]

#: Atom lines looked at together.
_BLOCK = 256
_FIRST = b"ITEM: TIMESTEP"


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
        if not line.startswith(_FIRST):
            if not line.isspace():
                found = line.decode(errors="replace").strip()[:40]
                raise FrameError(f"expected 'ITEM: TIMESTEP', found {found!r}")
            offset += len(line)
            line = _line(file)
            continue
        wanted, size, before = -1, len(line), line
        while not line.startswith(b"ITEM: ATOMS"):
            line = _line(file)
            if not line or line.startswith(_FIRST):
                raise FrameError("cut short, it has no complete header")
            if before.startswith(b"ITEM: NUMBER OF ATOMS"):
                wanted = int(line)
            size += len(line)
            before = line
        if wanted < 0:
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
    while (line := _line(file)) and not line.startswith(_FIRST):
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
    header, _, rest = data.decode().replace("\r\n", "\n").partition("\n")
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

    def by_ase(lines: list[str]) -> Atoms:
        text = "\n".join([str(len(lines)), comment, *lines, ""])
        return _read_text(text, "extxyz" if extended else "xyz")

    if fast and columns and len(lines) > 1:
        with contextlib.suppress(NotPlain):
            return read_table(lines, columns, by_ase(lines[:1]))
    return by_ase(lines)


def build_dump(data: bytes) -> Atoms:
    """Atoms of one frame of a LAMMPS text dump.

    Raises
    ------
    FrameError
        If its first or last line is cut short.
    """
    text = data.decode().replace("\r\n", "\n")
    head, section, rest = text.partition("ITEM: ATOMS")
    titles, _, body = rest.partition("\n")
    if re.search(r"\n\s*\n", body):  # ASE counts blank lines as atoms
        body = re.sub(r"\n\s*\n", "\n", body)
    body = body.strip() + "\n"
    wanted = len(titles.split())
    for line in (body.partition("\n")[0], body[:-1].rpartition("\n")[2]):
        if (found := len(line.split())) not in (0, wanted):
            raise FrameError(f"an atom line has {found} of {wanted} columns")
    # LAMMPS before 2010 wrote no boundary flags; its readers take such a box as periodic.
    head = re.sub(r"^ITEM: BOX BOUNDS *\n", "ITEM: BOX BOUNDS pp pp pp\n", head, flags=re.M)
    return _read_text(f"{head}{section}{titles}\n{body}", "lammps-dump-text")


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
