"""Random crystals have the space group they are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from ase_crystalnet.errors import InputError
from ase_crystalnet.training.powder.synthetic import (
    RandomCrystals,
    random_crystal,
    space_group_frequencies,
    synthetic_set,
)
from ase_crystalnet.xrd.pattern import system_of
from ase_crystalnet.xrd.simulated.sources import from_atoms

# One of each crystal system, both kinds of centring, and the group of the largest general position.
GROUPS = (1, 2, 14, 15, 62, 136, 167, 194, 225, 230)


@pytest.mark.parametrize("group", GROUPS)
def test_space_group_and_distances(group: int) -> None:
    pytest.importorskip("pyxtal")
    atoms = random_crystal(group, np.random.default_rng(group))
    assert from_atoms(atoms, "drawn").space_group == group
    # Periodic distances by ASE, not by the folding the generator uses.
    distances = atoms.get_all_distances(mic=True)
    least = RandomCrystals().nearest_unlike - 1e-9
    assert distances[~np.eye(len(atoms), dtype=bool)].min(initial=9) > least
    assert 5 < atoms.get_volume() / len(atoms) < 80


@pytest.mark.slow
def test_every_space_group() -> None:
    pytest.importorskip("pyxtal")
    rng = np.random.default_rng(3)
    for group in range(1, 231):
        assert from_atoms(random_crystal(group, rng), "drawn").space_group == group


def test_reflections_of_many() -> None:
    pytest.importorskip("pyxtal")
    found = synthetic_set(60, np.random.default_rng(1))
    assert len(found) == 60
    assert set(found.source) == {"synthetic"}
    assert len(set(found.identifier)) == 60
    # Monoclinic and triclinic crystals are half of them (0.3 to 0.7 of 60: four deviations).
    assert 0.3 < (system_of(found.space_group) < 2).mean() < 0.75
    for i in range(len(found)):
        assert found.reflections(i).strengths.max() == 1


def test_frequencies() -> None:
    equal = space_group_frequencies()
    assert equal.sum() == pytest.approx(1)
    by_system = np.bincount(system_of(np.arange(1, 231)), equal)
    np.testing.assert_allclose(by_system, RandomCrystals().system_shares)
    known = space_group_frequencies(np.array([14] * 300 + [4]))
    np.testing.assert_allclose(np.bincount(system_of(np.arange(1, 231)), known), by_system)
    assert known[13] > 10 * known[3] > 0
    assert (known > 0).all()


def test_same_seed_same_crystal() -> None:
    pytest.importorskip("pyxtal")
    one, two = (random_crystal(62, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_allclose(one.positions, two.positions)
    assert one.get_chemical_formula() == two.get_chemical_formula()


def test_too_few_atoms_allowed() -> None:
    pytest.importorskip("pyxtal")
    with pytest.raises(InputError, match="allow more atoms"):
        random_crystal(230, np.random.default_rng(4), most_atoms=8)


@pytest.mark.parametrize("group", [0, 231])
def test_no_such_group(group: int) -> None:
    with pytest.raises(InputError, match="does not exist"):
        random_crystal(group, np.random.default_rng(0))


def test_none_at_all() -> None:
    with pytest.raises(InputError, match="expected 1 or more"):
        synthetic_set(0, np.random.default_rng(0))
