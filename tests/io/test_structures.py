"""Structures of other packages where Atoms are expected."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_crystalnet.errors import InputError
from ase_crystalnet.io.structures import as_atoms

SALT = bulk("NaCl", "rocksalt", a=5.64, cubic=True)


def same(atoms: Atoms) -> bool:
    return (
        np.allclose(atoms.positions, SALT.positions, atol=1e-5)
        and np.allclose(atoms.cell[:], SALT.cell[:], atol=1e-5)
        and atoms.pbc.all()
        and atoms.numbers.tolist() == SALT.numbers.tolist()
    )


def test_atoms_are_handed_on():
    assert as_atoms(SALT) is SALT


def test_pymatgen():
    core = pytest.importorskip("pymatgen.core")
    lattice = core.Lattice(SALT.cell[:])
    structure = core.Structure(lattice, SALT.get_chemical_symbols(), SALT.get_scaled_positions())
    assert same(as_atoms(structure))
    assert same(as_atoms(core.IStructure.from_sites(structure.sites)))
    mixed = core.Structure(lattice, [{"Cu": 0.7, "Zn": 0.3}], [[0, 0, 0]])
    assert as_atoms(mixed).get_chemical_symbols() == ["Cu"]
    molecule = core.Molecule(["O", "H"], [[0, 0, 0], [0, 0, 1]])
    assert as_atoms(molecule).cell.rank == 0 and len(as_atoms(molecule)) == 2
    charged = structure.copy()
    charged.add_oxidation_state_by_element({"Na": 1, "Cl": -1})
    assert same(as_atoms(charged))


def test_ovito():
    io = pytest.importorskip("ovito.io.ase")
    data = io.ase_to_ovito(SALT)
    assert same(as_atoms(data))
    empty = pytest.importorskip("ovito.data").DataCollection()
    with pytest.raises(InputError, match="with particles"):
        as_atoms(empty)


def test_mdanalysis_by_its_attributes():
    """As its AtomGroup is: lengths and angles in `dimensions`, attributes that may be missing."""
    group = SimpleNamespace(
        positions=SALT.positions.astype(np.float32),
        dimensions=np.float32([5.64, 5.64, 5.64, 90, 90, 90]),
        names=SALT.get_chemical_symbols(),
    )
    assert same(as_atoms(group)) and same(as_atoms(SimpleNamespace(atoms=group, dimensions=None,
                                                                   positions=None)))  # fmt: skip
    group.dimensions = None
    assert as_atoms(group).cell.rank == 0


def test_mdanalysis():
    package = pytest.importorskip("MDAnalysis")
    universe = package.Universe.empty(len(SALT), trajectory=True)
    universe.add_TopologyAttr("names", SALT.get_chemical_symbols())
    universe.atoms.positions = SALT.positions
    universe.dimensions = [5.64] * 3 + [90] * 3
    assert same(as_atoms(universe)) and same(as_atoms(universe.atoms))


@pytest.mark.parametrize("wrong", ["POSCAR", 3, None, np.zeros((3, 3))])
def test_others_are_refused_in_one_line(wrong):
    with pytest.raises(InputError, match=r"expected ase\.Atoms") as error:
        as_atoms(wrong)
    assert len(str(error.value).splitlines()) == 1
