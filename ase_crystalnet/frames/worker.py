"""What a worker process does: read the frame it is told, analyse it, send back the result.

Nothing that uses threads is imported here before the number of threads is set.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from multiprocessing.connection import Connection

__all__ = ["THREAD_VARIABLES", "limit_threads", "portable", "serve"]

#: What tells libraries in how many threads they may compute.
THREAD_VARIABLES = (
    "NUMBA_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)


def limit_threads(count: int) -> None:
    """Let this process compute in `count` threads, also the libraries that are still to come.

    Where there is a GPU it takes no more of its memory than it needs: others share it.
    """
    for name in THREAD_VARIABLES:
        os.environ[name] = str(count)
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    if "numba" in sys.modules:
        from numba import config

        config.NUMBA_NUM_THREADS = count  # type: ignore[attr-defined]


def serve(connection: Connection, payload: bytes, threads: int) -> None:
    """Answer addresses with results until the other side is gone.

    Parameters
    ----------
    connection : Connection
        Brings a `FrameAddress`; takes (True, (frame, analysis)) or (False, exception). The first
        message is (True, None) when the worker is ready.
    payload : bytes
        Pickled `FrameJob`.
    threads : int
        Threads to compute in.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that started us
    limit_threads(threads)
    _mute_libraries()
    from ase_crystalnet.io.trajectories.addresses import FrameLoader

    try:
        job = pickle.loads(payload)
    except Exception as error:
        connection.send((False, portable(error)))
        return
    connection.send((True, None))
    with FrameLoader() as loader:
        while True:
            try:
                address = connection.recv()
                try:
                    answer = True, job.at(loader, address)
                except Exception as error:
                    answer = False, portable(error)
                connection.send(answer)
            except (EOFError, BrokenPipeError, ConnectionResetError):
                return


def portable(error: Exception) -> Exception:
    """An exception that another process can raise, with the place where it came from."""
    from ase_crystalnet.errors import CrystalNetError

    if not isinstance(error, CrystalNetError):
        error.add_note("In a worker process:\n" + traceback.format_exc())
    try:
        if type(pickle.loads(pickle.dumps(error))) is type(error):
            return error
    except Exception:  # some exceptions cannot be pickled, or made again from it
        pass
    return RuntimeError("".join(traceback.format_exception(error)))


def _mute_libraries() -> None:
    """Keep what TensorFlow's C++ writes off the terminal; Python's own messages still get there."""
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        return
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr
        return
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 2)
    os.close(sink)
    sys.stderr = os.fdopen(kept, "w", buffering=1)
