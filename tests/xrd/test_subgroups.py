"""Graph of the space groups by maximal subgroups."""

from __future__ import annotations

import numpy as np
import pytest

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.subgroups import (
    chance_distance,
    neighbors,
    subgroup_distance,
    subgroup_distances,
)


def test_distance_is_a_metric() -> None:
    d = subgroup_distances().astype(int)
    assert d.shape == (230, 230)
    assert (np.diag(d) == 0).all()
    assert (d[~np.eye(230, dtype=bool)] > 0).all()
    np.testing.assert_array_equal(d, d.T)
    # d(i, j) <= d(i, k) + d(k, j) for every k
    for k in range(230):
        assert (d <= d[:, [k]] + d[[k], :]).all()


def test_one_step_apart_are_the_neighbors() -> None:
    d = subgroup_distances()
    for number in (1, 2, 62, 139, 194, 225, 227, 230):
        assert neighbors(number).numbers == tuple(np.flatnonzero(d[number - 1] == 1) + 1)


def test_known_subgroups_from_the_international_tables() -> None:
    # Fm-3m: t-subgroups F-43m, F432, Fm-3, I4/mmm, R-3m; k-subgroups Pm-3m, Pn-3m and others.
    down = {step.space_group: step for step in neighbors(225).subgroups}
    assert {216, 209, 202, 139, 166} <= {n for n, s in down.items() if "t" in s.kind}
    assert down[221].kind == "k" and down[221].index == 4
    assert down[216].index == 2 and down[139].index == 3
    # Pm-3m has no t-supergroup; Im-3m and Fm-3m are above it by centring.
    assert {225, 229} <= {step.space_group for step in neighbors(221).supergroups}
    assert all(step.kind == "k" for step in neighbors(221).supergroups)
    # The distortion of a cubic perovskite to GdFeO3: Pm-3m to Pnma takes several steps.
    assert subgroup_distance(221, 62) >= 2


def test_point_group_order_never_grows_downwards() -> None:
    from pymatgen.symmetry.groups import SpaceGroup

    order = {
        n: len({op.rotation_matrix.tobytes() for op in SpaceGroup.from_int_number(n)})
        for n in (2, 14, 62, 123, 166, 194, 221, 225, 227)
    }
    for number in order:
        for step in neighbors(number).subgroups:
            if step.space_group in order:
                ratio = order[number] / order[step.space_group]
                assert ratio == (step.index if step.kind == "t" else 1) or "k" in step.kind


def test_distances_broadcast() -> None:
    found = subgroup_distance([[225], [1]], [225, 216, 1])
    assert found.shape == (2, 3)
    assert found[0, 0] == 0 and found[0, 1] == 1 and found[1, 2] == 0


@pytest.mark.parametrize("number", [0, 231, -5])
def test_a_group_that_does_not_exist(number: int) -> None:
    with pytest.raises(InputError, match="1 to 230"):
        neighbors(number)
    with pytest.raises(InputError, match="1 to 230"):
        subgroup_distance(number, 1)


def test_chance_is_the_mean_over_wrong_pairs() -> None:
    labels = np.array([1, 1, 2, 225])
    d = subgroup_distances().astype(float)
    wrong = [(a, b) for a in labels for b in labels if a != b]
    assert chance_distance(labels) == pytest.approx(np.mean([d[a - 1, b - 1] for a, b in wrong]))
    assert np.isnan(chance_distance(np.array([5, 5])))
