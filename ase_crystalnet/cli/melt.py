"""Command `crystalnet melt`: melting point by two-phase runs."""

from __future__ import annotations

import csv
import io
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ase_crystalnet.cli.errors import one_line_errors, quiet_engine
from ase_crystalnet.cli.files import FIGURES, check_outputs, save_figure
from ase_crystalnet.cli.options import (
    Engine,
    Format,
    Model,
    OverwriteOutputs,
    QuietBar,
    ReaderOptions,
    reader_of_options,
)
from ase_crystalnet.cli.progress import Bar, progress_bar, say_unless
from ase_crystalnet.errors import InputError

if TYPE_CHECKING:
    from ase_crystalnet.melting.fronts import FrontMotion
    from ase_crystalnet.melting.runs import TwoPhaseRun

__all__ = ["melt"]

#: Of a window by default: half of what is usual, since cells of two phases are small.
WINDOW_ATOMS = 128


@one_line_errors
def melt(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN[@KELVIN]...",
            help="Trajectories of a crystal with its melt, one a temperature; the temperature "
            "after @ if the file does not state it.",
        ),
    ],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="May be repeated. .csv: a row a frame; .png, .pdf, .svg: thickness against time "
            "and velocity against temperature.",
        ),
    ] = None,
    timestep: Annotated[
        float | None,
        typer.Option(metavar="PS", help="Of the simulation, for files that state steps alone."),
    ] = None,
    frames: Annotated[
        str, typer.Option(metavar="START:STOP:STEP", help="Which frames of each run.")
    ] = ":",
    axis: Annotated[
        str | None,
        typer.Option(
            metavar="a|b|c", help="Cell vector from one phase to the other. Default: found."
        ),
    ] = None,
    spacing: Annotated[
        float | None,
        typer.Option(
            metavar="ANGSTROM", help="Of the windows; default: 1.5 cube roots of an atom's volume."
        ),
    ] = None,
    window_atoms: Annotated[
        int,
        typer.Option(
            metavar="N",
            help="Atoms in a window, 64 to 512: each phase must be as thick as a window is wide.",
        ),
    ] = WINDOW_ATOMS,
    model: Model = None,
    format: Format = None,
    reader: ReaderOptions = None,
    engine: Engine = None,
    overwrite: OverwriteOutputs = False,
    quiet: QuietBar = False,
) -> None:
    """Melting point by the velocity of the fronts between a crystal and its melt.

    In each run the two planar interfaces are found in every frame, the crystal between them grows
    or shrinks, and its fronts stand still at the melting point. A single run gives its velocity.

    **Examples**

    ```
    crystalnet melt t900.dump@900 t950.dump@950 --timestep 0.002 -o melt.csv -o melt.png
    crystalnet melt coexistence.extxyz --frames 10:
    ```
    """
    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.io.trajectories.stream import count_frames, parse_frames
    from ase_crystalnet.io.whole_files import write_whole
    from ase_crystalnet.melting.figures import plot_fronts
    from ase_crystalnet.melting.fronts import melting_point
    from ase_crystalnet.melting.runs import analyze_run, rows_of

    outputs = list(output or [])
    check_outputs(outputs, overwrite, (".csv", *FIGURES))
    if timestep is not None and not timestep > 0:
        raise InputError(f"--timestep: expected picoseconds, a positive number, got {timestep}")
    if axis is not None and axis not in ("a", "b", "c"):
        raise InputError(f"--axis: expected a, b or c, got {axis!r}")
    chosen = parse_frames(frames)
    which = (chosen.start or 0, chosen.stop, chosen.step or 1)
    reading = reader_of_options(reader, None, None, None)
    wanted = [run_of(text) for text in runs]
    total = [count_frames([Path(run.path)], format=format) for run in wanted]
    known = [len(range(*slice(*which).indices(n))) for n in total if n is not None]
    planned = sum(known) if len(known) == len(wanted) else None
    # Windows that were divided at boundaries would shift the profile; faults are not asked for.
    analyzer = CrystalNet(
        model, window_atoms=window_atoms, divide=False, faults=False, engine=engine
    )
    quiet_engine(analyzer.classifier.engine)
    motions: list[FrontMotion] = []
    done = 0
    with progress_bar(quiet, "frames", planned, remaining=True) as bar:
        for run in wanted:
            motion = analyze_run(
                run,
                analyzer,
                frames=which,
                timestep=timestep,
                axis=None if axis is None else "abc".index(axis),
                spacing=spacing,
                format=format,
                reader=reading,
                progress=partial(_show, bar, done, planned),
            )
            motions.append(motion)
            done += len(motion.time)
    typer.echo(_table(motions))
    point = None
    if len({motion.temperature for motion in motions if motion.velocity == motion.velocity}) > 1:
        point = melting_point(
            [motion.temperature for motion in motions],
            [motion.velocity for motion in motions],
            [motion.velocity_error for motion in motions],
        )
        typer.echo(repr(point))
    elif len(motions) > 1:
        say_unless(quiet)("no melting point: it needs moving fronts at two temperatures")
    for path in outputs:
        if path.suffix.lower() == ".csv":
            rows = rows_of(motions)
            text = io.StringIO(newline="")
            table = csv.DictWriter(text, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
            write_whole(path, text.getvalue())
        else:
            save_figure(plot_fronts(motions, point), path)
        say_unless(quiet)(f"wrote {path}")


def _show(bar: Bar, before: int, planned: int | None, done: int) -> None:
    bar("frames", before + done, planned)


def run_of(text: str) -> TwoPhaseRun:
    """File and temperature of ``FILE@KELVIN``.

    Raises
    ------
    InputError
        The temperature is none.
    """
    from ase_crystalnet.melting.runs import TwoPhaseRun

    path, at, kelvin = text.rpartition("@")
    if not at or Path(text).exists():
        return TwoPhaseRun(text)
    try:
        temperature = float(kelvin)
    except ValueError:
        temperature = float("nan")
    if not temperature > 0:
        raise InputError(f"{text}: expected kelvin after the @, got {kelvin!r}")
    return TwoPhaseRun(path, temperature)


def _table(motions: list[FrontMotion]) -> str:
    lines = [f"{'run':<24}{'T (K)':>8}{'frames':>8}{'used':>6}{'solid':>16}{'velocity (m/s)':>20}"]
    for motion in motions:
        share = f"{100 * motion.solid_fraction[0]:.0f} to {100 * motion.solid_fraction[-1]:.0f} %"
        moved = "no two fronts"
        if motion.velocity == motion.velocity:
            moved = f"{motion.velocity:.2f} +- {motion.velocity_error:.2f}"
        lines.append(
            f"{motion.name[-23:]:<24}{motion.temperature:>8.1f}{len(motion.time):>8}"
            f"{int(motion.used.sum()):>6}{share:>16}{moved:>20}"
        )
    return "\n".join(lines)
