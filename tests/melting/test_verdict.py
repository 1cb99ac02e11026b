"""Solid or liquid, of one configuration."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_crystalnet import crystals
from ase_crystalnet.errors import InputError
from ase_crystalnet.melting import is_solid, verdict
from ase_crystalnet.melting.verdict import spread
from tests.support.fakes import FakeAnalyzer
from tests.support.two_phases import two_phases


@pytest.mark.parametrize(
    ("atoms", "sigma", "structure"),
    [
        (bulk("Al", cubic=True) * 6, 0.25, "fcc"),
        (bulk("Fe", cubic=True) * 7, 0.2, "bcc"),
        (bulk("Si", cubic=True) * 4, 0.2, "diam"),
        (bulk("Mg", orthorhombic=True) * (7, 4, 4), 0.25, "hcp"),
    ],
)
def test_hot_crystals_are_solid(atoms, sigma, structure):
    rng = np.random.default_rng(1)
    atoms.positions += rng.normal(scale=sigma, size=atoms.positions.shape)
    answer = verdict(atoms)
    assert answer and is_solid(atoms)
    assert answer.structure == structure and not answer.mixed


def test_a_packing_is_not():
    atoms = crystals.random_packing(1000, rng=4)
    answer = verdict(atoms)
    assert not answer and answer.solid_fraction < 0.05 and answer.structure == ""


def test_half_a_crystal_is_mixed():
    answer = verdict(two_phases(10.0, 50.0), windows=32)
    assert answer.mixed and abs(answer.solid_fraction - 0.5) < 3 * answer.error
    assert answer.windows == 32


def test_the_order_of_the_atoms_decides_nothing():
    atoms = two_phases(10.0, 50.0)
    order = np.random.default_rng(2).permutation(len(atoms))
    places = atoms.positions[spread(atoms, 20)]
    others = atoms[order].positions[spread(atoms[order], 20)]
    assert sorted(map(tuple, places)) == sorted(map(tuple, others))
    assert np.ptp(places[:, 2]) > 0.8 * atoms.cell[2, 2]
    cluster = atoms.copy()
    cluster.pbc = False
    assert len(spread(cluster, 20)) > 15


def test_what_cannot_be_told_is_refused():
    with pytest.raises(InputError, match="too few"):
        verdict(Atoms("Al4", positions=np.eye(4, 3) * 2.8))
    with pytest.raises(InputError, match="windows: expected"):
        verdict(bulk("Al", cubic=True), FakeAnalyzer(), windows=0)
    broken = bulk("Al", cubic=True) * 6
    broken.positions[3] = np.nan
    with pytest.raises(InputError):
        is_solid(broken)
