"""The command `crystalnet evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ase_crystalnet import CrystalNet, analyzer
from ase_crystalnet.training.local import evaluate
from tests.support.commands import refused, run


def test_evaluate_prints_writes_and_checks(
    folder: Path, net: CrystalNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = np.arange(7)
    right = np.eye(8, dtype=np.float32)[truth]
    wrong = np.roll(right, 1, axis=0)
    row = evaluate.Row("clean", truth, right, 99.9, ("x",) * 7)
    monkeypatch.setattr(analyzer, "CrystalNet", lambda *_, **__: net)
    monkeypatch.setattr(evaluate, "disorder_table", lambda *_, **__: [row])
    liquid = evaluate.Row("disordered", truth[:1], wrong[:1], 99.5, ("x",))
    monkeypatch.setattr(evaluate, "liquid_row", lambda *_, **__: liquid)
    result = run("evaluate", "-o", "e.json", "-q")
    assert result.exit_code == 0, result.output
    assert "100.00 %" in result.stdout.splitlines()[1]
    assert "0.00 %" in result.stdout.splitlines()[2]
    written = json.loads(Path("e.json").read_text())
    assert written["window_atoms"] == 250
    assert [row["percent"] for row in written["rows"]] == [100.0, 0.0]
    assert "exists already" in refused(run("evaluate", "-o", "e.json", "-q"))
    assert "below the target: disordered" in refused(run("evaluate", "--check", "-q"), code=1)
    assert "holds no .npz file" in refused(run("evaluate", "--liquids", "."))
