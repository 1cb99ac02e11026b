"""Files that commands write: checked before the work begins, whole or absent after it."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.io.whole_files import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["FIGURES", "As", "FigureFormat", "check_outputs", "save_figure", "suffixes_of"]

#: Suffixes of figures.
FIGURES = (".png", ".pdf", ".svg")


class FigureFormat(StrEnum):
    """What a figure is written as."""

    png = "png"
    pdf = "pdf"
    svg = "svg"


As = Annotated[
    list[FigureFormat] | None,
    typer.Option(
        "--as",
        metavar="|".join(FigureFormat),
        help="What figures in a folder are written as; may be repeated. Default: png.",
    ),
]


def suffixes_of(chosen: list[FigureFormat] | None) -> tuple[str, ...]:
    """Suffixes of the figures that were asked for with ``--as``, each once."""
    return tuple(dict.fromkeys(f".{each}" for each in chosen or [FigureFormat.png]))


def check_outputs(
    paths: Iterable[Path], overwrite: bool, suffixes: tuple[str, ...] | None = None
) -> None:
    """Refuse outputs that cannot be written, before anything is computed.

    Parameters
    ----------
    paths : iterable of Path
    overwrite : bool
        Whether files that exist may be replaced.
    suffixes : tuple of str, optional
        What a name may end in; None allows any.

    Raises
    ------
    InputError
        A name ends in something else.
    OutputExistsError
        It is the name of a folder, or of a file that is to be kept.
    """
    for path in paths:
        if suffixes is not None and path.suffix.lower() not in suffixes:
            raise InputError(f"{path}: expected a name that ends in {', '.join(suffixes)}")
        if path.is_dir():
            raise OutputExistsError(f"{path}: is a folder; give the name of a file")
        if path.exists() and not overwrite:
            raise OutputExistsError(f"{path}: exists already; --overwrite replaces it")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the name's suffix."""
    with whole_file(path) as part:
        figure.savefig(part, format=path.suffix[1:].lower())
