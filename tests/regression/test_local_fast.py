"""The shipped model "local-fast": exact numbers, floors of accuracy, agreement with "local".

The numbers belong to one file of weights. After a new training write them anew:

    python -m tests.regression.test_local_fast
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ase_crystalnet import CrystalNet
from ase_crystalnet.classes import CLASSES
from ase_crystalnet.training.local.evaluate import CONDITIONS, disorder_table, liquid_row
from tests.support.regression import FLOORS, TOLERANCE, WINDOWS, numbers, shaken

NUMBERS = Path(__file__).with_name("local-fast.json")


@pytest.fixture(scope="module")
def fast() -> CrystalNet:
    return CrystalNet("local-fast")


@pytest.fixture(scope="module")
def stored() -> dict[str, Any]:
    return dict(json.loads(NUMBERS.read_text()))


def test_exact_numbers(fast, stored):
    assert stored["sha256"] == fast.classifier.card.sha256, (
        "the weights were changed: check them, then run python -m tests.regression.test_local_fast"
    )
    found = numbers(fast)
    for name, values in stored["windows"].items():
        for key, expected in values.items():
            np.testing.assert_allclose(found[name][key], expected, atol=TOLERANCE, err_msg=name)
        if WINDOWS[name][0] is not None:
            assert CLASSES[int(np.argmax(values["probabilities"]))] == WINDOWS[name][0], name


@pytest.mark.parametrize(
    "condition", [c for c in CONDITIONS if c[0] in ("sigma 0.10", "vacancies 60 %", "strain 2 %")]
)
def test_accuracy_on_seventy_windows(condition):
    symmetries = CrystalNet("local-fast", classes="symmetry")
    (row,) = disorder_table(symmetries, windows=70, conditions=[condition])
    assert row.accuracy >= FLOORS[condition[0]], row.by_class()


def test_packings_are_disordered(fast):
    assert liquid_row(fast, [], windows=70).accuracy >= 98.0


def test_it_answers_as_its_teacher(fast, local_net):
    for _, cell, sigma, vacancies in list(WINDOWS.values())[:7]:
        atoms = shaken(cell, sigma, vacancies)
        near = np.argsort(np.linalg.norm(atoms.positions, axis=1))[:12]
        one, other = (n.analyze(atoms, centers=near) for n in (fast, local_net))
        assert (one.labels == other.labels).mean() > 0.9


def test_card(fast):
    card = fast.classifier.card.data
    assert card["name"] == "local-fast"
    assert card["trained_on"]["plan"]["teacher"] is not None
    assert card["parameters"] == fast.classifier.network.count_params()
    for name, _, wanted in CONDITIONS:
        assert card["accuracy"]["percent"][name] >= wanted - 1.0, name
    assert card["accuracy"]["held_out"]["expected_calibration_error"] <= 0.02


if __name__ == "__main__":
    net = CrystalNet("local-fast")
    record = {"sha256": net.classifier.card.sha256, "windows": numbers(net)}
    NUMBERS.write_text(json.dumps(record, indent=1) + "\n")
