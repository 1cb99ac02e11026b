"""Errors of the command line: one line on stderr and an exit code."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ase_crystalnet._compute.compiling import compilation
from ase_crystalnet.cli.progress import say, volume
from ase_crystalnet.errors import (
    CrystalNetError,
    InputError,
    ModelError,
    OutputLockedError,
    SparseWindowError,
    WorkerError,
)

__all__ = ["complain", "one_line_errors", "quiet_engine", "quiet_tensorflow"]

USAGE_ERROR = 2  # the input or the arguments are wrong
RUN_ERROR = 1  # something went wrong on the way

#: Options of every command.
_VOLUME: dict[str, Any] = {
    "quiet": Annotated[bool, typer.Option("--quiet", "-q", help="No remarks.")],
    "verbose": Annotated[
        bool,
        typer.Option("--verbose", "-v", help="Details, and where an error came from."),
    ],
}
_LONG = 2.0  # s of compiling that are worth a word


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
    """Turn errors a user can do something about into one line and an exit code.

    The command gets the options ``--quiet`` (if it has none itself) and ``--verbose``.
    """
    added = {
        name: option for name, option in _VOLUME.items() if name not in command.__annotations__
    }

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        chosen = {name: kwargs.get(name, False) for name in _VOLUME}
        for name in added:
            kwargs.pop(name, None)
        warnings.showwarning = _show_warning
        volume.quiet, volume.verbose = chosen["quiet"], chosen["verbose"] and not chosen["quiet"]
        try:
            if chosen["quiet"] and chosen["verbose"]:
                raise InputError("--quiet and --verbose exclude each other: give one of them")
            with _compilation_told():
                command(*args, **kwargs)
        except (ModelError, OutputLockedError, SparseWindowError, WorkerError) as error:
            _refuse(str(error), RUN_ERROR, error)
        except (CrystalNetError, FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            text = _describe(error) if isinstance(error, OSError) else str(error)
            _refuse(text, USAGE_ERROR, error)
        except BrokenPipeError:
            # The reader of our output has seen enough; Python would complain when it flushes.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(RUN_ERROR) from None
        except OSError as error:
            _refuse(_describe(error), RUN_ERROR, error)
        except MemoryError as error:
            _refuse("out of memory; analyse fewer atoms, or use --centers grid", RUN_ERROR, error)
        except KeyboardInterrupt:
            complain("interrupted")
            raise typer.Exit(130) from None

    signature = inspect.signature(command, eval_str=True)
    parameters = [
        *signature.parameters.values(),
        *(
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=each)
            for name, each in added.items()
        ),
    ]
    wrapped.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    wrapped.__annotations__ = {each.name: each.annotation for each in parameters}
    return wrapped


def _refuse(message: str, code: int, error: BaseException) -> NoReturn:
    """End the command with one line; with ``--verbose`` also with where the error came from."""
    complain(message)
    if volume.verbose:
        typer.echo("".join(traceback.format_exception(error)).rstrip(), err=True)
    raise typer.Exit(code) from error


@contextlib.contextmanager
def _compilation_told() -> Iterator[None]:
    """Say that inner loops are compiled, which happens once and takes its time, and how long."""
    before = compilation.seconds
    if sys.stderr.isatty():
        compilation.on_begin = lambda: say(
            "compiling the inner loops for this processor: once, about a minute"
        )
    try:
        yield
    finally:
        compilation.on_begin = None
    if (took := compilation.seconds - before) > _LONG:
        say(f"compiling {compilation.loops} inner loops took {took:.0f} s; they are kept")


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    # Also with --quiet: it says that an answer may be worth less.
    typer.echo(f"crystalnet: warning: {' '.join(str(message).split())}", err=True)


def quiet_engine(engine: str | None) -> None:
    """`quiet_tensorflow`, if that is what runs the network; onnxruntime has nothing to say."""
    if engine == "tensorflow":
        quiet_tensorflow()


def quiet_tensorflow() -> None:
    """Import TensorFlow and let it look at the machine, without its remarks on stderr.

    They would spoil both the progress bar and the rule of one line an error.

    Raises
    ------
    InputError
        It is not installed.
    """
    from ase_crystalnet.classifier.network import import_keras

    import_keras()
