"""The command `crystalnet xrd library`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from tests.support.commands import run

xrd = partial(run, "xrd")


def test_a_library_of_ones_own(halite: Path, tmp_path: Path) -> None:
    result = xrd("library", halite.parent, "-o", tmp_path / "own.npz", "--processes", 1)
    assert result.exit_code == 0, result.output
    assert "1 patterns" in result.stdout
    said = xrd("classify", halite, "--library", tmp_path / "own.npz", "--model", "none")
    assert "halite; correlation" in said.stdout
    wrong = xrd("classify", halite, "--library", tmp_path / "none.npz")
    assert wrong.exit_code == 1 and "missing" in wrong.stderr


def test_structures_of_ones_own_join_the_shipped_phases(halite: Path, tmp_path: Path) -> None:
    result = xrd("library", halite.parent, "-o", tmp_path / "j.npz", "--join", "--processes", 1)
    assert result.exit_code == 0, result.output
    assert " phases" in result.stdout
    alone = xrd(
        "library", halite.parent, "-o", tmp_path / "a.npz", "--join", "--alone", "--processes", 1
    )
    assert "wrote" in alone.stdout and ": 1 phases" in alone.stdout
    said = xrd("classify", halite, "--library", tmp_path / "a.npz", "--model", "none")
    assert said.exit_code == 0, said.output
    assert "space group 225, halite: " in said.stdout
    wrong = xrd("library", halite.parent, "-o", tmp_path / "b.npz", "--alone")
    assert wrong.exit_code == 2 and "--join" in wrong.stderr
