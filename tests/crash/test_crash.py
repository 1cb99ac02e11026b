"""A small run of the crash test; the long one is ``python -m tests.crash``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import REPOSITORY

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and fork are POSIX")


def crash(folder: Path, *arguments: str) -> dict[str, Any]:
    """Figures of a run, by kind; nothing may have been lost."""
    place = folder / "crash.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash", "--json", str(place), *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    kinds: dict[str, Any] = json.loads(place.read_text())["kinds"]
    assert sum(kind["faults"] for kind in kinds.values()) == 0
    return kinds


def test_a_few_kills_and_two_writers_at_ten_interleavings(tmp_path: Path) -> None:
    kinds = crash(
        tmp_path, "--rounds", "3", "--kinds", "analyze", "analyze, step", "analyze, limit"
    )
    assert kinds["analyze"]["interrupted"] > 3
    assert sum(kind["with_frames"] for kind in kinds.values()) > 6
    kinds = crash(tmp_path, "--rounds", "10", "--kinds", "two writers")
    assert kinds["two writers"]["trials"] == 10


@pytest.mark.slow
def test_a_minute_of_everything(tmp_path: Path) -> None:
    kinds = crash(tmp_path, "--seconds", "60")
    assert sum(kind["interrupted"] for kind in kinds.values()) > 20
    assert all(kind["trials"] for kind in kinds.values())
