"""Command `crystalnet explain`: response maps of one window or structure."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_crystalnet.cli.errors import one_line_errors, quiet_tensorflow
from ase_crystalnet.cli.files import FIGURES, check_outputs, save_figure
from ase_crystalnet.cli.inputs import read_structure, read_window
from ase_crystalnet.cli.options import Format, Model, Overwrite, Trajectory
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.whole_files import whole_file, write_whole

if TYPE_CHECKING:
    from ase import Atoms

    from ase_crystalnet.explain.bragg_spots import BraggSpots
    from ase_crystalnet.explain.explainer import Explanation

__all__ = ["explain"]

_KINDS = (*FIGURES, ".npz", ".json")


class Pooling(StrEnum):
    """Way back through a maximum pooling."""

    switches = "switches"
    repeat = "repeat"


@one_line_errors
def explain(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT",
            help="A structure ASE reads, a RESULT.h5 of `analyze`, or a prototype: sc, bcc, fcc, "
            "diam, hcp, bct139, bct141.",
        ),
    ],
    output: Annotated[
        list[Path],
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help=".png, .pdf or .svg for the figure, .npz for the maps, .json for the numbers; may "
            "be repeated.",
        ),
    ],
    model: Model = None,
    center: Annotated[
        int, typer.Option("--center", "--atom", metavar="I", help="Atom in the window's middle.")
    ] = 0,
    window: Annotated[
        int | None, typer.Option(metavar="I", help="Window of a RESULT.h5, instead of an atom.")
    ] = None,
    window_atoms: Annotated[
        int | None, typer.Option(metavar="N", help="Atoms in the window; default 250.")
    ] = None,
    frame: Annotated[int, typer.Option(metavar="I", help="Frame of a trajectory or result.")] = 0,
    for_class: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Show the filters with most evidence for this class, not the brightest.",
        ),
    ] = None,
    top: Annotated[int, typer.Option(metavar="N", min=1, help="Filters of a layer.")] = 4,
    unpooling: Annotated[
        Pooling, typer.Option(help="Back through a pooling: to the pixel that won, or to all.")
    ] = Pooling.switches,
    format: Format = None,
    trajectory: Trajectory = None,
    overwrite: Overwrite = False,
) -> None:
    """Show what in a diffraction fingerprint decides the class: attentive response maps.

    The fingerprint, the brightest filters of the first, third and last convolution carried back to
    the image, the sum over the last one's filters, and the evidence for and against each class.

    **Examples**

    ```
    crystalnet explain fcc -o fcc.png
    crystalnet explain POSCAR --model ziletti2018 -o response.pdf -o response.npz
    crystalnet explain md.extxyz --frame 10 --center 512 --class bcc -o window.png
    crystalnet explain run.h5 --frame 3 --window 100 -o window.png -o window.json
    ```
    """
    check_outputs(output, overwrite, _KINDS)
    atoms, middle, stored, title = _read(what, center, window, frame, format, trajectory)
    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.explain.explainer import Explainer
    from ase_crystalnet.explain.subjects import subject

    quiet_tensorflow()
    given: dict[str, Any] = {} if window_atoms is None else {"window_atoms": window_atoms}
    net = CrystalNet(model, **given)
    if net.mode == "local" and stored:
        net = CrystalNet(model, **{**stored, **given})
    if net.mode == "global" and (window is not None or center):
        raise InputError(
            f"model {net.classifier.card.name!r} sees a structure as a whole: leave out the window"
        )
    explainer = Explainer(net.classifier, unpooling.value)
    chosen = None if for_class is None else explainer.index(for_class)
    if net.mode == "local" and os.path.exists(what) and not _is_result(what):
        title = f"{title}, atom {center}"
    found = subject(net, atoms, middle)
    explanation = explainer.explain(found.image, chosen, top)
    numbers = _numbers(explanation, found.spots)
    numbers = {"what": title, "model": net.classifier.card.name, "atoms": found.atoms, **numbers}
    typer.echo(_summary(numbers))
    for place in output:
        _write(place, explanation, found.spots, numbers, f"{title}, model {numbers['model']}")
        typer.echo(str(place))


def _read(
    what: str,
    center: int,
    window: int | None,
    frame: int,
    format: str | None,
    trajectory: str | None,
) -> tuple[Atoms, Any, dict[str, Any], str]:
    """Atoms, the window's centre (index or point), how a result cut it, and words for them."""
    result = _is_result(what)
    if window is not None and not result:
        raise InputError(f"--window is of a RESULT.h5, given {what}; use --center for an atom")
    if result:
        if center:
            raise InputError("--center is of a structure; use --window for a RESULT.h5")
        return _read_result(Path(what), frame, window or 0, trajectory)
    if trajectory is not None:
        raise InputError(f"--trajectory is of a RESULT.h5, got {what}; leave it out")
    if not os.path.exists(what) and (prototype := _prototype(what)) is not None:
        return prototype, center, {}, what
    atoms = read_structure(what, frame, format)
    return atoms, center, {}, what if frame == 0 else f"{what}, frame {frame}"


