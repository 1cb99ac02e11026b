"""The Python of README and docs runs, and their commands are ones that the command line knows."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import typer

from ase_crystalnet.cli.app import app
from tests.support import REPOSITORY
from tests.support.pages import Block, blocks, commands, mentions, pages
from tests.support.walks import write_samples

#: Blocks of Python that may carry the mark "not run".
MOST_NOT_RUN = 3


def name_of(page: Path) -> str:
    return str(page.relative_to(REPOSITORY))


def python(page: Path) -> list[Block]:
    return [block for block in blocks(page) if block.language == "python"]


WITH_PYTHON = [page for page in pages() if any(not block.not_run for block in python(page))]


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files that the pages speak of, small."""
    folder = tmp_path_factory.mktemp("samples")
    write_samples(folder)
    (folder / "examples").symlink_to(REPOSITORY / "examples")
    return folder


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_the_python_of_a_page_runs(page, samples, tmp_path, monkeypatch):
    if "ovito" in page.read_text(encoding="utf-8"):
        pytest.importorskip("ovito", reason="OVITO is not installed (pip install '.[ovito]')")
    shutil.copytree(samples, tmp_path / "here", symlinks=True)
    monkeypatch.chdir(tmp_path / "here")
    namespace: dict[str, Any] = {"__name__": page.stem}
    for block in python(page):
        if block.not_run:
            continue
        # Lines of the page, so that a failure names the line of the page.
        source = "\n" * (block.line - 1) + block.code
        exec(compile(source, name_of(page), "exec"), namespace)


def test_few_blocks_are_not_run():
    marked = [block.not_run for page in pages() for block in python(page) if block.not_run]
    assert all(marked) and len(marked) <= MOST_NOT_RUN


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_the_commands_of_a_page_can_be_given(page):
    for line, words in commands(page):
        try:
            parse(words)
        except Exception as error:
            pytest.fail(f"{name_of(page)}:{line}: crystalnet {' '.join(words)}: {said(error)}")


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_the_commands_named_in_the_text_exist(page):
    """Their arguments may be left out or stand for others (`-o FILE`), their options may not."""
    for words in mentions(page):
        try:
            parse(words)
        except LookupError as error:
            pytest.fail(f"{name_of(page)}: crystalnet {' '.join(words)}: no command {error}")
        except Exception as error:
            unknown = type(error).__name__ == "NoSuchOption"
            assert not unknown, f"{name_of(page)}: crystalnet {' '.join(words)}: {said(error)}"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_the_files_that_a_page_links_to_exist(page):
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    local = [target for target in targets if not target.startswith(("http://", "https://"))]
    assert [target for target in local if not (page.parent / target).exists()] == []


def test_the_readme_shows_the_command_line_and_python():
    readme = REPOSITORY / "README.md"
    assert len(readme.read_text(encoding="utf-8").splitlines()) <= 120
    assert len(commands(readme)) == 6
    assert 1 <= len(python(readme)) <= 2


def parse(words: list[str]) -> None:
    """Parse a command with the parser of the command line; nothing is executed."""
    command = typer.main.get_command(app)
    words = list(words)
    while hasattr(command, "commands"):
        if not words or words[0].startswith("-"):
            return
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)


def said(error: Exception) -> str:
    return getattr(error, "message", "") or repr(error)
