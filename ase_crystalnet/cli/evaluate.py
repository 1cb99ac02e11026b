"""Command `crystalnet evaluate`: accuracy of a model on what it has not seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_crystalnet.cli.errors import complain, one_line_errors, quiet_engine
from ase_crystalnet.cli.files import check_outputs
from ase_crystalnet.cli.options import Engine, Model, Quiet, overwrite_option, window_atoms_option
from ase_crystalnet.cli.progress import say_unless
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.whole_files import write_whole

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.training.local.evaluate import Row
    from ase_crystalnet.training.ziletti2018.evaluate import GlobalRow

__all__ = ["evaluate"]


@one_line_errors
def evaluate(
    model: Model = None,
    windows: Annotated[
        int, typer.Option(metavar="N", min=7, help="Windows of each condition.")
    ] = 1000,
    window_atoms: Annotated[int | None, window_atoms_option("Atoms in a window.")] = None,
    liquids: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Folder of simulated liquids and glasses (.npz, as `crystalnet train local` makes "
            "them in WORK/md), besides the random packings.",
        ),
    ] = None,
    structures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Of a model of whole structures: folder of .jsonl.gz files whose elements are "
            "classified, too (lattice, Z, frac and sg in every line).",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.json", help="Also write it.")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with code 1 if an accuracy is below its target.")
    ] = False,
    engine: Engine = None,
    overwrite: Annotated[bool, overwrite_option("the file")] = False,
    quiet: Quiet = False,
) -> None:
    """Measure a model on windows it has not seen: vacancies, displacements, strain, liquids.

    Windows are cut from random crystals of the model's classes in random orientation around random
    centres. Sigma is the displacement per component in nearest-neighbour distances. A model of
    whole structures is measured on N elemental crystals with the defects of its paper.

    **Examples**

    ```
    crystalnet evaluate --windows 200 --window-atoms 64
    crystalnet evaluate --model ziletti2018 --windows 500 --structures structures
    ```
    """
    check_outputs([] if output is None else [output], overwrite)
    files = sorted(liquids.glob("*.npz")) if liquids is not None else []
    if liquids is not None and not files:
        raise InputError(f"--liquids: {liquids} holds no .npz file")
    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.classes import OTHER
    from ase_crystalnet.classifier.card import ModelCard, find_model
    from ase_crystalnet.local.names import MODELS
    from ase_crystalnet.training.local import evaluate as evaluation

    model = model or MODELS["structure"]
    # Windows for other models are labelled by the symmetry they are drawn with.
    known = OTHER in ModelCard.read(find_model(model)).classes
    classes = None if known else "symmetry"
    net = CrystalNet(model, window_atoms=window_atoms, classes=classes, engine=engine)
    quiet_engine(net.classifier.engine)
    progress = say_unless(quiet)
    if net.mode == "global":
        _evaluate_global(net, model, windows, structures, output, check, progress)
        return
    if structures is not None:
        raise InputError(
            f"--structures: model {model!r} is one of windows; whole structures are for ziletti2018"
        )
    rows = evaluation.disorder_table(net, windows=windows, progress=progress)
    progress("disordered")
    rows.append(evaluation.liquid_row(net, files, windows=windows))
    typer.echo(_evaluation_table(rows))
    if output is not None:
        size = net.of_windows().windower.window_atoms
        content = _evaluation(rows, model, windows, size)
        write_whole(output, json.dumps(content, indent=1) + "\n")
    _complain_below(rows, check)


def _evaluate_global(
    net: CrystalNet,
    model: str,
    count: int,
    folder: Path | None,
    output: Path | None,
    check: bool,
    progress: Callable[[str], None],
) -> None:
    from ase_crystalnet.training.ziletti2018 import evaluate as evaluation

    given = evaluation.fresh_structures(count, seed=7)
    rows = evaluation.defect_table(net.classifier, given, progress=progress)
    if folder is not None:
        known = evaluation.database_elements(folder)
        rows.append(evaluation.database_row(net.classifier, known))
    typer.echo(_evaluation_table(rows))
    if folder is not None:
        typer.echo("\n".join(rows[-1].failures()))
    if output is not None:
        content = {
            "model": model,
            "structures_a_row": len(given),
            "rows": [
                {
                    "condition": row.name,
                    "structures": len(row.structures),
                    "percent": row.accuracy,
                    "target": row.wanted,
                    "percent_by_class": row.by_class(),
                    "failures": row.failures(),
                }
                for row in rows
            ],
        }
        write_whole(output, json.dumps(content, indent=1) + "\n")
    _complain_below(rows, check)


def _complain_below(rows: Sequence[Row | GlobalRow], check: bool) -> None:
    below = [row.name for row in rows if row.accuracy < row.wanted]
    if check and below:
        complain(f"below the target: {', '.join(below)}")
        raise typer.Exit(1)


def _evaluation_table(rows: Sequence[Row | GlobalRow]) -> str:
    lines = [f"{'condition':<28}{'right':>9}{'target':>9}   worst class"]
    for row in rows:
        worst, share = min(row.by_class().items(), key=lambda item: item[1])
        lines.append(
            f"{row.name:<28}{row.accuracy:>7.2f} %{row.wanted:>7.1f} %   {worst} {share:.2f} %"
        )
    return "\n".join(lines)


def _evaluation(rows: list[Row], model: str, windows: int, window_atoms: int) -> dict[str, Any]:
    return {
        "model": model,
        "windows_a_row": windows,
        "window_atoms": window_atoms,
        "rows": [
            {
                "condition": row.name,
                "percent": row.accuracy,
                "target": row.wanted,
                "percent_by_class": row.by_class(),
            }
            for row in rows
        ],
    }
