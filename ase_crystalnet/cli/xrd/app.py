"""Commands `crystalnet xrd ...`: arguments and help. The work is done in `xrd.commands`."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ase_crystalnet.cli.errors import complain, one_line_errors, quiet_tensorflow

__all__ = ["xrd_app"]

xrd_app = typer.Typer(
    no_args_is_help=True,
    help="Powder patterns: crystal system and space group, with the right to refuse.",
)

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No remarks and no progress.")]
Model = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Network, by name or folder; 'none' asks the library of known patterns alone. "
        "Default: the shipped one, if there is one.",
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


@xrd_app.command()
@one_line_errors
def classify(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Measured patterns: .xy, .xye, .dat, .csv, .txt, .xrdml, .raw (Bruker), .brml, "
            ".uxd, .ras, .rasx, .chi, GSAS, or CIF with a measured profile.",
        ),
    ],
    model: Model = None,
    wavelength: Wavelength = None,
    min_certainty: Annotated[
        float | None,
        typer.Option(metavar="P", help="Refuse space groups less certain than this (0 to 1)."),
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Answer this share of the files, the most certain first, and refuse the others.",
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(metavar="N", min=1, max=230, help="Space groups to list.")
    ] = 3,
    library: Annotated[
        Path | None,
        typer.Option(metavar="FILE.npz", help="Library of your own (`crystalnet xrd library`)."),
    ] = None,
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Also write it; may be repeated. .json: everything. .csv: one row a file.",
        ),
    ] = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Say crystal system and space group of powder patterns, and how sure that is.

    The pattern is compared with the simulated patterns of known minerals, and shown to the network
    if there is one; both words are combined. The answer says whether there is a close match.
    Backgrounds are subtracted; other wavelengths and ranges are converted, and what was not
    measured is said. A file that cannot be read is said in one line, the others are answered, and
    the exit code is 2.

    **Examples**

    ```
    crystalnet xrd classify quartz.xy
    crystalnet xrd classify *.xrdml --min-certainty 0.8 -o answers.csv
    crystalnet xrd classify synchrotron.xye --wavelength 0.41236
    ```
    """
    from ase_crystalnet.cli.xrd import commands

    failed = commands.classify(
        files,
        model=model,
        wavelength=wavelength,
        min_certainty=min_certainty,
        coverage=coverage,
        top=top,
        library=library,
        outputs=output or [],
        overwrite=overwrite,
        remarks=None if quiet else _say,
    )
    for message in failed:
        complain(message)
    if failed:
        raise typer.Exit(2)


@xrd_app.command()
@one_line_errors
def simulate(
    structure: Annotated[
        str, typer.Argument(metavar="STRUCTURE", help="Anything ASE reads: CIF, POSCAR, ...")
    ],
    output: Annotated[
        list[Path] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help=".xy or .csv for the pattern, .png, .pdf or .svg for a figure; may be repeated. "
            "Without it the lines are listed.",
        ),
    ] = None,
    width: Annotated[
        float, typer.Option(metavar="DEGREES", help="Full width of the lines at half maximum.")
    ] = 0.12,
    wavelength: Wavelength = None,
    overwrite: Overwrite = False,
) -> None:
    """Powder pattern of a structure: lines, curve, figure.

    **Examples**

    ```
    crystalnet xrd simulate quartz.cif
    crystalnet xrd simulate quartz.cif -o quartz.xy -o quartz.png --width 0.08
    ```
    """
    from ase_crystalnet.cli.xrd import commands

    commands.simulate(
        structure, output or [], width=width, wavelength=wavelength, overwrite=overwrite
    )


@xrd_app.command("library")
@one_line_errors
def make_library(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE...", help="Folders of CIF files, or .jsonl.gz lists."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.npz", help="Library to write.")
    ],
    processes: Annotated[
        int, typer.Option(metavar="N", min=1, help="Worker processes.")
    ] = os.cpu_count() or 1,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Make a library of known patterns of structures of your own.

    **Examples**

    ```
    crystalnet xrd library my-cifs -o mine.npz
    crystalnet xrd classify sample.xy --library mine.npz --model none
    ```
    """
    from ase_crystalnet.cli.xrd import commands

    commands.make_library(
        sources, output, processes=processes, overwrite=overwrite, say=_hush if quiet else _say
    )


@xrd_app.command()
@one_line_errors
def calibrate(
    patterns: Annotated[
        Path,
        typer.Argument(
            metavar="PATTERNS.npz",
            help="Measured patterns: X (B, 8500) from 5 to 90 degrees, Cu K-alpha, background "
            "subtracted; space_group (B,); ids (B,), of which the even ones are used.",
        ),
    ],
    model: Model = None,
    structures: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="structures.npz of the work folder of `crystalnet xrd train`: simulated patterns "
            "of its held-out compositions count for three tenths, so that likeness is trusted less "
            "where samples are no minerals.",
        ),
    ] = None,
) -> None:
    """Fit how network and library are combined, and store it with the network.

    **Examples**

    ```
    crystalnet xrd calibrate measured.npz --model none
    crystalnet xrd calibrate measured.npz --structures training-runs/xrd/structures.npz
    ```
    """
    from ase_crystalnet.training.powder.calibrate import calibrate as fit_combination

    quiet_tensorflow()
    typer.echo(fit_combination(patterns, model=model, structures=structures))


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


@xrd_app.command()
@one_line_errors
def train(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FOLDER", help="Model folder to write.")
    ],
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
    batch_size: Annotated[int, typer.Option(metavar="N", min=1, help="Patterns in a step.")] = 128,
    learning_rate: Annotated[
        float, typer.Option(metavar="X", min=0, help="Of AdamW, at its largest.")
    ] = 2e-3,
    bfloat16: Annotated[
        bool, typer.Option(help="Hidden layers in 16 bits while training: faster on AVX-512 BF16.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", help="Of weights and patterns.")] = 1,
    processes: Annotated[
        int, typer.Option(metavar="N", min=1, help="Processes that read structures.")
    ] = os.cpu_count() or 1,
    quiet: Quiet = False,
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
    quiet_tensorflow()
    folder = train_xrd(
        output, work, structures or [], plan=plan, synthetic=synthetic, measured=measured,
        processes=processes, log=_hush if quiet else _say,
    )  # fmt: skip
    typer.echo(f"wrote {folder}")


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _hush(text: str) -> None:
    pass
