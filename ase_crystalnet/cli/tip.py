"""Command `crystalnet tip`: simulate the reconstruction of an atom-probe tip."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ase_crystalnet.cli.errors import one_line_errors
from ase_crystalnet.cli.options import OverwriteOutputs

__all__ = ["tip"]

_NM = 10.0  # Å


class TipMaterial(StrEnum):
    """What the tip is made of."""

    aluminium = "Al"
    tungsten = "W"
    superalloy = "Ni3Al"


@one_line_errors
def tip(
    output: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Reconstruction to write (.pos); its ranges (.rrng) and the truth (.npz) go "
            "beside it.",
        ),
    ],
    material: Annotated[
        TipMaterial, typer.Option(help="Ni3Al: precipitates of it in nickel with aluminium.")
    ] = TipMaterial.aluminium,
    atoms: Annotated[
        int, typer.Option(metavar="N", help="Atoms that evaporate in the field of view.")
    ] = 1_000_000,
    axis: Annotated[
        str, typer.Option(metavar="HKL", help="Crystal direction along the tip, as 0,1,1.")
    ] = "0,0,1",
    tilt: Annotated[float, typer.Option(metavar="DEG", help="Largest angle between them.")] = 10.0,
    efficiency: Annotated[
        float, typer.Option(metavar="P", help="Share of the ions that is detected.")
    ] = 0.52,
    lateral: Annotated[
        float, typer.Option(metavar="NM", help="Blur along the surface, standard deviation.")
    ] = 0.2,
    depth: Annotated[
        float, typer.Option(metavar="NM", help="Blur along its normal, standard deviation.")
    ] = 0.03,
    precipitates: Annotated[
        float, typer.Option(metavar="NM", help="Radius of the precipitates of Ni3Al.")
    ] = 3.0,
    depth_scale: Annotated[
        float, typer.Option(metavar="X", help="Reconstructed over true depth.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(metavar="N", help="Of everything at random.")] = 0,
    overwrite: OverwriteOutputs = False,
) -> None:
    """Simulate the reconstruction of an atom-probe tip, with a known answer.

    A crystal is evaporated layer by layer by a sinking cap, with blur, bursts, losses of multiple
    hits, aberrations at poles and over precipitates, and a mass spectrum with overlaps and
    background.

    **Examples**

    ```
    crystalnet tip al.pos --material Al
    crystalnet tip superalloy.pos --material Ni3Al --efficiency 0.8 --precipitates 1.5
    crystalnet apt superalloy.pos -r superalloy.rrng --crystal fcc:3.555 --order L1_2
    ```
    """
    from ase_crystalnet.errors import InputError, OutputExistsError
    from ase_crystalnet.training.atom_probe.tip_files import write_tip
    from ase_crystalnet.training.atom_probe.tips import TipPlan

    if output.suffix.lower() != ".pos":
        raise InputError(f"{output}: expected a name that ends in .pos")
    paths = [output, output.with_suffix(".rrng"), output.with_suffix(".npz")]
    for path in paths:
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: exists already; --overwrite replaces it")
    try:
        h, k, m = (int(word) for word in axis.split(","))
    except ValueError as error:
        raise InputError(f"--axis: expected three whole numbers as 0,1,1; got {axis!r}") from error
    plan = TipPlan(
        material=material.value,
        atoms=atoms,
        axis=(h, k, m),
        tilt=tilt,
        efficiency=efficiency,
        lateral=lateral * _NM,
        depth=depth * _NM,
        precipitate_radius=precipitates * _NM,
        depth_scale=depth_scale,
    )
    count = write_tip(output, plan, seed)
    typer.echo(f"{count:,} ions of {atoms:,} atoms")
    for path in paths:
        typer.echo(f"wrote {path}")
