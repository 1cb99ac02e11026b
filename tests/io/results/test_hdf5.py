"""The result file: what is written is read, and whatever happens complete frames survive."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import h5py
import numpy as np
import pytest

from ase_crystalnet.atom_probe.results import read_analysis
from ase_crystalnet.errors import InputError, OutputExistsError, OutputLockedError
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.io.results.hdf5_writer import HDF5Writer
from ase_crystalnet.results.frame import FrameAnalysis
from tests.support import REPOSITORY
from tests.support.fakes import CLASSES, fake_frame, frames

# float16 keeps 11 bits: 1/2048 of the value at worst.
HALF = 5e-4


def assert_same(read: FrameAnalysis, written: FrameAnalysis) -> None:
    assert read.classes == written.classes
    assert read.min_certainty == written.min_certainty
    for name in FrameAnalysis.quantities():
        was, now = getattr(written, name), getattr(read, name)
        if was is None:
            assert now is None
            continue
        assert now.dtype == was.dtype, name
        np.testing.assert_allclose(now, was, rtol=HALF, atol=1e-6, err_msg=name)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    written = [fake_frame(atoms, min_certainty=0.7) for atoms in frames(3)]
    written[1] = written[1].with_lindemann(np.linspace(0, 0.3, 32))
    with HDF5Writer(path) as out:
        for number, frame in enumerate(written):
            out.append(frame, number * 10, "md.xyz")
    with ResultFile(path) as result:
        assert len(result) == 3
        assert result.classes == CLASSES
        for index, frame in enumerate(written):
            assert_same(result[index], frame)
        assert result[-1].metadata["frame"] == 20
        assert result[0].metadata["source"] == "md.xyz"
        assert result[0].metadata["model"] == "fake"
        table = result.trajectory()
        assert table.frames.tolist() == [0, 10, 20]
        np.testing.assert_allclose(table.class_fractions[2], written[2].class_fractions)
        np.testing.assert_allclose(table.lindemann_index, [np.nan, 0.15, np.nan], rtol=1e-5)
        with pytest.raises(IndexError, match="0 to 2, got 3"):
            result[3]
    assert os.listdir(tmp_path) == ["run.h5"]


def test_frames_of_different_size(tmp_path: Path) -> None:
    written = [
        fake_frame(frames(1, size=2)[0]),
        fake_frame(frames(1, size=3)[0], centers="grid"),
        fake_frame(frames(1, size=1)[0]),
    ]
    with HDF5Writer(tmp_path / "run.h5") as out:
        for frame in written:
            out.append(frame)
    with ResultFile(tmp_path / "run.h5") as result:
        for read, was in zip(result, written, strict=True):
            assert_same(read, was)


def test_many_frames_stay_small(tmp_path: Path) -> None:
    atoms = frames(1, size=6)[0]
    with HDF5Writer(tmp_path / "run.h5") as out:
        for _ in range(20):
            out.append(fake_frame(atoms))
    per_atom = (tmp_path / "run.h5").stat().st_size / (20 * len(atoms))
    # Uncompressed and in the types of memory it would be 350 bytes.
    assert per_atom < 100


def test_existing_file_is_refused_overwritten_or_resumed(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    frame = fake_frame(frames(1)[0])
    with HDF5Writer(path, settings={"step": 1, "sources": ("a", "b")}) as out:
        out.append(frame)
    with pytest.raises(OutputExistsError, match=r"run\.h5: exists already"):
        HDF5Writer(path)
    with HDF5Writer(path, settings={"step": 1, "sources": ["a", "b"]}, resume=True) as out:
        assert out.frames == 1
        out.append(frame)
    with ResultFile(path) as result:
        assert len(result) == 2
    with pytest.raises(InputError, match="step was 1 and is now 2"):
        HDF5Writer(path, settings={"step": 2, "sources": ["a", "b"]}, resume=True)
    with HDF5Writer(path, overwrite=True) as out:
        out.append(frame)
    with ResultFile(path) as result:
        assert len(result) == 1
    assert os.listdir(tmp_path) == ["run.h5"]


def test_two_writers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with HDF5Writer(path) as out:
        out.append(fake_frame(frames(1)[0]))
        with pytest.raises(OutputLockedError, match="another process is writing"):
            HDF5Writer(path, overwrite=True)
        assert len(ResultFile(path)) == 1  # but it can be read meanwhile
    HDF5Writer(path, overwrite=True).close()


def test_no_frames_no_file(tmp_path: Path) -> None:
    HDF5Writer(tmp_path / "run.h5").close()
    assert os.listdir(tmp_path) == []


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="folder"):
        HDF5Writer(tmp_path / "nowhere" / "run.h5")


WRITE_FOREVER = """
    import sys
    sys.path[:0] = [{root!r}]
    from tests.support.fakes import fake_frame, frames
    from ase_crystalnet.io.results import HDF5Writer
    frame = fake_frame(frames(1, size=3)[0])
    out = HDF5Writer({path!r})
    while True:
        out.append(frame)
        print(out.frames, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
@pytest.mark.parametrize("stop_after", [1, 7, 23])
def test_kill_9_keeps_every_complete_frame(tmp_path: Path, stop_after: int) -> None:
    path = tmp_path / "run.h5"
    code = WRITE_FOREVER.format(root=str(REPOSITORY), path=str(path))
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) >= stop_after:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
    expected = fake_frame(frames(1, size=3)[0])
    with ResultFile(path) as result:
        survived = len(result)
        assert survived >= stop_after
        for frame in result:
            assert_same(frame, expected)
    # The dead process' lock does not keep us out, and the run goes on after the last frame.
    with HDF5Writer(path, resume=True) as out:
        assert out.frames == survived
        out.append(expected, number=99)
    with h5py.File(path, "r") as file:  # closed in order: no special mode needed
        assert int(file["complete"][0]) == survived + 1
    with ResultFile(path) as result:
        assert_same(result[-1], expected)
        assert result.trajectory().frames[-1] == 99


