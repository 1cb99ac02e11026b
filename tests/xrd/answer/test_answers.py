"""Answers on powder patterns: combination, certainty, refusal, alternatives, classifier."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st

from ase_crystalnet.classifier.card import file_hash
from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.training.calibration import calibration_error
from ase_crystalnet.training.powder.calibrate import held_out_evidence
from ase_crystalnet.xrd.answer.answers import PowderAnswers, answered
from ase_crystalnet.xrd.answer.classifier import PowderClassifier, evidence
from ase_crystalnet.xrd.answer.combination import Combination
from ase_crystalnet.xrd.answer.library import Matches, PatternLibrary
from ase_crystalnet.xrd.answer.network import PowderNetwork, find_xrd_model
from ase_crystalnet.xrd.measured.readers import measured_patterns
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import (
    INPUT_POINTS,
    TWO_THETA,
    broaden,
    system_of,
)
from ase_crystalnet.xrd.simulated.reflections import peaks, reflections_of
from ase_crystalnet.xrd.subgroups import subgroup_distance
from tests.support.powder_samples import eighty_crystals

WEIGHTS = Combination(-2, 16, 0.1, 40, 0.8, 3)


def matches_of(correlations: np.ndarray, groups: np.ndarray) -> Matches:
    """One entry in the library for each pattern: its group and correlation."""
    by_group = np.full((len(groups), 230), -1, np.float32)
    by_group[np.arange(len(groups)), groups - 1] = correlations
    best = np.asarray(correlations, np.float32)[:, None]
    return Matches(groups[:, None], best, best * 0, by_group)


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=5),
    st.integers(1, 230),
    st.floats(0, 1),
)
def test_combined_probabilities_are_probabilities(
    correlations: list[float], group: int, certainty: float
) -> None:
    c = np.array(correlations)
    network = np.full((len(c), 230), (1 - certainty) / 229)
    network[:, 7] = certainty
    found = WEIGHTS.probabilities(network, matches_of(c, np.full(len(c), group)))
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert WEIGHTS.trust(c).min() >= 0 and WEIGHTS.trust(c).max() <= 1


def test_a_close_match_decides_and_an_accident_does_not() -> None:
    network = np.full((2, 230), 0.1 / 229)
    network[:, 99] = 0.9  # the network says 100
    found = WEIGHTS.probabilities(network, matches_of(np.array([0.97, 0.3]), np.array([62, 62])))
    assert found[0].argmax() + 1 == 62
    assert found[1].argmax() + 1 == 100
    grid = np.linspace(-1, 1, 50)
    assert (np.diff(WEIGHTS.trust(grid)) >= 0).all()


def test_fit_recovers_calibrated_probabilities(rng: np.random.Generator) -> None:
    """Drawn from a combination, the labels give back one that is as well calibrated."""
    number = 700
    network = rng.dirichlet(np.full(230, 0.02), number)
    matches = matches_of(rng.uniform(0.2, 1, number), rng.integers(1, 231, number))
    true = WEIGHTS.probabilities(network, matches).astype(float)
    label = np.array([rng.choice(230, p=p / p.sum()) for p in true])
    fitted = Combination.fit(network, matches, label + 1)
    found = fitted.probabilities(network, matches)
    rows = np.arange(number)
    assert -np.log(found[rows, label]).mean() < -np.log(true[rows, label]).mean() + 0.05
    assert calibration_error(found, label, 10) < 0.06
    assert fitted.trust(0.95) > 0.9 and fitted.trust(0.3) < 0.1


def test_weights_of_a_fit(rng: np.random.Generator) -> None:
    """Where likeness means nothing, weight on it takes the trust out of matches."""
    number = 300
    network = rng.dirichlet(np.full(230, 0.02), number)
    label = np.array([rng.choice(230, p=p) for p in network]) + 1
    groups = np.where(np.arange(number) < 150, label, rng.integers(1, 231, number))
    matches = matches_of(rng.uniform(0.6, 1, number), groups)
    trusting = Combination.fit(network, matches, label, np.arange(number) < 150)
    wary = Combination.fit(network, matches, label, np.arange(number) >= 150)
    assert trusting.trust(0.9) > 0.9 > 0.3 > wary.trust(0.9)


def test_evidence_of_held_out_structures(tmp_path: Path) -> None:
    found = eighty_crystals()
    found.save(tmp_path / "structures.npz")
    file = tmp_path / "structures.npz"
    said, matches, groups = held_out_evidence(None, PatternLibrary.load(), file)
    assert said.shape == matches.by_group.shape == (len(groups), 230)
    assert 0 < len(groups) < 20 and set(groups) <= {221, 225, 227, 229}
    twice = matches.joined(matches)
    assert len(twice.entry) == 2 * len(groups)


def test_too_few_patterns_to_fit() -> None:
    with pytest.raises(InputError, match="50"):
        Combination.fit(np.ones((3, 230)) / 230, matches_of(np.ones(3), np.ones(3, int)), [1, 1, 1])


def test_combination_in_json() -> None:
    assert Combination.from_dict(json.loads(json.dumps(WEIGHTS.to_dict()))) == WEIGHTS
    for damaged in (None, {}, {**WEIGHTS.to_dict(), "offset": "x"}, {"other": 1}):
        with pytest.raises(ModelError, match="damaged"):
            Combination.from_dict(damaged)
    with pytest.raises(ModelError, match="not finite"):
        Combination.from_dict({**WEIGHTS.to_dict(), "slope": float("nan")})


def test_refusal() -> None:
    certainty = np.array([0.9, 0.2, 0.6, 0.6, 0.99])
    assert answered(certainty).all()
    assert answered(certainty, min_certainty=0.6).tolist() == [True, False, True, True, True]
    assert answered(certainty, coverage=0.4).tolist() == [True, False, False, False, True]
    assert not answered(certainty, coverage=0).any()
    assert answered(certainty, coverage=1).all()
    assert answered(certainty, coverage=0.6).sum() == 3  # ties do not widen it
    with pytest.raises(InputError, match="one of them"):
        answered(certainty, min_certainty=0.5, coverage=0.5)
    with pytest.raises(InputError, match="0 to 1"):
        answered(certainty, coverage=50)


def answers_of(probabilities: np.ndarray, keep: np.ndarray) -> PowderAnswers:
    number = len(probabilities)
    matches = matches_of(np.full(number, 0.9), np.full(number, 5))
    return PowderAnswers(probabilities.astype(np.float32), matches, np.ones(number), None, keep)


def test_answers_of_probabilities(rng: np.random.Generator) -> None:
    p = rng.dirichlet(np.full(230, 0.1), 6)
    said = answers_of(p, np.array([True, True, False, True, True, True]))
    assert len(said) == 6
    assert said.space_group[2] == -1
    assert (said.space_group[said.answered] == p.argmax(axis=1)[said.answered] + 1).all()
    np.testing.assert_allclose(said.system_probabilities.sum(axis=1), 1, atol=1e-5)
    for k in range(6):
        in_system = p[k][system_of(np.arange(1, 231)) == said.system_probabilities[k].argmax()]
        assert in_system.sum() == pytest.approx(said.system_certainty[k], abs=1e-5)
    groups, shares = said.top(230)
    assert (np.diff(shares, axis=1) <= 0).all()
    assert sorted(groups[0]) == list(range(1, 231))


def test_alternatives_are_one_step_away_and_sorted(rng: np.random.Generator) -> None:
    said = answers_of(rng.dirichlet(np.full(230, 0.1), 3), np.ones(3, bool))
    for i in range(3):
        found = said.alternatives(i)
        numbers = [n for n, _, _ in found]
        assert (subgroup_distance(said.space_group[i], numbers) == 1).all()
        shares = [share for _, _, share in found]
        assert shares == sorted(shares, reverse=True)
        assert {relation for _, relation, _ in found} <= {
            "subgroup", "supergroup", "subgroup and supergroup"
        }  # fmt: skip


@pytest.fixture(scope="module")
def alone() -> PowderClassifier:
    return PowderClassifier(None)


def pattern_of(crystal: object) -> np.ndarray:
    return broaden(*peaks(reflections_of(crystal)), 0.12)  # type: ignore[arg-type]


def test_library_alone(alone: PowderClassifier) -> None:
    crystals = [bulk("Cu", cubic=True), bulk("NaCl", "rocksalt", 5.64), bulk("Fe", cubic=True)]
    said = alone.classify([pattern_of(c) for c in crystals])
    assert said.space_group.tolist() == [225, 225, 229]
    assert said.system == ("cubic",) * 3
    assert said.matches.close.all() and said.network is None
    assert (said.trust > 0.9).all()
    # lines at random places are nothing known, and it is said
    rng = np.random.default_rng(5)
    odd = broaden(rng.uniform(10, 85, 25), rng.uniform(0.3, 1, 25), 0.12)
    unknown = alone.classify(odd[None], min_certainty=0.5)
    assert unknown.space_group.tolist() == [-1]
    assert unknown.trust[0] < 0.2 and unknown.certainty[0] < 0.3


def test_scans_are_converted_and_compared_where_they_were_measured(
    alone: PowderClassifier,
) -> None:
    crystal = bulk("NaCl", "rocksalt", 5.64)
    angle, intensity = peaks(reflections_of(crystal), wavelength=0.70932, two_theta=(5, 40))
    curve = broaden(angle, intensity, 0.08)
    part = (TWO_THETA > 8) & (TWO_THETA < 38)
    mo = Scan(TWO_THETA[part], 500 * curve[part] + 30, 0.70932)
    cu = Scan(TWO_THETA, pattern_of(crystal))
    said = alone.classify_scans([cu, mo, cu])
    assert said.space_group.tolist() == [225, 225, 225]
    assert (said.matches.correlation[:, 0] > 0.9).all()
    np.testing.assert_allclose(said.probabilities[0], said.probabilities[2])


def test_coverage_keeps_the_most_certain(alone: PowderClassifier) -> None:
    rng = np.random.default_rng(1)
    odd = broaden(rng.uniform(10, 85, 25), rng.uniform(0.3, 1, 25), 0.12)
    said = alone.classify([odd, pattern_of(bulk("Cu", cubic=True))], coverage=0.5)
    assert said.space_group.tolist() == [-1, 225]


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        (np.ones((2, 100)), "expected"),
        (np.ones((0, 8500)), "expected"),
        (np.full((1, 8500), np.nan), "not finite"),
        (np.full((1, 8500), -1.0), "negative"),
        (np.zeros((1, 8500)), "no line"),
    ],
)
def test_patterns_that_are_none(
    alone: PowderClassifier, patterns: np.ndarray, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        alone.classify(patterns)


def test_ranges_for_each_pattern(alone: PowderClassifier) -> None:
    with pytest.raises(InputError, match="1 ranges for 2"):
        alone.classify(np.ones((2, 8500)), covered=[(5, 90)])


def make_network(
    folder: Path, points: int = INPUT_POINTS, classes: int = 230, **card: object
) -> Path:
    """A network of one layer that has learned nothing, and its card."""
    import keras

    folder.mkdir(parents=True, exist_ok=True)
    network = keras.Sequential(
        [keras.Input((points,)), keras.layers.Dense(classes, activation="softmax")]
    )
    network.save(folder / "model.keras")
    content = {
        "card_version": 1,
        "name": "tiny",
        "sha256": file_hash(folder / "model.keras"),
        "input": "log_sin_theta_2125_sqrt" if points == INPUT_POINTS else "linear_8500",
        "classes": classes,
        **card,
    }
    (folder / "card.json").write_text(json.dumps(content))
    return folder


def test_network_and_library_together(tmp_path: Path) -> None:
    folder = make_network(tmp_path / "tiny")
    network = PowderNetwork(folder)
    patterns = np.array([pattern_of(bulk(s, cubic=True)) for s in ("Cu", "Fe")])
    alone = network.predict(patterns)
    assert alone.shape == (2, 230)
    np.testing.assert_allclose(network.predict(patterns, batch_size=1), alone, rtol=1e-4)
    with pytest.raises(ModelError, match=r"combination.json is missing"):
        PowderClassifier(network)
    (folder / "combination.json").write_text(
        json.dumps({"sha256": network.card.sha256, "combination": WEIGHTS.to_dict()})
    )
    classifier = PowderClassifier(folder)
    assert classifier.name == "tiny and library"
    said = classifier.classify(patterns)
    np.testing.assert_allclose(said.network, alone, rtol=1e-5)
    assert said.space_group.tolist() == [225, 229]
    again = WEIGHTS.probabilities(*evidence(network, classifier.library, patterns))
    np.testing.assert_allclose(said.probabilities, again, rtol=1e-5)
    (folder / "combination.json").write_text(json.dumps({"sha256": "other"}))
    with pytest.raises(ModelError, match="other weights"):
        PowderClassifier(folder)
    (folder / "combination.json").write_text("{")
    with pytest.raises(ModelError, match="damaged"):
        PowderClassifier(folder)


def test_networks_of_the_paper(tmp_path: Path) -> None:
    """They see the pattern itself, and some of them know crystal systems only."""
    systems = PowderNetwork(make_network(tmp_path / "systems", points=8500, classes=7))
    pattern = pattern_of(bulk("Cu", cubic=True))[None]
    said = systems.predict(pattern)
    assert said.shape == (1, 7)
    np.testing.assert_allclose(systems.predict(30 * pattern), said, rtol=1e-4)  # any scale
    with pytest.raises(ModelError, match="crystal systems only"):
        PowderClassifier(str(tmp_path / "systems"))
    lying = PowderNetwork(make_network(tmp_path / "lying", classes=7, input="linear_8500"))
    with pytest.raises(ModelError, match="maps"):
        lying.predict(pattern)


def test_models_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="unknown"):
        find_xrd_model("nobody")
    with pytest.raises(ModelError, match=r"no card.json"):
        PowderNetwork(tmp_path)
    for card, message in (
        ("{", "damaged"),
        ("{}", "lacks"),
        (json.dumps({"card_version": 9, "name": "", "sha256": "", "input": "", "classes": 1}), "9"),
        (
            json.dumps({"card_version": 1, "name": "", "sha256": "", "input": "x", "classes": 7}),
            "expected 'log_sin_theta_2125_sqrt' or",
        ),
    ):
        (tmp_path / "card.json").write_text(card)
        with pytest.raises(ModelError, match=message):
            PowderNetwork(tmp_path)
    folder = make_network(tmp_path / "changed", sha256="0" * 64)
    with pytest.raises(ModelError, match="does not fit"):
        PowderNetwork(folder)
    (folder / "model.keras").unlink()
    with pytest.raises(ModelError, match="missing"):
        PowderNetwork(folder)


def test_measured_patterns(alone: PowderClassifier, data_dir: Path) -> None:
    """Calibration and refusal of the library alone, on the half that was not tuned on."""
    x, group, even = measured_patterns(data_dir / "xrd" / "measured_powder_patterns.npz")
    said = alone.classify(x[~even])
    truth = group[~even]
    assert calibration_error(said.probabilities, truth - 1, 10) < 0.07
    half = replace(said, answered=answered(said.certainty, coverage=0.5))
    kept = half.space_group > 0
    assert (half.space_group == truth)[kept].mean() > 0.93


def test_library_and_combination_are_shipped() -> None:
    library = PatternLibrary.load()
    assert len(library) > 6000
    assert {f.name for f in fields(Combination)} == set(
        PowderClassifier(None).combination.to_dict()
    )
