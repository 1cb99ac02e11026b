"""Command `crystalnet xrd library`: a library of known patterns of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ase_crystalnet.cli.errors import one_line_errors
from ase_crystalnet.cli.files import check_outputs
from ase_crystalnet.cli.options import CORES, Overwrite, QuietRemarks, number
from ase_crystalnet.cli.progress import say_unless

__all__ = ["library"]


@one_line_errors
def library(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE...", help="Folders of CIF files, or .jsonl.gz lists."),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE.npz", help="Library to write.")
    ],
    processes: Annotated[int, number("Worker processes.")] = CORES,
    overwrite: Overwrite = False,
    quiet: QuietRemarks = False,
) -> None:
    """Make a library of known patterns of structures of your own.

    **Examples**

    ```
    crystalnet xrd library my-cifs -o mine.npz
    crystalnet xrd classify sample.xy --library mine.npz --model none
    ```
    """
    check_outputs([output], overwrite, (".npz",))
    from ase_crystalnet.xrd.answer.library import build_library

    made = build_library(sources, processes=processes, log=say_unless(quiet))
    made.save(output)
    typer.echo(f"wrote {output}: {len(made)} patterns")
