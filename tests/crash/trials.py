"""Trials of `analyze` and observers: interrupted, limited, or met by others; frames are counted."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import numpy as np
from ase.io import write

from ase_crystalnet.errors import CrystalNetError
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.results.frame import FrameAnalysis
from tests.crash.process import Child, held_at, start
from tests.crash.programs import analyze, observe
from tests.crash.tally import Bench, Tally, spread
from tests.support.fakes import fake_frame, frames

FRAMES = 10
BOTH = ("-o", "a.h5", "-o", "a.csv")
FINISHING = (
    *("complete a.h5", "complete a.csv", "rename a.h5", "replace a.h5", "replaced a.h5"),
    *("rename a.csv", "replace a.csv", "replaced a.csv", "unlock"),
    *("released a.h5.part", "released a.csv.part", "end"),
)
#: Points at which one of several writers is held.
STEPS = (
    *(f"{step} {name}.part" for name in ("a.h5", "a.csv") for step in ("lock", "opened", "locked")),
    "begun",
    *(f"append {number}" for number in (0, FRAMES // 2, FRAMES - 1)),
    *FINISHING,
)
#: Parts that a frame is written in.
PARTS = len(FrameAnalysis.quantities()) + 20


class Trials(Bench):
    """Trials of what is written frame by frame."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        super().__init__(folder, rng)
        self.structures = frames(FRAMES)
        for atoms in self.structures:
            atoms.positions += rng.normal(scale=0.05, size=atoms.positions.shape)
        write("md.traj", self.structures)
        self.inputs |= {"md.traj"}
        self.expected = [fake_frame(atoms) for atoms in self.structures]
        child = start(analyze(*BOTH))
        assert child.end() == 0, Path("messages").read_text()
        self.table = Path("a.csv").read_text()
        self.size = Path("a.h5").stat().st_size
        assert start(observe(self.structures, 5)).end() == 0, Path("messages").read_text()
        with ResultFile("o.h5") as file:
            self.lindemann = [frame.lindemann for frame in file]

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
            wanted = self.expected[number] if 0 <= number < FRAMES else None
            same = wanted is not None and frame.certainty.shape == wanted.certainty.shape
            if same and wanted is not None:
                same = np.allclose(frame.certainty, wanted.certainty, atol=1e-3)
                same &= np.allclose(frame.centers, wanted.centers, atol=1e-4)
                same &= np.array_equal(frame.atom_labels, wanted.atom_labels)
            if name.startswith("o."):
                same &= np.array_equal(frame.lindemann, self.lindemann[number], equal_nan=True)
            tally.damaged += not same
        tally.lost += sum(number not in numbers for number in range(max(numbers, default=-1)))
        return len(numbers)

    def left(self, tally: Tally) -> int:
        """Frames that a run which is resumed would go on from."""
        return max(self.frames_in("a.h5.part", tally), self.frames_in("a.h5", tally))

    def check_finished(self, tally: Tally) -> None:
        """All frames are there, once, and nothing else is."""
        tally.lost += FRAMES - self.frames_in("a.h5", tally)
        table = Path("a.csv")
        tally.damaged += not table.exists() or table.read_text() != self.table
        tally.littered += bool(self.litter({"a.h5", "a.csv"}))

    # ------------------------------------------------------------------ trials
    def kill(self, tally: Tally, *options: str, kills: int = 3) -> None:
        """Signals at random moments of `analyze --resume`, then an end in peace."""
        self.clear()
        tally.trials += 1
        arguments = (*BOTH, "--resume", *options)
        there = 0
        for _ in range(kills):
            child = start(analyze(*arguments))
            number = self.signal()
            # The steps until a run has begun, a frame each, and those of finishing.
            child.wait_for(int(self.rng.integers(0, 7 + FRAMES - there + 5)))
            time.sleep(self.rng.uniform(0, 0.02))
            child.send(number)
            if self.ended(child, tally, number) != 0:
                tally.interrupted += 1
            done = there + sum(step.startswith("append") for step in child.steps_told)
            there = self.left(tally)
            tally.with_frames += there > 0
            tally.lost += max(0, done - there)
        if self.ended(start(analyze(*arguments)), tally) == 0:
            self.check_finished(tally)
        else:
            tally.lost += FRAMES

    def die_writing(self, tally: Tally) -> None:
        """SIGKILL between any two parts of a frame that is being written."""
        self.clear()
        tally.trials += 1
        writes = int(spread(tally.trials) * FRAMES * PARTS)
        child = start(analyze(*BOTH, "--resume", writes=writes))
        if self.ended(child, tally, signal.SIGKILL) != 0:
            tally.interrupted += 1
        there = self.left(tally)
        tally.with_frames += there > 0
        done = sum(step.startswith("append") for step in child.steps_told)
        tally.lost += max(0, done - there)
        self.ended(start(analyze(*BOTH, "--resume")), tally)
        self.check_finished(tally)

    def die_finishing(self, tally: Tally) -> None:
        """SIGKILL between two steps of finishing, of a run that replaces a finished result."""
        self.clear()
        tally.trials += 1
        self.ended(start(analyze(*BOTH)), tally)
        step = FINISHING[tally.trials % len(FINISHING)]
        mode = ("--overwrite", "--resume")[self.rng.integers(2)]
        if self.ended(start(analyze(*BOTH, mode, die_at=step)), tally, signal.SIGKILL) != 0:
            tally.interrupted += 1
        tally.with_frames += 1
        tally.lost += FRAMES - self.frames_in("a.h5", tally)  # the old or the new result
        tally.damaged += Path("a.csv").read_text() != self.table
        self.ended(start(analyze(*BOTH, "--resume")), tally)
        self.check_finished(tally)

    def limit(self, tally: Tally) -> None:
        """A file that may not grow further, anywhere up to the result's size; then one that may."""
        self.clear()
        tally.trials += 1
        # Within the result; and up to the room that is asked for before a frame is written.
        limit = int(spread(tally.trials) * (self.size + 2**21 * (tally.trials % 2)))
        child = start(analyze(*BOTH, "--resume"), limit)
        if self.ended(child, tally) != 0:
            tally.interrupted += 1
        done = sum(step.startswith("append") for step in child.steps_told)
        there = self.left(tally)
        tally.with_frames += there > 0
        tally.lost += max(0, done - there)
        self.ended(start(analyze(*BOTH, "--resume")), tally)
        self.check_finished(tally)

    def observe(self, tally: Tally) -> None:
        """An observer killed while it writes, twice, and gone on with: also its memory is whole."""
        self.clear()
        tally.trials += 1
        there = 0
        for _ in range(2):
            writes = int(self.rng.integers(0, FRAMES * PARTS // 2))
            child = start(observe(self.structures, 5, writes))
            if self.ended(child, tally, signal.SIGKILL) != 0:
                tally.interrupted += 1
            done = there + len(child.steps_told)
            there = self.frames_in("o.h5", tally)
            tally.with_frames += there > 0
            tally.lost += max(0, done - there)
        self.ended(start(observe(self.structures, 5)), tally)
        tally.lost += FRAMES - self.frames_in("o.h5", tally)
        tally.littered += bool(self.litter({"o.h5"}))

    def meet(self, tally: Tally, writers: int = 2) -> None:
        """Several writers, each held between two steps while the others come as far as they can."""
        self.clear()
        tally.trials += 1
        if self.rng.integers(2):
            self.ended(start(analyze(*BOTH)), tally)
        children: list[Child] = []
        for _ in range(writers):
            mode = ("--resume", "--overwrite")[self.rng.integers(2)]
            step = STEPS[self.rng.integers(len(STEPS))]
            with held_at(step):
                children.append(start(analyze(*BOTH, mode)))
            children[-1].wait_until(step)
        codes = []
        for child in self.rng.permutation(writers):
            children[child].go_on()
            codes.append(self.ended(children[child], tally))
        tally.interrupted += sum(code != 0 for code in codes)
        tally.with_frames += 1
        if 0 not in codes:  # who holds the lock comes to an end
            tally.lost += FRAMES
        self.check_finished(tally)
