"""Every table and figure of Vecsei et al., Phys. Rev. B 99, 245120 (2019), from one command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from ase_crystalnet.reproduce.paper import Paper, reproduce_paper
from ase_crystalnet.reproduce.report import Check, Report, checks_table
from ase_crystalnet.reproduce.store import Say, Step, Store, check_names
from ase_crystalnet.reproduce.vecsei2019 import tables as vecsei_tables
from ase_crystalnet.reproduce.vecsei2019.bench import PaperBench

__all__ = ["STEPS", "reproduce"]

_Run = Callable[..., Report]

# Name, heading, what was done, function.
_PARTS: tuple[tuple[str, str, str, _Run], ...] = (
    (
        "training",
        "Training",
        "Patterns are drawn anew for every step; the networks bring the history of their training.",
        vecsei_tables.training,
    ),
    (
        "table-1",
        "Table I: accuracy",
        "Measured patterns (minerals, background subtracted) were never trained on; how network "
        "and library are weighed was fitted on those with even id. Simulated ones are of "
        "structures held out at random, by composition (no set of elements occurs in training) "
        "and by structure type; structures they are made of are taken out of the library.",
        vecsei_tables.table_1,
    ),
    ("top-n", "The first n answers", "", vecsei_tables.top_n),
    (
        "certainty",
        "Certainty",
        "The largest probability (Eq. 13 of the paper).",
        vecsei_tables.certainty,
    ),
    (
        "refusal",
        "The right to refuse",
        "The least certain answers are refused.",
        vecsei_tables.refusal,
    ),
    (
        "subgroups",
        "How wrong the wrong answers are",
        "Two groups are neighbors if one is a maximal subgroup of the other.",
        vecsei_tables.distances,
    ),
    ("by-group", "By space group", "", vecsei_tables.by_group),
    ("confusion", "Confusion of crystal systems", "", vecsei_tables.confusion),
    (
        "centrosymmetric",
        "Centrosymmetric structures",
        "Friedel's law hides a missing centre of symmetry from the positions of the lines.",
        vecsei_tables.centrosymmetric,
    ),
)
STEPS: tuple[str, ...] = tuple(part[0] for part in _PARTS)


def reproduce(
    output: Path,
    *,
    only: Sequence[str] = (),
    quick: bool = False,
    data: Path | None = None,
    structures: Path | None = None,
    networks: Sequence[str] = (),
    overwrite: bool = False,
    say: Say = lambda text: None,
) -> tuple[Path, list[Check]]:
    """Make the tables and figures, and the page of them.

    Parameters
    ----------
    output : Path
        Folder: the page is ``vecsei2019.md``, what it is made of lies in ``vecsei2019/``.
    only : sequence of str
        Names of steps (`STEPS`); all of them by default.
    quick, data, structures, networks
        See `vecsei_bench.PaperBench`.
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
    InputError, OutputExistsError, ModelError
        A step is unknown, stored under other settings, there is nothing to test on, or a model is
        missing.
    """
    check_names(only, STEPS)
    bench = PaperBench(data, structures, networks, quick)
    steps = [
        Step(name, title, text, partial(run, bench=bench)) for name, title, text, run in _PARTS
    ]
    paper = Paper(
        "vecsei2019",
        bench.settings,
        lambda store: steps,
        partial(_opening, bench),
        left_out=() if bench.histories else ("training",),
    )
    return reproduce_paper(paper, output, only=only, overwrite=overwrite, say=say)


def _opening(bench: PaperBench, steps: Sequence[Step], store: Store) -> str:
    reports = [(step, store.load(step.name)) for step in steps]
    checks = [check for _, report in reports if report for check in report.checks]
    names = ", ".join(f"`{name}`" for name in bench.networks) or "none"
    lines = [
        "# Vecsei et al. 2019, reproduced",
        "P. M. Vecsei, K. Choo, J. Chang, T. Neupert, *Neural network based classification of "
        "crystal symmetries from x-ray diffraction patterns*, Phys. Rev. B 99, 245120 (2019). "
        "Written by `crystalnet reproduce vecsei2019` from the results stored beside this page in "
        f"`{store.folder.name}/`. Networks: {names}. Library: the simulated patterns of "
        f"{len(bench.library)} minerals (AMCSD), of which 21 were added to the list at hand, and "
        "to the training, after it had been seen on measured patterns with even id that the list "
        "lacks them (`docs/powder.md`): the measured rows are not blind to that.",
    ]
    if bench.quick:
        lines.append("**A quick run: a tenth of the simulated patterns.**")
    if checks:
        lines.append(checks_table("What was to be shown", checks).markdown())
    return "\n\n".join(lines)
