"""The command `crystalnet explain`: what it writes, prints and refuses."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from ase.io import write

from ase_crystalnet.crystals.structures import random_packing, supercell, unit_cell
from tests.support.commands import refused, run
from tests.support.tiny_models import write_card, write_convolutions

if TYPE_CHECKING:
    from ase_crystalnet import CrystalNet

explain = partial(run, "explain")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    write_convolutions(folder / "model.keras")
    write_card(folder, input="linear")
    return folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_prototype_with_the_shipped_model(folder: Path, local_model: Path) -> None:
    result = explain("hcp", "--model", local_model, "-o", "a.png", "-o", "b.json", "-o", "b.npz")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("hex/rh 1.000")
    assert "Bragg spots" in result.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "b.json", "b.npz"]
    assert Path("a.png").read_bytes()[:4] == b"\x89PNG"
    numbers = json.loads(Path("b.json").read_text())
    with np.load("b.npz") as arrays:
        total = arrays["filter_sum"]
        assert arrays["class_maps"].shape == (8, 64, 64, 3)
        assert len(arrays["spot_channel"]) == numbers["bragg_spots"]
    assert total.shape == (64, 64, 3)
    assert numbers["model"] == "local" and numbers["what"] == "hcp"
    assert numbers["probabilities"]["hex/rh"] > 0.9
    share = numbers["sum_over_last_filters"]
    assert share["energy_near_spots"] > 3 * share["energy_near_spots_shuffled"]
    assert all(len(layer["filters"]) == 4 for layer in numbers["layers"])


def test_an_atom_of_a_file_and_a_class(folder: Path, model: Path) -> None:
    write("md.extxyz", [supercell(unit_cell("bcc"), 300, sigma=0.02, rng=i) for i in range(2)])
    common = ("md.extxyz", "--model", model, "--frame", 1, "--top", 2)
    assert explain(*common, "--center", 17, "-o", "17.json").exit_code == 0
    assert explain(*common, "--atom", 17, "--class", "bcc", "-o", "bcc.json").exit_code == 0
    one, other = (json.loads(Path(name).read_text()) for name in ("17.json", "bcc.json"))
    assert one["ranked_for"] is None and other["ranked_for"] == "bcc"
    assert one["probabilities"] == other["probabilities"]
    assert one["what"] == "md.extxyz, frame 1, atom 17"
    repeated = explain(*common, "--unpooling", "repeat", "--center", 17, "-o", "repeat.json")
    assert repeated.exit_code == 0
    assert json.loads(Path("repeat.json").read_text())["layers"] != one["layers"]


def test_a_window_of_a_result(folder: Path, net: CrystalNet, model: Path) -> None:
    from ase_crystalnet.io.results.hdf5_writer import HDF5Writer

    atoms = supercell(unit_cell("fcc"), 120)
    write("md.extxyz", atoms)
    with HDF5Writer(Path("run.h5"), settings={}) as file:
        file.append(net.analyze(atoms, centers=[3, 40]), 0, "md.extxyz")
    assert explain("run.h5", "--window", 1, "--model", model, "-o", "w.json").exit_code == 0
    assert explain("md.extxyz", "--center", 40, "--model", model, "-o", "a.json").exit_code == 0
    window, atom = (json.loads(Path(name).read_text()) for name in ("w.json", "a.json"))
    assert window["what"] == "md.extxyz, frame 0, window 1"
    assert window["probabilities"] == atom["probabilities"]
    arguments = ("run.h5", "--model", model, "-o", "x.png")
    assert "--window: expected 0 to 1, got 2" in refused(explain(*arguments, "--window", 2))
    assert "holds frames 0 to 0, given 1" in refused(explain(*arguments, "--frame", 1))
    assert "use --window" in refused(explain(*arguments, "--center", 3))
    Path("md.extxyz").unlink()
    assert "'md.extxyz' is not there" in refused(explain(*arguments, "--window", 1))
    assert not Path("x.png").exists()


def test_matter_without_a_lattice(folder: Path, model: Path) -> None:
    write("glass.extxyz", random_packing(600, rng=2))
    result = explain("glass.extxyz", "--model", model, "-o", "glass.pdf", "-o", "glass.npz")
    assert result.exit_code == 0, result.output
    assert "no lattice" in result.stdout
    assert Path("glass.pdf").read_bytes()[:4] == b"%PDF"


def test_what_cannot_be_explained_is_named(folder: Path, model: Path) -> None:
    write("few.xyz", unit_cell("fcc").repeat(1), format="xyz")
    given = ("--model", model, "-o", "x.png")
    assert "no such file, and no prototype" in refused(explain("ice", *given))
    assert "missing.xyz" in refused(explain("missing.xyz", *given))
    assert "holds only 4 atoms" in refused(explain("few.xyz", *given))
    assert "--frame: few.xyz has no frame 4" in refused(explain("few.xyz", *given, "--frame", 4))
    assert "--window is of a RESULT.h5" in refused(explain("fcc", *given, "--window", 0))
    assert "atom index 9" in refused(explain("fcc", *given, "--center", 9))
    assert "'ice' is unknown to model 'tiny'" in refused(explain("fcc", *given, "--class", "ice"))
    assert "model 'none' is unknown" in refused(explain("fcc", "--model", "none", "-o", "x.png"), 1)
    assert "x.txt: expected a name that ends in .png" in refused(explain("fcc", "-o", "x.txt"))
    assert "is a folder" in refused(explain("fcc", "-o", _made("folder.png")))
    Path("there.png").touch()
    assert "--overwrite" in refused(explain("fcc", "-o", "there.png"))
    assert not Path("x.png").exists()


def _made(name: str) -> str:
    Path(name).mkdir()
    return name


def test_a_model_of_whole_structures(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = tmp_path_factory.mktemp("whole")
    write_convolutions(whole / "model.keras")
    write_card(whole, input="linear", mode="global")
    write("POSCAR", unit_cell("bcc"), format="vasp")
    assert explain("POSCAR", "--model", whole, "-o", "whole.json").exit_code == 0
    numbers = json.loads(Path("whole.json").read_text())
    assert numbers["what"] == "POSCAR" and 200 < numbers["atoms"] < 300
    given = ("POSCAR", "--model", whole, "-o", "x.png")
    assert "sees a structure as a whole" in refused(explain(*given, "--center", 1))
