"""Classes of atom-probe windows, and the model of the measurement they are trained for."""

from __future__ import annotations

import json
from copy import copy

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ase_crystalnet.atom_probe.classes.classifier import AtomProbeClassifier, indexes
from ase_crystalnet.atom_probe.classes.fingerprints import (
    BALL_IONS,
    WHOLE_IONS,
    AveragedFingerprint,
)
from ase_crystalnet.atom_probe.search.planes import PlaneFinder
from ase_crystalnet.classes import CLASSES
from ase_crystalnet.crystals.disordered import cut_gas
from ase_crystalnet.crystals.sampling import Crystal, prototype, sample_crystal
from ase_crystalnet.errors import InputError
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.lattice.finder import LatticeFinder
from ase_crystalnet.training.atom_probe.dataset import (
    AtomProbeRecipe,
    AtomProbeSampler,
    make_windows,
)
from ase_crystalnet.training.atom_probe.measurement import (
    Measurement,
    cut_measured,
    distort,
    lattice_ball,
    sample_measurement,
)
from ase_crystalnet.training.shards import pad_windows, read_shards


def crystal(name, *parameters):
    label = {"hcp": "hex/rh"}.get(name, name)
    cell, sites = prototype(name, *parameters)
    return Crystal(name, np.eye(8)[CLASSES.index(label)], cell, sites)


@pytest.fixture(scope="module")
def classifier():
    return AtomProbeClassifier()


# ------------------------------------------------------------------------------- measurement
def test_a_perfect_measurement_is_the_crystal(rng):
    window = cut_measured(crystal("fcc"), 300, Measurement(), rng)
    inner = window[np.linalg.norm(window, axis=1) < 2.5]
    nearest = cKDTree(window).query(inner, k=13)[0]
    assert nearest[:, 1:] == pytest.approx(np.ones((len(inner), 12)), abs=1e-9)


# Where all ions are detected, none can be added: a density that varies is lower there.
@pytest.mark.parametrize(("efficiency", "variation"), [(1.0, 0.0), (0.5, 0.3), (0.25, 0.3)])
def test_windows_hold_the_ions_asked_for_at_the_density_that_is_left(efficiency, variation, rng):
    made = [
        cut_measured(crystal("bcc"), 300, Measurement(efficiency, 0.1, 0.05, variation), rng)
        for _ in range(60)
    ]
    counts = np.array([len(window) for window in made])
    assert counts.mean() == pytest.approx(300, rel=0.05)
    radius = np.array([np.linalg.norm(window, axis=1).max() for window in made])
    density = counts / (4 / 3 * np.pi * radius**3)
    assert density.mean() == pytest.approx(crystal("bcc").density * efficiency, rel=0.06)


def test_blur_is_anisotropic_and_as_stated(rng):
    measurement = Measurement(lateral=0.10, depth=0.03)
    seed = 5
    blurred = cut_measured(crystal("sc"), 400, measurement, np.random.default_rng(seed))
    exact = cut_measured(crystal("sc"), 900, Measurement(), np.random.default_rng(seed))
    # The same seed gives the same orientation and origin, but for the radius: compare by the sites.
    distance, index = cKDTree(exact).query(blurred)
    off = (blurred - exact[index])[np.linalg.norm(blurred, axis=1) < 3.5]
    assert distance.max() < 0.5
    assert off.std(axis=0) == pytest.approx([0.10, 0.10, 0.03], rel=0.12)


def test_reconstruction_strain_is_slow_and_bounded(rng):
    points = rng.uniform(-5, 5, (500, 3))
    measurement = Measurement(stretch=0.02, shear=0.03)
    for _ in range(20):
        moved = distort(points, 5.0, measurement, rng) - points
        x, y, z = np.abs(points).T
        assert (np.abs(moved[:, :2]) <= 0.02 * np.stack([x, y], axis=1) + 1e-9).all()
        assert (np.abs(moved[:, 2]) <= 0.03 * z + 0.03 * (x + y) + 1e-9).all()
    assert np.array_equal(distort(points, 5.0, Measurement(), rng), points)


def test_density_varies_slowly_over_a_window(rng):
    made = [
        cut_measured(crystal("fcc"), 600, Measurement(0.5, density_variation=0.9), rng)
        for _ in range(40)
    ]
    even = [cut_measured(crystal("fcc"), 600, Measurement(0.5), rng) for _ in range(40)]

    def lopsided(windows):
        return np.mean([np.linalg.norm(w.mean(axis=0)) / np.abs(w).max() for w in windows])

    assert lopsided(made) > 2.5 * lopsided(even)


