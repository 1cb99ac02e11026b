"""The command `crystalnet xrd train`."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from ase_crystalnet.xrd.pattern import TWO_THETA, broaden
from ase_crystalnet.xrd.simulated.reflections import peaks, reflections_of
from tests.support.commands import run

xrd = partial(run, "xrd")


@pytest.mark.slow
def test_train_calibrate_classify(tmp_path: Path, rng: np.random.Generator) -> None:
    """The whole chain: structures, network, weights of network and library, answer."""
    folder = tmp_path / "cifs"
    folder.mkdir()
    kinds = ("fcc", "bcc", "sc", "diamond")
    for k in range(80):
        symbol = ("Cu", "Al", "Ag", "Au", "Ni")[k % 5]
        write(folder / f"{k}.cif", bulk(symbol, kinds[k % 4], a=3 + 0.03 * k, cubic=True))
    arguments = ("xrd", "train", folder, "-o", tmp_path / "m", "--work", tmp_path / "w")
    result = run(*arguments, "--patterns", 256, "--processes", 1, "--quiet")
    assert result.exit_code == 0, result.output
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    assert card["classes"] == 230 and card["trained_on"]["patterns"] >= 256
    patterns, groups = [], []
    for k in range(120):
        kind, group = ("fcc", 225) if k % 2 else ("bcc", 229)
        crystal = bulk("Cu", kind, a=3 + 0.01 * k, cubic=True)
        clean = broaden(*peaks(reflections_of(crystal)), 0.12)
        patterns.append(np.maximum(clean + rng.normal(0, 0.01, len(clean)), 0))
        groups.append(group)
    np.savez(tmp_path / "p.npz", X=patterns, space_group=groups, ids=np.arange(120) // 2)
    result = xrd("calibrate", tmp_path / "p.npz", "--model", tmp_path / "m")
    assert result.exit_code == 0, result.output
    np.savetxt(tmp_path / "a.xy", np.c_[TWO_THETA, patterns[31]])
    result = xrd("classify", tmp_path / "a.xy", "--model", tmp_path / "m", "-o", tmp_path / "a.csv")
    assert result.exit_code == 0, result.output
    assert "225 (F m -3 m)" in result.stdout and "answers alone" not in result.stderr
    other = run(*arguments, "--patterns", 512, "--processes", 1)
    assert other.exit_code == 2 and "another plan" in other.stderr
