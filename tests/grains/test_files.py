"""Files of crystals, and the command `crystalnet crystals`."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.io import read
from ase.spacegroup import get_spacegroup

from ase_crystalnet import crystals
from ase_crystalnet.errors import InputError
from ase_crystalnet.grains import find_crystals
from ase_crystalnet.grains.files import write_crystals
from tests.support.commands import refused, run


@pytest.fixture(scope="module")
def block():
    atoms = crystals.supercell(crystals.hcp(), 1500, sigma=0.05, rng=3)
    return atoms, find_crystals(atoms)


def test_a_cif_holds_the_average_crystal(block, tmp_path):
    atoms, found = block
    write_crystals(found, atoms, tmp_path / "a.cif")
    cell = read(tmp_path / "a.cif")
    assert len(cell) == 2
    assert get_spacegroup(cell, symprec=1e-3).no == 194
    assert cell.cell.lengths() == pytest.approx(found[0].cell_parameters[:3], rel=1e-5)
    assert "data_grain_1" in (tmp_path / "a.cif").read_text()


@pytest.mark.parametrize("name", ["a.vasp", "b.POSCAR", "POSCAR", "POSCAR-hot"])
def test_a_poscar_holds_the_cell_of_the_largest_grain(block, tmp_path, name):
    atoms, found = block
    write_crystals(found, atoms, tmp_path / name)
    cell = read(tmp_path / name, format="vasp")
    assert len(cell) == 2 and set(cell.symbols) == set(atoms.symbols)
    assert get_spacegroup(cell, symprec=1e-3).no == 194
    assert cell.cell.lengths() == pytest.approx(found[0].cell_parameters[:3], rel=1e-5)
    assert "P6_3/mmc (194)" in (tmp_path / name).read_text().splitlines()[0]


def test_what_a_poscar_cannot_hold_is_said(tmp_path):
    """Mixed sites: it has room for one species each."""
    atoms = crystals.supercell(crystals.fcc(), 1200, sigma=0.03, rng=4)
    rng = np.random.default_rng(2)
    atoms.numbers[rng.random(len(atoms)) < 0.3] = 79
    found = find_crystals(atoms)
    with pytest.warns(UserWarning, match=r"who else is on \d of \d sites \(\.cif has all\)"):
        write_crystals(found, atoms, tmp_path / "a.vasp")
    cell = read(tmp_path / "a.vasp")
    commonest = np.bincount(atoms.numbers).argmax()
    assert set(cell.numbers) == {commonest}


def test_a_table_and_a_labelled_structure(block, tmp_path):
    atoms, found = block
    write_crystals(found, atoms, tmp_path / "a.csv")
    with open(tmp_path / "a.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["space_group"], row["prototype"]) == ("194", "A3 (hcp)")
    assert float(row["a"]) == pytest.approx(2.5, rel=0.005)
    write_crystals(found, atoms, tmp_path / "a.extxyz")
    back = read(tmp_path / "a.extxyz")
    assert np.array_equal(back.arrays["crystalnet_grain"], found.grains)
    with pytest.raises(InputError, match=r"ends in \.cif"):
        write_crystals(found, atoms, tmp_path / "a.txt")
    with pytest.raises(InputError, match="pass the frame"):
        found.attach(atoms[:10])


def test_the_command(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block[0].write("md.extxyz")
    result = run("crystals", "md.extxyz", "-o", "a.cif", "-o", "a.csv", "-o", "b.extxyz")
    assert result.exit_code == 0, result.output
    assert "P6_3/mmc (194)" in result.output and "A3 (hcp)" in result.output
    assert all(Path(name).stat().st_size for name in ("a.cif", "a.csv", "b.extxyz"))
    assert "exists already" in refused(run("crystals", "md.extxyz", "-o", "a.cif"))
    assert run("crystals", "md.extxyz", "-o", "POSCAR").exit_code == 0
    assert len(read("POSCAR")) == 2
    assert "exists already" in refused(run("crystals", "md.extxyz", "-o", "POSCAR"))
    assert "has no frame 3" in refused(run("crystals", "md.extxyz", "--frame", "3"))
    assert "elastic_strain is -1" in refused(run("crystals", "md.extxyz", "--elastic-strain", "-1"))


def test_without_pymatgen_everything_but_cif_is_there(block, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    block[0].write("md.extxyz")
    for name in [name for name in sys.modules if name.split(".")[0] == "pymatgen"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pymatgen", None)
    said = refused(run("crystals", "md.extxyz", "-o", "a.cif"))
    assert "CIF files of crystals need the package pymatgen: pip install" in said
    with pytest.raises(InputError, match="labels of prototypes need the package pymatgen"):
        _ = block[1][0].label
    assert run("crystals", "md.extxyz", "-o", "a.csv").exit_code == 0
    assert not Path("a.cif").exists()


def test_a_glass_is_an_empty_answer(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    crystals.random_packing(1500, rng=1).write("glass.extxyz")
    result = run("crystals", "glass.extxyz", "-o", "a.csv", "-o", "a.cif")
    assert result.exit_code == 0, result.output
    assert "0 in 1500 atoms" in result.output
    assert Path("a.csv").read_text().split() == ["grain"]


@pytest.mark.slow
def test_the_network_names_the_structure(block):
    from ase_crystalnet import CrystalNet

    found = CrystalNet().crystals(block[0])
    assert len(found) == 1 and found[0].structure is not None
    assert found[0].structure in repr(found[0])
