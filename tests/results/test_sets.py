"""Prediction sets: what they promise, and that they are no larger than that."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet import CrystalNet, crystals
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.results import HDF5Writer, ResultFile
from ase_crystalnet.results.sets import COVERAGES, least_probabilities, prediction_sets

NAMES = ("a", "b", "c")


def answers(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows of three classes whose answers are of mixed quality."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 3, count)
    logits = rng.normal(size=(count, 3)) * 1.5
    logits[np.arange(count), truth] += 3
    values = np.exp(logits)
    return values / values.sum(axis=1, keepdims=True), truth


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.98])
def test_every_class_has_its_coverage_on_other_windows(coverage: float):
    least = least_probabilities(*answers(30_000, 1), NAMES)
    probabilities, truth = answers(30_000, 2)
    inside = prediction_sets(probabilities, NAMES, least, coverage)
    for number in range(3):
        hit = inside[truth == number, number].mean()
        assert hit >= coverage - 0.01
        # The most probable class is always in: that may be more than was asked, but not by much.
        assert hit <= max(coverage + 0.01, (probabilities.argmax(1) == truth).mean() + 0.02)


@given(st.floats(0.01, 0.99), st.integers(0, 1000))
@settings(max_examples=50, deadline=None)
def test_sets_grow_with_the_coverage_and_are_never_empty(coverage: float, seed: int):
    least = least_probabilities(*answers(3000, seed), NAMES)
    probabilities = answers(50, seed + 1)[0]
    small = prediction_sets(probabilities, NAMES, least, coverage)
    large = prediction_sets(probabilities, NAMES, least, COVERAGES[-1])
    assert small.any(axis=1).all() and (large | ~small).all()
    assert small[np.arange(50), probabilities.argmax(axis=1)].all()


def test_nothing_known_leaves_everything_open():
    least = least_probabilities(*answers(3000, 0), NAMES)
    unknown = np.full((2, 3), np.nan)
    assert prediction_sets(unknown, NAMES, least).all()


def test_errors():
    probabilities, truth = answers(3000, 0)
    least = least_probabilities(probabilities, truth, NAMES)
    for wrong in (0.0, 1.0, 0.999, -1):
        with pytest.raises(InputError, match=r"expected more than 0 and at most 0\.995"):
            prediction_sets(probabilities, NAMES, least, wrong)
    with pytest.raises(InputError, match="no prediction sets are calibrated for d"):
        prediction_sets(probabilities, (*NAMES[:2], "d"), least)
    with pytest.raises(InputError, match="windows of class 'a' are too few"):
        least_probabilities(probabilities[:30], truth[:30], NAMES)


def test_a_frame_has_sets_and_keeps_them_in_a_file(net: CrystalNet, tmp_path):
    atoms = crystals.supercell(crystals.fcc(), 1000, sigma=0.05, rng=1)
    frame = net.analyze(atoms, centers=[0, 100, 200])
    sets = frame.sets(0.99)
    assert sets.shape == (3, len(net.classes)) and sets[:, net.classes.index("fcc")].all()
    with HDF5Writer(tmp_path / "a.h5") as file:
        file.append(frame)
    with ResultFile(tmp_path / "a.h5") as file:
        # Probabilities are stored with three digits.
        assert (file[0].sets(0.9)[:, net.classes.index("fcc")]).all()


def test_a_model_without_calibration_says_so(local_net: CrystalNet):
    frame = local_net.analyze(crystals.supercell(crystals.fcc(), 500), centers=[0])
    with pytest.raises(InputError, match="use the model 'structure'"):
        frame.sets()


def test_a_choice_of_structures_has_none():
    """What is left out is called "other", for which the threshold was not measured."""
    some = CrystalNet(classes=("fcc", "hcp"))
    frame = some.analyze(crystals.supercell(crystals.fcc(), 500), centers=[0])
    with pytest.raises(InputError, match="with all of its classes"):
        frame.sets()
