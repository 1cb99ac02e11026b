"""The shipped model "local": exact numbers, floors of accuracy, its card, and real files.

The numbers belong to one file of weights. After a new training write them anew:

    python -m tests.regression.test_local
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.classes import CLASSES
from ase_crystalnet.classifier.card import file_hash
from ase_crystalnet.training.local.evaluate import CONDITIONS, disorder_table, liquid_row
from tests.support.regression import FLOORS, TOLERANCE, WINDOWS, numbers

NUMBERS = Path(__file__).with_name("local.json")


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    return dict(json.loads(NUMBERS.read_text()))


def test_the_numbers_are_those_of_these_weights(local_model, stored):
    assert stored["sha256"] == file_hash(local_model / "model.keras"), (
        "the weights were changed: check them, then run python -m tests.regression.test_local"
    )


def test_exact_numbers(local_net, stored):
    found = numbers(local_net)
    assert set(found) == set(stored["windows"])
    for name, values in stored["windows"].items():
        for key, expected in values.items():
            np.testing.assert_allclose(found[name][key], expected, atol=TOLERANCE, err_msg=name)


def test_stored_numbers_are_right_answers(stored):
    for name, values in stored["windows"].items():
        wanted = WINDOWS[name][0]
        if wanted is not None:
            assert CLASSES[int(np.argmax(values["probabilities"]))] == wanted, name


# ---------------------------------------------------------------- accuracy
@pytest.mark.parametrize("condition", CONDITIONS, ids=[name for name, *_ in CONDITIONS])
def test_accuracy_on_seventy_windows(symmetries, condition):
    (row,) = disorder_table(symmetries, windows=70, conditions=[condition])
    assert row.accuracy >= FLOORS[condition[0]], row.by_class()


def test_packings_are_disordered(local_net):
    assert liquid_row(local_net, [], windows=70).accuracy >= 98.0


@pytest.mark.slow
@pytest.mark.parametrize("condition", CONDITIONS, ids=[name for name, *_ in CONDITIONS])
def test_accuracy_on_many_windows(symmetries, condition):
    name, _, wanted = condition
    (row,) = disorder_table(symmetries, windows=1050, conditions=[condition])
    # Three standard deviations of a thousand windows, and a third of a percent.
    error = 300 * np.sqrt((1 - wanted / 100) * wanted / 100 / 1050)
    assert row.accuracy >= wanted - error - 0.3, f"{name}: {row.by_class()}"


@pytest.mark.slow
def test_accuracy_in_small_windows(local_model):
    small = CrystalNet(local_model, window_atoms=64, classes="symmetry")
    for condition in CONDITIONS:
        if condition[0] in ("clean", "sigma 0.05", "sigma 0.10", "vacancies 40 %"):
            (row,) = disorder_table(small, windows=350, conditions=[condition])
            assert row.accuracy >= condition[2] - 3.5, f"{row.name}: {row.by_class()}"


# ---------------------------------------------------------------- card
@pytest.fixture(scope="module")
def card(local_model: Path) -> dict[str, Any]:
    return dict(json.loads((local_model / "card.json").read_text()))


def test_card_says_what_a_user_needs_to_know(card, local_model):
    assert card["name"] == "local"
    assert tuple(card["classes"]) == CLASSES
    assert card["sha256"] == file_hash(local_model / "model.keras")
    assert card["window_atoms"] == [64, 512]
    assert card["licence"] == "MIT"
    assert "10.1038/s41467-018-05169-6" in card["references"]["method"]
    assert "10.1103/PhysRevB.99.245120" in card["references"]["certainty"]
    assert card["code_version"]
    assert 0.3 < card["temperature"] < 3
    trained_on = card["trained_on"]
    assert len(trained_on["molecular_dynamics"]) > 10
    assert trained_on["windows"] == trained_on["plan"]["shards"] * trained_on["plan"]["shard_size"]
    assert trained_on["recipe"]["sigma"][1] > 0.15


def test_card_states_accuracy_of_every_condition(card):
    accuracy = card["accuracy"]
    assert accuracy["windows_a_row"] >= 1000
    assert accuracy["window_atoms"] == 250
    assert set(accuracy["percent"]) == {*(name for name, *_ in CONDITIONS), "disordered"}
    assert accuracy["percent"]["clean"] >= 99.5
    assert accuracy["percent"]["disordered"] >= 99.5
    for name, _, wanted in CONDITIONS:
        assert accuracy["percent"][name] >= wanted - 1.0, name
        assert set(accuracy["percent_by_class"][name]) == set(CLASSES[:7])


def test_card_is_calibrated(card):
    held_out = card["accuracy"]["held_out"]
    assert held_out["expected_calibration_error"] <= 0.02
    assert held_out["windows"] > 1000
    rows = held_out["risk_coverage"]
    assert rows[0]["coverage"] == 1
    coverage, risk = ([row[key] for row in rows] for key in ("coverage", "risk"))
    assert (np.diff(coverage) <= 0).all()
    assert risk[-1] < 0.5 * risk[0]
    total = sum(row["windows"] for row in held_out["reliability"])
    assert total == held_out["windows"]


def write_numbers() -> None:
    """Store the numbers of the shipped weights."""
    net = CrystalNet("local")
    record = {"sha256": net.classifier.card.sha256, "windows": numbers(net)}
    NUMBERS.write_text(json.dumps(record, indent=1) + "\n")
    sys.stdout.write(f"{NUMBERS} written\n")


if __name__ == "__main__":
    write_numbers()
