"""Warren-Cowley parameters of hot alloys."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from ase_crystalnet import crystals
from ase_crystalnet.grains import crystal_of
from tests.grains.conftest import ball, cubic


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("L1_2", [-1 / 3, 1.0, -1 / 3]), ("B2", [-1.0, 1.0, 1.0])],
)
def test_perfect_order(name, wanted, l1_2):
    b2 = cubic(["Al", "Ni"], [(0, 0, 0), (0.5, 0.5, 0.5)], 221, 2.89)
    cell, numbers = {"L1_2": (l1_2, (29, 79)), "B2": (b2, (13, 28))}[name]
    atoms = ball(cell, 4000, np.random.default_rng(0), sigma=0.08)
    found = crystal_of(atoms.positions, atoms.numbers).short_range
    for shell, value in enumerate(wanted):
        ours, error = found.between(*numbers, shell)
        # The concentration of a ball is not exactly that of the crystal.
        assert ours == pytest.approx(value, abs=0.02)
        assert error < 0.02
    assert found.coordination[0] == {"L1_2": 12, "B2": 8}[name]


def test_a_random_solution_has_none_within_the_errors():
    ratios, errors = [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        atoms = ball(crystals.fcc(), 2500, rng, sigma=0.08)
        numbers = rng.choice([24, 27, 28], len(atoms), p=[0.2, 0.3, 0.5])
        found = crystal_of(atoms.positions, numbers).short_range
        assert found.parameter.shape == (3, 3, 3)
        upper = np.triu_indices(3, 1)
        ratios += list((found.parameter / found.error)[:2][:, *upper].reshape(-1))
        errors += list(found.error[:2][:, *upper].reshape(-1))
    assert 0.7 < np.std(ratios) < 1.4
    assert np.mean(np.abs(ratios) < 2) > 0.88
    # Of b bonds: (1 + (1 - c_a)(1 - c_b) / (c_a c_b)) / 2 b.
    assert 0.005 < np.mean(errors) < 0.06


def test_attraction_is_found_in_the_heat():
    """Pairs of unlike atoms made by swaps on the ideal lattice, counted there and when hot."""
    rng = np.random.default_rng(4)
    atoms = ball(crystals.bcc(), 3000, rng, sigma=0.0)
    distance = np.sort(cKDTree(atoms.positions).query(atoms.positions[0], 3)[0])[1]
    pairs = cKDTree(atoms.positions).query_pairs(1.05 * distance, output_type="ndarray")
    table = [[] for _ in atoms]
    for a, b in pairs:
        table[a].append(b)
        table[b].append(a)
    one = rng.permutation(len(atoms)) < len(atoms) // 2
    for _ in range(6000):
        a, b = rng.integers(len(atoms), size=2)
        if one[a] == one[b]:
            continue
        unlike = sum(one[a] != one[k] for k in table[a]) + sum(one[b] != one[k] for k in table[b])
        after = sum(one[b] != one[k] for k in table[a] if k != b) + sum(
            one[a] != one[k] for k in table[b] if k != a
        )
        if rng.random() < np.exp(0.3 * (after - unlike)):
            one[a], one[b] = one[b], one[a]
    first, second = one[pairs[:, 0]], one[pairs[:, 1]]
    share = np.mean(np.concatenate([second[first], first[second]]) == 0)
    wanted = 1 - share / np.mean(~one)
    assert wanted < -0.1
    hot = atoms.positions + rng.normal(scale=0.07 * distance, size=atoms.positions.shape)
    found = crystal_of(hot, np.where(one, 26, 24)).short_range
    ours, error = found.between(26, 24)
    assert ours == pytest.approx(wanted, abs=0.015)
    assert abs(ours) > 5 * error


def test_one_species_has_none():
    atoms = ball(crystals.fcc(), 800, np.random.default_rng(0), sigma=0.05)
    assert crystal_of(atoms.positions, atoms.numbers).short_range is None
