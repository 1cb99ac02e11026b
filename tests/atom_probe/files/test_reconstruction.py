"""Reconstructions of atom probes: reading, ranging, writing, and ASE's entry points."""

from __future__ import annotations

import os
import struct

import ase.io
import numpy as np
import pytest
from ase import Atoms

from ase_crystalnet.atom_probe.files.reconstruction import (
    is_reconstruction,
    read_reconstruction,
    write_pos,
)
from ase_crystalnet.errors import InputError
from tests.support.apt_files import write_apt

RRNG = """[Ions]
Number=2
Ion1=Si
Ion2=O
[Ranges]
Number=2
Range1=27.8 28.5 Vol:0.02 Si:1 Color:CCCCCC
Range2=43.8 44.2 Vol:0.05 Si:1 O:1 Color:FF0000
"""
MASS = np.array([28.0, 44.0, 60.0, 28.4], np.float32)
POSITIONS = np.array([[0, 0, -10], [1.5, 2.5, 3.5], [10, 20, -30], [4, 4, 4]], float)


@pytest.fixture
def files(tmp_path):
    """A .pos of four ions (Si, SiO, unranged, Si) and its ranges."""
    write_pos(tmp_path / "a.pos", POSITIONS, MASS)
    (tmp_path / "a.rrng").write_text(RRNG)
    return tmp_path / "a.pos", tmp_path / "a.rrng"


# -------------------------------------------------------------------------------------- .pos, .epos
def test_pos_comes_back_as_it_was_written(files):
    found = read_reconstruction(*files)
    np.testing.assert_allclose(found.positions, POSITIONS, rtol=1e-6)
    np.testing.assert_array_equal(found.mass, MASS)
    assert [ion.name for ion in found.ions] == ["Si", "SiO"]
    assert found.species.tolist() == [0, 1, -1, 0]
    assert found.counts.tolist() == [2, 1] and found.unranged == 1
    assert found.composition() == pytest.approx({"Si": 0.75, "O": 0.25})


def test_pos_is_big_endian_nanometres(files):
    assert struct.unpack(">4f", files[0].read_bytes()[16:32]) == pytest.approx(
        (0.15, 0.25, 0.35, 44)
    )


def test_epos_has_the_columns_of_the_detector(tmp_path):
    record = struct.pack(">9f2I", 1, 2, 3, 28.0, 500.0, 4000.0, 100.0, -9.5, 9.75, 7, 2)
    (tmp_path / "a.EPOS").write_bytes(record * 3)
    found = read_reconstruction(tmp_path / "a.EPOS")
    np.testing.assert_allclose(found.positions, [[10, 20, 30]] * 3)
    np.testing.assert_allclose(found.detector["detector"], [[-9.5, 9.75]] * 3)
    assert found.detector["pulses_since_last"].tolist() == [7, 7, 7]
    assert found.detector["time_of_flight"].dtype.isnative
    assert found.unranged == 3 and found.ions == ()
    assert len(found.take(np.array([0, 2])).detector["ions_in_pulse"]) == 2


# ------------------------------------------------------------------------------------------- .apt
def test_apt_gives_what_pos_gives(tmp_path, monkeypatch):
    pytest.importorskip("ifes_apt_tc_data_modeling")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(1)
    positions, mass = rng.normal(size=(100, 3)), rng.uniform(1, 100, 100)
    write_apt(tmp_path / "a.apt", positions, mass)
    write_pos(tmp_path / "a.pos", 10 * positions, mass)
    apt, pos = (read_reconstruction(tmp_path / name) for name in ("a.apt", "a.pos"))
    np.testing.assert_array_equal(apt.positions, pos.positions)
    np.testing.assert_array_equal(apt.mass, pos.mass)
    assert sorted(os.listdir(tmp_path)) == ["a.apt", "a.pos"]  # the library would leave a log file
    assert len(ase.io.read(tmp_path / "a.apt")) == 100


def test_a_damaged_apt_is_said_in_one_line(tmp_path):
    pytest.importorskip("ifes_apt_tc_data_modeling")
    rng = np.random.default_rng(1)
    path = tmp_path / "a.apt"
    write_apt(path, rng.normal(size=(100, 3)), rng.uniform(1, 100, 100), sections=["Mass"])
    with pytest.raises(InputError, match="has no positions, or no masses"):
        read_reconstruction(path)
    write_apt(path, rng.normal(size=(100, 3)), rng.uniform(1, 100, 100))
    whole = path.read_bytes()
    for length in (len(whole) - 100, 700, 200, 10):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"a\.apt") as error:
            read_reconstruction(path)
        assert "\n" not in str(error.value)
    path.write_bytes(b"PK\3\4" + whole)
    with pytest.raises(InputError, match="does not begin as an"):
        read_reconstruction(path)


# ------------------------------------------------------------------------------------ real data
def test_the_silicon_reconstruction(data_dir):
    found = read_reconstruction(data_dir / "apt" / "Si.pos", data_dir / "apt" / "Si.RRNG")
    assert len(found) == 945_211
    assert found.counts.sum() + found.unranged == 945_211
    silicon = found.select(["Si"])
    assert (silicon.mass > 13.8).all() and (silicon.mass < 30.3).all()
    np.testing.assert_allclose(np.ptp(found.positions, axis=0), [401.4, 391.4, 750.6], atol=0.1)
    epos = read_reconstruction(data_dir / "apt" / "Si_first50000.epos")
    np.testing.assert_array_equal(epos.positions, found.positions[:50_000])
    np.testing.assert_array_equal(epos.mass, found.mass[:50_000])


