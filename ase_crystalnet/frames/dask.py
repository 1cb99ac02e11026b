"""Frames on the workers of an existing Dask cluster; see docs/cluster.md.

The files must have the same names there, as on the shared file system of a cluster.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ase_crystalnet.errors import InputError, WorkerError
from ase_crystalnet.frames import worker as _worker
from ase_crystalnet.frames.job import (
    FrameJob,
    Future,
    Result,
    in_order,
)
from ase_crystalnet.io.trajectories.addresses import FrameAddress, FrameLoader

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["DaskPool"]


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
        If no scheduler answers.
    """

    def __init__(self, job: FrameJob, where: str | Client) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise InputError(
                "dask: the package distributed is not installed; pip install 'ase-crystalnet[dask]'"
            ) from error
        self._payload = pickle.dumps(job)
        self._own = isinstance(where, str)
        self._client: Any
        try:
            self._client = Client(where, set_as_default=False) if self._own else where
        except (OSError, ValueError) as error:
            raise WorkerError(
                f"dask: no scheduler answers at {where!r}; wanted an address such as "
                "tcp://10.0.0.1:8786, as `dask scheduler` prints it"
            ) from error

    def results(self, addresses: Iterable[FrameAddress]) -> Iterator[Result]:
        """Yield the results of frames, in order.

        Raises
        ------
        WorkerError
            If workers die of a frame again and again (Dask's ``allowed-failures``).
        Exception
            What a frame raises in its worker.
        """
        from distributed import KilledWorker

        try:
            yield from in_order(self._submit, addresses, self._ahead)
        except KilledWorker as error:
            raise WorkerError(f"dask: a frame kills its workers; {error}") from error

    def close(self) -> None:
        """Leave the cluster, unless the client was given."""
        if self._own:
            self._client.close()

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
        # Impure: Dask is not to look for this frame among results of earlier runs.
        future: Future = self._client.submit(_analyze, self._payload, address, pure=False)
        return future

    def _ahead(self) -> int:
        # Workers come and go: an autoscaled cluster begins with none.
        return 2 * max(1, sum(self._client.nthreads().values()))


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
    if not hasattr(_mine, "loader"):
        _mine.loader = FrameLoader()
    try:
        return job.at(_mine.loader, address)
    except Exception as error:
        raise _worker.portable(error) from None
