"""Interrupt, limit and cross what writes, count what is lost, and print a table."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tests.crash.checkpoints import Checkpoints
from tests.crash.cluster import on_cluster
from tests.crash.learning import Learning
from tests.crash.process import sabotage, warm_up
from tests.crash.rewriting import JOBS, Rewriting, Writing
from tests.crash.sabotage import SABOTAGES
from tests.crash.tally import Tally
from tests.crash.trials import Trials
from tests.support.small_trainings import TRAININGS

COLUMNS = (
    "trials", "interrupted", "with_frames", "lost", "doubled", "damaged", "hanging", "crashed",
    "littered",
)  # fmt: skip


class Kinds:
    """All kinds of trials; what they need is made when the first of them is run.

    Parameters
    ----------
    place : Path
        Folder for everything.
    seed : int
        Of the moments at which processes are interrupted.
    """

    def __init__(self, place: Path, seed: int) -> None:
        self.place, self.rng = place, np.random.default_rng(seed)
        self._rewriting: dict[str, Rewriting] = {}

    @cached_property
    def frames(self) -> Trials:
        return Trials(self.place / "frames", self.rng)

    @cached_property
    def learning(self) -> Learning:
        return Learning(self.place / "learning", self.rng)

    @cached_property
    def checkpoints(self) -> Checkpoints:
        return Checkpoints(self.place / "checkpoints", self.rng)

    @cached_property
    def writing(self) -> Writing:
        result = self.rewriting("apt").reference / "a.h5"
        return Writing(self.place / "writing", self.rng, result)

    def rewriting(self, name: str) -> Rewriting:
        if name not in self._rewriting:
            self._rewriting[name] = Rewriting(self.place / name, self.rng, JOBS[name])
        return self._rewriting[name]

    def all(self) -> dict[str, tuple[int, Callable[[Tally], None]]]:
        """What runs a trial, and in every how many rounds one is made: some take long."""
        kinds: dict[str, tuple[int, Callable[[Tally], None]]] = {
            "analyze": (1, lambda tally: self.frames.kill(tally)),
            "analyze, workers": (
                10, lambda tally: self.frames.kill(tally, "--workers", "2", kills=1),
            ),
            "analyze, dask": (20, lambda tally: on_cluster(self.frames, self.place, tally)),
            "analyze, frame": (1, lambda tally: self.frames.die_writing(tally)),
            "analyze, step": (1, lambda tally: self.frames.die_finishing(tally)),
            "analyze, limit": (1, lambda tally: self.frames.limit(tally)),
            "two writers": (1, lambda tally: self.frames.meet(tally, 2)),
            "four writers": (1, lambda tally: self.frames.meet(tally, 4)),
            "observer": (1, lambda tally: self.frames.observe(tally)),
            "apt, writing": (1, lambda tally: self.writing.interrupt(tally)),
        }  # fmt: skip
        for name, job in JOBS.items():
            every = 4 if job.slow else 1
            if job.slow:
                kinds[name] = every, lambda tally, name=name: self.rewriting(name).interrupt(tally)  # type: ignore[misc]
            kinds[f"{name}, limit"] = (
                every, lambda tally, name=name: self.rewriting(name).limit(tally),  # type: ignore[misc]
            )  # fmt: skip
            kinds[f"{name}, full"] = (
                every, lambda tally, name=name: self.rewriting(name).fill(tally),  # type: ignore[misc]
            )  # fmt: skip
        kinds["checkpoint"] = 1, lambda tally: self.checkpoints.keep(tally)
        for name in TRAININGS:
            kinds[f"training, {name}"] = (
                30, lambda tally, name=name: self.checkpoints.train(name, tally),  # type: ignore[misc]
            )  # fmt: skip
        kinds["training"] = 30, lambda tally: self.learning.kill(tally)
        kinds["model folder"] = 1000, lambda tally: self.learning.fill(tally)
        return kinds


def main() -> int:
    """Run trials of every kind, in turn, until time or number are used up."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument(
        "--rounds", type=int, help="how often each kind (slow ones: some times), instead"
    )
    parser.add_argument("--kinds", nargs="+", help="only these, each in every round")
    parser.add_argument("--without", nargs="+", help="not these", default=())
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument(
        "--sabotage", choices=sorted(SABOTAGES), help="switch a protection off: faults must be seen"
    )
    given = parser.parse_args()
    target = None if given.json is None else given.json.resolve()
    warm_up()
    before = Path.cwd()
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        kinds = Kinds(Path(name).resolve(), given.seed).all()
        if unknown := {*(given.kinds or ()), *given.without} - kinds.keys():
            parser.error(f"no such kind: {sorted(unknown)}; there are {', '.join(kinds)}")
        chosen = [kind for kind in given.kinds or kinds if kind not in given.without]
        tallies = {kind: Tally() for kind in chosen}
        sabotage(given.sabotage)
        rounds = 0

        def over() -> bool:
            return not given.rounds and time.monotonic() - begin > given.seconds

        while rounds < given.rounds if given.rounds else not over():
            for kind in chosen:
                every, run = kinds[kind]
                if (given.kinds or rounds % every == 0) and not over():
                    run(tallies[kind])
            rounds += 1
        os.chdir(before)
    seconds = time.monotonic() - begin
    sys.stdout.write(_table(tallies) + f"{seconds:.0f} s\n")
    if target is not None:
        figures = {kind: {**vars(tally), "faults": tally.faults} for kind, tally in tallies.items()}
        content: dict[str, Any] = {"seed": given.seed, "seconds": round(seconds, 1)}
        target.write_text(json.dumps({**content, "kinds": figures}, indent=1) + "\n")
    return int(any(tally.faults for tally in tallies.values()))


def _table(tallies: dict[str, Tally]) -> str:
    lines = [" ".join([f"{'':17}", *(f"{column:>11}" for column in COLUMNS), " ended with"])]
    for kind, tally in tallies.items():
        numbers = (f"{getattr(tally, column):11}" for column in COLUMNS)
        ways = ", ".join(f"{code}: {count}" for code, count in sorted(tally.outcomes.items()))
        lines.append(" ".join([f"{kind:17}", *numbers, f" {ways}"]))
    sums = (f"{sum(getattr(t, column) for t in tallies.values()):11}" for column in COLUMNS)
    lines.append(" ".join([f"{'all':17}", *sums]).rstrip())
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
