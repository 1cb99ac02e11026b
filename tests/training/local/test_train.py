"""Training: shards, a model in miniature, and what is measured of a model."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial import cKDTree

from ase_crystalnet.classes import CLASSES
from ase_crystalnet.classifier.card import ModelCard
from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.classifier.network import load_network
from ase_crystalnet.crystals.disordered import cut_gas, random_packing
from ase_crystalnet.crystals.sampling import (
    Crystal,
    Disorder,
    cut_crystal,
    prototype,
)
from ase_crystalnet.errors import InputError
from ase_crystalnet.training.calibration import calibration_error, reliability, risk_coverage
from ase_crystalnet.training.local import dataset, evaluate
from ase_crystalnet.training.local import train as fit
from ase_crystalnet.training.local.dataset import (
    Recipe,
    Sampler,
    fingerprint_windows,
    make_shards,
)
from ase_crystalnet.training.local.network import Design, local_network
from ase_crystalnet.training.md import run as md
from ase_crystalnet.training.md.materials import TRAINING
from ase_crystalnet.training.md.run import save_frames
from ase_crystalnet.training.shards import read_shards
from tests.support.tiny_models import write_network

CRYSTALS = CLASSES[:7]


def crystal(name: str, *parameters: float) -> Crystal:
    return Crystal(name, np.eye(8)[0], *prototype(name, *parameters))


# ---------------------------------------------------------------- shards
@pytest.fixture
def small_packings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packings that are made quickly."""

    def small(density: float, rng: np.random.Generator, **_: Any) -> Any:
        return random_packing(density, rng, atoms=150, sweeps=10)

    monkeypatch.setattr(dataset, "random_packing", small)


