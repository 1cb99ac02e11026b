"""Output files of a run: made under a temporary name, put in place when all is done.

Until then the file is ``<name>.part``. An HDF5 file in progress can be resumed from there; what an
error leaves of the others is removed, so that no half-written file ever carries the final name.
"""

from __future__ import annotations

import contextlib
import csv
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.io.results.hdf5_writer import HDF5Writer
from ase_crystalnet.io.results.lock import FileLock
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
    ".csv": "csv",
}


class Output(Protocol):
    """One output file."""

    path: Path

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        """Take one frame."""

    def finish(self, summary: TrajectoryAnalysis) -> None:
        """Write what is left and close."""

    def discard(self) -> None:
        """Close after an error."""


class _Hdf5:
    def __init__(self, path: Path, settings: Mapping[str, Any], resume: bool) -> None:
        self.path, self.resume = path, resume
        part = part_of(path)
        # A finished run goes on too: its trajectory may have grown.
        self.finished = resume and path.exists() and not part.exists()
        if self.finished:
            os.replace(path, part)
        try:
            self.writer = HDF5Writer(part, settings=settings, overwrite=True, resume=resume)
        except BaseException:
            self._restore()
            raise

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        self.writer.append(analysis, frame.number, frame.source)

    def finish(self, summary: TrajectoryAnalysis) -> None:
        self.writer.close()

    def discard(self) -> None:
        self.writer.abandon()
        if not self.resume:
            part_of(self.path).unlink(missing_ok=True)
        self._restore()

    def _restore(self) -> None:
        if self.finished:
            os.replace(part_of(self.path), self.path)


class _Extxyz:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = FileLock(part_of(path))
        self.lock.acquire()
        self.file = open(part_of(path), "w", encoding="utf-8")  # noqa: SIM115 (held for the run)

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        from ase.io import write

        atoms = analysis.attach(frame.atoms)
        # Arrays of more than two dimensions have no place in the format.
        for name in [name for name, array in atoms.arrays.items() if array.ndim > 2]:
            del atoms.arrays[name]
        atoms.info["crystalnet_source"] = frame.source
        atoms.info["crystalnet_frame"] = frame.number
        with _named(self.path):
            write(self.file, atoms, format="extxyz")

    def finish(self, summary: TrajectoryAnalysis) -> None:
        with _named(self.path):
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
        self.lock.release()

    def discard(self) -> None:
        with contextlib.suppress(OSError):  # closing writes, and may fail as the write did
            self.file.close()
        part_of(self.path).unlink(missing_ok=True)
        self.lock.release()


class _Csv:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = FileLock(part_of(path))
        self.lock.acquire()

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        """Nothing yet: the rows come from the summary."""

    def finish(self, summary: TrajectoryAnalysis) -> None:
        with (
            _named(self.path),
            open(part_of(self.path), "w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(summary.columns())
            for row in summary.rows():
                writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in row])
            file.flush()
            os.fsync(file.fileno())
        self.lock.release()

    def discard(self) -> None:
        part_of(self.path).unlink(missing_ok=True)
        self.lock.release()


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in errors of writing: those of an open file do not."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


class Outputs:
    """All output files of a run, finished together or not at all.

    Parameters
    ----------
    paths : list of path
        Kinds by suffix: .h5 or .hdf5, .extxyz or .xyz, .csv.
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
        if resume and "extxyz" in kinds:
            raise InputError(
                "resume: an extxyz output cannot be resumed; write .h5 and .csv, or start anew"
            )
        for path, kind in zip(paths, kinds, strict=True):
            _check(path, kind, overwrite, resume)
        self._outputs: list[Output] = []
        self._hdf5: _Hdf5 | None = None
        try:
            for path, kind in zip(paths, kinds, strict=True):
                self._outputs.append(self._make(path, kind, settings, resume))
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

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        """Take one frame into every file."""
        for output in self._outputs:
            output.append(frame, analysis)

    def finish(self, summary: TrajectoryAnalysis) -> None:
        """Complete all files, then give them their names."""
        try:
            for output in self._outputs:
                output.finish(summary)
        except BaseException:
            self.discard()
            raise
        for output in self._outputs:
            os.replace(part_of(output.path), output.path)

    def discard(self) -> None:
        """Remove what is unfinished (an HDF5 file that is being resumed stays)."""
        for output in self._outputs:
            output.discard()

    def _make(self, path: Path, kind: str, settings: Mapping[str, Any], resume: bool) -> Output:
        if kind == "extxyz":
            return _Extxyz(path)
        if kind == "csv":
            return _Csv(path)
        self._hdf5 = _Hdf5(path, settings, resume)
        return self._hdf5


def _kind(path: Path) -> str:
    try:
        return _KINDS[path.suffix.lower()]
    except KeyError:
        raise InputError(
            f"{path}: wanted a name that ends in {', '.join(_KINDS)}, given {path.suffix!r}"
        ) from None


def _check(path: Path, kind: str, overwrite: bool, resume: bool) -> None:
    if path.is_dir():
        raise OutputExistsError(f"{path}: is a folder; give the name of a file")
    if path.exists() and not overwrite and not resume:
        raise OutputExistsError(f"{path}: exists already; --overwrite replaces it")
    if kind == "hdf5" and part_of(path).exists() and not overwrite and not resume:
        raise OutputExistsError(
            f"{part_of(path)}: an interrupted run; --resume continues it, --overwrite starts anew"
        )