def test_stray_ions_replace_others(rng):
    window = cut_measured(crystal("fcc"), 500, Measurement(stray=0.2), rng)
    near = cKDTree(window).query(window, k=2)[0][:, 1]
    inner = np.linalg.norm(window, axis=1) < 4
    assert np.mean(near[inner] < 0.9) > 0.1
    assert len(window) == pytest.approx(500, rel=0.12)


def test_sampled_measurements_are_legal_and_wide(rng):
    drawn = [sample_measurement(rng) for _ in range(300)]
    assert min(m.efficiency for m in drawn) < 0.3 and max(m.efficiency for m in drawn) > 0.9
    assert max(m.lateral for m in drawn) > 0.28
    assert all(m.depth <= m.lateral for m in drawn)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"efficiency": 0.0}, "efficiency=0.0"),
        ({"efficiency": 1.2}, "efficiency=1.2"),
        ({"lateral": -0.1}, "lateral=-0.1"),
        ({"depth": float("nan")}, "depth=nan"),
        ({"density_variation": 1.5}, "density_variation=1.5"),
        ({"stretch": 0.5}, "stretch=0.5"),
        ({"shear": -1.0}, "shear=-1.0"),
        ({"stray": 2.0}, "stray=2.0"),
    ],
)
def test_impossible_measurements(parameters, message):
    with pytest.raises(InputError, match=message):
        Measurement(**parameters)


def test_lattice_ball_has_the_crystals_density(rng):
    counts = [len(lattice_ball(crystal("diam"), 6.0, rng)) for _ in range(20)]
    expected = crystal("diam").density * 4 / 3 * np.pi * 6.0**3
    assert np.mean(counts) == pytest.approx(expected, rel=0.02)


# ------------------------------------------------------------------------------- fingerprints
def test_small_windows_are_taken_whole(rng):
    positions, mask = pad_windows([cut_measured(crystal("fcc"), 250, Measurement(0.6), rng)])
    lattices = LatticeFinder()(positions, mask)
    standard = lattices.standardize(positions)
    assert np.array_equal(AveragedFingerprint()(standard, mask), Fingerprint()(standard, mask))


def test_large_windows_are_averaged_over_balls_whatever_the_order_of_their_ions(rng):
    window = cut_measured(crystal("fcc"), 900, Measurement(0.37, 0.1, 0.05), rng)
    small = cut_measured(crystal("bcc"), 200, Measurement(0.37, 0.1, 0.05), rng)
    assert len(window) > WHOLE_IONS > BALL_IONS
    positions, mask = pad_windows([window, small, rng.permutation(window)])
    images = AveragedFingerprint()(positions, mask)
    assert images.max(axis=(1, 2, 3)) == pytest.approx(np.ones(3))
    assert images[0] == pytest.approx(images[2], abs=1e-4)
    assert images[1] == pytest.approx(AveragedFingerprint()(*pad_windows([small]))[0], abs=1e-6)
    # Averaged noise is lower than one ball's.
    one = Fingerprint()(np.ascontiguousarray(positions[:1, :BALL_IONS]), mask[:1, :BALL_IONS])
    assert np.median(images[0][images[0] > 0]) > 0
    assert images[0].std() < 1.2 * one[0].std()


# ------------------------------------------------------------------------------- classes
@pytest.mark.slow
def test_right_and_certain_at_the_resolution_of_good_reconstructions(classifier, rng):
    finder = PlaneFinder()
    right = wrong = total = 0
    for truth, name in enumerate(CLASSES[:7]):
        windows = [
            cut_measured(
                sample_crystal(name, rng, shared=False),
                250,
                Measurement(0.5, 0.1, 0.05, 0.3, 0.01, 0.01),
                rng,
            )
            for _ in range(32)
        ]
        positions, mask = pad_windows(windows)
        found = finder(positions, mask)
        answer = classifier(positions, mask, found)
        assert len(answer) == 32
        right += np.count_nonzero(answer.labels == truth)
        wrong += np.count_nonzero((answer.labels >= 0) & (answer.labels != truth))
        total += 32
        seen = answer.labels == truth
        assert np.isfinite(answer.orientation[seen]).all()
        assert np.isfinite(answer.lattice[seen]).all()
        assert (answer.certainty[seen] >= classifier.min_certainty).all()
    assert right > 0.95 * total
    assert wrong <= 1


@pytest.mark.slow
def test_a_thousand_ions_say_more_than_250(classifier, rng):
    measurement = Measurement(0.5, 0.2, 0.1, 0.3, 0.01, 0.01)
    shares = []
    for ions in (250, 1000):
        windows = [cut_measured(crystal("fcc"), ions, measurement, rng) for _ in range(40)]
        positions, mask = pad_windows(windows)
        answer = classifier(positions, mask, PlaneFinder()(positions, mask))
        shares.append(np.mean(answer.labels == CLASSES.index("fcc")))
        assert np.mean((answer.labels >= 0) & (answer.labels != CLASSES.index("fcc"))) <= 0.03
    assert shares[1] > shares[0] or shares[0] == 1.0


