"""Analyzers and checks for tests of many processes."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ase_crystalnet.results.frame import FrameAnalysis
from tests.support.fakes import FakeAnalyzer, frames

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals are POSIX")


class Recorder(FakeAnalyzer):
    """Writes down each frame it begins, in a file that all workers share; may kill its process."""

    def __init__(self, log: Path, *, kill: int = 0, frame: int = 0, seconds: float = 0.0) -> None:
        super().__init__()
        self.log, self.kill, self.frame, self.seconds = log, kill, frame, seconds

    def analyze(self, atoms: Any, *arguments: Any, **options: Any) -> FrameAnalysis:
        number = int(atoms.info["number"])
        with open(self.log, "a") as file:
            file.write(f"{number} {os.getpid()}\n")
        begun = sum(line.split()[0] == str(number) for line in self.log.read_text().splitlines())
        if number == self.frame and begun <= self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        return super().analyze(atoms, *arguments, **options)

    def begun(self) -> list[int]:
        return [int(line.split()[0]) for line in self.log.read_text().splitlines()]

    def processes(self) -> set[int]:
        return {int(line.split()[1]) for line in self.log.read_text().splitlines()}


def numbered(count: int, size: int = 2) -> list[Any]:
    made = frames(count, size)
    for number, atoms in enumerate(made):
        atoms.info["number"] = number
    return made


#: What the network's sums decide; how TensorFlow divides them depends on threads.
OF_THE_NETWORK = {"probabilities", "certainty", "atom_probabilities", "atom_certainty"}


def assert_equal(one: FrameAnalysis, other: FrameAnalysis, *, network: float = 0.0) -> None:
    """To the bit, but for what comes from the network if it may differ by `network`."""
    for name in FrameAnalysis.quantities():
        first, second = getattr(one, name), getattr(other, name)
        assert (first is None) == (second is None), name
        if first is None:
            continue
        assert first.dtype == second.dtype
        if network and name in OF_THE_NETWORK:
            np.testing.assert_allclose(first, second, rtol=0, atol=network, err_msg=name)
        else:
            assert first.tobytes() == second.tobytes(), name
    assert one.metadata == other.metadata


def gone(process: int) -> bool:
    """Whether a process has ended (also if nobody has asked for its exit code yet)."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")")[-1].split()[0] == "Z"
    except OSError:
        return True
