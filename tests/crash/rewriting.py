"""Trials of commands that write whole files: afterwards each is the old one or the new one."""

from __future__ import annotations

import csv
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ase_crystalnet.atom_probe.results import read_analysis
from ase_crystalnet.errors import CrystalNetError
from tests.crash.process import Program, start
from tests.crash.programs import analyze, apt_outputs, command, on_full_disk
from tests.crash.tally import Bench, Tally, spread
from tests.support.fakes import frames

COMPILING = 1200  # s that the first analysis on a machine may take


@dataclass(frozen=True)
class Job:
    """A command and what it writes.

    Attributes
    ----------
    make : callable
        Makes the inputs in the current folder.
    program : Program
    outputs : tuple of str
    slow : bool
        Whether it computes for seconds, so that most of it is not writing.
    """

    make: Callable[[], None]
    program: Program
    outputs: tuple[str, ...]
    slow: bool = False


def _frames() -> None:
    from ase.io import write

    write("md.traj", frames(6))


def _result() -> None:
    from ase_crystalnet.io.results.hdf5_writer import HDF5Writer
    from tests.support.fakes import fake_frame

    with HDF5Writer("run.h5") as writer:
        for number, atoms in enumerate(frames(3)):
            writer.append(fake_frame(atoms), number, "md.traj")


def _tip() -> None:
    from ase.build import bulk

    from ase_crystalnet.atom_probe.files.reconstruction import write_pos

    rng = np.random.default_rng(5)
    points = bulk("Al", cubic=True).repeat((13, 13, 16)).positions
    points = points[rng.random(len(points)) < 0.6]
    points += rng.normal(size=points.shape) * [1.2, 1.2, 0.1]
    write_pos("tip.pos", points, np.full(len(points), 27.0, np.float32))
    Path("tip.rrng").write_text(
        "[Ranges]\nNumber=1\nRange1=26.5 27.5 Vol:0.0166 Al:1 Color:0099FF\n"
    )


def _pattern() -> None:
    from ase.build import bulk
    from ase.io import write

    from ase_crystalnet.cli.app import app

    write("salt.cif", bulk("NaCl", "rocksalt", 5.64, cubic=True))
    app(["xrd", "simulate", "salt.cif", "-o", "salt.xy"], standalone_mode=False)


def _of_apt(*outputs: str) -> Program:
    words = [word for output in outputs for word in ("-o", output)]
    return command(
        *("apt", "tip.pos", "-r", "tip.rrng", "--model", "none", "--window-ions", "400"),
        *("--overwrite", "-q", *words),
    )


JOBS: dict[str, Job] = {
    "outputs": Job(
        _frames,
        analyze("-o", "a.h5", "-o", "a.csv", "-o", "a.extxyz", "--overwrite"),
        ("a.h5", "a.csv", "a.extxyz"),
    ),
    "apt": Job(
        _tip,
        _of_apt("a.h5", "a.extxyz", "a.vti"),
        ("a.h5", "a.extxyz", "a.vti"),
        slow=True,
    ),
    "xrd": Job(
        _pattern,
        command(
            *("xrd", "classify", "salt.xy", "--model", "none", "-q", "--overwrite"),
            *("-o", "a.json", "-o", "a.csv"),
        ),
        ("a.json", "a.csv"),
        slow=True,
    ),
    "figures": Job(
        _result,
        command("plot", "run.h5", "-o", "figures", "--overwrite"),
        ("figures/run-fractions.png", "figures/run-slice.png"),
        slow=True,
    ),
}


