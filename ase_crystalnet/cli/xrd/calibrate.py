"""Command `crystalnet xrd calibrate`: how network and library are combined."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ase_crystalnet.cli.errors import one_line_errors, quiet_engine
from ase_crystalnet.cli.options import PowderModel
from ase_crystalnet.cli.progress import say

__all__ = ["calibrate"]


@one_line_errors
def calibrate(
    patterns: Annotated[
        Path,
        typer.Argument(
            metavar="PATTERNS.npz",
            help="Measured patterns: X (B, 8500) from 5 to 90 degrees, Cu K-alpha, background "
            "subtracted; space_group (B,); ids (B,), of which the even ones are used.",
        ),
    ],
    model: PowderModel = None,
    structures: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="structures.npz of the work folder of `crystalnet xrd train`: simulated patterns "
            "of its held-out compositions count for three tenths, so that likeness is trusted less "
            "where samples are no minerals.",
        ),
    ] = None,
    phases: Annotated[
        bool,
        typer.Option(
            "--phases",
            help="Fit instead how far a phase that was found, and a cell by indexing, "
            "decide the answer, and how many space groups a prediction set takes.",
        ),
    ] = False,
) -> None:
    """Fit how network and library are combined, and store it with the network.

    **Examples**

    ```
    crystalnet xrd calibrate measured.npz --model none
    crystalnet xrd calibrate measured.npz --structures training-runs/xrd/structures.npz
    ```
    """
    from ase_crystalnet.xrd.answer.network import default_network

    network = default_network(model)
    quiet_engine(network.engine if network else None)
    if phases:
        from ase_crystalnet.training.powder.calibrate_phases import calibrate_phases

        typer.echo(calibrate_phases(patterns, model=model, log=say))
        return
    from ase_crystalnet.training.powder.calibrate import calibrate as fit_combination

    typer.echo(fit_combination(patterns, model=model, structures=structures))
