"""Atom-probe files through OVITO's import_file."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("ovito", reason="OVITO is not installed (pip install '.[ovito]')")

from ovito.io import import_file

from ase_crystalnet.atom_probe.files.reconstruction import read_reconstruction, write_pos
from ovito_modifier.apt_reader import AtomProbeReader
from ovito_modifier.convert import to_atoms
from tests.support.apt_files import write_ato, write_pyccapt

RRNG = """[Ranges]
Number=2
Range1=27.8 28.5 Vol:0.02 Si:1 Color:FF0000
Range2=43.8 44.2 Vol:0.05 Si:1 O:1 Color:0000FF
"""
MASS = np.array([28.0, 44.0, 60.0], np.float32)
POSITIONS = np.array([[0, 0, -10], [1.5, 2.5, 3.5], [10, 20, -30]], float)


@pytest.fixture
def pos(tmp_path):
    write_pos(tmp_path / "tip.pos", POSITIONS, MASS)
    return tmp_path / "tip.pos"


def names(data):
    types = data.particles.particle_types
    return [types.type_by_id(number).name for number in types]


def test_a_reconstruction_is_imported_by_itself(pos):
    data = import_file(str(pos)).compute()
    np.testing.assert_allclose(data.particles.positions, POSITIONS, atol=1e-5)
    np.testing.assert_array_equal(data.particles["Mass-to-charge"], MASS)
    assert names(data) == ["unranged"] * 3
    assert data.attributes["AtomProbe.unranged"] == 3
    assert tuple(data.cell.pbc) == (False, False, False)
    matrix = np.asarray(data.cell)
    np.testing.assert_allclose(matrix[:, 3], POSITIONS.min(axis=0), atol=1e-5)
    np.testing.assert_allclose(np.diag(matrix), np.ptp(POSITIONS, axis=0), atol=1e-5)


@pytest.mark.parametrize("name", ["tip.csv", "tip.h5", "tip.ato"])
def test_other_kinds_are_imported_by_themselves(tmp_path, name):
    rng = np.random.default_rng(0)
    positions, mass = rng.uniform(-5, 5, (200, 3)).round(2), np.full(200, 28.0)
    if name == "tip.csv":
        rows = np.column_stack([positions, mass])
        head = "x (nm),y (nm),z (nm),m/n (Da)"
        np.savetxt(tmp_path / name, rows, delimiter=",", header=head, comments="")
    elif name == "tip.ato":
        write_ato(tmp_path / name, positions, mass)
    else:
        columns = {f"{axis} (nm)": positions[:, i] for i, axis in enumerate("xyz")}
        write_pyccapt(tmp_path / name, {**columns, "mc (Da)": mass})
    (tmp_path / "tip.fig.txt").write_text("28Si + 27.8 28.5\n")
    data = import_file(str(tmp_path / name)).compute()
    np.testing.assert_allclose(data.particles.positions, 10 * positions, atol=1e-3)
    assert set(names(data)) == {"Si"} and data.attributes["AtomProbe.unranged"] == 0


@pytest.mark.parametrize("name", ["tip.rrng", "tip.RRNG"])
def test_ranges_of_the_same_name_are_used(pos, name):
    (pos.parent / name).write_text(RRNG)
    data = import_file(str(pos)).compute()
    assert names(data) == ["Si", "SiO", "unranged"]
    assert data.particles.particle_types.type_by_name("SiO").color == pytest.approx((0, 0, 1))
    # What the modifier sees: a molecule and an unranged ion have no atomic number.
    assert to_atoms(data).numbers.tolist() == [14, 0, 0]


def test_ranges_can_be_named(pos):
    (pos.parent / "other.rrng").write_text(RRNG)
    data = import_file(str(pos), ranges=str(pos.parent / "other.rrng")).compute()
    assert names(data) == ["Si", "SiO", "unranged"]


def test_text_is_left_to_other_readers(tmp_path):
    path = tmp_path / "a.pos"
    path.write_text("1 2 3 4\n")
    assert not AtomProbeReader.detect(str(path))
    with pytest.raises(RuntimeError, match="format"):
        import_file(str(path))


def test_a_damaged_file_is_named(pos):
    pos.write_bytes(pos.read_bytes()[:-3])
    with pytest.raises(Exception, match=r"tip\.pos: is 45 bytes long, no multiple of the 16 bytes"):
        import_file(str(pos)).compute()


def test_unknown_parameters_are_refused():
    with pytest.raises(Exception, match="range"):
        AtomProbeReader(range="a.rrng")


def test_the_silicon_reconstruction(data_dir):
    path = data_dir / "apt" / "Si.pos"
    data = import_file(str(path)).compute()
    wanted = read_reconstruction(path, data_dir / "apt" / "Si.RRNG")
    assert data.particles.count == 945_211
    assert np.array_equal(np.asarray(data.particles.particle_types) - 1, wanted.species)


def test_the_reader_is_an_entry_point():
    code = (
        "from importlib.metadata import entry_points;"
        "print([e.load().__name__ for e in entry_points(group='OVITO.FileReader')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "AtomProbeReader" in run.stdout
