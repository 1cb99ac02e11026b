"""Damaged, bottomless and unreadable trajectory files are refused in one line."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import LONGEST_LINE
from ase_crystalnet.io.trajectories.formats import format_of
from ase_crystalnet.io.trajectories.stream import (
    TruncatedTrajectoryError,
    count_frames,
    iter_frames,
)
from ase_crystalnet.io.trajectories.text_frames import scan_dump
from tests.support import REPOSITORY
from tests.support.fakes import frames
from tests.support.trajectories import lammps_dump

PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress}


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", ["x.extxyz", "x.data", "x.unknown", "POSCAR"])
@pytest.mark.parametrize("damage", ["cut", "middle", "head", "noise"])
def test_a_damaged_compressed_file_is_refused_in_one_line(tmp_path, suffix, name, damage):
    packed = bytearray(PACKERS[suffix](b"8\n\n" + b"Cu 0.1 0.2 0.3\n" * 5000))
    if damage == "cut":
        del packed[len(packed) // 2 :]
    elif damage == "middle":
        packed[len(packed) // 3 : len(packed) // 2] = bytes(len(packed) // 2 - len(packed) // 3)
    elif damage == "head":
        packed[8:16] = b"\xff" * 8
    else:
        packed[12:] = np.random.default_rng(0).bytes(len(packed) - 12)
    path = tmp_path / (name + suffix)
    path.write_bytes(packed)
    with pytest.raises(InputError) as error:
        list(iter_frames(path))
    assert len(str(error.value).splitlines()) == 1 and path.name in str(error.value)


def test_frames_before_the_damage_are_kept(tmp_path):
    path = tmp_path / "x.extxyz.gz"
    write(tmp_path / "x.extxyz", frames(40, 2))
    packed = gzip.compress((tmp_path / "x.extxyz").read_bytes())
    path.write_bytes(packed[: len(packed) // 2])
    found = []
    with pytest.raises(TruncatedTrajectoryError):
        for frame in iter_frames(path):
            found.append(frame.number)
    assert found and found == list(range(len(found)))


LINES = {
    "comment.extxyz": (b"1\n", b"\nCu 0 0 0\n"),
    "atom.extxyz": (b"1\n\nCu 0 0 ", b"\n"),
    "count.xyz": (b"", b"\n"),
    "atom.dump": (b"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: ATOMS id\n", b"\n"),
    "head.dump": (b"ITEM: TIMESTEP\n0\nITEM: BOX BOUNDS ", b"\n"),
    "x.cif": (b"data_x\n_cell_length_a ", b"\n"),
    "POSCAR": (b"", b"\n1.0\n"),
}


MARKED = ["x.extxyz", "x.xyz", "x.dump", "x.cif", "x.pdb", "x.json", "POSCAR", "x.data", "x.gro"]


@pytest.mark.parametrize("name", MARKED)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_byte_order_mark_changes_nothing(tmp_path, name, suffix):
    """ASE takes it for a part of the first line: of a PDB file that is the cell."""
    clean, marked = tmp_path / "clean" / name, tmp_path / "marked" / (name + suffix)
    clean.parent.mkdir()
    marked.parent.mkdir()
    if name == "x.dump":
        lammps_dump(clean, 2)
    else:
        formats = {"POSCAR": "vasp", "x.data": "lammps-data"}
        write(clean, frames(1, 1)[0], format=formats.get(name))
    content = b"\xef\xbb\xbf" + clean.read_bytes()
    marked.write_bytes(gzip.compress(content) if suffix else content)
    expected, found = list(iter_frames(clean)), list(iter_frames(marked))
    assert count_frames(marked) == count_frames(clean)
    assert len(found) == len(expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert np.array_equal(one.atoms.numbers, other.atoms.numbers)
        assert np.array_equal(one.atoms.positions, other.atoms.positions)
        assert np.array_equal(one.atoms.cell.array, other.atoms.cell.array)
        assert other.atoms.cell.rank == 3


@pytest.mark.parametrize("name", LINES)
def test_a_line_without_an_end_is_refused(tmp_path, name):
    before, after = LINES[name]
    path = tmp_path / (name + ".gz")
    path.write_bytes(gzip.compress(before + b"1" * (LONGEST_LINE + 1) + after, 1))
    with pytest.raises(InputError, match=r"longer than \d+ bytes"):
        list(iter_frames(path))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x.extxyz", "x.dump", "x.cif", "POSCAR"])
def test_three_gigabytes_in_three_megabytes_take_little_memory(tmp_path, name):
    path = tmp_path / (name + ".gz")
    before = LINES.get({"x.extxyz": "comment.extxyz", "x.dump": "atom.dump"}.get(name, name))
    with gzip.open(path, "wb", 1) as file:
        file.write(before[0])
        for _ in range(3000):
            file.write(b"1" * 1_000_000)
    code = (
        "import resource, sys\n"
        "from ase_crystalnet.io.trajectories.stream import iter_frames\n"
        "import ase.io\n"
        "base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try:\n    list(iter_frames(sys.argv[1]))\n"
        "except ValueError as error:\n    print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, cwd=REPOSITORY
    )
    said, used = done.stdout.splitlines()
    assert "longer than" in said and int(used) < 200_000  # kB


def test_a_file_that_unpacks_to_far_more_is_refused(tmp_path, monkeypatch):
    from ase_crystalnet.io.trajectories import checks

    monkeypatch.setattr(checks, "_HARMLESS", 2**20)
    frame = b"200000\n\n" + b"Cu 0 0 0\n" * 200_000
    for name in ("x.extxyz.gz", "POSCAR.gz"):
        (tmp_path / name).write_bytes(gzip.compress(frame))
        with pytest.raises(InputError, match="unpacks to"):
            list(iter_frames(tmp_path / name))
    (tmp_path / "y.extxyz").write_bytes(frame)  # as it is, it is read
    assert next(iter_frames(tmp_path / "y.extxyz")).atoms.positions.shape == (200_000, 3)


def test_a_cif_without_a_part_of_the_cell_is_refused(tmp_path, data_dir):
    with pytest.raises(InputError, match="_cell_length_b"):
        next(iter_frames(data_dir / "cases" / "nocell.cif"))
    write(tmp_path / "x.cif", bulk("Cu", cubic=True))
    whole = (tmp_path / "x.cif").read_text()
    assert next(iter_frames(tmp_path / "x.cif")).atoms.cell.rank == 3
    for name in ("length_a", "length_c", "angle_beta"):
        (tmp_path / "y.cif").write_text(whole.replace(f"_cell_{name}", "_other"))
        with pytest.raises(InputError, match=f"no _cell_{name}"):
            next(iter_frames(tmp_path / "y.cif"))


def test_a_molecule_in_a_cif_needs_no_cell(tmp_path):
    write(tmp_path / "x.cif", Atoms("CO", [[0, 0, 0], [0, 0, 1.1]]))
    text = (tmp_path / "x.cif").read_text()
    assert "_cell_length" not in text
    found = next(iter_frames(tmp_path / "x.cif")).atoms
    assert found.get_distance(0, 1) == pytest.approx(1.1)


def test_more_atoms_than_lines_are_refused_before_room_is_made_for_them(tmp_path):
    (tmp_path / "POSCAR").write_text(
        "Cu\n1.0\n5 0 0\n0 5 0\n0 0 5\nCu\n999999999999\nDirect\n0 0 0\n"
    )
    (tmp_path / "x.data").write_text(
        "head\n\n999999999999 atoms\n1 atom types\n\n0 5 xlo xhi\n0 5 ylo yhi\n0 5 zlo zhi\n\n"
        "Atoms # atomic\n\n1 1 0 0 0\n"
    )
    for name in ("POSCAR", "x.data"):
        with pytest.raises(InputError, match="states 999999999999 atoms"):
            next(iter_frames(tmp_path / name))


def test_a_traj_that_states_more_than_it_holds_is_refused(tmp_path):
    path = tmp_path / "x.traj"
    write(path, frames(2, 1))
    content = path.read_bytes()
    assert len(list(iter_frames(path))) == 2
    table = int.from_bytes(content[40:48], "little")
    path.write_bytes(content[:32] + (10**12).to_bytes(8, "little") + content[40:])
    with pytest.raises(InputError, match="states more than"):
        list(iter_frames(path))
    path.write_bytes(content[:table] + (10**15).to_bytes(8, "little") + content[table + 8 :])
    with pytest.raises(InputError, match=r"damaged|cannot be read"):
        list(iter_frames(path))


def test_a_file_that_may_not_be_read_is_called_that(tmp_path, monkeypatch):
    path = tmp_path / "x.extxyz"
    write(path, frames(1, 1))
    path.chmod(0)
    if os.access(path, os.R_OK):  # a superuser may read all: the system's refusal is played
        real = os.open

        def refuse(name, *args, **options):
            if Path(name) == path:
                raise PermissionError(13, "Permission denied", str(name))
            return real(name, *args, **options)

        monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(PermissionError, match="denied"):
        format_of(str(path), None)
    for format in (None, "extxyz"):
        with pytest.raises(PermissionError, match="denied"):
            next(iter_frames(path, format=format))


@pytest.mark.parametrize("name", ["x.extxyz", "x.dump", "x.traj", "x.cif", "x.gsd", "x.xyz.gz"])
def test_pipes_are_refused_without_waiting(tmp_path, name):
    os.mkfifo(tmp_path / name)
    for read in (lambda path: next(iter_frames(path)), count_frames):
        with pytest.raises(InputError, match="is a pipe"):
            read(tmp_path / name)
    with pytest.raises(InputError, match="is a device"):
        next(iter_frames("/dev/zero", format="extxyz"))


def test_blank_lines_in_a_compressed_dump_do_not_unpack_it_again(tmp_path):
    """A frame with blank lines was read twice, the second time from the first byte of the file."""
    text = (
        lammps_dump(tmp_path / "x.dump", 30).read_text().replace("\nITEM: TIME", "\n\nITEM: TIME")
    )
    text = text.replace("id type x y z\n", "id type x y z\n\n")

    class Forwards:
        def __init__(self, data: bytes) -> None:
            self.lines = iter(data.splitlines(keepends=True))

        def readline(self, _: int = -1) -> bytes:
            return next(self.lines, b"")

    places = list(scan_dump(Forwards(text.encode())))  # it cannot go back
    assert len(places) == 30
    assert places[-1][0] + places[-1][1] == len(text)
