"""Frames on a Dask cluster of processes: the same results, also when one of them is killed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from ase.io import write

from ase_crystalnet import crystals
from ase_crystalnet.cli import analyze
from ase_crystalnet.errors import InputError, WorkerError
from ase_crystalnet.frames.run import run
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from tests.support.commands import files, refused
from tests.support.commands import run as command
from tests.support.fakes import FakeAnalyzer
from tests.support.parallel import Recorder, assert_equal, numbered, posix

if TYPE_CHECKING:
    from ase_crystalnet import CrystalNet

distributed = pytest.importorskip("distributed", reason="Dask is not installed")
dask = pytest.importorskip("dask")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two workers, each a process with one thread."""
    # By default a frame may kill three workers more, each of which takes seconds to replace.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as started,
    ):
        yield started


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write("md.extxyz.gz", numbered(8))
    return tmp_path


def test_results_are_those_of_one_process(cluster: Any, folder: Path) -> None:
    # A relative name: the workers run in another folder.
    options: dict[str, Any] = {"lindemann": 3, "start": 1}
    expected = list(run(FakeAnalyzer(), "md.extxyz.gz", **options))
    with distributed.Client(cluster) as client:
        got = list(run(FakeAnalyzer(), "md.extxyz.gz", **options, dask=client))
        assert client.status == "running"  # it was lent
    for one, other in zip(got, expected, strict=True):
        assert_equal(one, other)


@posix
def test_a_killed_worker_costs_its_frame_a_second_run(cluster: Any, folder: Path) -> None:
    recorder = Recorder(folder / "log", kill=1, frame=3)
    got = list(run(recorder, "md.extxyz.gz", dask=cluster.scheduler_address))
    for one, other in zip(got, run(FakeAnalyzer(), "md.extxyz.gz"), strict=True):
        assert_equal(one, other)
    begun = recorder.begun()
    assert begun.count(3) == 2
    # Dask keeps results on the worker until they are fetched: what it held may be lost with it.
    assert set(begun) == set(range(8)) and len(begun) <= 8 + 2 * 2


@posix
@pytest.mark.slow
def test_a_frame_that_kills_every_worker(cluster: Any, folder: Path) -> None:
    recorder = Recorder(folder / "log", kill=99, frame=2)
    results = run(recorder, "md.extxyz.gz", dask=cluster.scheduler_address)
    with pytest.raises(WorkerError, match="dask: a frame kills its workers"):
        list(results)


def test_a_bad_frame_is_raised_in_its_turn(cluster: Any, folder: Path) -> None:
    bad = numbered(4)
    bad[2].positions[0] = np.nan
    write("bad.extxyz", bad)
    results = run(FakeAnalyzer(), "bad.extxyz", dask=cluster.scheduler_address)
    assert [next(results).metadata["frame"] for _ in range(2)] == [0, 1]
    with pytest.raises(InputError, match=r"^bad.extxyz: frame 2 \(from 0\): positions hold NaN"):
        next(results)


def test_the_command(cluster: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyze, "make_analyzer", lambda *_, **__: FakeAnalyzer())
    result = command(
        "analyze", "md.extxyz.gz", "-o", "a.h5", "--dask", cluster.scheduler_address, "--resume"
    )
    assert result.exit_code == 0, result.output
    assert command("analyze", "md.extxyz.gz", "-o", "b.h5").exit_code == 0
    with ResultFile("a.h5") as one, ResultFile("b.h5") as two:
        assert len(one) == len(two) == 8
        for number in range(8):
            assert_equal(one[number], two[number])


def test_no_scheduler_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyze, "make_analyzer", lambda *_, **__: FakeAnalyzer())
    before = files()
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        message = refused(
            command("analyze", "md.extxyz.gz", "-o", "a.h5", "--dask", "tcp://127.0.0.1:1"), code=1
        )
    assert "dask: no scheduler answers at 'tcp://127.0.0.1:1'" in message
    assert files() == before
    message = refused(
        command("analyze", "md.extxyz.gz", "-o", "a.h5", "--dask", "somewhere"), code=1
    )
    assert "dask: no scheduler answers at 'somewhere'" in message


def test_without_dask(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(InputError, match=r"pip install 'ase-crystalnet\[dask\]'"):
        list(run(FakeAnalyzer(), "md.extxyz.gz", dask="tcp://127.0.0.1:1"))


@pytest.mark.slow
def test_the_real_analyzer_gives_the_same_answers_everywhere(
    cluster: Any, folder: Path, net: CrystalNet, rng: np.random.Generator
) -> None:
    made = [crystals.supercell(crystals.fcc(), 300, sigma=sigma, rng=rng) for sigma in (0.02, 0.1)]
    made.append(crystals.random_packing(300, rng=rng))
    write("md.traj", made)
    expected = list(run(net, "md.traj"))
    assert [int(np.argmax(frame.class_fractions)) for frame in expected] == [0, 0, 12]
    for elsewhere in ({"workers": 2}, {"dask": cluster.scheduler_address}):
        for one, other in zip(run(net, "md.traj", **elsewhere), expected, strict=True):
            assert_equal(one, other, network=1e-6)
