"""Frames in parallel: worker processes of this machine; results in the order of the frames.

A worker is told where a frame is (`FrameAddress`), not handed its atoms. The number of frames
under way is bounded, so that memory does not grow with the trajectory. Workers of a Dask cluster
take the same jobs (`frames.dask`).
"""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import signal
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ase_crystalnet._compute.threads import thread_count
from ase_crystalnet.errors import InputError, WorkerError
from ase_crystalnet.frames import worker as _worker
from ase_crystalnet.frames.job import (
    FrameJob,
    Future,
    Result,
    in_order,
)
from ase_crystalnet.io.trajectories.addresses import FrameAddress

if TYPE_CHECKING:
    pass

__all__ = ["WorkerPool"]


#: How often a frame is begun before it is held to be what kills its workers.
ATTEMPTS = 3


class WorkerPool:
    """Worker processes, each with a share of the threads; a dead one is replaced.

    Parameters
    ----------
    job : FrameJob
        What they do.
    workers : int
        Number of processes. Each computes in ``NUMBA_NUM_THREADS`` (all cores unless it is set)
        divided by this many threads.

    Raises
    ------
    InputError
        If the number is less than one, or the job cannot be sent.
    """

    def __init__(self, job: FrameJob, workers: int) -> None:
        if workers < 1:
            raise InputError(f"workers: expected a number from 1 on, got {workers}")
        try:
            payload = pickle.dumps(job)
        except Exception as error:
            raise InputError(f"workers: the analyzer cannot be sent to them ({error})") from error
        threads = max(1, thread_count(None) // workers)
        self.workers = [_Worker(payload, threads) for _ in range(workers)]
        self._idle: SimpleQueue[_Worker] = SimpleQueue()
        for worker in self.workers:
            self._idle.put(worker)
        # One thread for each process: it hands over a frame and waits for the answer.
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="frames")

    def results(self, addresses: Iterable[FrameAddress]) -> Iterator[Result]:
        """Yield the results of frames, in order.

        Raises
        ------
        WorkerError
            If workers die of a frame again and again, or do not start.
        Exception
            What a frame raises in its worker.
        """
        # Twice as many as workers: they go on while the results of a slower frame are awaited.
        return in_order(self._submit, addresses, lambda: 2 * len(self.workers))

    def close(self) -> None:
        """End the processes at once."""
        for worker in self.workers:
            worker.stop()
        self._executor.shutdown(cancel_futures=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _submit(self, address: FrameAddress) -> Future:
        return self._executor.submit(self._run, address)

    def _run(self, address: FrameAddress) -> Result:
        worker = self._idle.get()
        try:
            return worker.run(address)
        finally:
            self._idle.put(worker)


class _Worker:
    """One process and the pipe to it."""

    def __init__(self, payload: bytes, threads: int) -> None:
        self.payload, self.threads = payload, threads
        self.process: Any = None
        self._pipe: Connection | None = None
        self._stopped = False
        self._lock = threading.Lock()

    def run(self, address: FrameAddress) -> Result:
        """Have a frame done; if the process dies, of it or of anything else, by a new one."""
        for _ in range(ATTEMPTS):
            try:
                pipe = self._pipe or self._start()
                pipe.send(address)
                good, value = pipe.recv()
            except (EOFError, ConnectionError):
                self._clear()
                continue
            if not good:
                raise value
            result: Result = value
            return result
        raise WorkerError(
            f"{address.source}: frame {address.number} (from 0): its worker process died "
            f"{ATTEMPTS} times ({self._cause()}); if memory is short, use fewer workers"
        )

    def stop(self) -> None:
        """End the process, whatever it is doing."""
        with self._lock:
            self._stopped = True
            if self.process is not None:
                self.process.terminate()
                self.process.join(5)
                if self.process.exitcode is None:
                    self.process.kill()
                    self.process.join()

    def _start(self) -> Connection:
        # Spawned, not forked: TensorFlow and OVITO do not survive a fork.
        context = multiprocessing.get_context("spawn")
        with self._lock, _no_interrupt():
            if self._stopped:
                raise WorkerError("the workers were stopped")
            pipe, theirs = context.Pipe()
            self.process = context.Process(
                target=_worker.serve, args=(theirs, self.payload, self.threads), daemon=True
            )
            self.process.start()
            theirs.close()
        try:
            good, value = pipe.recv()
        except (EOFError, ConnectionError):
            self.process.join()
            if self.process.exitcode >= 0:
                raise WorkerError(
                    f"a worker process did not start ({self._cause()}); a script that uses workers "
                    "must have its main part under `if __name__ == '__main__':`"
                ) from None
            raise
        if not good:
            raise value
        self._pipe = pipe
        return pipe

    def _clear(self) -> None:
        """Clear away a process whose pipe broke."""
        if self._pipe is not None:
            self._pipe.close()
            self._pipe = None
        with self._lock:
            self.process.kill()
            self.process.join()

    def _cause(self) -> str:
        code = self.process.exitcode
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Start a process that Ctrl-C does not reach while it starts: its parent ends it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # started with the first process, it would lift the block
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
