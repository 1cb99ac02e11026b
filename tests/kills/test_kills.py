"""Kill -9 of either side; the long run is ``python -m tests.kills --trials 20``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.kills.trials import TRIALS, trial
from tests.support.lammps_runs import needs_lammps


@needs_lammps
@pytest.mark.slow
@pytest.mark.parametrize("side", TRIALS)
def test_a_side_is_killed_three_times(side: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert trial(side, folder, rng).faults == []
