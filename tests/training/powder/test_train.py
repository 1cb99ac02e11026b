"""Networks on powder patterns and their training, on a handful of crystals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.data import chemical_symbols
from typer.testing import CliRunner

from ase_crystalnet.classifier.card import file_hash
from ase_crystalnet.classifier.network import load_network
from ase_crystalnet.cli.app import app
from ase_crystalnet.errors import InputError
from ase_crystalnet.training.powder.loop import (
    accuracy,
    held_out_patterns,
    split_of,
    train_network,
)
from ase_crystalnet.training.powder.network import NETWORKS, make_network
from ase_crystalnet.training.powder.plan import XrdPlan
from ase_crystalnet.training.powder.synthetic import SYNTHETIC, RandomCrystals
from ase_crystalnet.training.powder.train import (
    measured_accuracy,
    structures_of,
    synthetic_of,
    train_xrd,
    write_model,
)
from ase_crystalnet.xrd.pattern import POINTS, system_of
from ase_crystalnet.xrd.simulated.patterns import PAPER, Recipe
from ase_crystalnet.xrd.simulated.structures import StructureSet
from tests.support.powder_samples import eighty_crystals

SMALL = XrdPlan(patterns=256, batch_size=32, seed=5, average=0.5)


@pytest.fixture(scope="module")
def structures() -> StructureSet:
    return eighty_crystals()


@pytest.mark.parametrize(("name", "classes"), [("resnet", 230), ("dense", 7), ("conv", 7)])
def test_networks(name: str, classes: int) -> None:
    assert set(NETWORKS) == {"resnet", "dense", "conv"}
    network = make_network(name, classes, seed=3)
    seen = np.random.default_rng(0).random((2, network.input_shape[1]), np.float32)
    said = np.asarray(network(seen, training=False))
    assert said.shape == (2, classes)
    np.testing.assert_allclose(said.sum(axis=1), 1, rtol=1e-5)


def test_seed_decides_the_weights() -> None:
    first, same, other = (make_network("conv", 7, seed=s).get_weights()[0] for s in (3, 3, 4))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 0


def test_park_network_has_the_published_shape() -> None:
    network = make_network("conv", 230)
    convolutions = [layer for layer in network.layers if "conv1d" in layer.name]
    assert [c.kernel_size[0] for c in convolutions] == [100, 50, 25]
    assert [c.strides[0] for c in convolutions] == [5, 5, 2]
    assert {c.filters for c in convolutions} == {80}
    for classes, wanted in ((230, [2300, 1150, 230]), (7, [700, 70, 7])):
        dense = [x for x in make_network("conv", classes).layers if hasattr(x, "units")]
        assert [layer.units for layer in dense] == wanted


def test_unknown_network() -> None:
    with pytest.raises(InputError, match="use one of resnet, dense, conv"):
        make_network("transformer")


@pytest.mark.parametrize("wrong", [{"classes": 14}, {"cost": "hinge"}, {"synthetic": 2}])
def test_plans_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match="expected"):
        XrdPlan(**wrong)  # type: ignore[arg-type]


def test_accuracy_by_hand() -> None:
    said = np.full((4, 230), 0.001, np.float32)
    groups = np.array([225, 221, 2, 14])
    said[0, 224] = 0.9  # right, surest
    said[1, 224] = 0.5  # wrong group, right system
    said[1, 220] = 0.3  # and right among five
    said[2, 1] = 0.8  # right
    said[3, 61] = 0.4  # wrong, the true one nowhere
    found = accuracy(said, groups)
    assert found == {
        "system": 75.0,
        "group": 50.0,
        "group_top5": 75.0,
        "group_half_refused": 100.0,
    }
    systems = np.eye(7, dtype=np.float32)[[6, 6, 0, 2]]
    assert accuracy(systems, groups)["system"] == 75.0


def test_held_out_patterns_are_fixed(structures: StructureSet) -> None:
    split = split_of(structures, SMALL)
    a, b = (held_out_patterns(structures, split, "random", PAPER, "dense") for _ in range(2))
    np.testing.assert_array_equal(a[0], b[0])
    assert a[0].shape == ((split == "random").sum(), POINTS)
    assert set(a[1]) <= {225, 229, 221, 227}


def test_random_crystals_do_not_change_the_split(structures: StructureSet) -> None:
    split = split_of(structures, SMALL)
    random = replace(
        structures,
        source=np.full(len(structures), SYNTHETIC),
        elements=np.full(len(structures), "anything"),
        structure_type=np.where(split == "type", structures.structure_type, "of its own"),
    )
    both = split_of(StructureSet.concatenate([structures, random]), SMALL)
    np.testing.assert_array_equal(both[: len(split)], split)
    # Those that have a held-out structure type are not trained on.
    np.testing.assert_array_equal(both[len(split) :], np.where(split == "type", "neither", "train"))
    alone = replace(random, structure_type=structures.structure_type)
    assert set(split_of(alone, SMALL)) >= {"train", "random"}


@pytest.mark.slow
def test_training_goes_on_where_it_stopped(structures: StructureSet, tmp_path: Path) -> None:
    said: list[str] = []
    first = train_network(tmp_path, structures, SMALL, log=said.append)
    history = json.loads((tmp_path / "history.json").read_text())
    assert [row["patterns"] for row in history] == [256]
    assert set(history[0]["tests"]) == {"random", "composition", "type"}
    again = train_network(tmp_path, structures, SMALL, log=said.append)
    assert "goes on after 256 patterns" in said
    assert json.loads((tmp_path / "history.json").read_text()) == history
    for a, b in zip(first.weights, again.weights, strict=True):
        a, b, path = np.asarray(a), np.asarray(b), a.path
        if "moving" in path:  # made anew from the same batches; sums depend on threads
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-5 * np.abs(a).max(), err_msg=path)
        else:
            np.testing.assert_array_equal(a, b, err_msg=path)
    with pytest.raises(InputError, match="another plan"):
        train_network(tmp_path, structures, replace(SMALL, seed=6))


@pytest.mark.slow
def test_an_interrupted_training_learns_what_a_whole_one_does(
    structures: StructureSet, tmp_path: Path
) -> None:
    plan = replace(SMALL, network="dense", classes=7, patterns=96)
    train_network(tmp_path / "whole", structures, plan, every=0)

    def stop(text: str) -> None:
        if text.startswith("32 patterns"):
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train_network(tmp_path / "parts", structures, plan, every=0, log=stop)
    train_network(tmp_path / "parts", structures, plan, every=0)
    whole, parts = (
        json.loads((tmp_path / name / "history.json").read_text()) for name in ("whole", "parts")
    )
    assert [row["patterns"] for row in whole] == [0, 32, 64, 96]
    assert [row["patterns"] for row in parts] == [0, 32, 64, 96]
    # A step without the optimizer's memory, with other dropout or on other patterns has another
    # loss by percents.
    losses = [[row["loss"] for row in rows[1:]] for rows in (whole, parts)]
    np.testing.assert_allclose(*losses, rtol=1e-4)


@pytest.mark.slow
def test_training_learns_and_the_model_folder_is_whole(
    structures: StructureSet, tmp_path: Path
) -> None:
    plan = replace(
        SMALL,
        patterns=4500,
        average=0.9,
        cost="alternating",
        recipe=Recipe(fwhm=(0.1, 0.2), noise=(0.001, 0.01)),
    )
    network = train_network(tmp_path / "run", structures, plan)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    rng = np.random.default_rng(1)
    index = rng.integers(len(structures), size=40)
    from ase_crystalnet.training.powder.loop import inputs_of

    seen = inputs_of(structures, index, plan.recipe, rng, "resnet")
    groups = structures.space_group[index].astype(np.int64)
    # Four groups in the training: chance is a quarter.
    assert accuracy(np.asarray(network(seen, training=False)), groups)["group"] > 60
    measured = tmp_path / "measured.npz"
    from ase_crystalnet.xrd.simulated.patterns import draw_patterns

    np.savez(
        measured,
        X=draw_patterns(structures, index, plan.recipe, rng),
        space_group=groups,
        ids=np.arange(40),
    )
    before = np.asarray(network(seen, training=False)).argmax(axis=1)
    out = write_model(tmp_path / "model", network, plan, structures, history, measured=measured)
    card = json.loads((out / "card.json").read_text())
    assert card["sha256"] == file_hash(out / "model.keras")
    assert card["accuracy"]["measured"]["patterns"] == 40
    assert set(card["accuracy"]["simulated"]) == {"random", "composition", "type"}
    stored = load_network(out / "model.keras")
    # Temperature and 16 bits change certainties, not answers.
    assert (np.asarray(stored(seen, training=False)).argmax(axis=1) == before).mean() > 0.95
    assert (out / "model.keras").stat().st_size < 0.7 * 4 * network.count_params()
    assert {path.name for path in out.iterdir()} == {
        "card.json",
        "history.json",
        "model.keras",
        "model.onnx",
    }


@pytest.mark.slow
def test_from_a_folder_of_files(tmp_path: Path) -> None:
    from ase.io import write

    folder = tmp_path / "cif"
    folder.mkdir()
    for number in (*range(19, 31), *range(37, 49), *range(72, 80)):
        symbol = chemical_symbols[number]
        write(folder / f"{symbol}.cif", bulk(symbol, "fcc", a=4 + number / 100, cubic=True))
    out = train_xrd(
        tmp_path / "model", tmp_path / "work", [folder], plan=replace(SMALL, patterns=64)
    )
    assert json.loads((out / "card.json").read_text())["trained_on"]["patterns"] == 64
    (folder / "more.cif").write_text("x")
    with pytest.raises(InputError, match="other structures"):
        structures_of(tmp_path / "work", [folder])


@pytest.mark.parametrize(
    "content",
    [{"X": np.ones((2, POINTS))}, {"X": np.ones((2, 9)), "space_group": [1, 2], "ids": [0, 1]}],
)
def test_measured_patterns_of_the_wrong_kind(content, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", **content)
    with pytest.raises(InputError, match=r"x\.npz"):
        measured_accuracy(None, tmp_path / "x.npz", SMALL)


def test_a_wrong_file_of_measured_patterns_is_said_before_the_training(tmp_path: Path) -> None:
    options = ["-o", str(tmp_path / "m"), "--work", str(tmp_path / "w"), "--synthetic", "50"]
    for name in ("x.npz", "missing.npz"):
        np.savez(tmp_path / "x.npz", X=np.ones((2, POINTS)))
        measured = ["--measured", str(tmp_path / name)]
        result = CliRunner().invoke(app, ["xrd", "train", *options, *measured])
        assert result.exit_code == 2 and name in result.stderr
        assert not (tmp_path / "w").exists()


def test_rock_forming_minerals_join(data_dir: Path, tmp_path: Path) -> None:
    from ase_crystalnet.xrd.simulated.sources import SETTINGS

    table = data_dir / "structures" / SETTINGS
    if not table.is_file():
        pytest.skip("no table of settings in the data folder")
    folder = tmp_path / "structures"
    folder.mkdir()
    (folder / SETTINGS).symlink_to(table)
    from ase.io import write

    write(folder / "copper.cif", bulk("Cu", cubic=True))
    found = structures_of(tmp_path / "work", [folder])
    assert (found.source == "amcsd_rock_forming").sum() == 21
    assert {"Tremolite", "Albite", "Enstatite"} <= set(found.mineral)
    assert "copper" in found.identifier


@pytest.mark.slow
def test_training_needs_no_database(tmp_path: Path) -> None:
    pytest.importorskip("pyxtal")
    options = ["-o", str(tmp_path / "m"), "--work", str(tmp_path / "work"), "--patterns", "64"]
    result = CliRunner().invoke(app, ["xrd", "train", *options, "--synthetic", "100", "--quiet"])
    assert result.exit_code == 0, result.output
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    assert list(card["trained_on"]["sources"]) == [SYNTHETIC]
    assert card["code_version"] == (tmp_path / "work/resnet-1/code_version").read_text()
    assert 80 < card["trained_on"]["structures"] < 100
    assert "random" in card["accuracy"]["simulated"]
    kept = tmp_path / "work" / "synthetic-100.npz"
    before = kept.stat().st_mtime_ns
    other = synthetic_of(tmp_path / "work", 100, None)
    assert len(other) == 100 and kept.stat().st_mtime_ns == before


def test_random_crystals_of_another_kind_are_not_taken_for_those_wanted(tmp_path: Path) -> None:
    pytest.importorskip("pyxtal")
    kind = RandomCrystals(system_shares=(0, 0, 0, 0, 0, 0, 1), oxygen_share=1.0, seed=4)
    made = synthetic_of(tmp_path, 6, None, kind=kind)
    assert set(system_of(made.space_group)) == {6}
    assert all("O" in str(formula) for formula in made.formula)
    again = synthetic_of(tmp_path, 6, None, kind=kind)
    assert again.identifier.tolist() == made.identifier.tolist()
    for other in (None, replace(kind, seed=5)):
        with pytest.raises(InputError, match=r"synthetic-6\.npz holds crystals of another kind"):
            synthetic_of(tmp_path, 6, None, kind=other)
    # Files of before have no record, and are what was made by default.
    (tmp_path / "synthetic-6.json").unlink()
    assert len(synthetic_of(tmp_path, 6, None)) == len(made)
    with pytest.raises(InputError, match="one for each of"):
        RandomCrystals(system_shares=(1.0,))


def test_nothing_to_learn_from(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["xrd", "train", "-o", str(tmp_path / "m")])
    assert result.exit_code == 2 and "nothing to learn from" in result.stderr
