"""The command `crystalnet xrd calibrate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from tests.support.commands import run

xrd = partial(run, "xrd")


def test_calibration_needs_measured_patterns(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.ones((3, 10)), space_group=[1, 2, 3], ids=[0, 1, 2])
    result = xrd("calibrate", tmp_path / "a.npz", "--model", "none")
    assert result.exit_code == 2 and "8500" in result.stderr
    (tmp_path / "b.npz").write_text("x")
    assert "expected a .npz" in xrd("calibrate", tmp_path / "b.npz", "--model", "none").stderr
    assert xrd("calibrate", tmp_path / "none.npz").exit_code == 2
