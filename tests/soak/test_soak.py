"""Fifty frames leave no handle and no thread behind; `python -m tests.soak` looks at thousands.

Each run is in a process of its own: what other tests left open may go at any moment.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from tests.soak.measure import Held, frames_on_disk, held, soak
from tests.support.fakes import FakeAnalyzer

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


class Leaking(FakeAnalyzer):
    """Opens a file at each frame and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[object] = []

    def analyze(self, *arguments: object, **options: object) -> object:  # type: ignore[override]
        self.kept.append(open(__file__))  # noqa: SIM115
        return super().analyze(*arguments, **options)


def watched(folder: Path) -> tuple[Held, list[Held], Held]:
    """What is held before, during and after a run of fifty frames."""
    paths = frames_on_disk(folder, 50, size=2)
    list(soak(FakeAnalyzer(), paths, folder / "warm.h5", every=50))  # imports what it needs
    before = held(0)
    seen = list(soak(FakeAnalyzer(), paths, folder / "run.h5", every=5))
    return before, seen, held(0)


def leaked(folder: Path) -> list[Held]:
    """What is held while each frame leaves a file open."""
    paths = frames_on_disk(folder, 20, size=2)
    return list(soak(Leaking(), paths, folder / "run.h5", every=10))


@linux
def test_handles_and_threads_stay_as_they_are(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        before, seen, after = alone.submit(watched, tmp_path).result()
    assert [now.frames for now in seen] == list(range(5, 55, 5))
    assert len({now.handles for now in seen}) == 1
    assert {now.threads for now in seen} == {before.threads}
    assert (after.handles, after.threads) == (before.handles, before.threads)


@linux
def test_a_leak_would_be_seen(tmp_path: Path) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        seen = alone.submit(leaked, tmp_path).result()
    assert seen[1].handles - seen[0].handles == 10
