"""What trials count, and the bench they are made on: one folder, with what it compares with."""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.crash.process import PATIENCE, Child

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_GOLDEN = (5**0.5 - 1) / 2


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
        Processes that did not end, or ended by a signal nobody sent or with a traceback; trials
        that left files which have no business there.
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


class Bench:
    """A folder, which becomes the current one, with files that trials begin with.

    Parameters
    ----------
    folder : Path
    rng : Generator
        Decides the moments at which processes are interrupted.
    """

    def __init__(self, folder: Path, rng: np.random.Generator) -> None:
        folder.mkdir(parents=True)
        self.folder, self.rng = folder, rng
        self.inputs = {"messages"}
        os.chdir(folder)

    def clear(self) -> None:
        """Go to the folder and remove what is no input."""
        os.chdir(self.folder)
        for path in Path().iterdir():
            if path.name in self.inputs:
                continue
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def litter(self, outputs: Iterable[str]) -> set[str]:
        """Names of files that are neither inputs nor outputs."""
        known = {*self.inputs, *outputs}
        files = (path.as_posix() for path in Path().rglob("*") if not path.is_dir())
        folders = {path.name for path in Path().rglob(".writing-*")}
        return {name for name in files if name.split("/")[0] not in known} - known | folders

    def signal(self) -> signal.Signals:
        """One of those that end a process."""
        return SIGNALS[self.rng.integers(len(SIGNALS))]

    def ended(
        self, child: Child, tally: Tally, sent: int | None = None, patience: float = PATIENCE
    ) -> int | None:
        """Wait for the end of a process."""
        code = child.end(patience)
        if child.hung:
            tally.hanging += 1
            tally.outcomes[f"hung after {(child.steps_told or ['nothing'])[-1]}"] += 1
            return None
        tally.outcomes[str(code)] += 1
        tally.crashed += (code < 0 and -code != sent) or code == 99
        if code == 99:  # a traceback: its last line says which
            said = Path("messages").read_text(errors="replace").strip().splitlines()
            tally.outcomes[f"traceback {said[-1][:120] if said else ''}"] += 1
        return code


def spread(number: int) -> float:
    """Numbers from 0 to 1 that lie ever more densely: where the `number`-th trial interrupts."""
    return (0.5 + number * _GOLDEN) % 1
