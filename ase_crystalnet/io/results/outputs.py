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
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ase_crystalnet.classes import REFUSED, VOCABULARY, class_colors
from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.io.results.hdf5_writer import HDF5Writer
from ase_crystalnet.io.results.held_file import HeldFile, link_target
from ase_crystalnet.io.results.lock import FileLock
from ase_crystalnet.io.results.same_frames import content_of
from ase_crystalnet.io.trajectories.stream import StreamFrame
from ase_crystalnet.io.whole_files import part_of
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.trajectory import TrajectoryAnalysis

__all__ = ["Output", "Outputs"]

if TYPE_CHECKING:
    from ase import Atoms

_KINDS = {
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".extxyz": "extxyz",
    ".xyz": "extxyz",
    ".csv": "csv",
}


class Output(Protocol):
    """One output file, made as `part_of` its name."""

    path: Path

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        """Take one frame."""

    def complete(self, summary: TrajectoryAnalysis) -> None:
        """Write what is left."""

    def rename(self) -> None:
        """Give the file its name."""

    def discard(self) -> None:
        """Close, and remove what is not kept for resuming; nothing is left to do after `rename`."""


class _Hdf5:
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


class _Extxyz:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.held = _part(path)
        self.file = open(  # noqa: SIM115 (held for the run)
            os.dup(self.held.handle), "w", encoding="utf-8"
        )

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        from ase.io import write

        atoms = analysis.attach(frame.atoms)
        # Arrays of more than two dimensions have no place in the format.
        for name in [name for name, array in atoms.arrays.items() if array.ndim > 2]:
            del atoms.arrays[name]
        _show_in_ovito(atoms, analysis)
        atoms.info["crystalnet_source"] = frame.source
        atoms.info["crystalnet_frame"] = frame.number
        with _named(self.path):
            write(self.file, atoms, format="extxyz")

    def complete(self, summary: TrajectoryAnalysis) -> None:
        with _named(self.path):
            self.file.close()

    def rename(self) -> None:
        with _named(self.path):
            self.held.rename(self.path)
        self.held.close()

    def discard(self) -> None:
        with contextlib.suppress(OSError):  # closing writes, and may fail as the write did
            self.file.close()
        _remove(self.held, self.path)


class _Csv:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.held: HeldFile | None = None

    def append(self, frame: StreamFrame, analysis: FrameAnalysis) -> None:
        """Nothing yet: the rows come from the summary."""

    def complete(self, summary: TrajectoryAnalysis) -> None:
        self.held = _part(self.path)
        with (
            _named(self.path),
            open(os.dup(self.held.handle), "w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(summary.columns())
            for row in summary.rows():
                writer.writerow([f"{v:.6g}" if isinstance(v, float) else v for v in row])

    def rename(self) -> None:
        assert self.held is not None
        with _named(self.path):
            self.held.rename(self.path)
        self.held.close()

    def discard(self) -> None:
        if self.held is not None:
            _remove(self.held, self.path)


def _show_in_ovito(atoms: Atoms, analysis: FrameAnalysis) -> None:
    """Columns that OVITO maps to properties of its own: structure type, orientation and colour.

    Types have the ids of OVITO's analyses (fcc 1, hcp 2, bcc 3, ...), and 0 where refused.
    """
    classes = analysis.classes
    ids = [
        VOCABULARY[name].ovito_id if name in VOCABULARY else 100 + i
        for i, name in enumerate(classes)
    ]
    colors = class_colors(classes)
    rgb = [
        [int(colors[name][place : place + 2], 16) / 255 for place in (1, 3, 5)]
        for name in (*classes, REFUSED)
    ]
    atoms.arrays["structure_type"] = np.array([*ids, 0])[analysis.atom_labels]
    atoms.arrays["color"] = np.round(np.array(rgb)[analysis.atom_labels], 4)
    # OVITO takes a zero quaternion for no orientation.
    atoms.arrays["orientation"] = np.nan_to_num(analysis.atom_orientation)


def _part(path: Path) -> HeldFile:
    """A new file under the temporary name, in place of what an earlier run has left there."""
    part = part_of(path)
    if os.path.lexists(part):
        part.unlink()  # a link itself, not what it points to
    return HeldFile(part)


def _remove(held: HeldFile, path: Path) -> None:
    """Remove a file that has not got its final name."""
    if held.path == path:
        held.close()
    else:
        held.remove()


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in errors of writing: those of an open file do not."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a sentence of ours
            raise
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
        if kind == "extxyz":
            return _Extxyz(path)
        if kind == "csv":
            return _Csv(path)
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
