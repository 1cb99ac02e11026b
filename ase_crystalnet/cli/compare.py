"""Command `crystalnet compare`: PTM, a-CNA and CrystalNet on one frame, side by side."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ase_crystalnet.cli.analyze import Centers, classes_of
from ase_crystalnet.cli.errors import one_line_errors
from ase_crystalnet.cli.files import FIGURES, check_outputs, save_figure
from ase_crystalnet.cli.inputs import read_structure
from ase_crystalnet.cli.options import (
    AtomStyle,
    Format,
    Model,
    OverwriteOutputs,
    QuietBar,
    ReaderOptions,
    Select,
    Species,
    Topology,
    reader_of_options,
    window_atoms_option,
)
from ase_crystalnet.cli.plot import Axis
from ase_crystalnet.cli.progress import progress_bar, say_unless

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray

__all__ = ["compare", "comparison"]

#: What the other methods call an atom without a template.
_NOTE = (
    "PTM and a-CNA call 'disordered' what none of their templates fits; a-CNA has none for sc and "
    "diamond."
)


@one_line_errors
def compare(
    structure: Annotated[str, typer.Argument(metavar="STRUCTURE", help="Anything ASE reads.")],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where it goes; may be repeated. .png, .pdf or .svg: the atoms of a slab, once "
            "for each method. .csv: the table.",
        ),
    ] = None,
    frame: Annotated[int, typer.Option(metavar="I", help="Frame of a trajectory; -1: last.")] = 0,
    model: Model = None,
    names: Annotated[
        str | None,
        typer.Option(
            metavar="structure|symmetry|fcc,hcp,...", help="What classes mean (see analyze)."
        ),
    ] = None,
    centers: Annotated[Centers, typer.Option(help="Where windows are cut.")] = Centers.atoms,
    window_atoms: Annotated[
        int | None, window_atoms_option("Atoms in a window, 64 to 512: fewer see finer.")
    ] = None,
    min_certainty: Annotated[
        float | None,
        typer.Option(metavar="P", help="Refuse labels less certain than this (0 to 1)."),
    ] = None,
    axis: Annotated[
        Axis | None, typer.Option(help="Normal of the slab; default: where it is thinnest.")
    ] = None,
    position: Annotated[
        float | None, typer.Option(metavar="ANGSTROM", help="Of the slab; default the middle.")
    ] = None,
    format: Format = None,
    topology: Topology = None,
    select: Select = None,
    species: Species = None,
    atom_style: AtomStyle = None,
    reader: ReaderOptions = None,
    overwrite: OverwriteOutputs = False,
    quiet: QuietBar = False,
) -> None:
    """Compare polyhedral template matching, common neighbour analysis and CrystalNet on a frame.

    The table says how many percent of the atoms each method gives to each class, and for how many
    atoms it agrees with CrystalNet. Needs OVITO (`pip install ase-crystalnet[ovito]`).

    **Examples**

    ```
    crystalnet compare md.lammpstrj --frame -1 -o compared.png -o compared.csv
    crystalnet compare slab.extxyz --axis y --position 12 -o compared.pdf
    ```
    """
    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.io.trajectories.selection import check_selection
    from ase_crystalnet.io.whole_files import write_whole

    outputs = list(output or [])
    check_outputs(outputs, overwrite, (*FIGURES, ".csv"))
    if select is not None:
        check_selection(select)
    options = reader_of_options(reader, topology, atom_style, species)
    atoms = read_structure(structure, frame, format, reader=options, only=select)
    net = CrystalNet(
        model,
        classes=classes_of(names),
        window_atoms=window_atoms,
        min_certainty=min_certainty,
    )
    classes = net.classes
    # The quick ones first: they say at once whether OVITO is there.
    labels = _others(atoms, classes)
    with progress_bar(quiet, "windows", remaining=True) as bar:
        found = net.analyze(
            atoms, centers=centers.value, progress=lambda done, total: bar("windows", done, total)
        )
    labels["CrystalNet"] = found.atom_labels
    rows = comparison(labels, classes)
    typer.echo(_table(rows))
    say_unless(quiet)(_NOTE)
    for path in outputs:
        if path.suffix.lower() == ".csv":
            text = io.StringIO(newline="")
            csv.writer(text).writerows([["class", *labels], *_cells(rows)])
            write_whole(path, text.getvalue())
        else:
            from ase_crystalnet.plotting.compare import plot_comparison

            where = axis.value if axis else None
            save_figure(plot_comparison(atoms.positions, labels, classes, where, position), path)
        say_unless(quiet)(f"wrote {path}")


def _others(atoms: Atoms, classes: Sequence[str]) -> dict[str, NDArray[np.integer]]:
    """Labels by the other methods, by name.

    Raises
    ------
    InputError
        OVITO is not installed.
    """
    from ase_crystalnet.errors import InputError

    try:
        # What speaks to OVITO lives in that package, which may lack it.
        from ovito_modifier.neighbor_methods import acna_labels, ptm_labels

        return {
            "PTM, cutoff 0.1": ptm_labels(atoms, 0.1, classes=classes),
            "PTM, no cutoff": ptm_labels(atoms, None, classes=classes),
            "a-CNA": acna_labels(atoms, classes=classes),
        }
    except ImportError as error:
        raise InputError(
            "PTM and a-CNA need OVITO, which cannot be imported: "
            f"pip install 'ase-crystalnet[ovito]' ({error})"
        ) from error


def comparison(
    labels: Mapping[str, NDArray[np.integer]], classes: Sequence[str]
) -> dict[str, dict[str, float]]:
    """Percent of the atoms that each method gives to each class that occurs, and of agreement.

    Parameters
    ----------
    labels : mapping of str to (N,) integer array
        By the name of the method; the last one is what the others are compared with.
    classes : sequence of str

    Returns
    -------
    dict of str to dict of str to float
        By class, or "refused" or "as CrystalNet", then by method.
    """
    import numpy as np

    from ase_crystalnet.classes import REFUSED

    reference = list(labels.values())[-1]
    rows: dict[str, dict[str, float]] = {}
    for number, name in [*enumerate(classes), (-1, REFUSED)]:
        shares = {m: 100 * float(np.mean(each == number)) for m, each in labels.items()}
        if any(shares.values()):
            rows[name] = shares
    rows[f"as {list(labels)[-1]}"] = {
        method: 100 * float(np.mean(each == reference)) for method, each in labels.items()
    }
    return rows


def _table(rows: Mapping[str, Mapping[str, float]]) -> str:
    methods = list(next(iter(rows.values())))
    lines = [f"{'% of atoms':<16}" + "".join(f"{method:>17}" for method in methods)]
    lines += [
        f"{name:<16}" + "".join(f"{shares[method]:>17.1f}" for method in methods)
        for name, shares in rows.items()
    ]
    return "\n".join(lines)


def _cells(rows: Mapping[str, Mapping[str, float]]) -> list[list[str]]:
    return [[name, *(f"{share:.6g}" for share in shares.values())] for name, shares in rows.items()]