def test_what_is_no_result_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such file"):
        ResultFile(tmp_path / "none.h5")
    text = tmp_path / "text.h5"
    text.write_text("not HDF5 at all")
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        ResultFile(text)
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not one with CrystalNet results"):
        ResultFile(other)


def test_a_damaged_file_is_named(tmp_path: Path, rng: np.random.Generator) -> None:
    whole = tmp_path / "run.h5"
    with HDF5Writer(whole) as out:
        for atoms in frames(5):
            out.append(fake_frame(atoms))
    content = np.frombuffer(whole.read_bytes(), dtype=np.uint8)
    outcomes = []
    for trial in range(60):
        bad = content.copy()
        if trial % 2:
            bad = bad[: rng.integers(0, len(bad))]
        else:
            begin = rng.integers(0, len(bad))
            bad[begin : begin + 2000] = rng.integers(0, 256, len(bad[begin : begin + 2000]))
        path = tmp_path / f"{trial}.h5"
        path.write_bytes(bad.tobytes())
        try:
            with ResultFile(path) as result:
                result.trajectory()
                list(result)
            outcomes.append("read")
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            outcomes.append("named")
    assert outcomes.count("named") > 30


@pytest.mark.parametrize("kept", [16, 40])
def test_a_heap_of_words_that_hdf5_would_not_come_out_of_is_refused(
    tmp_path: Path, kept: int
) -> None:
    """HDF5 reads a free object of size zero again and again; `python -m tests.fuzz` met it."""
    path = tmp_path / "run.h5"
    with HDF5Writer(path) as out:
        out.append(fake_frame(frames(1)[0]))
    content = bytearray(path.read_bytes())
    begin = content.index(b"GCOL")
    size = int.from_bytes(content[begin + 8 : begin + 16], "little")
    assert kept < size
    content[begin + kept : begin + size] = bytes(size - kept)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"run\.h5: damaged.*heap of words"):
        ResultFile(path)
    with pytest.raises(InputError, match=r"run\.h5: damaged.*heap of words"):
        read_analysis(path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with HDF5Writer(path) as out:
        out.append(fake_frame(frames(1)[0]))
    with h5py.File(path, "r+") as file:
        file.attrs["schema"] = 99
    with pytest.raises(InputError, match="schema 99"):
        ResultFile(path)


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are POSIX")
def test_a_full_disk_raises_and_keeps_earlier_frames(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    code = f"""
        import resource, signal, sys
        sys.path[:0] = [{str(REPOSITORY)!r}]
        from tests.support.fakes import fake_frame, frames
        from ase_crystalnet.io.results import HDF5Writer
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        frame = fake_frame(frames(1, size=4)[0])
        out = HDF5Writer({str(path)!r})
        out.append(frame)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
        try:
            with out:
                for _ in range(1000):
                    out.append(frame)
        except OSError as error:
            print("OSError", out.frames)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    kind, count = done.stdout.split()
    assert kind == "OSError"
    with ResultFile(path) as result:
        assert len(result) == int(count) > 0
        assert_same(result[-1], fake_frame(frames(1, size=4)[0]))
