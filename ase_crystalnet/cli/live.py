"""Command `crystalnet live`: analyse a simulation while it runs, over IMD."""

from __future__ import annotations

import contextlib
import math
import operator
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_crystalnet.cli import analyze as _analyze
from ase_crystalnet.cli.errors import one_line_errors
from ase_crystalnet.cli.options import (
    Engine,
    Model,
    QuietRemarks,
    lindemann_window,
    overwrite_option,
    window_atoms_option,
)
from ase_crystalnet.cli.progress import say_unless
from ase_crystalnet.errors import InputError

if TYPE_CHECKING:
    from ase_crystalnet.live.monitor import Callback, Monitor
    from ase_crystalnet.live.source import LiveSource
    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["live"]

_COMPARE = {"<": operator.lt, ">": operator.gt}
_QUANTITIES = ("order", "certainty", "lindemann")


class TimeUnit(StrEnum):
    """In which the simulation states its time."""

    ps = "ps"
    fs = "fs"
    ns = "ns"


@one_line_errors
def live(
    address: Annotated[
        str,
        typer.Argument(
            metavar="HOST:PORT", help="Where the simulation listens for IMD, or a port of here."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE.h5",
            help="Results, whole after every frame; `crystalnet plot` may read it meanwhile.",
        ),
    ] = None,
    every: Annotated[
        int | None,
        typer.Option(
            metavar="STEPS", min=1, help="Ask for a frame every so many steps. Default: its own."
        ),
    ] = None,
    all_frames: Annotated[
        bool,
        typer.Option(
            "--all-frames",
            help="Analyse every frame that is sent; the simulation waits meanwhile. Otherwise the "
            "newest is taken, and it never waits.",
        ),
    ] = False,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION",
            help="End the simulation once it holds: a share of a class, 'disordered>0.5', or "
            "'order<0.3', 'lindemann>0.15', 'certainty<0.5'.",
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Leave after so many frames; it goes on running."),
    ] = None,
    model: Model = None,
    centers: Annotated[
        _analyze.Centers, typer.Option(help="Where windows are cut: as of analyze.")
    ] = _analyze.Centers.grid,
    spacing: Annotated[float | None, typer.Option(metavar="ANGSTROM", help="Of the grid.")] = None,
    window_atoms: Annotated[int | None, window_atoms_option("Atoms in a window.")] = None,
    min_certainty: Annotated[
        float | None, typer.Option(metavar="P", help="Refuse labels less certain than this.")
    ] = None,
    names: Annotated[
        str | None, typer.Option(metavar="NAMES", help="What classes mean: as of analyze.")
    ] = None,
    lindemann: Annotated[
        str | None,
        typer.Option(
            metavar="N",
            help="Lindemann parameter over the N latest frames; 'all' for all so far. Without, "
            "that of each frame alone is shown.",
        ),
    ] = None,
    topology: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Structure of the same atoms in the order of their ids: species, periodic "
            "directions, and the cell if the simulation sends none.",
        ),
    ] = None,
    pbc: Annotated[
        str | None, typer.Option(metavar="xyz", help="Periodic directions, such as xy, or none.")
    ] = None,
    time_unit: Annotated[
        TimeUnit, typer.Option(help="In which the simulation counts: LAMMPS 'units real' has fs.")
    ] = TimeUnit.ps,
    wait: Annotated[
        float, typer.Option(metavar="S", help="Wait so long for a simulation to listen.")
    ] = 10.0,
    reconnect: Annotated[
        float,
        typer.Option(metavar="S", help="When it ends, wait so long for it to be started again."),
    ] = 0.0,
    engine: Engine = None,
    overwrite: Annotated[bool, overwrite_option("an existing output")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on after the last frame of the output, if it is there."),
    ] = False,
    quiet: QuietRemarks = False,
) -> None:
    """Analyse a simulation while it runs: nothing of its trajectory goes to a disk.

    LAMMPS: `fix watch all imd 5678 version 3 trate 1000 velocities off forces off`; it then waits
    for this command. In a terminal the shares of the classes are drawn, else there is a line a
    frame. The simulation does not notice if this command ends, is killed, or comes back with
    --resume; if the simulation ends, all frames are kept.

    **Examples**

    ```
    crystalnet live localhost:5678 -o run.h5
    crystalnet live 5678 -o run.h5 --resume --every 2000 --lindemann 50
    crystalnet live node7:5678 --until "disordered>0.5"
    ```
    """
    from ase_crystalnet.classifier.card import ModelCard, find_model
    from ase_crystalnet.live.monitor import Monitor
    from ase_crystalnet.live.source import LiveSource, parse_address
    from ase_crystalnet.local.names import meaning_of, model_of

    parse_address(address)
    latest = lindemann_window(lindemann)
    if resume and output is None:
        raise InputError("--resume: needs an output to go on with (-o FILE.h5)")
    if output is not None and output.suffix not in (".h5", ".hdf5"):
        raise InputError(f"{output}: expected a .h5 file; other formats: crystalnet analyze")
    model = model or model_of(meaning_of(_analyze.classes_of(names))[0])
    settings: dict[str, Any] = {
        "window_atoms": window_atoms,
        "min_certainty": min_certainty,
        "names": names,
    }
    # Loaded before the simulation is told to go on: it may be waiting for us.
    analyzer = _analyze.make_analyzer(
        _analyze.Settings(
            [], ":", model, centers.value, spacing, **settings, lindemann=lindemann,
            model_sha256=ModelCard.read(find_model(model)).sha256,
        ),
        engine=engine,
        in_workers=False,
    )  # fmt: skip
    options: dict[str, Any] = {
        "every": every,
        "all_frames": all_frames,
        "like": _structure(topology),
        "pbc": _directions(pbc),
        "time_unit": time_unit.value,
    }
    with Monitor(
        analyzer,
        output,
        on=None if until is None else condition(until, getattr(analyzer, "classes", None)),
        lindemann=latest,
        centers=centers.value,
        spacing=spacing,
        overwrite=overwrite,
        resume=resume,
        source=f"imd://{address}",
        settings=settings,
    ) as monitor:
        if monitor.frames:
            say_unless(quiet)(f"{output}: goes on after {monitor.frames} frames")
        wanted = None if frames is None else monitor.frames + frames
        patience = wait
        with _view(quiet) as show:
            while True:
                try:
                    source = LiveSource(address, patience=patience, **options)
                except InputError:
                    if patience == wait and not monitor.frames:
                        raise
                    break
                with source:
                    why = _follow(source, monitor, show, wanted)
                patience = reconnect
                if not reconnect or monitor.stopped or monitor.frames == wanted:
                    break
        summary = monitor.summary()
    say_unless(quiet)(f"{why}; {monitor.frames} frames" + (f" in {output}" if output else ""))
    if monitor.failed:
        say_unless(quiet)(f"{monitor.failed} frames could not be analysed")
    if summary is None:
        raise InputError(f"{address}: ended before a frame could be analysed")
    typer.echo(_analyze.table_of(summary))


