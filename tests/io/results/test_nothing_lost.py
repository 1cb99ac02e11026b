"""Faults that once lost, mixed or gave away results: each as it was seen."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from ase_crystalnet.errors import InputError, OutputExistsError, OutputLockedError
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.io.results.hdf5_writer import HDF5Writer
from ase_crystalnet.io.results.held_file import HeldFile
from ase_crystalnet.io.results.outputs import Outputs
from ase_crystalnet.io.results.same_frames import content_of
from ase_crystalnet.io.trajectories.stream import StreamFrame
from ase_crystalnet.io.whole_files import part_of
from ase_crystalnet.results.trajectory import TrajectoryBuilder
from tests.support.fakes import CLASSES, fake_frame, frames

posix = pytest.mark.skipif(sys.platform == "win32", reason="names and handles as POSIX has them")


def fill(outputs: Outputs, count: int) -> TrajectoryBuilder:
    """Give the outputs frames that come after those they hold."""
    builder = TrajectoryBuilder(CLASSES)
    if earlier := outputs.earlier():
        builder.extend(earlier)
    for number in range(outputs.done, outputs.done + count):
        atoms = frames(1, seed=number)[0]
        analysis = fake_frame(atoms)
        outputs.append(StreamFrame("md.xyz", number, atoms), analysis)
        builder.append(analysis, number, "md.xyz")
    return builder


def numbers(path: Path) -> list[int]:
    """Frames of a result, every one of which can be read."""
    with ResultFile(path) as file:
        for frame in file:
            assert np.isfinite(frame.certainty).all()
        return file.trajectory().frames.tolist()


class Stopping(Outputs):
    """Does something between two steps of finishing."""

    at = ""

    def _step(self, name: str) -> None:
        if name == self.at:
            self.meanwhile()

    def meanwhile(self) -> None:
        raise NotImplementedError


@pytest.mark.parametrize("step", ["complete a.h5", "rename a.h5", "rename a.csv", "unlock"])
def test_nobody_else_can_begin_before_all_files_have_their_names(tmp_path: Path, step: str) -> None:
    paths = [tmp_path / "a.h5", tmp_path / "a.csv"]
    refused = []

    class Meeting(Stopping):
        at = step

        def meanwhile(self) -> None:
            with pytest.raises(OutputLockedError):
                Outputs(paths, settings={}, resume=True)
            with pytest.raises(OutputLockedError):
                Outputs(paths, settings={}, overwrite=True)
            refused.append(step)

    outputs = Meeting(paths, settings={}, resume=True)
    outputs.finish(fill(outputs, 3).build())
    assert refused == [step]
    again = Outputs(paths, settings={}, resume=True)
    again.finish(fill(again, 2).build())
    assert numbers(paths[0]) == [0, 1, 2, 3, 4]
    assert {path.name for path in tmp_path.iterdir()} == {"a.h5", "a.csv"}


@posix
@pytest.mark.parametrize("deed", ["deleted", "moved", "replaced"])
@pytest.mark.parametrize("name", ["a.h5", "a.xyz"])
def test_a_file_that_disappears_during_a_run_is_an_error(
    tmp_path: Path, deed: str, name: str
) -> None:
    path = tmp_path / name
    outputs = Outputs([path], settings={})
    builder = fill(outputs, 2)
    if deed == "moved":
        os.replace(part_of(path), tmp_path / "elsewhere")
    else:
        part_of(path).unlink()
    if deed == "replaced":
        part_of(path).write_bytes(b"other")
    with pytest.raises(OSError, match=r"expected the file that is being written, got"):
        outputs.finish(builder.build())
    assert not path.exists()
    if deed == "replaced":
        assert part_of(path).read_bytes() == b"other"
    if deed == "moved" and name == "a.h5":
        assert numbers(tmp_path / "elsewhere") == [0, 1]


@posix
def test_frames_are_not_written_to_what_has_taken_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    writer = HDF5Writer(path)
    writer.append(fake_frame(frames(1)[0]))
    os.replace(path, tmp_path / "b.h5")
    with pytest.raises(OSError, match="got none of that name"):
        writer.append(fake_frame(frames(1)[0]))
    path.write_bytes(b"precious")
    with pytest.raises(OSError, match="got another one of that name"):
        writer.close()
    assert path.read_bytes() == b"precious"
    assert numbers(tmp_path / "b.h5") == [0]


@posix
@pytest.mark.parametrize("name", ["a.h5", "a.xyz", "a.csv"])
def test_a_link_under_the_temporary_name_is_not_written_through(tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    path = tmp_path / name
    part_of(path).symlink_to(victim)
    if name == "a.h5":
        with pytest.raises(OutputExistsError):
            Outputs([path], settings={})
        with pytest.raises(InputError, match="expected a file, got a symbolic link"):
            Outputs([path], settings={}, resume=True)
    outputs = Outputs([path], settings={}, overwrite=True)
    outputs.finish(fill(outputs, 2).build())
    assert victim.read_bytes() == b"precious"
    assert path.is_file() and not path.is_symlink()


@posix
def test_what_a_linked_output_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    for name in ("a.h5", "a.csv"):
        (tmp_path / "store" / name).write_bytes(b"old")
        (tmp_path / name).symlink_to(Path("store") / name)
    outputs = Outputs([tmp_path / "a.h5", tmp_path / "a.csv"], settings={}, overwrite=True)
    outputs.finish(fill(outputs, 2).build())
    for name in ("a.h5", "a.csv"):
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "store" / name).read_bytes() != b"old"
    assert numbers(tmp_path / "store" / "a.h5") == [0, 1]
    assert {path.name for path in (tmp_path / "store").iterdir()} == {"a.h5", "a.csv"}


@posix
def test_a_file_in_the_making_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "name").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError):
        HeldFile(tmp_path / "name")
    (tmp_path / ".a.h5.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError):
        HDF5Writer(tmp_path / "a.h5")
    assert not (tmp_path / "victim").exists()


def test_a_finished_result_stays_until_the_run_that_goes_on_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    first = Outputs([path], settings={})
    first.finish(fill(first, 2).build())
    before = path.read_bytes()
    second = Outputs([path], settings={}, resume=True)
    builder = fill(second, 1)
    assert path.read_bytes() == before
    assert numbers(part_of(path)) == [0, 1, 2]
    second.discard()  # an error, or Ctrl-C
    assert path.read_bytes() == before and part_of(path).exists()
    third = Outputs([path], settings={}, resume=True)
    assert third.done == 3
    third.finish(builder.build())
    assert numbers(path) == [0, 1, 2]
    fourth = Outputs([path], settings={}, resume=True)
    fourth.discard()  # with nothing new, nothing is left
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.h5"]


@posix
@pytest.mark.parametrize("when", ["before", "after"])
def test_an_interrupt_while_a_run_is_taken_up_again_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    path = tmp_path / "a.h5"
    first = Outputs([path], settings={}, resume=True)
    fill(first, 3)
    first.discard()
    move = os.replace

    def interrupted(source: Path, target: Path) -> None:
        if when == "after":
            move(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            Outputs([path], settings={}, resume=True)
    assert numbers(part_of(path)) == [0, 1, 2]
    again = Outputs([path], settings={}, resume=True)
    again.finish(fill(again, 1).build())
    assert numbers(path) == [0, 1, 2, 3]
    assert os.listdir(tmp_path) == ["a.h5"]


def test_a_result_is_on_disk_before_it_has_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.h5"
    deeds: list[str] = []
    sync, move = os.fsync, os.replace

    def synced(handle: int) -> None:
        deeds.append(f"sync {os.fstat(handle).st_ino}")
        sync(handle)

    def moved(source: Path, target: Path) -> None:
        deeds.append(f"name {Path(target).name} {os.stat(source).st_ino}")
        move(source, target)

    outputs = Outputs([path], settings={})
    summary = fill(outputs, 1).build()
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", moved)
    outputs.finish(summary)
    number = path.stat().st_ino
    assert deeds.index(f"sync {number}") < deeds.index(f"name a.h5 {number}")
    if os.name == "posix":
        after = deeds[deeds.index(f"name a.h5 {number}") :]
        assert f"sync {tmp_path.stat().st_ino}" in after


def test_frames_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    frame = fake_frame(frames(1)[0])
    frame = replace(frame, metadata={**frame.metadata, "model_sha256": "aa"})
    other = replace(frame, metadata={**frame.metadata, "model_sha256": "bb"})
    with HDF5Writer(path) as out:
        out.append(frame)
    with (
        pytest.raises(InputError, match="model_sha256 was 'aa' and is now 'bb'"),
        HDF5Writer(path, resume=True) as out,
    ):
        out.append(other)
    with HDF5Writer(path, resume=True) as out:
        out.append(frame)
    assert len(ResultFile(path)) == 2


def test_the_content_of_a_frame(rng: np.random.Generator) -> None:
    atoms = frames(1)[0]
    same = content_of(atoms)
    assert content_of(atoms.copy()) == same and len(same) == 32
    others = [atoms.copy() for _ in range(4)]
    others[0].positions[3, 1] += 1e-12
    others[1].numbers[0] = 30
    others[2].pbc[0] = False
    others[3].cell[0, 0] += 1e-9
    assert len({same, *map(content_of, others)}) == 5


@pytest.mark.parametrize("kind", ["soft", "external", "raw", "virtual"])
def test_data_that_lie_elsewhere_are_not_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.h5"
    with HDF5Writer(path) as out:
        out.append(fake_frame(frames(1)[0]))
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["order"] = np.zeros(32, dtype=np.float16)
    with h5py.File(path, "r+") as file:
        del file["windows/order"]
        if kind == "soft":
            file["windows/order"] = h5py.SoftLink("/windows/certainty")
        elif kind == "external":
            file["windows/order"] = h5py.ExternalLink(str(secret), "order")
        elif kind == "raw":
            file["windows"].create_dataset(
                "order", (32,), dtype="f2", external=[(str(secret), 0, 64)]
            )
        else:
            layout = h5py.VirtualLayout((32,), dtype="f2")
            layout[:] = h5py.VirtualSource(str(secret), "order", (32,))
            file.create_virtual_dataset("windows/order", layout)
    with pytest.raises(InputError, match=r"a\.h5: damaged.*expected data, got"):
        ResultFile(path)


@posix
def test_a_pipe_is_no_result(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.h5")
    with pytest.raises(InputError, match="expected a file, got a pipe"):
        ResultFile(tmp_path / "a.h5")
    with pytest.raises(InputError, match="expected a file, got a folder"):
        ResultFile(tmp_path)


def test_a_damaged_result_is_named_also_when_it_is_resumed(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    whole = tmp_path / "run.h5"
    with HDF5Writer(whole) as out:
        for atoms in frames(5, size=3):
            out.append(fake_frame(atoms))
    content = np.frombuffer(whole.read_bytes(), dtype=np.uint8)
    frame = fake_frame(frames(1, size=3)[0])
    outcomes = []
    for trial in range(40):
        bad = content.copy()
        begin = rng.integers(0, len(bad))
        length = [1, 40, 4000][trial % 3]
        bad[begin : begin + length] = rng.integers(0, 256, len(bad[begin : begin + length]))
        path = tmp_path / f"{trial}.h5"
        path.write_bytes(bad.tobytes())
        try:
            with HDF5Writer(path, resume=True) as out:
                out.append(frame)
            outcomes.append("resumed")
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            assert path.read_bytes() == bad.tobytes()
            outcomes.append("named")
    assert outcomes.count("named") > 5 and outcomes.count("resumed") > 5
    assert not [entry for entry in os.listdir(tmp_path) if entry.startswith(".")]


def test_rows_that_do_not_fit_are_refused_at_once(tmp_path: Path) -> None:
    for name, value in (("window_end", 10**15), ("atom_end", -1)):
        path = tmp_path / f"{name}.h5"
        with HDF5Writer(path) as out:
            out.append(fake_frame(frames(1)[0]))
        with h5py.File(path, "r+") as file:
            file["frames"][name][0] = value
        with pytest.raises(InputError, match="damaged"):
            ResultFile(path)
