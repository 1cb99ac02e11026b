"""Frames of trajectory files, one at a time: anything ase.io reads, and GSD.

Extended XYZ and LAMMPS text dumps are cut into frames here and handed to ASE one by one, so that a
long file is never held as a whole and the frames before a damaged one are kept; ``.traj``, netCDF
and GSD files are opened by their own packages, which read single frames. Other formats go through
`ase.io.iread`, which reads the file at once where its format has no other way.
"""

from __future__ import annotations

import importlib
import io
import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import IO, TYPE_CHECKING, Any

from ase_crystalnet.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["StreamFrame", "TruncatedTrajectoryError", "count_frames", "iter_frames", "parse_frames"]

Path = str | os.PathLike[str]
_Build = Callable[[], "Atoms"]
_Builders = Generator[_Build, None, None]
_HEAD = 4096


class TruncatedTrajectoryError(InputError):
    """A frame cannot be read; those before it were yielded.

    Attributes
    ----------
    source : str
        The file.
    number : int
        Number of the frame in the file, from 0.
    """

    def __init__(self, source: str, number: int, reason: str) -> None:
        self.source, self.number = source, number
        super().__init__(f"{source}: frame {number} (from 0) cannot be read: {reason}")


@dataclass(frozen=True)
class StreamFrame:
    """One frame: its file, its number in that file (from 0) and its atoms."""

    source: str
    number: int
    atoms: Atoms


def parse_frames(text: str) -> slice:
    """Read ``start:stop:step`` as Python does: ``::10``, ``-5:``; one number is one frame.

    Raises
    ------
    InputError
        If it is something else, or the step is not positive.
    """
    if not re.fullmatch(r"\s*-?\d+\s*|\s*(-?\d+)?\s*:\s*(-?\d+)?\s*(:\s*(-?\d+)?\s*)?", text):
        raise InputError(f"frames: wanted start:stop:step such as 0:100:10 or ::5, given {text!r}")
    parts = [int(part) if part.strip() else None for part in text.split(":")]
    if len(parts) == 1:
        only = parts[0]
        assert only is not None
        return slice(only, only + 1 if only != -1 else None)
    frames = slice(*parts)
    if frames.step is not None and frames.step < 1:
        raise InputError(f"frames: wanted a step of at least 1, given {frames.step}")
    return frames


def iter_frames(
    sources: Path | Sequence[Path],
    start: int = 0,
    stop: int | None = None,
    step: int = 1,
    *,
    format: str | None = None,
) -> Iterator[StreamFrame]:
    """Yield the chosen frames of one or more files, in order, holding one at a time.

    Parameters
    ----------
    sources : path or sequence of paths
        Files; the frames of the second count on where those of the first end.
    start, stop, step : int
        As in a slice over all frames. Negative ones need a first pass that counts the frames.
    format : str, optional
        ASE's name of the format, where the file does not tell.

    Yields
    ------
    StreamFrame

    Raises
    ------
    TruncatedTrajectoryError
        When a frame cannot be read, after those before it were yielded.
    InputError
        If a format is unknown, a file holds no frame, or the step is not positive.
    FileNotFoundError
        If a file is not there.
    """
    files = _file_list(sources)
    if step < 1:
        raise InputError(f"frames: wanted a step of at least 1, given {step}")
    if start < 0 or (stop is not None and stop < 0):
        total = sum(_count(file, format) for file in files)
        start, stop, _ = slice(start, stop).indices(total)
    index = 0
    for source in files:
        number = 0
        with closing(_builders(source, format)) as builders:
            while stop is None or index < stop:
                try:
                    build = next(builders)
                    wanted = index >= start and (index - start) % step == 0
                    atoms = build() if wanted else None
                except StopIteration:
                    break
                except (InputError, MemoryError):
                    raise
                except Exception as error:  # readers raise anything on a damaged file
                    raise TruncatedTrajectoryError(source, number, _reason(error)) from error
                if atoms is not None:
                    yield StreamFrame(source, number, atoms)
                number += 1
                index += 1
        if number == 0 and (stop is None or index < stop):
            raise InputError(f"{source}: holds no frames")


def count_frames(sources: Path | Sequence[Path], *, format: str | None = None) -> int | None:
    """Count the readable frames without keeping them; None where that would mean reading them all.

    A damaged frame ends the count of its file.
    """
    total = 0
    for source in _file_list(sources):
        if _reader_name(_format_of(source, format)) == "ase":
            return None
        total += _count(source, format)
    return total


