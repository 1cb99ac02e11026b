"""The shipped model "ziletti2018": exact numbers, floors of accuracy, its card, real structures.

The numbers belong to one file of weights. After a new training write them anew:

    python -m tests.regression.test_ziletti2018
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from ase_crystalnet import crystals
from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.classifier.card import file_hash
from ase_crystalnet.crystals.defects import displaced, substituted, with_vacancies
from ase_crystalnet.training.ziletti2018.dataset import CLASSES
from ase_crystalnet.training.ziletti2018.evaluate import CONDITIONS, database_elements, database_row
from ase_crystalnet.whole.analysis import global_probabilities
from ase_crystalnet.whole.cluster import perfect_supercell
from tests.support import REPOSITORY

MODEL = REPOSITORY / "models" / "ziletti2018"
NUMBERS = Path(__file__).with_name("ziletti2018.json")
TOLERANCE = 2e-3


def structures() -> dict[str, tuple[str, Atoms]]:
    """Name -> class and structure: each crystal perfect, hot, thinned and mixed."""
    rng = np.random.default_rng(2018)
    result: dict[str, tuple[str, Atoms]] = {}
    for label in CLASSES:
        crystal = crystals.unit_cell(label)
        supercell = crystals.rotated(perfect_supercell(crystal), rng)[0]
        result[f"{label} perfect"] = label, crystal
        result[f"{label} sigma 0.10"] = label, displaced(supercell, 0.10, rng)
        result[f"{label} vacancies 50 %"] = label, with_vacancies(supercell, 0.5, rng)
        result[f"{label} ternary"] = label, substituted(supercell, ["Be", "Fe", "Au"], rng)
    return result


def numbers(net: CrystalNet) -> dict[str, list[float]]:
    given = structures()
    found = global_probabilities(net.classifier, [atoms for _, atoms in given.values()])
    return {name: [round(float(p), 5) for p in row] for name, row in zip(given, found, strict=True)}


@pytest.fixture(scope="module")
def net() -> CrystalNet:
    return CrystalNet(MODEL)


@pytest.fixture(scope="module")
def found(net: CrystalNet) -> dict[str, list[float]]:
    return numbers(net)


def test_probabilities_are_those_of_these_weights(
    net: CrystalNet, found: dict[str, list[float]]
) -> None:
    kept = json.loads(NUMBERS.read_text())
    assert kept["sha256"] == net.classifier.card.sha256, (
        "other weights: write the numbers anew by `python -m tests.regression.test_ziletti2018`"
    )
    assert kept["probabilities"].keys() == found.keys()
    for name, expected in kept["probabilities"].items():
        assert np.abs(np.subtract(found[name], expected)).max() < TOLERANCE, name


def test_every_class_is_found_through_every_defect(found: dict[str, list[float]]) -> None:
    wrong = [
        (name, CLASSES[int(np.argmax(found[name]))])
        for name, (label, _) in structures().items()
        if CLASSES[int(np.argmax(found[name]))] != label
    ]
    assert not wrong


def test_card_says_what_the_model_is(net: CrystalNet) -> None:
    card = net.classifier.card.data
    assert card["sha256"] == file_hash(MODEL / "model.keras")
    assert tuple(card["classes"]) == CLASSES and card["mode"] == "global" == net.mode
    assert card["trained_on"]["structures"] > 10_000 and card["trained_on"]["elements"] == 83
    assert card["accuracy"]["percent"]["pristine, held out"] >= 99.8
    # The rows came out of the training command: two of 400 structures below the paper at most.
    rows = card["accuracy"]["evaluation"]["percent"]
    for name, _, paper in CONDITIONS:
        assert rows[name] >= paper - 0.6, name
    weights = net.classifier.network.weights
    assert all(w.dtype == "float32" for w in weights)
    assert sum(int(np.prod(w.shape)) for w in weights) == card["parameters"]


def test_answer_does_not_depend_on_supercell_or_orientation(net: CrystalNet) -> None:
    rng = np.random.default_rng(7)
    for label in CLASSES:
        crystal = crystals.unit_cell(label)
        large = crystals.rotated(crystal.repeat(4), rng)[0][rng.permutation(len(crystal) * 64)]
        first, second = global_probabilities(net.classifier, [crystal, large])
        assert np.abs(first - second).max() < 1e-3


@pytest.mark.slow
def test_elements_of_databases(net: CrystalNet, data_dir: Path) -> None:
    known = database_elements(data_dir / "structures")
    row = database_row(net.classifier, known)
    assert len(known) > 100
    assert row.accuracy >= 97.0, row.failures()


if __name__ == "__main__":
    analyzer = CrystalNet(sys.argv[1] if len(sys.argv) > 1 else MODEL)
    content = {
        "sha256": analyzer.classifier.card.sha256,
        "probabilities": numbers(analyzer),
    }
    NUMBERS.write_text(json.dumps(content, indent=1) + "\n")
