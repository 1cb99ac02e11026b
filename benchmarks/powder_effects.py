"""What each effect of a measurement costs a network on powder patterns.

    python benchmarks/powder_effects.py --model FOLDER --structures FILE.npz [--json FILE]

The held-out structures of the network's training (FILE.npz is ``structures.npz`` in its work
folder) are simulated with narrow lines and nothing else, then with one effect of the recipe
"measured" after the other, then with all of them, and with the noise of Vecsei et al. (2019).
"""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from common import markdown, show, where, write_json

from ase_crystalnet.training.powder.loop import accuracy, held_out_patterns, split_of
from ase_crystalnet.training.powder.plan import XrdPlan
from ase_crystalnet.xrd import MEASURED, PAPER, PowderNetwork, Recipe, StructureSet

#: The cleanest pattern: one line width, nothing else.
CLEAN = Recipe(fwhm=(0.1, 0.1))
#: Fields that only say how another is drawn.
NOT_EFFECTS = ("fwhm_log", "noise_offset", "uniform_noise")


def recipes() -> dict[str, Recipe]:
    """Recipes by name: clean, one effect each, all, the paper's."""
    result = {"clean (lines of 0.1 degrees)": CLEAN}
    for field in fields(Recipe):
        value = getattr(MEASURED, field.name)
        if field.name not in NOT_EFFECTS and value != getattr(CLEAN, field.name):
            result[field.name] = replace(CLEAN, **{field.name: value})
    return result | {"all of them": MEASURED, "paper's noise": PAPER}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--structures", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    network = PowderNetwork(arguments.model)
    plan = XrdPlan()
    structures = StructureSet.load(arguments.structures)
    structures = structures.subset(~np.isin(structures.source, plan.leave_out))
    split = split_of(structures, plan)
    rows = []
    for name, recipe in recipes().items():
        row: list[object] = [name]
        for test in ("random", "composition"):
            # On the full pattern, as in use; the network takes it to its own axis.
            patterns, groups = held_out_patterns(structures, split, test, recipe, "dense")
            found = accuracy(network.predict(patterns), groups)
            row += [found["system"], found["group"]]
        rows.append(tuple(row))
        print(rows[-1], flush=True)
    header = ("effect", "random: system", "group", "composition: system", "group")
    show(markdown(header, rows))
    if arguments.json:
        write_json(arguments.json, {"where": where(), "header": header, "rows": rows})


if __name__ == "__main__":
    main()
