"""What a command says while it works: remarks, and one progress bar. All of it goes to stderr."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import typer

__all__ = ["Bar", "Volume", "detail", "progress_bar", "say", "say_unless", "volume"]


@dataclass
class Volume:
    """How much the command at hand says; `errors.one_line_errors` sets it.

    Attributes
    ----------
    quiet : bool
        Errors only.
    verbose : bool
        Also details, and where an error came from.
    """

    quiet: bool = False
    verbose: bool = False


volume = Volume()


def say(text: str) -> None:
    """Print a remark."""
    if not volume.quiet:
        typer.echo(text, err=True)


def detail(text: str) -> None:
    """Print a remark that was asked for with ``--verbose``."""
    if volume.verbose:
        typer.echo(text, err=True)


def say_unless(quiet: bool) -> Callable[[str], None]:
    """`say`, or with `quiet` a function that says nothing."""
    return _hush if quiet else say


def _hush(text: str) -> None:
    pass


class Bar(Protocol):
    """Shows the step at hand, how much of it is done, of how much (None: not known), and more."""

    def __call__(self, step: str, done: int, total: int | None, detail: str = "") -> None: ...


@contextlib.contextmanager
def progress_bar(
    quiet: bool, step: str, total: int | None = None, done: int = 0, *, remaining: bool = False
) -> Iterator[Bar]:
    """A bar that is there while the block runs, if stderr is a terminal.

    Parameters
    ----------
    quiet : bool
        Show none.
    step : str
        What is done first.
    total, done : int, optional
        How much of it there is, and how much of that was done before.
    remaining : bool
        Also show the time that is left: for work in a single step.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[detail]}"),
        TimeElapsedColumn(),
    ]
    if remaining:
        columns.append(TimeRemainingColumn())
    bar = Progress(
        *columns, console=console, transient=True, disable=quiet or not console.is_terminal
    )
    with bar:
        task = bar.add_task(step, total=total, completed=done, detail="")

        def show(step: str, done: int, total: int | None, detail: str = "") -> None:
            bar.update(task, description=step, completed=done, total=total, detail=detail)

        yield show
