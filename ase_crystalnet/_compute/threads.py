"""Share windows out to threads; the compiled kernels release the GIL.

Numba's own parallel loops are no choice: its thread pools may abort when two Python threads enter
them at once, as Dask's workers or an OVITO session would.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from ase_crystalnet.errors import InputError

__all__ = ["share", "thread_count", "thread_number"]

#: A thread with fewer windows costs more than it brings.
LEAST = 8
#: Parts a thread: windows differ in cost, and a thread that is done takes another part.
PARTS = 4


def thread_count(threads: int | None) -> int:
    """Number of threads asked for; by default ``NUMBA_NUM_THREADS``, all cores unless it is set.

    Raises
    ------
    InputError
        If it is less than one.
    """
    if threads is None:
        from numba import config

        return int(config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    if threads < 1:
        raise InputError(f"threads is {threads}; expected 1 or more")
    return threads


def share(work: Callable[[int, int], object], windows: int, threads: int | None) -> None:
    """Call ``work(start, stop)`` on parts that make up 0 .. `windows`, in threads."""
    workers = min(thread_count(threads), windows // LEAST)
    if workers <= 1:
        work(0, windows)
        return
    parts = min(PARTS * workers, windows // LEAST)
    edges = np.linspace(0, windows, parts + 1).astype(int).tolist()
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda bounds: work(*bounds), pairwise(edges)))


def thread_number(workers: int) -> int | None:
    """SciPy's number of workers (-1: all) as a number of threads (None: all)."""
    return None if workers < 1 else workers
