"""The command `crystalnet compare`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.io import write

from ase_crystalnet.classes import STRUCTURES
from ase_crystalnet.cli.compare import comparison
from ase_crystalnet.crystals.structures import supercell, unit_cell
from ase_crystalnet.errors import InputError
from ase_crystalnet.plotting.compare import plot_comparison
from tests.support.commands import files, refused, run


def test_shares_and_agreement_by_hand() -> None:
    labels = {
        "one": np.array([0, 0, 1, 2]),
        "other": np.array([0, 0, 0, 2]),
        "ours": np.array([0, 1, -1, 2]),
    }
    rows = comparison(labels, ("fcc", "bcc", "disordered", "sc"))
    assert rows == {
        "fcc": {"one": 50, "other": 75, "ours": 25},
        "bcc": {"one": 25, "other": 0, "ours": 25},
        "disordered": {"one": 25, "other": 25, "ours": 25},
        "refused": {"one": 0, "other": 0, "ours": 25},
        "as ours": {"one": 50, "other": 50, "ours": 100},
    }


def test_one_table_and_one_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ovito", reason="needs the extra 'ovito'")
    monkeypatch.chdir(tmp_path)
    write("cu.extxyz", supercell(unit_cell("fcc"), 500, sigma=0.10, rng=1))
    done = run("compare", "cu.extxyz", "-o", "a.png", "-o", "a.csv")
    assert done.exit_code == 0, done.output
    with open("a.csv", newline="") as file:
        rows = {row["class"]: row for row in csv.DictReader(file)}
    methods = ["PTM, cutoff 0.1", "PTM, no cutoff", "a-CNA", "CrystalNet"]
    assert list(rows["fcc"])[1:] == methods
    fcc = {method: float(rows["fcc"][method]) for method in methods}
    # Hot copper: a cutoff takes nearly all of it from PTM.
    assert fcc["CrystalNet"] > 98 and fcc["PTM, cutoff 0.1"] < 5 < fcc["PTM, no cutoff"]
    for method in methods:
        shares = [float(row[method]) for name, row in rows.items() if name != "as CrystalNet"]
        assert sum(shares) == pytest.approx(100, abs=0.1)
    assert float(rows["as CrystalNet"]["CrystalNet"]) == 100
    for name, row in rows.items():
        assert name in done.stdout and f"{float(row['CrystalNet']):.1f}" in done.stdout
    assert Path("a.png").stat().st_size > 10_000
    assert files() == {"cu.extxyz", "a.png", "a.csv"}
    assert "exists already" in refused(run("compare", "cu.extxyz", "-o", "a.csv"))
    assert "expected a name" in refused(run("compare", "cu.extxyz", "-o", "a.txt"))


def test_without_ovito_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "ovito", None)
    write("cu.extxyz", supercell(unit_cell("fcc"), 300, rng=1))
    said = refused(run("compare", "cu.extxyz"))
    assert "need OVITO" in said and "ase-crystalnet[ovito]" in said


def test_the_picture(tmp_path: Path) -> None:
    atoms = supercell(unit_cell("fcc"), 800, rng=1)
    fcc, hcp = STRUCTURES.index("fcc"), STRUCTURES.index("hcp")
    middle = np.median(atoms.positions[:, 0])
    labels = {"all": np.full(len(atoms), fcc), "half": np.full(len(atoms), fcc)}
    labels["half"][atoms.positions[:, 0] > middle] = hcp
    labels["none"] = np.full(len(atoms), -1)
    figure = plot_comparison(atoms.positions, labels, STRUCTURES)
    assert [panel.get_title("left") for panel in figure.axes] == list(labels)
    shown = [panel.collections[0] for panel in figure.axes]
    counts = [len(np.unique(each.get_facecolors(), axis=0)) for each in shown]
    assert counts == [1, 2, 1]
    assert len({len(each.get_offsets()) for each in shown}) == 1
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["fcc", "hcp", "refused"]
    assert all(panel.get_xlabel().endswith("(Å)") for panel in figure.axes)
    for suffix in (".pdf", ".svg"):
        figure.savefig(tmp_path / f"a{suffix}")
        assert (tmp_path / f"a{suffix}").stat().st_size > 1000
    with pytest.raises(InputError, match=r"no atom within .* at z = 900"):
        plot_comparison(atoms.positions, labels, STRUCTURES, "z", 900)
    with pytest.raises(InputError, match="axis x, y or z"):
        plot_comparison(atoms.positions, labels, STRUCTURES, "w")
