"""Trajectories of molecular dynamics without names of atoms: DCD, XTC, TRR, TNG.

They are read by chemfiles (extra ``files``), frame by frame; names come from a topology file where
one is given. Its C++ opens the file, so what can be checked is checked before: that the file is
plain and not empty; and trajectories are read in a process of their own, which a damaged one may
end. `docs/formats.md` says why chemfiles.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import check_plain, read_plain
from ase_crystalnet.io.trajectories.formats import FrameError
from ase_crystalnet.io.trajectories.species import NAME, numbers_of

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["FORMATS", "MolecularTrajectory", "Names", "topology_names"]

#: Our names of formats, and those of chemfiles.
FORMATS = {
    "dcd": "DCD",
    "xtc": "XTC",
    "trr": "TRR",
    "trj": "TRJ",
    "tng": "TNG",
}
#: Topologies that chemfiles reads and nobody else here.
_BY_CHEMFILES = {
    ".psf": "PSF", ".tpr": "TPR", ".mol2": "MOL2", ".mmtf": "MMTF", ".gro": "GRO", ".pdb": "PDB",
    ".cml": "CML", ".sdf": "SDF",
}  # fmt: skip
_LARGEST_TOPOLOGY = 2**30


def _check_chemfiles(source: str) -> None:
    if importlib.util.find_spec("chemfiles") is None:
        raise InputError(
            f"{source}: files of this kind need the package chemfiles (pip install chemfiles, or "
            "the extra files)"
        )


@dataclass(frozen=True)
class Names:
    """Names of the atoms of a trajectory, and the file that they are from."""

    topology: str
    names: tuple[str, ...]

    def give(self, atoms: Atoms, source: str) -> None:
        """Name atoms, in place.

        Raises
        ------
        InputError
            They are more or fewer.
        """
        if len(self.names) != len(atoms):
            raise InputError(
                f"{source}: frames have {len(atoms)} atoms, and the topology {self.topology} has "
                f"{len(self.names)}; give the one of this trajectory"
            )
        atoms.numbers = numbers_of(self.names)[0]
        atoms.arrays[NAME] = np.asarray(self.names)


class MolecularTrajectory:
    """An open trajectory: its number of frames, and frames by their number.

    Parameters
    ----------
    source : str
    format : str
        One of `FORMATS`.
    names : Names, optional
        Of the atoms, from a topology.

    Raises
    ------
    InputError
        chemfiles is not installed; for a frame, the topology does not fit.
    FrameError
        The file cannot be read.
    """

    def __init__(self, source: str, format: str, names: Names | None = None) -> None:
        check_plain(source)
        self.source, self.format = source, format
        _check_chemfiles(source)
        self._names = names
        if format == "dcd":
            _check_dcd(source)
        self._server = _Server(source, FORMATS[format])

    def __len__(self) -> int:
        return int(self._server.ask("len")[0]["value"])

    def __getitem__(self, number: int) -> Atoms:
        from ase import Atoms

        head, positions = self._server.ask(str(number))
        cell = np.array(head["cell"])
        periodic = bool(abs(np.linalg.det(cell)) > 0)
        atoms = Atoms(
            numbers=np.ones(len(positions), int),
            positions=positions,
            cell=cell if periodic else None,
            pbc=periodic,
        )
        if self._names is not None:
            self._names.give(atoms, self.source)
        # Of DCD files, time and step are in units that differ from program to program.
        if self.format != "dcd":
            atoms.info["step"] = head["step"]
            if head["time"] is not None:
                atoms.info["time_ps"] = head["time"]
        return atoms

    def close(self) -> None:
        """Close the file."""
        self._server.close()


class _Server:
    """The process that reads one file, and the pipes to it."""

    def __init__(self, source: str, format: str) -> None:
        script = Path(__file__).with_name("_chemfiles_server.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), os.path.abspath(source), format],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def ask(self, question: str) -> tuple[dict[str, Any], NDArray[np.float64]]:
        """What is stated, and coordinates (N, 3) where a frame was asked for.

        Raises
        ------
        FrameError
            chemfiles says so, or the process ended.
        """
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None and answers is not None
        try:
            asked.write(question.encode() + b"\n")
            asked.flush()
            head = json.loads(answers.readline())
            size = 24 * head.get("atoms", 0)
            body = answers.read(size)
        except (OSError, ValueError):
            head, size, body = {}, 1, b""
        if len(body) < size:
            self.close()
            raise FrameError("chemfiles ended on it: the file is damaged")
        if "error" in head:
            raise FrameError(head["error"])
        return head, np.frombuffer(body).reshape(-1, 3).copy()

    def close(self) -> None:
        """End the process."""
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if pipe is not None:
                    pipe.close()
        self._process.kill()
        self._process.wait()

    def __del__(self) -> None:
        if hasattr(self, "_process"):
            self.close()


def _check_dcd(source: str) -> None:
    """Refuse a DCD file whose head and first frame are not whole, before C++ relies on them.

    chemfiles crashes where more lines of a title are stated than there are, and counts frames
    without end where there is none.
    """
    with open(source, "rb") as file:
        first = file.read(8)
        # Lengths of four bytes or eight, in either order of bytes.
        ways: list[tuple[Literal["little", "big"], int]] = [
            ("little", 4), ("big", 4), ("little", 8), ("big", 8),
        ]  # fmt: skip
        found = [way for way in ways if int.from_bytes(first[: way[1]], way[0]) == 84]
        if not found:
            raise FrameError("expected the head of a DCD file, a record of 84 bytes")
        order, width = found[0]
        file.seek(0, os.SEEK_END)
        size = file.tell()
        place = 0

        def record() -> tuple[int, bytes]:
            """Length and beginning of the next record."""
            nonlocal place
            file.seek(place)
            length = int.from_bytes(file.read(width), order)
            if place + 2 * width + length > size:
                raise FrameError(f"expected a record of {length} bytes at {place}, it is cut off")
            begin = file.read(min(length, 8))
            file.seek(place + width + length)
            if int.from_bytes(file.read(width), order) != length:
                raise FrameError(f"expected the end of a record of {length} bytes at {place}")
            place += 2 * width + length
            return length, begin

        record()
        length, begin = record()
        titles = int.from_bytes(begin[:4], order)
        if 4 + 80 * titles > length:
            raise FrameError(f"expected {titles} lines of 80 bytes, got {length} bytes")
        length, begin = record()
        atoms = int.from_bytes(begin[:length], order)
        if length not in (4, 8) or atoms <= 0:
            raise FrameError(f"expected a number of atoms, got {atoms} in {length} bytes")
        lengths = [record()[0] for _ in range(3)]
        if lengths[0] != 4 * atoms:  # a cell
            lengths = [*lengths[1:], record()[0]]
        if lengths != [4 * atoms] * 3:
            raise FrameError(f"expected coordinates of {atoms} atoms, got records of {lengths}")


@lru_cache(maxsize=4)
def _topology_names(topology: str, size: int, changed: int) -> tuple[str, ...] | None:
    suffix = os.path.splitext(topology)[1].lower()
    if suffix in (".prmtop", ".parm7", ".top"):
        return _amber_names(topology)
    if suffix in _BY_CHEMFILES:
        _check_chemfiles(topology)
        server = _Server(topology, _BY_CHEMFILES[suffix])
        try:
            return tuple(server.ask("names")[0]["names"])
        finally:
            server.close()
    return None


def topology_names(topology: str) -> tuple[str, ...] | None:
    """Names of the atoms in a topology: PSF, TPR, PRMTOP, GRO, PDB; None for other files.

    Raises
    ------
    InputError
        It cannot be read.
    """
    check_plain(topology)
    state = os.stat(topology)
    try:
        names = _topology_names(topology, state.st_size, state.st_mtime_ns)
    except FrameError as error:
        raise InputError(f"{topology}: cannot be read as a topology: {error}") from error
    if names is not None and not names:
        raise InputError(f"{topology}: expected the names of atoms, found none")
    return names


def _amber_names(topology: str) -> tuple[str, ...]:
    """Names in a topology of AMBER: four letters each, twenty a line."""
    text = read_plain(topology, _LARGEST_TOPOLOGY, "a topology of AMBER").decode("latin-1")
    found = re.search(r"%FLAG ATOM_NAME\s*\n(?:%COMMENT[^\n]*\n)*%FORMAT\(20a4\)\s*\n([^%]*)", text)
    if found is None:
        raise FrameError("has no section ATOM_NAME")
    lines = found[1].splitlines()
    return tuple(
        line[place : place + 4].strip() for line in lines for place in range(0, len(line), 4)
    )