def _is_result(what: str) -> bool:
    return Path(what).suffix.lower() in (".h5", ".hdf5")


def _prototype(name: str) -> Atoms | None:
    from ase_crystalnet.crystals.structures import unit_cell

    if Path(name).suffix or os.sep in name:
        return None
    try:
        return unit_cell(name)
    except InputError as error:
        raise InputError(f"{name}: no such file, and no prototype ({error})") from None


def _read_result(
    path: Path, frame: int, window: int, trajectory: str | None
) -> tuple[Atoms, Any, dict[str, Any], str]:
    from ase_crystalnet.io.results.hdf5_reader import ResultFile

    with ResultFile(path) as file:
        found = read_window(file, frame, window, trajectory)
    return found.atoms, found.center, found.options, found.title


def _numbers(explanation: Explanation, spots: BraggSpots | None) -> dict[str, Any]:
    """What the figure shows, in numbers."""
    import numpy as np

    from ase_crystalnet.explain.bragg_spots import energy_share, shuffled_share

    def shares(maps: Any) -> dict[str, Any]:
        if spots is None or not len(spots):
            return {}
        near = spots.near()
        return {
            "energy_near_spots": np.round(energy_share(maps, near), 4).tolist(),
            "energy_near_spots_shuffled": np.round(shuffled_share(maps, near), 4).tolist(),
        }

    classes = explanation.classes
    return {
        "probabilities": {
            name: round(float(p), 6)
            for name, p in zip(classes, explanation.probabilities, strict=True)
        },
        "ranked_for": None if explanation.label is None else classes[explanation.label],
        "bragg_spots": None if spots is None else len(spots),
        "layers": [
            {
                "convolution": layer.number,
                "name": layer.name,
                "filters": layer.filters.tolist(),
                "share_of_layer": np.round(layer.shares, 4).tolist(),
                **shares(layer.maps),
            }
            for layer in explanation.layers
        ],
        "sum_over_last_filters": shares(explanation.filter_sum),
        "evidence": {
            name: shares(one) for name, one in zip(classes, explanation.class_maps, strict=True)
        },
    }


def _summary(numbers: dict[str, Any]) -> str:
    probabilities = numbers["probabilities"]
    ranked = sorted(probabilities, key=lambda name: -probabilities[name])[:3]
    lines = ["  ".join(f"{name} {probabilities[name]:.3f}" for name in ranked)]
    share = numbers["sum_over_last_filters"]
    if share:
        lines.append(
            f"response within two pixels of {numbers['bragg_spots']} Bragg spots: "
            f"{100 * share['energy_near_spots']:.0f} % of its energy "
            f"(shuffled: {100 * share['energy_near_spots_shuffled']:.0f} %)"
        )
    else:
        lines.append("no lattice, so no Bragg spots to compare the response with")
    return "\n".join(lines)


def _write(
    place: Path,
    explanation: Explanation,
    spots: BraggSpots | None,
    numbers: dict[str, Any],
    title: str,
) -> None:
    import numpy as np

    from ase_crystalnet.explain.figures import plot_explanation

    kind = place.suffix.lower()
    if kind == ".json":
        write_whole(place, json.dumps(numbers, indent=1) + "\n")
    elif kind == ".npz":
        arrays = explanation.arrays()
        if spots is not None:
            arrays |= {"spot_channel": spots.channel, "spot_pixel": spots.pixel}
        with whole_file(place) as part, open(part, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    else:
        save_figure(plot_explanation(explanation, title, spots), place)
