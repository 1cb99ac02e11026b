"""Trials: something is interrupted, limited or met by another, and what is left is counted."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import write

from ase_crystalnet.atom_probe.results import read_analysis
from ase_crystalnet.errors import CrystalNetError
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from tests.crash.programs import Child, analyze, apt, held_at, start, xrd
from tests.support.fakes import fake_frame, frames

FRAMES = 24
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
#: Points at which one of two writers is held.
STEPS = (
    *(f"append {number}" for number in (0, FRAMES // 2, FRAMES - 1)),
    "complete a.h5",
    "complete a.csv",
    "rename a.h5",
    "rename a.csv",
    "unlock",
    "end",
)


@dataclass
class Tally:
    """What came of the trials of one kind.

    Attributes
    ----------
    trials, interrupted, with_frames : int
        Trials; processes ended by a signal or an error, in all and after frames were on disk.
    lost, doubled, damaged : int
        Frames that were done and are gone, that are there twice, that cannot be read or are
        others. A file counts as one where it has no frames.
    hanging, crashed, littered : int
        Processes that did not end, or ended by a signal nobody sent; trials that left files which
        have no business there.
    outcomes : Counter
        How processes ended.
    """

    trials: int = 0
    interrupted: int = 0
    with_frames: int = 0
    lost: int = 0
    doubled: int = 0
    damaged: int = 0
    hanging: int = 0
    crashed: int = 0
    littered: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def faults(self) -> int:
        """All that must not happen."""
        counts = (self.lost, self.doubled, self.damaged, self.hanging, self.crashed)
        return sum(counts) + self.littered


class Trials:
    """Trials in one folder, with what they compare with.

    Parameters
    ----------
    folder : Path
        Empty; becomes the current one.
    seed : int
        Of the moments at which processes are interrupted.
    analysis : AtomProbeAnalysis, optional
        A result of an atom-probe analysis to write.
    pattern : Path, optional
        A powder pattern to classify.
    """

    def __init__(
        self, folder: Path, seed: int, analysis: Any = None, pattern: Path | None = None
    ) -> None:
        self.rng = np.random.default_rng(seed)
        self.analysis, self.pattern = analysis, pattern
        os.chdir(folder)
        structures = frames(FRAMES)
        write("md.traj", structures)
        self.inputs = {"md.traj", "messages", "salt.xy"}
        self.expected = [fake_frame(atoms) for atoms in structures]
        child = start(analyze("-o", "a.h5", "-o", "a.csv"))
        assert child.end() == 0, Path("messages").read_text()
        self.table = Path("a.csv").read_text()
        self.size = Path("a.h5").stat().st_size

    def clear(self) -> None:
        """Remove what is no input."""
        for path in Path().iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in self.inputs:
                path.unlink()

    # ------------------------------------------------------------------ what is left
    def frames_in(self, name: str, tally: Tally) -> int:
        """Number of complete frames in a result; those that are not as they should be are told."""
        if not Path(name).exists():
            return 0
        try:
            with ResultFile(name) as file:
                numbers = file.trajectory().frames.tolist()
                found = list(file)
        except CrystalNetError:
            tally.damaged += FRAMES
            return 0
        tally.doubled += len(numbers) - len(set(numbers))
        for number, frame in zip(numbers, found, strict=True):
            wanted = self.expected[number].certainty if 0 <= number < FRAMES else np.zeros(0)
            same = frame.certainty.shape == wanted.shape and np.allclose(
                frame.certainty, wanted, atol=1e-3
            )
            tally.damaged += not same
        tally.lost += sum(number not in numbers for number in range(max(numbers, default=-1)))
        return len(numbers)

    def check_finished(self, tally: Tally) -> None:
        """All frames are there, once, and nothing else is."""
        tally.lost += FRAMES - self.frames_in("a.h5", tally)
        table = Path("a.csv")
        tally.damaged += not table.exists() or table.read_text() != self.table
        tally.littered += bool(set(os.listdir()) - self.inputs - {"a.h5", "a.csv"})

    def ended(self, child: Child, tally: Tally, sent: int | None = None) -> int | None:
        """Wait for the end of a process."""
        try:
            code = child.end()
        except TimeoutError:
            tally.hanging += 1
            return None
        tally.outcomes[str(code)] += 1
        tally.crashed += (code < 0 and -code != sent) or code == 99
        return code

    # ------------------------------------------------------------------ trials
    def kill(self, tally: Tally, *options: str, kills: int = 3) -> None:
        """Signals at random moments of `analyze --resume`, then an end in peace."""
        self.clear()
        tally.trials += 1
        arguments = ("-o", "a.h5", "-o", "a.csv", "--resume", *options)
        there = 0
        for _ in range(kills):
            child = start(analyze(*arguments))
            number = SIGNALS[self.rng.integers(len(SIGNALS))]
            child.wait_for(int(self.rng.integers(0, FRAMES - there + 5)))
            time.sleep(self.rng.uniform(0, 0.02))
            child.send(number)
            if self.ended(child, tally, number) != 0:
                tally.interrupted += 1
            done = there + sum(step.startswith("append") for step in child.steps_told)
            there = max(self.frames_in("a.h5.part", tally), self.frames_in("a.h5", tally))
            tally.with_frames += there > 0
            tally.lost += max(0, done - there)
        if self.ended(start(analyze(*arguments)), tally) == 0:
            self.check_finished(tally)
        else:
            tally.lost += FRAMES

    def die(self, tally: Tally) -> None:
        """SIGKILL between two steps of finishing, of a run that replaces a finished result."""
        self.clear()
        tally.trials += 1
        self.ended(start(analyze("-o", "a.h5", "-o", "a.csv")), tally)
        step = STEPS[self.rng.integers(3, len(STEPS))]
        options = ("-o", "a.h5", "-o", "a.csv", ("--overwrite", "--resume")[self.rng.integers(2)])
        self.ended(start(analyze(*options, die_at=step)), tally, signal.SIGKILL)
        tally.interrupted += 1
        tally.with_frames += 1
        tally.lost += FRAMES - self.frames_in("a.h5", tally)  # the old or the new result
        tally.damaged += Path("a.csv").read_text() != self.table
        self.ended(start(analyze("-o", "a.h5", "-o", "a.csv", "--resume")), tally)
        self.check_finished(tally)

    def limit(self, tally: Tally) -> None:
        """A file that may not grow further, at a random place; then one that may."""
        self.clear()
        tally.trials += 1
        # Room is asked for before a frame is written: from nothing to more than enough.
        limit = int(self.rng.integers(0, self.size + 2**21))
        options = ("-o", "a.h5", "-o", "a.csv", "--resume")
        child = start(analyze(*options), limit)
        if self.ended(child, tally) != 0:
            tally.interrupted += 1
        done = sum(step.startswith("append") for step in child.steps_told)
        there = max(self.frames_in("a.h5.part", tally), self.frames_in("a.h5", tally))
        tally.with_frames += there > 0
        tally.lost += max(0, done - there)
        self.ended(start(analyze(*options)), tally)
        self.check_finished(tally)

    def meet(self, tally: Tally) -> None:
        """Two writers: one held between two steps while the other comes as far as it can."""
        self.clear()
        tally.trials += 1
        if self.rng.integers(2):
            self.ended(start(analyze("-o", "a.h5", "-o", "a.csv")), tally)
        codes = []
        children = []
        for _ in range(2):
            mode = ("--resume", "--overwrite")[self.rng.integers(2)]
            with held_at(STEPS[self.rng.integers(len(STEPS))]):
                children.append(start(analyze("-o", "a.h5", "-o", "a.csv", mode)))
            # Until it waits at its step, or has ended.
            self._until_still(children[-1])
        for child in self.rng.permutation(2):
            children[child].go_on()
            codes.append(self.ended(children[child], tally))
        tally.interrupted += sum(code != 0 for code in codes)
        tally.with_frames += 1
        if 0 not in codes:
            tally.lost += FRAMES
        self.check_finished(tally)

    def _until_still(self, child: Child) -> None:
        seen, since = -1, time.monotonic()
        while child.running() and time.monotonic() - since < 0.25:
            if (told := len(child.steps())) != seen or told == 0:
                seen, since = told, time.monotonic()
            time.sleep(0.01)

    def write_apt(self, tally: Tally, limit: int | None = None) -> None:
        """The result of `apt`: the old one or the new one, whatever happens."""
        self._rewrite(tally, apt(self.analysis, 4), self._apt_is_whole, limit)

    def write_xrd(self, tally: Tally, limit: int | None = None) -> None:
        """The answers of `xrd classify`."""
        assert self.pattern is not None
        Path("salt.xy").write_bytes(self.pattern.read_bytes())
        self._rewrite(tally, xrd(2), self._xrd_is_whole, limit)

    def _rewrite(
        self,
        tally: Tally,
        program: Callable[[Callable[[str], None]], None],
        is_whole: Callable[[], bool],
        limit: int | None,
    ) -> None:
        self.clear()
        tally.trials += 1
        number = SIGNALS[self.rng.integers(len(SIGNALS))]
        child = start(program, None if limit is None else int(self.rng.integers(0, limit)))
        if limit is None:
            child.wait_for(int(self.rng.integers(0, 3)))
            time.sleep(self.rng.uniform(0, 0.03))
            child.send(number)
        if self.ended(child, tally, number if limit is None else None) != 0:
            tally.interrupted += 1
        tally.with_frames += bool(child.steps_told)
        tally.damaged += not is_whole()
        tally.lost += bool(child.steps_told) and not ({"a.h5", "a.json"} & set(os.listdir()))
        if limit is None and number != signal.SIGINT:
            # A process that is ended like this cannot clear its folder away.
            for path in Path().glob(".writing-*"):
                shutil.rmtree(path)
                tally.outcomes["folder left"] += 1
        tally.littered += bool(set(os.listdir()) - self.inputs - {"a.h5", "a.json", "a.csv"})

    def _apt_is_whole(self) -> bool:
        if not Path("a.h5").exists():
            return True
        try:
            found = read_analysis(Path("a.h5"))
        except CrystalNetError:
            return False
        return np.array_equal(found.centers, self.analysis.centers)

    def _xrd_is_whole(self) -> bool:
        try:
            if Path("a.json").exists():
                [answer] = json.loads(Path("a.json").read_text())["files"]
                assert answer["space_group"] == 225
            if Path("a.csv").exists():
                with open("a.csv", newline="") as file:
                    [row] = csv.DictReader(file)
                assert row["space_group"] == "225"
        except (ValueError, KeyError, AssertionError):
            return False
        return True
