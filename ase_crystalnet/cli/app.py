"""The program `crystalnet`: its help, and which commands it has.

Neither this module nor those of the commands import anything heavy when they are loaded, so that
``crystalnet --help`` answers at once.
"""

from __future__ import annotations

import os
from typing import Annotated

import typer

from ase_crystalnet.cli.analyze import analyze
from ase_crystalnet.cli.apt import apt
from ase_crystalnet.cli.commands import Command, Group
from ase_crystalnet.cli.compare import compare
from ase_crystalnet.cli.crystals import crystals
from ase_crystalnet.cli.evaluate import evaluate
from ase_crystalnet.cli.explain import explain
from ase_crystalnet.cli.fingerprint import fingerprint
from ase_crystalnet.cli.live import live
from ase_crystalnet.cli.melt import melt
from ase_crystalnet.cli.models import models
from ase_crystalnet.cli.plot import plot
from ase_crystalnet.cli.report import report
from ase_crystalnet.cli.reproduce import reproduce_app
from ase_crystalnet.cli.tip import tip
from ase_crystalnet.cli.train import train_app
from ase_crystalnet.cli.xrd.app import xrd_app

__all__ = ["app"]

app = typer.Typer(
    name="crystalnet",
    no_args_is_help=True,
    cls=Group,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Which crystal is this, how sure is that, how disordered is it?\n\n"
        "Classifies local windows of an atomistic structure or trajectory from their diffraction "
        "fingerprints: class, certainty, order and disorder of every window, atom and frame.\n\n"
        "**Begin with**\n\n```\n"
        "crystalnet analyze md.extxyz -o run.h5 -o run.csv\n"
        "crystalnet plot run.h5\n```"
    ),
)
for command in (
    analyze, live, melt, crystals, compare, plot, report, fingerprint, explain, apt, tip, models,
    evaluate,
):  # fmt: skip
    app.command(cls=Command)(command)
app.add_typer(train_app, name="train")
app.add_typer(reproduce_app, name="reproduce")
app.add_typer(xrd_app, name="xrd")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"crystalnet {version('ase-crystalnet')}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    # TensorFlow reports on stderr what it found on the machine; only its errors are of use here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # spglib writes what it tried in vain to stderr.
    os.environ.setdefault("SPGLIB_WARNING", "OFF")
