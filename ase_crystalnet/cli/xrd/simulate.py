"""Command `crystalnet xrd simulate`: the powder pattern of a structure."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ase_crystalnet.cli.errors import one_line_errors
from ase_crystalnet.cli.files import FIGURES, check_outputs, save_figure
from ase_crystalnet.cli.options import Overwrite, Wavelength, wavelength_of
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.whole_files import write_whole

__all__ = ["simulate"]


@one_line_errors
def simulate(
    structure: Annotated[
        str, typer.Argument(metavar="STRUCTURE", help="Anything ASE reads: CIF, POSCAR, ...")
    ],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help=".xy or .csv for the pattern, .png, .pdf or .svg for a figure; may be repeated. "
            "Without it the lines are listed.",
        ),
    ] = None,
    width: Annotated[
        float, typer.Option(metavar="DEGREES", help="Full width of the lines at half maximum.")
    ] = 0.12,
    wavelength: Wavelength = None,
    overwrite: Overwrite = False,
) -> None:
    """Powder pattern of a structure: lines, curve, figure.

    **Examples**

    ```
    crystalnet xrd simulate quartz.cif
    crystalnet xrd simulate quartz.cif -o quartz.xy -o quartz.png --width 0.08
    ```
    """
    import numpy as np

    from ase_crystalnet.io.trajectories.stream import iter_frames
    from ase_crystalnet.xrd.pattern import TWO_THETA, WAVELENGTH, broaden
    from ase_crystalnet.xrd.report import figure
    from ase_crystalnet.xrd.simulated.reflections import G_MAX, peaks, reflections_of

    outputs = list(output or [])
    check_outputs(outputs, overwrite, (".xy", ".csv", *FIGURES))
    length = wavelength_of(wavelength) or WAVELENGTH
    frame = next(iter_frames(structure, 0, 1), None)
    if frame is None:
        raise InputError(f"{structure}: holds no structure")
    atoms = frame.atoms
    last = 2 * np.degrees(np.arcsin(min(length * G_MAX / 2, 1.0)))
    angle, intensity = peaks(
        reflections_of(atoms), wavelength=length, two_theta=(5.0, min(90.0, np.floor(last)))
    )
    if not outputs:
        typer.echo(f"{'two-theta':>10}{'d':>10}{'intensity':>11}")
        for x, y in zip(angle, intensity, strict=True):
            if y >= 0.1:
                d = length / (2 * np.sin(np.radians(x / 2)))
                typer.echo(f"{x:>10.3f}{d:>10.4f}{y:>11.1f}")
        return
    curve = broaden(angle, intensity, width)
    for path in outputs:
        if path.suffix.lower() in FIGURES:
            title = f"{atoms.get_chemical_formula()}, {length:g} Å"
            save_figure(figure(curve, angle, title), path)
            continue
        # The wavelength is written so that `read_scan` finds it.
        head = [f"# {structure}, wavelength = {length:g} Angstrom, width {width:g} degrees"]
        mark = " "
        if path.suffix.lower() == ".csv":
            mark, head = ",", [*head, "two_theta,intensity"]
        rows = (f"{x:.2f}{mark}{1000 * y:.3f}" for x, y in zip(TWO_THETA, curve, strict=True))
        write_whole(path, "\n".join([*head, *rows]) + "\n")
