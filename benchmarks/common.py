"""What the benchmarks share: where they ran, tables, JSON."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ase_crystalnet.io import write_whole

__all__ = ["markdown", "peak_memory", "show", "where", "write_json"]


def where() -> dict[str, Any]:
    """Commit, processor and Python of a run."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "commit": done.stdout.strip() or "unknown",
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "command": " ".join(
            ["python", "benchmarks/" + Path(sys.argv[0]).name, *map(_portable, sys.argv[1:])]
        ),
    }


def peak_memory() -> float:
    """Largest resident memory of this process so far, MB.

    Linux keeps it by itself; what `getrusage` says begins with the size of the parent process.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _portable(word: str) -> str:
    """A word of the command line; a folder of somebody's machine becomes $CRYSTALNET_DATA."""
    here = Path(__file__).resolve().parents[1]
    path = Path(word)
    outside = path.is_dir() and not path.resolve().is_relative_to(here)
    return "$CRYSTALNET_DATA" if outside else word


def markdown(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A markdown table."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines)


def show(text: str) -> None:
    """Write a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def write_json(path: Path | None, data: dict[str, Any]) -> None:
    """Write results, complete or not at all; nothing without a path."""
    if path is None:
        return
    write_whole(path, json.dumps({"where": where(), **data}, indent=1) + "\n")
