"""Frames of trajectory files, one at a time: anything ase.io reads, and GSD.

Extended XYZ and LAMMPS text dumps are cut into frames (`text_frames`) and read one by one, so that
a long file is never held as a whole and the frames before a damaged one are kept; ``.traj``, netCDF
and GSD files are opened by their own packages, which read single frames. Other formats go through
`ase.io.iread`, which reads the file at once where its format has no other way.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import open_plain, reason_of
from ase_crystalnet.io.trajectories.addresses import FrameAddress, FrameLoader, find_frames
from ase_crystalnet.io.trajectories.formats import FrameError, format_of, reader_of
from ase_crystalnet.io.trajectories.reading import Reading
from ase_crystalnet.io.trajectories.remarks import remark_missing_cell
from ase_crystalnet.io.trajectories.selection import Only

if TYPE_CHECKING:
    from ase import Atoms

__all__ = [
    "StreamFrame",
    "TruncatedTrajectoryError",
    "count_frames",
    "iter_addresses",
    "iter_frames",
    "load_frame",
    "parse_frames",
]

Path = str | os.PathLike[str]


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
        self.reason = reason
        super().__init__(f"{source}: frame {number} (from 0) cannot be read: {reason}")

    def __reduce__(self) -> tuple[Any, ...]:  # it comes back from other processes
        return type(self), (self.source, self.number, self.reason)


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
        raise InputError(f"frames: expected start:stop:step such as 0:100:10 or ::5, got {text!r}")
    parts = [int(part) if part.strip() else None for part in text.split(":")]
    if len(parts) == 1:
        only = parts[0]
        assert only is not None
        return slice(only, only + 1 if only != -1 else None)
    frames = slice(*parts)
    if frames.step is not None and frames.step < 1:
        raise InputError(f"frames: expected a step of at least 1, got {frames.step}")
    return frames


def iter_frames(
    sources: Path | Sequence[Path],
    start: int = 0,
    stop: int | None = None,
    step: int = 1,
    *,
    format: str | None = None,
    reader: Mapping[str, Any] | None = None,
    only: Only = None,
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
    reader : mapping, optional
        ``topology``, ``atom_style``, ``species`` and ``cell`` as of `Reading`; others are handed
        to ASE's reader.
    only : str, callable or mask, optional
        Atoms that are kept: words (``element O``), or what a callable of the atoms returns.

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
    with FrameLoader() as loader:
        for address, atoms in _chosen(sources, start, stop, step, Reading.of(format, reader, only)):
            if atoms is None:
                yield load_frame(loader, address)
            else:
                remark_missing_cell(address, atoms)
                yield StreamFrame(address.source, address.number, atoms)


def iter_addresses(
    sources: Path | Sequence[Path],
    start: int = 0,
    stop: int | None = None,
    step: int = 1,
    *,
    format: str | None = None,
    reader: Mapping[str, Any] | None = None,
    only: Only = None,
) -> Iterator[FrameAddress]:
    """Yield the addresses of the frames that `iter_frames` yields, for `load_frame`.

    Parameters and errors are those of `iter_frames`; what is inside a frame is not looked at.
    """
    reading = Reading.of(format, reader, only)
    return (address for address, _ in _chosen(sources, start, stop, step, reading))


def load_frame(loader: FrameLoader, address: FrameAddress) -> StreamFrame:
    """Read one frame.

    Raises
    ------
    TruncatedTrajectoryError
        When it cannot be read.
    """
    try:
        atoms = loader.load(address)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # readers raise anything on a damaged file
        raise TruncatedTrajectoryError(
            address.source, address.number, _reason(error, address.format)
        ) from error
    remark_missing_cell(address, atoms)
    return StreamFrame(address.source, address.number, atoms)


def _chosen(
    sources: Path | Sequence[Path], start: int, stop: int | None, step: int, reading: Reading
) -> Iterator[tuple[FrameAddress, Atoms | None]]:
    files = _file_list(sources)
    if step < 1:
        raise InputError(f"frames: expected a step of at least 1, got {step}")
    if start < 0 or (stop is not None and stop < 0):
        total = sum(_count(file, reading) for file in files)
        start, stop, _ = slice(start, stop).indices(total)
    index = 0
    for source in files:
        number = 0
        with closing(find_frames(source, reading)) as found:
            while stop is None or index < stop:
                try:
                    address, atoms = next(found)
                except StopIteration:
                    break
                except (InputError, MemoryError):
                    raise
                except Exception as error:  # readers raise anything on a damaged file
                    name = format_of(source, reading.format)
                    raise TruncatedTrajectoryError(source, number, _reason(error, name)) from error
                if index >= start and (index - start) % step == 0:
                    yield address, atoms
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
        if reader_of(format_of(source, format)) == "ase":
            return None
        total += _count(source, Reading(format=format))
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
        open_plain(file).close()
    return files


def _count(source: str, reading: Reading) -> int:
    count = 0
    try:
        for _ in find_frames(source, reading):
            count += 1
    except InputError:
        raise
    except Exception:  # the same damage is met, and reported, when the frames are read
        return count
    return count


def _reason(error: Exception, format: str) -> str:
    """What is wrong, which format was assumed, and how to say another."""
    first = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    first = reason_of(ValueError(first)) if first else ""
    if isinstance(error, TypeError) and (unknown := _UNEXPECTED.search(first)):
        return f"the reader of {format} has no option {unknown[1]}; leave it out of --reader"
    said = first if isinstance(error, FrameError) else f"{type(error).__name__}: {first}"
    return f"{said} (read as {format}; if it is another format, name it by --format)"


_UNEXPECTED = re.compile(r"unexpected keyword argument ('\w+')")
