"""The command `crystalnet analyze`: what it prints, writes and refuses, and the exit codes."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.io import read, write

from ase_crystalnet.cli import analyze
from ase_crystalnet.errors import ModelError
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from tests.support import REPOSITORY
from tests.support.commands import files, refused, run
from tests.support.fakes import FakeAnalyzer, frames
from tests.support.tiny_models import write_card, write_network


def test_a_structure_is_answered_with_the_table_of_phases(folder: Path) -> None:
    result = run("analyze", "md.extxyz", "--frames", "2")
    assert result.exit_code == 0, result.output
    assert "FrameAnalysis: 32 atoms" in result.stdout
    assert "fcc" in result.stdout and "disordered" in result.stdout
    assert files() == set()


def test_all_outputs(folder: Path) -> None:
    result = run(
        "analyze", "md.extxyz", "-o", "a.h5", "-o", "a.csv", "-o", "a.extxyz", "--frames", "1::2",
        "--lindemann", "all", "--min-certainty", "0.7",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert files() == {"a.h5", "a.csv", "a.extxyz"}
    assert len(result.stdout.splitlines()) == 4
    assert "wrote a.csv" in result.stderr
    with open("a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == ["1", "3", "5"]
    shares = [float(v) for k, v in rows[2].items() if k.startswith("fraction_")]
    assert sum(shares) + float(rows[2]["refused_fraction"]) == pytest.approx(1, abs=1e-5)
    assert rows[0]["lindemann_index"] == "nan" and float(rows[2]["lindemann_index"]) > 0
    labelled = read("a.extxyz", ":")
    assert len(labelled) == 3
    assert set(labelled[0].arrays["crystalnet_class"]) <= {"fcc", "disordered", "refused"}
    assert labelled[2].info["crystalnet_frame"] == 5
    with ResultFile("a.h5") as result_file:
        assert len(result_file) == 3
        assert result_file.settings["min_certainty"] == 0.7
        np.testing.assert_array_equal(
            result_file[2].atom_labels, labelled[2].arrays["crystalnet_label"]
        )


def test_several_files_and_grid(folder: Path) -> None:
    write("more.traj", frames(2))
    result = run(
        "analyze", "md.extxyz", "more.traj", "--centers", "grid", "--spacing", "5", "-o", "a.csv",
        "--quiet",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    with open("a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["source"], row["frame"]) for row in rows][-3:] == [
        ("md.extxyz", "5"),
        ("more.traj", "0"),
        ("more.traj", "1"),
    ]


def test_a_long_table_is_cut_in_the_middle(folder: Path) -> None:
    write("long.extxyz", frames(60, size=1))
    lines = run("analyze", "long.extxyz").stdout.splitlines()
    assert len(lines) == 1 + 12 + 1 + 12
    assert "36 frames more" in lines[13]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothere.xyz"], "nothere.xyz: no such file"),
        (["."], ".: is a directory, not a trajectory"),
        (["md.extxyz", "--frames", "1-5"], "frames: expected start:stop:step"),
        (["md.extxyz", "--frames", "100:"], "--frames 100: chooses none"),
        (["md.extxyz", "--lindemann", "1"], "--lindemann: expected a number of frames from 2 on"),
        (["md.extxyz", "--spacing", "5"], "give --centers grid or adaptive with it"),
        (["md.extxyz", "-o", "a.txt"], "a.txt: expected a name that ends in .h5"),
        (["md.extxyz", "-o", "a.csv", "-o", "a.csv"], "one name is given twice"),
        (["md.extxyz", "-o", "no/where/a.h5"], "folder no/where is not there"),
        (["md.extxyz", "--resume"], "resume: wants exactly one .h5 output"),
        (["md.extxyz", "--resume", "-o", "a.h5", "-o", "a.xyz"], "extxyz output cannot be resumed"),
        (["md.extxyz", "--format", "nonsense"], "'nonsense' is not one of ASE's"),
    ],
)
def test_wrong_arguments(folder: Path, arguments: list[str], message: str) -> None:
    assert message in refused(run("analyze", *arguments))
    assert files() == set()


def test_empty_and_unknown_files(folder: Path) -> None:
    Path("empty.xyz").touch()
    assert "empty.xyz: the file is empty" in refused(run("analyze", "empty.xyz"))
    Path("odd.what").write_bytes(bytes(range(256)))
    assert "format not recognised" in refused(run("analyze", "odd.what"))


@pytest.mark.parametrize("name", ["a.h5", "a.csv", "a.extxyz"])
def test_an_output_that_exists_is_refused(folder: Path, name: str) -> None:
    Path(name).write_text("precious")
    message = refused(run("analyze", "md.extxyz", "-o", name, "-o", "other.csv"))
    assert f"{name}: exists already; --overwrite replaces it" in message
    assert Path(name).read_text() == "precious"
    assert files() == {name}
    assert run("analyze", "md.extxyz", "-o", name, "--overwrite").exit_code == 0
    assert Path(name).read_bytes() != b"precious"


def test_nan_in_the_first_frame_writes_nothing(folder: Path) -> None:
    bad = frames(2)
    bad[0].positions[0] = np.inf
    write("bad.traj", bad)
    message = refused(run("analyze", "bad.traj", "-o", "a.h5", "-o", "a.csv", "-o", "a.xyz"))
    assert "bad.traj: frame 0 (from 0): positions hold NaN or infinite values" in message
    assert files() == {"bad.traj"}


def test_fewer_atoms_than_a_window(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Sparse(FakeAnalyzer):
        def analyze(self, *arguments: Any, **options: Any) -> Any:
            frame = super().analyze(*arguments, **options)
            return replace(frame, sparse=np.ones_like(frame.sparse))

    monkeypatch.setattr(analyze, "make_analyzer", lambda *_, **__: Sparse())
    message = refused(run("analyze", "md.extxyz", "-o", "a.h5", "-o", "a.csv"))
    assert "frame 0 (from 0): 32 atoms are too few or too sparse for a window of 250" in message
    assert files() == set()


@pytest.mark.parametrize("damage", ["cut", "nan"])
def test_frames_before_a_bad_one_are_kept(folder: Path, damage: str) -> None:
    if damage == "cut":
        text = Path("md.extxyz").read_text()
        Path("bad.extxyz").write_text(text[: int(len(text) * 0.7)])
    else:
        bad = frames(6)
        bad[4].positions[3] = np.nan
        write("bad.extxyz", bad)
    result = run("analyze", "bad.extxyz", "-o", "a.h5", "-o", "a.csv", "-o", "a.xyz", "-q")
    message = refused(result, code=1)
    assert "bad.extxyz: frame 4 (from 0)" in message
    assert "the 4 frames before it are kept" in message
    assert len(result.stdout.splitlines()) == 5
    assert len(read("a.xyz", ":")) == 4
    with ResultFile("a.h5") as file:
        assert len(file) == 4
    assert files() == {"bad.extxyz", "a.h5", "a.csv", "a.xyz"}


def test_short_dumps_of_the_external_data(folder: Path, data_dir: Path) -> None:
    for name in ("conf.fcc", "conf.hcp", "conf.triclinic.dump"):
        message = refused(run("analyze", data_dir / "md" / "pyscal" / name, "-o", "a.csv"))
        assert "frame 0 (from 0) cannot be read: cut short" in message
    assert files() == set()


def test_a_model_that_fails_to_load(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ModelError("model 'none' is unknown: use one of local")

    monkeypatch.setattr(analyze, "make_analyzer", fail)
    message = refused(run("analyze", "md.extxyz", "-o", "a.h5", "-o", "a.xyz"), code=1)
    assert "model 'none' is unknown" in message
    assert files() == set()


def test_an_unknown_model_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write("md.extxyz", frames(1))
    message = refused(run("analyze", "md.extxyz", "--model", "nonsense"), code=1)
    assert "'nonsense' is unknown" in message


def test_an_unexpected_error_leaves_nothing_half_written(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analyze, "make_analyzer", lambda *_, **__: FakeAnalyzer(fail_at=3))
    result = run("analyze", "md.extxyz", "-o", "a.h5", "-o", "a.csv", "-o", "a.xyz")
    assert isinstance(result.exception, RuntimeError)
    assert files() == set()


@pytest.mark.parametrize("name", ["a.h5", "a.csv", "a.xyz"])
def test_a_disk_that_fills(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), name)

    monkeypatch.setattr(os, "fsync" if name != "a.h5" else "posix_fallocate", full)
    message = refused(run("analyze", "md.extxyz", "-o", name), code=1)
    assert "no space left on device" in message
    assert files() == set()


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are POSIX")
@pytest.mark.parametrize("name", ["a.h5", "a.xyz", "a.csv"])
def test_a_disk_that_really_fills(folder: Path, name: str) -> None:
    limit = {"a.h5": 1_300_000, "a.xyz": 60_000, "a.csv": 4_000}[name]
    write("long.traj", frames(40, size=3))
    code = f"""
        import resource, signal, sys
        sys.path[:0] = [{str(REPOSITORY)!r}]
        from tests.support.fakes import FakeAnalyzer
        from ase_crystalnet import cli
        from ase_crystalnet.cli import analyze
        analyze.make_analyzer = lambda *_, **__: FakeAnalyzer()
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
        sys.argv = ["crystalnet", "analyze", "long.traj", "-o", {name!r}]
        cli.main()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "file too large" in done.stderr
    assert files() == {"long.traj"}


