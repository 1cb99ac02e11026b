"""Random crystals have the space group they are asked for."""

from __future__ import annotations

import numpy as np
import pytest

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.synthetic import random_crystal, synthetic_set

# One of each crystal system, and the group of the largest general position.
GROUPS = (1, 14, 62, 136, 167, 194, 225, 230)


@pytest.mark.slow
def test_space_groups() -> None:
    pytest.importorskip("pyxtal")
    rng = np.random.default_rng(1)
    found = synthetic_set(1, rng, groups=GROUPS)
    assert found.space_group.tolist() == list(GROUPS)
    assert set(found.source) == {"synthetic"}
    # Distances are those of atoms: 5 to 60 cubic Angstrom each.
    assert ((found.volume > 5) & (found.volume < 60)).all()
    for i in range(len(found)):
        assert found.reflections(i).strengths.max() == 1


@pytest.mark.slow
def test_same_seed_same_crystal() -> None:
    pytest.importorskip("pyxtal")
    one, two = (random_crystal(62, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_allclose(one.positions, two.positions)
    assert one.get_chemical_formula() == two.get_chemical_formula()


@pytest.mark.parametrize("group", [0, 231])
def test_no_such_group(group: int) -> None:
    with pytest.raises(InputError, match="does not exist"):
        random_crystal(group, np.random.default_rng(0))


def test_none_a_group() -> None:
    with pytest.raises(InputError, match="expected 1 or more"):
        synthetic_set(0, np.random.default_rng(0))
