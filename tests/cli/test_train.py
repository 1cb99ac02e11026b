"""The commands `crystalnet train ...`: one command, with another plan for each model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ase_crystalnet.training.atom_probe import train as atom_probe
from ase_crystalnet.training.local import train as local
from ase_crystalnet.training.powder import train as powder
from ase_crystalnet.training.powder.plan import XrdPlan
from ase_crystalnet.training.ziletti2018 import train as ziletti
from ase_crystalnet.xrd.simulated.patterns import PAPER
from tests.support.commands import run


@pytest.mark.parametrize(
    ("command", "module", "function", "plan", "more"),
    [
        (("train", "local", "--epochs", 3), local, "train_local", local.TrainingPlan(epochs=3), {}),
        (("train", "local", "--fast"), local, "train_local", local.FAST_PLAN, {}),
        (
            ("train", "ziletti2018", "--seed", 5, "--shards", 2, "--structures", "s"),
            ziletti,
            "train_ziletti",
            ziletti.ZilettiPlan(seed=5, shards=2),
            {"databases": Path("s")},
        ),
        (
            ("train", "atomprobe", "--shards", 2),
            atom_probe,
            "train_atomprobe",
            atom_probe.AtomProbePlan(shards=2),
            {},
        ),
        (
            ("xrd", "train", "s", "--systems", "--noise", "paper", "--minutes", 2),
            powder,
            "train_xrd",
            XrdPlan(classes=7, seconds=120, recipe=PAPER),
            {"folders": [Path("s")], "synthetic": 0, "measured": None},
        ),
    ],
)
def test_the_plan_is_passed_on(
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[Any, ...],
    module: Any,
    function: str,
    plan: Any,
    more: dict[str, Any],
) -> None:
    seen: dict[str, Any] = {}

    def train(out: Path, work: Path, **options: Any) -> Path:
        seen.update(options, out=out, work=work)
        options["log"]("epoch 1")
        return out

    monkeypatch.setattr(module, function, train)
    given = (*command, "-o", "m", "--work", "w", "--processes", 2)
    result = run(*given)
    assert result.exit_code == 0, result.output
    assert result.stderr == "epoch 1\n" and result.stdout == "wrote m\n"
    assert run(*given, "--quiet").stderr == ""
    del seen["log"]
    assert seen == {"out": Path("m"), "work": Path("w"), "plan": plan, "processes": 2, **more}
