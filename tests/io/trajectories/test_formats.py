"""Every row of docs/formats.md: one file of each kind, which holds the same copper."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from ase_crystalnet.errors import FileWarning
from ase_crystalnet.io.trajectories.stream import iter_frames
from tests.support import REPOSITORY
from tests.support.formats import COPPER, KINDS, Kind


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_file_of_the_table(tmp_path: Path, kind: Kind) -> None:
    path = tmp_path / kind.name
    kind.make(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FileWarning)
        found = [frame.atoms for frame in iter_frames(path, **kind.how)]
    assert len(found) == kind.frames
    for atoms in found:
        assert len(atoms) == len(COPPER)
        if not kind.cell:
            assert atoms.cell.rank == 0
            np.testing.assert_allclose(atoms.positions, COPPER.positions, atol=1e-3)
            continue
        np.testing.assert_allclose(atoms.cell.cellpar(), COPPER.cell.cellpar(), atol=1e-2)
        assert atoms.pbc.all()
        # In any order, anywhere: each has its twelve neighbours at the right distance.
        distance = np.sort(atoms.get_all_distances(mic=True), axis=1)
        np.testing.assert_allclose(distance[:, 1], 3.6 / 2**0.5, atol=0.02)


def test_the_page_has_these_rows() -> None:
    page = (REPOSITORY / "docs" / "formats.md").read_text(encoding="utf-8")
    for kind in KINDS:
        assert f"| {kind.program} | `{kind.name}` | {kind.frames} |" in page
