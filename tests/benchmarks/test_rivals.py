"""The bench of programs: its samples are what they are said to be, and the score is one for all."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from scipy.spatial import cKDTree

from tests.support import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "benchmarks"))
import rivals


def test_samples_are_the_same_in_every_process():
    first, second = rivals.samples(200, None), rivals.samples(200, None)
    for one, other in zip(first, second, strict=True):
        assert one[:2] == other[:2] and (one[2].positions == other[2].positions).all()
        assert len(one[3]) == len(one[2])
    assert {name for _, name, _, _ in first} == {*rivals.CRYSTALS, "disordered"}


def test_half_of_it_is_molten_and_no_atoms_lie_on_each_other():
    atoms, truth = rivals.half_molten("fcc", 2000, np.random.default_rng(0))
    assert 0.4 < (truth == "disordered").mean() < 0.6
    assert len(set(atoms.numbers)) == 1  # what an atom is does not tell where it is from
    places = atoms.get_positions(wrap=True) % atoms.cell.lengths()
    near = cKDTree(places, boxsize=atoms.cell.lengths()).query(places, k=2)[0][:, 1]
    assert near.min() > 0.5 * 2.5
    solid = places[truth == "fcc"][:, 2]
    assert solid.max() < atoms.cell.lengths()[2] / 2 + 0.01


def test_every_program_is_scored_by_the_same_words(monkeypatch):
    def always(name):
        return lambda atoms: np.full(len(atoms), name)

    monkeypatch.setitem(rivals.PROGRAMS, "fcc", ("", lambda: always("fcc"), ()))
    found = rivals.measure("fcc", 200, None)["right"]
    assert found["sigma 0.08"] == dict.fromkeys(rivals.CRYSTALS, 0.0) | {"fcc": 100.0}
    assert found["liquid"] == {"disordered": 0.0}
    assert 40 < found["half molten"]["fcc"] < 60
    monkeypatch.setitem(rivals.PROGRAMS, "ice", ("", lambda: always("diam"), rivals._DIAMONDS))
    asked = rivals.measure("ice", 200, None)["right"]
    assert set(asked["sigma 0.08"]) == {"diam", "hexdiam"}
    rows = rivals.rows({"ice": {"right": asked, "atoms/s": 1, "MB": 1}, "none": {"left out": "x"}})
    assert len(rows) == 1 and rows[0][1] == "50.0"


@pytest.mark.parametrize("name", ["PTM, RMSD 0.1 (OVITO)", "a-CNA (OVITO)", "Chill+ (OVITO)"])
def test_ovito_names_a_cold_crystal(name):
    pytest.importorskip("ovito", reason="OVITO is not installed (pip install '.[ovito]')")
    label = rivals.PROGRAMS[name][1]()
    crystal = "diam" if "Chill" in name else "fcc"
    atoms = rivals.crystals.supercell(rivals.crystals.unit_cell(crystal), 500)
    assert (label(atoms) == crystal).all()
