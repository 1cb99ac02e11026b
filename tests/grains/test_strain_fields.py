"""Strain on a grid, against a reference and against the mean of a grain."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from scipy.spatial.transform import Rotation

from ase_crystalnet.errors import InputError
from ase_crystalnet.grains import find_crystals, load_references
from ase_crystalnet.grains.strain_fields import strain_field

COPPER = bulk("Cu", cubic=True)
TURN = Rotation.from_euler("xyz", [20, 35, 50], degrees=True)


def crystal(gradient, sigma: float = 0.1, edge: float = 26.0, seed: int = 1) -> Atoms:
    """A cube of copper, turned, whose atoms were moved by gradient(x) (N, 3)."""
    atoms = COPPER.repeat(20)
    atoms.positions -= atoms.positions.mean(axis=0)
    atoms.positions = TURN.apply(atoms.positions)
    atoms = atoms[np.abs(atoms.positions).max(axis=1) < edge]
    atoms.positions += gradient(atoms.positions)
    atoms.positions += np.random.default_rng(seed).normal(0, sigma, (len(atoms), 3))
    atoms.pbc = False
    return atoms


def test_uniform_strain_is_found_in_the_axes_of_the_sample():
    strain = np.array([[0.015, 0.004, 0.0], [0.004, -0.01, 0.0], [0.0, 0.0, 0.005]])
    field = strain_field(crystal(lambda x: x @ strain), reference=COPPER)
    assert len(field) > 20 and field.against == "Cu"
    np.testing.assert_allclose(field.strain.mean(axis=0), strain, atol=0.0015)
    inside = np.abs(field.points).max(axis=1) < 18
    rest = field.strain[inside] - strain
    assert np.sqrt((rest**2).mean()) < 0.006
    # The stated error is that of a component.
    assert 0.4 < np.sqrt((rest**2).mean()) / field.error[inside].mean() < 2.5


def test_a_gradient_of_strain_is_followed_where_it_is():
    """e_xx grows along y from -1.5 to 1.5 %."""
    slope = 0.015 / 26

    def bend(x):
        # Of a bent bar: u_x = k x y, u_y = -k x^2 / 2.
        return np.column_stack([slope * x[:, 0] * x[:, 1], -slope * x[:, 0] ** 2 / 2, 0 * x[:, 0]])

    atoms = crystal(bend)
    field = strain_field(atoms, reference=COPPER)
    fitted = np.polyfit(field.points[:, 1], field.strain[:, 0, 0], 1)
    assert fitted[0] == pytest.approx(slope, rel=0.12)
    assert abs(fitted[1]) < 0.0015
    assert np.abs(np.polyfit(field.points[:, 1], field.strain[:, 2, 2], 1)[0]) < 0.2 * slope
    found = find_crystals(atoms)
    own = strain_field(atoms, found)
    assert own.against == "mean of the grain"
    assert set(own.grain) == {1}
    assert np.polyfit(own.points[:, 1], own.strain[:, 0, 0], 1)[0] == pytest.approx(slope, rel=0.15)
    assert abs(own.strain.mean(axis=0)[0, 0]) < 0.002
    (row, *_) = own.rows()
    assert {"x", "strain_xx", "strain_xy", "error", "grain"} <= set(row)


def test_small_grains_have_no_field_and_bad_input_is_refused():
    atoms = crystal(lambda x: 0 * x, edge=12)
    found = find_crystals(atoms)
    assert len(strain_field(atoms, found)) == 0
    assert len(strain_field(atoms, found, least_atoms=100)) > 0
    with pytest.raises(InputError, match="expected crystals, a reference"):
        strain_field(atoms)
    with pytest.raises(InputError, match="given 5"):
        strain_field(atoms[:5], found)
    with pytest.raises(InputError, match="spacing is -1"):
        strain_field(atoms, reference=load_references([COPPER])[0], spacing=-1)