def test_gas_planes_and_packings_get_no_class(classifier, rng):
    positions, mask = pad_windows([4.0 * cut_gas(250, rng) for _ in range(40)])
    answer = classifier(positions, mask, PlaneFinder(false_alarm=0.05)(positions, mask))
    assert (answer.labels == -1).all()
    assert np.isnan(answer.certainty).all() and np.isnan(answer.lattice).all()
    # A crystal so blurred across depth that only planes are left.
    blurred = Measurement(1.0, lateral=0.6, depth=0.03)
    positions, mask = pad_windows(
        [cut_measured(crystal("fcc"), 250, blurred, rng) for _ in range(40)]
    )
    found = PlaneFinder()(positions, mask)
    assert found.rank.max() < 3
    assert (classifier(positions, mask, found).labels == -1).all()


def test_a_lattice_must_index_the_peaks():
    lattice = np.tile(np.diag([2.0, 2.0, 3.0]), (4, 1, 1))
    reciprocal = 2 * np.pi * np.linalg.inv(lattice[0]).T
    good = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 2]]) @ reciprocal
    vectors = np.full((4, 8, 3), np.nan)
    vectors[:, :3] = good
    vectors[1, 2] += 0.3 * reciprocal[2]
    vectors[2, 2] += 0.1 * reciprocal[2]
    lattice[3] = np.nan
    assert indexes(lattice, vectors).tolist() == [True, False, True, False]


def test_certainty_is_the_users(classifier, rng):
    windows = [
        cut_measured(crystal("diam"), 250, Measurement(0.5, 0.15, 0.1), rng) for _ in range(12)
    ]
    positions, mask = pad_windows(windows)
    found = PlaneFinder()(positions, mask)
    loose, strict = copy(classifier), copy(classifier)
    loose.min_certainty, strict.min_certainty = 0.0, 1.0
    loose, strict = (each(positions, mask, found) for each in (loose, strict))
    assert np.count_nonzero(loose.labels >= 0) >= np.count_nonzero(strict.labels >= 0)
    assert loose.certainty == pytest.approx(strict.certainty, nan_ok=True)
    with pytest.raises(InputError, match="min_certainty"):
        AtomProbeClassifier(min_certainty=1.5)
    with pytest.raises(InputError, match="findings of 12 windows"):
        classifier(positions[:3], mask[:3], found)


# ------------------------------------------------------------------------------- training
def test_windows_of_the_training_are_the_seeds(tmp_path):
    recipe = AtomProbeRecipe(ions=(100, 500))
    sampler = AtomProbeSampler.of(recipe, seed=3)
    draws = [sampler.draw(np.random.default_rng([3, i])) for i in range(40)]
    again = [sampler.draw(np.random.default_rng([3, i])) for i in range(40)]
    for (window, target), (other, same) in zip(draws, again, strict=True):
        assert np.array_equal(window, other) and np.array_equal(target, same)
        assert target.sum() == pytest.approx(1.0)
        assert len(window) > 30
    make_windows(tmp_path, 1, recipe=recipe, seed=3, size=6, processes=1)
    images, targets = read_shards(tmp_path, 1)
    assert images.shape == (6, 64, 64, 3) and images.dtype == np.uint8
    assert images.max() == 255
    before = (tmp_path / "shard0000.npz").read_bytes()
    make_windows(tmp_path, 1, recipe=recipe, seed=3, size=6, processes=1)
    assert (tmp_path / "shard0000.npz").read_bytes() == before
    assert targets.shape == (6, 8)


@pytest.mark.slow
def test_training_writes_a_model_that_loads(tmp_path):
    from ase_crystalnet.training.atom_probe.train import AtomProbePlan, train_atomprobe

    lines: list[str] = []
    plan = AtomProbePlan(shards=1, shard_size=24, validation_shards=1, epochs=1, batch_size=8)
    folder = train_atomprobe(
        tmp_path / "model",
        tmp_path / "work",
        plan=plan,
        recipe=AtomProbeRecipe(ions=(100, 200)),
        processes=1,
        log=lines.append,
    )
    card = json.loads((folder / "card.json").read_text())
    assert card["name"] == "atomprobe"
    assert card["trained_on"]["windows"] == 24
    assert card["trained_on"]["start"]["name"] == "local"
    assert any("epoch 1 of 1" in line for line in lines)
    loaded = AtomProbeClassifier(folder)
    image = np.ones((1, 64, 64, 3), np.float32)
    assert loaded.classifier.predict(image).sum() == pytest.approx(1.0, abs=1e-5)
