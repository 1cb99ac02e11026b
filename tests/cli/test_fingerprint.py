"""The command `crystalnet fingerprint`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write

from ase_crystalnet import CrystalNet
from ase_crystalnet.cli.fingerprint import window_image
from tests.support.commands import refused, run
from tests.support.fakes import frames
from tests.support.tiny_models import write_card, write_network

#: Constants of a fingerprint that no shipped model has.
OTHER = {"wavelength": 0.07, "grid": "detector"}


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that was trained on another fingerprint."""
    folder = tmp_path_factory.mktemp("other")
    write_network(folder / "model.keras")
    write_card(folder, fingerprint=OTHER)
    return folder


def test_fingerprint_of_a_window(folder: Path) -> None:
    write("cu.extxyz", frames(1, size=4))
    result = run("fingerprint", "cu.extxyz", "--center", "3", "-o", "w.png", "-o", "w.npy")
    assert result.exit_code == 0, result.output
    image = np.load("w.npy")
    assert image.shape == (64, 64, 3) and image.max() == pytest.approx(1)
    assert Path("w.png").stat().st_size > 1000
    assert "atom index 9999" in refused(
        run("fingerprint", "cu.extxyz", "--center", "9999", "-o", "x.png")
    )
    assert "expected a name that ends in .png" in refused(
        run("fingerprint", "cu.extxyz", "-o", "x.txt")
    )
    assert "exists already" in refused(run("fingerprint", "cu.extxyz", "-o", "w.npy"))
    assert "has no frame 4" in refused(
        run("fingerprint", "cu.extxyz", "--frame", "4", "-o", "x.png")
    )


def test_a_model_sees_what_it_was_trained_on(folder: Path, other: Path) -> None:
    write("cu.extxyz", frames(1, size=4))
    for name, model in (("local", "local"), ("other", other)):
        given = ("cu.extxyz", "--center", 3, "--window-atoms", 200, "--model", model)
        result = run("fingerprint", *given, "-o", f"{name}.npy")
        assert result.exit_code == 0, result.output
        net = CrystalNet(model, window_atoms=200)
        expected = window_image(net, read("cu.extxyz"), 3)
        np.testing.assert_array_equal(np.load(f"{name}.npy"), expected)
    assert run("fingerprint", "cu.extxyz", "--center", 3, "-o", "default.npy").exit_code == 0
    one, two = np.load("local.npy"), np.load("other.npy")
    assert np.abs(one - two).max() > 0.1
    message = refused(run("fingerprint", "cu.extxyz", "--model", "ice", "-o", "x.npy"), code=1)
    assert "model 'ice' is unknown" in message


def test_species_count_where_the_analyzer_says_so() -> None:
    atoms = bulk("CsCl", "cesiumchloride", 4.1, cubic=True) * (9, 9, 9)
    shape, factor = (
        window_image(CrystalNet("local", species=species), atoms, 100)
        for species in ("geometry", "form-factor")
    )
    assert np.abs(shape - factor).max() > 0.1


def test_a_model_of_whole_structures(folder: Path) -> None:
    write("cu.cif", bulk("Cu", cubic=True))
    given = ("fingerprint", "cu.cif", "--model", "ziletti2018")
    result = run(*given, "-o", "whole.npy", "-o", "whole.png")
    assert result.exit_code == 0, result.output
    assert np.load("whole.npy").shape == (64, 64, 3)
    assert "sees a structure as a whole" in refused(run(*given, "--center", 2, "-o", "x.npy"))
    assert not Path("x.npy").exists()
