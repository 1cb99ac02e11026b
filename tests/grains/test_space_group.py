"""Space groups of hot crystals, without a tolerance."""

from __future__ import annotations

import numpy as np
import pytest
from ase.spacegroup import crystal

from ase_crystalnet import crystals
from ase_crystalnet.errors import InputError
from ase_crystalnet.grains import crystal_of, find_space_group
from tests.grains.conftest import ball, cubic

HEXAGONAL = [3.25, 3.25, 5.2, 90, 90, 120]
CASES = {
    "fcc": (crystals.fcc(), 225, "cF4", "A1 (fcc)"),
    "bcc": (crystals.bcc(), 229, "cI2", "A2 (bcc)"),
    "hcp": (crystals.hcp(), 194, "hP2", "A3 (hcp)"),
    "diamond": (crystals.diamond(), 227, "cF8", "A4 (diamond)"),
    "beta-Sn": (crystals.bct141(0.5456), 141, "tI4", "A5 (beta-Sn)"),
    "zincblende": (
        cubic(["Zn", "S"], [(0, 0, 0), (0.25, 0.25, 0.25)], 216, 5.41),
        216,
        "cF8",
        "B3 (zincblende)",
    ),
    "wurtzite": (
        crystal(
            ["Zn", "O"],
            [(1 / 3, 2 / 3, 0), (1 / 3, 2 / 3, 0.382)],
            spacegroup=186,
            cellpar=HEXAGONAL,
        ),
        186,
        "hP4",
        "B4 (wurtzite)",
    ),
    "fluorite": (
        cubic(["Ca", "F"], [(0, 0, 0), (0.25, 0.25, 0.25)], 225, 5.46),
        225,
        "cF12",
        "C1 (fluorite)",
    ),
    "rutile": (
        crystal(
            ["Ti", "O"],
            [(0, 0, 0), (0.305, 0.305, 0)],
            spacegroup=136,
            cellpar=[4.594, 4.594, 2.959, 90, 90, 90],
        ),
        136,
        "tP6",
        "C4 (rutile)",
    ),
    "perovskite": (
        cubic(["Sr", "Ti", "O"], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], 221, 3.905),
        221,
        "cP5",
        "E2_1 (perovskite)",
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(("sigma", "vacancies"), [(0.06, 0.0), (0.09, 0.0), (0.06, 0.2)])
def test_the_group_of_a_hot_crystal(name, sigma, vacancies):
    cell, number, pearson, prototype = CASES[name]
    atoms = ball(cell, 2500, np.random.default_rng(11), sigma=sigma, vacancies=vacancies)
    found = crystal_of(atoms.positions, atoms.numbers)
    assert found is not None
    assert (found.space_group, found.group.pearson) == (number, pearson)
    assert found.prototype == prototype
    assert found.probability > 0.5
    given = cell.get_volume() / len(cell)
    ours = found.conventional.get_volume() / len(found.conventional)
    assert ours == pytest.approx(given, rel=0.01)
    assert found.cell.info["spacegroup"].no == number


def test_the_label_of_a_prototype():
    atoms = ball(CASES["fluorite"][0], 1500, np.random.default_rng(0), sigma=0.03)
    found = crystal_of(atoms.positions, atoms.numbers)
    assert found.label == "AB2_cF12_225_a_c:Ca-F"


def test_strain_is_no_change_of_symmetry_unless_it_is_asked_for():
    atoms = ball(crystals.fcc(), 3000, np.random.default_rng(1), sigma=0.02)
    stretch = np.diag([1.004, 1.0, 0.998])
    atoms.positions = atoms.positions @ stretch
    found = crystal_of(atoms.positions, atoms.numbers)
    assert found.space_group == 225
    # It is not lost: the lattice holds it.
    assert np.linalg.norm(found.strain) == pytest.approx(
        np.linalg.norm(np.diag([1.004, 1, 0.998]) - np.eye(3) * 1.00067), rel=0.15
    )
    strict = find_space_group(found.average, 0.0)
    assert strict.number < 100
    assert strict.higher is not None and strict.higher[1] > 0
    with pytest.raises(InputError, match="elastic_strain is -1"):
        find_space_group(found.average, -1.0)


def test_a_distortion_that_a_lower_group_leaves_free_is_no_strain(l1_2):
    """An L1_2 crystal of c/a 1.02 has no other component of strain: it is tetragonal."""
    cell = l1_2.copy()
    cell.set_cell(cell.cell.array @ np.diag([1, 1, 1.02]), scale_atoms=True)
    atoms = ball(cell, 2500, np.random.default_rng(3), sigma=0.05)
    found = crystal_of(atoms.positions, atoms.numbers)
    assert (found.space_group, found.probability > 0.9) == (123, True)
    # It is the cubic one for who says that crystals may be strained by so much.
    strained = find_space_group(found.average, 0.01)
    assert strained.number == 221


@pytest.mark.parametrize("size", [0.002, 0.008])
def test_strain_this_way_and_that_is_no_change_of_symmetry(size, l1_2):
    rng = np.random.default_rng(5)
    strain = rng.normal(scale=size, size=(3, 3))
    for cell, number in ((l1_2, 221), (crystals.bcc(), 229), (crystals.hcp(), 194)):
        atoms = ball(cell, 2500, rng, sigma=0.04)
        atoms.positions = atoms.positions @ (np.eye(3) + (strain + strain.T) / 2)
        found = crystal_of(atoms.positions, atoms.numbers)
        assert found.space_group == number
        assert np.linalg.norm(found.strain) > size


def test_a_pseudosymmetric_crystal_says_so():
    """c/a of 1.06: tetragonal, and the cubic group is named with its price."""
    cell = crystals.fcc()
    cell.set_cell(cell.cell.array @ np.diag([1, 1, 1.06]), scale_atoms=True)
    atoms = ball(cell, 2500, np.random.default_rng(2), sigma=0.04)
    found = crystal_of(atoms.positions, atoms.numbers)
    assert found.space_group == 139
    number, cost = found.group.higher
    assert number == 225 and cost > 5


def test_orientation_is_that_of_the_crystal():
    rng = np.random.default_rng(6)
    cell = CASES["rutile"][0]
    atoms, turn = crystals.random_cluster(cell, 18.0, sigma=0.04, rng=rng)
    found = crystal_of(atoms.positions, atoms.numbers)
    between = turn.as_matrix().T @ found.group.orientation @ found.group.rotations
    angle = np.degrees(np.arccos(np.clip((np.trace(between, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    assert angle.min() < 4 * found.orientation_error < 1
