"""Cases: damaged seeds by number, and the corpus of what once failed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tests.fuzz.mutations import apply, random_plan
from tests.fuzz.seeds import Seed
from tests.fuzz.supervisor import Case

CORPUS = Path(__file__).with_name("corpus")
LARGEST_KEPT = 20_000
#: Modules that the targets use.
WARM = (
    "ase.io",
    "geddes",
    "h5py",
    "scipy.spatial",
    "ase_crystalnet.windows.windower",
    "ase_crystalnet.xrd.simulated.reflections",
)


def damaged(seeds: list[Seed], count: int, start: int = 0) -> Iterator[Case]:
    """So many damaged inputs; number and seed alone decide what each of them is."""
    for number in range(start, start + count):
        rng = np.random.default_rng([20260114, number])
        seed = seeds[number % len(seeds)]
        plan = random_plan(rng)
        kinds = ", ".join(damage.kind for damage in plan)
        yield Case(seed.target, seed.name, apply(seed.content, plan), f"{number}: {kinds}")


def corpus() -> list[Case]:
    """Every input that once failed: ``<target>/<what happened>/<name of the file>``."""
    return [
        Case(path.parts[-3], path.name, path.read_bytes(), path.parts[-2])
        for path in sorted(CORPUS.glob("*/*/*"))
        if path.is_file()
    ]


def keep(case: Case, what: str) -> Path | None:
    """Put an input into the corpus, if it is small."""
    if len(case.content) > LARGEST_KEPT:
        return None
    folder = CORPUS / case.target / what
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / case.name
    path.write_bytes(case.content)
    return path
