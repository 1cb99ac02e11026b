"""Command `crystalnet xrd classify`: crystal system and space group of measured patterns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ase_crystalnet.cli.errors import complain, one_line_errors, quiet_engine
from ase_crystalnet.cli.files import check_outputs, save_figure
from ase_crystalnet.cli.options import (
    Engine,
    Overwrite,
    PowderModel,
    QuietRemarks,
    Wavelength,
    wavelength_of,
)
from ase_crystalnet.cli.progress import say
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.whole_files import write_whole

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ase_crystalnet.xrd.answer.answers import PowderAnswers
    from ase_crystalnet.xrd.answer.library import PatternLibrary
    from ase_crystalnet.xrd.measured.scan import Scan
    from ase_crystalnet.xrd.phases.library import PhaseLibrary

__all__ = ["classify"]


@one_line_errors
def classify(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Measured patterns: text (.xy, .xye, .dat, .csv, .txt, .chi), .xlsx, .xrdml, .raw "
            "(Bruker, STOE), .brml, .uxd, .ras, .rasx, .udf, .cpi, GSAS, or CIF with a measured "
            "profile; any of them packed by gzip.",
        ),
    ],
    model: PowderModel = None,
    wavelength: Wavelength = None,
    min_certainty: Annotated[
        float | None,
        typer.Option(metavar="P", help="Refuse space groups less certain than this (0 to 1)."),
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Answer this share of the files, the most certain first, and refuse the others.",
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(metavar="N", min=1, max=230, help="Space groups to list.")
    ] = 3,
    library: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Library of your own (`crystalnet xrd library`)."),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Also write it; may be repeated. .json: everything. .csv: one row a file.",
        ),
    ] = None,
    engine: Engine = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Draw each pattern with the lines of its phases: one FILE.png for each file.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: QuietRemarks = False,
) -> None:
    """Say crystal system and space group of powder patterns, and how sure that is.

    First it is asked whether lines stand out at all; noise, glass and one or two lines are refused.
    Then the lines are compared with tens of thousands of known phases, one to four at a time, whose
    cells are refined; what no phase explains is named. Last, network and library of minerals
    answer; all words are combined. Backgrounds are subtracted; other wavelengths and ranges are
    converted, and what was not measured is said. A file that cannot be read is said in one line,
    the others are answered, and the exit code is 2.

    **Examples**

    ```
    crystalnet xrd classify quartz.xy
    crystalnet xrd classify *.xrdml --min-certainty 0.8 -o answers.csv --figures figures
    crystalnet xrd classify synchrotron.xye --wavelength 0.41236
    ```
    """
    from ase_crystalnet.xrd.answer.classifier import PowderClassifier
    from ase_crystalnet.xrd.answer.network import default_network
    from ase_crystalnet.xrd.measured.readers import read_scan

    outputs = list(output or [])
    check_outputs(outputs, overwrite, (".json", ".csv"))
    length = wavelength_of(wavelength)
    pictures = _pictures(files, figures, overwrite)
    scans, failed = [], []
    drawn: list[Path] = []
    for number, path in enumerate(files):
        try:
            scans.append(read_scan(path, length))
            drawn += pictures[number : number + 1]
        except InputError as error:
            failed.append(str(error))
        except OSError as error:
            failed.append(f"{path}: {(error.strerror or str(error)).lower()}")
    if scans:
        known, phases = _libraries(library)
        network = default_network(model, engine=engine)
        quiet_engine(network.engine if network else None)
        classifier = PowderClassifier(network, known, phases)
        answers = classifier.classify_scans(scans, min_certainty=min_certainty, coverage=coverage)
        if not quiet and classifier.network is None:
            say("no network is installed or asked for: the library of known patterns answers alone")
        found = classifier.phases.library if classifier.phases else None
        _report(scans, answers, known, found, top, quiet)
        _write(outputs, classifier.name, scans, answers, known, found, top)
        _draw(drawn, scans, answers, found)
    for message in failed:
        complain(message)
    if failed:
        raise typer.Exit(2)


def _libraries(
    path: Path | None,
) -> tuple[PatternLibrary, PhaseLibrary | Literal["shipped"] | None]:
    """Library of minerals and of phases: a library of one's own stands for the shipped one.

    One that was joined to the shipped phases (`crystalnet xrd library --join`) is one of phases;
    one that was not is searched alone, as it was asked for.
    """
    from ase_crystalnet.xrd.answer.library import PatternLibrary
    from ase_crystalnet.xrd.phases.library import PhaseLibrary, is_phase_library

    if path is None:
        return PatternLibrary.load(), "shipped"
    try:
        joined = is_phase_library(path)
    except (InputError, OSError):
        joined = False  # what it is, is said where it is loaded
    if joined:
        return PatternLibrary.load(), PhaseLibrary.load(path)
    return PatternLibrary.load(path), None


def _pictures(files: Sequence[Path], folder: Path | None, overwrite: bool) -> list[Path]:
    """Names of the figures, one for each file; numbered where names repeat."""
    if folder is None:
        return []
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; expected a folder for the figures")
    names: list[Path] = []
    for path in files:
        name = folder / f"{path.name}.png"
        number = 1
        while name in names:
            number += 1
            name = folder / f"{path.name}-{number}.png"
        names.append(name)
    folder.mkdir(parents=True, exist_ok=True)
    check_outputs(names, overwrite)
    return names


def _draw(
    names: Sequence[Path],
    scans: Sequence[Scan],
    answers: PowderAnswers,
    phases: PhaseLibrary | None,
) -> None:
    """Draw each pattern with the lines of its phases."""
    from ase_crystalnet.xrd.phase_figure import answer_figure

    for i, name in enumerate(names):
        save_figure(answer_figure(scans[i], answers, i, phases), name)


def _report(
    scans: Sequence[Scan],
    answers: PowderAnswers,
    known: PatternLibrary,
    phases: PhaseLibrary | None,
    top: int,
    quiet: bool,
) -> None:
    """Print the answers in words."""
    from ase_crystalnet.xrd.report import lines

    for i, scan in enumerate(scans):
        typer.echo("\n".join(lines(scan, answers, i, known, top, phases)))
        for remark in () if quiet else (*scan.remarks, *answers.reports[i].notes):
            typer.echo(f"  note: {remark}")


def _write(
    outputs: Sequence[Path],
    name: str,
    scans: Sequence[Scan],
    answers: PowderAnswers,
    known: PatternLibrary,
    phases: PhaseLibrary | None,
    top: int,
) -> None:
    """Write the answers, given by what is called `name`."""
    from ase_crystalnet.xrd.report import entry, table

    entries = [entry(scan, answers, i, known, top, phases) for i, scan in enumerate(scans)]
    for path in outputs:
        if path.suffix.lower() == ".json":
            content = json.dumps({"answered_by": name, "files": entries}, indent=1)
        else:
            content = table(entries)
        write_whole(path, content.rstrip("\n") + "\n")
