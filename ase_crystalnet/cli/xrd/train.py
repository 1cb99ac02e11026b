"""Command `crystalnet xrd train`: a network for powder patterns, from nothing."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ase_crystalnet.cli.errors import one_line_errors
from ase_crystalnet.cli.options import CORES, ModelFolder, QuietRemarks, number
from ase_crystalnet.cli.train import train as train_model

__all__ = ["train"]


class Network(StrEnum):
    """Architecture."""

    resnet = "resnet"
    dense = "dense"
    conv = "conv"


class Cost(StrEnum):
    """What training makes small."""

    entropy = "cross-entropy"
    alternating = "alternating"


class Noise(StrEnum):
    """What the simulated patterns look like."""

    measured = "measured"
    paper = "paper"


@one_line_errors
def train(
    output: ModelFolder,
    structures: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="FOLDER",
            help="Structures to simulate: folders of CIF files, or of .jsonl.gz lists. Not needed "
            "with --synthetic.",
            show_default=False,
        ),
    ] = None,
    work: Annotated[
        Path,
        typer.Option(
            metavar="FOLDER", help="Reflections, history, checkpoints; what is there is not redone."
        ),
    ] = Path("training-runs/xrd"),
    network: Annotated[
        Network, typer.Option(help="Residual ConvNet, or the paper's dense or convolutional one.")
    ] = Network.resnet,
    systems: Annotated[
        bool, typer.Option("--systems", help="Learn the 7 crystal systems, not 230 space groups.")
    ] = False,
    cost: Annotated[
        Cost, typer.Option(help="Cross-entropy, or in turns with the quadratic cost (the paper).")
    ] = Cost.entropy,
    noise: Annotated[
        Noise, typer.Option(help="As in measured patterns of minerals, or as in the paper.")
    ] = Noise.measured,
    patterns: Annotated[
        float, typer.Option(metavar="N", min=1, help="Patterns to draw and learn from.")
    ] = 4e6,
    minutes: Annotated[
        float | None, typer.Option(metavar="N", min=0, help="Stop after this time, if it is first.")
    ] = None,
    synthetic: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Random crystals to learn from besides (needs pyxtal)."
        ),
    ] = 0,
    measured: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Measured patterns, for the card's accuracy alone."),
    ] = None,
    minerals: Annotated[
        float, typer.Option(metavar="X", min=0, help="Times more often that minerals are drawn.")
    ] = 8.0,
    batch_size: Annotated[int, number("Patterns in a step.")] = 128,
    learning_rate: Annotated[
        float, typer.Option(metavar="X", min=0, help="Of AdamW, at its largest.")
    ] = 2e-3,
    bfloat16: Annotated[
        bool, typer.Option(help="Hidden layers in 16 bits while training: faster on AVX-512 BF16.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Of weights and patterns.")] = 1,
    processes: Annotated[int, number("Processes that read structures.")] = CORES,
    quiet: QuietRemarks = False,
) -> None:
    """Train a network on simulated powder patterns, from nothing.

    An interrupted run goes on where it stopped when the same command is given again. Afterwards
    `crystalnet xrd calibrate` fits how the network and the library are weighed.

    **Examples**

    ```
    crystalnet xrd train structures -o my-model --minutes 120
    crystalnet xrd train -o from-random-crystals --synthetic 40000
    crystalnet xrd train structures -o d --network dense --noise paper --cost alternating
    ```
    """
    from ase_crystalnet.training.powder.plan import XrdPlan
    from ase_crystalnet.training.powder.train import train_xrd
    from ase_crystalnet.xrd.simulated.patterns import MEASURED, PAPER

    plan = XrdPlan(
        network=network.value,
        classes=7 if systems else 230,
        cost=cost.value,
        patterns=patterns,
        seconds=60 * (minutes or 0),
        batch_size=batch_size,
        learning_rate=learning_rate,
        label_smoothing=0.0 if cost is Cost.alternating else 0.05,
        mineral=minerals,
        dtype="mixed_bfloat16" if bfloat16 else "float32",
        seed=seed,
        recipe=PAPER if noise is Noise.paper else MEASURED,
    )
    train_model(
        train_xrd,
        output,
        work,
        plan=plan,
        processes=processes,
        quiet=quiet,
        folders=structures or [],
        synthetic=synthetic,
        measured=measured,
    )
