"""Frames in worker processes: the same results in the same order, also when workers die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from ase.io import write
from hypothesis import given
from hypothesis import strategies as st

from ase_crystalnet._compute.threads import thread_count
from ase_crystalnet.cli import analyze
from ase_crystalnet.errors import InputError, OutputLockedError, WorkerError
from ase_crystalnet.frames import worker
from ase_crystalnet.frames.job import FrameJob, in_order
from ase_crystalnet.frames.processes import WorkerPool
from ase_crystalnet.frames.run import analyze_frames, run
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.io.results.lock import FileLock
from ase_crystalnet.io.trajectories.stream import TruncatedTrajectoryError
from tests.support import REPOSITORY
from tests.support.commands import files, refused
from tests.support.commands import run as command
from tests.support.fakes import FakeAnalyzer
from tests.support.parallel import Recorder, assert_equal, gone, numbered, posix


@pytest.fixture(scope="module")
def trajectory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("md") / "md.extxyz"
    write(path, numbered(9))
    return path


@pytest.mark.parametrize(("skip", "lindemann"), [(0, None), (4, 3), (4, "all")])
def test_results_are_those_of_one_process(trajectory: Path, skip: int, lindemann: Any) -> None:
    options: dict[str, Any] = {"skip": skip, "lindemann": lindemann}
    one = list(analyze_frames(FakeAnalyzer(), trajectory, 0, None, 1, **options))
    two = list(analyze_frames(FakeAnalyzer(), trajectory, 0, None, 1, **options, workers=2))
    assert [frame.number for frame, _ in two] == list(range(skip, 9))
    for (frame, analysis), (other, expected) in zip(two, one, strict=True):
        assert (frame.source, frame.number) == (other.source, other.number)
        np.testing.assert_array_equal(frame.atoms.positions, other.atoms.positions)
        assert_equal(analysis, expected)


def test_frames_are_spread_over_processes(trajectory: Path, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log", seconds=0.05)
    assert len(list(run(recorder, trajectory, workers=2))) == 9
    assert sorted(recorder.begun()) == list(range(9))
    assert len(recorder.processes()) == 2 and os.getpid() not in recorder.processes()


@posix
def test_a_killed_worker_costs_its_frame_a_second_run(trajectory: Path, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log", kill=1, frame=3)
    got = list(run(recorder, trajectory, workers=2))
    for analysis, expected in zip(got, run(FakeAnalyzer(), trajectory), strict=True):
        assert_equal(analysis, expected)
    assert sorted(recorder.begun()) == [0, 1, 2, 3, 3, 4, 5, 6, 7, 8]
    assert len(recorder.processes()) == 3


@posix
def test_a_worker_killed_while_it_waits_is_replaced(trajectory: Path, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log")
    with WorkerPool(FrameJob(recorder), 1) as pool:
        from ase_crystalnet.io.trajectories.stream import iter_addresses

        first = list(pool.results(iter_addresses(trajectory, 0, 2)))
        os.kill(pool.workers[0].process.pid, signal.SIGKILL)
        second = list(pool.results(iter_addresses(trajectory, 2, 4)))
        processes = [worker.process for worker in pool.workers]
    assert [frame.number for frame, _ in (*first, *second)] == [0, 1, 2, 3]
    assert recorder.begun() == [0, 1, 2, 3]
    assert not any(process.is_alive() for process in processes)


@posix
def test_a_frame_that_kills_every_worker(trajectory: Path, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "log", kill=99, frame=2)
    results = run(recorder, trajectory, workers=2)
    assert [next(results).metadata["frame"] for _ in range(2)] == [0, 1]
    with pytest.raises(WorkerError, match=r"frame 2 \(from 0\).*died 3 times \(SIGKILL\)"):
        next(results)
    assert recorder.begun().count(2) == 3


def test_a_bad_frame_is_raised_in_its_turn(tmp_path: Path) -> None:
    bad = numbered(6)
    bad[4].positions[0] = np.nan
    write(tmp_path / "nan.extxyz", bad)
    write(tmp_path / "cut.extxyz", numbered(6))
    text = (tmp_path / "cut.extxyz").read_text()
    (tmp_path / "cut.extxyz").write_text(text[: int(len(text) * 0.7)])
    for name, error in (("nan", InputError), ("cut", TruncatedTrajectoryError)):
        seen: dict[int | None, list[str]] = {}
        for workers in (None, 2):
            got: list[Any] = []
            with pytest.raises(error) as caught:
                got.extend(
                    frame.metadata["frame"]
                    for frame in run(FakeAnalyzer(), tmp_path / f"{name}.extxyz", workers=workers)
                )
            seen[workers] = [str(caught.value), str(type(caught.value))]
            # `extend` keeps what came before the error.
            assert got == [0, 1, 2, 3]
        assert seen[None] == seen[2]


def test_an_unexpected_error_tells_where_it_came_from(trajectory: Path) -> None:
    with pytest.raises(RuntimeError, match="stopped on purpose") as caught:
        list(run(FakeAnalyzer(fail_at=0), trajectory, workers=1))
    assert "In a worker process" in caught.value.__notes__[0]
    assert "fakes.py" in caught.value.__notes__[0]


class _Unsendable(FakeAnalyzer):
    def __getstate__(self) -> Any:
        raise TypeError("not for other processes")


class _Unreadable(FakeAnalyzer):
    def __setstate__(self, state: Any) -> None:
        raise ValueError("damaged on the way")


def test_arguments_and_analyzers_that_will_not_do(trajectory: Path) -> None:
    with pytest.raises(InputError, match="workers: expected a number from 1 on, got 0"):
        list(run(FakeAnalyzer(), trajectory, workers=0))
    with pytest.raises(InputError, match="exclude each other"):
        list(run(FakeAnalyzer(), trajectory, workers=1, dask="tcp://nowhere:1"))
    with pytest.raises(InputError, match=r"cannot be sent to them \(not for other"):
        list(run(_Unsendable(), trajectory, workers=1))
    with pytest.raises(ValueError, match="damaged on the way"):
        list(run(_Unreadable(), trajectory, workers=1))


def test_a_script_without_a_guarded_main_part(trajectory: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(REPOSITORY)!r}]\n"
        "from tests.support.fakes import FakeAnalyzer\n"
        "from ase_crystalnet.frames.run import run\n"
        f"print(len(list(run(FakeAnalyzer(), {str(trajectory)!r}, workers=2))))\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 1
    assert "WorkerError: a worker process did not start (exit code 1)" in done.stderr
    assert "if __name__ == '__main__'" in done.stderr


@given(
    ahead=st.integers(1, 5),
    count=st.integers(0, 12),
    taken=st.integers(0, 12),
    bad=st.integers(0, 12),
)
def test_no_more_than_so_many_frames_are_under_way(
    ahead: int, count: int, taken: int, bad: int
) -> None:
    futures: list[Future[Any]] = []
    done = 0

    def submit(number: Any) -> Future[Any]:
        future: Future[Any] = Future()
        futures.append(future)
        assert len(futures) - done <= ahead
        future.set_running_or_notify_cancel()
        if number == bad:
            future.set_exception(InputError("bad"))
        else:
            future.set_result(number)
        return future

    def numbers() -> Iterator[Any]:
        yield from range(count)
        raise InputError("the end is damaged")

    results = in_order(submit, numbers(), lambda: ahead)
    got = []
    try:
        for result in results:
            got.append(result)
            done += 1
            if done == taken:
                break
    except InputError as error:
        assert str(error) == ("bad" if bad < count else "the end is damaged")
        assert len(got) == min(bad, count)
    assert got == list(range(len(got)))


def test_threads_of_a_worker() -> None:
    names = worker.THREAD_VARIABLES
    kept = dict(os.environ)
    try:
        worker.limit_threads(3)
        assert {os.environ[name] for name in names} == {"3"}
        assert thread_count(None) == 3
    finally:
        os.environ.clear()
        os.environ.update(kept)
        numba.config.reload_config()


# ---------------------------------------------------------------------- the command
@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("md.extxyz", numbered(8))
    monkeypatch.setattr(
        analyze, "make_analyzer", lambda *_, **__: Recorder(tmp_path / "log", seconds=0.01)
    )
    return tmp_path


def test_files_are_the_same_with_workers(folder: Path) -> None:
    for name, more in (("one", []), ("two", ["--workers", "2"])):
        options = ["--lindemann", "3", "-o", f"{name}.h5", "-o", f"{name}.csv", "-o", f"{name}.xyz"]
        result = command("analyze", "md.extxyz", *options, *more)
        assert result.exit_code == 0, result.output
    for suffix in ("csv", "xyz"):
        assert Path(f"one.{suffix}").read_bytes() == Path(f"two.{suffix}").read_bytes()
    with ResultFile("one.h5") as one, ResultFile("two.h5") as two:
        assert len(one) == len(two) == 8
        for number in range(8):
            assert_equal(one[number], two[number])


def test_the_command_refuses(folder: Path) -> None:
    assert "--workers: expected a number from 1 on, got 0" in refused(
        command("analyze", "md.extxyz", "--workers", "0")
    )
    assert "exclude each other" in refused(
        command("analyze", "md.extxyz", "--workers", "2", "--dask", "tcp://a:1")
    )
    lock = FileLock("a.h5.part")
    lock.acquire()
    try:
        message = refused(command("analyze", "md.extxyz", "-o", "a.h5", "--workers", "2"), code=1)
    finally:
        lock.release()
    assert "another process is writing it" in message
    assert files() <= {"log"}


SCRIPT = """
    import sys
    from pathlib import Path
    sys.path[:0] = [{root!r}]
    from tests.support.parallel import Recorder
    from ase_crystalnet import cli
    from ase_crystalnet.cli import analyze
    if __name__ == "__main__":
        analyze.make_analyzer = lambda *_, **__: Recorder(Path("log"), seconds=0.05)
        sys.argv = ["crystalnet", "analyze", "long.traj", "-o", "a.h5", "--resume"]
        sys.argv += ["--lindemann", "4", "--workers", "2"]
        cli.main()
