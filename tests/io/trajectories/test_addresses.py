"""Frames by their addresses: the same atoms in any order, by the fast reader and by ASE."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import read, write
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet.errors import InputError
from ase_crystalnet.io.trajectories import text_frames
from ase_crystalnet.io.trajectories.addresses import FrameLoader
from ase_crystalnet.io.trajectories.formats import format_of, open_compressed, reader_of
from ase_crystalnet.io.trajectories.stream import (
    TruncatedTrajectoryError,
    iter_addresses,
    iter_frames,
    load_frame,
)
from tests.support.fakes import frames
from tests.support.trajectories import lammps_dump


def assert_same(one: Atoms, other: Atoms) -> None:
    """Equal to the bit, with everything that belongs to them."""
    assert {k: v.dtype for k, v in one.arrays.items()} == {
        k: v.dtype for k, v in other.arrays.items()
    }
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name], err_msg=name)
    np.testing.assert_array_equal(one.cell[:], other.cell[:])
    np.testing.assert_array_equal(one.pbc, other.pbc)
    np.testing.assert_array_equal(one.get_celldisp(), other.get_celldisp())
    assert repr(one.info) == repr(other.info)
    assert (one.calc is None) == (other.calc is None)
    if one.calc is not None and other.calc is not None:
        assert repr(one.calc.results) == repr(other.calc.results)


@pytest.fixture
def count_fast(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Numbers of atoms of the frames that the fast reader has made."""
    made: list[int] = []
    read_table = text_frames.read_table

    def counting(*arguments: object, **options: object) -> Atoms:
        atoms = read_table(*arguments, **options)  # type: ignore[arg-type]
        made.append(len(atoms))
        return atoms

    monkeypatch.setattr(text_frames, "read_table", counting)
    return made


def test_real_files_are_read_as_ase_reads_them(data_dir: Path, count_fast: list[int]) -> None:
    seen = {"xyz": 0, "dump": 0}
    for path in sorted((data_dir / "md").rglob("*")):
        if not path.is_file() or path.stat().st_size > 10**7:
            continue
        try:
            format = format_of(str(path), None)
            addresses = list(iter_addresses(path))
        except InputError:  # of another kind, or damaged
            continue
        kind = reader_of(format)
        if kind == "xyz":
            with open_compressed(str(path)) as file:
                for address in addresses:
                    file.seek(address.place[0])
                    data = file.read(address.place[1])
                    expected = text_frames.build_xyz(data, format, fast=False)
                    assert_same(text_frames.build_xyz(data, format), expected)
        elif kind == "dump":
            try:
                whole = read(path, ":", format=format)
            except Exception:  # no boundary flags
                continue
            for frame, atoms in zip(iter_frames(path), whole, strict=True):
                assert_same(frame.atoms, atoms)
        if kind in seen:
            seen[kind] += len(addresses)
    assert seen["xyz"] >= 15 and seen["dump"] >= 20
    assert len(count_fast) >= 12


numbers = st.floats(-1e4, 1e4, allow_nan=False) | st.floats(-1e-300, 1e-300) | st.floats()
spaces = st.sampled_from([" ", "  ", "\t"])


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_extended_xyz_of_any_columns(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 6))
    species = data.draw(
        st.lists(st.sampled_from(["Cu", "H", "X", "Zn"]), min_size=count, max_size=count)
    )
    vectors = st.lists(st.tuples(numbers, numbers, numbers), min_size=count, max_size=count)
    columns = {
        "id:I:1": st.integers(-9, 10**12),
        "tag:R:1": numbers,
        "pair:I:2": st.tuples(st.integers(-9, 9), st.integers(-9, 9)),
        "forces:R:3": st.tuples(numbers, numbers, numbers),
        "good:L:1": st.sampled_from(["T", "F"]),
        "masses:R:1": st.floats(1, 200),
    }
    chosen = data.draw(st.lists(st.sampled_from(sorted(columns)), unique=True))
    rows = []
    for symbol, vector in zip(species, data.draw(vectors), strict=True):
        fields: list[object] = [symbol, *map(repr, vector)]
        for name in chosen:
            value = data.draw(columns[name])
            fields += list(value) if isinstance(value, tuple) else [value]
        rows.append(data.draw(spaces).join(map(str, fields)))
    head = ":".join(["species:S:1:pos:R:3", *chosen])
    comment = f'Lattice="5 0 0 1 6 0 0 0 7" Properties={head} energy=-1.5 name=run pbc="T F T"'
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    compare((end.join([str(count), comment, *rows]) + end).encode())


def compare(raw: bytes) -> None:
    """The fast reader gives what ASE gives, or fails as ASE fails."""
    try:
        expected = text_frames.build_xyz(raw, "extxyz", fast=False)
    except Exception as error:
        with pytest.raises(type(error)):
            text_frames.build_xyz(raw, "extxyz")
        return
    assert_same(text_frames.build_xyz(raw, "extxyz"), expected)


