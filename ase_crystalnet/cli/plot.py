"""Command `crystalnet plot`: figures of a result."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ase_crystalnet.cli.commands import model_names
from ase_crystalnet.cli.errors import one_line_errors
from ase_crystalnet.cli.files import (
    FIGURES,
    As,
    FigureFormat,
    check_outputs,
    save_figure,
    suffixes_of,
)
from ase_crystalnet.cli.fingerprint import window_image
from ase_crystalnet.cli.inputs import check_frame, is_own_place, read_window
from ase_crystalnet.cli.options import Trajectory, overwrite_option
from ase_crystalnet.errors import CrystalNetError, InputError, ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.cli.inputs import ResultWindow
    from ase_crystalnet.io.results.hdf5_reader import ResultFile

__all__ = ["model_of", "plot"]


#: What Matplotlib and NumPy raise at the numbers of a damaged result.
_UNDRAWABLE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


class Kind(StrEnum):
    """What to draw of a result."""

    fractions = "fractions"
    slice = "slice"
    strain = "strain"
    fingerprint = "fingerprint"


class Axis(StrEnum):
    """Normal of a slice."""

    x = "x"
    y = "y"
    z = "z"


@one_line_errors
def plot(
    result: Annotated[Path, typer.Argument(metavar="RESULT.h5", help="From `analyze -o`.")],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="PLACE",
            help="A folder, or with one --kind a .png, .pdf or .svg file. Default: beside RESULT.",
        ),
    ] = None,
    kind: Annotated[
        list[Kind] | None,
        typer.Option(
            metavar="|".join(Kind),
            help="What to draw; may be repeated. Default: fractions and slice.",
        ),
    ] = None,
    frame: Annotated[
        int, typer.Option(metavar="I", help="Frame of slices, in RESULT; -1 is the last.")
    ] = -1,
    axis: Annotated[
        Axis | None, typer.Option(help="Normal of the slice; default: where it is thinnest.")
    ] = None,
    position: Annotated[
        float | None, typer.Option(metavar="ANGSTROM", help="Of the slice; default the middle.")
    ] = None,
    thickness: Annotated[
        float | None, typer.Option(metavar="ANGSTROM", help="Of the slice; default one layer.")
    ] = None,
    window: Annotated[
        int, typer.Option(metavar="I", help="Window of the fingerprint; reads the trajectory.")
    ] = 0,
    trajectory: Trajectory = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            autocompletion=model_names,
            help="Model of the fingerprint, by name or folder. Default: the one that the result "
            "names, if it is shipped, or in or below this folder.",
        ),
    ] = None,
    written_as: As = None,
    overwrite: Annotated[bool, overwrite_option("existing figures")] = False,
) -> None:
    """Draw phase fractions, slices, strain and fingerprints of a result.

    **Examples**

    ```
    crystalnet plot run.h5
    crystalnet plot run.h5 --kind slice --frame 12 --axis x --position 20 -o slice.pdf
    crystalnet plot run.h5 --kind fingerprint --window 100 -o figures
    crystalnet plot run.h5 --kind fingerprint --trajectory /data/md.lammpstrj
    ```
    """
    from ase_crystalnet import plotting
    from ase_crystalnet.io.results.hdf5_reader import ResultFile

    places = _figure_places(result, output, kind or [Kind.fractions, Kind.slice], written_as)
    check_outputs([place for each in places.values() for place in each], overwrite)
    with ResultFile(result) as file:
        check_frame(file, frame)
        for drawn, written in places.items():
            with _drawable(result):
                if drawn is Kind.fractions:
                    figure = plotting.plot_trajectory(file.trajectory())
                elif drawn in (Kind.slice, Kind.strain):
                    draw = plotting.plot_slice if drawn is Kind.slice else plotting.plot_strain
                    normal = axis.value if axis else None
                    figure = draw(file[frame], normal, position, thickness)
                else:
                    figure = _window_figure(file, frame, window, trajectory, model)
                for place in written:
                    save_figure(figure, place)
            for place in written:
                typer.echo(str(place))


@contextmanager
def _drawable(result: Path) -> Iterator[None]:
    """Name the result where the numbers of a damaged one cannot be drawn."""
    try:
        yield
    except CrystalNetError:
        raise
    except _UNDRAWABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{result}: expected numbers that can be drawn, got others ({reason}); the file may be "
            "damaged: analyse again"
        ) from error


def _figure_places(
    result: Path,
    output: Path | None,
    kinds: Sequence[Kind],
    written_as: list[FigureFormat] | None,
) -> dict[Kind, list[Path]]:
    if output is not None and output.suffix.lower() in FIGURES and not output.is_dir():
        if len(set(kinds)) > 1:
            raise InputError(f"--output: one file cannot hold {len(kinds)} figures; name a folder")
        if written_as:
            raise InputError(f"--as: is for a folder; the name of the file says {output.suffix}")
        return {kinds[0]: [output]}
    if output is not None and output.suffix and not output.is_dir():
        raise InputError(f"--output: expected a folder or a name in {', '.join(FIGURES)}")
    folder = result.parent if output is None else output
    suffixes = suffixes_of(written_as)
    return {kind: [folder / f"{result.stem}-{kind}{end}" for end in suffixes] for kind in kinds}


def _window_figure(
    file: ResultFile, frame: int, number: int, trajectory: str | None, model: str | None
) -> Figure:
    """Fingerprint of a window, as the model of the result sees it."""
    from ase_crystalnet.plotting.trajectory import plot_fingerprint

    window = read_window(file, frame, number, trajectory)
    image = window_image(model_of(file, window, model), window.atoms, window.center)
    analysis, label = window.analysis, int(window.analysis.labels[number])
    name = analysis.classes[label] if label >= 0 else "refused"
    return plot_fingerprint(
        image, f"{window.title}: {name}, certainty {analysis.certainty[number]:.3f}"
    )


def model_of(file: ResultFile, window: ResultWindow, model: str | None = None) -> CrystalNet:
    """The analyzer that a window of a result was made with.

    A result knows the name and the hash of its model; that of a command, also the model's place.
    Without `model`, only shipped models are looked at, and places in or below the current folder.

    Raises
    ------
    ModelError
        The model is not there, or is another one of the same name.
    """
    from ase_crystalnet.analyzer import CrystalNet

    stored = window.analysis.metadata
    name, wanted = str(stored.get("model")), stored.get("model_sha256")
    reasons = []
    named = (str(file.settings.get("model", name)), name) if model is None else (model,)
    for place in dict.fromkeys(named):
        if model is None and not is_own_place(place):
            reasons.append(f"model {place!r} is not in or below this folder: give --model")
            continue
        try:
            net = CrystalNet(place, **window.options)
        except (InputError, ModelError) as error:
            reasons.append(str(error))
            continue
        if net.classifier.card.sha256 == wanted:
            return net
        reasons.append(f"model {place!r} has other weights")
    raise ModelError(
        f"{file.path}: expected the model {name!r} that made it (sha256 {wanted}), got: "
        f"{'; '.join(reasons)}; put that model in place and run from the folder where the result "
        "was made, or draw what another model sees with `crystalnet fingerprint --model`"
    )
