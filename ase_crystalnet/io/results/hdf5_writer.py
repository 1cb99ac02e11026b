"""Write results into one HDF5 file, frame by frame, each complete or absent."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Mapping
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
from ase_crystalnet.io.results.held_file import (
    HeldFile,
    link_target,
    own_folder,
    refuse_other_than_file,
)
from ase_crystalnet.io.results.lock import FileLock
from ase_crystalnet.io.results.memory import MEMORY, Memory, create_memory, write_memory
from ase_crystalnet.io.results.same_frames import CONTENT_BYTES
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.trajectory import CONDITIONS, TrajectoryBuilder

if TYPE_CHECKING:
    import h5py

__all__ = ["HDF5Writer"]

_ROWS = 32768  # rows of a chunk at most: 0.5 MB of float16 probabilities
_FEW = 64  # faults in a chunk
_SOURCE_BYTES = 255
_MODEL = ("model", "model_sha256")  # of the metadata: what makes two frames those of one model
_END = {"windows": "window_end", "atoms": "atom_end", "faults": "fault_end"}
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
    earlier : path, optional
        With `resume`, the file whose frames come first, which is not touched; by default the one
        at `path`.
    lock : FileLock, optional
        A lock that the caller holds, and gives back after the writer is closed; a symbolic link at
        `path` is then not followed. By default the writer takes and gives back its own.
    look_back : int, optional
        Keep a `Memory` beside the frames that looks back on so many of them (0: on none).

    Attributes
    ----------
    frames : int
        Number of complete frames in the file.
    held : HeldFile or None
        The file, from the first frame on until the writer is closed.
    memory : Memory or None
        With `resume`, what was remembered after the last of the frames before.

    Raises
    ------
    OutputExistsError
        If the file is there and neither `overwrite` nor `resume` is given.
    OutputLockedError
        If another process is writing it.
    InputError
        With `resume`, if the file cannot be read or was made with other settings.

    Notes
    -----
    A symbolic link at `path` is kept; the file it points to is what is written. The file is made
    in a folder of its own and then given its name, so that nothing is ever written through a link
    or into a file that somebody else has put there.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        settings: Mapping[str, Any] | None = None,
        overwrite: bool = False,
        resume: bool = False,
        earlier: Path | None = None,
        lock: FileLock | None = None,
        look_back: int | None = None,
    ) -> None:
        # A caller with a lock has found the place; a link at that name is not ours.
        self.path = link_target(Path(path)) if lock is None else Path(path)
        # What is compared later has been through JSON, where a tuple becomes a list.
        self.settings: dict[str, Any] = json.loads(json.dumps(dict(settings or {})))
        self.frames = 0
        self.held: HeldFile | None = None
        self.memory: Memory | None = None
        self._look_back = look_back
        self._file: h5py.File | None = None
        self._classes: tuple[str, ...] = ()
        self._model: dict[str, Any] = {}
        self._lock = FileLock(self.path) if lock is None else None
        if self._lock is not None:
            self._lock.acquire()
        try:
            if os.path.lexists(self.path) and not (overwrite or resume):
                raise OutputExistsError(f"{self.path}: exists already; overwrite or resume it")
            source = self.path if earlier is None else earlier
            if resume and os.path.lexists(source):
                self._reopen(source)
        except BaseException:
            self._release()
            raise

    def append(
        self,
        frame: FrameAnalysis,
        number: int | None = None,
        source: str = "",
        content: str = "",
        memory: Memory | None = None,
    ) -> None:
        """Write one frame and commit it.

        Parameters
        ----------
        frame : FrameAnalysis
            The frame.
        number : int, optional
            Its number in its file; default: the number of frames before it.
        source : str
            The file it came from.
        content : str
            What `content_of` says of its atoms; tells on `resume` whether they are still the same.
        memory : Memory, optional
            What is remembered after it, with `look_back`.

        Raises
        ------
        OSError
            If it cannot be written, for example on a full disk; earlier frames are still there.
            Or if the file was moved, deleted or replaced meanwhile.
        InputError
            If it has other classes than the frames before it, or is of another model.
        """
        self._check_model(frame)
        if self._file is None:
            self._classes = frame.classes
            self._create(frame)
        if frame.classes != self._classes:
            raise InputError(f"{self.path}: expected classes {self._classes}, got {frame.classes}")
        assert self._file is not None and self.held is not None
        file, held = self._file, self.held
        held.check()
        room = _upper_bound(frame) + (0 if memory is None else memory.nbytes)
        held.reserve(room, file.id.get_filesize())
        number = self.frames if number is None else number
        counts = _counts(frame)
        ends = {group: self._end(group) for group in counts}
        for name, quantity in FrameAnalysis.quantities().items():
            values = getattr(frame, name)
            if values is None:
                values = quantity.empty({"N": frame.number_of_atoms})
            if place(name) in file:  # a file that is resumed keeps the quantities it began with
                _extend(file[place(name)], values, ends[quantity.rows])
        ends = {group: ends[group] + count for group, count in counts.items()}
        for name, value in _frame_row(frame, number, source, content, ends).items():
            if name in file["frames"]:
                _extend(file["frames"][name], np.asarray(value)[None], self.frames)
        if memory is not None:
            write_memory(file, memory, self.frames + 1)
        file.flush()
        # The mark goes last and alone: a frame without it does not exist.
        file["complete"][0] = self.frames + 1
        file.flush()
        held.cut(file.id.get_filesize())
        self.frames += 1

    def complete(self) -> None:
        """Close what HDF5 has open and bring it to disk; the file is held, and locked, until close.

        Raises
        ------
        OSError
            If that fails, or the file was moved, deleted or replaced meanwhile.
        """
        file, self._file = self._file, None
        if file is not None:
            file.close()
        if self.held is not None:
            os.fsync(self.held.handle)
            self.held.check()

    def close(self) -> None:
        """Bring the file to disk, close it and give the lock back.

        Raises
        ------
        OSError
            As `complete`.
        """
        try:
            self.complete()
        finally:
            self._release()

    def abandon(self) -> None:
        """Close after a failed write, when closing may fail for the same reason."""
        with contextlib.suppress(Exception):
            self.close()

    def _release(self) -> None:
        if self.held is not None:
            self.held.close()
        if self._lock is not None:
            self._lock.release()

    def _check_model(self, frame: FrameAnalysis) -> None:
        """Refuse a frame of another model than the frames before it."""
        model = {name: frame.metadata[name] for name in _MODEL if name in frame.metadata}
        for name in self._model.keys() & model.keys():
            if model[name] != self._model[name]:
                raise InputError(
                    f"{self.path}: expected frames of the model before, got others: {name} was "
                    f"{self._model[name]!r} and is now {model[name]!r}; use that model or another "
                    "output"
                )
        self._model = {**self._model, **model}

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

    def _end(self, group: str) -> int:
        """Row at which the next frame of the datasets of windows, atoms or faults begins."""
        assert self._file is not None
        name = _END[group]
        if self.frames == 0 or name not in self._file["frames"]:
            return 0
        return int(self._file["frames"][name][self.frames - 1])

    def _create(self, frame: FrameAnalysis) -> None:
        def fill(file: h5py.File) -> None:
            file.attrs["format"] = MARK
            file.attrs["schema"] = SCHEMA
            file.attrs["code_version"] = _code_version()
            file.attrs["classes"] = json.dumps(frame.classes)
            of_frame = ("frame", "source", *CONDITIONS)
            metadata = {k: v for k, v in frame.metadata.items() if k not in of_frame}
            file.attrs["metadata"] = json.dumps(metadata, default=_plain)
            file.attrs["settings"] = json.dumps(self.settings)
            if frame.min_certainty is not None:
                file.attrs["min_certainty"] = frame.min_certainty
            file.create_dataset("complete", data=np.zeros(1, dtype=np.int64))
            for name, quantity in FrameAnalysis.quantities().items():
                values = getattr(frame, name)
                shape = () if values is None else values.shape[1:]
                # Faults are few, and in some frames none.
                rows = max(_counts(frame)[quantity.rows], _FEW if quantity.rows == "faults" else 1)
                # Whole chunks a frame: a compressed chunk that is rewritten leaves a hole behind.
                pieces = -(-rows // _ROWS)
                file.create_dataset(
                    place(name),
                    shape=(0, *shape),
                    maxshape=(None, *shape),
                    chunks=(-(-rows // pieces), *shape),
                    dtype=quantity.stored or quantity.dtype,
                    compression="gzip",
                    compression_opts=1,
                    shuffle=True,
                )
            for name, value in _frame_row(frame, 0, "", "", dict.fromkeys(_END, 0)).items():
                item = np.asarray(value)
                file.create_dataset(
                    f"frames/{name}",
                    shape=(0, *item.shape),
                    maxshape=(None, *item.shape),
                    chunks=(64, *item.shape),
                    dtype=item.dtype,
                )
            if self._look_back is not None:
                create_memory(file, self._look_back)

        self._make(fill, _upper_bound(frame))

    def _reopen(self, source: Path) -> None:
        """Copy the complete frames of a file into a new one."""
        refuse_other_than_file(source, links=False)
        with ResultFile(source) as old:
            for name in sorted(set(old.settings) | set(self.settings)):
                was, now = old.settings.get(name), self.settings.get(name)
                if was != now:
                    raise InputError(
                        f"{self.path}: cannot be resumed, {name} was {was!r} and is now {now!r}; "
                        "use the same options or another output"
                    )
            self._classes = old.classes
            self._model = {name: old.metadata[name] for name in _MODEL if name in old.metadata}
            if len(old):  # else it is made anew with the first frame
                self.memory = old.memory

                def fill(file: h5py.File) -> None:
                    old.copy_to(file)
                    if self._look_back is not None and MEMORY[0] not in file:
                        create_memory(file, self._look_back)

                self._make(fill, source.stat().st_size + _OVERHEAD)
                self.frames = len(old)

    def _make(self, fill: Callable[[h5py.File], None], size: int) -> None:
        """Make the file with what `fill` puts into it, and only then give it its name."""
        with own_folder(self.path) as folder:
            held = HeldFile(folder / self.path.name)
            try:
                held.reserve(size)
                file = _open(held.path, "w")
                try:
                    held.reserve(size)  # opening has cut it off
                    fill(file)
                    file.flush()
                    held.cut(file.id.get_filesize())
                    if os.name == "nt":  # an open file cannot be renamed there
                        file.close()
                        os.replace(held.path, self.path)
                        file = _open(self.path, "r+")
                    else:
                        os.replace(held.path, self.path)
                    held.path = self.path
                    file.swmr_mode = True
                except BaseException:
                    with contextlib.suppress(Exception):
                        file.close()
                    raise
            except BaseException:
                # Once it has the name, it is all there is of the frames before.
                if held.path == self.path:
                    held.close()
                else:
                    held.remove()
                raise
        self._file, self.held = file, held


def _open(path: str | os.PathLike[str], mode: str) -> h5py.File:
    import h5py

    # v110 is the oldest layout with the single-writer-multiple-reader mode.
    return h5py.File(path, mode, libver=("v110", "v110"))


def _code_version() -> str:
    try:
        return version("ase-crystalnet")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "unknown"


def _upper_bound(frame: FrameAnalysis) -> int:
    """Bytes that a frame can take at most: as in memory, uncompressed, twice for chunk edges."""
    arrays = (getattr(frame, name) for name in FrameAnalysis.quantities())
    return _OVERHEAD + 2 * sum(int(array.nbytes) for array in arrays if array is not None)


def _extend(dataset: h5py.Dataset, values: NDArray[Any], begin: int) -> None:
    """Write rows from `begin` on; what an unfinished frame left there is overwritten."""
    dataset.resize(begin + len(values), axis=0)
    if len(values):
        # NumPy narrows, not HDF5, whose rounding to float16 turned 0.9999 into 0.5 (1.14).
        dataset[begin:] = values.astype(dataset.dtype, copy=False)


def _counts(frame: FrameAnalysis) -> dict[str, int]:
    """Rows of a frame in each group of datasets."""
    return {
        "windows": frame.number_of_windows,
        "atoms": frame.number_of_atoms,
        "faults": len(frame.fault_kind),
    }


def _frame_row(
    frame: FrameAnalysis, number: int, source: str, content: str, ends: Mapping[str, int]
) -> dict[str, Any]:
    row = TrajectoryBuilder.row(frame, number, source)
    # A long path keeps its end, which tells files apart.
    name = source.encode()[-_SOURCE_BYTES:]
    row["sources"] = np.array(name, dtype=f"S{_SOURCE_BYTES}")
    row["content"] = np.array(content.encode(), dtype=f"S{CONTENT_BYTES}")
    row.update({name: np.float64(row[name]) for name in CONDITIONS})
    row["frames"], row["atoms"] = np.int64(number), np.int64(frame.number_of_atoms)
    row.update({_END[group]: np.int64(end) for group, end in ends.items()})
    row["has_lindemann"] = np.uint8(frame.lindemann is not None)
    return row


def _plain(value: Any) -> Any:
    """Numpy scalars and arrays as JSON has them; anything else by its name."""
    return value.tolist() if hasattr(value, "tolist") else str(value)
