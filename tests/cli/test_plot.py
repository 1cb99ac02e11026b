"""The command `crystalnet plot`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.io import read, write

from ase_crystalnet import CrystalNet
from ase_crystalnet.cli.fingerprint import window_image
from ase_crystalnet.crystals.structures import supercell, unit_cell
from ase_crystalnet.io.results.hdf5_writer import HDF5Writer
from ase_crystalnet.io.results.same_frames import content_of
from ase_crystalnet.plotting import trajectory as plotting
from tests.support.commands import files, refused, run
from tests.support.tiny_models import write_card, write_network


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, str]]:
    """Image and title of every fingerprint that is drawn."""
    seen: list[tuple[np.ndarray, str]] = []
    draw = plotting.plot_fingerprint

    def spy(image: np.ndarray, title: str) -> Any:
        seen.append((image, title))
        return draw(image, title)

    monkeypatch.setattr(plotting, "plot_fingerprint", spy)
    return seen


@pytest.fixture
def structure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Atoms:
    """A crystal in a file `cu.extxyz` of an empty folder."""
    monkeypatch.chdir(tmp_path)
    write("cu.extxyz", supercell(unit_cell("fcc"), 300, sigma=0.02, rng=1))
    return read("cu.extxyz")


def write_model(folder: Path, wavelength: float = 0.07, seed: int = 0) -> None:
    """A model that was trained on another fingerprint than the shipped ones."""
    folder.mkdir(exist_ok=True)
    write_network(folder / "model.keras", seed=seed)
    write_card(folder, fingerprint={"wavelength": wavelength, "grid": "detector"})


def write_result(name: str, net: CrystalNet, atoms: Atoms, **settings: Any) -> None:
    """A result of two windows."""
    with HDF5Writer(Path(name), settings=settings) as file:
        file.append(net.analyze(atoms, centers=[3, 40]), 0, "cu.extxyz")


def test_plot_draws_and_refuses(folder: Path) -> None:
    assert run("analyze", "md.extxyz", "-o", "a.h5", "-q").exit_code == 0
    result = run("plot", "a.h5")
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == ["a-fractions.png", "a-slice.png"]
    assert files() == {"a.h5", "a-fractions.png", "a-slice.png"}
    assert "exists already" in refused(run("plot", "a.h5"))
    assert run("plot", "a.h5", "--overwrite").exit_code == 0
    assert run("plot", "a.h5", "-o", "deep/er", "--kind", "slice", "--axis", "x").exit_code == 0
    assert Path("deep/er/a-slice.png").exists()
    assert run("plot", "a.h5", "-o", "f.pdf", "--kind", "fractions").exit_code == 0
    assert Path("f.pdf").read_bytes().startswith(b"%PDF")
    assert "cannot hold 2 figures" in refused(run("plot", "a.h5", "-o", "f.svg"))
    assert "no such file" in refused(run("plot", "b.h5"))
    assert "not a readable HDF5 file" in refused(run("plot", "md.extxyz"))
    assert "holds frames 0 to 5, given 6" in refused(
        run("plot", "a.h5", "--frame", "6", "-o", "new")
    )
    assert "no window centre" in refused(
        run("plot", "a.h5", "--kind", "slice", "--position", "77", "-o", "s.png")
    )
    assert not Path("s.png").exists() and not Path("s.png.part").exists()


def test_figures_are_written_as_what_is_asked_for(folder: Path) -> None:
    assert run("analyze", "md.extxyz", "-o", "a.h5", "-q").exit_code == 0
    result = run("plot", "a.h5", "--kind", "slice", "--as", "pdf", "--as", "svg", "--as", "pdf")
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == ["a-slice.pdf", "a-slice.svg"]
    assert Path("a-slice.pdf").read_bytes().startswith(b"%PDF")
    assert b"<svg" in Path("a-slice.svg").read_bytes()[:1000]
    assert "exists already" in refused(run("plot", "a.h5", "--kind", "slice", "--as", "svg"))
    assert "have no strain" in refused(run("plot", "a.h5", "--kind", "strain"))
    said = refused(run("plot", "a.h5", "--kind", "slice", "-o", "b.png", "--as", "svg"))
    assert "--as" in said and not Path("b.png").exists()


def test_fingerprint_of_a_window(
    net: CrystalNet, structure: Atoms, drawn: list[tuple[np.ndarray, str]]
) -> None:
    write_result("a.h5", net, structure)
    arguments = ("plot", "a.h5", "--kind", "fingerprint")
    result = run(*arguments, "--window", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == ["a-fingerprint.png"]
    assert Path("a-fingerprint.png").read_bytes()[:4] == b"\x89PNG"
    [(image, title)] = drawn
    np.testing.assert_allclose(image, window_image(net, structure, 40), atol=1e-5)
    assert title.startswith("cu.extxyz, frame 0, window 1: fcc, certainty ")
    message = refused(run(*arguments, "--window", 2, "-o", "y.png"))
    assert "--window: expected 0 to 1, got 2" in message
    Path("cu.extxyz").unlink()
    message = refused(run(*arguments, "-o", "y.png"))
    assert "trajectory 'cu.extxyz' is not there" in message
    assert not Path("y.png").exists()


def test_a_fingerprint_is_that_of_the_model_of_the_result(
    net: CrystalNet, structure: Atoms, drawn: list[tuple[np.ndarray, str]]
) -> None:
    write_model(Path("tiny"))
    tiny = CrystalNet("./tiny", window_atoms=150, species="form-factor")
    write_result("a.h5", tiny, structure, model="./tiny")
    result = run("plot", "a.h5", "--kind", "fingerprint")
    assert result.exit_code == 0, result.output
    expected = window_image(tiny, structure, 3)
    np.testing.assert_allclose(drawn[0][0], expected, atol=1e-5)
    assert np.abs(expected - window_image(net, structure, 3)).max() > 0.1


def test_another_model_of_the_same_name_is_refused(structure: Atoms) -> None:
    write_model(Path("tiny"))
    write_result("a.h5", CrystalNet("./tiny"), structure, model="./tiny")
    write_result("b.h5", CrystalNet("./tiny"), structure)
    arguments = ("--kind", "fingerprint", "-o", "y.png")
    assert "model 'tiny' is unknown" in refused(run("plot", "b.h5", *arguments), code=1)
    write_model(Path("tiny"), seed=1)
    message = refused(run("plot", "a.h5", *arguments), code=1)
    assert "a.h5: expected the model 'tiny' that made it" in message
    assert "model './tiny' has other weights" in message
    assert "crystalnet fingerprint --model" in message
    assert not Path("y.png").exists()


def test_only_what_the_user_names_is_opened(net: CrystalNet, structure: Atoms) -> None:
    """The trajectory that a result names may lie anywhere: a result may come from anybody."""
    Path("below").mkdir()
    Path("cu.extxyz").rename("below/cu.extxyz")
    outside = Path.cwd() / "below" / "cu.extxyz"
    for name, source in (("abs.h5", str(outside)), ("up.h5", "below/../../x/cu.extxyz")):
        with HDF5Writer(Path(name)) as file:
            file.append(net.analyze(structure, centers=[3]), 0, source, content_of(structure))
        arguments = ("plot", name, "--kind", "fingerprint", "--overwrite")
        message = refused(run(*arguments))
        assert f"expected a trajectory in or below this folder, got {source!r}" in message
        result = run(*arguments, "--trajectory", outside)
        assert result.exit_code == 0, result.output
    moved = structure.copy()
    moved.positions[0] += 0.1
    write("other.extxyz", moved)
    message = refused(run(*arguments, "--trajectory", "other.extxyz"))
    assert "expected the frame that was analysed, got another one" in message
    os.mkfifo("pipe")
    assert "expected a file, got a pipe" in refused(run(*arguments, "--trajectory", "pipe"))
    assert "expected a file, got a pipe" in refused(run("plot", "pipe"))


def test_a_model_elsewhere_is_opened_only_when_it_is_given(
    structure: Atoms, tmp_path_factory: pytest.TempPathFactory
) -> None:
    tiny = tmp_path_factory.mktemp("models") / "tiny"
    write_model(tiny)
    write_result("a.h5", CrystalNet(tiny), structure, model=str(tiny))
    arguments = ("plot", "a.h5", "--kind", "fingerprint")
    message = refused(run(*arguments), code=1)
    assert f"model {str(tiny)!r} is not in or below this folder: give --model" in message
    result = run(*arguments, "--model", tiny)
    assert result.exit_code == 0, result.output


def test_a_damaged_result_is_named_when_it_is_drawn(folder: Path, rng: np.random.Generator) -> None:
    assert run("analyze", "md.extxyz", "-o", "a.h5", "-q").exit_code == 0
    content = np.frombuffer(Path("a.h5").read_bytes(), dtype=np.uint8)
    outcomes = []
    for trial in range(16):
        bad = content.copy()
        begin = rng.integers(0, len(bad))
        length = [1, 40, 4000][trial % 3]
        bad[begin : begin + length] = rng.integers(0, 256, len(bad[begin : begin + length]))
        Path("bad.h5").write_bytes(bad.tobytes())
        result = run("plot", "bad.h5", "--overwrite")
        assert result.exit_code == 0 or refused(result)
        outcomes.append(result.exit_code)
    # The numbers themselves: whatever they are, one line or a figure.
    for name, value in (("class_fractions", np.nan), ("certainty", np.nan), ("frames", -(2**62))):
        Path("bad.h5").write_bytes(content.tobytes())
        with h5py.File("bad.h5", "r+") as file:
            place = file["frames"] if name in file["frames"] else file["windows"]
            place[name][...] = value
        result = run("plot", "bad.h5", "--overwrite")
        assert result.exit_code == 0 or refused(result)
    assert 2 in outcomes and 0 in outcomes
