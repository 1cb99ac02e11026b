"""The commands `crystalnet xrd ...`, one file each."""

from __future__ import annotations

import typer

from ase_crystalnet.cli.commands import Command, Group
from ase_crystalnet.cli.xrd.calibrate import calibrate
from ase_crystalnet.cli.xrd.classify import classify
from ase_crystalnet.cli.xrd.library import library
from ase_crystalnet.cli.xrd.simulate import simulate
from ase_crystalnet.cli.xrd.train import train

__all__ = ["xrd_app"]

xrd_app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Powder patterns: crystal system and space group, with the right to refuse.",
)
for command in (classify, simulate, library, calibrate, train):
    xrd_app.command(cls=Command)(command)
