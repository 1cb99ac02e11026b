"""Frames by their addresses: the same atoms in any order, by the fast reader and by ASE."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write
from fakes import frames
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet.io import text_frames
from ase_crystalnet.io.addresses import FrameLoader
from ase_crystalnet.io.atom_table import NotPlain
from ase_crystalnet.io.formats import format_of, open_compressed, reader_of
from ase_crystalnet.io.stream import (
    TruncatedTrajectoryError,
    iter_addresses,
    iter_frames,
    load_frame,
)

Table = Callable[..., Atoms]


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


def build(data: bytes, format: str, fast: bool) -> Atoms:
    if reader_of(format) == "dump":
        return text_frames.build_dump(data, fast=fast)
    return text_frames.build_xyz(data, format, fast=fast)


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
    seen = 0
    for path in sorted((data_dir / "md").rglob("*")):
        if not path.is_file() or path.suffix in (".gsd", ".bin", ".vtk"):
            continue
        try:
            format = format_of(str(path), None)
        except ValueError:
            continue
        if reader_of(format) not in ("xyz", "dump"):
            continue
        try:
            addresses = list(iter_addresses(path))
        except TruncatedTrajectoryError:
            continue
        with open_compressed(str(path)) as file:
            for address in addresses:
                file.seek(address.place[0])
                data = file.read(address.place[1])
                assert_same(build(data, format, fast=True), build(data, format, fast=False))
                seen += 1
    assert seen >= 40 and len(count_fast) >= 20  # the rest hold velocities or one atom


numbers = st.floats(-1e4, 1e4, allow_nan=False) | st.floats(-1e-300, 1e-300) | st.floats()
spaces = st.sampled_from([" ", "  ", "\t"])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), scaled=st.booleans(), crlf=st.booleans(), tilted=st.booleans())
def test_dumps_of_any_columns(data: st.DataObject, scaled: bool, crlf: bool, tilted: bool) -> None:
    atoms = data.draw(st.integers(1, 6))
    xyz = (
        ["xs", "ys", "zs"]
        if scaled
        else data.draw(st.sampled_from([["x", "y", "z"], ["xu", "yu", "zu"]]))
    )
    more = data.draw(
        st.lists(
            st.sampled_from(["c_pe", "f_a[1]", "i_n", "mol", "vx", "q", "ix", "element"]),
            unique=True,
        )
    )
    names = ["id", "type", *xyz, *more]
    rows = []
    for number in data.draw(st.permutations(range(1, atoms + 1))):
        row = {
            "id": number,
            "type": data.draw(st.integers(1, 5)),
            "element": "Cu",
            "mol": 3,
            "ix": -1,
        }
        row["i_n"] = data.draw(st.integers(-5, 5))
        join = data.draw(spaces)
        rows.append(join.join(str(row.get(n, repr(data.draw(numbers)))) for n in names))
    box = (
        "xy xz yz pp ff pp\n-1 9 0.5\n0 8 -0.5\n0 7 0.25" if tilted else "pp ff pp\n-1 9\n0 8\n0 7"
    )
    text = (
        f"ITEM: TIMESTEP\n100\nITEM: NUMBER OF ATOMS\n{atoms}\nITEM: BOX BOUNDS {box}\n"
        f"ITEM: ATOMS {' '.join(names)}\n" + "\n".join(rows) + "\n"
    )
    raw = text.replace("\n", "\r\n").encode() if crlf else text.encode()
    compare(raw, "lammps-dump-text")


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
    compare(f"{count}\n{comment}\n{chr(10).join(rows)}\n".encode(), "extxyz")


def compare(raw: bytes, format: str) -> None:
    """The fast reader gives what ASE gives, or fails as ASE fails."""
    try:
        expected = build(raw, format, fast=False)
    except Exception as error:
        with pytest.raises(type(error)):
            build(raw, format, fast=True)
        return
    assert_same(build(raw, format, fast=True), expected)


@settings(max_examples=150, deadline=None)
@given(
    place=st.integers(0, 10**6), byte=st.sampled_from(b"0 9.-+eE\nxdCu_#\t,"), dump=st.booleans()
)
def test_damage_is_seen_as_ase_sees_it(place: int, byte: int, dump: bool) -> None:
    body = b"1.5 2.25 -3e-5\n" * 4
    if dump:
        rows = b"".join(b"%d 1 " % i + row + b"\n" for i, row in enumerate(body.splitlines(), 1))
        raw = b"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n4\nITEM: BOX BOUNDS pp pp pp\n"
        raw += b"0 9\n0 8\n0 7\nITEM: ATOMS id type x y z\n" + rows
    else:
        rows = b"".join(b"Cu " + row + b"\n" for row in body.splitlines())
        raw = b'4\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\n' + rows
    begin = len(raw) - len(rows)
    damaged = bytearray(raw)
    damaged[begin + place % len(rows)] = byte
    compare(bytes(damaged), "lammps-dump-text" if dump else "extxyz")


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


def test_ids_that_come_twice_are_left_to_ase() -> None:
    raw = (
        b"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n2\nITEM: BOX BOUNDS pp pp pp\n0 9\n0 9\n0 9\n"
        b"ITEM: ATOMS id type x y z\n1 1 0 0 0\n1 2 1 1 1\n"
    )
    one = build(raw.replace(b"ATOMS\n2", b"ATOMS\n1"), "lammps-dump-text", fast=False)
    columns: list[tuple[str, str, int]] = [("id", "I", 1), ("type", "I", 1), ("pos", "R", 3)]
    with pytest.raises(NotPlain, match="ids come twice"):
        text_frames.read_table(["1 1 0 0 0", "1 2 1 1 1"], columns, one, sort=True)
    compare(raw, "lammps-dump-text")


@pytest.mark.parametrize(
    "name", ["md.extxyz", "md.xyz.gz", "md.extxyz.bz2", "md.traj", "XDATCAR", "md.dump"]
)
def test_frames_in_any_order(name: str, tmp_path: Path, rng: np.random.Generator) -> None:
    path = tmp_path / name
    format = {"XDATCAR": "vasp-xdatcar", "md.dump": "lammps-dump-text"}.get(name)
    if name == "md.dump":
        from test_trajectory import lammps_dump

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