def test_a_perfect_fcc_reconstruction(data_dir):
    found = read_reconstruction(data_dir / "apt" / "atomprobe3D" / "cubicTestSmall.pos")
    assert len(found) == 4000
    steps = np.unique(np.diff(np.unique(found.positions[:, 0].round(2))).round(2))
    np.testing.assert_allclose(steps, 2.025, atol=0.011)  # half of a = 4.05 Angstrom


def test_malformed_files_get_one_clear_line(data_dir):
    files = sorted((data_dir / "apt" / "malformed").iterdir())
    assert len(files) == 4
    for path in files:
        assert not is_reconstruction(path)
        with pytest.raises(InputError, match=r"Git LFS pointer|holds text") as error:
            read_reconstruction(path)
        assert path.name in str(error.value) and "\n" not in str(error.value)


# ---------------------------------------------------------------------------------------- refusals
@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.pos", b"", "is empty"),
        ("a.pos", struct.pack(">5f", 1, 2, 3, 4, 5), "20 bytes long, no multiple of the 16 bytes"),
        ("a.epos", struct.pack(">4f", 1, 2, 3, 4), "no multiple of the 44 bytes"),
        ("a.pos", struct.pack(">4f", 1, np.nan, 3, 28) * 2, "ion 0 is at .* is this a .pos file"),
        ("a.pos", struct.pack("<4f", 1.23, 2.2, 3.1, 28.1) * 9, "is this a .pos file, and whole"),
        ("a.xyz", b"1\n\nH 0 0 0\n", r"expected a reconstruction \(.pos, .epos, .apt\)"),
    ],
)
def test_what_is_no_reconstruction_is_refused(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        read_reconstruction(tmp_path / name)


def test_missing_files_are_not_found(files, tmp_path):
    with pytest.raises(FileNotFoundError):
        read_reconstruction(tmp_path / "none.pos")
    with pytest.raises(FileNotFoundError):
        read_reconstruction(files[0], tmp_path / "none.rrng")
    assert not is_reconstruction(tmp_path / "none.pos")


def test_shapes_that_do_not_fit_are_not_written(tmp_path):
    with pytest.raises(InputError, match=r"expected positions \(N, 3\) and masses \(N,\)"):
        write_pos(tmp_path / "a.pos", np.zeros((3, 3)), np.zeros(2))
    assert not (tmp_path / "a.pos").exists()


# ------------------------------------------------------------------------------- species and Atoms
def test_species_are_chosen_by_element_ion_or_not_at_all(files):
    found = read_reconstruction(*files)
    assert found.select(["Si"]).mass.tolist() == MASS[[0, 1, 3]].tolist()
    assert found.select(["SiO"]).mass.tolist() == MASS[[1]].tolist()
    assert found.select(["SiO", "unranged"]).mass.tolist() == MASS[[1, 2]].tolist()
    with pytest.raises(InputError, match="expected one of Si, SiO, or unranged; got 'Fe'"):
        found.select(["Fe"])
    with pytest.raises(InputError, match="give ranges"):
        read_reconstruction(files[0]).select(["Si"])


def test_molecular_ions_are_kept_or_split(files):
    found = read_reconstruction(*files)
    kept = found.to_atoms()
    assert kept.numbers.tolist() == [14, 0, 0, 14]
    assert kept.arrays["ion"].tolist() == [0, 1, -1, 0] and kept.info["ions"] == ["Si", "SiO"]
    split = found.to_atoms("split")
    assert split.numbers.tolist() == [14, 14, 8, 0, 14]
    assert split.arrays["ion_index"].tolist() == [0, 1, 1, 2, 3]
    np.testing.assert_array_equal(split.positions[1], split.positions[2])
    assert found.to_atoms("split", unranged=False).get_chemical_formula() == "OSi3"
    with pytest.raises(InputError, match="expected 'keep' or 'split'"):
        found.to_atoms("break")


def test_ase_reads_and_writes_by_entry_point(files, tmp_path):
    atoms = ase.io.read(files[0], ranges=files[1])
    assert isinstance(atoms, Atoms) and atoms.numbers.tolist() == [14, 0, 0, 14]
    ase.io.write(tmp_path / "b.pos", atoms)
    assert (tmp_path / "b.pos").read_bytes() == files[0].read_bytes()
    ase.io.write(tmp_path / "c.pos", Atoms("SiO", [[0, 0, 0], [1, 2, 3]]))
    np.testing.assert_allclose(
        ase.io.read(tmp_path / "c.pos").arrays["mass_to_charge"], [28.085, 15.999]
    )


@pytest.mark.parametrize("name", ["a.pos", "a.epos", "a.apt"])
def test_pipes_devices_and_folders_are_refused(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match="is a pipe"):
        read_reconstruction(tmp_path / name)
    assert not is_reconstruction(tmp_path / name)
    (tmp_path / f"link-{name}").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is a device"):
        read_reconstruction(tmp_path / f"link-{name}")
    (tmp_path / f"folder-{name}").mkdir()
    with pytest.raises(IsADirectoryError):
        read_reconstruction(tmp_path / f"folder-{name}")
