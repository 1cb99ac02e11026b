"""Orientation, conventional cell and strain from the average lattice of rotated crystals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from ase_crystalnet.classes import CLASSES
from ase_crystalnet.crystals.sampling import prototype
from ase_crystalnet.lattice.finder import LatticeFinder
from ase_crystalnet.lattice.orientation import (
    conventional_setting,
    misorientation,
    symmetry_rotations,
)
from ase_crystalnet.training.shards import pad_windows

CRYSTALS = [
    ("sc", "sc", (), "cubic"),
    ("fcc", "fcc", (), "cubic"),
    ("bcc", "bcc", (), "cubic"),
    ("diam", "diam", (), "cubic"),
    *[("bct139", "bct139", (c,), "tetragonal") for c in (0.6, 0.82, 1.2, 1.53, 1.95)],
    *[("bct141", "bct141", (c,), "tetragonal") for c in (0.42, 0.545, 1.1, 1.7)],
    *[("hex/rh", "hcp", (c,), "hexagonal") for c in (1.5, 1.633, 1.9)],
    ("hex/rh", "9R", (7.2,), "hexagonal"),
    *[("hex/rh", "rh", (c,), "hexagonal") for c in (0.45, 0.9, 1.93, 3.2)],
    ("hex/rh", "alpha-As", (2.8, 0.227), "hexagonal"),
    ("hex/rh", "graphite", (2.72,), "hexagonal"),
    ("hex/rh", "hexdiamond", (1.633,), "hexagonal"),
]


def rotated_windows(name, parameters, rotations, sigma, seed=0):
    cell, sites = prototype(name, *parameters)
    rng = np.random.default_rng(seed)
    density = len(sites) / abs(np.linalg.det(cell))
    radius = (3 * 250 / (4 * np.pi * density)) ** (1 / 3)
    reach = np.ceil((radius + 2) * np.linalg.norm(np.linalg.inv(cell), axis=0)).astype(int)
    grid = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach], indexing="ij"), -1)
    points = (grid.reshape(-1, 1, 3) + sites).reshape(-1, 3) @ cell
    windows = []
    for turn in rotations:
        moved = points - rng.random(3) @ cell
        moved = moved[np.linalg.norm(moved, axis=1) < radius]
        windows.append((moved + rng.normal(scale=sigma, size=moved.shape)) @ turn.as_matrix().T)
    return pad_windows(windows)


@pytest.mark.parametrize(("label", "name", "parameters", "system"), CRYSTALS)
def test_orientation_up_to_the_crystals_own_symmetry(label, name, parameters, system):
    turns = Rotation.random(25, random_state=np.random.default_rng(1))
    lattices = LatticeFinder()(*rotated_windows(name, parameters, turns, sigma=0.05))
    setting = conventional_setting(lattices.lattice, np.full(25, CLASSES.index(label)), CLASSES)
    angle = misorientation(setting.orientation, turns.as_quat(), system)
    assert np.median(angle) < 0.3
    assert angle.max() < 1.0
    np.testing.assert_allclose(np.linalg.norm(setting.orientation, axis=1), 1)
    assert setting.misfit.max() < 0.03
    if parameters:
        c_over_a = setting.cell[:, 2] / setting.cell[:, 0]
        np.testing.assert_allclose(c_over_a, parameters[0], rtol=0.02)


def test_strain_is_that_applied():
    strain = np.array([[0.02, 0.005, 0.0], [0.005, -0.01, 0.0], [0.0, 0.0, -0.01]])
    lattice = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2 * 3.6
    turn = Rotation.from_euler("xyz", [0.1, 0.2, 0.15])
    deformed = lattice @ (turn.as_matrix() @ (np.eye(3) + strain)).T
    setting = conventional_setting(deformed[None], np.array([CLASSES.index("fcc")]), CLASSES)
    # The smallest angle picks the setting of the crystal axes the strain was given in.
    np.testing.assert_allclose(setting.orientation[0], turn.as_quat(), atol=1e-6)
    np.testing.assert_allclose(setting.strain[0], strain, atol=2e-4)
    assert misorientation(setting.orientation, turn.as_quat()[None], "cubic")[0] < 1e-3


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("label", ["sc", "fcc", "bcc"])
def test_orientation_and_strain_are_of_the_same_setting(label, seed):
    """Whichever of the symmetrically equal ones it is: R (1 + e) is what was done to the sample."""
    rng = np.random.default_rng(seed)
    vectors = {
        "sc": np.eye(3),
        "fcc": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2,
        "bcc": np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2,
    }[label]
    strain = rng.normal(scale=0.01, size=(3, 3))
    strain = (strain + strain.T) / 2
    done = Rotation.random(random_state=rng).as_matrix() @ (np.eye(3) + strain)
    lattice = 3.6 * vectors @ done.T
    setting = conventional_setting(lattice[None], np.array([CLASSES.index(label)]), CLASSES)
    turn = Rotation.from_quat(setting.orientation[0]).as_matrix()
    found = turn @ (np.eye(3) + setting.strain[0])
    # F F^T does not know in which crystal axes F was written; the volume is not part of the strain.
    given, got = done @ done.T, found @ found.T
    np.testing.assert_allclose(
        got / np.cbrt(np.linalg.det(got)), given / np.cbrt(np.linalg.det(given)), atol=1e-9
    )
    edges = np.linalg.norm(found, axis=0) * np.cbrt(abs(np.linalg.det(done)) / np.linalg.det(found))
    np.testing.assert_allclose(setting.cell[0], 3.6 * edges, rtol=1e-9)


def test_no_lattice_and_no_crystal_class_have_no_orientation():
    lattice = np.stack([np.full((3, 3), np.nan), np.eye(3), np.eye(3)])
    labels = np.array([CLASSES.index("sc"), CLASSES.index("disordered"), -1])
    setting = conventional_setting(lattice, labels, CLASSES)
    assert np.isnan(setting.orientation).all()
    assert np.isnan(setting.cell).all()


@pytest.mark.parametrize(("system", "order"), [("cubic", 24), ("tetragonal", 8), ("hexagonal", 12)])
def test_symmetry_groups_have_their_order(system, order):
    assert len(symmetry_rotations(system)) == order
