"""What the commands of `crystalnet` do, with their arguments already read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer
from numpy.typing import NDArray

from ase_crystalnet.cli.errors import complain, quiet_tensorflow
from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.frames.lindemann import LindemannWindow
from ase_crystalnet.frames.run import analyze_frames
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.io.results.outputs import Outputs
from ase_crystalnet.io.trajectories.stream import count_frames, iter_frames, parse_frames
from ase_crystalnet.io.whole_files import part_of
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.method import Method
from ase_crystalnet.results.trajectory import TrajectoryAnalysis, TrajectoryBuilder

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.figure import Figure

__all__ = ["AnalyzeOptions", "analyze", "fingerprint", "plot", "window_fingerprint"]

FIGURES = (".png", ".pdf", ".svg")
_ROWS_SHOWN = 24  # rows of the table of frames; a long trajectory is shown by its two ends


@dataclass(frozen=True)
class AnalyzeOptions:
    """Arguments of `crystalnet analyze`, as given."""

    trajectory: list[str]
    output: list[Path]
    model: str
    centers: str
    spacing: float | None
    window_atoms: int
    min_certainty: float | None
    frames: str
    lindemann: str | None
    format: str | None
    workers: int | None
    dask: str | None
    overwrite: bool
    resume: bool
    quiet: bool

    def settings(self) -> dict[str, Any]:
        """What decides the results: it must be the same when a run is resumed."""
        return {
            "trajectory": self.trajectory,
            "frames": self.frames,
            "model": self.model,
            "centers": self.centers,
            "spacing": self.spacing,
            "window_atoms": self.window_atoms,
            "min_certainty": self.min_certainty,
            "lindemann": self.lindemann,
        }


def make_analyzer(options: AnalyzeOptions) -> Method:
    """Load the model; takes seconds, so everything cheap is checked before."""
    from ase_crystalnet.analyzer import CrystalNet

    analyzer = CrystalNet(
        options.model, window_atoms=options.window_atoms, min_certainty=options.min_certainty
    )
    if options.workers is None and options.dask is None:
        quiet_tensorflow()
    return analyzer


def analyze(options: AnalyzeOptions) -> None:
    """Run over the frames, write the outputs, print the table.

    Raises
    ------
    typer.Exit
        With code 1, when a frame could not be read or analysed and those before it were kept.
    """
    frames = parse_frames(options.frames)
    lindemann = _parse_lindemann(options.lindemann)
    if options.spacing is not None and options.centers == "atoms":
        raise InputError(
            "--spacing is the spacing of the grid; give --centers grid or adaptive with it"
        )
    if options.workers is not None and options.dask is not None:
        raise InputError("--workers and --dask exclude each other: give one of them")
    if options.workers is not None and options.workers < 1:
        raise InputError(f"--workers: wanted a number from 1 on, given {options.workers}")
    start, stop, step = frames.start or 0, frames.stop, frames.step or 1
    # Reads the file names, and for common formats counts the frames.
    total = count_frames(options.trajectory, format=options.format)
    planned = None if total is None else len(range(*slice(start, stop, step).indices(total)))
    outputs = Outputs(
        options.output,
        settings=options.settings(),
        overwrite=options.overwrite,
        resume=options.resume,
    )
    builder: TrajectoryBuilder | None = None
    last: FrameAnalysis | None = None
    failure: InputError | None = None
    try:
        if earlier := outputs.earlier():
            builder = TrajectoryBuilder(earlier.classes)
            builder.extend(earlier)
        done = outputs.done
        analyzer = make_analyzer(options)
        with _progress(planned, done, options.quiet) as (advance, within):
            pairs = analyze_frames(
                analyzer,
                options.trajectory,
                start,
                stop,
                step,
                skip=done,
                lindemann=lindemann,
                centers=options.centers,
                spacing=options.spacing,
                format=options.format,
                progress=within,
                workers=options.workers,
                dask=options.dask,
            )
            try:
                for frame, last in pairs:
                    if last.sparse.all():
                        raise InputError(
                            f"{frame.source}: frame {frame.number} (from 0): {len(frame.atoms)} "
                            f"atoms are too few or too sparse for a window of "
                            f"{options.window_atoms}; set pbc if the structure is periodic, or "
                            "take a smaller --window-atoms"
                        )
                    outputs.append(frame, last)
                    builder = builder or TrajectoryBuilder(last.classes, last.metadata)
                    builder.append(last, frame.number, frame.source)
                    advance()
            except InputError as error:
                # A damaged frame, or one that cannot be analysed: what came before is good.
                if builder is None:
                    raise
                failure = error
        if builder is None:
            raise InputError(f"--frames {options.frames} chooses none of the frames")
    except BaseException:
        outputs.discard()
        raise
    summary = builder.build()
    outputs.finish(summary)
    typer.echo(_table(summary, last))
    if not options.quiet:
        for path in options.output:
            typer.echo(f"wrote {path}", err=True)
    if failure is not None:
        complain(f"{failure}; the {len(summary)} frames before it are kept")
        raise typer.Exit(1)


def _parse_lindemann(text: str | None) -> LindemannWindow:
    if text is None or text == "all":
        return text  # type: ignore[return-value]
    if not text.isdigit() or int(text) < 2:
        raise InputError(
            f"--lindemann: wanted a number of frames from 2 on, or 'all', given {text!r}"
        )
    return int(text)


def _table(summary: TrajectoryAnalysis, last: FrameAnalysis | None) -> str:
    if len(summary) == 1 and last is not None:
        return repr(last)
    lines = summary.table().splitlines()
    if len(lines) > _ROWS_SHOWN + 1:
        half = _ROWS_SHOWN // 2
        hidden = len(lines) - 1 - 2 * half
        lines = [*lines[: half + 1], f"    ... {hidden} frames more ...", *lines[-half:]]
    return "\n".join(lines)


@contextlib.contextmanager
def _progress(
    planned: int | None, done: int, quiet: bool
) -> Iterator[tuple[Callable[[], None], Callable[[int, int], None]]]:
    """A bar on stderr: frames, and windows of the frame at hand. Gives two callbacks."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("frames"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[windows]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=quiet or not console.is_terminal,
    )
    with bar:
        # A single task in units of frames, windows being fractions of one.
        task = bar.add_task("", total=planned, completed=done, windows="")
        finished = done

        def advance() -> None:
            nonlocal finished
            finished += 1
            bar.update(task, completed=finished, windows="")

        def within(part: int, whole: int) -> None:
            bar.update(task, windows=f"{part}/{whole} windows")

        yield advance, within


