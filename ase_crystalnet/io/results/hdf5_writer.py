"""Write results into one HDF5 file, frame by frame, each complete or absent."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.io.results.hdf5_reader import (
    MARK,
    SCHEMA,
    ResultFile,
    place,
)
from ase_crystalnet.io.results.lock import FileLock
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.trajectory import TrajectoryBuilder

if TYPE_CHECKING:
    import h5py

__all__ = ["HDF5Writer"]

_ROWS = 32768  # rows of a chunk at most: 0.5 MB of float16 probabilities
_SOURCE_BYTES = 255
_OVERHEAD = 2**20  # HDF5's own bookkeeping for one frame, generously


class HDF5Writer:
    """Append frames to a result file, each of them complete or absent.

    Parameters
    ----------
    path : path
        The file. It is made with the first frame.
    settings : mapping, optional
        What the run was asked for (numbers, strings, lists); with `resume` it must be equal to
        what the file holds, so that one file never mixes two ways of analysis.
    overwrite : bool
        Replace an existing file.
    resume : bool
        Go on after the last complete frame of an existing file, if there is one.

    Raises
    ------
    OutputExistsError
        If the file is there and neither `overwrite` nor `resume` is given.
    OutputLockedError
        If another process is writing it.
    InputError
        With `resume`, if the file cannot be read or was made with other settings.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        settings: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        resume: bool = False,
    ) -> None:
        self.path = Path(path)
        # What is compared later has been through JSON, where a tuple becomes a list.
        self.settings: dict[str, Any] = json.loads(json.dumps(dict(settings or {})))
        self.frames = 0
        self._file: h5py.File | None = None
        self._classes: tuple[str, ...] = ()
        if self.path.exists() and not (overwrite or resume):
            raise OutputExistsError(f"{self.path}: exists already; overwrite or resume it")
        self._lock = FileLock(self.path)
        self._lock.acquire()
        try:
            if resume and self.path.exists():
                self._reopen()
        except BaseException:
            self._lock.release()
            raise

    def append(self, frame: FrameAnalysis, number: int | None = None, source: str = "") -> None:
        """Write one frame and commit it.

        Parameters
        ----------
        frame : FrameAnalysis
            The frame.
        number : int, optional
            Its number in its file; default: the number of frames before it.
        source : str
            The file it came from.

        Raises
        ------
        OSError
            If it cannot be written, for example on a full disk; earlier frames are still there.
        """
        if self._file is None:
            self._classes = frame.classes
            self._create(frame)
        if frame.classes != self._classes:
            raise InputError(f"{self.path}: wanted classes {self._classes}, given {frame.classes}")
        assert self._file is not None
        file = self._file
        _reserve(self.path, _upper_bound(frame), file.id.get_filesize())
        number = self.frames if number is None else number
        ends = {of_atoms: self._end(of_atoms) for of_atoms in (False, True)}
        for name, quantity in FrameAnalysis.quantities().items():
            values = getattr(frame, name)
            if values is None:
                values = quantity.empty({"N": frame.number_of_atoms})
            if place(name) in file:  # a file that is resumed keeps the quantities it began with
                _extend(file[place(name)], values, ends[quantity.of_atoms])
        for name, value in _frame_row(frame, number, source, self._ends(frame)).items():
            _extend(file["frames"][name], np.asarray(value)[None], self.frames)
        file.flush()
        # The mark goes last and alone: a frame without it does not exist.
        file["complete"][0] = self.frames + 1
        file.flush()
        os.truncate(self.path, file.id.get_filesize())  # what was reserved and not used
        self.frames += 1

    def close(self) -> None:
        """Close the file and give the lock back."""
        file, self._file = self._file, None
        try:
            if file is not None:
                file.close()
        finally:
            self._lock.release()

    def abandon(self) -> None:
        """Close after a failed write, when closing may fail for the same reason."""
        with contextlib.suppress(Exception):
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()

    def _end(self, of_atoms: bool) -> int:
        """Row at which the next frame of the datasets of atoms, or of windows, begins."""
        assert self._file is not None
        if self.frames == 0:
            return 0
        ends = self._file["frames"]["atom_end" if of_atoms else "window_end"]
        return int(ends[self.frames - 1])

    def _ends(self, frame: FrameAnalysis) -> tuple[int, int]:
        windows = self._end(of_atoms=False) + frame.number_of_windows
        return windows, self._end(of_atoms=True) + frame.number_of_atoms

    def _create(self, frame: FrameAnalysis) -> None:
        _reserve(self.path, _upper_bound(frame))
        file = _open(self.path, "w")
        try:
            file.attrs["format"] = MARK
            file.attrs["schema"] = SCHEMA
            file.attrs["code_version"] = _code_version()
            file.attrs["classes"] = json.dumps(frame.classes)
            metadata = {k: v for k, v in frame.metadata.items() if k not in ("frame", "source")}
            file.attrs["metadata"] = json.dumps(metadata, default=_plain)
            file.attrs["settings"] = json.dumps(self.settings)
            if frame.min_certainty is not None:
                file.attrs["min_certainty"] = frame.min_certainty
            file.create_dataset("complete", data=np.zeros(1, dtype=np.int64))
            for name, quantity in FrameAnalysis.quantities().items():
                values = getattr(frame, name)
                shape = () if values is None else values.shape[1:]
                rows = frame.number_of_atoms if quantity.of_atoms else frame.number_of_windows
                # Whole chunks a frame: a compressed chunk that is rewritten leaves a hole behind.
                pieces = -(-max(rows, 1) // _ROWS)
                file.create_dataset(
                    place(name),
                    shape=(0, *shape),
                    maxshape=(None, *shape),
                    chunks=(-(-max(rows, 1) // pieces), *shape),
                    dtype=quantity.stored or quantity.dtype,
                    compression="gzip",
                    compression_opts=1,
                    shuffle=True,
                )
            for name, value in _frame_row(frame, 0, "", (0, 0)).items():
                item = np.asarray(value)
                file.create_dataset(
                    f"frames/{name}",
                    shape=(0, *item.shape),
                    maxshape=(None, *item.shape),
                    chunks=(64, *item.shape),
                    dtype=item.dtype,
                )
            file.flush()
            file.swmr_mode = True
        except BaseException:
            with contextlib.suppress(Exception):
                file.close()
            raise
        self._file = file

    def _reopen(self) -> None:
        """Copy the complete frames into a sound file, put it in place and open it."""
        with ResultFile(self.path) as old:
            for name in sorted(set(old.settings) | set(self.settings)):
                was, now = old.settings.get(name), self.settings.get(name)
                if was != now:
                    raise InputError(
                        f"{self.path}: cannot be resumed, {name} was {was!r} and is now {now!r}; "
                        "use the same options or another output"
                    )
            self.frames, self._classes = len(old), old.classes
            if self.frames == 0:
                return  # made anew with the first frame
            fresh = self.path.with_name(self.path.name + ".resumed")
            try:
                _reserve(fresh, self.path.stat().st_size + _OVERHEAD)
                with _open(fresh, "w") as file:
                    old.copy_to(file)
                os.replace(fresh, self.path)
            except BaseException:
                fresh.unlink(missing_ok=True)
                raise
        self._file = _open(self.path, "r+")
        self._file.swmr_mode = True


def _code_version() -> str:
    try:
        return version("ase-crystalnet")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"


def _open(path: str | os.PathLike[str], mode: str) -> h5py.File:
    import h5py

    # v110 is the oldest layout with the single-writer-multiple-reader mode.
    return h5py.File(path, mode, libver=("v110", "v110"))


def _upper_bound(frame: FrameAnalysis) -> int:
    """Bytes that a frame can take at most: as in memory, uncompressed, twice for chunk edges."""
    arrays = (getattr(frame, name) for name in FrameAnalysis.quantities())
    return _OVERHEAD + 2 * sum(int(array.nbytes) for array in arrays if array is not None)


def _reserve(path: Path, size: int, begin: int = 0) -> None:
    """Make sure of room for `size` bytes from `begin` on before HDF5 writes to a file.

    HDF5 cannot recover from a failed write: it loses the file, and takes the process with it when
    that is closed. So the disk is asked first.

    Raises
    ------
    OSError
        If there is no room; the file is as long as before, and gone if it held nothing.
    """
    if not hasattr(os, "posix_fallocate"):  # Windows, macOS
        if shutil.disk_usage(path.parent).free < size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        os.posix_fallocate(handle, begin, size)
    except OSError as error:
        if begin:
            os.ftruncate(handle, begin)
        else:
            path.unlink()
        raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
    finally:
        os.close(handle)


def _extend(dataset: h5py.Dataset, values: NDArray[Any], begin: int) -> None:
    """Write rows from `begin` on; what an unfinished frame left there is overwritten."""
    dataset.resize(begin + len(values), axis=0)
    if len(values):
        # NumPy narrows, not HDF5, whose rounding to float16 turned 0.9999 into 0.5 (1.14).
        dataset[begin:] = values.astype(dataset.dtype, copy=False)


def _frame_row(
    frame: FrameAnalysis, number: int, source: str, ends: tuple[int, int]
) -> dict[str, Any]:
    row = TrajectoryBuilder.row(frame, number, source)
    # A long path keeps its end, which tells files apart.
    name = source.encode()[-_SOURCE_BYTES:]
    row["sources"] = np.array(name, dtype=f"S{_SOURCE_BYTES}")
    row["frames"], row["atoms"] = np.int64(number), np.int64(frame.number_of_atoms)
    row["window_end"], row["atom_end"] = np.int64(ends[0]), np.int64(ends[1])
    row["has_lindemann"] = np.uint8(frame.lindemann is not None)
    return row


def _plain(value: Any) -> Any:
    """Numpy scalars and arrays as JSON has them; anything else by its name."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
