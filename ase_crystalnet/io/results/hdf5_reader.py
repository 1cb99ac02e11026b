"""Results in one HDF5 file: per window, per atom and per frame. The layout and the reader.

Layout (schema 1): datasets that grow along their first axis, the frames one after the other::

    /                attributes: schema, code_version, classes, metadata, min_certainty, settings
    /complete        number of complete frames: the commit mark, written last of all
    /frames/*        one row a frame: number, source, window_end, atom_end, the summaries
    /windows/*       the rows of frame f are window_end[f - 1] : window_end[f]
    /atoms/*         the rows of frame f are atom_end[f - 1] : atom_end[f]
    /faults/*        the rows of frame f are fault_end[f - 1] : fault_end[f]
    /memory/*        of an observer: what it goes on from (`memory.py`)

The file is written in HDF5's single-writer-multiple-reader mode, in which everything that is on
disk is readable at any moment: it can be looked at while a run is going on, and after ``kill -9``
it holds every complete frame. Probabilities, certainty and order are stored as float16 (3 digits),
labels as int8, geometry as float32.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.io.results.heaps import check_heaps
from ase_crystalnet.io.results.held_file import refuse_other_than_file
from ase_crystalnet.io.results.memory import MEMORY, Memory, read_memory
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.trajectory import CONDITIONS, TrajectoryAnalysis, TrajectoryBuilder

if TYPE_CHECKING:
    import h5py

__all__ = ["SCHEMA", "ResultFile", "damage", "member"]

SCHEMA = 1
MARK = "ase-crystalnet"

#: What h5py, NumPy and json raise on damaged files, as it happened.
_DAMAGE = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def _open_result(path: str | os.PathLike[str]) -> h5py.File:
    """Open for reading, also a file that its writer left without closing, or still writes."""
    import h5py

    refuse_other_than_file(path)
    check_heaps(path)
    try:
        file = h5py.File(path, "r", swmr=_is_open_elsewhere(path))
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a readable HDF5 file ({reason})") from error
    try:
        with damage(path):
            ours = file.attrs.get("format") == MARK and member(file, "complete") is not None
            schema = int(file.attrs["schema"]) if ours else 0
        if not ours:
            raise InputError(f"{path}: an HDF5 file, but not one with CrystalNet results")
        if schema > SCHEMA:
            raise InputError(
                f"{path}: written with schema {schema}, this version reads up to {SCHEMA}; "
                "update ase-crystalnet"
            )
    except InputError:
        file.close()
        raise
    return file


def member(group: h5py.Group, path: str) -> Any:
    """A group or dataset by its path; None if it is not there.

    Only by name: HDF5 1.14 crashes when it lists a group of a damaged file.

    Raises
    ------
    InputError
        On the way is a soft or external link, or the data lie in another file.
    """
    import h5py

    for name in path.split("/"):
        links, key = group.id.links, name.encode()
        if not links.exists(key):
            return None
        if links.get_info(key).type != h5py.h5l.TYPE_HARD:  # asked without following it
            raise InputError(f"expected data, got a link to other data at {path!r}")
        group = group[name]
    if isinstance(group, h5py.Dataset) and (group.external or group.is_virtual):
        raise InputError(f"expected data, got those of another file at {path!r}")
    return group


@contextlib.contextmanager
def damage(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file in whatever a damaged one makes HDF5 raise."""
    try:
        yield
    except InputError as error:  # arrays that do not fit each other
        raise InputError(f"{path}: damaged, it cannot be read ({error})") from error
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [""])[0]
        raise InputError(f"{path}: damaged, it cannot be read ({reason})") from error


def _is_open_elsewhere(path: str | os.PathLike[str]) -> bool:
    """Whether a writer has the file open, or died with it: a flag in its first bytes.

    Only then the reading mode for such files is right: on a damaged file it waits for the writer
    to mend it.
    """
    with open(path, "rb") as file:
        head = file.read(12)
    return len(head) == 12 and head[:9] == b"\x89HDF\r\n\x1a\n\x03" and bool(head[11] & 5)


