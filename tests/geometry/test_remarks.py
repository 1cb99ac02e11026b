"""Molecular crystals and cells beyond a window are noticed; other matter is not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.spacegroup import crystal

from ase_crystalnet.geometry.periodic import PeriodicSpace, validated_positions
from ase_crystalnet.geometry.remarks import remark_large_cell, remark_molecules
from ase_crystalnet.geometry.spacing import StructureWarning, typical_spacing
from tests.support.molecules import ice


def molecules(atoms: Atoms) -> str:
    """What is said of a structure."""
    space = PeriodicSpace.of(atoms)
    wrapped = space.wrap(validated_positions(atoms))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = remark_molecules(space, wrapped, typical_spacing(space, wrapped), atoms)
    assert found == bool(said)
    return str(said[0].message) if said else ""


def shaken(atoms: Atoms, sigma: float) -> Atoms:
    atoms = atoms.copy()
    atoms.positions += np.random.default_rng(0).normal(scale=sigma, size=atoms.positions.shape)
    return atoms


def many(of: Atoms, distance: float, count: int = 4) -> Atoms:
    """Molecules on a grid, each turned its own way."""
    rng, found = np.random.default_rng(0), Atoms(cell=[count * distance] * 3, pbc=True)
    for place in np.ndindex(count, count, count):
        one = of.copy()
        one.rotate(rng.uniform(0, 360), rng.normal(size=3))
        one.translate(distance * np.array(place))
        found += one
    return found


DRY_ICE = crystal(
    ["C", "O"], [(0, 0, 0), (0.1185,) * 3], spacegroup=205, cellpar=[5.62] * 3 + [90] * 3
) * (2, 2, 2)  # fmt: skip


@pytest.mark.parametrize(
    ("atoms", "choice"),
    [
        (ice(), "'element O'"),
        (shaken(ice(), 0.03), "'element O'"),
        (DRY_ICE, "'element C'"),
        (many(molecule("CH4"), 4.2), "'element C'"),
        (many(molecule("N2"), 4.0), "mask of atoms"),
        (many(molecule("C6H6"), 7.5), "'element C'"),
        (many(molecule("SO2"), 4.8), "'element S'"),
    ],
    ids=["ice", "warm ice", "CO2", "methane", "nitrogen", "benzene", "SO2"],
)
def test_molecules_are_noticed(atoms, choice):
    assert choice in molecules(atoms)


def test_types_are_named_where_there_are_no_elements():
    atoms = ice()
    atoms.arrays["type"] = np.where(atoms.numbers == 8, 2, 1)
    assert "'type 2'" in molecules(atoms)


OTHERS = {
    "copper": bulk("Cu", cubic=True) * (4, 4, 4),
    "hot copper": shaken(bulk("Cu", cubic=True) * (4, 4, 4), 0.2),
    "melt": shaken(bulk("Cu", cubic=True) * (4, 4, 4), 0.5),
    "silicon": bulk("Si", cubic=True) * (3, 3, 3),
    "salt": bulk("NaCl", "rocksalt", a=5.64, cubic=True) * (2, 2, 2),
    "quartz": crystal(["Si", "O"], [(0.4697, 0, 0), (0.4135, 0.2669, 0.1191)], spacegroup=154,
                      cellpar=[4.916, 4.916, 5.4054, 90, 90, 120]) * (3, 3, 3),
    "oxygens of ice": ice()[ice().numbers == 8],
    "gas": Atoms("Ar500", np.random.default_rng(0).uniform(0, 40, (500, 3)), cell=[40] * 3,
                 pbc=True),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_other_matter_is_not(name):
    assert molecules(OTHERS[name]) == ""


def test_a_cell_beyond_a_window_is_noticed():
    """A clathrate-like cell: simple cubic, 240 atoms of general positions and some more."""
    points = np.random.default_rng(1).uniform(0.05, 0.45, (5, 3))
    big = crystal(["Si"] * 5, points, spacegroup=221, cellpar=[18.0] * 3 + [90] * 3)
    assert 200 < len(big) <= 600
    with pytest.warns(StructureWarning, match=f"primitive cell has {len(big)} atoms, a window 250"):
        assert remark_large_cell(big, 250)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not remark_large_cell(big, 2 * len(big))
        assert not remark_large_cell(OTHERS["silicon"], 250)
        assert not remark_large_cell(shaken(big, 0.3), 250)


def test_of_a_large_structure_a_sample_is_asked_first() -> None:
    large = DRY_ICE.repeat(7)  # more atoms than are all looked at
    assert len(large) > 20_000
    assert "'element C'" in molecules(large)
    assert molecules(shaken(bulk("Cu", cubic=True).repeat(18), 0.2)) == ""
