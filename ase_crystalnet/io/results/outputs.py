"""Output files of a run: made under a temporary name, put in place when all is done.

Until then the file is ``<name>.part``. An HDF5 file in progress can be resumed from there; what an
error leaves of the others is removed, so that no half-written file ever carries the final name.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.io.results.hdf5_writer import HDF5Writer
from ase_crystalnet.io.results.held_file import link_target
from ase_crystalnet.io.results.lock import FileLock
from ase_crystalnet.io.results.same_frames import content_of
from ase_crystalnet.io.results.structure_files import DatabaseFile, ExtxyzFile, TrajFile
from ase_crystalnet.io.results.table_files import CsvFile, ParquetFile
from ase_crystalnet.io.trajectories.stream import StreamFrame
from ase_crystalnet.io.whole_files import part_of
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.trajectory import TrajectoryAnalysis

__all__ = ["Output", "Outputs"]

_KINDS = {
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".extxyz": "extxyz",
    ".xyz": "extxyz",
    ".traj": "traj",
    ".db": "database",
    ".json": "database",
    ".csv": "csv",
    ".parquet": "parquet",
}
#: Files that go on growing frame by frame: what an interrupted run has left of them is gone.
_STRUCTURES: dict[str, Callable[[Path], Output]] = {
    "extxyz": ExtxyzFile,
    "traj": TrajFile,
    "database": DatabaseFile,
}
_TABLES: dict[str, Callable[[Path], Output]] = {"csv": CsvFile, "parquet": ParquetFile}


class Output(Protocol):
    """One output file, made as `part_of` its name."""

    path: Path
    note: str  #: What it keeps where, and what it does not, if that is not plain.

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        """Take one frame."""

    def complete(self, summary: TrajectoryAnalysis) -> None:
        """Write what is left."""

    def rename(self) -> None:
        """Give the file its name."""

    def discard(self) -> None:
        """Close, and remove what is not kept for resuming; nothing is left to do after `rename`."""


class _Hdf5:
    note = ""

    def __init__(
        self, path: Path, settings: Mapping[str, Any], resume: bool, lock: FileLock
    ) -> None:
        self.path, self.resume = path, resume
        part = part_of(path)
        self.had_part = os.path.lexists(part)
        # A finished run goes on too: its trajectory may have grown. It stays as it is until then.
        earlier = path if resume and not self.had_part and path.exists() else None
        self.writer = HDF5Writer(
            part, settings=settings, overwrite=True, resume=resume, earlier=earlier, lock=lock
        )
        self.begun_with = self.writer.frames

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        self.writer.append(analysis, frame.number, frame.source, content_of(frame.atoms))

    def complete(self, summary: TrajectoryAnalysis) -> None:
        self.writer.complete()

    def rename(self) -> None:
        assert self.writer.held is not None
        self.writer.held.rename(self.path)
        self.writer.close()

    def discard(self) -> None:
        held = self.writer.held
        kept = self.resume and (self.had_part or self.writer.frames > self.begun_with)
        if not kept and held is not None and held.path != self.path:
            with contextlib.suppress(Exception):
                self.writer.complete()
            held.remove()
        self.writer.abandon()


class Outputs:
    """All output files of a run, finished together or not at all.

    Parameters
    ----------
    paths : list of path
        Kinds by suffix: .h5 or .hdf5, .extxyz or .xyz, .traj, .db, .json, .csv, .parquet.
    settings : mapping
        What the run was asked for; kept in the HDF5 file and compared when it is resumed.
    overwrite : bool
        Replace existing files when the run has finished.
    resume : bool
        Go on with an interrupted HDF5 file; needs exactly one.

    Raises
    ------
    InputError
        If a suffix is unknown, a name is given twice, or what is asked for cannot be resumed.
    OutputExistsError, OutputLockedError
        If a file is there, or being written.
    """

    def __init__(
        self,
        paths: list[Path],
        *,
        settings: Mapping[str, Any],
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        kinds = [_kind(path) for path in paths]
        if len({path.resolve() for path in paths}) < len(paths):
            raise InputError("outputs: one name is given twice")
        if resume and kinds.count("hdf5") != 1:
            raise InputError("resume: wants exactly one .h5 output, which holds the frames done")
        if resume and (frames := [kind for kind in kinds if kind in _STRUCTURES]):
            raise InputError(
                f"resume: an {frames[0]} output cannot be resumed; write .h5 and .csv, or start "
                "anew"
            )
        # Of a symbolic link, the file that it points to is written and replaced.
        targets = [link_target(path) for path in paths]
        self._outputs: list[Output] = []
        self._hdf5: _Hdf5 | None = None
        self._locks = [FileLock(part_of(target)) for target in targets]
        try:
            # Before looking at what is there, and until all files have their names: another
            # process sees all of that as one step.
            for lock in self._locks:
                lock.acquire()
            for target, kind in zip(targets, kinds, strict=True):
                _check(target, kind, overwrite, resume)
            for target, kind, lock in zip(targets, kinds, self._locks, strict=True):
                self._outputs.append(self._make(target, kind, settings, resume, lock))
        except BaseException:
            self.discard()
            raise

    @property
    def done(self) -> int:
        """Frames that an interrupted run has left, with `resume`."""
        return self._hdf5.writer.frames if self._hdf5 else 0

    def earlier(self) -> TrajectoryAnalysis | None:
        """Summaries of those frames."""
        if self._hdf5 is None or not self.done:
            return None
        with ResultFile(part_of(self._hdf5.path)) as file:
            return file.trajectory()

    def contents(self) -> tuple[str, ...]:
        """What `content_of` said of the atoms of those frames; "" where it is not known."""
        if self._hdf5 is None or not self.done:
            return ()
        with ResultFile(part_of(self._hdf5.path)) as file:
            return file.contents

    def notes(self) -> list[str]:
        """What formats keep elsewhere than one would look, or leave out; one line each."""
        return [f"{output.path.name}: {output.note}" for output in self._outputs if output.note]

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        """Take one frame into every file."""
        for output in self._outputs:
            output.append(frame, analysis)

    def finish(self, summary: TrajectoryAnalysis) -> None:
        """Complete all files, then give them their names, then the locks back.

        Raises
        ------
        OSError
            If a file cannot be written, or was moved, deleted or replaced meanwhile.
        """
        try:
            for output in self._outputs:
                self._step(f"complete {output.path.name}")
                output.complete(summary)
            for output in self._outputs:
                self._step(f"rename {output.path.name}")
                output.rename()
            self._step("unlock")
        except BaseException:
            self.discard()
            raise
        self._unlock()
        self._step("end")

    def discard(self) -> None:
        """Remove what is unfinished (an HDF5 file that is being resumed stays)."""
        try:
            for output in self._outputs:
                output.discard()
        finally:
            self._unlock()

    def _step(self, name: str) -> None:
        """Does nothing: here tests hold one of two writers while the other goes on."""

    def _unlock(self) -> None:
        for lock in self._locks:
            lock.release()

    def _make(
        self, path: Path, kind: str, settings: Mapping[str, Any], resume: bool, lock: FileLock
    ) -> Output:
        if make := _STRUCTURES.get(kind) or _TABLES.get(kind):
            return make(path)
        self._hdf5 = _Hdf5(path, settings, resume, lock)
        return self._hdf5


def _kind(path: Path) -> str:
    try:
        return _KINDS[path.suffix.lower()]
    except KeyError:
        raise InputError(
            f"{path}: expected a name that ends in {', '.join(_KINDS)}, got {path.suffix!r}"
        ) from None


def _check(path: Path, kind: str, overwrite: bool, resume: bool) -> None:
    if path.is_dir():
        raise OutputExistsError(f"{path}: is a folder; give the name of a file")
    if path.exists() and not overwrite and not resume:
        raise OutputExistsError(f"{path}: exists already; --overwrite replaces it")
    if kind == "hdf5" and os.path.lexists(part_of(path)) and not overwrite and not resume:
        raise OutputExistsError(
            f"{part_of(path)}: an interrupted run; --resume continues it, --overwrite starts anew"
        )
