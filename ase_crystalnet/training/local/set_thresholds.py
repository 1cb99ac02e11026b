"""Thresholds of prediction sets, measured on usual windows of crystals that were not trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.results.sets import least_probabilities
from ase_crystalnet.training.local.structures import (
    Cells,
    StructureRecipe,
    StructureSampler,
    load_real_crystals,
)
from ase_crystalnet.training.shards import pad_windows

__all__ = ["calibrated_sets", "held_out", "usual"]

#: Windows that prediction sets are calibrated on.
SET_WINDOWS = 16_000
#: Share of the real crystals that is kept apart from training.
HELD_OUT = 1 / 6


def usual(recipe: StructureRecipe) -> StructureRecipe:
    """The recipe of windows that sets are promised for: bulk, 210 to 290 atoms, sigma to 0.12.

    A set that is to hold the right class for 99 of 100 windows of which two are past recognition,
    molten or with one atom in four, holds every class. So these are left to "disordered" and to
    small certainties, and the promise is about what people cut out of crystals: strained, with up
    to 40 % of the atoms missing, ordered or not. Faults are left out, too: a window about one may
    well be called by the fault, and atoms are told apart there one by one.
    """
    return replace(
        recipe,
        usual_share=1.0,
        sigma=(0.0, 0.12),
        warm_sigma=(0.02, 0.12),
        hot_sigma=0.12,
        vacancy_fraction=(0.0, 0.4),
        mixed_share=0.0,
        fault_share=0.0,
        shaped_share=0.0,
        surface_share=0.0,
    )


def held_out(folder: Path | None, most: int) -> tuple[Cells, Cells]:
    """Real crystals of no type to train on, and those kept apart; none without a folder.

    Windows of one crystal are alike: those to judge by come from others.
    """
    if folder is None:
        return (), ()
    real = load_real_crystals(folder, most)
    first = int(len(real) * HELD_OUT)
    return real[first:], real[:first]


def calibrated_sets(
    model: Path,
    recipe: StructureRecipe,
    md_files: list[Path],
    held: Cells,
    seed: int,
    windows: int = SET_WINDOWS,
    log: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """What the card of a model says of its prediction sets.

    Parameters
    ----------
    model : Path
        Folder with weights and card.
    recipe : StructureRecipe
        That of the training; the usual windows of it are drawn.
    md_files : list of Path
        Liquids and glasses.
    held : tuple
        Real crystals that were not trained on.
    seed : int
    windows : int
    log : callable
        Takes one line of progress.

    Returns
    -------
    dict
        ``least_probabilities`` of each class and ``sets_calibrated_on``.

    Raises
    ------
    InputError
        The model does not name structures.
    """
    from ase_crystalnet.analyzer import CrystalNet

    method = CrystalNet(model).of_windows()
    if "other" not in method.classes:
        raise InputError(f"{model}: sets are calibrated for models that name structures")
    recipe = usual(recipe)
    sampler = StructureSampler.of_structures(recipe, md_files, seed, held)
    rng = np.random.default_rng([seed, 81])
    truth: list[int] = []
    answers = []
    for done in range(0, windows, 500):
        drawn = [sampler.draw(rng) for _ in range(min(500, windows - done))]
        # Near the limit of strain no name is right.
        drawn = [(window, target) for window, target in drawn if target.max() == 1]
        answers.append(method.answers(method.images(*pad_windows([w for w, _ in drawn]))))
        truth += [int(target.argmax()) for _, target in drawn]
        if done % 4000 == 0:
            log(f"prediction sets: {done} of {windows} windows")
    return {
        "least_probabilities": least_probabilities(
            np.concatenate(answers), np.array(truth), method.classes
        ),
        "sets_calibrated_on": {
            "what": "bulk windows, one of each crystal, none of them trained on",
            "windows": len(truth),
            "seed": seed,
            "held_out_crystals": len(held),
            "molecular_dynamics": [f.stem for f in md_files],
            "recipe": asdict(recipe),
        },
    }
