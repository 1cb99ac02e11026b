"""Code in the pages: blocks of Python, and commands of `crystalnet`."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from tests.support import REPOSITORY

__all__ = ["Block", "blocks", "commands", "mentions", "pages"]

_MARK = re.compile(r"<!-- not run: (.+) -->")


@dataclass(frozen=True)
class Block:
    """One block of code of a page.

    Attributes
    ----------
    language : str
        What stands behind the fence; "indented" for a block without one.
    line : int
        Of its first line of code, from 1.
    code : str
    not_run : str
        Why it is not run, by the comment before it; empty if it is.
    """

    language: str
    line: int
    code: str
    not_run: str


def pages() -> list[Path]:
    """README, the pages below docs/, and those of the examples."""
    folders = ("docs", "examples")
    found = [page for folder in folders for page in sorted((REPOSITORY / folder).rglob("*.md"))]
    return [REPOSITORY / "README.md", *found]


def blocks(page: Path) -> list[Block]:
    """Blocks of code of a page, in order."""
    lines = page.read_text(encoding="utf-8").splitlines()
    found, start, fence, before = [], 0, None, ""
    for number, line in enumerate(lines):
        if fence is not None:
            if line.strip() == "```":
                mark = _MARK.fullmatch(before)
                code = "\n".join(lines[start:number])
                found.append(Block(fence, start + 1, code, mark[1] if mark else ""))
                fence, before = None, ""
        elif line.startswith("```"):
            fence, start = line[3:].strip(), number + 1
        elif line.startswith("    "):
            found.append(Block("indented", number + 1, line.strip(), ""))
        elif line.strip():
            before = line.strip()
    assert fence is None, f"{page}: a block is not closed"
    return found


def commands(page: Path) -> list[tuple[int, list[str]]]:
    """Commands `crystalnet ...` in the blocks of a page: line and arguments."""
    found = []
    for block in blocks(page):
        if block.language in ("python", "text"):
            continue
        whole = block.code.replace("\\\n", " ")
        for line in whole.splitlines():
            if line.startswith("crystalnet "):
                found.append((block.line, shlex.split(line, comments=True)[1:]))
    return found


def mentions(page: Path) -> list[list[str]]:
    """Commands named in running text: `crystalnet ...` between back ticks; arguments."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [shlex.split(each)[1:] for each in re.findall(r"`(crystalnet\s[^`]+)`", text)]
