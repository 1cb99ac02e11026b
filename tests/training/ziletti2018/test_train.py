"""Training of ziletti2018 in small: data, resuming, card, evaluation, the commands."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ase_crystalnet import crystals
from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.classifier.network import load_network
from ase_crystalnet.cli.app import app
from ase_crystalnet.errors import InputError
from ase_crystalnet.training.ziletti2018 import dataset as ziletti_data
from ase_crystalnet.training.ziletti2018 import evaluate as evaluate_global
from ase_crystalnet.training.ziletti2018 import train as ziletti
from ase_crystalnet.training.ziletti2018.dataset import CLASSES, ZilettiPlan
from ase_crystalnet.training.ziletti2018.network import ziletti_network
from ase_crystalnet.whole.average_cell import average_cell
from ase_crystalnet.whole.cluster import cell_cluster
from tests.support.tiny_models import CLASSES as LOCAL_CLASSES
from tests.support.tiny_models import write_card, write_network

PLAN = ZilettiPlan(seed=3, shards=2, shard_size=16, epochs=1, settling=1, batch_size=16)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of whole structures with a network of random weights."""
    folder = tmp_path_factory.mktemp("tiny")
    write_network(folder / "model.keras", outputs=7)
    write_card(
        folder, mode="global", classes=list(CLASSES), input="linear", window_atoms=[250, 250]
    )
    return folder


def test_network_is_that_of_table_2() -> None:
    network = ziletti_network(7)
    kernels = [
        (w.shape[0], w.shape[-1]) for layer in network.layers for w in layer.weights if w.ndim == 4
    ]
    assert kernels == [(7, 32), (7, 32), (7, 16), (7, 16), (7, 8), (7, 8)]
    assert network.get_layer("logits").kernel.shape == (128, 7)
    assert network.count_params() == 365_719
    mixed = ziletti_network(7, mixed=True)
    assert mixed.count_params() == network.count_params()
    assert all(w.dtype == "float32" for w in mixed.weights)
    image = np.random.default_rng(0).random((1, 64, 64, 3)).astype(np.float32)
    network.set_weights(mixed.get_weights())
    assert np.abs(network(image) - mixed(image)).max() < 0.05
    assert network(image).numpy().sum() == pytest.approx(1.0, abs=1e-5)


def test_classes_are_those_of_the_local_model_without_disorder() -> None:
    assert (*CLASSES, "disordered") == LOCAL_CLASSES


def test_fingerprint_of_a_shard_is_that_of_the_structure(tmp_path: Path) -> None:
    from ase_crystalnet.whole.analysis import global_fingerprints

    plan = replace(PLAN, shard_size=10, conventional=0.0, cuts=0.0)
    data = np.load(ziletti_data.make_shard(tmp_path / "shard.npz", plan, 0))
    structures = [e for e in ziletti_data.pristine_structures(plan, 0) if len(e.atoms) < 40]
    images = global_fingerprints([e.atoms for e in structures])
    labels = [CLASSES.index(e.label) for e in ziletti_data.pristine_structures(plan, 0)]
    assert data["labels"].tolist() == labels
    rows = [i for i, e in enumerate(ziletti_data.pristine_structures(plan, 0)) if len(e.atoms) < 40]
    assert np.abs(data["images"][rows].astype(np.float32) - images).max() < 1e-3


