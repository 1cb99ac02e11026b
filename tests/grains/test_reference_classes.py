"""Known crystals as classes of windows and atoms, without training."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from ase_crystalnet import CrystalNet, crystals
from ase_crystalnet.errors import InputError
from ase_crystalnet.grains import load_references
from ase_crystalnet.grains.reference_classes import check_names, recognise
from tests.grains.conftest import ball, cubic

COPPER = bulk("Cu", cubic=True)
THETA = crystal(
    ["Al", "Cu"],
    [(0.1581, 0.6581, 0), (0, 0, 0.25)],
    spacegroup=140,
    cellpar=[6.063, 6.063, 4.872, 90, 90, 90],
)
QUARTZ = crystal(
    ["Si", "O"],
    [(0.4697, 0, 2 / 3), (0.4133, 0.2672, 0.7855)],
    spacegroup=154,
    cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
)
ORDERED = cubic(["Al", "Ni"], [(0, 0, 0), (0.5, 0.5, 0)], 221, 3.57)


def named(cell: Atoms, name: str) -> Atoms:
    cell = cell.copy()
    cell.info["name"] = name
    return cell


def stretched(cell: Atoms, *factors: float) -> Atoms:
    cell = cell.copy()
    cell.set_cell(cell.cell.array * np.array(factors), scale_atoms=True)
    return cell


def certainty(atoms: Atoms, *references: Atoms) -> np.ndarray:
    """Of the atoms in the inner part of a ball."""
    far = np.linalg.norm(atoms.positions, axis=1)
    found = recognise(atoms, load_references(references)).certainty
    return found[far < 0.65 * far.max()]


ALIKE = {
    "itself": (COPPER, COPPER, {}),
    "hot": (COPPER, COPPER, {"sigma": 0.11}),
    "hot and 3 % larger": (COPPER, stretched(COPPER, 1.03, 1.03, 1.03), {"sigma": 0.08}),
    "pulled by 3 %": (COPPER, stretched(COPPER, 1.03, 0.99, 0.99), {}),
    "a fifth of the atoms missing": (COPPER, COPPER, {"vacancies": 0.2}),
    "two species": (THETA, THETA, {"sigma": 0.08}),
    "nine sites, chiral": (QUARTZ, QUARTZ, {"sigma": 0.08}),
    "two species, a fifth missing": (THETA, THETA, {"vacancies": 0.2}),
}
UNLIKE = {
    "hcp": (COPPER, bulk("Cu", "hcp", a=2.556, c=4.174)),
    "hcp for fcc": (bulk("Cu", "hcp", a=2.556, c=4.174), COPPER),
    "dhcp for hcp": (
        bulk("Cu", "hcp", a=2.556, c=4.174),
        crystal(["Cu", "Cu"], [(0, 0, 0), (1 / 3, 2 / 3, 0.25)], spacegroup=194,
                cellpar=[2.556, 2.556, 8.348, 90, 90, 120]),
    ),
    "bcc": (COPPER, bulk("Cu", "bcc", a=2.87)),
    "tetragonal, c/a 0.9": (COPPER, stretched(COPPER, 1.03, 1.03, 0.93)),
    "8 % larger": (COPPER, stretched(COPPER, 1.08, 1.08, 1.08)),
    "another species": (COPPER, bulk("Ni", a=3.615, cubic=True)),
    "L1_2 for a solution": (COPPER, cubic(["Au", "Cu"], [(0, 0, 0), (0.5, 0, 0.5)], 221, 3.615)),
    "the parent for L1_2": (ORDERED, bulk("Ni", a=3.57, cubic=True)),
    "diamond for fluorite": (
        cubic(["Ca", "F"], [(0, 0, 0), (0.25, 0.25, 0.25)], 225, 5.46),
        cubic(["Ca", "F"], [(0, 0, 0), (0.25, 0.25, 0.25)], 216, 5.46),
    ),
    "fluorite for diamond": (
        cubic(["Ca", "F"], [(0, 0, 0), (0.25, 0.25, 0.25)], 216, 5.46),
        cubic(["Ca", "F"], [(0, 0, 0), (0.25, 0.25, 0.25)], 225, 5.46),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ALIKE)
def test_what_is_the_reference_gets_its_name(case):
    reference, cell, options = ALIKE[case]
    atoms = ball(cell, 900, np.random.default_rng(4), **({"sigma": 0.06} | options))
    assert np.mean(certainty(atoms, reference) > 0.5) > 0.98


@pytest.mark.parametrize("case", UNLIKE)
@pytest.mark.parametrize("vacancies", [0.0, 0.2])
def test_what_is_another_crystal_does_not(case, vacancies):
    reference, cell = UNLIKE[case]
    atoms = ball(cell, 900, np.random.default_rng(5), sigma=0.06, vacancies=vacancies)
    assert np.mean(certainty(atoms, reference) > 0.5) < 0.02


def test_order_of_the_species_is_asked():
    cell = ORDERED.repeat(8)
    rng = np.random.default_rng(6)
    cell.positions += rng.normal(0, 0.06 * 2.52, (len(cell), 3))
    mixed = cell.copy()
    mixed.numbers = rng.permutation(cell.numbers)
    known = load_references([ORDERED])
    assert recognise(cell, known).certainty.min() > 0.9
    assert recognise(mixed, known).certainty.max() < 0.1


def test_types_without_elements_are_tried_in_every_order():
    atoms = ball(THETA, 900, np.random.default_rng(7), sigma=0.05)
    types = {13: 2, 29: 1}
    atoms.numbers = [types[z] for z in atoms.numbers]
    assert np.mean(certainty(atoms, THETA) > 0.5) > 0.98


@pytest.mark.parametrize("density", [0.9, 1.2])
def test_no_crystal_is_a_reference(density):
    atoms = crystals.random_packing(1500, density=density, rng=8)
    atoms.numbers[:] = 29
    atoms.set_cell(atoms.cell * (11.81 * len(atoms) / atoms.get_volume()) ** (1 / 3), True)
    known = load_references(
        [COPPER, bulk("Cu", "hcp", a=2.556, c=4.174), bulk("Cu", "bcc", a=2.87)]
    )
    assert recognise(atoms, known).certainty.max() < 0.5


def test_a_precipitate_is_told_from_its_matrix_and_by_the_nearer_reference():
    rng = np.random.default_rng(9)
    matrix = bulk("Al", cubic=True).repeat(10)
    middle = matrix.cell.array.sum(axis=0) / 2
    inner = ball(THETA, 1100, rng)
    radius = np.linalg.norm(inner.positions, axis=1).max()
    matrix = matrix[np.linalg.norm(matrix.positions - middle, axis=1) > radius + 1.2]
    inner.positions += middle
    atoms = matrix + inner
    atoms.positions += rng.normal(0, 0.05 * 2.7, (len(atoms), 3))
    truth = np.arange(len(atoms)) >= len(matrix)
    found = recognise(atoms, load_references([named(THETA, "theta"), named(COPPER, "Cu")]))
    assert found.names == ("theta", "Cu")
    deep = np.linalg.norm(atoms.positions - middle, axis=1)
    is_theta = found.certainty[:, 0] > 0.5
    assert is_theta[truth & (deep < radius - 3)].mean() > 0.98
    assert is_theta[~truth].mean() < 0.002
    # Atoms at the interface need not say what they are, but most of the precipitate does.
    assert is_theta[truth].mean() > 0.8
    assert found.certainty[:, 1].max() < 0.5


def test_windows_atoms_and_tables_carry_the_name(tmp_path):
    cell = THETA.repeat((5, 5, 6))
    cell.positions += np.random.default_rng(10).normal(0, 0.12, (len(cell), 3))
    start = time.perf_counter()
    net = CrystalNet(references=[named(THETA, "theta prime")])
    assert time.perf_counter() - start < 20
    assert net.classes[-1] == "theta_prime"
    frame = net.analyze(cell, centers="grid")
    assert set(frame.class_names()) == {"theta_prime"}
    assert (frame.labels == len(frame.classes) - 1).all()
    np.testing.assert_allclose(frame.atom_probabilities.sum(axis=1), 1, atol=1e-5)
    assert "theta_prime" in frame.table()
    frame.attach(cell)
    cell.write(tmp_path / "labelled.extxyz")
    strict = frame.with_min_certainty(0.9999)
    assert strict.refused_fraction == 1
    with pytest.raises(InputError, match="theta_prime"):
        frame.sets()


def test_setting_up_takes_less_than_a_second(tmp_path):
    path = tmp_path / "theta.cif"
    THETA.write(path)
    net = CrystalNet()
    start = time.perf_counter()
    known = net.with_references([path, QUARTZ, ORDERED])
    assert time.perf_counter() - start < 1
    assert known.classes[-3:] == ("theta", "O2Si", "AlNi3")
    assert known.classifier is net.classifier
    assert not net.references


def test_names_must_be_free():
    with pytest.raises(InputError, match="'fcc' has the name of a class of the model"):
        check_names(load_references([named(COPPER, "fcc")]), ("fcc", "bcc"))
    with pytest.raises(InputError, match="another reference"):
        check_names(load_references([COPPER, COPPER]), ("fcc",))


def test_few_atoms_are_no_window():
    atoms = ball(COPPER, 60, np.random.default_rng(1))
    assert not recognise(atoms, load_references([COPPER])).certainty.any()
