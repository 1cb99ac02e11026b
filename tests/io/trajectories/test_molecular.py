"""Trajectories without names of atoms: DCD, XTC, TRR, NetCDF; topologies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.io import write

from ase_crystalnet.errors import InputError
from ase_crystalnet.frames.run import analyze_frames
from ase_crystalnet.io.trajectories.conditions import conditions_of
from ase_crystalnet.io.trajectories.stream import count_frames, iter_frames
from tests.support.fakes import FakeAnalyzer, frames
from tests.support.trajectories import molecular_file

KINDS = ["x.dcd", "x.xtc", "x.trr", "classic.nc", "offset.ncdf", "hdf5.nc"]


@pytest.mark.parametrize("name", KINDS)
def test_frames_are_those_that_were_written(tmp_path: Path, name: str) -> None:
    path = molecular_file(tmp_path / name, 4)
    assert count_frames(path) == 4
    for frame, atoms in zip(iter_frames(path), frames(4), strict=True):
        np.testing.assert_allclose(frame.atoms.positions, atoms.positions, atol=0.011)
        np.testing.assert_allclose(frame.atoms.cell[:], atoms.cell[:], atol=1e-3)
        assert frame.atoms.pbc.all()
    assert [frame.number for frame in iter_frames(path, -1)] == [3]
    if name != "x.dcd":  # its unit of time is that of the program
        assert conditions_of(frame.atoms)["time"] == pytest.approx(1.5)


@pytest.mark.parametrize("name", KINDS)
def test_names_come_from_a_topology(tmp_path: Path, name: str) -> None:
    path = molecular_file(tmp_path / name, 2)
    few = frames(1)[0]
    write(tmp_path / "top.pdb", few)
    write(tmp_path / "top.gro", few)
    write(tmp_path / "top.extxyz", few)
    names = "".join(f"{'OW' if i % 3 == 0 else 'HW1':<4}" for i in range(len(few)))
    rows = "\n".join(names[i : i + 80] for i in range(0, len(names), 80))
    (tmp_path / "top.prmtop").write_text(f"%FLAG ATOM_NAME\n%FORMAT(20a4)\n{rows}\n%FLAG CHARGE\n")
    for topology in ("top.pdb", "top.gro", "top.extxyz"):
        for frame in iter_frames(path, reader={"topology": tmp_path / topology}):
            assert set(frame.atoms.symbols) == {"Cu"}
    how = {"topology": str(tmp_path / "top.prmtop")}
    kept = [frame.atoms for frame in iter_frames(path, reader=how, only="name OW")]
    np.testing.assert_allclose(kept[0].positions, frames(2)[0].positions[::3], atol=0.011)
    assert set(kept[1].symbols) == {"O"}


def test_a_topology_of_another_system_is_refused(tmp_path: Path) -> None:
    path = molecular_file(tmp_path / "x.xtc", 1)
    write(tmp_path / "top.xyz", frames(1, 3)[0])
    with pytest.raises(InputError, match=r"32 atoms, and the topology .* has 108"):
        list(iter_frames(path, reader={"topology": tmp_path / "top.xyz"}))
    with pytest.raises(FileNotFoundError):
        list(iter_frames(path, reader={"topology": tmp_path / "none.psf"}))
    (tmp_path / "bad.psf").write_text("no topology\n")
    with pytest.raises(InputError, match="cannot be read as a topology"):
        list(iter_frames(path, reader={"topology": tmp_path / "bad.psf"}))


@pytest.mark.parametrize("name", KINDS)
def test_a_cut_file_is_one_line(tmp_path: Path, name: str) -> None:
    path = molecular_file(tmp_path / name, 4)
    whole = path.read_bytes()
    for size in (3, 40, len(whole) // 2):
        path.write_bytes(whole[:size])
        try:
            found = list(iter_frames(path))
        except InputError as error:
            assert len(str(error).splitlines()) == 1 and path.name in str(error)
        else:
            assert len(found) < 4


def test_workers_read_them_too(tmp_path: Path) -> None:
    path = molecular_file(tmp_path / "x.xtc", 3)
    write(tmp_path / "top.gro", frames(1)[0])
    how = {"reader": {"topology": tmp_path / "top.gro"}, "only": "element Cu and z < 4"}
    here = [analysis for _, analysis in analyze_frames(FakeAnalyzer(), path, **how)]
    there = [analysis for _, analysis in analyze_frames(FakeAnalyzer(), path, workers=1, **how)]
    assert len(here) == len(there) == 3
    for one, other in zip(here, there, strict=True):
        assert one.number_of_atoms < 32
        np.testing.assert_array_equal(one.atom_labels, other.atom_labels)
        assert one.metadata == other.metadata
    assert here[2].metadata["time"] == pytest.approx(1.0)