@pytest.fixture(scope="session")
def liquid_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A "liquid" that no LAMMPS is needed for."""
    points, cell = random_packing(1.1, np.random.default_rng(9), atoms=300)
    path = tmp_path_factory.mktemp("md") / "Xx_liquid_1.00.npz"
    save_frames(path, [Atoms("Cu300", 2.6 * points, cell=2.6 * cell, pbc=True)])
    return path


def test_drawn_windows_have_atoms_and_targets(small_packings, liquid_file):
    sampler = Sampler.of(Recipe(), [liquid_file], seed=1)
    assert len(sampler.pools) == 25
    rng = np.random.default_rng(2)
    drawn = [sampler.draw(rng) for _ in range(400)]
    assert min(len(window) for window, _ in drawn) >= 40
    targets = np.array([target for _, target in drawn])
    np.testing.assert_allclose(targets.sum(axis=1), 1)
    assert set(targets.argmax(axis=1)) == set(range(8))
    low, high = np.percentile([len(window) for window, _ in drawn], [5, 95])
    assert low < 100
    assert 270 < high < 400


def test_byte_images_hold_the_root(rng):
    windows = [cut_crystal(crystal("fcc"), 100, Disorder(sigma=0.05), rng) for _ in range(3)]
    images, lattices = fingerprint_windows(windows, threads=1)
    assert images.shape == (3, 64, 64, 3)
    assert images.dtype == np.uint8
    np.testing.assert_array_equal(images.max(axis=(1, 2, 3)), 255)
    assert len(lattices) == 3


def test_shards_are_the_same_again_and_only_the_missing_are_made(
    small_packings, liquid_file, tmp_path
):
    options: dict[str, Any] = {
        "recipe": Recipe(), "md_files": [liquid_file], "seed": 3, "size": 24, "processes": 1
    }  # fmt: skip
    seen: list[tuple[int, int]] = []
    make_shards(tmp_path, 2, progress=lambda *n: seen.append(n), **options)
    assert seen == [(1, 2), (2, 2)]
    files = [tmp_path / f"shard{i:04d}.npz" for i in range(2)]
    first = [file.read_bytes() for file in files]
    assert first[0] != first[1]
    images, targets = read_shards(tmp_path, 2)
    assert images.shape == (48, 64, 64, 3)
    assert targets.shape == (48, 8)
    np.testing.assert_allclose(targets.sum(axis=1), 1, atol=1e-6)

    kept = files[0].stat().st_mtime_ns
    files[1].unlink()
    seen.clear()
    make_shards(tmp_path, 2, progress=lambda *n: seen.append(n), **options)
    assert seen == [(2, 2)]
    assert [file.read_bytes() for file in files] == first
    assert files[0].stat().st_mtime_ns == kept
    make_shards(tmp_path, 2, **options)  # nothing to do, no process started
    names = {"recipe.json", "shard0000.npz", "shard0001.npz"}
    assert {path.name for path in tmp_path.iterdir()} == names

    for change in ({"seed": 4}, {"size": 25}, {"recipe": replace(Recipe(), cubic_strain=0.01)}):
        with pytest.raises(InputError, match="another recipe or seed: choose another folder"):
            make_shards(tmp_path, 2, **{**options, **change})
    assert [file.read_bytes() for file in files] == first


# ---------------------------------------------------------------- molecular dynamics needed
def test_simulations_that_are_there_are_not_repeated(tmp_path, monkeypatch):
    jobs = [job for job in TRAINING if job.phase in ("liquid", "glass")]
    assert jobs
    for job in jobs[1:]:
        (tmp_path / f"{job.name}.npz.rejected").touch()
    ran: list[str] = []
    monkeypatch.setattr(md, "run_jobs", lambda *_: ran.append("simulated"))
    with pytest.raises(InputError, match="holds no liquids") as caught:
        fit.molecular_dynamics(tmp_path, lambda _: None)
    assert "\n" not in str(caught.value)
    assert ran == ["simulated"]
    (tmp_path / f"{jobs[0].name}.npz").touch()
    assert fit.molecular_dynamics(tmp_path, lambda _: None) == [tmp_path / f"{jobs[0].name}.npz"]
    assert ran == ["simulated"]


# ---------------------------------------------------------------- a model in miniature
PLAN = fit.TrainingPlan(
    seed=5,
    shards=2,
    shard_size=48,
    validation_shards=1,
    epochs=2,
    batch_size=16,
    teacher=Design((8, 8, 4), ((8, 2),), 8),
    teacher_epochs=1,
)


class Interruption(Exception):
    """Stands for Ctrl-C."""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, liquid_file: Path) -> dict[str, Any]:
    """A training that was interrupted after its first epoch and then resumed."""
    folder = tmp_path_factory.mktemp("training")
    logs: list[list[str]] = [[], []]

    orders: list[list[int]] = [[]]
    generator = np.random.default_rng

    def recorded(seed: Any = None) -> np.random.Generator:
        if isinstance(seed, list) and seed[0] == PLAN.seed and len(seed) == 3:
            orders[-1].append(seed[1])  # one generator an epoch says which windows are mirrored
        return generator(seed)

    def interrupted(text: str) -> None:
        logs[0].append(text)
        if text.startswith("taught: epoch 1"):
            raise Interruption

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "molecular_dynamics", lambda *_: [liquid_file])
        patch.setattr(
            dataset,
            "random_packing",
            lambda density, rng, **_: random_packing(density, rng, atoms=150, sweeps=10),
        )
        patch.setattr(np.random, "default_rng", recorded)
        options: dict[str, Any] = {"plan": PLAN, "processes": 1, "evaluation_windows": 7}
        out = folder / "model"
        with pytest.raises(Interruption):
            fit.train_local(out, folder / "work", log=interrupted, **options)
        assert not out.exists()
        orders.append([])
        fit.train_local(out, folder / "work", log=logs[1].append, **options)
        first = (out / "model.keras").read_bytes()
        (out / "card.json").unlink()
        fit.train_local(out, folder / "work", **options)
    return {"out": out, "work": folder / "work", "logs": logs, "first": first, "orders": orders}


def test_interrupted_training_goes_on_where_it_stopped(trained):
    before, after = trained["logs"]
    assert any(line.startswith("windows: 2 of 2") for line in before)
    assert not any(line.startswith(("windows:", "validation:")) for line in after)
    epochs = [line.split(": ") for line in before + after if ": epoch" in line]
    assert [line[:2] for line in epochs] == [
        ["trained", "epoch 1 of 1"],
        ["taught", "epoch 1 of 2"],
        ["taught", "epoch 2 of 2"],
    ]
    assert any(line.startswith("temperature") for line in after)
    # The second epoch does not repeat the order of the first.
    first, second = trained["orders"]
    assert first.count(0) == 2  # the teacher's and the network's
    assert second[0] == 1
    assert (trained["work"] / "trained.keras").is_file()
    assert (trained["work"] / "taught.keras").is_file()


def test_network_learns_from_labels_and_teacher_in_equal_parts(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (600, 64, 64, 3), dtype=np.uint8)
    labels = np.eye(8, dtype=np.float32)[rng.integers(0, 8, 600)]
    monkeypatch.setattr(fit, "read_shards", lambda *_: (images, labels))
    teacher = local_network(8, Design((8, 8, 4), ((8, 2),), 8), seed=3)
    seen: dict[str, Any] = {}

    def train(plan: Any, images: Any, targets: Any, work: Any, name: str, log: Any) -> Any:
        seen[name] = plan, targets
        return teacher

    monkeypatch.setattr(fit, "train_network", train)
    fit.fitted_network(PLAN, tmp_path, lambda _: None)
    assert seen["trained"][0].design == PLAN.teacher
    assert seen["trained"][0].epochs == 1
    np.testing.assert_array_equal(seen["trained"][1], labels)
    answers = np.asarray(teacher.predict_on_batch(images.astype(np.float32) / 255))
    np.testing.assert_allclose(seen["taught"][1], (labels + answers) / 2, atol=1e-5)
    fit.fitted_network(replace(PLAN, teacher=None), tmp_path, lambda _: None)
    assert seen["trained"][0].design == PLAN.design
    np.testing.assert_array_equal(seen["trained"][1], labels)


def test_operations_of_a_design_are_those_of_its_network():
    design = Design((6, 4, 48), ((64, 2), (64, 1)), 128)
    total = 0
    for layer in local_network(8, design).layers:
        weights = layer.get_weights()
        if weights and weights[0].ndim in (2, 4):
            places = np.prod(layer.output.shape[1:-1]) if weights[0].ndim == 4 else 1
            total += weights[0].size * int(places)
    assert design.multiply_adds(8) == total


def test_miniature_model_can_be_loaded_and_has_a_card(trained):
    card = ModelCard.read(trained["out"])
    assert card.name == "local"
    assert card.classes == CLASSES
    assert card.data["trained_on"]["plan"] == json.loads(json.dumps(asdict(PLAN)))
    assert card.data["trained_on"]["recipe"] == json.loads(json.dumps(asdict(Recipe())))
    assert card.data["trained_on"]["windows"] == 96
    assert card.data["trained_on"]["molecular_dynamics"] == ["Xx_liquid_1.00"]
    assert card.data["licence"] == "MIT"
    assert set(card.data["references"]) == {"method", "certainty", "architecture"}
    assert card.data["temperature"] > 0
    accuracy = card.data["accuracy"]
    assert set(accuracy["percent"]) == {
        *(name for name, *_ in evaluate.CONDITIONS),
        "disordered",
    }
    assert all(0 <= value <= 100 for value in accuracy["percent"].values())
    held_out = accuracy["held_out"]
    assert sum(row["windows"] for row in held_out["reliability"]) == held_out["windows"]
    assert 0 <= held_out["expected_calibration_error"] <= 1
    probabilities = Classifier(trained["out"]).predict(np.zeros((2, 64, 64, 3), np.float32))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    files = {path.name for path in trained["out"].iterdir()}
    assert files == {"model.keras", "model.onnx", "card.json"}


def test_training_that_is_done_gives_the_same_predictions_again(trained, tmp_path):
    """The card was taken away, and made again from what the work folder keeps."""
    (tmp_path / "model.keras").write_bytes(trained["first"])
    card = json.loads((trained["out"] / "card.json").read_text())
    from ase_crystalnet.classifier.card import file_hash

    card["sha256"] = file_hash(tmp_path / "model.keras")
    del card["onnx_sha256"]  # that file is of the second run
    (tmp_path / "card.json").write_text(json.dumps(card))
    images = read_shards(trained["work"] / "validation", 1)[0][:10].astype(np.float32) / 255
    one, two = Classifier(tmp_path), Classifier(trained["out"])
    np.testing.assert_allclose(one.predict(images), two.predict(images), atol=1e-5)


def test_calibration_finds_the_temperature_that_was_put_in(tmp_path):
    write_network(tmp_path / "model.keras")
    network = load_network(tmp_path / "model.keras")
    rng = np.random.default_rng(0)
    images = (255 * rng.random((4000, 4, 4, 3)).repeat(16, 1).repeat(16, 2)).astype(np.uint8)
    cold = network.predict_on_batch(images.astype(np.float32) / 255)
    warm = np.log(cold) / 2.0
    warm = np.exp(warm - warm.max(axis=1, keepdims=True))
    warm /= warm.sum(axis=1, keepdims=True)
    truth = np.array([rng.choice(8, p=p / p.sum()) for p in warm.astype(float)])
    targets = np.eye(8, dtype=np.float32)[truth]
    assert fit.calibrate(network, images, targets) == pytest.approx(2.0, rel=0.1)
    after = network.predict_on_batch(images.astype(np.float32) / 255)
    assert calibration_error(after, truth) < 0.03
    assert calibration_error(cold, truth) > 0.08


def test_network_is_that_of_its_seed():
    one, two, other = (local_network(8, Design((5, 4, 4), ((4, 2),), 8), seed=s) for s in (1, 1, 2))
    assert one.input_shape == (None, 64, 64, 3)
    assert one.output_shape == (None, 8)
    for a, b in zip(one.get_weights(), two.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(
        not np.array_equal(a, b)
        for a, b in zip(one.get_weights(), other.get_weights(), strict=True)
    )


# ---------------------------------------------------------------- evaluation
def two_classes(certainty: list[float]) -> np.ndarray:
    c = np.array(certainty)
    return np.stack([c, 1 - c], axis=1)


def test_calibration_error_by_hand():
    sure = two_classes([0.8] * 10)
    eight_right = np.array([0] * 8 + [1] * 2)
    assert calibration_error(sure, eight_right, bins=1) == pytest.approx(0.0)
    assert calibration_error(sure, np.zeros(10), bins=1) == pytest.approx(0.2)
    assert calibration_error(sure, np.ones(10), bins=1) == pytest.approx(0.8)
    # 0.6 with three of four right, 0.9 with two of four: (0.15 + 0.4) / 2.
    mixed = two_classes([0.9, 0.6] * 4)
    truth = np.array([0, 0, 0, 0, 1, 0, 1, 1])
    assert calibration_error(mixed, truth, bins=2) == pytest.approx(0.275)
    # In one bin the two errors cancel in part: |0.75 - 5/8|.
    assert calibration_error(mixed, truth, bins=1) == pytest.approx(0.125)
    assert calibration_error(mixed[:3], truth[:3], bins=15) < 1  # fewer than bins


def test_reliability_goes_up_with_certainty(rng):
    probabilities = rng.dirichlet(np.full(8, 0.3), 6000)
    truth = np.array([rng.choice(8, p=p) for p in probabilities])
    rows = reliability(probabilities, truth)
    assert len(rows) == 15
    assert sum(row["windows"] for row in rows) == 6000
    assert (np.diff([row["certainty"] for row in rows]) > 0).all()
    for row in rows:
        assert row["accuracy"] == pytest.approx(row["certainty"], abs=0.09)
    assert calibration_error(probabilities, truth) < 0.03


def test_refusing_the_uncertain_lowers_the_risk(rng):
    probabilities = rng.dirichlet(np.full(8, 0.3), 6000)
    truth = np.array([rng.choice(8, p=p) for p in probabilities])
    rows = risk_coverage(probabilities, truth)
    coverage, risk = ([row[key] for row in rows] for key in ("coverage", "risk"))
    assert coverage[0] == 1
    assert risk[0] == pytest.approx(np.mean(probabilities.argmax(axis=1) != truth))
    assert (np.diff(coverage) <= 0).all()
    assert (np.diff(risk) <= 0.005).all()
    assert risk[-1] < 0.1 * risk[0]


def test_risk_and_coverage_by_hand():
    rows = risk_coverage(two_classes([0.6, 0.75, 0.96]), np.array([1, 0, 0]))
    by_threshold = {row["threshold"]: (row["coverage"], row["risk"]) for row in rows}
    assert by_threshold[0.5] == pytest.approx((1.0, 1 / 3))
    assert by_threshold[0.7] == pytest.approx((2 / 3, 0.0))
    assert by_threshold[0.99] == (0.0, 0.0)  # nothing answered, nothing wrong


class Always:
    """An analyzer that answers fcc everywhere, and nothing where it was asked to be blind."""

    classes = CLASSES

    window_atoms = 64

    def __init__(self) -> None:
        self.structures: list[tuple[Atoms, np.ndarray]] = []

    def analyze(self, atoms: Atoms, centers: np.ndarray) -> Any:
        self.structures.append((atoms, centers))
        answer = np.zeros((len(centers), 8), np.float32)
        answer[:, CLASSES.index("fcc")] = 1

        class Frame:
            probabilities = answer

        return Frame


def test_every_window_is_asked_about_in_its_own_cluster(rng):
    net: Any = Always()
    clusters = [cut_gas(40 + 5 * k, rng) for k in range(70)]
    assert evaluate.predict_windows(net, clusters).shape == (70, 8)
    assert [len(centers) for _, centers in net.structures] == [64, 6]
    atoms, centers = net.structures[0]
    found = cKDTree(atoms.positions).query_ball_point(centers, np.abs(clusters[63]).max())
    assert len(atoms) == sum(len(c) for c in clusters[:64])
    for cluster, centre, members in zip(clusters, centers, found, strict=False):
        inside = np.linalg.norm(cluster, axis=1) < np.abs(clusters[63]).max()
        np.testing.assert_allclose(
            np.sort(atoms.positions[members] - centre, axis=0),
            np.sort(cluster[inside], axis=0),
            atol=1e-9,
        )


def test_table_counts_right_answers():
    net: Any = Always()
    conditions = evaluate.CONDITIONS[:2]
    seen: list[str] = []
    rows = evaluate.disorder_table(net, windows=14, conditions=conditions, progress=seen.append)
    assert seen == ["clean", "sigma 0.05"]
    for row in rows:
        assert row.accuracy == pytest.approx(100 / 7)
        assert row.by_class() == {name: 100.0 * (name == "fcc") for name in CRYSTALS}
        assert len(row.kinds) == 14
    again = evaluate.disorder_table(Always(), windows=14, conditions=conditions)
    assert [row.kinds for row in again] == [row.kinds for row in rows]


def test_windows_without_an_answer_are_wrong():
    probabilities = np.full((3, 8), np.nan, np.float32)
    probabilities[0] = np.eye(8)[0]
    row = evaluate.Row("row", np.array([0, 0, 1]), probabilities, 99.0, ("a", "b", "c"))
    np.testing.assert_array_equal(row.right, [True, False, False])
    assert row.accuracy == pytest.approx(100 / 3)


def test_liquids_are_a_row_of_their_own(liquid_file):
    net: Any = Always()
    row = evaluate.liquid_row(net, [liquid_file], windows=14)
    assert row.accuracy == 0
    assert (row.truth == CLASSES.index("disordered")).all()
    assert set(row.kinds) == {"packing", "Xx_liquid_1.00"}