def _file_list(sources: Path | Sequence[Path]) -> list[str]:
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    files = [os.fspath(source) for source in sources]
    if not files:
        raise InputError("no trajectory was given")
    for file in files:
        if os.path.isdir(file):
            raise IsADirectoryError(f"{file}: is a directory, not a trajectory")
        if not os.path.exists(file):
            raise FileNotFoundError(f"{file}: no such file")
    return files


def _count(source: str, format: str | None) -> int:
    count = 0
    try:
        for _ in _builders(source, format):
            count += 1
    except InputError:
        raise
    except Exception:  # the same damage is met, and reported, when the frames are read
        return count
    return count


def _reason(error: Exception) -> str:
    first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    return first if isinstance(error, _FrameError) else f"{type(error).__name__}: {first}"


class _FrameError(ValueError):
    """What is wrong with a frame, in our own words."""


def _format_of(source: str, format: str | None) -> str:
    """ASE's name of the file's format, also where only the content tells a LAMMPS data file."""
    from ase.io.formats import UnknownFileTypeError, filetype, get_ioformat

    if format is not None:
        return format
    if source.lower().endswith(".gsd"):
        return "gsd"
    try:
        with _open_text(source) as file:
            head = file.read(_HEAD)
    except (UnicodeDecodeError, EOFError, OSError):
        head = ""  # binary or damaged: the name has to tell
    if re.search(r"^\s*\d+\s+atoms\s*$", head, re.M) and re.search(r"\bxlo\s+xhi\b", head):
        return "lammps-data"
    if head.startswith("ITEM: TIMESTEP"):
        return "lammps-dump-text"
    if os.path.getsize(source) == 0:
        raise InputError(f"{source}: the file is empty")
    try:
        try:
            name = str(filetype(source))
        except EOFError:  # a compressed file cut short: its beginning may still be read
            name = str(filetype(source, read=False))
        get_ioformat(name)
    except (UnknownFileTypeError, OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{source}: format not recognised; name it as ASE does, for example format "
            "extxyz, lammps-dump-text, lammps-data, vasp or traj (`ase info --formats` lists them)"
        ) from error
    return name


def _reader_name(format: str) -> str:
    return {
        "extxyz": "xyz",
        "xyz": "xyz",
        "lammps-dump-text": "dump",
        "gsd": "gsd",
        "traj": "traj",
    }.get(format, "ase")


def _builders(source: str, format: str | None) -> _Builders:
    """One function a frame, which makes its Atoms when called: frames passed over cost little."""
    name = _format_of(source, format)
    match _reader_name(name):
        case "xyz":
            yield from _xyz(source, name)
        case "dump":
            yield from _dump(source)
        case "gsd":
            yield from _gsd(source)
        case "traj":
            yield from _traj(source)
        case _:
            yield from _ase(source, name)


def _open_text(source: str) -> IO[Any]:
    from ase.io.formats import open_with_compression

    return open_with_compression(source, "r")


def _read_text(text: str, format: str) -> Atoms:
    from ase.io import read

    atoms = read(io.StringIO(text), index=0, format=format)
    assert not isinstance(atoms, list)
    return atoms


def _xyz(source: str, format: str) -> _Builders:
    with _open_text(source) as file:
        while header := file.readline():
            if not header.strip():
                continue
            if not header.strip().isdigit():
                raise _FrameError(f"wanted a number of atoms, found {header.strip()[:40]!r}")
            wanted = int(header)
            comment = file.readline()
            lines = [line for line in (file.readline() for _ in range(wanted)) if line.strip()]
            if len(lines) < wanted:
                raise _FrameError(f"cut short, {len(lines)} of {wanted} atom lines are there")
            yield partial(_build_xyz, comment, lines, format)


def _build_xyz(comment: str, lines: list[str], format: str) -> Atoms:
    extended = format == "extxyz" and ("Properties=" in comment or 'Lattice="' in comment)
    if extended and lines and _species_are_numbers(comment, lines[0]):
        comment = comment.replace("species:S:1", "numbers:I:1")
    text = f"{len(lines)}\n{comment if comment.endswith(chr(10)) else comment + chr(10)}"
    # Only a comment that says so is read as key=value; prose may hold anything.
    return _read_text(text + "".join(lines), "extxyz" if extended else "xyz")


