"""The trajectory that ``make demo`` analyses is there, reads, and melts."""

from __future__ import annotations

import numpy as np
from ase.io import read

from ase_crystalnet.training.md.run import largest_bragg_peak
from tests.support import REPOSITORY

DEMO = REPOSITORY / "examples" / "demo" / "heating.extxyz.gz"


def test_the_demo_reads_and_melts() -> None:
    assert DEMO.stat().st_size < 3_000_000
    frames = read(DEMO, index=":")
    assert len(frames) == 36
    assert {len(frame) for frame in frames} == {3600}
    assert all(frame.pbc.tolist() == [True, True, False] for frame in frames)
    temperatures = [frame.info["temperature"] for frame in frames]
    assert np.all(np.diff(temperatures) > 0)
    assert temperatures[0] < 1327 < temperatures[-1]
    # half of the box is vacuum, so the wave vectors reach further in units of the density
    assert largest_bragg_peak(frames[0], q_max=1.7) > 0.3
    assert largest_bragg_peak(frames[-1], q_max=1.7) < 0.05
