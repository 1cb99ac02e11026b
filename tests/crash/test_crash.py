"""A small run of the crash test; the long one is ``python -m tests.crash``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support import REPOSITORY
from tests.support.small_trainings import TRAININGS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and fork are POSIX")


def figures(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, figures by kind, and what was said."""
    place = folder / "crash.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash", "--json", str(place), *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert place.exists(), said
    return done.returncode, json.loads(place.read_text())["kinds"], said


def crash(folder: Path, *arguments: str) -> dict[str, Any]:
    """Figures of a run, by kind; nothing may have been lost."""
    code, kinds, said = figures(folder, *arguments)
    assert code == 0, said
    assert sum(kind["faults"] for kind in kinds.values()) == 0, said
    return kinds


def test_a_few_kills_and_writers_at_twenty_interleavings(tmp_path: Path) -> None:
    kinds = crash(
        tmp_path,
        *("--rounds", "3", "--kinds", "analyze", "analyze, frame", "analyze, step"),
        *("analyze, limit", "observer"),
    )
    assert kinds["analyze"]["interrupted"] > 3
    assert sum(kind["with_frames"] for kind in kinds.values()) > 9
    kinds = crash(tmp_path, "--rounds", "10", "--kinds", "two writers", "four writers")
    assert kinds["two writers"]["trials"] == kinds["four writers"]["trials"] == 10


def test_full_disks_and_signals_in_commands_that_write_whole_files(tmp_path: Path) -> None:
    names = ("outputs", "xrd", "figures")
    wanted = [f"{name}, {way}" for name in names for way in ("full", "limit")] + ["checkpoint"]
    kinds = crash(tmp_path, "--rounds", "3", "--kinds", *wanted, "xrd", "figures")
    assert all(kinds[name]["interrupted"] for name in wanted)


@pytest.mark.parametrize(
    ("protection", "kind", "rounds"),
    [
        ("lock", "two writers", 12),
        ("mark", "analyze, frame", 3),
        ("memory", "observer", 2),
        ("room", "analyze, limit", 8),
        ("name", "figures, full", 6),
        ("name", "xrd, full", 6),
        ("name", "checkpoint", 6),
    ],
)
def test_a_protection_that_is_switched_off_is_reported(
    tmp_path: Path, protection: str, kind: str, rounds: int
) -> None:
    """Else the crash test could be blind."""
    code, kinds, said = figures(
        tmp_path, "--rounds", str(rounds), "--kinds", kind, "--sabotage", protection
    )
    assert code == 1 and kinds[kind]["faults"] > 0, said


@pytest.mark.slow
def test_a_minute_of_everything(tmp_path: Path) -> None:
    trainings = (f"training, {name}" for name in TRAININGS)
    slow = ("training", *trainings, "model folder", "analyze, dask")
    kinds = crash(tmp_path, "--seconds", "60", "--without", *slow)
    assert sum(kind["interrupted"] for kind in kinds.values()) > 20


@pytest.mark.slow
def test_a_training_and_a_cluster_that_are_killed_and_go_on(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    pytest.importorskip("distributed")
    kinds = crash(tmp_path, "--rounds", "1", "--kinds", "training", "model folder", "analyze, dask")
    assert kinds["model folder"]["interrupted"] > 20
    assert kinds["analyze, dask"]["interrupted"] >= 2


@pytest.mark.slow
def test_trainings_that_are_killed_within_a_checkpoint_go_on(tmp_path: Path) -> None:
    pytest.importorskip("tensorflow")
    names = [f"training, {name}" for name in TRAININGS]
    kinds = crash(tmp_path, "--rounds", "1", "--kinds", *names)
    assert all(kinds[name]["interrupted"] == 2 for name in names)
