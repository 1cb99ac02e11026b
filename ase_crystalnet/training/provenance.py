"""Which code made a model: a line of every card."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ase_crystalnet.io.whole_files import write_whole

__all__ = ["code_that_began", "code_version"]


def code_version() -> str:
    """Version of the package and, in a checkout, of the code."""
    try:
        number = version("ase-crystalnet")
    except PackageNotFoundError:
        number = "unknown"
    git = shutil.which("git")
    if git is None:
        return number
    done = subprocess.run(
        [git, "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return f"{number} ({done.stdout.strip()})" if done.returncode == 0 else number


def code_that_began(run: Path) -> str:
    """Version of the code that began the run of a folder, not of that which resumes it."""
    kept = run / "code_version"
    if not kept.is_file():
        write_whole(kept, code_version())
    return kept.read_text()
