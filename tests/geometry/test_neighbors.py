"""Cell lists give what a tree gives, wherever the points lie."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from ase_crystalnet.geometry.neighbors import CellList

KINDS = ("box", "clumps", "line", "one place", "stray")


def cloud(kind: str, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = rng.random((400, 3)) * [9.0, 12.0, 7.0] - 5.0
    if kind == "clumps":
        points = points[rng.integers(0, 6, 400)] + rng.normal(size=(400, 3))
    if kind == "line":
        points[:, 1:] = 2.0
    if kind == "one place":
        points[:] = 1.5
    if kind == "stray":
        points[0] += 1e7
    return points


clouds = st.builds(cloud, st.sampled_from(KINDS), st.integers(0, 10**6))


@settings(max_examples=60, deadline=None)
@given(points=clouds, edge=st.floats(0.05, 20.0), seed=st.integers(0, 100))
def test_balls_are_those_of_a_tree(points, edge, seed):
    rng = np.random.default_rng(seed)
    centers = points[:20] + rng.normal(size=(20, 3)) * rng.choice([0.0, 1.0, 30.0])
    radii = rng.random(20) * 5.0
    relative, found, counts = CellList(points, edge, threads=1).cut(centers, radii, 400)
    for k, inside in enumerate(cKDTree(points).query_ball_point(centers, radii)):
        assert counts[k] == len(inside)
        assert sorted(found[k, : counts[k]]) == sorted(inside)
        assert (found[k, counts[k] :] == -1).all()
        wanted = points[found[k, : counts[k]]] - centers[k]
        np.testing.assert_allclose(relative[k, : counts[k]], wanted, atol=1e-5)
        assert (relative[k, counts[k] :] == 0).all()


@settings(max_examples=60, deadline=None)
@given(points=clouds, edge=st.floats(0.1, 20.0), radius=st.floats(0.1, 6.0))
def test_nearest_points_are_those_of_a_tree(points, edge, radius):
    centers = points[::9] + 0.1
    cells = CellList(points, edge, threads=1)
    wanted = cKDTree(points).query(centers, k=5, distance_upper_bound=radius)[0]
    found, distance = cells.nearest(centers, 5, radius)
    np.testing.assert_allclose(distance, wanted, atol=1e-9)
    assert ((found >= 0) == np.isfinite(wanted)).all()
    apart = np.linalg.norm(points[found] - centers[:, None], axis=2)
    np.testing.assert_allclose(np.where(found >= 0, apart, np.inf), wanted, atol=1e-6)
    np.testing.assert_allclose(cells.sorted_distances(centers, 5, radius), wanted, atol=1e-9)


def test_more_points_than_room_are_counted():
    points = cloud("box", 0)
    relative, found, counts = CellList(points, 3.0).cut(points[:3], np.full(3, 50.0), 7)
    assert relative.shape == (3, 7, 3)
    assert (found >= 0).all()
    assert counts.tolist() == [400] * 3


def test_more_points_than_thought_are_sorted_all_the_same():
    points = cloud("one place", 0)
    points[::2] += np.random.default_rng(0).normal(size=(200, 3)) * 0.01
    wanted = cKDTree(points).query(points[:5], k=3)[0]
    found = CellList(points, 1.0).sorted_distances(points[:5], 3, 2.0)
    np.testing.assert_allclose(found, wanted, atol=1e-12)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_make_no_difference(threads):
    points = cloud("box", 3)
    one = CellList(points, 1.0, threads=1).cut(points, np.full(400, 2.5), 60)
    many = CellList(points, 1.0, threads=threads).cut(points, np.full(400, 2.5), 60)
    for a, b in zip(one, many, strict=True):
        np.testing.assert_array_equal(a, b)


def test_stray_points_far_away_cost_nothing() -> None:
    """Balls as large as the way to them: the cubes on the way, 10^15 of them, are not visited."""
    rng = np.random.default_rng(0)
    points = np.vstack([rng.random((60, 3)) * 8, 3e5 * np.eye(3), -2e5 * np.eye(3)])
    cells = CellList(points, edge=2.0)
    centers = points[[0, 10, 60, 65]]
    radii = np.array([4.0, 5e5, 5e5, 3.0])
    _, found, counts = cells.cut(centers, radii, 100)
    for row, (center, radius) in enumerate(zip(centers, radii, strict=True)):
        wanted = np.flatnonzero(np.linalg.norm(points - center, axis=1) <= radius)
        assert counts[row] == len(wanted)
        assert sorted(found[row, : counts[row]]) == wanted.tolist()
    index, distance = cells.nearest(centers, 3, 1e6)
    every = np.linalg.norm(points[None] - centers[:, None], axis=2)
    assert np.allclose(distance, np.sort(every, axis=1)[:, :3])
    assert (index[:, 0] == [0, 10, 60, 65]).all()
