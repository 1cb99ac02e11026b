"""Streaming: formats, slices, several files, damaged frames, Lindemann, observer."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.emt import EMT
from ase.io import write
from ase.md.verlet import VelocityVerlet
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.frames.lindemann import LindemannTracker
from ase_crystalnet.frames.observer import Observer
from ase_crystalnet.frames.run import analyze_frames, run
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.io.trajectories.stream import (
    TruncatedTrajectoryError,
    count_frames,
    iter_frames,
    parse_frames,
)
from tests.support.fakes import FakeAnalyzer, frames
from tests.support.trajectories import lammps_dump


@pytest.fixture(scope="module")
def trajectory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("md") / "md.extxyz"
    write(path, frames(10))
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0:100:10", slice(0, 100, 10)),
        ("::5", slice(None, None, 5)),
        (" 3 ", slice(3, 4)),
        ("-1", slice(-1, None)),
        ("-5:", slice(-5, None)),
        (":", slice(None, None)),
    ],
)
def test_parse_frames(text: str, expected: slice) -> None:
    assert parse_frames(text) == expected


@pytest.mark.parametrize("text", ["", "a", "1:2:3:4", "1,2", "::0", "::-1", "1.5"])
def test_parse_frames_refuses(text: str) -> None:
    with pytest.raises(InputError, match="frames: expected"):
        parse_frames(text)


@settings(max_examples=40, deadline=None)
@given(
    start=st.integers(-12, 12),
    stop=st.none() | st.integers(-12, 12),
    step=st.integers(1, 4),
)
def test_slices_are_pythons(trajectory: Path, start: int, stop: int | None, step: int) -> None:
    numbers = [frame.number for frame in iter_frames(trajectory, start, stop, step)]
    assert numbers == list(range(10))[start:stop:step]


def test_several_files_count_on(trajectory: Path, tmp_path: Path) -> None:
    other = tmp_path / "more.traj"
    write(other, frames(4))
    got = [(Path(f.source).name, f.number) for f in iter_frames([trajectory, other], 8, None, 2)]
    assert got == [("md.extxyz", 8), ("more.traj", 0), ("more.traj", 2)]
    assert count_frames([trajectory, other]) == 14


@pytest.mark.parametrize(
    "name", ["md.xyz", "md.extxyz", "md.traj", "XDATCAR", "md.nc", "md.xyz.gz"]
)
def test_formats_of_ase(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    expected = frames(3)
    # The names that ASE cannot tell the format from when it writes.
    formats = {"XDATCAR": "vasp-xdatcar", "md.nc": "netcdftrajectory"}
    write(path, expected, format=formats.get(name))
    got = list(iter_frames(path))
    assert [frame.number for frame in got] == [0, 1, 2]
    for frame, atoms in zip(got, expected, strict=True):
        # .traj and netCDF are exact, text has 8 digits; XDATCAR wraps.
        difference = frame.atoms.positions - atoms.positions
        difference -= atoms.cell.cartesian_positions(
            np.round(atoms.cell.scaled_positions(difference))
        )
        assert np.abs(difference).max() < 1e-5


def test_lammps_dump_is_sorted_by_id(tmp_path: Path) -> None:
    path = lammps_dump(tmp_path / "md.lammpstrj")
    for frame, atoms in zip(iter_frames(path), frames(3), strict=True):
        np.testing.assert_allclose(frame.atoms.positions, atoms.positions, atol=1e-5)


def test_a_dump_without_boundary_flags_is_periodic(tmp_path: Path) -> None:
    path = lammps_dump(tmp_path / "old.dump", 1)
    path.write_text(path.read_text().replace("BOX BOUNDS pp pp pp", "BOX BOUNDS"))
    assert next(iter_frames(path)).atoms.pbc.all()


def test_type_numbers_as_species(tmp_path: Path) -> None:
    path = tmp_path / "types.xyz"
    path.write_text(
        '2\nLattice="4 0 0 0 4 0 0 0 4" Properties=id:I:1:species:S:1:pos:R:3\n'
        "1 2 0 0 0\n2 1 2 2 2\n"
    )
    assert next(iter_frames(path)).atoms.numbers.tolist() == [2, 1]


def test_prose_in_the_comment_of_a_plain_xyz(tmp_path: Path) -> None:
    path = tmp_path / "plain.xyz"
    path.write_text("1\nno Lattice here, energy unknown=\nC 0 0 0\n")
    assert len(next(iter_frames(path)).atoms) == 1


@pytest.mark.parametrize("kind", ["extxyz", "dump", "gz"])
def test_a_cut_trajectory_gives_the_frames_before(kind: str, tmp_path: Path) -> None:
    if kind == "dump":
        path = lammps_dump(tmp_path / "md.dump")
        text = path.read_text()
        path.write_text(text[: int(len(text) * 0.8)])
    elif kind == "extxyz":
        path = tmp_path / "md.extxyz"
        write(path, frames(3))
        text = path.read_text()
        path.write_text(text[: int(len(text) * 0.8)])
    else:
        path = tmp_path / "md.extxyz.gz"
        plain = tmp_path / "md.extxyz"
        write(plain, frames(30))
        packed = gzip.compress(plain.read_bytes())
        path.write_bytes(packed[: int(len(packed) * 0.8)])
    got = []
    with pytest.raises(TruncatedTrajectoryError) as caught:
        for frame in iter_frames(path):
            got.append(frame.number)
    assert got == list(range(caught.value.number)) and len(got) >= 2
    assert caught.value.source == str(path)
    assert "\n" not in str(caught.value)
    assert f"frame {len(got)} (from 0) cannot be read" in str(caught.value)
    assert count_frames(path) == len(got)


def test_a_damaged_frame_in_the_middle(tmp_path: Path) -> None:
    path = tmp_path / "md.extxyz"
    write(path, frames(4))
    lines = path.read_text().splitlines(keepends=True)
    lines[2 * 34 + 5] = "Cu 1.0 what 2.0\n"
    path.write_text("".join(lines))
    got = []
    with pytest.raises(TruncatedTrajectoryError, match="frame 2"):
        for frame in iter_frames(path):
            got.append(frame.number)
    assert got == [0, 1]
    # Passing over the damaged frame is allowed: it is never made.
    assert [frame.number for frame in iter_frames(path, 0, None, 3)] == [0, 3]


def test_files_that_are_no_trajectory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        list(iter_frames(tmp_path / "none.xyz"))
    with pytest.raises(IsADirectoryError, match="directory"):
        list(iter_frames(tmp_path))
    empty = tmp_path / "empty.xyz"
    empty.touch()
    with pytest.raises(InputError, match=r"empty\.xyz: the file is empty"):
        list(iter_frames(empty))
    odd = tmp_path / "odd.what"
    odd.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="format not recognised"):
        list(iter_frames(odd))
    with pytest.raises(InputError, match="'nonsense' is not one of ASE's"):
        list(iter_frames(odd, format="nonsense"))
    with pytest.raises(InputError, match="no trajectory"):
        list(iter_frames([]))


def test_external_files_with_short_atom_sections(data_dir: Path) -> None:
    for name, missing in (
        ("conf.fcc", "6910 of 6912"),
        ("conf.hcp", "2046 of 2048"),
        ("conf.triclinic.dump", "382 of 384"),
    ):
        with pytest.raises(TruncatedTrajectoryError, match=f"cut short, {missing} atom lines"):
            list(iter_frames(data_dir / "md" / "pyscal" / name))


@pytest.mark.parametrize(
    ("name", "frames_in", "atoms_in"),
    [
        ("md/pyscal/cluster.dump", 1, 8192),
        ("md/pyscal/conf.dump.gz", 1, 500),
        ("md/pyscal/conf.bcc.scaled.dump", 1, 2),
        ("md/pyscal/POSCAR", 1, 42),
        ("md/atomman/fcc_Al_disl.dump", 1, 32640),
        ("md/lammps_examples/data.interface", 1, 4096),
        ("md/lammps_examples/data.sigma5.gz", 1, 25600),
        ("md/mdapy/chill.xyz", 1, 8000),
        ("md/mdapy/lammps/atomic_triclinic.data", 1, 2),
        ("md/mdapy/lammps/dump_multiframe_5x8.dump", 5, 8),
        ("md/mdapy/xyz/mixed_traj.xyz", 6, 1),
        ("md/mdapy/xyz/extended_crlf.xyz", 1, 2),
        ("md/freud/lj.gsd", 10, 1000),
        ("aet/PdPt_TO.xyz", 1, 8468),
    ],
)
def test_external_files(data_dir: Path, name: str, frames_in: int, atoms_in: int) -> None:
    if name.endswith(".gsd"):
        pytest.importorskip("gsd")
    got = [len(frame.atoms) for frame in iter_frames(data_dir / name)]
    assert len(got) == frames_in
    assert got[-1] == atoms_in


def test_run_names_source_and_frame(trajectory: Path) -> None:
    analyzer = FakeAnalyzer()
    got = list(run(analyzer, trajectory, 1, None, 4))
    assert [frame.metadata["frame"] for frame in got] == [1, 5, 9]
    assert got[0].metadata["source"] == str(trajectory)
    assert got[0].lindemann is None
    assert analyzer.calls == 3


def test_run_is_lazy(trajectory: Path) -> None:
    analyzer = FakeAnalyzer()
    iterator = run(analyzer, trajectory)
    assert analyzer.calls == 0
    next(iterator)
    assert analyzer.calls == 1


@pytest.mark.parametrize("window", [3, "all"])
@pytest.mark.parametrize("skip", [0, 1, 6])
def test_run_with_lindemann_also_when_resumed(trajectory: Path, window: object, skip: int) -> None:
    tracker = LindemannTracker(None if window == "all" else window)
    expected = [tracker.add(atoms, 2.5) for atoms in frames(10)[::1]]
    got = list(analyze_frames(FakeAnalyzer(), trajectory, skip=skip, lindemann=window))
    assert [frame.number for frame, _ in got] == list(range(skip, 10))
    for (_, analysis), delta in zip(got, expected[skip:], strict=True):
        np.testing.assert_allclose(analysis.lindemann, delta, rtol=1e-3, atol=1e-6)


def test_lindemann_starts_anew_with_other_atoms(trajectory: Path, tmp_path: Path) -> None:
    other = tmp_path / "bigger.extxyz"
    write(other, frames(2, size=3))
    got = list(run(FakeAnalyzer(), [trajectory, other], 8, lindemann=5))
    assert [np.isnan(frame.lindemann).all() for frame in got] == [True, False, True, False]


def test_run_names_the_frame_that_cannot_be_analysed(tmp_path: Path) -> None:
    run_of = frames(3)
    run_of[1].positions[0, 0] = np.nan
    path = tmp_path / "md.extxyz"
    write(path, run_of)
    iterator = run(FakeAnalyzer(), path)
    next(iterator)
    with pytest.raises(InputError, match=r"md\.extxyz: frame 1 \(from 0\): positions hold NaN"):
        next(iterator)


def test_observer_of_dynamics(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    atoms = frames(1)[0]
    atoms.calc = EMT()
    dynamics = VelocityVerlet(atoms, timestep=1.0)
    with Observer(FakeAnalyzer(), path, lindemann=3) as observer:
        dynamics.attach(observer, interval=2)
        dynamics.run(6)
        assert observer.frames == 4
        with ResultFile(path) as meanwhile:
            assert len(meanwhile) == 4
    with ResultFile(path) as result:
        np.testing.assert_allclose(result[-1].centers, atoms.positions, atol=1e-5)
        assert np.isfinite(result[-1].lindemann).all()
    with pytest.raises(OutputExistsError):
        Observer(FakeAnalyzer(), path)


def test_observe_attaches_itself(net: CrystalNet, tmp_path: Path) -> None:
    """`CrystalNet.observe` hands the atoms over: nothing is guessed from who calls."""
    atoms = frames(1, size=5)[0]
    atoms.calc = EMT()
    dynamics = VelocityVerlet(atoms, timestep=1.0)
    with net.observe(dynamics, tmp_path / "run.h5", interval=2, centers=[0, 9]) as observer:
        assert observer.atoms is atoms
        dynamics.run(4)
        assert observer.frames == 3
    with ResultFile(tmp_path / "run.h5") as result:
        assert len(result) == 3 and result[-1].number_of_windows == 2
        np.testing.assert_allclose(result[-1].centers, atoms.positions[[0, 9]], atol=1e-5)


def test_observer_without_atoms(tmp_path: Path) -> None:
    def call(observer: Observer) -> None:
        observer()

    with Observer(FakeAnalyzer(), tmp_path / "run.h5") as observer:
        with pytest.raises(InputError, match="no atoms"):
            call(observer)
        observer(frames(1)[0])
        assert observer.frames == 1


def test_an_observer_goes_on_where_another_ended(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    structures = frames(5)
    for part in (structures[:2], structures[2:2], structures[2:]):
        with Observer(FakeAnalyzer(), path, centers="grid", lindemann=3, resume=True) as observer:
            for atoms in part:
                observer(atoms)
    assert observer.frames == 5
    with ResultFile(path) as result:
        assert result.trajectory().frames.tolist() == [0, 1, 2, 3, 4]
        for frame, atoms in zip(result, structures, strict=True):
            np.testing.assert_allclose(frame.centers, atoms.positions[::4], atol=1e-5)
        index = result.trajectory().lindemann_index
        assert np.isnan(index).tolist() == [True, False, False, False, False]
    with pytest.raises(InputError, match="lindemann was 3 and is now None"):
        Observer(FakeAnalyzer(), path, centers="grid", resume=True)
    with (
        pytest.raises(InputError, match="model was 'local' and is now 'other'"),
        Observer(FakeAnalyzer("other"), path, centers="grid", lindemann=3, resume=True) as observer,
    ):
        observer(structures[0])
    with ResultFile(path) as result:
        assert len(result) == 5


def test_an_observer_tells_apart_the_points_it_looks_at(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with Observer(FakeAnalyzer(), path, centers=[0, 1], resume=True) as observer:
        observer(frames(1)[0])
    with pytest.raises(InputError, match="cannot be resumed, centers was"):
        Observer(FakeAnalyzer(), path, centers=[0, 2], resume=True)
    Observer(FakeAnalyzer(), path, centers=np.array([0, 1]), resume=True).close()