@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, 10**6), byte=st.sampled_from(b"0 9.-+eE\nxdCu_#\t,"))
def test_damage_is_seen_as_ase_sees_it(place: int, byte: int) -> None:
    rows = b"Cu 1.5 2.25 -3e-5 7\n" * 4
    head = b'4\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3:id:I:1\n'
    damaged = bytearray(rows)
    damaged[place % len(rows)] = byte
    compare(head + bytes(damaged))


def test_plain_columns_are_read_fast_and_others_are_not(
    tmp_path: Path, count_fast: list[int]
) -> None:
    plain = frames(1, size=3)[0]
    plain.new_array("id", np.arange(len(plain)) + 1)
    write(tmp_path / "plain.extxyz", plain)
    assert len(next(iter_frames(tmp_path / "plain.extxyz")).atoms) == 108
    assert count_fast == [108]
    forces = frames(1)[0]
    forces.calc = SinglePointCalculator(forces, energy=1.0, forces=forces.positions)
    write(tmp_path / "forces.extxyz", forces)
    got = next(iter_frames(tmp_path / "forces.extxyz")).atoms
    np.testing.assert_allclose(got.get_forces(), forces.positions, atol=1e-7)
    assert count_fast == [108]


def test_ids_beyond_ases_type() -> None:
    """ASE keeps integers in 32 bits and refuses larger ones; they must not wrap around."""
    head = '2\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3:id:I:1\nCu 0 0 0 1\n'
    compare(f"{head}Cu 1 1 1 2147483648\n".encode())


def test_a_dump_that_was_cut_and_gone_on_with(tmp_path: Path) -> None:
    """What is left when LAMMPS is killed and its restart appends to the file."""
    path = lammps_dump(tmp_path / "md.dump", 4)
    frame = path.read_text().split("ITEM: TIMESTEP\n")[1:]
    frame[1] = "".join(frame[1].splitlines(keepends=True)[:-7])
    path.write_text("".join(f"ITEM: TIMESTEP\n{each}" for each in frame))
    found = []
    with pytest.raises(TruncatedTrajectoryError, match=r"frame 1 .*: cut short, 25 of 32"):
        found.extend(iter_addresses(path))
    assert [address.number for address in found] == [0]
    path.write_text("ITEM: TIMESTEP\n0\nITEM: ATOMS id type x y z\n1 1 0 0 0\n")
    with pytest.raises(TruncatedTrajectoryError, match="it has no complete header"):
        next(iter_addresses(path))


def test_a_dump_with_blank_lines_keeps_all_its_atoms(tmp_path: Path) -> None:
    path = tmp_path / "md.dump"
    path.write_text(
        "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"
        "ITEM: ATOMS id type x y z\n2 1 0 0 0\n\n1 2 1 1 1\n"
    )
    assert next(iter_frames(path)).atoms.numbers.tolist() == [2, 1]


@pytest.mark.parametrize(
    "name", ["md.extxyz", "md.xyz.gz", "md.extxyz.bz2", "md.traj", "XDATCAR", "md.dump"]
)
def test_frames_in_any_order(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / name
    format = {"XDATCAR": "vasp-xdatcar", "md.dump": "lammps-dump-text"}.get(name)
    if name == "md.dump":
        lammps_dump(path, 6)
    else:
        write(path, frames(6), **({"format": format} if format else {}))
    expected = [frame.atoms for frame in iter_frames(path)]
    addresses = list(iter_addresses(path))
    assert [address.number for address in addresses] == list(range(6))
    with FrameLoader() as loader:
        for number in (0, 1, *rng.permutation(6), 5, 5, 0):
            address = pickle.loads(pickle.dumps(addresses[number]))
            assert_same(load_frame(loader, address).atoms, expected[number])


def test_gsd_frames_in_any_order(data_dir: Path) -> None:
    pytest.importorskip("gsd")
    path = data_dir / "md" / "freud" / "lj.gsd"
    expected = [frame.atoms for frame in iter_frames(path)]
    with FrameLoader() as loader:
        for address in reversed(list(iter_addresses(path))):
            assert_same(load_frame(loader, address).atoms, expected[address.number])


def test_a_file_that_changes_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "md.extxyz.gz"
    write(path, frames(2))
    with FrameLoader() as loader:
        first = [load_frame(loader, a).atoms for a in iter_addresses(path)]
        write(path, frames(2, size=3))
        second = [load_frame(loader, a).atoms for a in iter_addresses(path)]
    assert [len(atoms) for atoms in (*first, *second)] == [32, 32, 108, 108]


def test_a_file_that_has_become_shorter(tmp_path: Path) -> None:
    path = tmp_path / "md.extxyz"
    write(path, frames(3))
    last = list(iter_addresses(path))[-1]
    path.write_bytes(path.read_bytes()[:-100])
    with FrameLoader() as loader, pytest.raises(TruncatedTrajectoryError) as caught:
        load_frame(loader, last)
    assert "frame 2 (from 0) cannot be read: EOFError: the file has become shorter" in str(
        caught.value
    )
    back = pickle.loads(pickle.dumps(caught.value))
    assert (str(back), back.number) == (str(caught.value), 2)
