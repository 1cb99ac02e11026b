"""Every table and figure of Ziletti et al., Nat. Commun. 9, 2775 (2018), from one command."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ase_crystalnet.reproduce.paper import Paper, reproduce_paper
from ase_crystalnet.reproduce.report import Check, Report
from ase_crystalnet.reproduce.store import Say, Step, Store, check_names
from ase_crystalnet.reproduce.ziletti2018 import (
    databases as ziletti_databases,
)
from ase_crystalnet.reproduce.ziletti2018 import (
    images as ziletti_images,
)
from ase_crystalnet.reproduce.ziletti2018 import (
    melting as ziletti_melting,
)
from ase_crystalnet.reproduce.ziletti2018 import (
    paths as ziletti_paths,
)
from ase_crystalnet.reproduce.ziletti2018 import (
    tables as ziletti_tables,
)
from ase_crystalnet.reproduce.ziletti2018.bench import FULL, QUICK, Bench
from ase_crystalnet.reproduce.ziletti2018.page import CLOSING, opening

__all__ = ["STEPS", "reproduce", "steps"]

_SEED = 20182775
_Run = Callable[..., Report]

# Name, heading, what was done, function; table-1 is put in by `steps`, since it reads the others.
_PARTS: tuple[tuple[str, str, str, _Run], ...] = (
    (
        "figure-2",
        "Fig. 2: fingerprints",
        "One element for each of the eight structures of the paper, and simple cubic polonium with "
        "vacancies, displacements and substitution.",
        ziletti_images.fingerprints,
    ),
    (
        "pristine",
        "Pristine structures",
        "Elemental crystals made with another seed than those of the training.",
        ziletti_tables.pristine,
    ),
    (
        "databases",
        "Elements in databases",
        "Elements of the eight space groups as others relaxed them; no part of the training.",
        ziletti_databases.databases,
    ),
    (
        "table-s1",
        "Supplementary Table 1: displacements",
        "Every component of every position is moved by a Gaussian of standard deviation sigma.",
        ziletti_tables.displacements,
    ),
    (
        "table-s2",
        "Supplementary Table 2: vacancies",
        "A share of the atoms is taken away, each with the same chance.",
        ziletti_tables.vacancies,
    ),
    (
        "substitution",
        "Substitution",
        "Every site is given one of two or three species with equal chance: the crystal's own, and "
        "others of the 83 elements. The local model does not look at species.",
        ziletti_tables.substitutions,
    ),
    (
        "figure-4b",
        "Fig. 4b: from bcc to simple cubic",
        "Body centres are taken out of 250 atoms of bcc iron.",
        ziletti_paths.body_centers,
    ),
    (
        "figure-4d",
        "Fig. 4d: the rhombohedral path",
        "A lattice of one atom a point and c/a from sqrt(3/8) to 5 sqrt(3/8) in hexagonal axes.",
        ziletti_paths.rhombohedral,
    ),
    (
        "figure-5",
        "Fig. 5: attentive response maps",
        "Activations carried back to the image by fractionally strided convolution "
        "(`crystalnet explain`).",
        ziletti_images.response_maps,
    ),
    (
        "figure-s1",
        "Supplementary Fig. 1: melting by displacement",
        "Copper, iron and indium with Gaussian displacements, independent of each other. Lindemann "
        "parameter: standard deviation of each component over the nearest-neighbour distance, the "
        "way the authors' published code scales displacements; the root mean square length of a "
        "displacement, the commoner definition, is sqrt(3) times that (upper axis). Whether the "
        "paper's figure has the one or the other its main text leaves open. Atoms that are "
        "displaced independently never melt: the lattice they are displaced from stays, and with "
        "it Bragg spots that are weaker by exp(-q^2 sigma^2). The second table says how strong "
        "they still are where the class is lost. The network has no class for what is lost; the "
        "third table says where it puts that.",
        ziletti_melting.lindemann,
    ),
)
STEPS: tuple[str, ...] = (*(part[0] for part in _PARTS[:6]), "table-1", *(p[0] for p in _PARTS[6:]))


def steps(bench: Bench, store: Store) -> list[Step]:
    """The steps in the order of the page."""
    made = {
        name: Step(name, title, text, partial(run, bench=bench))
        for name, title, text, run in _PARTS
    }
    made["table-1"] = Step(
        "table-1",
        "Table 1",
        "What the two supplementary tables say, in brief.",
        partial(ziletti_tables.table_1, store=store),
    )
    return [made[name] for name in STEPS]


def reproduce(
    output: Path,
    *,
    only: Sequence[str] = (),
    quick: bool = False,
    structures: int | None = None,
    data: Path | None = None,
    overwrite: bool = False,
    model: str | Path = "ziletti2018",
    local_model: str | Path = "local",
    say: Say = lambda text: None,
) -> tuple[Path, list[Check]]:
    """Make the tables and figures, and the page of them.

    Parameters
    ----------
    output : Path
        Folder: the page is ``ziletti2018.md``, what it is made of lies in ``ziletti2018/``.
    only : sequence of str
        Names of steps (`STEPS`); all of them by default.
    quick : bool
        About a hundredth of the structures.
    structures : int, optional
        In each row of the tables, instead of a thousand.
    data : Path, optional
        Folder of external data; without it the elements of databases are left out.
    overwrite : bool
        Make steps again that are stored under other settings.
    model, local_model : str or Path
        Names or folders.
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
        A step is unknown, stored under other settings, or a model is missing.
    """
    check_names(only, STEPS)  # before the models are looked for
    sizes = QUICK if quick else FULL
    if structures is not None:
        spglib = min(structures, sizes.spglib)
        sizes = replace(sizes, structures=structures, local=structures, spglib=spglib)
    bench = Bench(sizes, _SEED, model, local_model, data)
    paper = Paper(
        "ziletti2018",
        bench.settings,
        partial(steps, bench),
        partial(opening, bench),
        CLOSING,
        left_out=("databases",) if data is None else (),
    )
    return reproduce_paper(paper, output, only=only, overwrite=overwrite, say=say)
