"""One paper: its steps, and the page that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ase_crystalnet.reproduce.report import Check
from ase_crystalnet.reproduce.store import Say, Step, Store, choose, run_steps, write_page

__all__ = ["Paper", "reproduce_paper"]


@dataclass(frozen=True, eq=False)
class Paper:
    """What is reproduced.

    Attributes
    ----------
    name : str
        The page is ``<name>.md``, what it is made of lies in ``<name>/``.
    settings : mapping
        What decides the results; stored with every step.
    steps : callable
        Steps in the order of the page; takes the store, since a step may read another.
    opening : callable
        Head of the page, of the steps and the store.
    closing : str
        Its end.
    left_out : tuple of str
        Steps that are made only if they are asked for by name.
    """

    name: str
    settings: Mapping[str, Any]
    steps: Callable[[Store], list[Step]]
    opening: Callable[[Sequence[Step], Store], str]
    closing: str = ""
    left_out: tuple[str, ...] = ()


def reproduce_paper(
    paper: Paper, output: Path, *, only: Sequence[str] = (), overwrite: bool = False, say: Say
) -> tuple[Path, list[Check]]:
    """Make the tables and figures of a paper, and the page of them.

    Parameters
    ----------
    paper : Paper
    output : Path
        Folder.
    only : sequence of str
        Names of steps; by default all but those left out.
    overwrite : bool
        Make steps again that are stored under other settings.
    say : callable
        Told of the progress.

    Returns
    -------
    page : Path
    checks : list of Check
        Of the steps asked for.

    Raises
    ------
    InputError, OutputExistsError
        A step is unknown, or stored under other settings.
    """
    store = Store(output / paper.name, paper.settings, overwrite=overwrite)
    steps = paper.steps(store)
    chosen = choose(steps, only)
    if not only:
        chosen = [step for step in chosen if step.name not in paper.left_out]
    done = run_steps(chosen, store, say)
    page = output / f"{paper.name}.md"
    write_page(page, paper.opening(steps, store), steps, store, paper.closing)
    return page, [check for _, report in done for check in report.checks]
