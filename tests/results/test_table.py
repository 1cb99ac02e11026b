"""The table of windows: declared once, filled by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.table import WindowTable, quantities_of


@dataclass
class Stage:
    """A stage's result: some columns, and something that is none."""

    order: np.ndarray
    lattice: np.ndarray
    frame: str = "no column"


def test_an_empty_table_knows_nothing() -> None:
    table = WindowTable.empty(3, 8)
    for name, quantity in quantities_of(table).items():
        column = getattr(table, name)
        assert column.dtype == quantity.dtype and len(column) == 3, name
    assert table.probabilities.shape == (3, 8) and np.isnan(table.probabilities).all()
    assert np.isnan(table.lattice).all() and not table.sparse.any() and not table.rank.any()


def test_rows_are_taken_by_name() -> None:
    table = WindowTable.empty(4, 2)
    stage = Stage(np.array([0.5, 0.25]), np.tile(np.eye(3), (2, 1, 1)))
    table.set_rows(np.array([3, 1]), stage, order=np.array([0.75, 0.125]), rank=np.array([3, 2]))
    assert table.order[[3, 1]].tolist() == [0.75, 0.125], "what is given by name wins"
    assert np.isnan(table.order[[0, 2]]).all()
    assert (table.lattice[3] == np.eye(3)).all() and table.rank.tolist() == [0, 2, 0, 3]
    some = table.rows([3])
    copy = table.copy()
    table.order[3] = 0.0
    assert some.order[0] == copy.order[3] == 0.75
    joined = WindowTable.joined([some, copy])
    assert len(joined.order) == 5 and joined.order[0] == joined.order[4]


def test_a_frame_has_every_quantity_of_its_windows(small_frame: Any) -> None:
    assert set(quantities_of(WindowTable)) < set(FrameAnalysis.quantities())
    values = {name: getattr(small_frame, name) for name in FrameAnalysis.quantities()}
    required = {name for name, q in FrameAnalysis.quantities().items() if q.required}
    without = {name: value for name, value in values.items() if name in required}
    frame = FrameAnalysis(classes=small_frame.classes, **without)
    for name, quantity in FrameAnalysis.quantities().items():
        if not quantity.required and not quantity.optional:
            sizes = {"W": frame.number_of_windows, "N": frame.number_of_atoms, "F": 0, "C": 8}
            np.testing.assert_array_equal(getattr(frame, name), quantity.empty(sizes), name)


@pytest.fixture
def small_frame() -> FrameAnalysis:
    from tests.support.fakes import fake_frame, frames

    return fake_frame(frames(1)[0])
