"""Command `crystalnet analyze`: classify a structure or a trajectory, frame by frame."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_crystalnet.cli.errors import complain, one_line_errors, quiet_engine
from ase_crystalnet.cli.options import (
    AtomStyle,
    Engine,
    Model,
    OverwriteOutputs,
    QuietBar,
    ReaderOptions,
    Select,
    Species,
    Topology,
    lindemann_window,
    reader_of_options,
    window_atoms_option,
)
from ase_crystalnet.cli.progress import detail, progress_bar, say_unless
from ase_crystalnet.errors import InputError

if TYPE_CHECKING:
    from distributed import Client

    from ase_crystalnet.results.frame import FrameAnalysis
    from ase_crystalnet.results.method import Method
    from ase_crystalnet.results.trajectory import TrajectoryAnalysis, TrajectoryBuilder

__all__ = ["Settings", "analyze", "dask_cluster", "make_analyzer", "table_of"]

_ROWS_SHOWN = 24  # rows of the table of frames; a long trajectory is shown by its two ends


class Centers(StrEnum):
    """Where windows are cut."""

    atoms = "atoms"
    grid = "grid"
    adaptive = "adaptive"


@dataclass(frozen=True)
class Settings:
    """What decides the results: it must be the same when a run is resumed.

    Attributes
    ----------
    trajectory, frames, model, centers, spacing, window_atoms, min_certainty, lindemann, names,
    strain_limit, faults, reuse
        Arguments of the command, as given.
    model_sha256
        Hash of the model's weights, by its card.
    format, reader, select
        How the files were read, and which atoms count.
    references
        Files of known crystals that are classes.
    """

    trajectory: list[str]
    frames: str
    model: str
    centers: str
    spacing: float | None
    window_atoms: int | None
    min_certainty: float | None
    lindemann: str | None
    names: str | None = None
    strain_limit: float | None = None
    faults: bool = True
    reuse: bool | None = None
    model_sha256: str | None = None
    format: str | None = None
    reader: dict[str, Any] | None = None
    select: str | None = None
    references: list[str] | None = None


@one_line_errors
def analyze(
    trajectory: Annotated[
        list[str],
        typer.Argument(
            metavar="TRAJ",
            help="Structure or trajectory files: anything ASE reads (extxyz, LAMMPS dump and data, "
            ".traj, POSCAR, XDATCAR, CIF ...; also .gz, .zst), GSD, DCD, XTC, TRR, TNG, NetCDF. "
            "Several are taken as one.",
        ),
    ],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where results go; may be repeated. .h5: everything, compressed. .extxyz: the "
            "structures with labels per atom, for OVITO; .traj, .db, .json: the same for ASE, as "
            "far as they can. .csv, .parquet: one row a frame.",
        ),
    ] = None,
    model: Model = None,
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
            metavar="ANGSTROM", help="Of the grid; by default 2.75 cube roots of an atom's volume."
        ),
    ] = None,
    window_atoms: Annotated[
        int | None, window_atoms_option("Atoms in a window, 64 to 512: fewer see finer.")
    ] = None,
    min_certainty: Annotated[
        float | None,
        typer.Option(metavar="P", help="Refuse labels less certain than this (0 to 1)."),
    ] = None,
    names: Annotated[
        str | None,
        typer.Option(
            metavar="structure|symmetry|fcc,hcp,...",
            help="What classes mean: the structure, with strain and weak superlattices taken out "
            "first (default); the symmetry of a window as it is; or only these structures, all "
            "others being 'other'.",
        ),
    ] = None,
    strain_limit: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            show_default="0.1",
            help="Largest logarithmic stretch that counts as strain of a structure.",
        ),
    ] = None,
    faults: Annotated[
        bool,
        typer.Option(
            " /--no-faults",
            show_default=False,
            help="Leave out the stacking of every atom and the search for twin planes and faults.",
        ),
    ] = True,
    reuse: Annotated[
        bool | None,
        typer.Option(
            "--reuse/--no-reuse",
            show_default="on a grid",
            help="Windows that are found to show what one nearby has shown take over its answer; "
            "or every window is computed in full.",
        ),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="A known crystal (CIF, POSCAR, ...) as a further class, named after the file; "
            "may be repeated. Nothing is trained.",
        ),
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
    topology: Topology = None,
    select: Select = None,
    species: Species = None,
    atom_style: AtomStyle = None,
    reader: ReaderOptions = None,
    engine: Engine = None,
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
    dask_security: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH",
            help="Certificates for a scheduler at tls://...: a folder with ca.pem, cert.pem and "
            "key.pem, or one file that holds all three.",
        ),
    ] = None,
    overwrite: OverwriteOutputs = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Go on with an interrupted run; give it from the start to keep what an error or "
            "Ctrl-C leaves. Needs a .h5 output.",
        ),
    ] = False,
    quiet: QuietBar = False,
) -> None:
    """Classify a structure or a trajectory, frame by frame.

    The table of results goes to stdout, progress and remarks to stderr. Outputs appear under their
    names when all is done, never half-written. If a frame cannot be read, those before it are
    kept and the exit code is 1. With --workers and --dask results are the same, probabilities to
    1e-6.

    **Examples**

    ```
    crystalnet analyze POSCAR
    crystalnet analyze md.lammpstrj --frames ::10 -o run.h5 -o run.csv -o labelled.extxyz
    crystalnet analyze part1.traj part2.traj --lindemann 50 -o run.h5
    crystalnet analyze huge.dump --centers grid --spacing 6 --min-certainty 0.9 -o run.h5
    crystalnet analyze long.extxyz -o run.h5 --resume --workers 8
    crystalnet analyze ice.xtc --topology ice.gro --select "name OW" -o ice.h5
    crystalnet analyze aged.dump --reference theta.cif --reference S.cif -o labelled.extxyz
    ```
    """
    from ase_crystalnet.classifier.card import ModelCard, find_model
    from ase_crystalnet.frames.run import analyze_frames
    from ase_crystalnet.io.results.outputs import Outputs
    from ase_crystalnet.io.results.same_frames import check_same_frames
    from ase_crystalnet.io.trajectories.selection import check_selection
    from ase_crystalnet.io.trajectories.stream import count_frames, parse_frames
    from ase_crystalnet.local.names import meaning_of, model_of
    from ase_crystalnet.results.trajectory import TrajectoryBuilder

    outputs_wanted = list(output or [])
    chosen = parse_frames(frames)
    latest = lindemann_window(lindemann)
    if spacing is not None and centers is Centers.atoms:
        raise InputError(
            "--spacing is the spacing of the grid; give --centers grid or adaptive with it"
        )
    if workers is not None and dask is not None:
        raise InputError("--workers and --dask exclude each other: give one of them")
    if dask_security is not None and dask is None:
        raise InputError("--dask-security is for --dask: give the address of the scheduler with it")
    if workers is not None and workers < 1:
        raise InputError(f"--workers: expected a number from 1 on, got {workers}")
    model = model or model_of(meaning_of(classes_of(names))[0])
    if select is not None:
        check_selection(select)
    options = reader_of_options(reader, topology, atom_style, species)
    start, stop, step = chosen.start or 0, chosen.stop, chosen.step or 1
    # Reads the file names, and for common formats counts the frames.
    total = count_frames(trajectory, format=format)
    planned = None if total is None else len(range(*slice(start, stop, step).indices(total)))
    settings = Settings(
        trajectory,
        frames,
        model,
        centers.value,
        spacing,
        window_atoms,
        min_certainty,
        lindemann,
        names,
        strain_limit,
        faults,
        reuse,
        ModelCard.read(find_model(model)).sha256,
        format,
        options or None,
        select,
        reference or None,
    )
    reading: dict[str, Any] = {"format": format, "reader": options, "only": select}
    outputs = Outputs(outputs_wanted, settings=asdict(settings), overwrite=overwrite, resume=resume)
    builder: TrajectoryBuilder | None = None
    last: FrameAnalysis | None = None
    failure: InputError | None = None
    detail(f"files: {len(trajectory)}, frames in them: {'not counted' if total is None else total}")
    try:
        if earlier := outputs.earlier():
            check_same_frames(outputs.contents(), trajectory, start, stop, step, **reading)
            builder = TrajectoryBuilder(earlier.classes)
            builder.extend(earlier)
        finished = there = outputs.done
        began = time.monotonic()
        in_workers = workers is not None or dask is not None
        analyzer = make_analyzer(settings, engine=engine, in_workers=in_workers)
        with (
            dask_cluster(dask, dask_security) as cluster,
            progress_bar(quiet, "frames", planned, finished, remaining=True) as bar,
        ):
            pairs = analyze_frames(
                analyzer,
                trajectory,
                start,
                stop,
                step,
                skip=finished,
                lindemann=latest,
                centers=centers.value,
                spacing=spacing,
                **reading,
                progress=lambda n, of: bar("frames", finished, planned, f"{n}/{of} windows"),
                workers=workers,
                dask=cluster,
            )
            try:
                for frame, last in pairs:
                    if last.sparse.all():
                        raise InputError(
                            f"{frame.source}: frame {frame.number} (from 0): {len(frame.atoms)} "
                            f"atoms are too few or too sparse for a window of "
                            f"{last.metadata['window_atoms']}; set pbc if the structure is "
                            "periodic, or take a smaller --window-atoms"
                        )
                    outputs.append(frame, last)
                    builder = builder or TrajectoryBuilder(last.classes, last.metadata)
                    builder.append(last, frame.number, frame.source)
                    finished += 1
                    bar("frames", finished, planned)
            except InputError as error:
                # A damaged frame, or one that cannot be analysed: what came before is good.
                if builder is None:
                    raise
                failure = error
        if builder is None:
            raise InputError(f"--frames {frames} chooses none of the frames")
    except BaseException:
        outputs.discard()
        raise
    summary = builder.build()
    outputs.finish(summary)
    seconds, atoms = time.monotonic() - began, int(summary.atoms[there:].sum())
    detail(
        f"{atoms} atoms in {seconds:.1f} s with loading, {atoms / max(seconds, 1e-3):.0f} a second"
    )
    typer.echo(table_of(summary, last))
    for path in outputs_wanted:
        say_unless(quiet)(f"wrote {path}")
    for note in outputs.notes():
        say_unless(quiet)(note)
    if failure is not None:
        complain(f"{failure}; the {len(summary)} frames before it are kept")
        raise typer.Exit(1)


@contextlib.contextmanager
def dask_cluster(address: str | None, certificates: Path | None) -> Iterator[str | Client | None]:
    """The scheduler as `analyze_frames` takes it: its address, or a client with certificates."""
    if address is None or certificates is None:
        yield address
        return
    from ase_crystalnet.frames.scheduler import connected

    with connected(address, certificates) as client:
        yield client


def classes_of(names: str | None) -> str | tuple[str, ...] | None:
    """What `CrystalNet` takes for the names of the command line: "fcc,hcp" is a choice."""
    return tuple(names.split(",")) if names and "," in names else names


def make_analyzer(settings: Settings, *, engine: str | None = None, in_workers: bool) -> Method:
    """Load the model; everything cheap is checked before.

    With `in_workers` other processes run the network, and this one does without TensorFlow.
    """
    from ase_crystalnet.analyzer import CrystalNet

    analyzer = CrystalNet(
        settings.model,
        window_atoms=settings.window_atoms,
        min_certainty=settings.min_certainty,
        classes=classes_of(settings.names),
        strain_limit=settings.strain_limit,
        faults=None if settings.faults else False,
        reuse=settings.reuse,
        references=settings.references or (),
        engine=engine,
    )
    if not in_workers:
        quiet_engine(analyzer.classifier.engine)
    return analyzer


def table_of(summary: TrajectoryAnalysis, last: FrameAnalysis | None = None) -> str:
    """The table of frames, or of the only frame; a long one by its two ends."""
    if len(summary) == 1 and last is not None:
        return repr(last)
    lines = summary.table().splitlines()
    if len(lines) > _ROWS_SHOWN + 1:
        half = _ROWS_SHOWN // 2
        hidden = len(lines) - 1 - 2 * half
        lines = [*lines[: half + 1], f"    ... {hidden} frames more ...", *lines[-half:]]
    return "\n".join(lines)