class ResultFile:
    """Read a result file: ``len(file)`` frames, ``file[i]`` a FrameAnalysis, `trajectory()`.

    Parameters
    ----------
    path : path
        A file of `HDF5Writer`: finished, cut off by a kill, or still being written.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    InputError
        If it is damaged or holds something else.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._file = _open_result(path)
        try:
            with damage(self.path):
                attributes = self._file.attrs
                self.classes: tuple[str, ...] = tuple(json.loads(attributes["classes"]))
                self.metadata: dict[str, Any] = json.loads(attributes["metadata"])
                self.settings: dict[str, Any] = json.loads(attributes["settings"])
                threshold = attributes.get("min_certainty")
                self.min_certainty = None if threshold is None else float(threshold)
                # What this version knows of; others of its schema may hold less, or more.
                names = [f"frames/{name}" for name in _rows()]
                names += map(place, FrameAnalysis.quantities())
                names += MEMORY
                found = {name: member(self._file, name) for name in names}
                self._data = {name: data for name, data in found.items() if data is not None}
                self._length = int(self._file["complete"][0])
                self._ends = {"windows": self._row("window_end"), "atoms": self._row("atom_end")}
                self._ends["faults"] = np.zeros(self._length, np.int64)
                if "frames/fault_end" in self._data:  # else of a version that looked for none
                    self._ends["faults"] = self._row("fault_end")
                self._check()
        except InputError:
            self._file.close()
            raise

    def _check(self) -> None:
        """Refuse numbers of rows that do not fit each other, before they are relied upon."""
        names = self.classes
        if not names or not all(isinstance(name, str) for name in names):
            raise InputError(f"expected the names of the classes, got {names!r}")
        if not isinstance(self.metadata, dict) or not isinstance(self.settings, dict):
            raise InputError("expected metadata and settings by name")
        for group, ends in self._ends.items():
            if not 0 <= self._length == len(ends):
                raise InputError(f"expected {self._length} frames, got {len(ends)}")
            steps = np.diff(ends, prepend=0)
            if (steps < 0).any():
                raise InputError(f"expected rows of {group} in order, got {ends[steps < 0][0]}")
            last = int(ends[-1]) if len(ends) else 0
            for name, data in self._data.items():
                if name.startswith(group) and len(data) < last:
                    raise InputError(f"expected {last} rows of {name}, got {len(data)}")

    def _row(self, name: str) -> NDArray[Any]:
        """One quantity of all complete frames."""
        return np.asarray(self._data[f"frames/{name}"][: self._length])

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[FrameAnalysis]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> FrameAnalysis:
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(
                f"{self.path}: expected a frame from 0 to {len(self) - 1}, got {index}"
            )
        values: dict[str, Any] = {}
        with damage(self.path):
            for name, quantity in FrameAnalysis.quantities().items():
                ends = self._ends[quantity.rows]
                begin, end = int(ends[position - 1]) if position else 0, int(ends[position])
                if place(name) not in self._data:  # a quantity that its writer did not know
                    sizes = dict.fromkeys("WNF", end - begin) | {"C": len(self.classes)}
                    values[name] = quantity.empty(sizes)
                    continue
                stored = self._data[place(name)][begin:end]
                values[name] = np.asarray(stored).astype(quantity.dtype, copy=False)
            if not self._row("has_lindemann")[position]:
                values["lindemann"] = None
            number = int(self._row("frames")[position])
            origin: dict[str, Any] = {"source": self.sources[position], "frame": number}
            for name in CONDITIONS:
                if f"frames/{name}" in self._data:
                    value = float(self._row(name)[position])
                    if np.isfinite(value):
                        origin[name] = value
            return FrameAnalysis(
                classes=self.classes,
                min_certainty=self.min_certainty,
                metadata={**self.metadata, **origin},
                **values,
            )

    @property
    def sources(self) -> tuple[str, ...]:
        """File that each frame came from."""
        with damage(self.path):
            names = self._row("sources")
            return tuple(name.decode("utf-8", errors="replace") for name in names)

    @property
    def contents(self) -> tuple[str, ...]:
        """What `content_of` said of the atoms of each frame; "" where its writer did not ask."""
        with damage(self.path):
            if "frames/content" not in self._data:
                return ("",) * len(self)
            return tuple(name.decode("ascii") for name in self._row("content"))

    @property
    def memory(self) -> Memory | None:
        """What an observer remembered after the last complete frame; None if nothing was kept."""
        with damage(self.path):
            state, latest = (self._data.get(name) for name in MEMORY)
            if state is None or latest is None:
                return None
            return read_memory(state, latest, len(self))

    def trajectory(self) -> TrajectoryAnalysis:
        """Return the summaries of all frames; reads one row a frame."""
        names = TrajectoryBuilder(self.classes).row_names()
        with damage(self.path):
            # A file of an earlier version may lack a row; what must be there is asked for.
            more = {
                *CONDITIONS,
                "fault_counts",
                "fault_fraction",
                "mean_von_mises_strain",
                "mean_cell_volume",
            }
            optional = {name for name in more if f"frames/{name}" not in self._data}
            values = {name: self._row(name) for name in names if name not in ("sources", *optional)}
            return TrajectoryAnalysis(
                classes=self.classes, sources=self.sources, metadata=self.metadata, **values
            )

    def copy_to(self, target: h5py.File) -> None:
        """Copy the complete frames, and no more, into an open, empty file.

        Raises
        ------
        InputError
            If this file is damaged.
        OSError
            If the other one cannot be written.
        """
        with damage(self.path):
            names = ("format", "schema", "code_version", "classes", "metadata", "settings")
            attributes = {name: self._file.attrs[name] for name in names}
            if self.min_certainty is not None:
                attributes["min_certainty"] = self.min_certainty
        for name, value in attributes.items():
            target.attrs[name] = value
        target.create_dataset("complete", data=np.array([len(self)], dtype=np.int64))
        last = {group: int(ends[-1]) if len(self) else 0 for group, ends in self._ends.items()}
        lengths = {"frames": len(self), **last}
        for name, data in self._data.items():
            length = len(data) if name in MEMORY else lengths[name.split("/")[0]]
            with damage(self.path):
                copy = target.create_dataset_like(name, data)
                copy.resize(length, axis=0)
                block = data.chunks[0] * 16
            for begin in range(0, length, block):
                part = slice(begin, min(begin + block, length))
                with damage(self.path):
                    rows = data[part]
                copy[part] = rows

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _rows() -> tuple[str, ...]:
    """Names of what is stored for each frame as one row."""
    ends = ("window_end", "atom_end", "fault_end", "has_lindemann", "content")
    return (*TrajectoryBuilder(()).row_names(), *ends)


def place(name: str) -> str:
    """Dataset of a quantity of FrameAnalysis."""
    rows = FrameAnalysis.quantities()[name].rows
    own = {"atoms": "atom_", "faults": "fault_", "windows": ""}[rows]
    return f"{rows}/{name.removeprefix(own)}"
