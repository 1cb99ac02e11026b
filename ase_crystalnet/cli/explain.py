"""Command `crystalnet explain`: response maps of one window or structure."""

from __future__ import annotations

import io
import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_crystalnet.cli.errors import one_line_errors, quiet_tensorflow
from ase_crystalnet.errors import InputError, OutputExistsError

if TYPE_CHECKING:
    from ase import Atoms

    from ase_crystalnet.explain.bragg_spots import BraggSpots
    from ase_crystalnet.explain.explainer import Explanation

__all__ = ["explain"]

FIGURES = (".png", ".pdf", ".svg")
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
    model: Annotated[str, typer.Option(help="Name of a model, or its folder.")] = "local",
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
    format: Annotated[str | None, typer.Option(metavar="NAME", help="Format as ASE says.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")] = (
        False
    ),
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
    for place in output:
        if place.suffix.lower() not in _KINDS:
            raise InputError(f"{place}: wanted a name in {', '.join(_KINDS)}")
        if place.is_dir():
            raise OutputExistsError(f"{place}: is a folder; give the name of a file")
        if place.exists() and not overwrite:
            raise OutputExistsError(f"{place}: exists already; --overwrite replaces it")
    atoms, middle, size, title = _read(what, center, window, window_atoms, frame, format)
    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.explain.explainer import Explainer
    from ase_crystalnet.explain.subjects import subject

    quiet_tensorflow()
    net = CrystalNet(model) if size is None else CrystalNet(model, window_atoms=size)
    if net.mode == "global" and (window is not None or center):
        raise InputError(f"model {model!r} sees a structure as a whole: leave out the window")
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
    window_atoms: int | None,
    frame: int,
    format: str | None,
) -> tuple[Atoms, Any, int | None, str]:
    """Atoms, the window's centre (index or point), its size, and words for them."""
    result = _is_result(what)
    if window is not None and not result:
        raise InputError(f"--window is of a RESULT.h5, given {what}; use --center for an atom")
    if result:
        if center:
            raise InputError("--center is of a structure; use --window for a RESULT.h5")
        return _read_result(Path(what), frame, window or 0, window_atoms)
    if not os.path.exists(what) and (prototype := _prototype(what)) is not None:
        return prototype, center, window_atoms, what
    from ase_crystalnet.io.trajectories.stream import iter_frames

    found = next(iter_frames(what, frame, frame + 1 if frame != -1 else None, format=format), None)
    if found is None:
        raise InputError(f"--frame: {what} has no frame {frame}")
    return found.atoms, center, window_atoms, what if frame == 0 else f"{what}, frame {frame}"


def _is_result(what: str) -> bool:
    return Path(what).suffix.lower() in (".h5", ".hdf5")


def _prototype(name: str) -> Atoms | None:
    from ase_crystalnet.crystals.structures import unit_cell

    if Path(name).suffix or os.sep in name:
        return None
    try:
        return unit_cell("hex/rh" if name == "hcp" else name)
    except InputError:
        raise InputError(
            f"{name}: no such file, and no prototype; those are sc, bcc, fcc, diam, hcp, bct139, "
            "bct141"
        ) from None


def _read_result(
    path: Path, frame: int, window: int, window_atoms: int | None
) -> tuple[Atoms, Any, int | None, str]:
    from ase_crystalnet.io.results.hdf5_reader import ResultFile
    from ase_crystalnet.io.trajectories.stream import iter_frames

    with ResultFile(path) as file:
        if not -len(file) <= frame < len(file):
            raise InputError(f"--frame: {path} holds frames 0 to {len(file) - 1}, given {frame}")
        analysis = file[frame]
    if not 0 <= window < analysis.number_of_windows:
        raise InputError(f"--window: wanted 0 to {analysis.number_of_windows - 1}, given {window}")
    source, number = analysis.metadata["source"], analysis.metadata["frame"]
    if not os.path.exists(source):
        raise InputError(
            f"{path}: its trajectory {source!r} is not there, so the window's atoms cannot be "
            "read; run from the folder where it was analysed"
        )
    atoms = next(iter_frames(source, number, number + 1)).atoms
    size = window_atoms or int(analysis.metadata.get("window_atoms", 250))
    return atoms, analysis.centers[window], size, f"{source}, frame {number}, window {window}"


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

    from ase_crystalnet.io.whole_files import write_whole

    kind = place.suffix.lower()
    if kind == ".json":
        write_whole(place, json.dumps(numbers, indent=1) + "\n")
        return
    content = io.BytesIO()
    if kind == ".npz":
        arrays = explanation.arrays()
        if spots is not None:
            arrays |= {"spot_channel": spots.channel, "spot_pixel": spots.pixel}
        np.savez_compressed(content, **arrays)  # type: ignore[arg-type]
    else:
        from ase_crystalnet.explain.figures import plot_explanation

        plot_explanation(explanation, title, spots).savefig(content, format=kind[1:])
    write_whole(place, content.getvalue())
