"""Command `crystalnet fingerprint`: what a model sees of one window."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_crystalnet.cli.errors import one_line_errors
from ase_crystalnet.cli.files import FIGURES, check_outputs, save_figure
from ase_crystalnet.cli.inputs import read_structure
from ase_crystalnet.cli.options import Format, Model, Overwrite, window_atoms_option
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.whole_files import whole_file

if TYPE_CHECKING:
    import numpy as np
    from ase import Atoms
    from numpy.typing import NDArray

    from ase_crystalnet.analyzer import CrystalNet

__all__ = ["fingerprint", "window_image"]


@one_line_errors
def fingerprint(
    structure: Annotated[str, typer.Argument(metavar="STRUCTURE", help="Anything ASE reads.")],
    output: Annotated[
        list[Path],
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help=".png, .pdf or .svg for a figure, .npy for the array (64, 64, 3).",
        ),
    ],
    model: Model = None,
    center: Annotated[
        int, typer.Option(metavar="I", help="Atom in the middle of the window, from 0.")
    ] = 0,
    window_atoms: Annotated[int | None, window_atoms_option("Atoms in the window.")] = None,
    frame: Annotated[int, typer.Option(metavar="I", help="Frame of a trajectory.")] = 0,
    format: Format = None,
    overwrite: Overwrite = False,
) -> None:
    """Compute the diffraction fingerprint of one window, as a model sees it.

    **Examples**

    ```
    crystalnet fingerprint POSCAR --center 12 -o window.png -o window.npy
    crystalnet fingerprint POSCAR --model ziletti2018 -o structure.png
    ```
    """
    check_outputs(output, overwrite, (*FIGURES, ".npy"))
    atoms = read_structure(structure, frame, format)
    import numpy as np

    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.plotting.trajectory import plot_fingerprint

    net = CrystalNet(model, window_atoms=window_atoms)
    name = net.classifier.card.name
    if net.mode == "global":
        if center:
            raise InputError(f"model {name!r} sees a structure as a whole: leave out --center")
        title = f"{structure}, as model {name} sees it"
    else:
        size = net.of_windows().windower.window_atoms
        title = f"{structure}: {size} atoms around atom {center}"
    image = window_image(net, atoms, center)
    for place in output:
        if place.suffix.lower() == ".npy":
            with whole_file(place) as part, open(part, "wb") as file:
                np.save(file, image, allow_pickle=False)
        else:
            save_figure(plot_fingerprint(image, title), place)
        typer.echo(str(place))


def window_image(net: CrystalNet, atoms: Atoms, center: Any) -> NDArray[np.float32]:
    """Fingerprint of one window, as a model sees it.

    Parameters
    ----------
    net : CrystalNet
        Its windows, its fingerprint's constants and its choice of species are used.
    atoms : ase.Atoms
        The structure.
    center : int, or (3,) float array in Angstrom
        An atom's index or a point; without meaning to a model of whole structures.

    Returns
    -------
    ndarray, shape (64, 64, 3)

    Raises
    ------
    InputError
        If there is no such atom, or the window is too sparse.
    """
    from ase_crystalnet.explain.subjects import subject

    return subject(net, atoms, center).image
