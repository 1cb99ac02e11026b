"""Where a frame is, and its atoms for whoever is handed that: this process or another one.

An address is a file's name, the frame's number in it and, in text files, its place in bytes. It is
all that is sent to a worker.
"""

from __future__ import annotations

import importlib
import io
import os
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import IO, TYPE_CHECKING, Any, Self

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.io.trajectories.checks import check_text, check_unpacked
from ase_crystalnet.io.trajectories.dumps import build_dump, build_yaml, scan_yaml, units_of
from ase_crystalnet.io.trajectories.formats import (
    MARK,
    FrameError,
    format_of,
    is_compressed,
    open_compressed,
    reader_of,
)
from ase_crystalnet.io.trajectories.imd import build_imd
from ase_crystalnet.io.trajectories.lammps_data import build_data
from ase_crystalnet.io.trajectories.molecular import MolecularTrajectory, Names, topology_names
from ase_crystalnet.io.trajectories.netcdf import NetcdfTrajectory
from ase_crystalnet.io.trajectories.reading import Reading
from ase_crystalnet.io.trajectories.species import NAME, names_of
from ase_crystalnet.io.trajectories.text_frames import build_xyz, scan_dump, scan_xyz
from ase_crystalnet.io.trajectories.ulm import check_item, check_table

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["FrameAddress", "FrameLoader", "find_frames"]

#: Formats whose frames are found by their places in the text.
_SCANS = {"xyz": scan_xyz, "dump": scan_dump, "yaml": scan_yaml}


@dataclass(frozen=True)
class FrameAddress:
    """One frame of a file.

    Attributes
    ----------
    source : str
        The file, as it was given.
    path : str
        The same, absolute: a worker may run in another folder.
    number : int
        Number of the frame in it, from 0.
    format : str
        ASE's name of its format.
    place : (int, int)
        First byte and number of bytes in the unpacked file; of text formats only.
    reading : Reading
        What was said of how to read it.
    """

    source: str
    path: str
    number: int
    format: str
    place: tuple[int, int] = (0, 0)
    reading: Reading = field(default_factory=Reading)


def find_frames(
    source: str, reading: Reading
) -> Generator[tuple[FrameAddress, Atoms | None], None, None]:
    """Find the frames of a file, one after the other.

    Yields
    ------
    FrameAddress, Atoms or None
        With the atoms where finding the frame meant reading it: in formats with several frames that
        only ASE can read.

    Raises
    ------
    FrameError, or whatever a reader raises
        Where the file is damaged, after the frames before.
    """
    name, path = format_of(source, reading.format), os.path.abspath(source)
    kind = reader_of(name)

    def at(number: int, place: tuple[int, int] = (0, 0)) -> FrameAddress:
        return FrameAddress(source, path, number, name, place, reading)

    if kind == "dump":
        reading = with_units(source, reading)
    if kind in _SCANS:
        with open_compressed(source) as file:
            for number, place in enumerate(_SCANS[kind](file)):
                check_unpacked(source, place[1])
                yield at(number, place), None
    elif kind == "text":
        check_text(source, name)
        yield at(0), None
    elif kind == "ase":
        single = _ase_format(name).single
        check_text(source, name)
        if single:
            yield at(0), None
            return
        for number, atoms in enumerate(_iterate(source, name, reading)):
            yield at(number), reading.applied(atoms)
    else:
        with closing(_open(source, kind, name, reading)) as trajectory:
            count = len(trajectory)
        for number in range(count):
            yield at(number), None


class FrameLoader:
    """Read frames by their addresses; the latest file stays open.

    Any order will do. Going back costs something in a compressed file, which is unpacked anew from
    its beginning, and in a format of ASE that has no way but from the first frame on.
    """

    def __init__(self) -> None:
        self._key: tuple[Any, ...] | None = None
        self._open: Any = None
        self._next = 0

    def load(self, address: FrameAddress) -> Atoms:
        """Atoms of a frame.

        Raises
        ------
        Exception
            Whatever a reader raises on a damaged frame.
        """
        return address.reading.applied(self._load(address))

    def _load(self, address: FrameAddress) -> Atoms:
        """Atoms as they stand in the file."""
        kind, reading = reader_of(address.format), address.reading
        if kind == "xyz":
            return build_xyz(self._bytes(address), address.format)
        if kind in _SCANS:
            build = build_dump if kind == "dump" else build_yaml
            return build(self._bytes(address), reading.keywords)
        if kind == "text":
            return _whole_text(address.path, address.format, reading)
        if kind == "ase":
            return self._advance(address)
        if kind == "traj":
            check_item(address.path, address.number)
        trajectory = self._file(address, lambda: _open(address.path, kind, address.format, reading))
        if kind == "gsd":
            return _gsd_atoms(trajectory[address.number])
        atoms: Atoms = trajectory[address.number]
        return atoms

    def close(self) -> None:
        """Close the file."""
        held, self._open, self._key = self._open, None, None
        if held is not None:
            held.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _file(self, address: FrameAddress, make: Any, fresh: bool = False) -> Any:
        """The open file, opened anew if it is another one by now."""
        state = os.stat(address.path)
        changed = (state.st_ino, state.st_size, state.st_mtime_ns)
        key = (address.path, address.format, address.reading.topology, *changed)
        if fresh or key != self._key:
            self.close()
            self._open, self._key, self._next = make(), key, 0
        return self._open

    def _bytes(self, address: FrameAddress) -> bytes:
        start, size = address.place
        if is_compressed(address.path):
            file: IO[bytes] = self._file(address, lambda: open_compressed(address.path))
            file.seek(start)
            data = file.read(size)
        else:
            with open(address.path, "rb") as plain:
                plain.seek(start)
                data = plain.read(size)
        if len(data) < size:
            raise EOFError("the file has become shorter")
        return data

    def _advance(self, address: FrameAddress) -> Atoms:
        """The frame of a format that is read in order."""
        back = address.number < self._next
        frames = self._file(
            address, lambda: _iterate(address.path, address.format, address.reading), fresh=back
        )
        while True:
            atoms: Atoms = next(frames)
            self._next += 1
            if self._next > address.number:
                return atoms


