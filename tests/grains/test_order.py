"""Chemical order: type, order parameter, significance."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from ase_crystalnet.grains import crystal_of
from tests.grains.conftest import ball, cubic


def disordered(atoms: Atoms, order: float, rng: np.random.Generator) -> Atoms:
    """A share 1 - order of the sites gets a species at random, the composition kept."""
    result = atoms.copy()
    mixed = rng.random(len(atoms)) > order
    numbers = result.numbers.copy()
    numbers[mixed] = rng.permutation(numbers[mixed])
    result.numbers = numbers
    return result


@pytest.mark.parametrize("order", [1.0, 0.7, 0.4])
@pytest.mark.parametrize("kind", ["L1_2", "B2"])
def test_the_order_parameter_is_the_true_one(kind, order, l1_2):
    b2 = cubic(["Al", "Ni"], [(0, 0, 0), (0.5, 0.5, 0.5)], 221, 2.89)
    cell = {"L1_2": l1_2, "B2": b2}[kind]
    rng = np.random.default_rng(8)
    atoms = disordered(ball(cell, 2000, rng, sigma=0.08), order, rng)
    found = crystal_of(atoms.positions, atoms.numbers)
    assert found.prototype.startswith(kind)
    assert found.order.parameter == pytest.approx(order, abs=0.04)
    assert found.order.p_value < 1e-6


def test_weak_order_is_found_and_none_is_not_invented(l1_2):
    names = {0.2: [], 0.0: []}
    for seed in range(6):
        for order, found in names.items():
            rng = np.random.default_rng(seed)
            atoms = disordered(ball(l1_2, 2000, rng, sigma=0.08), order, rng)
            crystal = crystal_of(atoms.positions, atoms.numbers)
            found.append(crystal.prototype)
            if order == 0:
                assert crystal.order.parameter == 0
    assert names[0.0] == ["A1 (fcc)"] * 6
    assert sum(name == "L1_2 (Cu3Au)" for name in names[0.2]) >= 5


def test_one_species_has_no_order():
    atoms = ball(cubic(["Cu"], [(0, 0, 0)], 225, 3.6), 800, np.random.default_rng(0), sigma=0.05)
    assert crystal_of(atoms.positions, atoms.numbers).order is None
