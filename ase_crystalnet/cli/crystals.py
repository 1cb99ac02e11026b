"""Command `crystalnet crystals`: grains of a frame, their unit cells, space groups and order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_crystalnet.cli.commands import model_names
from ase_crystalnet.cli.errors import one_line_errors, quiet_engine
from ase_crystalnet.cli.files import FIGURES, As, check_outputs, save_figure, suffixes_of
from ase_crystalnet.cli.options import Engine, Format, OverwriteOutputs, number
from ase_crystalnet.cli.progress import progress_bar
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.whole_files import whole_file

if TYPE_CHECKING:
    from ase import Atoms
    from matplotlib.figure import Figure

    from ase_crystalnet.grains.results import Crystals
    from ase_crystalnet.grains.tracking import GrainHistory

__all__ = ["crystals"]

#: Suffixes of maps of orientations, and names of the figures of texture.
MAPS = (".ctf", ".ang")
_FIGURES = ("map", "pole_figures", "inverse_pole_figures")
#: Rows of the table of boundaries that are shown.
_BOUNDARIES = 12


@one_line_errors
def crystals(
    trajectory: Annotated[
        str, typer.Argument(metavar="TRAJ", help="Structure or trajectory: anything ASE reads.")
    ],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where results go; may be repeated. .cif: the average crystals (of the last "
            "frame). .vasp or POSCAR: that of the largest grain. .csv: one row a grain and frame. "
            ".extxyz: the structures with the grain of each atom, for OVITO. .png, .pdf, .svg: "
            "sizes of the grains against time. .ctf, .ang: a plane of the last frame as a map of "
            "orientations, for MTEX and orix.",
        ),
    ] = None,
    frame: Annotated[
        int | None, typer.Option(metavar="I", help="One frame of a trajectory; -1: last.")
    ] = None,
    frames: Annotated[
        str,
        typer.Option(
            metavar="START:STOP:STEP",
            help="Which frames, as in Python; grains keep their numbers from one to the next.",
        ),
    ] = ":",
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=model_names,
            help="Model that names the structures too; 'none' for no network.",
        ),
    ] = "none",
    least_atoms: Annotated[int, number("Grains of fewer atoms are none.")] = 60,
    elastic_strain: Annotated[
        float | None,
        typer.Option(
            metavar="X",
            help="Strain (root mean square of a component) that is no change of symmetry; 0: take "
            "lattices as they are. By default the lattice tells.",
        ),
    ] = None,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A known crystal (.cif, POSCAR, ...); may be repeated. Grains that are it carry "
            "the name of the file.",
        ),
    ] = None,
    plane: Annotated[
        str,
        typer.Option(
            metavar="AXIS[=HEIGHT]",
            help="Plane of maps: normal to x, y or z, at a height (Angstrom; default: the middle).",
        ),
    ] = "z",
    strain_field: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Strain of the last frame on a grid, as .csv: of big grains against their means, "
            "or against the first --reference.",
        ),
    ] = None,
    figures: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Figures of the texture of the last frame: map, pole figures, inverse pole "
            "figures of the commonest phases.",
        ),
    ] = None,
    figure_format: As = None,
    format: Format = None,
    engine: Engine = None,
    overwrite: OverwriteOutputs = False,
) -> None:
    """Find the crystals of a structure or trajectory: grains, unit cells, space groups, order.

    No class is presumed and no network is needed: any crystal is found, hot, strained or with
    vacancies, by its lattice.

    **Examples**

    ```
    crystalnet crystals md.dump -o crystals.cif -o grains.csv -o labelled.extxyz
    crystalnet crystals md.extxyz --frame -1 --model local
    crystalnet crystals annealing.dump --frames ::10 -o grains.csv -o sizes.png
    crystalnet crystals md.dump --reference theta.cif --reference matrix.cif
    crystalnet crystals md.dump --frame -1 -o map.ctf --plane z=20 --figures texture
    crystalnet crystals bent.dump --reference matrix.cif --strain-field strain.csv
    ```
    """
    from ase_crystalnet.grains.files import SUFFIXES, suffix_of
    from ase_crystalnet.grains.results import require_pymatgen
    from ase_crystalnet.grains.texture import require_orix
    from ase_crystalnet.io.trajectories.stream import parse_frames

    outputs = output or []
    plain = [path for path in outputs if path.suffix.lower() == suffix_of(path)]
    check_outputs(plain, overwrite, (*SUFFIXES, *MAPS, *FIGURES))
    check_outputs([path for path in outputs if path not in plain], overwrite)
    if any(suffix_of(path) == ".cif" for path in outputs):
        require_pymatgen("CIF files of crystals")
    if figures is not None or any(path.suffix.lower() == ".ang" for path in outputs):
        require_orix("figures of texture and .ang files")
    cut = _plane(plane)
    drawn = (
        []
        if figures is None
        else [
            figures / f"{name}{suffix}"
            for name in _FIGURES
            for suffix in suffixes_of(figure_format)
        ]
    )
    check_outputs(drawn, overwrite)
    if strain_field is not None:
        check_outputs([strain_field], overwrite, (".csv",))
    chosen = parse_frames(frames if frame is None else str(frame))
    names = [str(path) for path in reference or []]
    find = _finder(model, least_atoms, elastic_strain, names, engine)
    with ExitStack() as stack:
        labelled = [
            stack.enter_context(whole_file(path))
            for path in outputs
            if suffix_of(path) == ".extxyz"
        ]
        history, found, last = _followed(trajectory, chosen, format, find, labelled)
        if len(history) > 1:
            typer.echo(repr(history))
            typer.echo(f"frame {history[-1].frame}:")
        _show(found)
    _write([path for path in outputs if suffix_of(path) not in MAPS], history, found)
    _write_texture([path for path in outputs if suffix_of(path) in MAPS], drawn, found, last, cut)
    if strain_field is not None:
        _write_strains(strain_field, found, last, names[0] if names else None)


def _write_strains(path: Path, found: Crystals, atoms: Atoms, reference: str | None) -> None:
    from ase_crystalnet.grains.files import write_rows
    from ase_crystalnet.grains.strain_fields import strain_field

    with whole_file(path) as part:
        write_rows(strain_field(atoms, found, reference=reference).rows(), part)
    typer.echo(str(path))


def _plane(given: str) -> tuple[int, float | None]:
    """Axis and height of ``z`` or ``z=20``."""
    name, _, height = given.partition("=")
    try:
        return "xyz".index(name.strip().lower() or "?"), float(height) if height else None
    except ValueError as error:
        raise InputError(
            f"--plane {given}: expected x, y or z, and a height after =, such as z=20"
        ) from error


def _write_texture(
    maps: list[Path],
    drawn: list[Path],
    found: Crystals,
    atoms: Atoms,
    cut: tuple[int, float | None],
) -> None:
    """Maps of orientations on a plane, and figures."""
    if not maps and not drawn:
        return
    if not len(found):
        raise InputError("maps and figures of texture: there are no grains in the last frame")
    from ase_crystalnet.grains.texture import orientation_map, write_map

    given = orientation_map(found, atoms, axis=cut[0], height=cut[1])
    for path in maps:
        write_map(given, path)
        typer.echo(str(path))
    if not drawn:
        return
    from ase_crystalnet.grains.texture_figures import (
        plot_inverse_pole_figures,
        plot_orientation_map,
        plot_pole_figures,
    )

    draw: dict[str, Callable[[], Figure]] = {
        "map": lambda: plot_orientation_map(given),
        "pole_figures": lambda: plot_pole_figures(found),
        "inverse_pole_figures": lambda: plot_inverse_pole_figures(found),
    }
    for path in drawn:
        save_figure(draw[path.stem](), path)
        typer.echo(str(path))


def _finder(
    model: str,
    least_atoms: int,
    elastic_strain: float | None,
    references: list[str],
    engine: str | None,
) -> Callable[[Atoms], Crystals]:
    """What finds the crystals of a frame; references are read once."""
    from ase_crystalnet.grains.analysis import find_crystals
    from ase_crystalnet.grains.references import load_references
    from ase_crystalnet.grains.segmentation import GrainFinder

    options: dict[str, Any] = {
        "finder": GrainFinder(least_atoms=least_atoms),
        "elastic_strain": elastic_strain,
        "references": load_references(references),
    }
    if model == "none":
        return partial(find_crystals, **options)
    from ase_crystalnet.analyzer import CrystalNet

    net = CrystalNet(model, engine=engine)
    quiet_engine(net.classifier.engine)
    return partial(net.crystals, **options)


def _followed(
    trajectory: str,
    chosen: slice,
    format: str | None,
    find: Callable[[Atoms], Crystals],
    labelled: list[Path],
) -> tuple[GrainHistory, Crystals, Atoms]:
    """Grains of the frames, with numbers that hold, and the last frame with its crystals."""
    from ase.io import write

    from ase_crystalnet.grains.tracking import GrainHistory, GrainTracker
    from ase_crystalnet.io.trajectories.conditions import conditions_of
    from ase_crystalnet.io.trajectories.stream import count_frames, iter_frames

    start, stop, step = chosen.start or 0, chosen.stop, chosen.step or 1
    total = count_frames([trajectory], format=format)
    planned = None if total is None else len(range(*slice(start, stop, step).indices(total)))
    tracker, tracked, found, last = GrainTracker(), [], None, None
    with progress_bar(planned == 1, "crystals", planned) as show:
        for done, one in enumerate(iter_frames(trajectory, start, stop, step, format=format), 1):
            found, last = find(one.atoms), one.atoms
            time = conditions_of(one.atoms).get("time", float("nan"))
            tracked.append(tracker(found, one.number, time))
            for path in labelled:
                atoms = found.attach(one.atoms.copy())
                atoms.arrays["crystalnet_grain"] = tracked[-1].grains
                write(path, atoms, format="extxyz", append=done > 1)
            show("crystals", done, planned)
    if found is None or last is None:
        if (stop is not None and stop == start + 1) or start == -1:
            raise InputError(f"{trajectory}: has no frame {start}")
        raise InputError(f"{trajectory}: no frames among those asked for")
    return GrainHistory(tuple(tracked)), found, last


def _show(found: Crystals) -> None:
    typer.echo(repr(found))
    if found.boundaries:
        typer.echo("boundaries (grains, pairs of atoms, misorientation in degrees, Sigma):")
    for each in found.boundaries[:_BOUNDARIES]:
        first, second = each.grains
        sigma = f"Sigma {each.sigma}" if each.sigma else ""
        typer.echo(f"{first:>5} {second:>5}{each.pairs:>9}{each.misorientation:>8.2f}  {sigma}")


def _write(outputs: list[Path], history: GrainHistory, found: Crystals) -> None:
    from ase_crystalnet.grains.figures import plot_grain_sizes
    from ase_crystalnet.grains.files import suffix_of, write_cells, write_history, write_poscar

    for path in outputs:
        if suffix_of(path) in FIGURES:
            save_figure(plot_grain_sizes(history), path)
        elif suffix_of(path) == ".csv":
            write_history(history, path)
        elif suffix_of(path) == ".cif":
            write_cells(found, path)
        elif suffix_of(path) in (".vasp", ".poscar"):
            write_poscar(found, path)
        typer.echo(str(path))
