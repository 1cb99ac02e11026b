"""Results in one HDF5 file: per window, per atom and per frame. The layout and the reader.

Layout (schema 1): datasets that grow along their first axis, the frames one after the other::

    /                attributes: schema, code_version, classes, metadata, min_certainty, settings
    /complete        number of complete frames: the commit mark, written last of all
    /frames/*        one row a frame: number, source, window_end, atom_end, the summaries
    /windows/*       the rows of frame f are window_end[f - 1] : window_end[f]
    /atoms/*         the rows of frame f are atom_end[f - 1] : atom_end[f]

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

from ase_crystalnet.errors import InputError
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.trajectory import TrajectoryAnalysis, TrajectoryBuilder

if TYPE_CHECKING:
    import h5py

__all__ = ["SCHEMA", "ResultFile"]

SCHEMA = 1
MARK = "ase-crystalnet"


def _open_result(path: str | os.PathLike[str]) -> h5py.File:
    """Open for reading, also a file that its writer left without closing, or still writes."""
    import h5py

    if not os.path.exists(path):
        raise FileNotFoundError(f"{path}: no such file")
    try:
        file = h5py.File(path, "r", swmr=_is_open_elsewhere(path))
    except OSError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: not a readable HDF5 file ({reason})") from error
    try:
        with _damage(path):
            ours = file.attrs.get("format") == MARK and "complete" in file
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


@contextlib.contextmanager
def _damage(path: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file in whatever a damaged one makes HDF5 raise."""
    try:
        yield
    except InputError as error:  # arrays that do not fit each other
        raise InputError(f"{path}: damaged, it cannot be read ({error})") from error
    except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
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
            with _damage(self.path):
                attributes = self._file.attrs
                self.classes: tuple[str, ...] = tuple(json.loads(attributes["classes"]))
                self.metadata: dict[str, Any] = json.loads(attributes["metadata"])
                self.settings: dict[str, Any] = json.loads(attributes["settings"])
                threshold = attributes.get("min_certainty")
                self.min_certainty = None if threshold is None else float(threshold)
                self._length = int(self._file["complete"][0])
                rows = self._file["frames"]
                self._window_end = rows["window_end"][: self._length]
                self._atom_end = rows["atom_end"][: self._length]
        except InputError:
            self._file.close()
            raise

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[FrameAnalysis]:
        return (self[index] for index in range(len(self)))

    def __getitem__(self, index: int) -> FrameAnalysis:
        position = index + len(self) if index < 0 else index
        if not 0 <= position < len(self):
            raise IndexError(
                f"{self.path}: wanted a frame from 0 to {len(self) - 1}, given {index}"
            )
        values: dict[str, Any] = {}
        with _damage(self.path):
            rows = self._file["frames"]
            for name, quantity in FrameAnalysis.quantities().items():
                ends = self._atom_end if quantity.of_atoms else self._window_end
                begin, end = int(ends[position - 1]) if position else 0, int(ends[position])
                if place(name) not in self._file:  # a quantity that its writer did not know
                    sizes = {"W": end - begin, "N": end - begin, "C": len(self.classes)}
                    values[name] = quantity.empty(sizes)
                    continue
                stored = self._file[place(name)][begin:end]
                values[name] = np.asarray(stored).astype(quantity.dtype, copy=False)
            if not rows["has_lindemann"][position]:
                values["lindemann"] = None
            origin = {"source": self.sources[position], "frame": int(rows["frames"][position])}
            return FrameAnalysis(
                classes=self.classes,
                min_certainty=self.min_certainty,
                metadata={**self.metadata, **origin},
                **values,
            )

    @property
    def sources(self) -> tuple[str, ...]:
        """File that each frame came from."""
        names = self._file["frames"]["sources"][: len(self)]
        return tuple(name.decode("utf-8", errors="replace") for name in names)

    def trajectory(self) -> TrajectoryAnalysis:
        """Return the summaries of all frames; reads one row a frame."""
        names = TrajectoryBuilder(self.classes).row_names()
        with _damage(self.path):
            rows = self._file["frames"]
            values = {name: rows[name][: len(self)] for name in names if name != "sources"}
            return TrajectoryAnalysis(
                classes=self.classes, sources=self.sources, metadata=self.metadata, **values
            )

    def copy_to(self, target: h5py.File) -> None:
        """Copy the complete frames, and no more, into an open, empty file."""
        for name, value in self._file.attrs.items():
            target.attrs[name] = value
        target.create_dataset("complete", data=np.array([len(self)], dtype=np.int64))
        lengths = {
            "frames": len(self),
            "windows": int(self._window_end[-1]) if len(self) else 0,
            "atoms": int(self._atom_end[-1]) if len(self) else 0,
        }
        for group, length in lengths.items():
            for name, data in self._file[group].items():
                copy = target.create_dataset_like(f"{group}/{name}", data)
                copy.resize(length, axis=0)
                block = data.chunks[0] * 16
                for begin in range(0, length, block):
                    part = slice(begin, min(begin + block, length))
                    copy[part] = data[part]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def place(name: str) -> str:
    """Dataset of a quantity of FrameAnalysis."""
    of_atoms = FrameAnalysis.quantities()[name].of_atoms
    return f"atoms/{name.removeprefix('atom_')}" if of_atoms else f"windows/{name}"
