"""Command `crystalnet crystals`: grains of a frame, their unit cells, space groups and order."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ase_crystalnet.cli.errors import one_line_errors, quiet_tensorflow
from ase_crystalnet.cli.files import check_outputs
from ase_crystalnet.cli.inputs import read_structure
from ase_crystalnet.cli.options import Format, OverwriteOutputs, number

__all__ = ["crystals"]

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
            help="Where results go; may be repeated. .cif: the average crystals. .csv: one row a "
            "grain. .extxyz: the structure with the grain of each atom, for OVITO.",
        ),
    ] = None,
    frame: Annotated[int, typer.Option(metavar="I", help="Frame of a trajectory; -1: last.")] = 0,
    model: Annotated[
        str, typer.Option(help="Model that names the structures too; 'none' for no network.")
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
    format: Format = None,
    overwrite: OverwriteOutputs = False,
) -> None:
    """Find the crystals of a structure: grains, average unit cells, space groups, order.

    No class is presumed and no network is needed: any crystal is found, hot, strained or with
    vacancies, by its lattice.

    **Examples**

    ```
    crystalnet crystals md.dump -o crystals.cif -o grains.csv -o labelled.extxyz
    crystalnet crystals md.extxyz --frame -1 --model local
    crystalnet crystals md.dump --reference theta.cif --reference matrix.cif
    ```
    """
    from ase_crystalnet.grains.files import SUFFIXES, write_crystals

    outputs = output or []
    check_outputs(outputs, overwrite, SUFFIXES)
    references = [str(path) for path in reference or []]
    atoms = read_structure(trajectory, frame, format)
    from ase_crystalnet.grains.analysis import find_crystals
    from ase_crystalnet.grains.segmentation import GrainFinder

    finder = GrainFinder(least_atoms=least_atoms)
    if model == "none":
        found = find_crystals(
            atoms, finder=finder, elastic_strain=elastic_strain, references=references
        )
    else:
        quiet_tensorflow()
        from ase_crystalnet.analyzer import CrystalNet

        net = CrystalNet(model)
        found = net.crystals(
            atoms, finder=finder, elastic_strain=elastic_strain, references=references
        )
    typer.echo(repr(found))
    if found.boundaries:
        typer.echo("boundaries (grains, pairs of atoms, misorientation in degrees, Sigma):")
    for each in found.boundaries[:_BOUNDARIES]:
        first, second = each.grains
        sigma = f"Sigma {each.sigma}" if each.sigma else ""
        typer.echo(f"{first:>5} {second:>5}{each.pairs:>9}{each.misorientation:>8.2f}  {sigma}")
    for path in outputs:
        write_crystals(found, atoms, path)
        typer.echo(str(path))
