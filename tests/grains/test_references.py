"""Grains named after known crystals: a library of prototypes, and cells of the user."""

from __future__ import annotations

import time

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from ase.spacegroup import crystal

from ase_crystalnet import crystals
from ase_crystalnet.errors import InputError
from ase_crystalnet.grains import Reference, crystal_of, find_crystals, load_references
from ase_crystalnet.grains.references import library
from tests.grains.conftest import ball, cubic

SALT = cubic(["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], 225, 5.64)


def scaled(cell: Atoms, factor: float) -> Atoms:
    result = cell.copy()
    result.set_cell(cell.cell.array * factor, scale_atoms=True)
    return result


def without_lattice(cell: Atoms) -> Atoms:
    """A supercell in other axes and about another origin."""
    larger = cell.repeat((2, 1, 3))
    larger.positions += [0.3, 1.1, -0.7]
    larger.rotate(37, (1, 2, 3), rotate_cell=True)
    larger.wrap()
    return larger


SAME = {
    "itself": SALT,
    "primitive cell": bulk("NaCl", "rocksalt", a=5.64),
    "supercell, turned and shifted": without_lattice(SALT),
    "cold: 3 % smaller": scaled(SALT, 0.97),
    "hot: 3 % larger": scaled(SALT, 1.03),
}
OTHERS = {
    "another size": bulk("NaCl", "rocksalt", a=4.8),
    "another species": bulk("KCl", "rocksalt", a=5.64),
    "another structure of the same species": bulk("NaCl", "cesiumchloride", a=3.55),
    "zincblende of the same density": bulk("NaCl", "zincblende", a=5.64),
    "one species": bulk("Na", "fcc", a=4.48),
    "tetragonal": crystal(
        ["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], spacegroup=225, cellpar=[5.64] * 3 + [90] * 3
    ),
}
OTHERS["tetragonal"].set_cell([5.4, 5.4, 6.2], scale_atoms=True)


def _ball(cell: Atoms, sigma: float = 0.06):
    atoms = ball(cell, 1800, np.random.default_rng(3), sigma=sigma)
    return atoms.positions, atoms.numbers


@pytest.mark.parametrize("name", SAME)
def test_a_grain_carries_the_name_of_its_reference(name):
    reference = SAME[name].copy()
    reference.info["name"] = "salt"
    found = crystal_of(*_ball(SALT), references=[reference])
    assert found.known_as == "salt"
    assert found.reference.distance < 0.01
    wanted = (SALT.get_volume() / 8 / (reference.get_volume() / len(reference))) ** (1 / 3)
    assert found.reference.scaling == pytest.approx(wanted, abs=0.003)
    assert "reference salt" in repr(found)


@pytest.mark.parametrize("name", OTHERS)
def test_a_wrong_reference_does_not_match(name):
    assert crystal_of(*_ball(SALT), references=[OTHERS[name]]).reference is None


def test_the_nearest_of_several_close_packed_references():
    cells = {
        "hcp": bulk("Mg", "hcp", a=3.2, c=3.2 * np.sqrt(8 / 3)),
        "fcc": bulk("Mg", "fcc", a=3.2 * np.sqrt(2)),
    }
    references = [Reference(name, *_parts(cell)) for name, cell in cells.items()]
    for kind, cell in cells.items():
        assert crystal_of(*_ball(cell), references=references).known_as == kind


def _parts(cell: Atoms):
    return cell.cell.array, cell.get_scaled_positions(), cell.numbers


def test_files_and_a_frame_of_numbered_types(tmp_path):
    path = tmp_path / "rocksalt.cif"
    write(path, SALT)
    (reference,) = load_references([path])
    assert (reference.name, reference.space_group, len(reference.numbers)) == ("rocksalt", 225, 2)
    positions, numbers = _ball(SALT)
    # LAMMPS knows types: 1 and 2, which are no hydrogen and helium.
    found = crystal_of(positions, np.where(numbers == 11, 2, 1), references=[path])
    assert found.known_as == "rocksalt"


def test_a_frame_of_two_crystals_names_each(tmp_path):
    upper = bulk("Al", cubic=True).repeat((9, 9, 7))
    lower = bulk("Fe", a=4.05 / np.sqrt(2), cubic=True).repeat((12, 12, 9))
    lower.cell[:] = np.diag([9 * 4.05, 9 * 4.05, 26])
    lower.positions[:, :2] *= 9 * 4.05 / (12 * 4.05 / np.sqrt(2))
    lower.positions[:, 2] -= lower.positions[:, 2].max() + 2.5
    both = Atoms(
        np.append(upper.numbers, lower.numbers),
        positions=np.vstack([upper.positions, lower.positions]),
        cell=[9 * 4.05, 9 * 4.05, 80],
        pbc=[True, True, False],
    )
    both.positions += np.random.default_rng(1).normal(scale=0.08, size=both.positions.shape)
    found = find_crystals(both, references=[bulk("Al")])
    assert [one.known_as for one in found].count("Al") == 1
    assert {row["reference"] for row in found.rows()} == {"Al", ""}
    labelled = found.attach(both.copy())
    assert set(labelled.arrays["crystalnet_reference"]) == {"Al", "-"}
    aluminium = labelled.numbers[labelled.arrays["crystalnet_reference"] == "Al"]
    assert (aluminium == 13).mean() > 0.99


def test_set_up_is_fast():
    library.cache_clear()
    start = time.perf_counter()
    library()
    load_references(list(SAME.values()))
    assert time.perf_counter() - start < 1.0


def test_the_library_names_its_sources():
    entries = library()
    assert len(entries) > 250
    for each in entries:
        assert each.source and each.name
        assert len(each.positions) == len(each.numbers) > 0
        assert 1 <= each.space_group <= 230


@pytest.mark.parametrize(
    ("cell", "label", "name"),
    [
        (SALT, "AB_cF8_225_a_b", "B1"),
        (crystals.fcc(), "A_cF4_225_a", "A1"),
        (
            crystal(
                ["Ga", "Ga", "Hf"],
                [(0, 0, 0.25), (0, 0, 0.414), (0.5, 0.5, 0.574)],
                spacegroup=141,
                cellpar=[4.046, 4.046, 25.446, 90, 90, 90],
            ),
            "A2B_tI24_141_2e_e",
            "Ga2Hf",
        ),
    ],
)
def test_the_prototype_of_a_crystal(cell, label, name):
    found = crystal_of(*_ball(cell, 0.04))
    assert found.library.reference.label == label
    assert found.prototype.startswith(name) or name in found.prototype
    assert label in repr(found)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Atoms("Cu", positions=[(0, 0, 0)]), "expected a crystal with three cell vectors"),
        (bulk("Cu").repeat(0), "found 0 atoms"),
    ],
)
def test_what_is_no_reference_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        load_references([given])
    with pytest.raises(FileNotFoundError, match=r"no_such_file\.cif"):
        load_references(["no_such_file.cif"])
