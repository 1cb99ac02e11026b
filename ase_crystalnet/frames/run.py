"""Analyse the frames of a trajectory one by one, from files or from a running simulation."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from typing import TYPE_CHECKING, Any

from ase_crystalnet.errors import InputError
from ase_crystalnet.frames.job import FrameJob, Result, named
from ase_crystalnet.frames.lindemann import (
    LindemannTracker,
    LindemannWindow,
    tracker_of,
    with_lindemann,
)
from ase_crystalnet.frames.processes import WorkerPool
from ase_crystalnet.io.trajectories.addresses import FrameAddress, FrameLoader
from ase_crystalnet.io.trajectories.selection import Only
from ase_crystalnet.io.trajectories.stream import (
    StreamFrame,
    iter_addresses,
    iter_frames,
    load_frame,
)
from ase_crystalnet.results.method import Method, Progress

if TYPE_CHECKING:
    from distributed import Client

    from ase_crystalnet.frames.dask import DaskPool
    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["analyze_frames", "run"]


def run(
    analyzer: Method,
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    start: int = 0,
    stop: int | None = None,
    step: int = 1,
    *,
    lindemann: LindemannWindow = None,
    centers: Any = "atoms",
    spacing: float | None = None,
    format: str | None = None,
    reader: Mapping[str, Any] | None = None,
    only: Only = None,
    progress: Progress | None = None,
    workers: int | None = None,
    dask: str | Client | None = None,
) -> Iterator[FrameAnalysis]:
    """Analyse the frames of one or more files, one after the other or several at a time.

    Memory does not grow with the number of frames, and neither the results nor their order depend
    on where they are computed.

    Parameters
    ----------
    analyzer : CrystalNet
        Or anything with its method `analyze`.
    source : path or sequence of paths
        Anything that ase.io reads, and GSD.
    start, stop, step : int
        Which frames, as in a slice over all frames of all files.
    lindemann : int, "all" or None
        Fill in the Lindemann parameter of each atom over this many latest frames (at least 2),
        or all frames so far. It starts anew when the atoms change.
    centers, spacing
        As in `CrystalNet.analyze`.
    format : str, optional
        ASE's name of the file format, where the file does not tell.
    reader : mapping, optional
        How files are read: ``topology`` (a file with the names of the atoms), ``atom_style`` (of
        LAMMPS data), ``species`` ("1=Cu,2=Zr"), ``cell`` (Angstrom, of files without one); others
        are handed to ASE's reader.
    only : str, callable or mask, optional
        The atoms that count, in words such as ``"element O"``, ``"type 1 2"``, ``"name OW"`` or
        ``"z < 50"``, as a mask, or a callable of `ase.Atoms` that returns one. The others are
        treated as absent: results are of the chosen atoms, in their order.
    progress : callable, optional
        Called with (windows done, windows in all) of the frame at hand, where that is analysed here
        and not by workers.
    workers : int, optional
        Analyse this many frames at a time, each in a process of its own with its share of the
        cores. A script that asks for it must have its main part under
        ``if __name__ == "__main__":``. By default frames are analysed in this process.
    dask : str or distributed.Client, optional
        Analyse frames on the workers of this Dask cluster, which must see the files under the same
        names.

    Yields
    ------
    FrameAnalysis
        With ``metadata['source']`` and ``metadata['frame']``, the number in that file from 0.

    Raises
    ------
    TruncatedTrajectoryError
        When a frame cannot be read, after those before it were yielded.
    InputError
        When a frame cannot be analysed, naming file and frame.
    WorkerError
        When workers die of a frame again and again, or no scheduler answers.
    """
    pairs = analyze_frames(
        analyzer,
        source,
        start,
        stop,
        step,
        lindemann=lindemann,
        centers=centers,
        spacing=spacing,
        format=format,
        reader=reader,
        only=only,
        progress=progress,
        workers=workers,
        dask=dask,
    )
    return (analysis for _, analysis in pairs)


def analyze_frames(
    analyzer: Method,
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    start: int = 0,
    stop: int | None = None,
    step: int = 1,
    *,
    skip: int = 0,
    lindemann: LindemannWindow = None,
    centers: Any = "atoms",
    spacing: float | None = None,
    format: str | None = None,
    reader: Mapping[str, Any] | None = None,
    only: Only = None,
    progress: Progress | None = None,
    workers: int | None = None,
    dask: str | Client | None = None,
) -> Iterator[Result]:
    """As `run`, giving the frame with its analysis, and leaving out the first `skip` frames.

    The frames left out are those that an earlier run has done; they are read, not analysed, where
    the Lindemann parameter needs what came before.
    """
    if workers is not None and dask is not None:
        raise InputError("workers and dask exclude each other: give one of them")
    tracker = tracker_of(lindemann)
    # All frames before, also for a running window: its sums keep the rounding of what has left it,
    # and a run that is resumed gives what one run gives, to the last bit.
    back = 0 if tracker is None else skip
    if start >= 0 and (stop is None or stop >= 0):
        start, skip = start + step * (skip - back), back
    job = FrameJob(analyzer, centers, spacing)
    chosen = (source, start, stop, step)
    how: dict[str, Any] = {"format": format, "reader": reader, "only": only}
    results: Generator[Result, None, None]
    if workers is None and dask is None:
        results = _here(job, iter_frames(*chosen, **how), skip, tracker, progress)
    else:
        addresses = iter_addresses(*chosen, **how)
        results = _elsewhere(job, addresses, skip, tracker, workers, dask)
    with closing(results):
        for frame, analysis in results:
            if tracker is not None:
                # Here, in order and one at a time, wherever the frames were analysed.
                with named(frame):
                    analysis = with_lindemann(analysis, tracker, frame.atoms)
            yield frame, analysis


def _here(
    job: FrameJob,
    frames: Iterator[StreamFrame],
    skip: int,
    tracker: LindemannTracker | None,
    progress: Progress | None,
) -> Generator[Result, None, None]:
    """Analyse frames in this process."""
    for frame in islice(frames, skip):
        if tracker is not None:
            tracker.add(frame.atoms, 1.0)
    for frame in frames:
        yield frame, job(frame, progress)


def _elsewhere(
    job: FrameJob,
    addresses: Iterator[FrameAddress],
    skip: int,
    tracker: LindemannTracker | None,
    workers: int | None,
    dask: str | Client | None,
) -> Generator[Result, None, None]:
    """Analyse frames in worker processes or on a Dask cluster."""
    pool: WorkerPool | DaskPool
    if workers is not None:
        pool = WorkerPool(job, workers)
    else:
        from ase_crystalnet.frames.dask import DaskPool

        assert dask is not None
        pool = DaskPool(job, dask)
    with pool, FrameLoader() as loader:
        for address in islice(addresses, skip):
            if tracker is not None:
                tracker.add(load_frame(loader, address).atoms, 1.0)
        yield from pool.results(addresses)
