"""A damaged binary trajectory ends at most the process that reads it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from ase_crystalnet.errors import InputError
from ase_crystalnet.io.trajectories import molecular
from ase_crystalnet.io.trajectories.stream import iter_frames

chemfiles = pytest.importorskip("chemfiles", reason="DCD, XTC and TRR need chemfiles")


def written(path: Path, format: str, frames: int = 3) -> bytes:
    atoms = bulk("Cu", cubic=True) * (5, 5, 5)
    rng = np.random.default_rng(0)
    file = chemfiles.Trajectory(str(path), "w", format)
    for _ in range(frames):
        frame = chemfiles.Frame()
        frame.resize(len(atoms))
        frame.positions[:] = atoms.positions + rng.normal(scale=0.1, size=(len(atoms), 3))
        frame.cell = chemfiles.UnitCell(atoms.cell.array)
        file.write(frame)
    file.close()
    return path.read_bytes()


@pytest.mark.parametrize("format", ["XTC", "TRR", "DCD"])
def test_damaged_bytes_give_an_answer_or_one_line(tmp_path: Path, format: str):
    """Some of these damaged XTC files end chemfiles by a signal."""
    path = tmp_path / f"a.{format.lower()}"
    whole = written(path, format)
    assert len(list(iter_frames(path))) == 3
    rng = np.random.default_rng(1)
    refused = 0
    for number in range(40):
        damaged = bytearray(whole)
        end = 200 if number % 2 else len(damaged)
        for _ in range(5):
            damaged[rng.integers(end)] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            list(iter_frames(path))
        except InputError as error:
            refused += 1
            assert "\n" not in str(error) and path.name in str(error)
    assert refused > 3


def test_a_reader_that_dies_is_one_line(tmp_path: Path):
    path = tmp_path / "a.xtc"
    written(path, "XTC")
    file = molecular.MolecularTrajectory(str(path), "xtc")
    assert len(file) == 3 and len(file[1]) == 500
    file._server._process.kill()
    with pytest.raises(molecular.FrameError, match="chemfiles ended on it: the file is damaged"):
        file[2]
    file.close()
