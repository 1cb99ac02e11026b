"""Command `crystalnet xrd library`: a library of known patterns of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ase_crystalnet.cli.errors import one_line_errors
from ase_crystalnet.cli.files import check_outputs
from ase_crystalnet.cli.options import CORES, Overwrite, QuietRemarks, number
from ase_crystalnet.cli.progress import say_unless
from ase_crystalnet.errors import InputError

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
    join: Annotated[
        bool,
        typer.Option(
            "--join",
            help="Put the structures beside the shipped phases, with their cells: a library of "
            "phases, whose entries are looked for one to four at a time.",
        ),
    ] = False,
    alone: Annotated[
        bool,
        typer.Option("--alone", help="With --join: a library of phases of these sources only."),
    ] = False,
    processes: Annotated[int, number("Worker processes.")] = CORES,
    overwrite: Overwrite = False,
    quiet: QuietRemarks = False,
) -> None:
    """Make a library of known patterns of structures of your own, or join it to the shipped one.

    **Examples**

    ```
    crystalnet xrd library my-cifs -o mine.npz
    crystalnet xrd classify sample.xy --library mine.npz --model none
    crystalnet xrd library my-cifs -o joined.npz --join
    crystalnet xrd classify sample.xy --library joined.npz
    ```
    """
    check_outputs([output], overwrite, (".npz",))
    if alone and not join:
        raise InputError("--alone says what --join puts together; give both, or none")
    if join:
        from ase_crystalnet.xrd.phases.build import build_phases
        from ase_crystalnet.xrd.phases.library import PhaseLibrary

        phases = build_phases(sources, processes=processes, log=say_unless(quiet))
        if not alone:
            phases = PhaseLibrary.concatenate([phases, PhaseLibrary.load()])
        phases.save(output)
        typer.echo(f"wrote {output}: {len(phases)} phases")
        return
    from ase_crystalnet.xrd.answer.library import build_library

    made = build_library(sources, processes=processes, log=say_unless(quiet))
    made.save(output)
    typer.echo(f"wrote {output}: {len(made)} patterns")