def plot(
    result: Path,
    output: Path | None,
    kinds: list[str],
    *,
    frame: int,
    axis: str | None,
    position: float | None,
    thickness: float | None,
    window: int,
    overwrite: bool,
) -> None:
    """Draw figures of a result file."""
    from ase_crystalnet import plotting

    places = _figure_places(result, output, kinds)
    for place in places.values():
        _check_free(place, overwrite)
    with ResultFile(result) as file:
        if len(file) == 0:
            raise InputError(f"{result}: holds no complete frame")
        if not -len(file) <= frame < len(file):
            raise InputError(f"--frame: {result} holds frames 0 to {len(file) - 1}, given {frame}")
        for kind, place in places.items():
            if kind == "fractions":
                figure = plotting.plot_trajectory(file.trajectory())
            elif kind == "slice":
                figure = plotting.plot_slice(file[frame], axis, position, thickness)
            else:
                figure = _window_figure(file, frame, window)
            _save_figure(figure, place)
            typer.echo(str(place))


def _figure_places(result: Path, output: Path | None, kinds: list[str]) -> dict[str, Path]:
    if output is not None and output.suffix.lower() in FIGURES and not output.is_dir():
        if len(set(kinds)) > 1:
            raise InputError(f"--output: one file cannot hold {len(kinds)} figures; name a folder")
        return {kinds[0]: output}
    if output is not None and output.suffix and not output.is_dir():
        raise InputError(f"--output: wanted a folder or a name in {', '.join(FIGURES)}")
    folder = result.parent if output is None else output
    return {kind: folder / f"{result.stem}-{kind}.png" for kind in kinds}


