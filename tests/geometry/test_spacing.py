"""Structures whose lengths are not in Angstrom, or that hold atoms twice."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.io import read

from ase_crystalnet import crystals
from ase_crystalnet.errors import InputError
from ase_crystalnet.geometry.periodic import PeriodicSpace
from ase_crystalnet.geometry.spacing import StructureWarning, typical_spacing
from ase_crystalnet.windows.windower import Windower


def prepared(atoms: Atoms) -> None:
    with warnings.catch_warnings():
        # That they are molecules is said; here it is about pairs.
        warnings.filterwarnings("ignore", message="atoms are bonded in molecules")
        Windower(workers=1).prepare(atoms)


def refusal(atoms: Atoms) -> str:
    with pytest.raises(InputError) as caught:
        prepared(atoms)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def doubled(atoms: Atoms, share: float, apart: float, seed: int = 0) -> Atoms:
    """With a share of the atoms once more, a little aside."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(atoms))[: round(share * len(atoms))]
    again = atoms[chosen]
    aside = rng.normal(size=(len(again), 3))
    again.positions += apart * aside / np.linalg.norm(aside, axis=1)[:, None]
    return atoms + again


# ---------------------------------------------------------------- atoms that are there twice
@pytest.mark.parametrize("name", ["fcc", "bcc", "hex/rh", "sc", "diam", "bct139", "bct141"])
@pytest.mark.parametrize("apart", [0.0, 1e-6, 0.1, 0.6])
def test_a_crystal_with_every_atom_twice_is_refused(name, apart):
    atoms = crystals.supercell(crystals.unit_cell(name), 300, sigma=0.02, rng=1)
    message = refusal(doubled(atoms, 1.0, apart))
    assert message.startswith(f"{2 * len(atoms)} of {2 * len(atoms)} atoms are there twice: atoms ")
    assert "remove duplicates" in message


def test_two_of_the_atoms_and_their_distance_are_named():
    atoms = bulk("Cu", cubic=True) * 3
    again = atoms.copy()
    again.positions += [0.0, 0.0, 0.2]
    again.positions[41, 2] -= 0.15
    message = refusal(atoms + again)
    assert "atoms 41 and 149 are 0.05 Angstrom apart, at a typical spacing of 2.42" in message


def test_a_face_given_on_both_sides_is_refused():
    atoms = bulk("Cu", cubic=True) * 6
    face = atoms[atoms.positions[:, 0] < 0.1]
    face.positions[:, 0] += atoms.cell[0, 0]
    assert "72 of 936 atoms are there twice" not in (message := refusal(atoms + face))
    assert "144 of 936 atoms are there twice" in message


def test_a_unit_cell_with_its_atom_twice_is_refused():
    assert "2 of 2 atoms are there twice" in refusal(doubled(bulk("Cu"), 1.0, 0.0))


def test_a_few_are_warned_of():
    atoms = doubled(crystals.supercell(crystals.fcc(), 2000, sigma=0.05, rng=1), 0.002, 0.01)
    with pytest.warns(StructureWarning, match=r"8 of \d+ atoms have another at nearly the same"):
        prepared(atoms)


@pytest.mark.parametrize("pbc", [True, False])
def test_many_atoms_at_one_place_are_refused_at_once(pbc):
    atoms = Atoms("H4000", np.zeros((4000, 3)), cell=[20.0] * 3, pbc=pbc)
    assert "at least 5 atoms are at one place, that of atom 0" in refusal(atoms)


def test_thermal_noise_is_no_doubling():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed, name in enumerate(["fcc", "bcc", "hex/rh", "sc", "diam", "bct139", "bct141"]):
            rng = np.random.default_rng(seed)
            cell = crystals.unit_cell(name)
            prepared(crystals.supercell(cell, 500, sigma=0.15, vacancies=0.3, rng=rng))


def molecules(atoms: Atoms, apart: float, rng: np.random.Generator) -> Atoms:
    """Molecules turned at random on a simple cubic lattice."""
    out = Atoms(cell=[4 * apart] * 3, pbc=True)
    for place in np.stack(np.meshgrid(*3 * [np.arange(4)]), axis=-1).reshape(-1, 3):
        one = atoms.copy()
        one.rotate(rng.uniform(0, 360), rng.normal(size=3))
        one.positions += apart * place
        out += one
    return out


@pytest.mark.parametrize(
    ("name", "apart"), [("H2", 3.8), ("N2", 4.0), ("CH4", 4.2), ("H2O", 3.1), ("H2O", 30.0)]
)
def test_bonds_of_molecules_are_no_doubling(name, apart, rng):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepared(molecules(molecule(name), apart, rng))


def test_atoms_at_random_are_no_doubling(rng):
    gas = Atoms("Ar4000", rng.random((4000, 3)) * 16.0, cell=[16.0] * 3, pbc=True)
    with pytest.warns(StructureWarning, match="nearly the same place"):
        prepared(gas)


@pytest.mark.parametrize(
    "name", ["md/mdapy/water.xyz", "md/mdapy/AlCrNi.xyz", "md/mdapy/hea.0.xyz"]
)
def test_published_structures_are_taken(data_dir, name):
    atoms = read(data_dir / name)
    with warnings.catch_warnings():
        warnings.simplefilter("error", StructureWarning)
        prepared(atoms)


# ---------------------------------------------------------------- lengths in another unit
@pytest.mark.parametrize(
    ("factor", "pbc", "words"),
    [
        (1e-10, True, "look like metres: multiply positions and cell by 1e"),
        (1e-10, False, "look like metres: multiply positions and cell by 1e"),
        (1e-8, False, "centimetres"),
        (100.0, True, "picometres"),
        (100.0, False, "picometres"),
        (1e-3, True, "convert positions and cell to Angstrom"),
        (1e-3, False, "convert positions and cell to Angstrom"),
    ],
)
def test_another_unit_is_refused_by_name(factor, words, pbc):
    atoms = bulk("Al", cubic=True) * 4
    atoms.set_cell(atoms.cell * factor, scale_atoms=True)
    atoms.pbc = pbc
    assert words in refusal(atoms)


def test_a_primitive_cell_in_metres_is_refused_by_name():
    atoms = bulk("Al")
    atoms.set_cell(atoms.cell * 1e-10, scale_atoms=True)
    assert "the lengths look like metres" in refusal(atoms)


def test_nanometres_are_asked_about():
    atoms = bulk("Al", cubic=True) * 4
    atoms.set_cell(atoms.cell * 0.1, scale_atoms=True)
    with pytest.warns(StructureWarning, match="if the lengths are in nanometres"):
        prepared(atoms)


def test_the_typical_spacing_sees_images():
    # One atom; four atoms in a thin cell; many, whose neighbours are inside.
    for atoms in (bulk("Cu"), bulk("Cu", cubic=True), bulk("Cu", cubic=True) * 10):
        space = PeriodicSpace.of(atoms)
        spacing = typical_spacing(space, space.wrap(atoms.positions))
        assert spacing == pytest.approx(3.61 / np.sqrt(2))
    alone = Atoms("Cu")
    assert np.isnan(typical_spacing(PeriodicSpace.of(alone), alone.positions))
