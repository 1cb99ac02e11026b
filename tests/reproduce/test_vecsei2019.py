"""Tables and figures of Vecsei et al. (2019)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from typer.testing import CliRunner

from ase_crystalnet.classifier.card import file_hash
from ase_crystalnet.cli.app import app
from ase_crystalnet.errors import InputError
from ase_crystalnet.reproduce.vecsei2019.bench import (
    LIBRARY,
    PaperBench,
    Said,
    scores,
)
from ase_crystalnet.reproduce.vecsei2019.steps import STEPS, reproduce
from ase_crystalnet.reproduce.vecsei2019.tables import has_center
from ase_crystalnet.xrd.answer.library import PatternLibrary
from ase_crystalnet.xrd.pattern import INPUT_POINTS, broaden
from ase_crystalnet.xrd.simulated.structures import build_structure_set


def said_of(probabilities: np.ndarray, truth: np.ndarray) -> Said:
    even = np.arange(len(truth)) % 2 == 0
    return Said(probabilities, truth, even, even)


def test_scores_of_known_answers() -> None:
    truth = np.array([225, 221, 14, 2])
    p = np.full((4, 230), 1e-4)
    p[0, 224], p[1, 224], p[2, 13], p[3, 0] = 0.9, 0.6, 0.5, 0.4
    p[3, 1] = 0.3
    said = said_of(p, truth)
    assert said.right.tolist() == [True, False, True, False]
    assert said.system_right.all()
    found = scores(said)
    assert found["system"] == 100 and found["group"] == 50 and found["top5"] == 75
    assert found["half_refused"] == 50  # of 0.9 (right) and 0.6 (wrong)
    assert scores(said.part(np.zeros(4, bool)))["group"] is None
    systems = np.eye(7)[[6, 6, 1, 1]]
    of_systems = scores(said_of(systems, truth))
    assert of_systems["system"] == 75 and of_systems["group"] is None


def test_centrosymmetric_groups() -> None:
    import spglib

    assert has_center(np.arange(1, 231)).sum() == 92
    for hall in range(1, 531):
        rotations = spglib.get_symmetry_from_database(hall)["rotations"]
        inverted = bool((rotations == -np.eye(3)).all(axis=(1, 2)).any())
        number = spglib.get_spacegroup_type(hall).number
        assert has_center(np.array([number]))[0] == inverted


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measured patterns, made up: entries of the library with noise and shifts."""
    rng = np.random.default_rng(11)
    library = PatternLibrary.load()
    patterns, groups = [], []
    for i in rng.choice(len(library), 40, replace=False):
        lines = slice(library.offsets[i], library.offsets[i + 1])
        angle = library.angle[lines] / 100 + rng.normal(0, 0.03)
        clean = broaden(angle, (library.height[lines] / 255.0) ** 2, 0.15)
        patterns.append(1000 * np.maximum(clean + rng.normal(0, 0.01, 8500), 0))
        groups.append(library.space_group[i])
    folder = tmp_path_factory.mktemp("data")
    (folder / "xrd").mkdir()
    np.savez(
        folder / "xrd" / "measured_powder_patterns.npz",
        X=np.array(patterns, np.float32),
        space_group=np.array(groups, int),
        ids=np.arange(40),
    )
    return folder


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two networks on space groups that have learned nothing, one of them with a history."""
    import keras

    folder = tmp_path_factory.mktemp("networks")
    for k in (1, 2):
        keras.utils.set_random_seed(k)
        place = folder / f"tiny-{k}"
        place.mkdir()
        keras.Sequential(
            [keras.Input((INPUT_POINTS,)), keras.layers.Dense(230, activation="softmax")]
        ).save(place / "model.keras")
        sha256 = file_hash(place / "model.keras")
        card = {"card_version": 1, "name": place.name, "sha256": sha256, "classes": 230}
        (place / "card.json").write_text(json.dumps({**card, "input": "log_sin_theta_2125_sqrt"}))
    rows = [
        {"patterns": n, "seconds": n / 100, "loss": 5 - n / 1e4, "tests": {"random": {"group": 3}}}
        for n in (1000, 2000)
    ]
    (folder / "tiny-1" / "history.json").write_text(json.dumps(rows))
    weights = {
        "offset": 0, "slope": 16, "network_near": 0.1, "library_near": 30, "network_far": 1,
        "library_far": 3,
    }  # fmt: skip
    sha256 = json.loads((folder / "tiny-1" / "card.json").read_text())["sha256"]
    (folder / "tiny-1" / "combination.json").write_text(
        json.dumps({"sha256": sha256, "combination": weights})
    )
    return [str(folder / "tiny-1"), str(folder / "tiny-2")]


def test_page_of_measured_patterns(data: Path, networks: list[str], tmp_path: Path) -> None:
    said: list[str] = []
    page, checks = reproduce(tmp_path, data=data, networks=networks, say=said.append)
    text = page.read_text()
    for title in ("Table I", "The right to refuse", "Training", "Confusion"):
        assert f"## {title}" in text
    for who in (
        "tiny-1 ",
        "tiny, 2 averaged",
        "tiny-1 and library",
        LIBRARY,
        "the paper, dense, ten averaged",
    ):
        assert f"| {who.strip()} |" in text
    for figure in ("training-curves", "certainty-histogram", "refusal-curve"):
        assert (tmp_path / "vecsei2019" / f"{figure}.png").stat().st_size > 5000
    stored = json.loads((tmp_path / "vecsei2019" / "table-1.json").read_text())
    numbers = stored["data"]["measured"]
    # the made-up patterns are in the library: it knows them, networks without training do not
    assert numbers[LIBRARY]["group"] > 80 and numbers["tiny-1"]["group"] < 30
    assert numbers["tiny-1 and library"]["group"] > 80
    assert {c.name.split(" (")[1] for c in checks} == {"tiny-1 and library)"}
    assert any("odd id alone" in c.name for c in checks)
    said.clear()
    reproduce(tmp_path, data=data, networks=networks, say=said.append)
    assert all("kept" in line for line in said) and len(said) == len(STEPS)


def test_simulated_sets_do_not_find_themselves_in_the_library(tmp_path: Path) -> None:
    folder = tmp_path / "cifs"
    folder.mkdir()
    kinds = {"Cu": "fcc", "Fe": "bcc", "Si": "diamond", "Po": "sc"}
    for k in range(60):
        symbol = list(kinds)[k % 4]
        other = ("H", "Li", "Na", "K", "Rb", "Cs", "Be", "Mg", "Ca", "Sr", "Ba", "Al")[k // 5]
        crystal = bulk(symbol, kinds[symbol], a=3.0 + 0.05 * k, cubic=True)
        crystal.numbers[:] = bulk(other, "fcc", a=4).numbers[0]
        write(folder / f"{k:02d}.cif", crystal)
    structures = build_structure_set(folder)
    structures.save(tmp_path / "structures.npz")
    bench = PaperBench(None, tmp_path / "structures.npz", quick=True)
    assert {name.split(", ")[1] for name in bench.sets} == {
        "the paper's noise", "noise as measured"
    }  # fmt: skip
    for name, rows in bench.said.items():
        truth = rows[LIBRARY].truth
        assert len(truth) == len(bench.sets[name][0]) > 0
        assert not rows[LIBRARY].even.any()
    named = structures.identifier.copy()
    named[:] = bench.library.identifier[: len(named)]
    object.__setattr__(bench.split[0], "identifier", named)
    first = next(iter(bench.sets))
    held_out = named[bench.split[1] == first.split(",")[0]]
    assert not np.isin(bench.library_for(first).identifier, held_out).any()


def test_nothing_to_test_on(data: Path, networks: list[str], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing to test on"):
        reproduce(tmp_path)
    with pytest.raises(InputError, match="holds no"):
        reproduce(tmp_path, data=tmp_path)
    with pytest.raises(InputError, match="no such step"):
        reproduce(tmp_path, data=data, only=["table-9"])
    with pytest.raises(InputError, match="no network brought"):
        reproduce(tmp_path, data=data, networks=networks[1:], only=["training"])


def test_command(data: Path, tmp_path: Path) -> None:
    arguments = ["reproduce", "vecsei2019", "--data", str(data), "-o", str(tmp_path), "--quiet"]
    result = CliRunner().invoke(app, [*arguments, "--only", "table-1"])
    assert result.exit_code == 0, result.output
    assert "measured, space group" in result.stdout
    assert (tmp_path / "vecsei2019.md").is_file()
    wrong = CliRunner().invoke(app, ["reproduce", "vecsei2019", "-o", str(tmp_path)])
    assert wrong.exit_code == 2 and "nothing to test on" in wrong.stderr
