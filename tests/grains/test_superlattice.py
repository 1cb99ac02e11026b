"""Large cells: found at once, by superlattices of species and empty sites, in growing windows."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal

from ase_crystalnet import crystals
from ase_crystalnet.grains import crystal_of, seed_motif
from ase_crystalnet.grains.analysis import _cell_probability, _enclosed
from ase_crystalnet.grains.modulations import UNIT, modulations, superlattice_points
from ase_crystalnet.grains.motif import Motif
from ase_crystalnet.grains.superlattice import (
    _best_of_star,
    _lengths,
    _whole_stars,
    enlarged,
    hermite,
    ordered,
)
from tests.grains.conftest import ball, cubic

HEXAGONAL, RIGHT = (90, 90, 120), (90, 90, 90)
LARGE = {
    # An intercalate: a third of the sites between the layers is filled, in the order ABC.
    "CaC6": (
        crystal(
            ["Ca", "C"],
            [(0, 0, 0), (1 / 3, 0, 0.5)],
            spacegroup=166,
            cellpar=[4.333, 4.333, 13.572, *HEXAGONAL],
        ),
        166,
        7,
    ),
    # One of four sites of CsCl's type is empty; 32 of its cells.
    "Ga4Ni3": (
        crystal(
            ["Ga", "Ga", "Ni"],
            [(0, 0, 0), (0, 0, 0.25), (0.125, 0.625, 0.625)],
            spacegroup=230,
            cellpar=[11.411, 11.411, 11.411, *RIGHT],
        ),
        230,
        56,
    ),
    # A superlattice of fcc with a period of seven.
    "Mn2Au5": (
        crystal(
            ["Au", "Au", "Au", "Mn"],
            [(0, 0, 0), (0.6429, 0.5, 0.4286), (0.7857, 0.5, 0.8571), (0.9286, 0.5, 0.2857)],
            spacegroup=12,
            cellpar=[9.188, 3.954, 6.479, 90, 97.56, 90],
        ),
        12,
        7,
    ),
    # Diopside's type: bonds of very different lengths.
    "CaFeSi2O6": (
        crystal(
            ["Ca", "Fe", "O", "O", "O", "Si"],
            [
                (0, 0.3082, 0.25),
                (0, 0.9058, 0.25),
                (0.3888, 0.4123, 0.8659),
                (0.1365, 0.2411, 0.6799),
                (0.1468, 0.4802, 0.0124),
                (0.2117, 0.4057, 0.7764),
            ],
            spacegroup=15,
            cellpar=[9.79, 8.822, 5.37, 90, 105.81, 90],
        ),
        15,
        20,
    ),
    # Layers that windows of 250 atoms take for those of a simpler crystal.
    "HfGa2": (
        crystal(
            ["Ga", "Ga", "Hf"],
            [(0, 0, 0.25), (0, 0, 0.414), (0.5, 0.5, 0.574)],
            spacegroup=141,
            cellpar=[4.046, 4.046, 25.446, *RIGHT],
        ),
        141,
        12,
    ),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_cells(name):
    cell, number, sites = LARGE[name]
    atoms = ball(cell, 3360, np.random.default_rng(4), sigma=0.04)
    found = crystal_of(atoms.positions, atoms.numbers)
    assert (found.space_group, len(found.average.sites)) == (number, sites)


def test_empty_sites_have_a_superlattice_and_random_ones_have_none():
    cell, _, _ = LARGE["Ga4Ni3"]
    rng = np.random.default_rng(5)
    atoms = ball(cell, 3000, rng, sigma=0.03)
    motif = seed_motif(atoms.positions, atoms.numbers)
    larger = ordered(motif, atoms.positions, atoms.numbers)
    assert len(larger.sites) == 56
    b2 = cubic(["Ni", "Ga"], [(0, 0, 0), (0.5, 0.5, 0.5)], 221, 2.85)
    random = ball(b2, 4000, rng, sigma=0.03)
    empty = (random.numbers == 28) & (rng.random(len(random)) < 0.25)
    random = random[~empty]
    motif = seed_motif(random.positions, random.numbers)
    assert len(ordered(motif, random.positions, random.numbers).sites) == 2


def test_composition_that_changes_slowly_is_no_order():
    """A solid solution with a shell of another composition, as of a particle."""
    rng = np.random.default_rng(6)
    atoms = ball(crystals.fcc(), 6000, rng, sigma=0.04)
    radius = np.linalg.norm(atoms.positions, axis=1)
    rich = np.where(radius > 0.8 * radius.max(), 0.8, 0.35)
    numbers = np.where(rng.random(len(atoms)) < rich, 78, 46)
    motif = seed_motif(atoms.positions, numbers)
    assert len(motif.sites) == 1
    found = motif.assign(atoms.positions)
    _, log_p, _ = modulations(motif, found, numbers)
    assert log_p.min() > np.log(1e-4 / len(log_p))
    larger = ordered(enlarged(motif, atoms.positions, numbers), atoms.positions, numbers)
    assert len(larger.sites) == 1


def test_a_plane_of_missing_atoms_is_no_superlattice():
    rng = np.random.default_rng(7)
    atoms = ball(crystals.bcc(), 3000, rng, sigma=0.03)
    motif = seed_motif(atoms.positions, atoms.numbers)
    found = motif.assign(atoms.positions)
    kept = found.cells[:, 0] != 0
    atoms = atoms[kept]
    assert len(ordered(motif, atoms.positions, atoms.numbers).sites) == 1


def test_one_layer_is_no_crystal():
    layer = np.array([[i, j, 0.0] for i in range(20) for j in range(20)]) * 3.0
    atoms = Atoms(f"C{len(layer)}", positions=layer)
    atoms.positions += np.random.default_rng(0).normal(scale=0.02, size=layer.shape)
    assert crystal_of(atoms.positions, atoms.numbers) is None


def test_a_cell_without_all_its_sites_is_doubtful():
    """Of a crystal whose cell lacks a site the atoms of that site are in no grain, inside it."""
    grains = np.ones(400, np.int32)
    grains[::10] = 0
    neighbors = np.random.default_rng(0).integers(1, 400, size=(400, 12))
    neighbors[neighbors % 10 == 0] += 1
    assert _enclosed(grains, neighbors) == {1: 40}
    # At the surface, and between grains, they are not shut in.
    neighbors[:, :6] = 0
    assert _enclosed(grains, neighbors) == {}
    atoms = ball(LARGE["HfGa2"][0], 2000, np.random.default_rng(4), sigma=0.04)
    whole = crystal_of(atoms.positions, atoms.numbers)
    assert _cell_probability(whole.average, 1.0) > 0.95
    assert _cell_probability(whole.average, 0.96) < 0.5
    assert whole.probability == whole.group.probability * whole.cell_probability


@pytest.mark.parametrize(
    "arms, index",
    [((-13.0, 0.0, -0.4), 2), ((-13.0, -4.0, -3.5), 4), ((-13.0, -9.0, 0.0), 4)],
    ids=["L1_0", "L1_2, two arms together", "L1_2, two arms"],
)
def test_arms_of_a_star_are_taken_together(arms, index):
    lattice = 3.6 * np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    motif = Motif(lattice, np.zeros((1, 3)), np.zeros(3), 2.55)
    positions = np.array(list(product(range(-5, 6), repeat=3))) @ lattice
    points = superlattice_points((2,))
    length = _lengths(points, lattice)
    star = np.flatnonzero(np.abs(length * 3.6 - 1) < 0.01)
    assert len(star) == 3 and len(points) == 7
    log_p = np.full(len(points), -0.5)
    log_p[star] = arms
    basis = hermite(np.vstack([UNIT * np.eye(3, dtype=np.int64), points[star[0]]]))
    whole = _whole_stars(motif, motif.assign(positions), points, log_p, basis)
    assert UNIT**3 // round(abs(np.linalg.det(whole))) == index


def test_a_star_is_seen_whose_arms_are_not():
    lattice = 3.6 * np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    points = superlattice_points((2, 3, 4))
    length = _lengths(points, lattice)
    log_p = -np.random.default_rng(1).exponential(size=len(points))
    assert _best_of_star(length, log_p) is None
    star = np.flatnonzero(np.abs(length * 3.6 - 1) < 0.01)
    log_p[star] = (-6.0, -8.0, -7.0)
    assert _best_of_star(length, log_p) == star[1]
