"""Fixtures of the tests of commands."""

from __future__ import annotations

from pathlib import Path

import pytest
from ase.io import write

from ase_crystalnet.cli import analyze
from tests.support.fakes import FakeAnalyzer, frames


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a trajectory of six frames, and the fake analyzer in place of the model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        analyze,
        "make_analyzer",
        lambda settings, **_: FakeAnalyzer(settings.model, min_certainty=settings.min_certainty),
    )
    write("md.extxyz", frames(6))
    return tmp_path
