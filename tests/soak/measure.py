"""What a process holds, and how that changes while frames go by."""

from __future__ import annotations

import ctypes
import gc
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase.build import bulk
from ase.io import write

from ase_crystalnet.frames.run import analyze_frames
from ase_crystalnet.io.results.outputs import Outputs
from ase_crystalnet.results.method import Method
from ase_crystalnet.results.trajectory import TrajectoryBuilder

__all__ = ["Held", "frames_on_disk", "held", "soak"]

#: Frames written to disk; a long run goes over them again and again.
FRAMES = 250


@dataclass(frozen=True)
class Held:
    """What this process holds after a number of frames.

    Attributes
    ----------
    frames : int
    memory : float
        Resident set, MiB.
    handles : int
        Open files and sockets; -1 where the system does not tell.
    threads : int
        Threads, those of libraries included where the system tells them.
    in_use : float
        Of the heap, what was asked for and not given back, MiB (glibc's mallinfo2); the rest of
        what memory grows by is room between. nan where the library does not tell.
    """

    frames: int
    memory: float
    handles: int
    threads: int
    in_use: float = float("nan")


def held(frames: int) -> Held:
    """What is held now, after a collection of garbage."""
    gc.collect()
    try:
        status = Path("/proc/self/status").read_text()
        words = dict(line.split(":", 1) for line in status.splitlines())
        handles = len(os.listdir("/proc/self/fd")) - 1  # one reads the folder
        memory = int(words["VmRSS"].split()[0]) / 1024
        return Held(frames, memory, handles, int(words["Threads"]), heap_in_use())
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return Held(frames, peak / 2**20, -1, threading.active_count())


def heap_in_use() -> float:
    """Bytes of the heap that were asked for and not given back, in MiB; nan without glibc."""

    class Information(ctypes.Structure):
        _fields_ = [
            (name, ctypes.c_size_t)
            for name in (
                *("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks"),
                *("uordblks", "fordblks", "keepcost"),
            )
        ]

    try:
        ask = ctypes.CDLL(None).mallinfo2
    except (AttributeError, OSError, TypeError):
        return float("nan")
    ask.restype = Information
    found = ask()
    return float(found.uordblks + found.hblkhd) / 2**20


def frames_on_disk(folder: Path, count: int, size: int) -> list[Path]:
    """Files of `count` small frames of copper in all, `size` cells wide; one file several times."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(min(count, FRAMES)):
        atoms = bulk("Cu", cubic=True) * (size, size, size)
        atoms.positions += rng.normal(scale=0.1, size=atoms.positions.shape)
        made.append(atoms)
    write(folder / "some.extxyz", made)
    rest = count % len(made)
    paths = [folder / "some.extxyz"] * (count // len(made))
    if rest:
        write(folder / "rest.extxyz", made[:rest])
        paths.append(folder / "rest.extxyz")
    return paths


def soak(
    method: Method,
    paths: list[Path],
    output: Path,
    *,
    every: int,
    begin: Callable[[], None] = lambda: None,
) -> Iterator[Held]:
    """Analyse frames into a result file as the command does; yield what is held every so often.

    Parameters
    ----------
    method : Method
    paths : list of paths
    output : path
        HDF5 file to be written.
    every : int
        Frames between two looks.
    begin : callable
        Called when the first frame is done.
    """
    outputs = Outputs([output], settings={}, overwrite=True, resume=False)
    builder: TrajectoryBuilder | None = None
    for count, (frame, analysis) in enumerate(
        analyze_frames(method, [str(path) for path in paths], lindemann=10), 1
    ):
        outputs.append(frame, analysis)
        builder = builder or TrajectoryBuilder(analysis.classes, analysis.metadata)
        builder.append(analysis, frame.number, frame.source)
        if count == 1:
            begin()
        if count % every == 0:
            yield held(count)
    assert builder is not None
    outputs.finish(builder.build())
