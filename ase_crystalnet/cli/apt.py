"""Command `crystalnet apt`: analyse an atom-probe reconstruction."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ase_crystalnet.cli.commands import model_names
from ase_crystalnet.cli.errors import one_line_errors, quiet_engine
from ase_crystalnet.cli.files import As, save_figure, suffixes_of
from ase_crystalnet.cli.options import Engine, OverwriteOutputs, QuietBar
from ase_crystalnet.cli.progress import progress_bar, say_unless
from ase_crystalnet.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable

    from matplotlib.figure import Figure

    from ase_crystalnet.atom_probe.results import AtomProbeAnalysis
    from ase_crystalnet.atom_probe.windows import IonWindows

__all__ = ["apt"]

_NM = 10.0  # Å
#: Names of the figures.
_NAMES = ("composition", "density", "structure", "best-windows", "depth", "poles")


class Molecular(StrEnum):
    """What becomes of molecular ions in an .extxyz output."""

    keep = "keep"
    atoms = "split"


class Units(StrEnum):
    """Units of positions in a file."""

    nm = "nm"
    angstrom = "angstrom"


@one_line_errors
def apt(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Reconstruction: .pos, .epos, .ato, .apt, .csv (x, y, z, m/n), "
            ".h5 (pyccapt, NeXus) or .nxs.",
        ),
    ],
    ranges: Annotated[
        Path | None,
        typer.Option(
            "--ranges",
            "-r",
            metavar="R",
            help="Range file: .rrng, .rng, .env, .xrng, .fig.txt, pyccapt's _range.csv, .nxs.",
        ),
    ] = None,
    units: Annotated[
        Units | None,
        typer.Option(help="Unit of the positions, if not that of the format (nm)."),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where results go; may be repeated. .h5: everything. .extxyz: the ions, each with "
            "what its window shows (OVITO, ASE). .vti: the grid of windows, .vtu: the windows as "
            "points with plane normals (ParaView).",
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Also draw: composition, density, structure, best windows, depth, poles.",
        ),
    ] = None,
    written_as: As = None,
    species: Annotated[
        list[str] | None,
        typer.Option(
            "--species",
            "-s",
            metavar="NAME",
            help="Use these ions only: an element, an ion of the range file, or 'unranged'; may be "
            "repeated. Default: all, ranged or not.",
        ),
    ] = None,
    molecular: Annotated[
        Molecular,
        typer.Option(help="In .extxyz, molecular ions are one site each, or split into atoms."),
    ] = Molecular.keep,
    window_ions: Annotated[
        int, typer.Option(metavar="N", help="Ions in a window of the typical density, from 64.")
    ] = 1000,
    radius: Annotated[
        float | None,
        typer.Option(metavar="NM", help="Radius of the windows, instead of a number of ions."),
    ] = None,
    spacing: Annotated[
        float | None, typer.Option(metavar="NM", help="Of the grid; default: the radius.")
    ] = None,
    false_alarm: Annotated[
        float,
        typer.Option(metavar="P", help="Chance that a window without planes shows some."),
    ] = 0.01,
    family_wise: Annotated[
        bool,
        typer.Option("--family-wise", help="Hold that chance over all windows of the file."),
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=model_names,
            help="Model that classifies lattices: a name or a folder; 'none' for no classes.",
        ),
    ] = "atomprobe",
    crystal: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="What the specimen is known to be, to name its poles: an element, a lattice with "
            "its constant in Angstrom (fcc:3.56), or a file with a cell, as CIF.",
        ),
    ] = None,
    order: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Look for chemical order of that crystal: L1_2, L1_0, B2, D0_19 or omega.",
        ),
    ] = None,
    order_species: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="What orders: an element or ion; may be repeated. Default: the second commonest.",
        ),
    ] = None,
    tables: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Also write .csv: compositions of regions with errors, radial, nearest-neighbour "
            "and frequency distributions beside random ones, and with --surface a proxigram.",
        ),
    ] = None,
    surface: Annotated[
        str | None,
        typer.Option(
            metavar="X:SHARE", help="Surface of one composition for the proxigram, as Al:0.15."
        ),
    ] = None,
    atomic_volume: Annotated[
        float | None,
        typer.Option(
            metavar="NM3",
            help="Volume of an ion in the material, for the efficiency; default: the range file's.",
        ),
    ] = None,
    engine: Engine = None,
    overwrite: OverwriteOutputs = False,
    quiet: QuietBar = False,
) -> None:
    """Analyse an atom-probe reconstruction: composition, density, planes, lattices, poles.

    Every window is asked what it shows: nothing, planes, rods or a lattice, each only where it is
    significant against the window's own ions at random. Lengths are in nanometres here, as in the
    files; in the outputs in Angstrom, as in ASE and OVITO.

    **Examples**

    ```
    crystalnet apt tip.pos --ranges tip.rrng
    crystalnet apt tip.pos -r tip.rrng -o tip.h5 -o tip.vti -o ions.extxyz --figures figures
    crystalnet apt tip.pos -r tip.rrng --crystal fcc:3.56 --order L1_2 -o tip.h5
    crystalnet apt tip.apt -r tip.rng --species Al --false-alarm 0.001 --window-ions 500
    ```
    """
    from dataclasses import replace

    from ase_crystalnet.atom_probe.analysis import (
        AtomProbeOptions,
        analyze_windows,
        classify_windows,
    )
    from ase_crystalnet.atom_probe.classes.classifier import AtomProbeClassifier
    from ase_crystalnet.atom_probe.crystal.known import read_crystal
    from ase_crystalnet.atom_probe.files.reconstruction import read_reconstruction
    from ase_crystalnet.atom_probe.known_crystal import find_order, name_analysis
    from ase_crystalnet.atom_probe.order.structures import reflections_of
    from ase_crystalnet.atom_probe.output.files import check_outputs, write_outputs
    from ase_crystalnet.atom_probe.output.report import report
    from ase_crystalnet.atom_probe.output.tables import TABLES, parse_surface, write_tables
    from ase_crystalnet.atom_probe.results import RANKS
    from ase_crystalnet.atom_probe.windows import IonWindower

    outputs = list(output or [])
    ends = suffixes_of(written_as)
    named: dict[str, list[Path]] = {}
    if figures is not None:
        names = _NAMES if order is None else (*_NAMES, "order")
        named = {n: [figures / f"{file.stem}-{n}{end}" for end in ends] for n in names}
    drawn = [path for paths in named.values() for path in paths]
    iso = None if surface is None else parse_surface(surface)
    if iso is not None and tables is None:
        raise InputError("--surface: the proxigram is a table; say where with --tables FOLDER")
    listed = [] if tables is None else [tables / f"{file.stem}-{n}.csv" for n in TABLES]
    check_outputs(outputs, overwrite, [*drawn, *listed])
    known = None if crystal is None else read_crystal(crystal)
    if order is not None:
        if known is None:
            raise InputError("--order: which crystal? give its parent lattice with --crystal")
        reflections_of(order, known)  # refused before anything is computed
    windower = IonWindower(
        window_ions,
        None if radius is None else radius * _NM,
        None if spacing is None else spacing * _NM,
    )
    options = AtomProbeOptions(
        false_alarm=false_alarm,
        family_wise=family_wise,
        atomic_volume=None if atomic_volume is None else atomic_volume * _NM**3,
    )
    ions = read_reconstruction(file, ranges, units=None if units is None else units.value)
    for remark in ions.remarks:
        say_unless(quiet)(f"note: {remark}")
    if species:
        ions = ions.select(species)
    classifier = None if model == "none" else AtomProbeClassifier(model, engine=engine)
    with progress_bar(quiet, "reading") as bar:
        bar("windows", 0, 1)
        windows = windower.prepare(ions)
        analysis = analyze_windows(windows, options, bar)
        if classifier is not None:
            if (analysis.findings.rank == RANKS.index("lattice")).any():
                quiet_engine(classifier.classifier.engine)
            analysis = classify_windows(analysis, windows, classifier, bar)
        if known is not None:
            analysis = name_analysis(analysis, known)
        if known is not None and order is not None:
            analysis = find_order(analysis, windows, known, order, order_species, bar)
        chosen = {"species": species or [], "model": model}
        analysis = replace(analysis, settings={**analysis.settings, **chosen})
        bar("outputs", 0, 1)
        write_outputs(outputs, analysis, ions, molecular.value)
        if analysis.order is None:
            named = {name: paths for name, paths in named.items() if name != "order"}
            drawn = [path for paths in named.values() for path in paths]
        written = []
        if tables is not None:
            bar("tables", 0, 1)
            written = write_tables(tables, file.stem, ions, analysis, iso, options.seed)
        for number, (name, paths) in enumerate(named.items()):
            bar("figures", number, len(named))
            figure = _draw(name, analysis, windows)
            for path in paths:
                save_figure(figure, path)
    typer.echo(report(analysis))
    for path in (*outputs, *written, *drawn):
        say_unless(quiet)(f"wrote {path}")


def _draw(name: str, analysis: AtomProbeAnalysis, windows: IonWindows) -> Figure:
    from ase_crystalnet.atom_probe.output import maps as figures
    from ase_crystalnet.atom_probe.output import order_figures as figures_order
    from ase_crystalnet.atom_probe.output import plane_figures as figures_planes

    draw: dict[str, Callable[[], Figure]] = {
        "composition": lambda: figures.plot_composition(analysis),
        "density": lambda: figures.plot_density(analysis),
        "structure": lambda: figures.plot_structure(analysis),
        "best-windows": lambda: figures_planes.plot_best_windows(analysis, windows),
        "depth": lambda: figures_planes.plot_depth(analysis),
        "poles": lambda: figures_planes.plot_poles(analysis),
        "order": lambda: figures_order.plot_order(analysis, windows),
    }
    return draw[name]()
