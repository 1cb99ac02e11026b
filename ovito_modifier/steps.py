"""Run a computation in steps that an OVITO modifier can yield."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import Any, TypeVar

__all__ = ["in_steps"]

Progress = Callable[[int, int], None]
Result = TypeVar("Result")

#: Seconds after which OVITO gets control again, so that it can redraw, and cancel.
PAUSE = 0.1

# numba's simplest threading layer must not be entered by two threads at once, and OVITO may
# evaluate two pipelines in turns.
_ONE_AT_A_TIME = threading.Lock()


class _CancelledError(Exception):
    """Raised inside the computation where OVITO has lost interest in the result."""


def in_steps(
    work: Callable[[Progress], Result],
) -> Generator[float, None, Result]:
    """Run ``work(progress)`` in a thread; yield the share done; return what it returns.

    Closing the generator, as OVITO does to cancel, makes the next call of ``progress`` end the
    work, and waits for that. What the work raises is raised here.
    """
    finished, cancelled = threading.Event(), threading.Event()
    share = 0.0
    outcome: dict[str, Any] = {}

    def progress(done: int, total: int) -> None:
        nonlocal share
        if cancelled.is_set():
            raise _CancelledError
        share = done / max(total, 1)

    def run() -> None:
        try:
            with _ONE_AT_A_TIME:
                progress(0, 1)
                outcome["result"] = work(progress)
        except _CancelledError:
            pass
        except BaseException as error:  # handed over to the thread that waits
            outcome["error"] = error
        finally:
            finished.set()

    thread = threading.Thread(target=run, name="CrystalNet", daemon=True)
    thread.start()
    try:
        while not finished.wait(PAUSE):
            yield share
    finally:
        cancelled.set()
        thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["result"]
