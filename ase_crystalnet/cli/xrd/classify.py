"""Command `crystalnet xrd classify`: crystal system and space group of measured patterns."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ase_crystalnet.cli.errors import complain, one_line_errors, quiet_engine
from ase_crystalnet.cli.files import check_outputs
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

__all__ = ["classify"]


@one_line_errors
def classify(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Measured patterns: .xy, .xye, .dat, .csv, .txt, .xrdml, .raw (Bruker), .brml, "
            ".uxd, .ras, .rasx, .chi, GSAS, or CIF with a measured profile.",
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
    overwrite: Overwrite = False,
    quiet: QuietRemarks = False,
) -> None:
    """Say crystal system and space group of powder patterns, and how sure that is.

    The pattern is compared with the simulated patterns of known minerals, and shown to the network
    if there is one; both words are combined. The answer says whether there is a close match.
    Backgrounds are subtracted; other wavelengths and ranges are converted, and what was not
    measured is said. A file that cannot be read is said in one line, the others are answered, and
    the exit code is 2.

    **Examples**

    ```
    crystalnet xrd classify quartz.xy
    crystalnet xrd classify *.xrdml --min-certainty 0.8 -o answers.csv
    crystalnet xrd classify synchrotron.xye --wavelength 0.41236
    ```
    """
    import numpy as np

    from ase_crystalnet.xrd.answer.classifier import PowderClassifier
    from ase_crystalnet.xrd.answer.library import PatternLibrary
    from ase_crystalnet.xrd.answer.network import default_network
    from ase_crystalnet.xrd.measured.readers import read_scan

    outputs = list(output or [])
    check_outputs(outputs, overwrite, (".json", ".csv"))
    length = wavelength_of(wavelength)
    scans, grids, failed = [], [], []
    for path in files:
        try:
            scan = read_scan(path, length)
            grids.append(scan.on_grid())
            scans.append(scan)
        except InputError as error:
            failed.append(str(error))
        except OSError as error:
            failed.append(f"{path}: {(error.strerror or str(error)).lower()}")
    if scans:
        known = PatternLibrary.load(library)
        network = default_network(model, engine=engine)
        quiet_engine(network.engine if network else None)
        classifier = PowderClassifier(network, known)
        answers = classifier.classify(
            np.array(grids),
            min_certainty=min_certainty,
            coverage=coverage,
            covered=[scan.covered for scan in scans],
        )
        if not quiet and classifier.network is None:
            say("no network is installed or asked for: the library of known patterns answers alone")
        _report(scans, answers, known, top, quiet)
        _write(outputs, classifier.name, scans, answers, known, top)
    for message in failed:
        complain(message)
    if failed:
        raise typer.Exit(2)


def _report(
    scans: Sequence[Scan], answers: PowderAnswers, known: PatternLibrary, top: int, quiet: bool
) -> None:
    """Print the answers in words."""
    from ase_crystalnet.xrd.report import lines

    for i, scan in enumerate(scans):
        typer.echo("\n".join(lines(scan, answers, i, known, top)))
        for remark in () if quiet else scan.remarks:
            typer.echo(f"  note: {remark}")


def _write(
    outputs: Sequence[Path],
    name: str,
    scans: Sequence[Scan],
    answers: PowderAnswers,
    known: PatternLibrary,
    top: int,
) -> None:
    """Write the answers, given by what is called `name`."""
    from ase_crystalnet.xrd.report import entry, table

    entries = [entry(scan, answers, i, known, top) for i, scan in enumerate(scans)]
    for path in outputs:
        if path.suffix.lower() == ".json":
            content = json.dumps({"answered_by": name, "files": entries}, indent=1)
        else:
            content = table(entries)
        write_whole(path, content.rstrip("\n") + "\n")