def _species_are_numbers(comment: str, line: str) -> bool:
    """Whether type numbers stand in place of symbols, as LAMMPS and OVITO users write them."""
    found = re.search(r'Properties="?([^\s"]+)', comment)
    fields = found.group(1).split(":") if found else []
    column = 0
    for name, kind, width in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        if (name, kind, width) == ("species", "S", "1"):
            return line.split()[column].isdigit()
        column += int(width)
    return False


def _dump(source: str) -> _Builders:
    with _open_text(source) as file:
        line = file.readline()
        while line:
            if not line.startswith("ITEM: TIMESTEP"):
                if line.strip():
                    raise _FrameError(f"wanted 'ITEM: TIMESTEP', found {line.strip()[:40]!r}")
                line = file.readline()
                continue
            lines = [line]
            while (line := file.readline()) and not line.startswith("ITEM: TIMESTEP"):
                lines.append(line)
            _check_dump(lines)
            yield partial(_read_text, "".join(lines), "lammps-dump-text")


def _check_dump(lines: list[str]) -> None:
    """Hold a frame against its own header: ASE accepts fewer lines in silence. Mend old boxes."""
    wanted = section = None
    for row, line in enumerate(lines):
        if line.startswith("ITEM: NUMBER OF ATOMS") and row + 1 < len(lines):
            wanted = int(lines[row + 1])
        elif line.strip() == "ITEM: BOX BOUNDS":
            # LAMMPS before 2010 wrote no boundary flags; its readers take such a box as periodic.
            lines[row] = "ITEM: BOX BOUNDS pp pp pp\n"
        elif line.startswith("ITEM: ATOMS"):
            section = row
            break
    if wanted is None or section is None:
        raise _FrameError("cut short, it has no complete header")
    rows = [line for line in lines[section + 1 :] if line.strip()]
    if len(rows) != wanted:
        raise _FrameError(f"cut short, {len(rows)} of {wanted} atom lines are there")
    columns = len(lines[section].split()) - 2
    for first_or_last in (rows[0], rows[-1]) if rows else ():
        if (found := len(first_or_last.split())) != columns:
            raise _FrameError(f"an atom line has {found} of {columns} columns")


def _gsd(source: str) -> _Builders:
    try:
        hoomd = importlib.import_module("gsd.hoomd")
    except ImportError as error:
        raise InputError(f"{source}: GSD files need the package gsd (pip install gsd)") from error
    with hoomd.open(source, "r") as trajectory:
        for index in range(len(trajectory)):
            yield partial(_gsd_atoms, trajectory, index)


def _gsd_atoms(trajectory: Any, index: int) -> Atoms:
    from ase import Atoms

    snapshot = trajectory[index]
    lx, ly, lz, xy, xz, yz = (float(value) for value in snapshot.configuration.box)
    flat = snapshot.configuration.dimensions == 2 or lz == 0
    cell = [[lx, 0, 0], [xy * ly, ly, 0], [xz * lz, yz * lz, lz if lz else 1.0]]
    atoms = Atoms(
        numbers=snapshot.particles.typeid + 1,
        positions=snapshot.particles.position,
        cell=cell,
        pbc=(True, True, not flat),
    )
    # GSD's box is centred on the origin.
    atoms.set_celldisp([-sum(row[axis] for row in cell) / 2 for axis in range(3)])
    return atoms


def _traj(source: str) -> _Builders:
    from ase.io.trajectory import Trajectory

    with Trajectory(source, "r") as trajectory:
        for index in range(len(trajectory)):
            yield partial(trajectory.__getitem__, index)


def _ase(source: str, format: str) -> _Builders:
    from ase.io import iread
    from ase.io.formats import UnknownFileTypeError, get_ioformat

    try:
        ioformat = get_ioformat(format)
    except UnknownFileTypeError as error:
        raise InputError(
            f"format {format!r} is not one of ASE's; `ase info --formats` lists them"
        ) from error
    # A single-frame format takes no slice.
    index: Any = 0 if ioformat.single else ":"
    for atoms in iread(source, index=index, format=format, do_not_split_by_at_sign=True):
        yield partial(_same, atoms)


def _same(atoms: Atoms) -> Atoms:
    return atoms
