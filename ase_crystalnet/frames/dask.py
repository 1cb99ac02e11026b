"""Frames on the workers of an existing Dask cluster; see docs/cluster.md.

The files must have the same names there, as on the shared file system of a cluster.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import socket
import threading
import warnings
from collections.abc import Iterable, Iterator
from concurrent.futures import CancelledError
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ase_crystalnet.errors import WorkerError
from ase_crystalnet.frames import worker as _worker
from ase_crystalnet.frames.job import (
    FrameJob,
    Future,
    Result,
    in_order,
)
from ase_crystalnet.frames.scheduler import ANSWER, reach
from ase_crystalnet.io.trajectories.addresses import FrameAddress, FrameLoader

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["DaskPool", "NoWorkersWarning"]

#: Seconds after which it is said that a frame waits for want of workers.
PATIENCE = 15.0


class NoWorkersWarning(UserWarning):
    """A scheduler has no workers; frames wait until there are some."""


class DaskPool:
    """Sends addresses of frames to a Dask cluster.

    Parameters
    ----------
    job : FrameJob
        What is to be done with each frame.
    where : str or distributed.Client
        Address of the scheduler, such as ``tcp://10.0.0.1:8786``, or a client.

    Raises
    ------
    InputError
        If Dask is not installed.
    WorkerError
        If nothing answers, or what answers is no scheduler.

    Warns
    -----
    NoWorkersWarning
        If there are no workers, once. A queue may hold them back for hours: they are waited for.
    """

    def __init__(self, job: FrameJob, where: str | Client) -> None:
        self._payload = pickle.dumps(job)
        self._own = isinstance(where, str)
        self._client: Any = reach(where) if isinstance(where, str) else where
        self._waited = False

    def results(self, addresses: Iterable[FrameAddress]) -> Iterator[Result]:
        """Yield the results of frames, in order.

        Raises
        ------
        WorkerError
            If workers die of a frame again and again (Dask's ``allowed-failures``), do not see
            its file or do not have this package, or the scheduler is lost.
        Exception
            What a frame raises in its worker.
        """
        from distributed import KilledWorker

        try:
            yield from in_order(self._submit, addresses, self._ahead)
        except KilledWorker as error:
            raise WorkerError(f"dask: a frame kills its workers; {error}") from error
        except (CancelledError, _Lost) as error:
            raise WorkerError(
                f"dask: the scheduler at {self._address()} is lost: it ended, or the network to it "
                "is broken; start it and its workers, and this with --resume"
            ) from error
        except ImportError as error:
            raise WorkerError(
                f"dask: a worker cannot import what a frame needs ({error}); workers need the same "
                "environment as this process"
            ) from error

    def close(self) -> None:
        """Leave the cluster, unless the client was given."""
        if not self._own:
            return
        # A client that has lost its scheduler writes a traceback when it is closed.
        logger = logging.getLogger("distributed.client")
        before = logger.disabled
        logger.disabled = before or self._client.status != "running"
        try:
            self._client.close()
        finally:
            logger.disabled = before

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
        try:
            # Impure: Dask is not to look for this frame among results of earlier runs.
            future = self._client.submit(_analyze, self._payload, address, pure=False)
        except (OSError, RuntimeError) as error:  # the client was closed when it lost the scheduler
            raise _Lost from error
        return _Frame(future, self)

    def _ahead(self) -> int:
        # Workers come and go: an autoscaled cluster begins with none.
        return 2 * max(1, self.threads())

    def threads(self) -> int:
        """Threads of all workers; the scheduler is asked."""
        try:
            ask = self._client.scheduler.ncores
            return sum(self._client.sync(ask, callback_timeout=ANSWER).values())
        except (OSError, ValueError, RuntimeError, AttributeError, TimeoutError) as error:
            raise _Lost from error

    def say_why_nothing_comes(self) -> None:
        """Warn, once, that there are no workers.

        Raises
        ------
        _Lost
            If the scheduler does not answer.
        """
        if self.threads() or self._waited:
            return
        self._waited = True
        warnings.warn(
            f"dask: the scheduler at {self._address()} has no workers; frames wait for one: start "
            f"`dask worker {self._address()}`, or look at the queue of the cluster",
            NoWorkersWarning,
            stacklevel=4,
        )

    def _address(self) -> str:
        scheduler = getattr(self._client, "scheduler", None)
        return str(getattr(scheduler, "address", None) or "its address")


class _Lost(Exception):
    """The scheduler does not answer."""


class _Frame:
    """The result of a frame to come, which does not wait for it in silence."""

    def __init__(self, future: Any, pool: DaskPool) -> None:
        self._future, self._pool = future, pool

    def result(self) -> Any:
        from distributed.comm.core import CommClosedError

        while True:
            try:
                return self._future.result(timeout=PATIENCE)
            except TimeoutError:
                if self._future.status == "error":  # the frame's own
                    raise
                self._pool.say_why_nothing_comes()
            except CommClosedError as error:  # while the result was fetched
                raise _Lost from error

    def cancel(self) -> Any:
        # Of a lost scheduler nothing is asked any more: it would be waited for.
        return self._future.cancel() if self._future.client.status == "running" else None


_jobs: dict[str, FrameJob] = {}
_lock = threading.Lock()
_mine = threading.local()


def _analyze(payload: bytes, address: FrameAddress) -> Result:
    """Analyse a frame, on the worker."""
    key = hashlib.sha256(payload).hexdigest()
    with _lock:
        if key not in _jobs:
            if "NUMBA_NUM_THREADS" not in os.environ:
                _worker.limit_threads(1)  # Dask runs a frame in each of a worker's threads
            _jobs.clear()
            _jobs[key] = pickle.loads(payload)
        job = _jobs[key]
    if not os.access(address.path, os.R_OK):
        raise WorkerError(
            f"dask: {address.source}: the worker on {socket.gethostname()} cannot read "
            f"{address.path}; files must have the same names on all nodes: put it on a file system "
            "that they share"
        )
    if not hasattr(_mine, "loader"):
        _mine.loader = FrameLoader()
    try:
        return job.at(_mine.loader, address)
    except Exception as error:
        raise _worker.portable(error) from None
