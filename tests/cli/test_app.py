"""The program `crystalnet` as a whole: its help and its version."""

from __future__ import annotations

import subprocess
import sys

from tests.support import REPOSITORY
from tests.support.commands import run


def test_help_teaches_and_loads_nothing_heavy() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ase_crystalnet.cli.entry", "--help"],
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        check=True,
    )
    for word in ("analyze", "plot", "fingerprint", "models", "crystalnet analyze md.extxyz"):
        assert word in done.stdout
    for heavy in ("tensorflow", "matplotlib", "h5py", "numba", "scipy", "numpy", "ase"):
        assert f" {heavy}\n" not in done.stderr
    shown = run("analyze", "--help").output
    assert "--frames ::10" in shown and "--resume" in shown


def test_version() -> None:
    result = run("--version")
    assert result.exit_code == 0
    assert result.stdout.startswith("crystalnet 0.")
