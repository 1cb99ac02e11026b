"""Grains: the right ones, whatever the order of atoms, the cell's faces and the orientation."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from scipy.spatial.transform import Rotation

from ase_crystalnet import crystals
from ase_crystalnet.errors import InputError
from ase_crystalnet.grains import GrainFinder, find_crystals


def agreement(found: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Share of the atoms in grains, and of these the share with the grain's commonest true one."""
    inside = found > 0
    table = np.zeros((found.max() + 1, true.max() + 1))
    np.add.at(table, (found[inside], true[inside]), 1)
    return float(inside.mean()), float(table.max(axis=1).sum() / max(inside.sum(), 1))


def test_the_grains_of_a_polycrystal(polycrystal):
    atoms, grain, rotations = polycrystal
    found = find_crystals(atoms)
    assert len(found) == 8
    assert {one.space_group for one in found} == {225}
    inside, pure = agreement(found.grains, grain)
    assert inside > 0.95 and pure > 0.98
    assert sorted(len(one.atoms) for one in found)[::-1] == [len(one.atoms) for one in found]
    group = Rotation.create_group("O")
    for one in found:
        assert (found.grains[one.atoms] == one.number).all()
        true = rotations[np.bincount(grain[one.atoms]).argmax()]
        between = true.inv() * Rotation.from_quat(one.orientation)
        angle = np.degrees(min((between * each).magnitude() for each in group))
        assert angle < 0.3
    assert {pair.grains for pair in found.boundaries} == {
        tuple(sorted(pair.grains)) for pair in found.boundaries
    }
    assert all(pair.misorientation < 62.8 for pair in found.boundaries)


def test_grains_do_not_depend_on_the_cell_nor_on_the_order_of_atoms(polycrystal):
    atoms, _, _ = polycrystal
    first = GrainFinder()(atoms)
    rng = np.random.default_rng(0)
    moved = atoms.copy()
    moved.positions += [7.1, -3.3, 11.9]
    order = rng.permutation(len(atoms))
    other = GrainFinder()(moved[order])
    assert len(first.grains) == len(other.grains)
    back = np.empty(len(atoms), int)
    back[order] = other.grain
    inside, pure = agreement(back, first.grain.astype(int))
    assert pure > 0.99
    assert abs(inside - (first.grain > 0).mean()) < 0.01


def test_a_crystal_across_periodic_faces_is_one_grain():
    atoms = crystals.supercell(crystals.bcc(), 3000, sigma=0.05, rng=1)
    found = find_crystals(atoms)
    assert len(found) == 1 and len(found[0].atoms) > 0.99 * len(atoms)
    assert found[0].space_group == 229


def test_a_small_cell_is_a_crystal():
    found = find_crystals(crystals.diamond())
    assert len(found) == 1 and found[0].space_group == 227
    assert found.grains.tolist() == [1] * 8
    assert found[0].atoms.tolist() == list(range(8))


@pytest.mark.parametrize("density", [1.0, 1.2])
def test_a_glass_has_no_grain(density):
    atoms = crystals.random_packing(3000, density=density, rng=2)
    found = find_crystals(atoms)
    assert len(found) == 0 and not found.grains.any()
    assert "0 in 3000 atoms" in repr(found)


def test_few_atoms_have_no_grain():
    assert len(find_crystals(Atoms("Cu20", positions=np.eye(3).repeat(7, axis=0)[:20] * 3))) == 0


def test_a_bent_crystal_is_one_grain():
    """One degree a nanometre along a bar of ten nanometres."""
    bar = crystals.fcc().repeat((28, 6, 6))
    x = bar.positions[:, 0] - bar.positions[:, 0].mean()
    y = bar.positions[:, 1] - bar.positions[:, 1].mean()
    curvature = np.radians(1.0) / 10.0
    bar.positions[:, 0] = np.sin(curvature * x) * (1 / curvature - y)
    bar.positions[:, 1] = (1 / curvature - y) * (1 - np.cos(curvature * x)) + y
    bar.positions += np.random.default_rng(0).normal(scale=0.1, size=bar.positions.shape)
    bar.pbc = False
    found = find_crystals(bar)
    assert len(found) == 1 and len(found[0].atoms) > 0.95 * len(bar)
    assert found[0].spread > 2
    assert found[0].space_group == 225


def test_a_twin_is_sigma_3():
    cell = crystals.fcc()
    turn = Rotation.align_vectors([[0, 0, 1], [1, 0, 0]], [[1, 1, 1], [1, -1, 0]])[0]
    block = cell.repeat(16)
    points = turn.apply(block.positions - block.positions.mean(axis=0))
    # Nothing that the lattice does not have: reflect the upper half of it in a close-packed plane.
    layers = points[:, 2]
    plane = layers[np.argmin(np.abs(layers))]
    lower = points[(layers <= plane + 0.1) & (layers > plane - 18)]
    lower = lower[np.linalg.norm(lower[:, :2], axis=1) < 18]
    upper = lower[lower[:, 2] < plane - 0.1] * [1, 1, -1] + [0, 0, 2 * plane]
    both = np.vstack([lower, upper])
    both += np.random.default_rng(0).normal(scale=0.1, size=both.shape)
    found = find_crystals(Atoms(f"Cu{len(both)}", positions=both))
    assert len(found) == 2
    assert [pair.sigma for pair in found.boundaries] == [3]
    assert found.boundaries[0].misorientation == pytest.approx(60, abs=0.7)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"least_atoms": 3}, "least_atoms is 3; expected 20 or more"),
        ({"bend": 0.0}, "bend is 0.0; expected"),
        ({"support": 1.5}, "support is 1.5; expected"),
    ],
)
def test_parameters_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        GrainFinder(**options)
