"""Strain of grains against references and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk
from scipy.spatial.transform import Rotation

from ase_crystalnet import crystals
from ase_crystalnet.grains import crystal_of, deformation, find_crystals
from ase_crystalnet.grains.strains import stretch
from tests.grains.conftest import ball, cubic

STRAIN = np.array([[0.012, 0.004, 0.0], [0.004, -0.006, 0.003], [0.0, 0.003, 0.005]])


def test_a_known_deformation_in_any_cell():
    rng = np.random.default_rng(0)
    for cell in (bulk("Cu"), bulk("Mg"), bulk("Si"), bulk("Ti").repeat((1, 2, 1))):
        turn = Rotation.random(random_state=rng.integers(1000)).as_matrix()
        gradient = (np.eye(3) + STRAIN) @ turn
        for matrix in (np.eye(3), [[1, 1, 0], [0, 1, 0], [2, 0, 1]], np.diag([1, 2, 1])):
            lattice = np.array(matrix) @ cell.cell.array @ gradient.T
            found = deformation(lattice, cell.cell.array)
            assert np.abs(stretch(found) - STRAIN).max() < 1e-9


def test_lattices_that_are_too_different_have_none():
    assert deformation(bulk("Cu").cell.array * 1.4, bulk("Cu").cell.array) is None
    sc, fcc = np.eye(3) * 3.0, bulk("Cu", a=4.8).cell.array
    assert deformation(sc, fcc) is None


def test_strain_of_a_hot_crystal_against_its_reference():
    salt = cubic(["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], 225, 5.64)
    atoms = ball(salt, 3000, np.random.default_rng(1), sigma=0.04)
    atoms.positions = atoms.positions @ (np.eye(3) + STRAIN)
    found = crystal_of(atoms.positions, atoms.numbers, references=[salt])
    assert found.space_group == 225
    assert np.abs(found.reference_strain - STRAIN).max() < 4 * found.cell_error < 0.004
    assert crystal_of(atoms.positions, atoms.numbers).reference_strain is None


def test_strain_of_grains_against_their_mean():
    """Two balls that touch, one of which is compressed."""
    rng = np.random.default_rng(1)
    large, small = (ball(crystals.fcc(), 1500, rng, sigma=0.04) for _ in range(2))
    small.positions *= 0.99
    small.positions[:, 0] += large.positions[:, 0].max() - small.positions[:, 0].min() + 0.8
    atoms = large + small
    true = np.repeat([1, 0], [len(large), len(small)])
    found = find_crystals(atoms)
    traces = {}
    for one, strain in zip(found, found.relative_strains, strict=True):
        traces[int(np.bincount(true[one.atoms]).argmax())] = np.trace(strain)
    assert len(traces) == 2
    assert traces[1] - traces[0] == pytest.approx(0.03, abs=0.004)
    row = found.rows()[0]
    assert row["strain_against"] == "mean of such grains"
    total = row["strain_xx"] + row["strain_yy"] + row["strain_zz"]
    assert total == pytest.approx(np.trace(found.relative_strains[0]))
