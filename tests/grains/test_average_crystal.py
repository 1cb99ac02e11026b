"""Seeds, superlattices and the average crystal: lattice, sites, displacements, errors."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal

from ase_crystalnet import crystals
from ase_crystalnet.grains import Fluctuations, average_crystal, seed_motif
from ase_crystalnet.grains.analysis import _crystal
from ase_crystalnet.grains.average_crystal import _fluctuations
from ase_crystalnet.grains.modulations import superlattice_points
from ase_crystalnet.grains.motif import Assignment, Motif
from ase_crystalnet.grains.segmentation import Grain
from ase_crystalnet.grains.superlattice import hermite
from tests.grains.conftest import ball, cubic

CELLS = {
    "fcc": (crystals.fcc(), 1),
    "hcp": (crystals.hcp(), 2),
    "diamond": (crystals.diamond(), 2),
    "NaCl": (cubic(["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], 225, 5.64), 2),
    "CsCl": (cubic(["Cs", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], 221, 4.12), 2),
    "A15": (cubic(["Nb", "Sn"], [(0.25, 0, 0.5), (0, 0, 0)], 223, 5.29), 8),
    "quartz": (
        crystal(
            ["Si", "O"],
            [(0.4697, 0, 2 / 3), (0.4133, 0.2672, 0.7855)],
            spacegroup=154,
            cellpar=[4.916, 4.916, 5.405, 90, 90, 120],
        ),
        9,
    ),
}


@pytest.mark.parametrize("name", CELLS)
@pytest.mark.parametrize(("sigma", "vacancies"), [(0.06, 0.0), (0.06, 0.2), (0.1, 0.0)])
def test_the_primitive_cell_is_found(name, sigma, vacancies):
    cell, sites = CELLS[name]
    atoms = ball(cell, 2000, np.random.default_rng(5), sigma=sigma, vacancies=vacancies)
    motif = seed_motif(atoms.positions, atoms.numbers)
    assert motif is not None and len(motif.sites) == sites
    primitive = cell.get_volume() / len(cell) * sites
    assert abs(np.linalg.det(motif.lattice)) == pytest.approx(primitive, rel=0.01)


@pytest.mark.parametrize("density", [0.9, 1.1, 1.2, 1.3])
def test_a_packing_is_no_crystal(density):
    atoms = crystals.random_packing(2000, density=density, rng=7)
    positions = atoms.positions - atoms.positions.mean(axis=0)
    assert seed_motif(positions, atoms.numbers) is None


def test_a_gas_is_no_crystal():
    points = np.random.default_rng(0).uniform(-15, 15, size=(2000, 3))
    assert seed_motif(points, np.full(2000, 18)) is None


def test_displacements_are_those_that_were_made():
    """Anisotropic displacements come back as the tensor U, turned with the crystal."""
    rng = np.random.default_rng(1)
    atoms = ball(CELLS["NaCl"][0], 3000, rng)
    root = np.diag([0.10, 0.20, 0.15])
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    noise = rng.normal(size=(len(atoms), 3)) @ root @ turn.T
    light = atoms.numbers == 11
    noise[light] *= 0.5
    positions = atoms.positions + noise
    motif = seed_motif(positions, atoms.numbers)
    found = average_crystal(motif, motif.assign(positions), positions, atoms.numbers)
    tensor = turn @ root**2 @ turn.T
    for site, number in enumerate(found.numbers):
        wanted = tensor / 4 if number == 11 else tensor
        off = (found.displacement[site] - wanted) / found.displacement_error[site]
        assert np.abs(off).max() < 4.5
    assert found.composition.max(axis=1) == pytest.approx(1)


def test_stated_errors_are_the_errors():
    """Of independent displacements, over draws: the scatter about the truth in stated errors."""
    off, across = [], []
    cell = CELLS["CsCl"][0]
    for seed in range(16):
        atoms = ball(cell, 2000, np.random.default_rng(seed), sigma=0.06)
        motif = seed_motif(atoms.positions, atoms.numbers)
        found = average_crystal(
            motif, motif.assign(atoms.positions), atoms.positions, atoms.numbers
        )
        assert found.fluctuations.parts == 8
        metric = found.lattice @ found.lattice.T
        strain = (metric / 4.12**2 - np.eye(3)) / 2
        off.append((strain**2).sum() / 6 / found.strain_variance)
        shift = (found.sites[1] - found.sites[0] - 0.5) % 1.0
        shift = (shift - np.rint(shift)) @ found.lattice
        across.append((shift**2).mean() / (found.site_error**2).sum())
    assert 0.5 < np.mean(off) < 1.5
    assert 0.5 < np.mean(across) < 1.6


def test_errors_of_a_small_region_are_assumed():
    atoms = ball(crystals.fcc(), 300, np.random.default_rng(2), sigma=0.06)
    motif = seed_motif(atoms.positions, atoms.numbers)
    found = average_crystal(motif, motif.assign(atoms.positions), atoms.positions, atoms.numbers)
    assert found.fluctuations == Fluctuations()


def test_rotation_and_order_of_atoms_change_nothing():
    rng = np.random.default_rng(4)
    atoms = ball(CELLS["A15"][0], 2000, rng, sigma=0.05)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turn *= np.sign(np.linalg.det(turn))
    shuffled = rng.permutation(len(atoms))
    results = []
    for positions, numbers in (
        (atoms.positions, atoms.numbers),
        (atoms.positions @ turn.T, atoms.numbers),
        (atoms.positions[shuffled], atoms.numbers[shuffled]),
    ):
        motif = seed_motif(positions, numbers)
        results.append(average_crystal(motif, motif.assign(positions), positions, numbers))
    first = results[0]
    for other in results[1:]:
        for values in (lambda c: np.linalg.norm(c.lattice, axis=1), lambda c: c.counts.sum(axis=1)):
            assert np.sort(values(other)) == pytest.approx(np.sort(values(first)), rel=1e-4)
        assert other.sigma == pytest.approx(first.sigma, rel=1e-4)


def test_points_of_superlattices():
    points = superlattice_points()
    assert len(points) == len(np.unique(points, axis=0))
    # Of 7 halves, 26 thirds, 56 further quarters, 124 fifths, 342 sevenths one of each pair of
    # opposites.
    assert len(points) == 7 + 13 + 28 + 62 + 171
    assert len(superlattice_points((2, 3, 4, 5))) == 7 + 13 + 28 + 62


def test_hermite_form_spans_the_same_lattice():
    rng = np.random.default_rng(3)
    for _ in range(50):
        rows = np.vstack([12 * np.eye(3, dtype=int), rng.integers(-12, 12, size=(3, 3))])
        basis = hermite(rows)
        whole = rows @ np.linalg.inv(basis)
        assert np.abs(whole - np.rint(whole)).max() < 1e-9
        assert np.abs(np.tril(basis, -1)).max() == 0


def test_parts_of_one_layer_of_long_cells_have_no_lattice_of_their_own():
    cell = Atoms("Cu4", cell=[2.5, 2.5, 10.0], pbc=True)
    cell.positions[:, 2] = [0.0, 2.5, 5.0, 7.5]
    block = cell.repeat((14, 14, 2))
    places = np.arange(len(block)) // 4
    cells = np.stack(np.unravel_index(places, (14, 14, 2)), axis=1)
    positions = block.positions + np.random.default_rng(1).normal(0, 0.05, (len(block), 3))
    found = _fluctuations(
        2.5, cells, np.arange(len(block)) % 4, positions, cell.cell.array, 0.05**2
    )
    assert found == Fluctuations()


def test_a_grain_of_one_layer_is_no_crystal():
    block = Atoms("Cu", cell=[2.5, 2.5, 10.0], pbc=True).repeat((14, 14, 1))
    count = len(block)
    cells = np.stack(np.unravel_index(np.arange(count), (14, 14, 1)), axis=1)
    motif = Motif(np.diag([2.5, 2.5, 10.0]), np.zeros((1, 3)), np.zeros(3), 2.5)
    assignment = Assignment(
        cells, np.zeros(count, np.int64), np.zeros((count, 3)), np.ones(count, bool)
    )
    grain = Grain(np.arange(count), motif, assignment, block.positions, motif.lattice[None])
    assert _crystal(1, grain, block.numbers, None, (), 1.0, np.ones(len(block), bool)) is None


def test_atoms_at_the_border_of_a_region_are_no_antisites():
    block = crystals.supercell(CELLS["NaCl"][0], 1000)
    numbers = block.numbers.copy()
    inner = (block.positions[:, 0] > 4) & (block.positions[:, 0] < block.positions[:, 0].max() - 4)
    # Of a neighbour: sodium on sites of chlorine, on one side only.
    numbers[(block.positions[:, 0] < 3) & (numbers == 17)] = 11
    motif = seed_motif(block.positions - block.positions.mean(axis=0), block.numbers)
    assert motif is not None
    positions = block.positions - block.positions.mean(axis=0)
    found = motif.assign(positions)
    assert average_crystal(motif, found, positions, numbers).composition.max(axis=1).min() < 0.98
    clean = average_crystal(motif, found, positions, numbers, inner=inner)
    assert (clean.composition.max(axis=1) == 1).all()
    assert clean.number_of_atoms == np.count_nonzero(inner & found.near)
    # Sites need atoms.
    none = average_crystal(motif, found, positions, numbers, inner=np.zeros(len(block), bool))
    assert none.number_of_atoms == np.count_nonzero(found.near)
