"""Run inputs in processes with limits of time and memory, and say how each ended."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

#: How an input may end. Only the first two are right.
OUTCOMES = (
    "answer", "refused", "traceback", "hang", "memory", "crash", "half-written", "many lines",
    "silently wrong",
)  # fmt: skip
GOOD = OUTCOMES[:2]
#: Seconds, and bytes beyond what a process has when it is ready.
TIME_LIMIT = 60.0
MEMORY_LIMIT = 2 * 2**30
#: A message longer than this is no line for a user.
LONGEST_MESSAGE = 1000


@dataclass(frozen=True)
class Case:
    """An input: who reads it, the name of its file, its content, and where it came from.

    `wanted` is the right answer where that is known: another one is silently wrong.
    """

    target: str
    name: str
    content: bytes
    origin: str = ""
    wanted: str = ""


@dataclass(frozen=True)
class Outcome:
    """How a case ended; of an answer, what it was is said."""

    target: str
    name: str
    origin: str
    kind: str
    said: str
    seconds: float

    @property
    def good(self) -> bool:
        return self.kind in GOOD

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def _judge(error: BaseException) -> tuple[str, str]:
    """Whether an exception is one that the command line says in one line."""
    from ase_crystalnet.errors import CrystalNetError

    said = f"{type(error).__name__}: {error}"
    if isinstance(error, MemoryError):
        return "memory", said[:300]
    system = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)
    if not isinstance(error, (CrystalNetError, *system)):
        lines = traceback.format_exception(error)
        return "traceback", "".join(lines)[-1500:]
    if len(str(error).splitlines()) > 1 or len(str(error)) > LONGEST_MESSAGE:
        return "many lines", said[:300]
    return "refused", said[:300]


def _left(out: Path) -> str:
    """What was left half-written in the folder of the outputs; empty if nothing was."""
    from ase_crystalnet.io.results.hdf5_reader import ResultFile

    for path in out.rglob("*"):
        if path.is_dir() or path.name.endswith((".part", ".lock")):
            return path.name
        if path.suffix == ".h5":
            with ResultFile(path) as file:
                for _ in file:
                    pass
        elif path.stat().st_size == 0:
            return path.name
    return ""


def _one(function: Callable[..., str | None], case: Case, place: Path) -> tuple[str, str]:
    out = place / "out"
    shutil.rmtree(place, ignore_errors=True)
    out.mkdir(parents=True)
    inside = place / "in"
    inside.mkdir()
    path = inside / case.name
    path.write_bytes(case.content)
    kind, said = "answer", ""
    try:
        said = function(case.target, path, out) or ""
        if case.wanted and said != case.wanted:
            kind, said = "silently wrong", "another answer than that of the clean file"
    except BaseException as error:  # also what is no Exception, such as a panic of Rust
        kind, said = _judge(error)
    if kind in GOOD:
        try:
            left = _left(out)
        except Exception as error:
            left = repr(error)[:300]
        if left:
            return "half-written", left
    return kind, said


def _serve(pipe: Connection, function: Callable[..., str | None], warm: Iterable[str]) -> None:
    """A process: take a case, say how it ended, take the next."""
    # What libraries print of damaged files would be lines among the table.
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    for module in warm:
        with contextlib.suppress(ImportError):
            __import__(module)
    if sys.platform == "linux":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_LIMIT + 2**28,) * 2)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory() as place:
        pipe.send("ready")
        while (case := pipe.recv()) is not None:
            pipe.send(_one(function, case, Path(place) / "case"))


class _Worker:
    """One supervised process and the case it is at."""

    def __init__(self, function: Callable[..., str | None], warm: Iterable[str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_serve, args=(theirs, function, tuple(warm)), daemon=True
        )
        self.process.start()
        theirs.close()
        self.ready = False
        self.case: Case | None = None
        self.since = 0.0
        self.base = 0

    def give(self, case: Case) -> None:
        self.case, self.since, self.base = case, time.monotonic(), self.memory()
        self.pipe.send(case)

    def memory(self) -> int:
        """Resident bytes; 0 where that cannot be known."""
        try:
            text = Path(f"/proc/{self.process.pid}/statm").read_text()
            return int(text.split()[1]) * resource.getpagesize()
        except (OSError, IndexError):
            return 0

    def kill(self) -> None:
        self.process.kill()
        self.process.join()
        self.pipe.close()


def supervise(
    cases: Iterable[Case],
    function: Callable[..., str | None],
    *,
    processes: int = 2,
    time_limit: float = TIME_LIMIT,
    warm: Iterable[str] = (),
) -> Iterator[Outcome]:
    """Run cases, each in a process that is killed beyond the limits; outcomes as they come.

    Parameters
    ----------
    cases : iterable of Case
    function : callable
        Takes target, path of the input, folder for outputs; can be pickled. Returns what was read,
        as a text that is compared with what is wanted.
    processes : int
        At a time. They are kept for the next case as long as they live.
    time_limit : float
        Seconds a case may take.
    warm : iterable of str
        Modules imported before the first case.
    """
    waiting = iter(cases)
    workers: list[_Worker] = []
    upcoming = next(waiting, None)
    try:
        while upcoming is not None or any(worker.case for worker in workers):
            while upcoming is not None and len(workers) < processes:
                workers.append(_Worker(function, warm))
            for worker in workers:
                if upcoming is not None and worker.ready and worker.case is None:
                    worker.give(upcoming)
                    upcoming = next(waiting, None)
            spoken = wait([worker.pipe for worker in workers], timeout=0.05)
            for worker in list(workers):
                outcome = _look(worker, worker.pipe in spoken, time_limit)
                if outcome is None:
                    continue
                yield outcome
                if worker.case is None:
                    continue
                worker.kill()
                workers.remove(worker)
    finally:
        for worker in workers:
            worker.kill()


def _look(worker: _Worker, spoke: bool, time_limit: float) -> Outcome | None:
    """How the case of a worker ended, if it did; its case is kept if the worker has to go."""
    case = worker.case
    seconds = time.monotonic() - worker.since
    if spoke:
        try:
            said = worker.pipe.recv()
        except (EOFError, OSError):
            if case is None:
                raise RuntimeError("a process of the fuzzer died before its first case") from None
            worker.process.join()
            return _ended(case, "crash", f"exit code {worker.process.exitcode}", seconds)
        if said == "ready":
            worker.ready = True
            return None
        assert case is not None
        worker.case = None
        return _ended(case, *said, seconds)
    if case is None:
        return None
    if worker.memory() - worker.base > MEMORY_LIMIT:
        return _ended(case, "memory", "above the limit", seconds)
    if seconds > time_limit:
        return _ended(case, "hang", f"no answer in {time_limit:g} s", seconds)
    return None


def _ended(case: Case, kind: str, said: str, seconds: float) -> Outcome:
    return Outcome(case.target, case.name, case.origin, kind, said, round(seconds, 3))
