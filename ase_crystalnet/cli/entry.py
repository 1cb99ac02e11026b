"""The command `crystalnet`: arguments and help. The work is done in `commands`.

Nothing heavy is imported here, so that ``crystalnet --help`` answers at once.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ase_crystalnet.cli.apt import apt
from ase_crystalnet.cli.errors import one_line_errors
from ase_crystalnet.cli.explain import explain
from ase_crystalnet.cli.models import evaluate, models, train_app
from ase_crystalnet.cli.reproduce import reproduce_app
from ase_crystalnet.cli.xrd.app import xrd_app

__all__ = ["app", "main"]


class Centers(StrEnum):
    """Where windows are cut."""

    atoms = "atoms"
    grid = "grid"
    adaptive = "adaptive"


class Kind(StrEnum):
    """What to draw of a result."""

    fractions = "fractions"
    slice = "slice"
    fingerprint = "fingerprint"


class Axis(StrEnum):
    """Normal of a slice."""

    x = "x"
    y = "y"
    z = "z"


app = typer.Typer(
    name="crystalnet",
    no_args_is_help=True,
    add_completion=False,
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
app.add_typer(train_app, name="train")
app.add_typer(reproduce_app, name="reproduce")
app.add_typer(xrd_app, name="xrd")


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"crystalnet {version('ase-crystalnet')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    # TensorFlow reports on stderr what it found on the machine; only its errors are of use here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@app.command()
@one_line_errors
def analyze(
    trajectory: Annotated[
        list[str],
        typer.Argument(
            metavar="TRAJ",
            help="Structure or trajectory files: anything ASE reads (extxyz, LAMMPS dump and data, "
            ".traj, POSCAR, XDATCAR, CIF ...; also .gz) and GSD. Several are taken as one.",
        ),
    ],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where results go; may be repeated. .h5: everything, compressed. .extxyz: the "
            "structures with labels per atom, for OVITO. .csv: one row a frame.",
        ),
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a model, or its folder.")] = "local",
    centers: Annotated[
        Centers,
        typer.Option(
            help="A window around every atom; on a coarser grid (faster); or on a grid, and at "
            "every atom where its windows disagree."
        ),
    ] = Centers.atoms,
    spacing: Annotated[
        float | None,
        typer.Option(
            metavar="ANGSTROM", help="Of the grid; by default 2.45 neighbour distances in a metal."
        ),
    ] = None,
    window_atoms: Annotated[
        int, typer.Option(metavar="N", help="Atoms in a window, 64 to 512: fewer see finer.")
    ] = 250,
    min_certainty: Annotated[
        float | None,
        typer.Option(metavar="P", help="Refuse labels less certain than this (0 to 1)."),
    ] = None,
    frames: Annotated[
        str, typer.Option(metavar="START:STOP:STEP", help="Which frames, as in Python.")
    ] = ":",
    lindemann: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Lindemann parameter over the N latest frames; 'all' for all frames so far.",
        ),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Format of TRAJ as ASE calls it, if it is not found."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Frames at a time, each in a process with its share of the cores."
        ),
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Use the workers of this Dask scheduler (tcp://...)."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing outputs.")] = (
        False
    ),
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with an interrupted run; give it from the start to keep what an error or "
            "Ctrl-C leaves. Needs a .h5 output.",
        ),
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar and no remarks.")
    ] = False,
) -> None:
    """Classify a structure or a trajectory, frame by frame.

    The table of results goes to stdout, progress and remarks to stderr. Outputs appear under their
    names when all is done, never half-written. If a frame cannot be read, those before it are
    kept and the exit code is 1. Results do not depend on --workers or --dask.

    **Examples**

    ```
    crystalnet analyze POSCAR
    crystalnet analyze md.lammpstrj --frames ::10 -o run.h5 -o run.csv -o labelled.extxyz
    crystalnet analyze part1.traj part2.traj --lindemann 50 -o run.h5
    crystalnet analyze huge.dump --centers grid --spacing 6 --min-certainty 0.9 -o run.h5
    crystalnet analyze long.extxyz -o run.h5 --resume --workers 8
    ```
    """
    from ase_crystalnet.cli import commands

    commands.analyze(
        commands.AnalyzeOptions(
            trajectory=trajectory,
            output=list(output or []),
            model=model,
            centers=centers.value,
            spacing=spacing,
            window_atoms=window_atoms,
            min_certainty=min_certainty,
            frames=frames,
            lindemann=lindemann,
            format=format,
            workers=workers,
            dask=dask,
            overwrite=overwrite,
            resume=resume,
            quiet=quiet,
        )
    )


@app.command()
@one_line_errors
def plot(
    result: Annotated[Path, typer.Argument(metavar="RESULT.h5", help="From `analyze -o`.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PLACE",
            help="A folder, or with one --kind a .png, .pdf or .svg file. Default: beside RESULT.",
        ),
    ] = None,
    kind: Annotated[
        list[Kind] | None,
        typer.Option(help="What to draw; may be repeated. Default: fractions and slice."),
    ] = None,
    frame: Annotated[
        int, typer.Option(metavar="I", help="Frame of the slice, in RESULT; -1 is the last.")
    ] = -1,
    axis: Annotated[
        Axis | None, typer.Option(help="Normal of the slice; default: where it is thinnest.")
    ] = None,
    position: Annotated[
        float | None, typer.Option(metavar="ANGSTROM", help="Of the slice; default the middle.")
    ] = None,
    thickness: Annotated[
        float | None, typer.Option(metavar="ANGSTROM", help="Of the slice; default one layer.")
    ] = None,
    window: Annotated[
        int, typer.Option(metavar="I", help="Window of the fingerprint; reads the trajectory.")
    ] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing figures.")] = (
        False
    ),
) -> None:
    """Draw phase fractions, slices and fingerprints of a result.

    **Examples**

    ```
    crystalnet plot run.h5
    crystalnet plot run.h5 --kind slice --frame 12 --axis x --position 20 -o slice.pdf
    crystalnet plot run.h5 --kind fingerprint --window 100 -o figures
    ```
    """
    from ase_crystalnet.cli import commands

    commands.plot(
        result,
        output,
        [k.value for k in kind or [Kind.fractions, Kind.slice]],
        frame=frame,
        axis=axis.value if axis else None,
        position=position,
        thickness=thickness,
        window=window,
        overwrite=overwrite,
    )


@app.command()
@one_line_errors
def fingerprint(
    structure: Annotated[str, typer.Argument(metavar="STRUCTURE", help="Anything ASE reads.")],
    output: Annotated[
        list[Path],
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help=".png, .pdf or .svg for a figure, .npy for the array (64, 64, 3).",
        ),
    ],
    center: Annotated[
        int, typer.Option(metavar="I", help="Atom in the middle of the window, from 0.")
    ] = 0,
    window_atoms: Annotated[int, typer.Option(metavar="N", help="Atoms in the window.")] = 250,
    frame: Annotated[int, typer.Option(metavar="I", help="Frame of a trajectory.")] = 0,
    format: Annotated[str | None, typer.Option(metavar="NAME", help="Format as ASE says.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = (
        False
    ),
) -> None:
    """Compute the diffraction fingerprint of one window.

    **Example**

    ```
    crystalnet fingerprint POSCAR --center 12 -o window.png -o window.npy
    ```
    """
    from ase_crystalnet.cli import commands

    commands.fingerprint(
        structure,
        output,
        center=center,
        window_atoms=window_atoms,
        frame=frame,
        format=format,
        overwrite=overwrite,
    )


app.command()(explain)
app.command()(apt)
app.command()(models)
app.command()(evaluate)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
