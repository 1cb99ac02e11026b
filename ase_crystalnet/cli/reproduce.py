"""Commands `crystalnet reproduce ...`: the papers' tables and figures. One command, two papers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ase_crystalnet.cli.commands import Command, Group
from ase_crystalnet.cli.errors import complain, one_line_errors, quiet_engine
from ase_crystalnet.cli.options import Quiet
from ase_crystalnet.cli.progress import say_unless

if TYPE_CHECKING:
    from collections.abc import Callable

    from ase_crystalnet.reproduce.report import Check

__all__ = ["reproduce", "reproduce_app"]

reproduce_app = typer.Typer(
    cls=Group,
    no_args_is_help=True,
    help="Make the tables and figures of the papers this program is built on.",
)

Output = Annotated[
    Path, typer.Option("--output", "-o", metavar="FOLDER", help="Where page and results go.")
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="STEP", help="A table or figure; may be repeated."),
]
Data = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Folder of external data, for other test sets.")
]
MakeAgain = Annotated[
    bool, typer.Option("--overwrite", help="Make again what is stored under other settings.")
]
CheckOption = Annotated[
    bool, typer.Option("--check", help="Exit with code 1 if a result misses what was wanted.")
]


def reproduce(
    make: Callable[..., tuple[Path, list[Check]]],
    output: Path,
    *,
    only: list[str] | None,
    check: bool,
    quiet: bool,
    engine: str = "tensorflow",
    **options: Any,
) -> None:
    """Reproduce one paper, whichever it is: print what was to be shown and the page's name.

    Parameters
    ----------
    make : callable
        Makes the page: takes its folder, and `only`, `say` and `options` by name.
    output : Path
        Folder.
    only : list of str, optional
        Names of steps.
    check : bool
        Exit with 1 if something was not shown.
    quiet : bool
    engine : {'tensorflow', 'onnx'}
        The first where TensorFlow is needed.
    **options
        Of this paper.
    """
    quiet_engine(engine)
    page, checks = make(output, only=only or [], say=say_unless(quiet), **options)
    for item in checks:
        mark = "met   " if item.passed else "MISSED"
        typer.echo(f"{mark} {item.name}: {item.found} (wanted {item.wanted})")
    typer.echo(f"wrote {page}")
    missed = [item.name for item in checks if not item.passed]
    if check and missed:
        complain(f"missed: {', '.join(missed)}")
        raise typer.Exit(1)


@reproduce_app.command("ziletti2018", cls=Command)
@one_line_errors
def ziletti2018(
    output: Output = Path("reproduced"),
    only: Only = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A hundredth of the structures: a minute or two.")
    ] = False,
    structures: Annotated[
        int | None,
        typer.Option(metavar="N", min=7, help="In each row of the tables. Default: 1000."),
    ] = None,
    data: Data = None,
    model: Annotated[str, typer.Option(help="Network of the paper: name or folder.")] = (
        "ziletti2018"
    ),
    overwrite: MakeAgain = False,
    check: CheckOption = False,
    quiet: Quiet = False,
) -> None:
    """Ziletti et al., Nat. Commun. 9, 2775 (2018): fingerprints, defects, transitions, maps.

    Every step is stored when it is done, and is not made again; an interrupted run goes on where
    it stopped. Steps: figure-2, pristine, databases (needs --data), table-s1, table-s2,
    substitution, table-1, figure-4b, figure-4d, figure-5, figure-s1.

    **Examples**

    ```
    crystalnet reproduce ziletti2018 --quick
    crystalnet reproduce ziletti2018 -o docs/reproduce --data DIR
    crystalnet reproduce ziletti2018 --only figure-4d --only figure-4b
    ```
    """
    from ase_crystalnet.reproduce.ziletti2018 import steps as paper

    reproduce(
        paper.reproduce,
        output,
        only=only,
        check=check,
        quiet=quiet,
        quick=quick,
        structures=structures,
        data=data,
        overwrite=overwrite,
        model=model,
    )


@reproduce_app.command("vecsei2019", cls=Command)
@one_line_errors
def vecsei2019(
    output: Output = Path("reproduced"),
    only: Only = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="A tenth of the simulated patterns.")
    ] = False,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder with xrd/measured_powder_patterns.npz."),
    ] = None,
    structures: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="structures.npz of the work folder of `crystalnet xrd train`: its held-out "
            "structures are simulated.",
        ),
    ] = None,
    network: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A network, by name or folder; may be repeated. Those named NAME-1, NAME-2 are "
            "also averaged. Default: all shipped.",
        ),
    ] = None,
    overwrite: MakeAgain = False,
    check: CheckOption = False,
    quiet: Quiet = False,
) -> None:
    """Vecsei et al., Phys. Rev. B 99, 245120 (2019): powder patterns, refusal, subgroups.

    Tests every network, the library of known patterns, and both together, on measured and on
    simulated patterns. Steps: training, table-1, top-n, certainty, refusal, subgroups, by-group,
    confusion, centrosymmetric.

    **Examples**

    ```
    crystalnet reproduce vecsei2019 --data DIR
    crystalnet reproduce vecsei2019 --data DIR --structures training-runs/xrd/structures.npz
    ```
    """
    from ase_crystalnet.reproduce.vecsei2019 import steps as paper
    from ase_crystalnet.xrd.answer.network import PowderNetwork, find_xrd_model, shipped_xrd_models

    asked = [PowderNetwork(find_xrd_model(name)) for name in network or shipped_xrd_models()]
    reproduce(
        paper.reproduce,
        output,
        only=only,
        check=check,
        quiet=quiet,
        quick=quick,
        data=data,
        structures=structures,
        networks=network or [],
        engine="tensorflow" if any(each.engine == "tensorflow" for each in asked) else "onnx",
        overwrite=overwrite,
    )
