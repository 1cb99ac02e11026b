"""Interrupt, limit and cross the commands that write, count what is lost, and print a table."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.crash.programs import start
from tests.crash.trials import Tally, Trials

COMPILING = 1200  # s that the first analysis on a machine may take
COLUMNS = (
    "trials", "interrupted", "with_frames", "lost", "doubled", "damaged", "hanging", "crashed",
    "littered",
)  # fmt: skip


def make_analysis(_: Any) -> None:
    """A small atom-probe result, pickled."""
    import numpy as np

    from ase_crystalnet.atom_probe.analysis import AtomProbeOptions, analyze_windows
    from ase_crystalnet.atom_probe.files.ranges import Ion, RangeTable
    from ase_crystalnet.atom_probe.files.reconstruction import Reconstruction
    from ase_crystalnet.atom_probe.windows import IonWindower

    rng = np.random.default_rng(5)
    table = RangeTable(
        (Ion("Si", (("Si", 1),), volume=20.0),), np.array([27.5]), np.array([28.5]), np.array([0]),
        "tip.rrng",
    )  # fmt: skip
    points = rng.uniform([0, 0, -90], [60, 50, 0], (5000, 3)).astype(np.float32)
    mass = np.full(5000, 28, np.float32)
    ions = Reconstruction(points, mass, np.full(5000, -1, np.int16), source="tip.pos")
    windows = IonWindower(window_ions=150).prepare(ions.ranged(table))
    analysis = analyze_windows(windows, AtomProbeOptions(false_alarm=1e-4))
    Path("analysis.pickle").write_bytes(pickle.dumps(analysis))


def make_pattern(_: Any) -> None:
    """A powder pattern of rock salt."""
    from ase.build import bulk
    from ase.io import write

    from ase_crystalnet.cli.app import app

    write("salt.cif", bulk("NaCl", "rocksalt", 5.64, cubic=True))
    app(["xrd", "simulate", "salt.cif", "-o", "salt.xy"], standalone_mode=False)


def main() -> int:
    """Run trials of every kind, in turn, until time or number are used up."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (default 60)")
    parser.add_argument("--rounds", type=int, help="how often each kind, instead")
    parser.add_argument("--kinds", nargs="+", help="only these")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="where the figures go")
    given = parser.parse_args()
    target = None if given.json is None else given.json.resolve()
    with tempfile.TemporaryDirectory() as name:
        made = Path(name, "made")
        trial = Path(name, "trials")
        made.mkdir()
        trial.mkdir()
        os.chdir(made)
        wanted = set(given.kinds or ())
        # In processes of their own: this one stays without threads, and can be forked.
        if not wanted or {"apt", "apt, limit"} & wanted:
            assert start(make_analysis).end(COMPILING) == 0, Path("messages").read_text()
        if not wanted or {"xrd", "xrd, limit"} & wanted:
            assert start(make_pattern).end(COMPILING) == 0, Path("messages").read_text()
        analysis = None
        if Path("analysis.pickle").exists():
            analysis = pickle.loads(Path("analysis.pickle").read_bytes())
        trials = Trials(trial, given.seed, analysis, made / "salt.xy")
        kinds: dict[str, Callable[[Tally], None]] = {
            "analyze": trials.kill,
            "analyze, workers": lambda tally: trials.kill(tally, "--workers", "2", kills=1),
            "analyze, step": trials.die,
            "analyze, limit": trials.limit,
            "two writers": trials.meet,
            "apt": trials.write_apt,
            "apt, limit": partial(trials.write_apt, limit=200_000),
            "xrd": trials.write_xrd,
            "xrd, limit": partial(trials.write_xrd, limit=4_000),
        }
        kinds = {kind: run for kind, run in kinds.items() if not wanted or kind in wanted}
        tallies = {kind: Tally() for kind in kinds}
        begin = time.monotonic()
        rounds = 0
        while rounds < given.rounds if given.rounds else time.monotonic() - begin < given.seconds:
            rounds += 1
            for kind, run in kinds.items():
                # One with workers takes as long as ten others.
                if kind != "analyze, workers" or rounds % 5 == 1:
                    run(tallies[kind])
                if not given.rounds and time.monotonic() - begin > given.seconds:
                    break
        seconds = time.monotonic() - begin
        os.chdir(made)
    sys.stdout.write(_table(tallies))
    if target is not None:
        figures = {kind: {**vars(tally), "faults": tally.faults} for kind, tally in tallies.items()}
        content = {"seed": given.seed, "seconds": round(seconds, 1), "kinds": figures}
        target.write_text(json.dumps(content, indent=1) + "\n")
    return int(any(tally.faults for tally in tallies.values()))


def _table(tallies: dict[str, Tally]) -> str:
    lines = [" ".join([f"{'':17}", *(f"{column:>11}" for column in COLUMNS), " ended with"])]
    for kind, tally in tallies.items():
        numbers = (f"{getattr(tally, column):11}" for column in COLUMNS)
        ways = ", ".join(f"{code}: {count}" for code, count in sorted(tally.outcomes.items()))
        lines.append(" ".join([f"{kind:17}", *numbers, f" {ways}"]))
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
