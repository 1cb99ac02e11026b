"""Extended XYZ and LAMMPS text dumps: where each frame lies in the file, and its atoms.

A frame is found once, by its place in bytes, and made from those bytes alone, by whoever is handed
the place, so that any process can begin with any frame.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Iterator
from itertools import islice
from typing import IO, TYPE_CHECKING

from ase_crystalnet.io.atom_table import Column, NotPlain, read_table
from ase_crystalnet.io.formats import FrameError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["build_dump", "build_xyz", "scan_dump", "scan_xyz"]


def scan_xyz(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Yield first byte and number of bytes of each frame of an (extended) XYZ file.

    Raises
    ------
    FrameError
        If a frame does not begin with a number of atoms, or has fewer lines.
    """
    offset = 0
    while header := file.readline():
        if not header.strip():
            offset += len(header)
            continue
        if not header.strip().isdigit():
            found = header.decode(errors="replace").strip()[:40]
            raise FrameError(f"wanted a number of atoms, found {found!r}")
        wanted, lines = int(header), 0
        size = len(header) + len(file.readline())
        for line in islice(file, wanted):
            size += len(line)
            lines += 1
        if lines < wanted:
            raise FrameError(f"cut short, {lines} of {wanted} atom lines are there")
        yield offset, size
        offset += size


def scan_dump(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Yield first byte and number of bytes of each frame of a LAMMPS text dump.

    Raises
    ------
    FrameError
        If there is something before the first frame, or a frame is at odds with its own header: ASE
        accepts fewer lines in silence.
    """
    offset = 0
    line = file.readline()
    while line:
        if not line.startswith(b"ITEM: TIMESTEP"):
            if not line.isspace():
                found = line.decode(errors="replace").strip()[:40]
                raise FrameError(f"wanted 'ITEM: TIMESTEP', found {found!r}")
            offset += len(line)
            line = file.readline()
            continue
        wanted = rows = -1
        size, before = len(line), line
        while (line := file.readline()) and not line.startswith(b"ITEM: TIMESTEP"):
            size += len(line)
            if rows >= 0:
                rows += not line.isspace()
            elif line.startswith(b"ITEM: ATOMS"):
                rows = 0
            elif before.startswith(b"ITEM: NUMBER OF ATOMS"):
                wanted = int(line)
            before = line
        if wanted < 0 or rows < 0:
            raise FrameError("cut short, it has no complete header")
        if rows != wanted:
            raise FrameError(f"cut short, {rows} of {wanted} atom lines are there")
        yield offset, size
        offset += size


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


def build_dump(data: bytes, *, fast: bool = True) -> Atoms:
    """Atoms of one frame of a LAMMPS text dump; parameters and errors as of `build_xyz`."""
    text = data.decode().replace("\r\n", "\n")
    head, section, rest = text.partition("ITEM: ATOMS")
    titles, _, body = rest.partition("\n")
    found = re.search(r"^ITEM: NUMBER OF ATOMS.*\n\s*(\d+)", head, re.M)
    if found is None:
        raise FrameError("cut short, it has no complete header")
    names = titles.split()
    lines = [line for line in body.split("\n") if line and not line.isspace()]
    for first_or_last in (lines[0], lines[-1]) if lines else ():
        if (there := len(first_or_last.split())) != len(names):
            raise FrameError(f"an atom line has {there} of {len(names)} columns")

    def by_ase(lines: list[str]) -> Atoms:
        counted = head[: found.start(1)] + str(len(lines)) + head[found.end(1) :]
        # LAMMPS before 2010 wrote no boundary flags; its readers take such a box as periodic.
        counted = re.sub(
            r"^ITEM: BOX BOUNDS *\n", "ITEM: BOX BOUNDS pp pp pp\n", counted, flags=re.M
        )
        return _read_text("\n".join([counted + section + titles, *lines, ""]), "lammps-dump-text")

    if fast and len(lines) > 1:
        with contextlib.suppress(NotPlain):
            return read_table(lines, _dump_columns(names), by_ase(lines[:1]), sort="id" in names)
    return by_ase(lines)


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


def _dump_columns(names: list[str]) -> list[Column]:
    """Columns of a dump in the words of extended XYZ, as ASE takes them.

    Raises
    ------
    NotPlain
        If ASE makes something else than an array of a column, or finds species in another way.
    """
    special = {"mass", "q", "vx", "vy", "vz", "fx", "fy", "fz"}
    if odd := sorted(special & set(names)) or [n for n in names if n.startswith("c_q[")]:
        raise NotPlain(f"ASE makes something else of the column {odd[0]}")
    # ASE's order of preference; scaled coordinates stay scaled until ASE has the cell.
    given = next((xyz for xyz in ("x", "xs", "xu", "xsu") if xyz in names), None)
    if given is None:
        raise NotPlain("there are no coordinates")
    first = names.index(given)
    triple = [given.replace("x", axis, 1) for axis in "xyz"]
    if names[first : first + 3] != triple or len(set(names)) < len(names):
        raise NotPlain(f"the columns {', '.join(triple)} are not side by side")
    columns: list[Column] = []
    for name in names:
        if name == given:
            columns.append(("scaled_positions" if "s" in given else "pos", "R", 3))
        elif name in triple:
            continue
        elif name == "element":
            columns.append(("species", "S", 1))
        elif name in ("id", "type") or name.startswith(("i_", "i2_")):
            columns.append((name, "I", 1))
        elif name.startswith(("c_", "d_", "d2_", "f_", "v_")):
            columns.append((name, "R", 1))
        else:
            columns.append((name, "-", 1))  # ASE passes it over
    return columns
