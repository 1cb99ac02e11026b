"""Kill one side of a live analysis at a random moment, bring it back, and look at what is left."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.live.source import socket_of
from tests.support import REPOSITORY
from tests.support.lammps_runs import argon, free_port, kill_group, start_lammps

#: Time for anything to happen on a machine with other work.
PATIENCE = 120.0

Started = list[subprocess.Popen[bytes]]


@dataclass
class Outcome:
    """What a trial found; no faults mean that it survived."""

    frames_before: int = 0
    frames: int = 0
    faults: list[str] = field(default_factory=list)

    def check(self, good: bool, fault: str) -> None:
        if not good:
            self.faults.append(fault)


def trial(side: str, folder: Path, rng: np.random.Generator) -> Outcome:
    """One trial, after which nothing runs on, whatever happened in it."""
    started: list[subprocess.Popen[bytes]] = []
    outcome = Outcome()
    try:
        TRIALS[side](folder, rng, outcome, started)
    except (subprocess.TimeoutExpired, TimeoutError) as error:
        outcome.faults.append(f"hangs: {error}")
    finally:
        for process in started:
            kill_group(process)
    return outcome


def kill_analysis(
    folder: Path, rng: np.random.Generator, outcome: Outcome, started: Started
) -> None:
    """Kill -9 the analysis; the simulation must come to its end, and another one go on with it."""
    port, path = free_port(), folder / "run.h5"
    # It ends by itself, and well, after some seconds.
    script = argon("timer timeout 0:00:15 every 10\n" + _watched(port))
    lammps = start_lammps(folder, script)
    started.append(lammps)
    first = _analysis(folder, port, path)
    started.append(first)
    _wait_for_frames(folder, int(rng.integers(1, 30)))
    time.sleep(rng.uniform(0, 0.3))
    first.kill()
    first.wait()
    outcome.frames_before = _frames(path, outcome)
    outcome.check(lammps.poll() is None, "the simulation died with its analysis")
    second = _analysis(folder, port, path)
    started.append(second)
    outcome.check(second.wait(PATIENCE) == 0, f"the second analysis failed: {_said(folder)}")
    outcome.check(lammps.wait(PATIENCE) == 0, "the simulation did not end well")
    _look(path, outcome)
    outcome.check(outcome.frames > outcome.frames_before, "the second analysis found no frames")


def kill_simulation(
    folder: Path, rng: np.random.Generator, outcome: Outcome, started: Started
) -> None:
    """Kill -9 the simulation; the analysis keeps what came, and goes on with the next one."""
    port, path = free_port(), folder / "run.h5"
    endless = argon(_watched(port))
    lammps = start_lammps(folder, endless)
    started.append(lammps)
    first = _analysis(folder, port, path)
    started.append(first)
    _wait_for_frames(folder, int(rng.integers(1, 30)))
    time.sleep(rng.uniform(0, 0.3))
    kill_group(lammps)
    outcome.check(first.wait(PATIENCE) == 0, f"the analysis failed: {_said(folder)}")
    outcome.frames_before = _frames(path, outcome)
    outcome.check(outcome.frames_before > 0, "nothing was kept")
    with ResultFile(path) as file:
        last = int(file.trajectory().step.max())
    # From its beginning: it repeats what is in the file, and goes beyond it.
    rest = _watched(port).replace("run 100000000", f"run {last + 5000}")
    lammps = start_lammps(folder, argon(rest))
    started.append(lammps)
    second = _analysis(folder, port, path)
    started.append(second)
    outcome.check(second.wait(PATIENCE) == 0, f"the second analysis failed: {_said(folder)}")
    outcome.check(lammps.wait(PATIENCE) == 0, "the second simulation did not end well")
    _look(path, outcome)
    outcome.check(outcome.frames > outcome.frames_before, "the second analysis found no frames")


TRIALS = {"analysis": kill_analysis, "simulation": kill_simulation}


def _watched(port: int) -> str:
    return f"fix watch all imd {port} version 3 trate 200 velocities off forces off\nrun 100000000"


def _analysis(folder: Path, port: int, path: Path) -> subprocess.Popen[bytes]:
    with (folder / "analysis.out").open("ab") as out:
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.kills.analysis", f"localhost:{port}"),
                *("-o", str(path), "--resume", "--wait", "30", "--lindemann", "all"),
            ],
            cwd=REPOSITORY,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        )


def _said(folder: Path) -> str:
    return (folder / "analysis.out").read_text(errors="replace")[-500:]


def _wait_for_frames(folder: Path, wanted: int) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        if len(re.findall("^step ", _said_all(folder), re.M)) >= wanted:
            return
        time.sleep(0.02)
    raise TimeoutError(f"no {wanted} frames came: {_said(folder)}")


def _said_all(folder: Path) -> str:
    return (folder / "analysis.out").read_text(errors="replace")


def _frames(path: Path, outcome: Outcome) -> int:
    """Whole frames of the file; each can be read."""
    with ResultFile(path) as file:
        for frame in file:
            outcome.check(bool(np.isfinite(frame.certainty).all()), "a damaged frame")
        return len(file)


def _look(path: Path, outcome: Outcome) -> None:
    outcome.frames = _frames(path, outcome)
    with ResultFile(path) as file:
        steps = file.trajectory().step
    outcome.check(bool((np.diff(steps) > 0).all()), "frames are doubled or in disorder")
    left = [p.name for p in path.parent.iterdir() if p.name.startswith(path.name)]
    outcome.check(set(left) <= {path.name, f"{path.name}.lock"}, f"left behind: {left}")
    place = Path(socket_of("localhost", int(_port(path.parent))))
    until = time.monotonic() + PATIENCE
    while place.exists() and time.monotonic() < until:
        time.sleep(0.1)
    outcome.check(not place.exists(), "the process that kept the connection is still there")


def _port(folder: Path) -> str:
    found = re.search(r"imd (\d+)", (folder / "in.lammps").read_text())
    assert found is not None
    return found[1]
