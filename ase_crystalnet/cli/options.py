"""Options that several commands have, and how their texts are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_crystalnet.cli.commands import model_names
from ase_crystalnet.errors import InputError

if TYPE_CHECKING:
    from ase_crystalnet.frames.lindemann import LindemannWindow

__all__ = [
    "CORES",
    "AtomStyle",
    "Engine",
    "Format",
    "Model",
    "ModelFolder",
    "Overwrite",
    "OverwriteOutputs",
    "PowderModel",
    "Quiet",
    "QuietBar",
    "QuietRemarks",
    "ReaderOptions",
    "Select",
    "Species",
    "Topology",
    "Trajectory",
    "Wavelength",
    "lindemann_window",
    "number",
    "overwrite_option",
    "reader_of_options",
    "wavelength_of",
    "window_atoms_option",
]

#: Default of options for the number of processes.
CORES = os.cpu_count() or 1


def overwrite_option(replaced: str) -> Any:
    """The option ``--overwrite``; `replaced` are the words for what it replaces."""
    return typer.Option("--overwrite", help=f"Replace {replaced}.")


def number(help: str) -> Any:
    """An option that takes a whole number from 1 on."""
    return typer.Option(metavar="N", min=1, help=help)


def window_atoms_option(help: str) -> Any:
    """The option ``--window-atoms``: None if it is not given, since not every model has windows."""
    return typer.Option(metavar="N", show_default="250", help=help)


Overwrite = Annotated[bool, overwrite_option("existing files")]
OverwriteOutputs = Annotated[bool, overwrite_option("existing outputs")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
QuietBar = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar and no remarks.")]
QuietRemarks = Annotated[bool, typer.Option("--quiet", "-q", help="No remarks and no progress.")]
Format = Annotated[str | None, typer.Option(metavar="NAME", help="Format as ASE says.")]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        autocompletion=model_names,
        help="Name of a model, or its folder. Default: structure; local where symmetries are "
        "asked for.",
    ),
]
Engine = Annotated[
    str | None,
    typer.Option(
        metavar="onnx|tensorflow",
        show_default="onnx",
        help="What runs the network: onnxruntime, or TensorFlow, which an extra installs.",
    ),
]
ModelFolder = Annotated[
    Path, typer.Option("--output", "-o", metavar="FOLDER", help="Model folder to write.")
]
PowderModel = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Network, by name or folder; 'none' asks the library of known patterns alone. "
        "Default: the shipped one, if there is one.",
    ),
]
Trajectory = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Trajectory that the result is of. Default: the one it names, if that is in or below "
        "this folder.",
    ),
]
Topology = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Names of the atoms for trajectories without (DCD, XTC, TRR, TNG, NetCDF): PSF, TPR, "
        "PRMTOP, GRO, PDB, LAMMPS data ...",
    ),
]
AtomStyle = Annotated[
    str | None,
    typer.Option(metavar="STYLE", help="Of LAMMPS data files; default: their hint or columns."),
]
Species = Annotated[
    str | None,
    typer.Option(metavar="1=Cu,2=Zr", help="Elements of types or names; they do not move classes."),
]
Select = Annotated[
    str | None,
    typer.Option(
        metavar="ATOMS",
        help="The atoms that count, others are absent: 'element O', 'type 1 2', 'name OW', "
        "'z < 50', with and, or, not. Results are of these.",
    ),
]
ReaderOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--reader",
        metavar="KEY=VALUE",
        help="Option of the file's reader; may be repeated: cell=20,20,20 for files without a "
        "cell, units=real and others of ASE's readers.",
    ),
]
Wavelength = Annotated[
    str | None,
    typer.Option(
        metavar="ANGSTROM",
        help="Of the X-rays: a number, or an anode (Cu, Mo, Co, Cr, Fe, Ag). Default: what the "
        "file says, else Cu.",
    ),
]


def reader_of_options(
    options: list[str] | None, topology: str | None, atom_style: str | None, species: str | None
) -> dict[str, Any]:
    """What `iter_frames` takes as `reader`, from the options of a command.

    Raises
    ------
    InputError
        One cannot be read.
    """
    from ase_crystalnet.io.trajectories.reading import Reading, option_values

    found = option_values(options or [])
    for name, value in (
        ("topology", topology), ("atom_style", atom_style), ("species", species)
    ):  # fmt: skip
        if value is not None:
            found[name] = value
    Reading.of(reader=found)
    return found


def lindemann_window(text: str | None) -> LindemannWindow:
    """Frames of the Lindemann parameter: a number, "all", or None for no such parameter.

    Raises
    ------
    InputError
        It is neither "all" nor a number from 2 on.
    """
    if text is None or text == "all":
        return text  # type: ignore[return-value]
    if not text.isdigit() or int(text) < 2:
        raise InputError(
            f"--lindemann: expected a number of frames from 2 on, or 'all', got {text!r}"
        )
    return int(text)


def wavelength_of(text: str | None) -> float | None:
    """Angstrom of a number or of an anode's symbol.

    Raises
    ------
    InputError
        It is neither.
    """
    from ase_crystalnet.xrd.pattern import ANODES

    if text is None:
        return None
    anode = ANODES.get(text.strip().capitalize())
    if anode is not None:
        return anode
    try:
        return float(text)
    except ValueError:
        raise InputError(
            f"--wavelength {text!r}: expected Angstrom, such as 1.5406, or one of "
            f"{', '.join(ANODES)}"
        ) from None
