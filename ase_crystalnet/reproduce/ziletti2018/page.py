"""The words of the page of Ziletti et al. (2018); its numbers come from the stored steps."""

from __future__ import annotations

from collections.abc import Sequence

from ase_crystalnet.crystals.prototypes import MARGIN
from ase_crystalnet.reproduce.report import checks_table
from ase_crystalnet.reproduce.store import Step, Store
from ase_crystalnet.reproduce.ziletti2018.bench import FULL, QUICK, Bench
from ase_crystalnet.training.ziletti2018.dataset import ZilettiPlan

__all__ = ["CLOSING", "opening"]

_PLAN = ZilettiPlan()


def opening(bench: Bench, steps: Sequence[Step], store: Store) -> str:
    """Title, what is where, and what was to be shown."""
    reports = [(step, store.load(step.name)) for step in steps]
    checks = [check for _, report in reports if report for check in report.checks]
    command = "crystalnet reproduce ziletti2018"
    if bench.sizes == QUICK:
        command += " --quick"
    elif bench.sizes != FULL:
        command += f" --structures {bench.sizes.structures}"
    lines = [
        "# Ziletti et al. 2018, reproduced",
        "A. Ziletti, D. Kumar, M. Scheffler, L. M. Ghiringhelli, *Insightful classification of "
        "crystal structures using deep learning*, Nat. Commun. 9, 2775 (2018). Everything here is "
        f"written by `{command}`, from the results stored beside this page "
        f"in `{store.folder.name}/`. The network is `{bench.classifier.card.name}` (made by "
        "`crystalnet train ziletti2018`), the paper's, in global mode: a whole structure, its "
        "standard cell, 250 atoms. The local model is the one for simulations: windows of 250 "
        "atoms, turned at random, cut about a random point, so that it knows neither cell nor "
        "orientation nor origin.",
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
        "10,517 elemental solids of the AFLOW database, eight space groups",
        "about as many, made from published prototypes and stackings over ranges of axial ratios "
        "and free coordinates; labels confirmed by spglib at the paper's tolerances",
        "the training command needs nothing but itself; the elements of databases, which no "
        "generator made and no training saw, are the test of it; those that an earlier network "
        "missed were inspected for families of prototypes that were lacking, so that test is not "
        "blind",
    ),
    (
        "Structures between two classes",
        "whatever the database holds",
        f"left out, in training and tables, where a crystal of another class is nearer than "
        f"{100 * MARGIN:g} % (in ln c/a, and in the sites' nearest-neighbour distances); nothing "
        "is left out of the elements of databases",
        "this strain moves a Bragg spot of 250 atoms by a quarter of its width, at most, at the "
        "edge of the ring: nearer crystals have one fingerprint and two names. Nearest known "
        "element that stays: tetragonal mercury, 1.8 % from bcc",
    ),
    (
        "Structures in the tables",
        "defective versions of the structures that were trained on when pristine",
        "a part (the number is under each table), made with another seed than the training's",
        "a table of a test should not hold the training; two cores",
    ),
    (
        "Standard cell",
        "standard conventional cell in the triclinic convention",
        "the reduced primitive cell in that convention; of bases equally short within 2 % the one "
        "of the most acute angles",
        "one fingerprint for every supercell, orientation and order of atoms, so the random "
        "rotations of the training, which are made, change nothing",
    ),
    (
        "Cell of a defective structure",
        "that of the structure before the defects",
        "found in the defective structure: the lattice, commensurate with the supercell, whose "
        "Bragg peaks explain its scattering",
        "a user has no structure from before the defects",
    ),
    (
        "Scale",
        "average nearest-neighbour distance of the structure",
        "that of the average crystal (mean sites, relative occupancies)",
        "the distance between displaced atoms is too short, and between vacancies too long",
    ),
    (
        "Training",
        "five epochs, pristine structures only",
        f"the five, then {_PLAN.settling} with the rate falling to zero, in which "
        f"{100 * _PLAN.thinned * _PLAN.thinned_shown:g} % of the images are of supercells with "
        f"up to {100 * _PLAN.most_vacancies:g} % vacancies; bfloat16 arithmetic",
        "the last epochs settle the classes that meet; trained until it knew every pristine "
        "structure, and on these alone, the network drew the limits of fcc so narrow that "
        "fingerprints with many vacancies fell outside (what the five epochs alone give is in the "
        "model's card). Displacements and substitution it has never seen",
    ),
    (
        "Images of the training",
        "each structure in its standard cell",
        f"the same; {100 * _PLAN.conventional:g} % in the setting of the conventional cell; "
        f"{100 * _PLAN.cuts:g} % cut at another gap between the sites than the widest",
        "bcc that loses its centres is classified in the cubic cell; where gaps are nearly equal "
        "a little strain decides where the block is cut",
    ),
    (
        "Displacements",
        "Gaussian of standard deviation sigma",
        "the same, of each of the three components; the Lindemann parameter, too, is of components",
        "the wording leaves open whether of the component or of the length; the authors' published "
        "code has components",
    ),
    (
        "Spglib",
        "the version of 2017",
        "the installed one, at the same three tolerances, on the same structures as the network",
        "the paper's numbers of it were not at hand, and would be of other structures",
    ),
    (
        "Form factors",
        "of Z + 2, from the Condor package",
        "of Z + 2, Waasmaier and Kirfel's from xraydb",
        "a kept package; in an element they are a factor common to all atoms",
    ),
    (
        "Local model",
        "none: the whole structure in its standard cell",
        "two further columns: windows of 250 atoms without cell, origin or orientation, of the "
        "crystals that model was made for (prototype and axial ratio in its training, no place "
        "where classes meet) and of all",
        "what molecular dynamics and atom probe need",
    ),
)


def _departures() -> str:
    lines = ["| | the paper | here | why |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in _DEPARTURES]
    return "\n".join(lines)


CLOSING = "## What departs from the paper, and why\n\n" + _departures()