def _open(source: str, kind: str, format: str, reading: Reading) -> Any:
    """Open a file whose own package reads single frames."""
    if kind == "molecular":
        return MolecularTrajectory(source, format, _names(reading.topology))
    if kind == "netcdf":
        return NetcdfTrajectory(source, _names(reading.topology))
    if kind == "traj":
        from ase.io.trajectory import Trajectory

        check_table(source)
        return Trajectory(source, "r")
    try:
        hoomd = importlib.import_module("gsd.hoomd")
    except ImportError as error:
        raise InputError(f"{source}: GSD files need the package gsd (pip install gsd)") from error
    return hoomd.open(source, "r")


def _names(topology: str | None) -> Names | None:
    """Names of the atoms in a topology, or in the first frame of any file that is read."""
    if topology is None:
        return None
    names = topology_names(topology)
    if names is None:
        with closing(find_frames(topology, Reading())) as found, FrameLoader() as loader:
            address, atoms = next(found)
            names = tuple(names_of(loader.load(address) if atoms is None else atoms).tolist())
    return Names(topology, names)


def _gsd_atoms(snapshot: Any) -> Atoms:
    from ase import Atoms

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
    atoms.info["step"] = int(snapshot.configuration.step or 0)
    names = list(snapshot.particles.types or [])
    if any(len(name) > 1 for name in names) and max(snapshot.particles.typeid, default=0) < len(
        names
    ):  # "A", "B", ... are what it calls types without a name
        atoms.arrays[NAME] = np.asarray(names)[snapshot.particles.typeid]
    return atoms


def _whole_text(source: str, format: str, reading: Reading) -> Atoms:
    """The one frame of a text file that is read at once."""
    with open_compressed(source) as file:
        text = file.read().decode(errors="replace")
    if format == "imd":
        return build_imd(text)
    return build_data(text, reading.atom_style, reading.keywords)


def with_units(source: str, reading: Reading) -> Reading:
    """The units that a LAMMPS dump states before its first frame, and only there."""
    with open_compressed(source) as file:
        units = units_of(file.read(256).decode(errors="replace"))
    if units is None or "units" in reading.keywords:
        return reading
    return replace(reading, options=(*reading.options, ("units", units)))


def _ase_format(name: str) -> Any:
    from ase.io.formats import UnknownFileTypeError, get_ioformat

    try:
        return get_ioformat(name)
    except UnknownFileTypeError as error:
        raise InputError(
            f"format {name!r} is not one of ASE's; `ase info --formats` lists them"
        ) from error


def _iterate(source: str, format: str, reading: Reading) -> Iterator[Atoms]:
    """Frames by ASE; nothing is read before the first is asked for."""
    from ase.io import iread

    known = _ase_format(format)
    # A single-frame format takes no slice.
    options: dict[str, Any] = {"index": 0 if known.single else ":", "format": format}
    with open_compressed(source) as file:
        marked = file.read(len(MARK)) == MARK
        if not marked and not source.lower().endswith(".zst"):
            options["do_not_split_by_at_sign"] = True
            yield from iread(source, **options, **reading.keywords)
            return
        # ASE takes the mark for a part of the first line: a PDB file loses its cell by that.
        if marked and not known.acceptsfd:
            raise FrameError("it begins with a byte order mark; save it as UTF-8 without one")
        if not known.acceptsfd:
            raise FrameError(f"a file of {format} cannot be read while it is packed; unpack it")
        opened: Any = file
        if not (marked and known.isbinary):
            file.seek(0)  # readers go back to the beginning, and the mark must not come up there
        if not known.isbinary:
            opened = io.TextIOWrapper(file, encoding="utf-8-sig" if marked else None)
        yield from iread(opened, **options, **reading.keywords)
