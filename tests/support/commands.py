"""Run the command line in a test, and what it left."""

from __future__ import annotations

import os
from typing import Any

from typer.testing import CliRunner, Result

from ase_crystalnet.cli.app import app


def run(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result: Result, code: int = 2) -> str:
    """The one line on stderr; nothing else may be there."""
    assert result.exit_code == code, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("crystalnet: error: ")
    return lines[0]


def files() -> set[str]:
    return {name for name in os.listdir() if name != "md.extxyz"}