def _follow(
    source: LiveSource, monitor: Monitor, show: Callable[[Monitor, str], None], wanted: int | None
) -> str:
    """Analyse what comes; why it ended."""
    before, missed, number = monitor.frames, 0, 0
    for frame in source:
        missed += max(frame.number - number - 1, 0) if number else 0
        number = frame.number
        if monitor(frame.atoms) is not None:
            passed = f", {missed} passed over" if missed else ""
            show(monitor, f"{len(frame.atoms)} atoms, {monitor.frames - before} frames{passed}")
        if monitor.stopped:
            source.kill()
            return "the condition holds; the simulation was told to end"
        if monitor.frames == wanted:
            return "left; the simulation goes on"
    return source.why


@contextlib.contextmanager
def _view(quiet: bool) -> Iterator[Callable[[Monitor, str], None]]:
    """A view that is drawn anew in a terminal, or a line a frame."""
    from rich.console import Console
    from rich.live import Live

    from ase_crystalnet.live.view import line, screen

    console = Console(stderr=True)
    if quiet:
        yield lambda monitor, state: None
    elif not console.is_terminal:

        def write(monitor: Monitor, state: str) -> None:
            summary = monitor.summary()
            if summary is not None:
                print(line(summary), file=sys.stderr, flush=True)

        yield write
    else:
        with Live(screen(None, "waiting for frames"), console=console, transient=True) as view:
            yield lambda monitor, state: view.update(
                screen(monitor.summary(), state, max(console.width - 30, 10)), refresh=True
            )


def condition(text: str, classes: Sequence[str] | None = None) -> Callback:
    """What `--until` asks of each frame, whose classes may be known beforehand.

    Raises
    ------
    InputError
        It is not a name, < or >, and a number, or the name is no class and no quantity.
    """
    found = re.fullmatch(r"\s*([\w/-]+)\s*([<>])\s*([\d.]+(?:[eE][-+]?\d+)?)\s*", text)
    if found is None:
        raise InputError(
            f"--until: expected a name, < or > and a number, such as 'disordered>0.5', got {text!r}"
        )
    name, compare, limit = found[1], _COMPARE[found[2]], float(found[3])
    if classes is not None and name not in (*classes, *_QUANTITIES):
        known = ", ".join([*classes, *_QUANTITIES])
        raise InputError(f"--until: expected one of {known}, got {name!r}")

    def holds(frame: FrameAnalysis) -> bool:
        over = frame.lindemann_index
        values = {
            **dict(zip(frame.classes, frame.class_fractions, strict=True)),
            "order": frame.mean_order,
            "certainty": frame.mean_certainty,
            "lindemann": frame.mean_snapshot_lindemann if math.isnan(over) else over,
        }
        return bool(compare(values[name], limit))

    return holds


def _structure(topology: str | None) -> Any:
    if topology is None:
        return None
    from ase_crystalnet.io.trajectories.stream import iter_frames

    for frame in iter_frames([topology], 0, 1):
        atoms = frame.atoms
        ids = atoms.arrays.get("id")
        return atoms if ids is None else atoms[ids.argsort()]
    raise InputError(f"{topology}: holds no structure")


def _directions(text: str | None) -> Any:
    if text is None:
        return None
    if text != "none" and (not text or set(text) - set("xyz")):
        raise InputError(f"--pbc: expected letters of xyz, or none, got {text!r}")
    return [text != "none" and axis in text for axis in "xyz"]