@pytest.mark.slow
def test_training_from_nothing_and_again(tmp_path: Path) -> None:
    lines: list[str] = []
    work = tmp_path / "work"
    write_database(tmp_path / "data")
    folder = ziletti.train_ziletti(
        tmp_path / "model",
        work,
        plan=PLAN,
        processes=1,
        evaluation_structures=8,
        databases=tmp_path / "data",
        log=lines.append,
    )
    card = json.loads((folder / "card.json").read_text())
    assert card["mode"] == "global" and card["trained_on"]["plan"]["seed"] == 3
    assert card["accuracy"]["structures"] == round(0.1 * card["trained_on"]["structures"])
    # The tables of the card are the command's own, and each tells what was missed.
    evaluation = card["accuracy"]["evaluation"]
    names = {name for name, *_ in evaluate_global.CONDITIONS}
    assert set(evaluation["percent"]) == names
    assert set(evaluation["percent, after the paper's epochs"]) == names
    for name, percent in evaluation["percent"].items():
        missed = len(evaluation["failures"].get(name, []))
        assert percent == pytest.approx(
            100 - 100 * missed / evaluation["structures_a_row"], abs=0.01
        )
    assert evaluation["database_elements"]["structures"] == 2
    assert (work / "checkpoint.npz").is_file()
    # The network after the paper's epochs is kept, and is not that of the last.
    paper = load_network(work / ziletti.PAPER)
    assert int(paper.count_params()) == card["parameters"]
    assert len(card["accuracy"]["percent"]) == 2
    assert not list(tmp_path.rglob(".writing-*"))
    frame = CrystalNet(folder).analyze(crystals.fcc())
    assert frame.probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    # Again: nothing is made anew, and the weights are the same.
    before = card["sha256"], np.load(work / "pristine-000.npz")["labels"].tolist()
    changed = (work / "pristine-000.npz").stat().st_mtime_ns
    ziletti.train_ziletti(tmp_path / "again", work, plan=PLAN, processes=1, evaluation_structures=8)
    assert (work / "pristine-000.npz").stat().st_mtime_ns == changed
    first = CrystalNet(folder).classifier.network.get_weights()
    second = CrystalNet(tmp_path / "again").classifier.network.get_weights()
    assert all((a == b).all() for a, b in zip(first, second, strict=True))
    assert before[1] == np.load(work / "pristine-000.npz")["labels"].tolist()
    with pytest.raises(InputError, match="holds a run with other settings"):
        ziletti.train_ziletti(tmp_path / "third", work, plan=replace(PLAN, seed=4), processes=1)


def test_thinned_images_belong_to_their_structures(tmp_path: Path) -> None:
    plan = replace(PLAN, shard_size=12, thinned=0.6, most_vacancies=0.3, cuts=0.0, conventional=0)
    data = ziletti_data.read_or_make(plan, tmp_path, 1, lambda text: None)
    count = len(data.labels)
    assert len(data.images) == len(data.thinned) == len(data.has_thinned) == count
    assert 0.3 * count < data.has_thinned.sum() < 0.9 * count
    same = np.abs(data.images.astype(float) - data.thinned).reshape(count, -1).max(axis=1)
    assert (same[~data.has_thinned] == 0).all() and (same[data.has_thinned] > 0).all()
    # Vacancies leave the Bragg spots where they are.
    for i in np.flatnonzero(data.has_thinned):
        first, second = (x[i].astype(float).ravel() for x in (data.images, data.thinned))
        own = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
        others = [
            second @ x / np.linalg.norm(x)
            for x in data.images[data.labels != data.labels[i]]
            .reshape(-1, second.size)
            .astype(float)
        ]
        assert own > 0.6 or own > max(others) / np.linalg.norm(second)


def test_cuts_elsewhere_keep_the_crystal(rng: np.random.Generator) -> None:
    cell = average_cell(crystals.unit_cell("hex/rh"))
    cuts = [ziletti_data.cut_elsewhere(cell, 0.5, rng) for _ in range(8)]
    assert len({tuple(np.rint(1e3 * cut.origin)) for cut in cuts}) > 1
    for cut in cuts:
        assert cut.nearest_neighbor_distance == pytest.approx(cell.nearest_neighbor_distance)
        assert len(cell_cluster(cut)) == len(cell_cluster(cell))


def test_held_out_structures_are_a_tenth() -> None:
    plan = replace(PLAN, shards=1)
    total = len(ziletti_data.pristine_structures(plan, 0))
    train, test = ziletti.split(plan, total)
    assert len(test) == round(0.1 * total)
    assert sorted([*train, *test]) == list(range(total))
    assert len(ziletti.held_out(plan)) == len(test)