class Rewriting(Bench):
    """Trials of one job.

    Parameters
    ----------
    folder, rng
        As in `Bench`.
    job : Job
    """

    def __init__(self, folder: Path, rng: np.random.Generator, job: Job) -> None:
        super().__init__(folder, rng)
        self.job = job
        # In processes of their own: this one stays without threads, and can be forked.
        self._run(lambda _: job.make())
        self.inputs |= {path.name for path in Path().iterdir()}
        self._run(job.program)  # what is compiled at first is there
        self.writes = int(self._run(on_full_disk(job.program, None)).split()[1])
        began = time.monotonic()
        self._run(job.program)
        self.seconds = time.monotonic() - began
        self.reference = folder.with_name(folder.name + "-reference")
        for name in job.outputs:
            (self.reference / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(name, self.reference / name)
        self.size = max(Path(name).stat().st_size for name in job.outputs)
        assert not self.litter(self.tops), self.litter(self.tops)
        self.analysis: Any = None

    @property
    def tops(self) -> set[str]:
        """Names in the folder that outputs begin with."""
        return {name.split("/")[0] for name in self.job.outputs}

    def _run(self, program: Program) -> str:
        """Run to the end; the last step told."""
        child = start(program)
        assert child.end(COMPILING) == 0, Path("messages").read_text()
        return (child.steps_told or [""])[-1]

    # ------------------------------------------------------------------ trials
    def interrupt(self, tally: Tally) -> None:
        """A signal at a random moment of the whole command."""
        there = self._begin(tally)
        number = self.signal()
        child = start(self.job.program)
        child.wait_until("begun")
        time.sleep(self.rng.uniform(0, 1.1 * self.seconds))
        child.send(number)
        code = self.ended(child, tally, number)
        # As fast as the machine is now, so that most signals meet it on its way.
        self.seconds *= 0.8 if code == 0 else 1.05
        self._judge(tally, there, code, killed=True)

    def limit(self, tally: Tally) -> None:
        """No file may grow beyond a size: from nothing to more than the largest has."""
        there = self._begin(tally)
        more = 2**21 if "a.h5" in self.job.outputs else 0  # room that HDF5 is given
        size = int(spread(tally.trials) * (1.1 * self.size + more * (tally.trials % 2)))
        code = self.ended(start(self.job.program, size), tally)
        self._judge(tally, there, code)

    def fill(self, tally: Tally) -> None:
        """The disk is full at one write, or from then on: each of them in turn."""
        there = self._begin(tally)
        turn = tally.trials - 1
        at, again = turn // 2 % (self.writes + 1), bool(turn % 2)
        # A few dozen trials of a command with hundreds of writes meet them all over.
        if self.writes > 40:
            at = int(spread(turn // 2) * self.writes)
        code = self.ended(start(on_full_disk(self.job.program, at, again)), tally)
        tally.damaged += code == 0 and at < self.writes - 2  # a failure that nobody noticed
        self._judge(tally, there, code)

    def _begin(self, tally: Tally) -> bool:
        """Clear the folder; whether results of an earlier run are put there."""
        self.clear()
        tally.trials += 1
        there = bool(self.rng.integers(2))
        if there:
            for name in self.job.outputs:
                Path(name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.reference / name, name)
        return there

    def _judge(self, tally: Tally, there: bool, code: int | None, killed: bool = False) -> None:
        if code != 0:
            tally.interrupted += 1
        tally.with_frames += there
        for name in self.job.outputs:
            if Path(name).exists():
                tally.damaged += not _is_whole(Path(name), self.reference / name)
            else:
                tally.lost += there or code == 0
        litter = self.litter(self.tops)
        if killed:  # a process that is ended like this cannot clear its folder away
            left = {name for name in litter if ".writing-" in name or "a.h5.part" in name}
            tally.outcomes["left behind"] += bool(left)
            litter -= left
        if litter:
            tally.littered += 1
            tally.outcomes[f"left {sorted(litter)[0]}"] += 1


class Writing(Bench):
    """What `apt` does at its end, again and again: the moment in which a kill would hurt."""

    def __init__(self, folder: Path, rng: np.random.Generator, analysis: Path) -> None:
        super().__init__(folder, rng)
        self.analysis = read_analysis(analysis)

    def interrupt(self, tally: Tally) -> None:
        """A signal at a random moment of the fourfold writing."""
        self.clear()
        tally.trials += 1
        number = self.signal()
        child = start(apt_outputs(self.analysis, 4))
        child.wait_for(int(self.rng.integers(0, 3)))
        time.sleep(self.rng.uniform(0, 0.03))
        child.send(number)
        if self.ended(child, tally, number) != 0:
            tally.interrupted += 1
        tally.with_frames += bool(child.steps_told)
        if Path("a.h5").exists():
            try:
                found = read_analysis(Path("a.h5"))
                tally.damaged += not np.array_equal(found.centers, self.analysis.centers)
            except CrystalNetError:
                tally.damaged += 1
        else:
            tally.lost += bool(child.steps_told)
        left = self.litter({"a.h5"})
        tally.outcomes["left behind"] += bool(left)
        tally.littered += any(".writing-" not in name for name in left)


def _is_whole(path: Path, reference: Path) -> bool:
    """Whether a file is as that of a run that nothing happened to."""
    try:
        if path.suffix == ".h5":
            return _same_result(path, reference)
        if path.suffix == ".json":
            [answer] = json.loads(path.read_text())["files"]
            return bool(answer["space_group"] == 225)
        if path.suffix == ".csv" and "space_group" in reference.read_text():
            with open(path, newline="") as file:
                [row] = csv.DictReader(file)
            return row["space_group"] == "225"
        if path.suffix == ".png":
            from PIL import Image

            with Image.open(path) as one, Image.open(reference) as other:
                return np.array_equal(np.asarray(one), np.asarray(other))
    except (CrystalNetError, OSError, ValueError, KeyError, SyntaxError):
        return False
    return path.read_bytes() == reference.read_bytes()


def _same_result(path: Path, reference: Path) -> bool:
    from ase_crystalnet.io.results.hdf5_reader import ResultFile

    try:
        found, wanted = read_analysis(path), read_analysis(reference)
    except CrystalNetError:
        with ResultFile(path) as one, ResultFile(reference) as other:
            return len(one) == len(other) and all(
                np.array_equal(a.certainty, b.certainty) for a, b in zip(one, other, strict=True)
            )
    return np.array_equal(found.centers, wanted.centers) and np.array_equal(
        found.findings.p_value, wanted.findings.p_value
    )