def test_resume_goes_on_and_gives_what_one_run_gives(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["analyze", "md.extxyz", "--lindemann", "3", "--resume", "-o", "a.h5", "-o", "a.csv"]
    made: list[FakeAnalyzer] = []

    def make(settings: analyze.Settings, **_: Any) -> FakeAnalyzer:
        made.append(FakeAnalyzer(settings.model, fail_at=None if made else 3))
        return made[-1]

    monkeypatch.setattr(analyze, "make_analyzer", make)
    assert isinstance(run(*command).exception, RuntimeError)
    assert files() == {"a.h5.part"}
    without = [word for word in command if word != "--resume"]
    message = refused(run(*without))
    assert "a.h5.part: an interrupted run; --resume continues it" in message
    message = refused(run(*command, "--frames", "::2"))
    assert "a.h5.part: cannot be resumed, frames was ':' and is now '::2'" in message
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert made[-1].calls == 3
    assert files() == {"a.h5", "a.csv"}
    resumed = Path("a.csv").read_text()
    assert run(*without, "--overwrite").exit_code == 0
    assert Path("a.csv").read_text() == resumed


def test_resume_of_a_finished_run_takes_new_frames(folder: Path) -> None:
    command = ["analyze", "md.extxyz", "--resume", "-o", "a.h5"]
    assert run(*command).exit_code == 0
    before = Path("a.h5").read_bytes()
    shutil.move("md.extxyz", "away")
    refused(run(*command))
    assert files() == {"a.h5", "away"} and Path("a.h5").read_bytes() == before
    write("md.extxyz", frames(8))
    os.remove("away")
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert len(result.stdout.splitlines()) == 9
    assert run(*command).exit_code == 0  # nothing new is no error
    with ResultFile("a.h5") as file:
        assert file.trajectory().frames.tolist() == list(range(8))


def test_resume_refuses_another_trajectory_of_the_same_name(folder: Path) -> None:
    command = ["analyze", "md.extxyz", "--resume", "-o", "a.h5"]
    assert run(*command).exit_code == 0
    before = Path("a.h5").read_bytes()
    same = read("md.extxyz", ":")
    for number, changed in ((0, frames(9, seed=1)), (5, [*same[:5], *frames(4, seed=2)])):
        write("md.extxyz", changed)
        message = refused(run(*command))
        assert "md.extxyz: expected the trajectory whose first 6 frames are done" in message
        assert f"frame {number} (from 0) differs" in message
    write("md.extxyz", same[:4])
    assert "got one of 4 frames" in refused(run(*command))
    assert files() == {"a.h5"} and Path("a.h5").read_bytes() == before
    write("md.extxyz", [*same, *frames(2, seed=3)])
    assert run(*command).exit_code == 0
    with ResultFile("a.h5") as file:
        assert len(file) == 8


def test_resume_refuses_other_weights_in_the_same_folder(folder: Path) -> None:
    Path("tiny").mkdir()
    for seed in (0, 1):
        write_network(Path("tiny/model.keras"), seed=seed)
        write_card(Path("tiny"))
        result = run("analyze", "md.extxyz", "--resume", "--model", "./tiny", "-o", "a.h5")
        if seed == 0:
            assert result.exit_code == 0, result.output
    assert "cannot be resumed, model_sha256 was '" in refused(result)


@pytest.mark.parametrize("window", ["3", "all"])
def test_the_lindemann_parameter_of_a_resumed_run_is_the_same_to_the_bit(
    folder: Path, monkeypatch: pytest.MonkeyPatch, window: str
) -> None:
    # More frames than the window holds: its sums keep the rounding of those that have left it.
    write("md.extxyz", frames(12))
    command = ["analyze", "md.extxyz", "--lindemann", window, "--resume", "-o"]
    assert run(*command, "whole.h5").exit_code == 0
    for fail_at in (1, 4, 5):
        monkeypatch.setattr(
            analyze, "make_analyzer", lambda *_, n=fail_at, **__: FakeAnalyzer(fail_at=n)
        )
        assert isinstance(run(*command, "a.h5").exception, RuntimeError)
    monkeypatch.setattr(analyze, "make_analyzer", lambda *_, **__: FakeAnalyzer())
    assert run(*command, "a.h5").exit_code == 0
    with ResultFile("whole.h5") as whole, ResultFile("a.h5") as parts:
        one, two = whole.trajectory(), parts.trajectory()
        np.testing.assert_array_equal(one.lindemann_index, two.lindemann_index)
        assert np.isfinite(one.lindemann_index[1:]).all()


def test_interrupt_keeps_what_resume_asked_to_keep(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted(FakeAnalyzer):
        def analyze(self, *arguments: Any, **options: Any) -> Any:
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().analyze(*arguments, **options)

    monkeypatch.setattr(analyze, "make_analyzer", lambda *_, **__: Interrupted())
    assert "interrupted" in refused(run("analyze", "md.extxyz", "-o", "a.h5"), code=130)
    assert files() == set()
    refused(run("analyze", "md.extxyz", "-o", "a.h5", "--resume"), code=130)
    with ResultFile("a.h5.part") as file:
        assert len(file) == 2


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9 is POSIX")
def test_kill_9_then_resume(folder: Path) -> None:
    write("long.traj", frames(200, size=1))
    code = f"""
        import sys, time
        sys.path[:0] = [{str(REPOSITORY)!r}]
        from tests.support.fakes import FakeAnalyzer
        from ase_crystalnet import cli
        from ase_crystalnet.cli import analyze
        class Slow(FakeAnalyzer):
            def analyze(self, *a, **k):
                time.sleep(0.05)
                print("frame", flush=True)
                return super().analyze(*a, **k)
        analyze.make_analyzer = lambda *_, **__: Slow(model="structure")
        sys.argv = ["crystalnet", "analyze", "long.traj", "-o", "a.h5", "--resume"]
        cli.main()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for _ in range(10):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    with ResultFile("a.h5.part") as file:
        survived = len(file)
    assert 9 <= survived < 200
    result = run("analyze", "long.traj", "-o", "a.h5", "--resume")
    assert result.exit_code == 0, result.output
    with ResultFile("a.h5") as file:
        assert file.trajectory().frames.tolist() == list(range(200))


def test_two_runs_on_one_output(folder: Path) -> None:
    from ase_crystalnet.io.results.lock import FileLock

    for name in ("a.h5", "a.csv", "a.xyz"):
        lock = FileLock(f"{name}.part")
        lock.acquire()
        try:
            message = refused(run("analyze", "md.extxyz", "-o", name), code=1)
        finally:
            lock.release()
        assert "another process is writing it" in message
    assert files() == set()


def test_a_model_of_whole_structures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no windows: their options are refused, and what it sees can be drawn and explained."""
    monkeypatch.chdir(tmp_path)
    write("iron.cif", bulk("Fe", cubic=True))
    given = ("analyze", "iron.cif", "--model", "ziletti2018", "-o", "a.h5")
    assert "window_atoms do not apply" in refused(run(*given, "--window-atoms", 200))
    result = run(*given, "-q")
    assert result.exit_code == 0, result.output
    assert "1 windows, model ziletti2018" in result.stdout
    result = run("plot", "a.h5", "--kind", "fingerprint")
    assert result.exit_code == 0, result.output
    result = run("explain", "a.h5", "--model", "ziletti2018", "-o", "a.json")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("bcc ")
    assert files() == {"iron.cif", "a.h5", "a-fingerprint.png", "a.json"}


@pytest.mark.parametrize(
    ("words", "wanted"), [((), None), (("--reuse",), True), (("--no-reuse",), False)]
)
def test_what_takes_over_is_asked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], wanted: bool | None
) -> None:
    asked: list[bool | None] = []

    def make(settings: analyze.Settings, **_: Any) -> FakeAnalyzer:
        asked.append(settings.reuse)
        return FakeAnalyzer(settings.model)

    monkeypatch.setattr(analyze, "make_analyzer", make)
    assert run("analyze", "md.extxyz", *words).exit_code == 0
    assert asked == [wanted]


def test_references_are_classes_beside_those_of_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cell = bulk("Cu", cubic=True)
    write("matrix.cif", cell)
    atoms = cell.repeat(4)
    atoms.rattle(0.1, seed=1)
    write("md.extxyz", atoms)
    result = run(
        "analyze", "md.extxyz", "--centers", "grid", "--reference", "matrix.cif", "-o", "a.h5",
        "-o", "a.extxyz", "-o", "a.csv",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[2].split()[:2] == ["matrix", str(len(atoms))]
    assert set(read("a.extxyz").arrays["crystalnet_class"]) == {"matrix"}
    with open("a.csv", newline="") as file:
        assert float(next(csv.DictReader(file))["fraction_matrix"]) == 1
    with ResultFile("a.h5") as result_file:
        assert result_file.settings["references"] == ["matrix.cif"]
        assert result_file[0].classes[-1] == "matrix"
    assert "none.cif" in refused(run("analyze", "md.extxyz", "--reference", "none.cif"))
