"""Libraries that write to the terminal past Python."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

__all__ = ["without_stderr"]


@contextlib.contextmanager
def without_stderr() -> Iterator[None]:
    """Nothing that is written to stderr in this block is seen, by C++ neither.

    Errors that are raised in it are seen: they are not written there until somebody prints them.
    """
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr to keep clean
        yield
        return
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 2)
        os.close(sink)
        yield
    finally:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
