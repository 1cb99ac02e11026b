"""Command `crystalnet report`: a result as one page for a browser."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_crystalnet.cli.errors import one_line_errors
from ase_crystalnet.cli.files import check_outputs
from ase_crystalnet.cli.inputs import is_own_place, read_window
from ase_crystalnet.cli.options import Overwrite, QuietRemarks, Trajectory, number
from ase_crystalnet.cli.progress import progress_bar, say_unless
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.whole_files import write_whole

if TYPE_CHECKING:
    from ase import Atoms

    from ase_crystalnet.cli.progress import Bar
    from ase_crystalnet.io.results.hdf5_reader import ResultFile
    from ase_crystalnet.report.page import Page
    from ase_crystalnet.report.scene import ShownFrame
    from ase_crystalnet.xrd.measured.scan import Scan

__all__ = ["report"]

_LARGEST = 256 * 2**20  # bytes of a file of answers


@one_line_errors
def report(
    result: Annotated[
        Path,
        typer.Argument(
            metavar="RESULT",
            help="Of `analyze -o` (.h5), of `apt -o` (.h5), or of `xrd classify -o` (.json).",
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE.html", help="The page. Default: RESULT with .html."
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Of the page.")] = None,
    points: Annotated[int, number("Points of the 3-D view in each frame; others are left out.")] = (
        4000
    ),
    views: Annotated[int, number("Frames of the 3-D view, evenly chosen.")] = 20,
    crystals: Annotated[
        bool,
        typer.Option(
            "--crystals",
            help="Also find the crystals of these frames: cells, space groups, grains. Reads the "
            "trajectory.",
        ),
    ] = False,
    trajectory: Trajectory = None,
    overwrite: Overwrite = False,
    quiet: QuietRemarks = False,
) -> None:
    """Make one page for a browser of a result: curves, tables, and a view in space to turn.

    The page needs no network and no other file, and can be printed. Positions are those of the
    trajectory where it is at hand, else the centres of the windows.

    **Examples**

    ```
    crystalnet report run.h5
    crystalnet report run.h5 --crystals --views 10 -o melting.html
    crystalnet report tip.h5
    crystalnet report answers.json -o powder.html
    ```
    """
    page_file = result.with_suffix(".html") if output is None else output
    check_outputs([page_file], overwrite, (".html", ".htm"))
    if not result.exists():
        raise FileNotFoundError(f"{result}: there is no such file")
    if result.suffix.lower() == ".json":
        page = _powder(result, title, quiet)
    else:
        page = _hdf5(result, title, points, views, crystals, trajectory, quiet)
    text = page.html()
    write_whole(page_file, text)
    typer.echo(str(page_file))
    say_unless(quiet)(f"{len(text.encode()) / 2**20:.1f} MiB")


def _hdf5(
    result: Path,
    title: str | None,
    points: int,
    views: int,
    crystals: bool,
    trajectory: str | None,
    quiet: bool,
) -> Page:
    from ase_crystalnet.io.results.hdf5_reader import ResultFile

    try:
        file = ResultFile(result)
    except InputError as error:
        if "not one with CrystalNet results" not in str(error):
            raise
        page = _atom_probe(result, error, points)
        page.title = title or page.title
        return page
    with file:
        if len(file) == 0:
            raise InputError(f"{result}: holds no complete frame")
        return _frames(file, title, points, views, crystals, trajectory, quiet)


def _atom_probe(result: Path, error: InputError, points: int) -> Page:
    """The page of an atom probe's result; where it is none, what was wrong with it as another."""
    from ase_crystalnet.atom_probe.results import read_analysis
    from ase_crystalnet.report.atom_probe import atom_probe_page

    try:
        analysis = read_analysis(result)
    except InputError as other:
        raise (error if "no result of" in str(other) else other) from None
    return atom_probe_page(analysis, str(result), points)


def _frames(
    file: ResultFile,
    title: str | None,
    points: int,
    views: int,
    crystals: bool,
    trajectory: str | None,
    quiet: bool,
) -> Page:
    from ase_crystalnet.report.trajectory import chosen_rows, trajectory_page

    rows = chosen_rows(len(file), views)
    summary = file.trajectory()
    with progress_bar(quiet, "report") as bar:
        shown = _shown(file, rows, crystals, trajectory, bar, say_unless(quiet))
    sources = dict.fromkeys(file.sources)
    came_from: dict[str, Any] = {
        "result": str(file.path),
        "trajectory": ", ".join(sources),
        "frames": f"{len(file)}, {len(rows)} of them in the 3-D view",
        **{f"setting: {name}": value for name, value in file.settings.items()},
        # Tables of the model's calibration stand on its card.
        **{f"analysis: {n}": v for n, v in file.metadata.items() if not isinstance(v, dict)},
    }
    came_from = {name: value for name, value in came_from.items() if value is not None}
    name = title or f"Structures in {Path(next(iter(sources))).name}"
    return trajectory_page(summary, shown, came_from, name, points)


def _shown(
    file: ResultFile,
    rows: list[int],
    crystals: bool,
    trajectory: str | None,
    bar: Bar,
    say: Callable[[str], None],
) -> list[ShownFrame]:
    """Frames of the 3-D view, with their atoms where the trajectory is at hand."""
    from ase_crystalnet.grains.analysis import find_crystals
    from ase_crystalnet.grains.tracking import GrainTracker
    from ase_crystalnet.report.scene import ShownFrame

    # What was asked for must be there; what would only be better may be missing.
    needed = crystals or trajectory is not None
    tracker, missing = GrainTracker(), ""
    shown: list[ShownFrame] = []
    for done, row in enumerate(rows):
        bar("frames", done, len(rows))
        analysis = file[row]
        atoms: Atoms | None = None
        if not missing:
            try:
                atoms = read_window(file, row, 0, trajectory).atoms
            except (InputError, OSError) as error:
                if needed:
                    raise
                missing = str(error)
                # Not some frames as atoms, others as windows.
                shown = [ShownFrame(one.row, one.analysis) for one in shown]
        grains = None
        if crystals and atoms is not None:
            time = float(analysis.metadata.get("time", float("nan")))
            grains = tracker(find_crystals(atoms), int(analysis.metadata["frame"]), time)
        shown.append(ShownFrame(row, analysis, atoms, grains))
    if missing:
        say(f"note: without the trajectory, places are those of the windows ({missing})")
    return shown


def _powder(result: Path, title: str | None, quiet: bool) -> Page:
    from ase_crystalnet.report.powder import powder_page

    if result.stat().st_size > _LARGEST:
        raise InputError(f"{result}: expected a file of answers, got one of more than 256 MiB")
    try:
        answers = json.loads(result.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{result}: expected JSON, got something else ({error})") from error
    if not isinstance(answers, dict):
        raise InputError(f"{result}: expected the answers of `xrd classify`, got something else")
    say = say_unless(quiet)

    def scan_of(entry: Mapping[str, Any]) -> Scan | None:
        from ase_crystalnet.xrd.measured.readers import read_scan

        name = str(entry["file"])
        if not is_own_place(name):
            say(f"note: {name} is not in or below this folder, so it is not drawn")
            return None
        try:
            return read_scan(Path(name), float(entry["wavelength"]))
        except (InputError, OSError) as error:
            say(f"note: {name} is not drawn ({error})")
            return None

    return powder_page(answers, scan_of, title or f"Powder patterns: {result.name}", str(result))
