"""Files that are whole or absent: written to a temporary name, then renamed."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["part_of", "write_whole"]


def part_of(path: Path) -> Path:
    """Name of the file while it is being made."""
    return path.with_name(path.name + ".part")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is whole or not there; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".new")
    try:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
