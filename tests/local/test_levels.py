"""Places from coarse to fine."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet.geometry.periodic import PeriodicSpace
from ase_crystalnet.local.levels import coarse_to_fine


def space_of(cell: np.ndarray, pbc: list[bool]) -> PeriodicSpace:
    return PeriodicSpace.of(Atoms("H", cell=cell, pbc=pbc))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 300),
    pbc=st.lists(st.booleans(), min_size=3, max_size=3),
    edge=st.floats(0.5, 30.0),
)
def test_every_place_comes_once_and_after_those_near_it(
    seed: int, count: int, pbc: list[bool], edge: float
) -> None:
    rng = np.random.default_rng(seed)
    cell = 20.0 * np.eye(3) + rng.normal(scale=3.0, size=(3, 3))
    points = rng.random((count, 3)) @ cell * 1.5
    levels = coarse_to_fine(space_of(cell, pbc), points, edge)
    rows = np.concatenate([level.rows for level in levels])
    assert sorted(rows.tolist()) == list(range(count))
    before = np.zeros(count, bool)
    for level in levels:
        there = level.near >= 0
        assert before[level.near[there]].all(), "only earlier levels are near"
        for near in level.near:
            kept = near[near >= 0]
            assert len(set(kept.tolist())) == len(kept) and (near[len(kept) :] == -1).all()
        before[level.rows] = True


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), pbc=st.lists(st.booleans(), min_size=3, max_size=3))
def test_the_order_of_places_does_not_matter(seed: int, pbc: list[bool]) -> None:
    rng = np.random.default_rng(seed)
    # A grid, whose places are equally near to the middles of cubes, and some more.
    grid = np.stack(np.meshgrid(*[np.arange(0, 24, 3.0)] * 3, indexing="ij"), -1).reshape(-1, 3)
    points = np.concatenate([grid, rng.random((40, 3)) * 24])
    space = space_of(24.0 * np.eye(3), pbc)
    order = rng.permutation(len(points))
    one, other = coarse_to_fine(space, points, 2.0), coarse_to_fine(space, points[order], 2.0)
    assert len(one) == len(other)
    for first, second in zip(one, other, strict=True):
        back = np.argsort(order[second.rows])
        np.testing.assert_array_equal(first.rows, order[second.rows][back])
        near = np.where(second.near >= 0, order[second.near], -1)[back]
        np.testing.assert_array_equal(first.near, near)


def test_near_places_are_found_across_faces() -> None:
    points = np.array([[0.2, 5.0, 5.0], [9.9, 5.0, 5.0]])
    periodic = coarse_to_fine(space_of(10.0 * np.eye(3), [True] * 3), points, 2.5, doublings=2)
    assert [level.rows.tolist() for level in periodic] in ([[0], [1]], [[1], [0]])
    later = periodic[1]
    assert later.near[0, 0] == periodic[0].rows[0]


@pytest.mark.parametrize("count", [0, 1])
def test_few_places(count: int) -> None:
    levels = coarse_to_fine(space_of(np.eye(3), [False] * 3), np.zeros((count, 3)), 1.0)
    assert sum(len(level.rows) for level in levels) == count
