"""What must not change a window: where, how, in which order and how often the atoms are given."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet import crystals
from ase_crystalnet.windows.windower import WindowBatch, Windower

#: Angstrom. Positions are float32, up to 15 Angstrom from the centre.
TOLERANCE = 1e-4


def cut(atoms: Atoms, spec: object = "atoms") -> WindowBatch:
    system = Windower(workers=1).prepare(atoms)
    centers, _ = system.centers(spec)
    return by_distance(next(system.batches(centers, max(len(centers), 1))))


def by_distance(batch: WindowBatch) -> WindowBatch:
    """The atoms of each window in the order of their distance: a window has none of its own."""
    distance = np.where(batch.mask, np.linalg.norm(batch.positions, axis=2), np.inf)
    order = np.argsort(distance, axis=1, kind="stable")
    return replace(
        batch,
        positions=np.take_along_axis(batch.positions, order[:, :, None], axis=1),
        indices=np.take_along_axis(batch.indices, order, axis=1),
    )


def fingerprints(batch: WindowBatch) -> np.ndarray:
    """Rotation- and order-invariant description of each window: sorted distances, padded."""
    distance = np.linalg.norm(batch.positions, axis=2)
    padded = np.full((len(batch), 520), 99.0)
    padded[:, : distance.shape[1]] = np.where(batch.mask, distance, 99.0)
    return padded


def assert_same(first: WindowBatch, second: WindowBatch) -> None:
    assert (first.mask.sum(axis=1) == second.mask.sum(axis=1)).all()
    assert np.allclose(fingerprints(first), fingerprints(second), atol=TOLERANCE)
    assert np.allclose(first.radius, second.radius, rtol=1e-9)


def disordered(seed: int = 0, atoms: int = 600) -> Atoms:
    return crystals.supercell(crystals.fcc(), atoms, sigma=0.06, vacancies=0.2, rng=seed)


@settings(max_examples=15, deadline=None)
@given(shift=st.tuples(*[st.floats(-1e3, 1e3)] * 3))
def test_translation_of_a_periodic_structure(shift):
    atoms = disordered()
    moved = atoms.copy()
    moved.positions += shift
    chosen = np.arange(0, len(atoms), 29)
    assert_same(cut(atoms, chosen), cut(moved, chosen))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6), shift=st.floats(-1e4, 1e4))
def test_rigid_motion_of_a_cluster(seed, shift):
    cluster, _ = crystals.random_cluster(crystals.diamond(), 15.0, sigma=0.05, rng=1)
    turned, rotation = crystals.rotated(cluster, seed)
    turned.positions += shift
    chosen = np.arange(0, len(cluster), 23)
    before, after = cut(cluster, chosen), cut(turned, chosen)
    assert_same(before, after)
    # Sorted by distance, noise leaves no ties: the atoms correspond one by one.
    expected = rotation.apply(before.positions[before.mask].astype(float))
    assert np.allclose(after.positions[after.mask], expected, atol=1e-3)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_rotation_of_a_periodic_structure_with_its_cell(seed):
    atoms = disordered()
    turned, _ = crystals.rotated(atoms, seed)
    chosen = np.arange(0, len(atoms), 29)
    assert_same(cut(atoms, chosen), cut(turned, chosen))


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_permutation_of_the_atoms(seed):
    atoms = disordered()
    order = np.random.default_rng(seed).permutation(len(atoms))
    first, second = cut(atoms, order), cut(atoms[order])
    assert_same(first, second)
    assert (first.indices[first.mask] == order[second.indices[second.mask]]).all()


@pytest.mark.parametrize("name", ["fcc", "bcc", "hex/rh", "sc", "diam", "bct139", "bct141"])
def test_supercell_gives_the_windows_of_its_cell(name):
    cell = crystals.unit_cell(name)
    one = cut(cell)
    many = cut(cell.repeat((2, 3, 5)), np.arange(len(cell)))
    assert_same(one, many)


def test_supercell_of_a_noisy_cell():
    atoms = disordered(3, 250)
    chosen = np.arange(0, len(atoms), 11)
    assert_same(cut(atoms, chosen), cut(atoms.repeat((2, 1, 2)), chosen))


@settings(max_examples=20, deadline=None)
@given(steps=st.lists(st.integers(-4, 4), min_size=6, max_size=6), seed=st.integers(0, 99))
def test_any_cell_of_the_same_lattice(steps, seed):
    """The choice of cell vectors (also very oblique ones) is no property of the crystal."""
    atoms = crystals.supercell(crystals.hcp(), 100, sigma=0.05, rng=seed)
    shear = np.eye(3)
    shear[0, 1], shear[0, 2], shear[1, 2] = steps[:3]
    other = np.eye(3)
    other[1, 0], other[2, 0], other[2, 1] = steps[3:]
    oblique = atoms.copy()
    oblique.set_cell(shear @ other @ atoms.cell.array, scale_atoms=False)
    assert_same(cut(atoms), cut(oblique))


@settings(max_examples=15, deadline=None)
@given(jumps=st.integers(0, 10**6))
def test_atoms_moved_by_lattice_vectors(jumps):
    atoms = disordered()
    moved = atoms.copy()
    steps = np.random.default_rng(jumps).integers(-3, 4, (len(atoms), 3))
    moved.positions += steps @ atoms.cell.array
    chosen = np.arange(0, len(atoms), 29)
    assert_same(cut(atoms, chosen), cut(moved, chosen))


@pytest.mark.parametrize("offset", [0.0, 1e-17, -1e-17, 1e-13, -1e-13, 1.0, 1.0 - 1e-16])
def test_atoms_exactly_on_the_faces(offset):
    """A perfect crystal has 249 atoms in each window however its faces cut through atoms."""
    atoms = crystals.fcc().repeat((3, 4, 5))
    atoms.positions += offset * atoms.cell.array.sum(axis=0)
    count = cut(atoms).mask.sum(axis=1)
    assert (count == 249).all()


def test_primitive_cell_of_one_atom():
    cell = crystals.fcc().cell.array
    primitive = Atoms("Cu", cell=(cell.sum(axis=0) - cell) / 2, pbc=True)
    assert_same(cut(primitive), cut(crystals.fcc(), [0]))
    assert (cut(primitive).indices[0][:249] == 0).all()


def test_very_thin_and_long_cells():
    cell = crystals.sc()
    assert_same(cut(cell, [0]), cut(cell.repeat((1, 1, 200)), [0]))


@pytest.mark.parametrize("pbc", [(1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
@pytest.mark.parametrize("oblique", [False, True])
def test_periodic_equals_finite_in_the_interior(pbc, oblique):
    """Deep inside, a window does not know which directions repeat."""
    cell = crystals.bcc()
    if oblique:
        cell.set_cell(np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1]]) @ cell.cell.array)
    atoms = cell.repeat((14, 14, 14) if oblique else (12, 12, 12))
    middle = atoms.cell.array.sum(axis=0) / 2
    chosen = np.argsort(np.linalg.norm(atoms.positions - middle, axis=1))[:5]
    bulk = cut(atoms, chosen)
    atoms.pbc = pbc
    part = cut(atoms, chosen)
    assert np.allclose(part.radius, bulk.radius, rtol=0.02)
    assert (part.mask.sum(axis=1) == bulk.mask.sum(axis=1)).all()
    atoms.pbc = False
    finite = cut(atoms, chosen)
    assert (finite.mask.sum(axis=1) == bulk.mask.sum(axis=1)).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slab_is_the_same_in_any_setting(axis):
    """Free direction along x, y or z, with or without a cell vector along it."""
    atoms = crystals.supercell(crystals.fcc(), 900, sigma=0.04, rng=5)
    atoms.pbc = [True, True, False]
    reference = cut(atoms)
    roll = np.roll(np.arange(3), axis - 2)
    inverse = np.argsort(roll)
    rolled = Atoms(
        numbers=atoms.numbers,
        positions=atoms.positions[:, inverse],
        cell=atoms.cell.array[inverse][:, inverse],
        pbc=atoms.pbc[inverse],
    )
    assert list(rolled.pbc).index(False) == int(np.flatnonzero(inverse == 2)[0])
    assert_same(reference, cut(rolled))
    free = int(np.flatnonzero(~rolled.pbc)[0])
    bare = rolled.cell.array.copy()
    bare[free] = 0.0
    rolled.set_cell(bare)
    assert_same(reference, cut(rolled))
    bare[free] = [7.0, -3.0, 5.0]
    rolled.set_cell(bare)
    assert_same(reference, cut(rolled))


def test_large_structures_agree_statistically_when_moved():
    """Beyond 1000 atoms densities are probed at some atoms only."""
    atoms = crystals.supercell(crystals.fcc(), 6000, sigma=0.06, vacancies=0.3, rng=2)
    moved = atoms.copy()
    moved.positions += [1.3, 0.7, 2.1]
    chosen = np.arange(0, len(atoms), 17)
    ratio = cut(moved, chosen).radius / cut(atoms, chosen).radius
    assert np.abs(ratio - 1).mean() < 0.01
    assert np.abs(ratio - 1).max() < 0.04