def _window_figure(file: ResultFile, frame: int, window: int) -> Figure:
    """Fingerprint of a window; its atoms are read from the trajectory that was analysed."""
    from ase_crystalnet.plotting.trajectory import plot_fingerprint

    analysis = file[frame]
    if not 0 <= window < analysis.number_of_windows:
        raise InputError(f"--window: wanted 0 to {analysis.number_of_windows - 1}, given {window}")
    source, number = analysis.metadata["source"], analysis.metadata["frame"]
    if not os.path.exists(source):
        raise InputError(
            f"{file.path}: its trajectory {source!r} is not there, so the window's atoms cannot "
            "be read; run from the folder where it was analysed, or use `crystalnet fingerprint`"
        )
    atoms = next(iter_frames(source, number, number + 1)).atoms
    size = int(analysis.metadata.get("window_atoms", 250))
    image = window_fingerprint(atoms, analysis.centers[window][None], size)
    label = int(analysis.labels[window])
    name = analysis.classes[label] if label >= 0 else "refused"
    certainty = analysis.certainty[window]
    return plot_fingerprint(
        image, f"{source}, frame {number}, window {window}: {name}, certainty {certainty:.3f}"
    )


def fingerprint(
    structure: str,
    output: list[Path],
    *,
    center: int,
    window_atoms: int,
    frame: int,
    format: str | None,
    overwrite: bool,
) -> None:
    """Write the fingerprint of one window as figure or array."""
    from ase_crystalnet.plotting.trajectory import plot_fingerprint

    for place in output:
        if place.suffix.lower() not in (*FIGURES, ".npy"):
            raise InputError(f"{place}: wanted a name in {', '.join((*FIGURES, '.npy'))}")
        _check_free(place, overwrite)
    stop = frame + 1 if frame != -1 else None
    found = next(iter_frames(structure, frame, stop, format=format), None)
    if found is None:
        raise InputError(f"--frame: {structure} has no frame {frame}")
    image = window_fingerprint(found.atoms, np.array([center]), window_atoms)
    for place in output:
        if place.suffix.lower() == ".npy":
            with _finished_or_absent(place) as part, open(part, "wb") as file:
                np.save(file, image, allow_pickle=False)
        else:
            title = f"{structure}: {window_atoms} atoms around atom {center}"
            _save_figure(plot_fingerprint(image, title), place)
        typer.echo(str(place))


def window_fingerprint(
    atoms: Atoms, center: NDArray[Any], window_atoms: int = 250
) -> NDArray[np.float32]:
    """Fingerprint of one window, as the local model sees it.

    Parameters
    ----------
    atoms : ase.Atoms
        The structure.
    center : array, shape (1,) of int, or (1, 3) of float in Angstrom
        An atom's index or a point.
    window_atoms : int
        Atoms in the window.

    Returns
    -------
    ndarray, shape (64, 64, 3)

    Raises
    ------
    InputError
        If there is no such atom, or the window is too sparse.
    """
    from ase_crystalnet.fingerprint.fingerprint import Fingerprint
    from ase_crystalnet.lattice.finder import LatticeFinder
    from ase_crystalnet.windows.windower import Windower

    system = Windower(window_atoms=window_atoms).prepare(atoms)
    points, _ = system.centers(center)
    batch = next(iter(system.batches(points, 1)))
    if batch.sparse[0]:
        raise InputError(f"fingerprint: the window holds only {int(batch.mask.sum())} atoms")
    lattices = LatticeFinder()(batch.positions, batch.mask)
    images: NDArray[np.float32] = Fingerprint()(lattices.standardize(batch.positions), batch.mask)
    return np.asarray(images[0])


def _check_free(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise OutputExistsError(f"{path}: is a folder; give the name of a file")
    if path.exists() and not overwrite:
        raise OutputExistsError(f"{path}: exists already; --overwrite replaces it")


@contextlib.contextmanager
def _finished_or_absent(path: Path) -> Iterator[Path]:
    """Give a name to write to; the file gets its own name when that has gone well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _save_figure(figure: Figure, path: Path) -> None:
    with _finished_or_absent(path) as part:
        figure.savefig(part, format=path.suffix[1:].lower())
