"""Trainings that are interrupted while they write down where they have got to."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.training.checkpoint import Checkpoint
from tests.crash.full_disk import FullDisk, PulledPlug
from tests.crash.process import Program, Tell, start
from tests.crash.tally import Bench, Tally, spread
from tests.support.small_trainings import EPOCHS, TRAININGS

#: TensorFlow takes its time to come up on a machine that is busy.
SLOW = 600.0
STATES = 4


class Array:
    """A variable of a network."""

    def __init__(self, size: int) -> None:
        self.value, self.shape = np.zeros(size, np.float32), (size,)

    def assign(self, value: Any) -> None:
        self.value = np.array(value)

    def __array__(self, *_: Any, **__: Any) -> Any:
        return self.value


class Learner:
    """As a network and its optimizer; every number of it is that of the epoch."""

    def __init__(self) -> None:
        self.weights = self.trainable_variables = [Array(5000), Array(70)]
        self.variables = [*self.weights, Array(2)]

    def build(self, variables: Any) -> None:
        """Nothing to do."""

    def epoch(self) -> int | None:
        """The epoch whose state it has, if it has that of one."""
        found = {float(number) for array in self.variables for number in array.value}
        return int(found.pop()) if len(found) == 1 else None


def learner() -> tuple[Learner, Checkpoint]:
    """A stand-in for a training, and its checkpoint."""
    one = Learner()
    return one, Checkpoint(Path("work/checkpoint.npz"), one, one, settings="these")


def states(disk: FullDisk) -> Program:
    """Keep one state after the other; tells ``kept N``, and ``writes N`` at the end."""

    def program(tell: Tell) -> None:
        one, checkpoint = learner()
        done = checkpoint.restore() or {"epochs": 0}
        disk.install()
        for epoch in range(done["epochs"] + 1, STATES + 1):
            for array in one.variables:
                array.assign(np.full(array.shape, epoch, np.float32))
            checkpoint.save(epochs=epoch)
            tell(f"kept {epoch}")
        tell(f"writes {disk.count}")

    return refusable(program)


def refusable(program: Program) -> Program:
    """A program that ends with code 1 where a write is refused, as a command does."""

    def limited(tell: Tell) -> None:
        try:
            program(tell)
        except OSError as error:
            raise SystemExit(1) from error

    return limited


def fit(name: str, *, kill: float | None = None, full: float | None = None, at: int = 0) -> Program:
    """A small training of a kind (see `small_trainings`) in one thread.

    It tells ``begun N`` with the checkpoint it goes on from and ``checkpoint N`` after each that
    is kept. Of the writes of the `at`-th checkpoint that it keeps (from 0), it is killed before
    that at the share `kill`, or refused those from the share `full` on.
    """

    def program(tell: Tell) -> None:
        import tensorflow as tf

        # Sums over several threads come out in another order each time.
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        disk = PulledPlug(None) if kill is not None else FullDisk(None, again=True)
        share = kill if kill is not None else full
        save, restore = Checkpoint.save, Checkpoint.restore
        done = 0
        writes = 0
        before = 0

        def kept(checkpoint: Checkpoint, **progress: Any) -> None:
            nonlocal done, writes, before
            disk.count = 0
            if share is not None and done - before == at:
                disk.at = int(share * writes) if writes else int(share * 40)
            save(checkpoint, **progress)
            writes, disk.at = disk.count, None
            done += 1
            tell(f"checkpoint {done}")

        def restored(checkpoint: Checkpoint) -> Any:
            nonlocal done, before
            progress = restore(checkpoint)
            if progress:
                done = progress.get("epochs") or len(progress["history"])
            before = done
            tell(f"begun {done}")
            return progress

        Checkpoint.save, Checkpoint.restore = kept, restored  # type: ignore[method-assign]
        disk.install()
        weights = TRAININGS[name](Path("work"))
        np.savez("weights.npz", *weights)

    return refusable(program)


class Checkpoints(Bench):
    """Trials of what trainings go on from."""

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        super().__init__(folder, rng)
        self._references: dict[str, list[Any]] = {}
        child = start(states(FullDisk(None)))
        assert child.end() == 0, Path("messages").read_text()
        self.writes = int(child.steps_told[-1].split()[1])

    def keep(self, tally: Tally) -> None:
        """Killed, or refused, at any write of a state: the one before, or this one, is whole."""
        self.clear()
        tally.trials += 1
        at = int(spread(tally.trials) * self.writes)
        disk = PulledPlug(at) if tally.trials % 2 else FullDisk(at, bool(tally.trials % 4))
        child = start(states(disk))
        if self.ended(child, tally, 9) != 0:
            tally.interrupted += 1
        done = [int(step.split()[1]) for step in child.steps_told if step.startswith("kept")]
        tally.with_frames += bool(done)
        found, epoch = self._restored(tally)
        tally.lost += found < max(done, default=0)
        tally.damaged += found != epoch
        self._count_litter(tally, {"work"})
        if self.ended(start(states(FullDisk(None))), tally) != 0:
            tally.lost += 1
        tally.lost += self._restored(tally) != (STATES, STATES)

    def _restored(self, tally: Tally) -> tuple[int, int]:
        """The epoch that the checkpoint says, and the one whose weights it has."""
        one, checkpoint = learner()
        with contextlib.suppress(InputError):
            progress = checkpoint.restore()
            epoch = one.epoch()
            if epoch is not None:
                return (0 if progress is None else progress["epochs"]), epoch
        tally.damaged += 1
        return 0, 0

    def train(self, name: str, tally: Tally) -> None:
        """A training killed within a checkpoint, refused within another, then left in peace."""
        reference = self._reference(name)
        self.clear()
        tally.trials += 1
        turn = 2 * tally.trials
        done = 0
        for options in ({"kill": spread(turn), "at": 1}, {"full": spread(turn + 1), "at": 0}):
            child = start(fit(name, **options))
            if self.ended(child, tally, 9, SLOW) != 0:
                tally.interrupted += 1
            done = self._went_on(child.steps_told, done, tally)
            tally.with_frames += done > 0
        child = start(fit(name))
        if self.ended(child, tally, patience=SLOW) != 0:
            tally.lost += 1
            return
        tally.lost += self._went_on(child.steps_told, done, tally) != EPOCHS
        tally.damaged += not _same(reference, _weights())
        self._count_litter(tally, {"work", "weights.npz"})

    def _went_on(self, steps: list[str], done: int, tally: Tally) -> int:
        """Checkpoints that are kept now; a run begins with the last that any before it told."""
        begun = [int(step.split()[1]) for step in steps if step.startswith("begun")]
        # A state may have got its name before the process could tell.
        tally.lost += bool(begun) and begun[0] < done
        kept = [int(step.split()[1]) for step in steps if step.startswith("checkpoint")]
        return max([done, *begun, *kept])

    def _reference(self, name: str) -> list[Any]:
        """Weights of a training that nothing happened to."""
        if name not in self._references:
            self.clear()
            child = start(fit(name))
            assert child.end(SLOW) == 0, Path("messages").read_text()
            self._references[name] = _weights()
        return self._references[name]

    def _count_litter(self, tally: Tally, wanted: set[str]) -> None:
        left = self.litter(wanted)
        tally.outcomes["left behind"] += any(".writing-" in name for name in left)
        tally.littered += any(".writing-" not in name for name in left)


def _weights() -> list[Any]:
    with np.load("weights.npz") as file:
        return [file[name] for name in file.files]


def _same(one: list[Any], other: list[Any]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))