"""


def start_long_run(folder: Path, count: int = 60) -> subprocess.Popen[str]:
    """Start the command on `count` frames; returns when it has written some."""
    if not Path("long.traj").exists():
        write("long.traj", numbered(count, size=1))
    script = textwrap.dedent(SCRIPT.format(root=str(REPOSITORY)))
    Path("script.py").write_text(script)
    process = subprocess.Popen(
        [sys.executable, "script.py"], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    before = len(Path("log").read_text().splitlines()) if Path("log").exists() else 0
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        if Path("log").exists() and len(Path("log").read_text().splitlines()) >= before + 12:
            return process
        time.sleep(0.02)
    process.kill()
    raise AssertionError(process.communicate()[1])


def check_whole(count: int, done_before: set[int], log_before: int) -> None:
    """The file holds every frame once, and none that was in it was begun again."""
    with ResultFile("a.h5") as file:
        assert file.trajectory().frames.tolist() == list(range(count))
        expected = run(FakeAnalyzer(), "long.traj", lindemann=4)
        for number, frame in enumerate(expected):
            np.testing.assert_array_equal(
                file[number].lindemann, frame.lindemann.astype(np.float16).astype(np.float32)
            )
    begun = [int(line.split()[0]) for line in Path("log").read_text().splitlines()[log_before:]]
    assert sorted(begun) == sorted(set(range(count)) - done_before)


@posix
def test_kill_9_of_the_command_loses_and_repeats_no_frame(folder: Path) -> None:
    done: set[int] = set()
    for _ in range(2):
        with start_long_run(folder) as process:
            process.kill()
        log = Path("log").read_text().splitlines()
        with ResultFile("a.h5.part") as file:
            written = file.trajectory().frames.tolist()
        assert written == list(range(len(written)))
        assert done < set(written) and len(written) < 60
        done = set(written)
        # Its workers see that it is gone and end by themselves.
        workers = {int(line.split()[1]) for line in log}
        deadline = time.monotonic() + 60
        while not all(map(gone, workers)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert all(map(gone, workers))
    before = len(Path("log").read_text().splitlines())
    options = ["--resume", "--lindemann", "4", "--workers", "2"]
    result = command("analyze", "long.traj", "-o", "a.h5", *options)
    assert result.exit_code == 0, result.output
    check_whole(60, done, before)


@posix
def test_ctrl_c_leaves_a_file_to_resume_and_no_process(folder: Path) -> None:
    with start_long_run(folder) as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to the workers too
        assert process.wait(120) == 130
        assert process.stderr is not None
        assert process.stderr.read().strip() == "crystalnet: error: interrupted"
    log = Path("log").read_text().splitlines()
    assert all(gone(int(line.split()[1])) for line in log)
    with ResultFile("a.h5.part") as file:
        done = set(file.trajectory().frames.tolist())
    assert 0 < len(done) < 60
    # Resumed by one process: nothing ties a file to the way it was begun.
    result = command("analyze", "long.traj", "-o", "a.h5", "--resume", "--lindemann", "4")
    assert result.exit_code == 0, result.output
    check_whole(60, done, len(log))


@posix
def test_two_runs_with_workers_on_one_output(folder: Path) -> None:
    with start_long_run(folder) as process:
        with pytest.raises(OutputLockedError):
            FileLock("a.h5.part").acquire()
        options = ["--resume", "--lindemann", "4", "--workers", "2"]
        message = refused(command("analyze", "long.traj", "-o", "a.h5", *options), code=1)
        assert "another process is writing it" in message
        process.kill()
