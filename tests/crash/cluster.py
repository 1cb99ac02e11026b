"""A Dask cluster on this machine, and `analyze` on it, of which one part or another is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.crash.process import start
from tests.crash.programs import analyze
from tests.crash.tally import Tally
from tests.crash.trials import BOTH, FRAMES, Trials
from tests.support import REPOSITORY


class Cluster:
    """A scheduler and a worker, in processes of their own.

    Parameters
    ----------
    folder : Path
        Where they keep their logs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.started = 0
        self._scheduler, self.address = self._start(
            "Scheduler at:", "dask_scheduler", "--port", "0"
        )
        self._worker = self._new_worker()

    def lose_worker(self) -> None:
        """Kill the worker; another one comes."""
        self._worker.kill()
        self._worker.wait()
        self._worker = self._new_worker()

    def lose_scheduler(self) -> None:
        """Kill the scheduler; the cluster is gone."""
        self._scheduler.kill()
        self._scheduler.wait()

    def close(self) -> None:
        """End both."""
        for process in (self._worker, self._scheduler):
            process.kill()
            process.wait()

    def _new_worker(self) -> subprocess.Popen[bytes]:
        words = (self.address, "--no-nanny", "--nthreads", "1")
        return self._start("Start worker at:", "dask_worker", *words)[0]

    def _start(self, wanted: str, name: str, *words: str) -> tuple[subprocess.Popen[bytes], str]:
        self.started += 1
        log = self.folder / f"log{self.started}"
        line = [sys.executable, "-m", f"distributed.cli.{name}", "--no-dashboard", *words]
        path = os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")])
        with open(log, "wb") as file:
            made = subprocess.Popen(
                [*line, "--host", "127.0.0.1"],
                stdout=subprocess.DEVNULL,
                stderr=file,
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": path},
            )
        for _ in range(2400):
            said = [text for text in log.read_text().splitlines() if wanted in text]
            if said:
                return made, said[0].split(wanted)[1].strip()
            assert made.poll() is None, log.read_text()
            time.sleep(0.05)
        raise AssertionError(log.read_text())


def on_cluster(trials: Trials, folder: Path, tally: Tally) -> None:
    """The command, a worker or the scheduler is killed at a random moment; then it is resumed."""
    trials.clear()
    tally.trials += 1
    cluster = Cluster(folder / f"cluster{tally.trials}")
    try:
        there = 0
        for victim in trials.rng.permutation(["command", "worker", "scheduler"]):
            words = (*BOTH, "--resume", "--dask", cluster.address)
            child = start(analyze(*words))
            number = trials.signal() if victim == "command" else None
            child.wait_for(int(trials.rng.integers(5, 7 + FRAMES - there)))
            time.sleep(trials.rng.uniform(0, 0.05))
            if number is not None:
                child.send(number)
            elif victim == "worker":
                cluster.lose_worker()
            else:
                cluster.lose_scheduler()
            code = trials.ended(child, tally, number)
            # A frame that was with a worker which is gone is given to another.
            tally.lost += victim == "worker" and code != 0
            tally.interrupted += code != 0 or victim == "worker"
            done = there + sum(step.startswith("append") for step in child.steps_told)
            there = trials.left(tally)
            tally.with_frames += there > 0
            tally.lost += max(0, done - there)
            if victim == "scheduler":
                cluster.close()
                cluster = Cluster(folder / f"cluster{tally.trials}-again")
        words = (*BOTH, "--resume", "--dask", cluster.address)
        if trials.ended(start(analyze(*words)), tally) == 0:
            trials.check_finished(tally)
        else:
            tally.lost += FRAMES
    finally:
        cluster.close()
