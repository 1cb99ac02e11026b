"""Fifty frames leave no handle and no thread behind; `python -m tests.soak` looks at thousands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.soak.measure import frames_on_disk, held, soak
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


@linux
def test_handles_and_threads_stay_as_they_are(tmp_path: Path) -> None:
    paths = frames_on_disk(tmp_path, 50, size=2)
    list(soak(FakeAnalyzer(), paths, tmp_path / "warm.h5", every=50))  # imports what it needs
    before = held(0)
    seen = list(soak(FakeAnalyzer(), paths, tmp_path / "run.h5", every=5))
    assert [now.frames for now in seen] == list(range(5, 55, 5))
    assert len({now.handles for now in seen}) == 1
    assert {now.threads for now in seen} == {before.threads}
    after = held(0)
    assert (after.handles, after.threads) == (before.handles, before.threads)


@linux
def test_a_leak_would_be_seen(tmp_path: Path) -> None:
    paths = frames_on_disk(tmp_path, 20, size=2)
    leaking = Leaking()
    seen = list(soak(leaking, paths, tmp_path / "run.h5", every=10))
    for file in leaking.kept:
        file.close()  # type: ignore[attr-defined]
    assert seen[1].handles - seen[0].handles == 10
