"""How much a command says, what its help shows of flags, and what the shell offers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer
import typer.main

from ase_crystalnet._compute.compiling import Compilation, compilation
from ase_crystalnet.cli.app import app
from ase_crystalnet.cli.errors import one_line_errors
from ase_crystalnet.cli.progress import detail, say
from ase_crystalnet.errors import InputError
from tests.support import REPOSITORY
from tests.support.commands import refused, run


@pytest.fixture
def talk() -> typer.Typer:
    """A command that says something of each kind, and compiles when it is told to."""
    program = typer.Typer()

    @program.command()
    @one_line_errors
    def talk(fail: bool = False, compiles: float = 0.0) -> None:
        say("remark")
        detail("detail")
        if compiles:
            compilation.began()
            compilation.ended()
            compilation.seconds += compiles
        if fail:
            raise InputError("the input is wrong")
        typer.echo("answer")

    return program


def said(program: typer.Typer, *arguments: str) -> tuple[int, str, list[str]]:
    from typer.testing import CliRunner

    result = CliRunner().invoke(program, list(arguments))
    return result.exit_code, result.stdout, result.stderr.splitlines()


def test_quiet_and_verbose(talk: typer.Typer) -> None:
    assert said(talk) == (0, "answer\n", ["remark"])
    assert said(talk, "-q") == (0, "answer\n", [])
    assert said(talk, "-v") == (0, "answer\n", ["remark", "detail"])
    code, _, lines = said(talk, "--fail")
    assert code == 2 and lines == ["remark", "crystalnet: error: the input is wrong"]
    code, _, lines = said(talk, "--fail", "--verbose")
    assert code == 2 and lines[2] == "crystalnet: error: the input is wrong"
    assert "raise InputError" in "\n".join(lines[3:])  # where it came from
    code, _, lines = said(talk, "-q", "-v")
    assert code == 2 and len(lines) == 1 and "exclude each other" in lines[0]


def test_compiling_is_said_with_its_time(talk: typer.Typer) -> None:
    lines = said(talk, "--compiles", "31")[2]
    assert len(lines) == 2 and "inner loops took 31 s" in lines[1]
    assert said(talk, "--compiles", "0.5")[2] == ["remark"]  # not worth a word
    assert said(talk, "--compiles", "31", "-q")[2] == []


def test_loops_within_loops_are_counted_once() -> None:
    told: list[str] = []
    one = Compilation(on_begin=lambda: told.append("begun"))
    one.began()
    one.began()
    one.ended()
    between = one.seconds
    one.ended()
    assert between == 0 < one.seconds
    one.began()
    one.ended()
    assert one.loops == 3 and told == ["begun"]


def test_numba_tells_what_it_compiles() -> None:
    code = (
        "from ase_crystalnet._compute.options import JIT\n"
        "from ase_crystalnet._compute.compiling import compilation\n"
        "from numba import njit\n"
        "before = compilation.loops\n"
        "njit(lambda x: x + 1)(1)\n"
        "print(compilation.loops - before, compilation.seconds > 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    assert done.stdout.split()[1] == "True" and int(done.stdout.split()[0]) >= 1


def commands() -> list[tuple[str, ...]]:
    """Names of all commands, as one types them."""

    def below(group: typer.core.TyperGroup, names: tuple[str, ...]) -> list[tuple[str, ...]]:
        found = []
        for name, command in group.commands.items():
            deeper = getattr(command, "commands", None)
            found += [(*names, name)] if deeper is None else below(command, (*names, name))
        return found

    return below(typer.main.get_command(app), ())


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_flags_show_as_flags_and_every_command_can_be_quiet(command: tuple[str, ...]) -> None:
    shown = run(*command, "--help").output
    assert "bool" not in shown.lower()
    assert "--quiet" in shown and "--verbose" in shown and "-h" in shown


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("crystalnet an", ["analyze"]),
        ("crystalnet train a", ["atomprobe"]),
        ("crystalnet analyze --centers gr", ["grid"]),
        ("crystalnet analyze --model local", ["local", "local-fast"]),
        ("crystalnet apt --model z", ["ziletti2018"]),
        ("crystalnet analyze --over", ["--overwrite"]),
    ],
)
def test_the_shell_completes(typed: str, offered: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.argv = ['crystalnet'];"
         "from ase_crystalnet.cli import main; main()"],
        env={
            **os.environ,
            "_CRYSTALNET_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        },
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
    )  # fmt: skip
    assert done.stdout.split() == offered, done.stderr


def test_an_error_of_a_command_can_be_traced(tmp_path: Path) -> None:
    missing = tmp_path / "missing.extxyz"
    refused(run("analyze", missing))
    lines = run("analyze", missing, "-v").stderr.splitlines()
    assert lines[0].startswith("crystalnet: error:") and any("Traceback" in x for x in lines[1:])
