"""The words of the page of Ziletti et al. (2018); its numbers come from the stored steps."""

from __future__ import annotations

from collections.abc import Sequence

from ase_crystalnet.reproduce.report import checks_table
from ase_crystalnet.reproduce.steps import Step, Store
from ase_crystalnet.reproduce.ziletti_bench import QUICK, Bench

__all__ = ["CLOSING", "opening"]


def opening(bench: Bench, steps: Sequence[Step], store: Store) -> str:
    """Title, what is where, and what was to be shown."""
    reports = [(step, store.load(step.name)) for step in steps]
    checks = [check for _, report in reports if report for check in report.checks]
    minutes = sum(store.seconds(step.name) for step in steps) / 60
    lines = [
        "# Ziletti et al. 2018, reproduced",
        "A. Ziletti, D. Kumar, M. Scheffler, L. M. Ghiringhelli, *Insightful classification of "
        "crystal structures using deep learning*, Nat. Commun. 9, 2775 (2018). Everything here is "
        "written by `crystalnet reproduce ziletti2018`, from the results stored beside this page "
        f"in `{store.folder.name}/`; {minutes:.0f} minutes of two cores. The network is "
        f"`{bench.classifier.card.name}` (made by `crystalnet train ziletti2018`), the paper's, "
        "in global mode: a whole structure, its standard cell, 250 atoms. The paper's values are "
        "those of its text; a dash is a value that was not at hand. The local model is the one "
        "for simulations: windows of 250 atoms, turned at random, cut about a random point, so "
        "that it knows neither cell nor orientation nor origin.",
    ]
    if bench.sizes == QUICK:
        lines.append("**A quick run: too few structures for the percentages to mean much.**")
    if checks:
        lines.append(checks_table("What was to be shown", checks).markdown())
    return "\n\n".join(lines)


# Topic, the paper, here, why.
_DEPARTURES: tuple[tuple[str, str, str, str], ...] = (
    (
        "Pristine structures",
        "10,517 elemental solids from the AFLOW database, eight space groups",
        "about as many, made from the same prototypes over the cells and c/a ratios that elements "
        "take in such databases; labels confirmed by spglib at the paper's tolerances",
        "the training command is to need nothing but itself; the Materials Project elements, "
        "which no generator made, are the test of it",
    ),
    (
        "Standard cell of a defective structure",
        "that of the structure as it was before the defects",
        "from the average reciprocal lattice of the defective structure as it is, whose "
        "orientation is taken away first",
        "a user has no structure from before the defects; it is the harder task",
    ),
    (
        "Structures in a row",
        "all 10,517",
        "a part, made with another seed than the training's; the number is under each table",
        "the run is to fit two cores and less than half an hour",
    ),
    (
        "Training and test",
        "defective versions of structures that were trained on when pristine",
        "crystals that were not trained on",
        "a table of the test set should not hold the training set",
    ),
    (
        "Displacements",
        "Gaussian of standard deviation sigma",
        "the same, of each of the three components",
        "the wording leaves open whether of the component or the length; this is the larger",
    ),
    (
        "Spglib",
        "the version of 2017",
        "the installed one, by its own interface",
        "the paper's numbers of it are not repeated here; those here are computed on the same "
        "structures as ours",
    ),
    (
        "Form factors",
        "of the Condor package",
        "Waasmaier and Kirfel's, from xraydb; Z + 2 as in the paper",
        "kept package; in an element they are one factor common to all atoms",
    ),
    (
        "Local model",
        "none: the whole structure in its standard cell",
        "a further column: windows without cell, origin or orientation",
        "what molecular dynamics and atom probe need",
    ),
)


def _departures() -> str:
    lines = ["| | the paper | here | why |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in _DEPARTURES]
    return "\n".join(lines)


CLOSING = "\n\n".join(
    [
        "## What departs from the paper, and why",
        _departures(),
    ]
)