def write_database(folder: Path) -> None:
    rows = []
    for name, atoms, group in (
        ("copper", crystals.fcc(), 225),
        ("iron", crystals.bcc(), 229),
        ("triclinic", crystals.fcc(), 2),
    ):
        rows.append(
            {
                "id": name,
                "lattice": atoms.cell.array.tolist(),
                "frac": atoms.get_scaled_positions().tolist(),
                "Z": atoms.numbers.tolist(),
                "sg": group,
            }
        )
    rows.append({"mineral": "without a cell"})
    folder.mkdir()
    with gzip.open(folder / "some.jsonl.gz", "wt") as file:
        file.write("\n".join(json.dumps(row) for row in rows))


def test_elements_of_a_database(tmp_path: Path, tiny: Path) -> None:
    write_database(tmp_path / "data")
    known = evaluate_global.database_elements(tmp_path / "data")
    assert [(k.label, len(k.atoms)) for k in known] == [("fcc", 4), ("bcc", 2)]
    row = evaluate_global.database_row(CrystalNet(tiny).classifier, known)
    assert len(row.failures()) == int((~row.right).sum())
    assert row.accuracy == pytest.approx(100 * row.right.mean())
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no elements of the space groups"):
        evaluate_global.database_elements(tmp_path / "empty")


@pytest.mark.slow
def test_evaluate_command_on_a_model_of_whole_structures(tmp_path: Path, tiny: Path) -> None:
    write_database(tmp_path / "data")
    out = tmp_path / "evaluation.json"
    given = ["evaluate", "--model", str(tiny), "--windows", "8", "-q", "-o", str(out)]
    done = CliRunner().invoke(app, [*given, "--structures", str(tmp_path / "data")])
    assert done.exit_code == 0, done.output
    assert "vacancies 70 %" in done.output and "elements of the folder" in done.output
    rows = json.loads(out.read_text())["rows"]
    assert len(rows) == len(evaluate_global.CONDITIONS) + 1
    assert all(
        len(r["failures"]) == round(r["structures"] * (1 - r["percent"] / 100)) for r in rows
    )
    checked = CliRunner().invoke(app, [*given, "--overwrite", "--check"])
    assert checked.exit_code == 1  # random weights are below every target


def test_structures_are_for_models_of_whole_structures(tmp_path: Path, local_model: Path) -> None:
    done = CliRunner().invoke(
        app, ["evaluate", "--model", str(local_model), "--structures", str(tmp_path), "-q"]
    )
    assert done.exit_code != 0 and "is one of windows" in done.output


@pytest.mark.slow
def test_train_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Its tables take minutes and are looked at in test_training_from_nothing_and_again.
    monkeypatch.setattr(ziletti, "evaluation", lambda *given: {"percent": {}})
    work = tmp_path / "work"
    arguments = ["train", "ziletti2018", "-o", str(tmp_path / "model"), "--work", str(work)]
    # One shard is 500 structures; with its fingerprints there, the command only trains on them.
    plan = replace(ZilettiPlan(), shards=1, epochs=1)
    work.mkdir()
    images = np.random.default_rng(0).random((40, 64, 64, 3)).astype(np.float16)
    np.savez(
        work / "pristine-000.npz",
        images=images,
        labels=np.arange(40) % 7,
        thinned=images[:3],
        which=np.arange(3),
    )
    done = CliRunner().invoke(app, [*arguments, "--shards", "1", "--epochs", "1"])
    assert done.exit_code == 0, done.output
    assert f"wrote {tmp_path / 'model'}" in done.output
    assert json.loads((work / "plan.json").read_text())["shards"] == plan.shards
    other = CliRunner().invoke(app, [*arguments, "--shards", "1", "--epochs", "2"])
    assert other.exit_code != 0 and "holds a run with other settings" in other.output
