"""The command `crystalnet report`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ase.io import write

from ase_crystalnet.crystals.structures import supercell, unit_cell
from ase_crystalnet.io.results.hdf5_writer import HDF5Writer
from tests.support import commands
from tests.support.fakes import fake_frame, frames
from tests.support.walks import write_samples


def run(*arguments: str) -> str:
    """All that a command that went well has said."""
    result = commands.run(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str) -> str:
    return commands.refused(commands.run(*arguments))


def data_of(page: str) -> dict:
    return json.loads(Path(page).read_text().split('id="data">')[1].split("</script>")[0])


def test_a_page_of_a_trajectory(folder: Path) -> None:
    run("analyze", "md.extxyz", "-o", "run.h5")
    said = run("report", "run.h5", "--views", "3", "--points", "10")
    assert "run.html" in said
    data = data_of("run.html")
    assert [len(frame["cell"]) for frame in data["scene"]["frames"]] == [3, 3, 3]
    text = Path("run.html").read_text()
    assert "10 of 32 atoms" in text and "md.extxyz" in text and "setting: model" in text
    assert "run.html" in refused("report", "run.h5")
    run("report", "run.h5", "--overwrite", "--title", "My <melt>")
    assert "My &lt;melt&gt;" in Path("run.html").read_text()


def test_without_the_trajectory_the_windows_are_shown(folder: Path) -> None:
    run("analyze", "md.extxyz", "-o", "run.h5")
    Path("md.extxyz").unlink()
    said = run("report", "run.h5")
    assert "note: without the trajectory" in said
    assert "cell" not in data_of("run.html")["scene"]["frames"][0]
    assert "md.extxyz" in refused("report", "run.h5", "--crystals", "--overwrite")


def test_crystals_by_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    atoms = supercell(unit_cell("fcc"), 300, sigma=0.02, rng=1)
    write("cu.extxyz", atoms)
    with HDF5Writer(Path("cu.h5"), settings={}) as file:
        file.append(fake_frame(atoms), 0, "cu.extxyz")
    run("report", "cu.h5", "--crystals", "-o", "page.html")
    text = Path("page.html").read_text()
    assert "F m -3 m (225)" in text or "Fm-3m (225)" in text
    assert "grain" in data_of("page.html")["scene"]["colorings"]


def test_pages_of_powder_and_atom_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_samples(tmp_path)
    run("xrd", "classify", "quartz.xy", "--model", "none", "-o", "answers.json")
    run("report", "answers.json")
    text = Path("answers.html").read_text()
    assert "quartz" in text and "<svg" in text and "trigonal" in text
    Path("quartz.xy").unlink()
    assert "is not drawn" in run("report", "answers.json", "--overwrite")
    run("apt", "tip.pos", "--ranges", "tip.rrng", "--model", "none", "-o", "tip.h5")
    run("report", "tip.h5")
    data = data_of("tip.html")
    assert data["scene"]["what"] == "window" and "density" in data["scene"]["colorings"]


def test_what_is_no_result_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.json").write_text("[1, 2]")
    Path("b.json").write_text("{")
    Path("c.h5").write_bytes(b"no HDF5")
    write("md.extxyz", frames(1))
    assert "answers of `xrd classify`" in refused("report", "a.json")
    assert "expected JSON" in refused("report", "b.json")
    assert "not a readable HDF5 file" in refused("report", "c.h5")
    assert "no such file" in refused("report", "d.h5")
    assert ".html" in refused("report", "c.h5", "-o", "page.pdf")
