"""Errors of the command line: one line on stderr and an exit code."""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from ase_crystalnet.errors import (
    CrystalNetError,
    ModelError,
    OutputLockedError,
    SparseWindowError,
    WorkerError,
)

__all__ = ["complain", "one_line_errors", "quiet_engine", "quiet_tensorflow"]

USAGE_ERROR = 2  # the input or the arguments are wrong
RUN_ERROR = 1  # something went wrong on the way


def complain(message: str) -> None:
    """Print an error as one line on stderr."""
    typer.echo(f"crystalnet: error: {' '.join(message.split())}", err=True)


def _describe(error: OSError) -> str:
    """Our own errors carry a sentence; those of the system a number, a reason and a file."""
    if error.errno is None:
        return str(error)
    place = f"{os.fspath(error.filename)}: " if isinstance(error.filename, str | Path) else ""
    return f"{place}{(error.strerror or '').lower()}"


def one_line_errors(command: Callable[..., None]) -> Callable[..., None]:
    """Turn errors a user can do something about into one line and an exit code."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        warnings.showwarning = _show_warning
        try:
            command(*args, **kwargs)
        except (ModelError, OutputLockedError, SparseWindowError, WorkerError) as error:
            complain(str(error))
            raise typer.Exit(RUN_ERROR) from error
        except (CrystalNetError, FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            complain(_describe(error) if isinstance(error, OSError) else str(error))
            raise typer.Exit(USAGE_ERROR) from error
        except BrokenPipeError:
            # The reader of our output has seen enough; Python would complain when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(RUN_ERROR) from None
        except OSError as error:
            complain(_describe(error))
            raise typer.Exit(RUN_ERROR) from error
        except MemoryError as error:
            complain("out of memory; analyse fewer atoms, or use --centers grid")
            raise typer.Exit(RUN_ERROR) from error
        except KeyboardInterrupt:
            complain("interrupted")
            raise typer.Exit(130) from None

    return wrapped


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    typer.echo(f"crystalnet: warning: {' '.join(str(message).split())}", err=True)


def quiet_engine(engine: str | None) -> None:
    """`quiet_tensorflow`, if that is what runs the network; onnxruntime has nothing to say."""
    if engine == "tensorflow":
        quiet_tensorflow()


def quiet_tensorflow() -> None:
    """Import TensorFlow and let it look at the machine, without its remarks on stderr.

    It writes them past Python and past TF_CPP_MIN_LOG_LEVEL, and would spoil both the progress bar
    and the rule of one line an error. TF_CPP_MIN_LOG_LEVEL=0 keeps them.

    Raises
    ------
    InputError
        It is not installed.
    """
    from ase_crystalnet.classifier.network import import_keras

    if os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "0":
        import_keras()
        return
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # there is no stderr to keep clean
        return
    try:
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 2)
        os.close(sink)
        import_keras()
        import tensorflow as tf

        tf.zeros(1)  # the first operation brings the rest of them
    finally:
        os.dup2(kept, 2)
        os.close(kept)
