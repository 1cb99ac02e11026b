"""Average cell of whole structures: symmetry, supercells with defects, clusters, errors."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk

from ase_crystalnet import crystals
from ase_crystalnet.crystals.defects import displaced, substituted, with_vacancies
from ase_crystalnet.crystals.prototypes import PROTOTYPES
from ase_crystalnet.crystals.stackings import graphite as graphite_cell
from ase_crystalnet.errors import InputError
from ase_crystalnet.whole.average_cell import average_cell, standard_bases
from ase_crystalnet.whole.average_lattice import NoLatticeError
from ase_crystalnet.whole.cluster import perfect_supercell

CRYSTALS = {
    "fcc": bulk("Cu"),
    "bcc": bulk("Fe"),
    "sc": crystals.sc(),
    "hcp": bulk("Mg"),
    "diam": bulk("Si"),
    "bct139": crystals.bct139(1.2),
    "bct141": crystals.bct141(0.5456),
}
SITES = {"fcc": 1, "bcc": 1, "sc": 1, "hcp": 2, "diam": 2, "bct139": 1, "bct141": 2}


@pytest.mark.parametrize("name", CRYSTALS)
def test_lattice_is_the_primitive_one_in_the_triclinic_convention(name: str) -> None:
    crystal = CRYSTALS[name]
    cell = average_cell(crystal.repeat((3, 2, 4)))
    lattice = cell.lattice
    volume = crystal.get_volume() / len(crystal) * SITES[name]
    assert np.linalg.det(lattice) == pytest.approx(volume, rel=1e-6)
    assert np.abs(lattice[[0, 0, 1], [1, 2, 2]]).max() < 1e-9  # a along x, b in the xy plane
    assert len(cell.sites) == SITES[name]
    assert np.linalg.det(cell.frame) == pytest.approx(1.0)
    assert cell.nearest_neighbor_distance == pytest.approx(
        crystals.nearest_distance(crystal), rel=1e-6
    )


def test_bases_of_a_cubic_lattice_are_its_rotations() -> None:
    fcc = bulk("Cu").cell.array
    bases = standard_bases(fcc)
    gram = bases @ bases.transpose(0, 2, 1)
    assert len(bases) == 24  # the proper rotations of the cube
    assert np.abs(gram - gram[0]).max() < 1e-9
    # The most acute choice: the rhombohedral cell of 60 degrees.
    assert gram[0, 0, 1] / gram[0, 0, 0] == pytest.approx(0.5)


@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize("defect", ["displaced", "vacancies", "alloy", "one vacancy"])
def test_defects_leave_the_average_cell(name: str, defect: str, rng: np.random.Generator) -> None:
    crystal = CRYSTALS[name]
    expected = average_cell(crystal)
    supercell = crystals.rotated(
        crystal.repeat(6 if len(crystal) == 1 else 5 if len(crystal) == 2 else 4), rng
    )[0]
    spoilt = {
        "displaced": lambda: displaced(supercell, 0.1, rng),
        "vacancies": lambda: with_vacancies(supercell, 0.6, rng),
        "alloy": lambda: substituted(supercell, ["Li", "Au"], rng),
        "one vacancy": lambda: supercell[1:],
    }[defect]()
    cell = average_cell(spoilt)
    assert np.abs(cell.lattice - expected.lattice).max() < 1e-6 * np.abs(expected.lattice).max()
    assert len(cell.sites) == len(expected.sites)
    # Mean sites of some 30 to 250 atoms each: the noise that is left in them is small.
    assert cell.nearest_neighbor_distance == pytest.approx(
        expected.nearest_neighbor_distance, rel=0.03
    )


def test_average_distance_is_not_biased_as_the_mean_over_atoms_is(rng: np.random.Generator) -> None:
    crystal = bulk("Cu").repeat(6)
    exact = crystals.nearest_distance(crystal)
    noisy = displaced(crystal, 0.1, rng)
    everywhere = noisy.get_all_distances(mic=True) + 100 * np.eye(len(noisy))
    assert everywhere.min(axis=1).mean() < 0.95 * exact
    assert average_cell(noisy).nearest_neighbor_distance == pytest.approx(exact, rel=1e-6)
    thin = with_vacancies(crystal, 0.7, rng)
    assert average_cell(thin).nearest_neighbor_distance == pytest.approx(exact, rel=1e-6)


def test_large_cells_of_many_sites_are_not_taken_for_disordered_small_ones() -> None:
    # Double hcp is hcp with the B sites shared by B and C layers: sites too near each other.
    a, c = 3.0, 9.8
    dhcp = Atoms(
        "La4",
        cell=[[a, 0, 0], [-a / 2, a * 0.75**0.5, 0], [0, 0, c]],
        scaled_positions=[(0, 0, 0), (1 / 3, 2 / 3, 0.25), (0, 0, 0.5), (2 / 3, 1 / 3, 0.75)],
        pbc=True,
    )
    assert len(average_cell(dhcp).sites) == 4
    noisy = displaced(dhcp.repeat((4, 4, 3)), 0.05, np.random.default_rng(1))
    cell = average_cell(noisy)
    assert len(cell.sites) == 4
    assert np.linalg.det(cell.lattice) == pytest.approx(dhcp.get_volume(), rel=1e-6)


def test_cluster_without_cell_has_its_lattice(rng: np.random.Generator) -> None:
    cluster, _ = crystals.random_cluster(crystals.fcc(), 11.0, sigma=0.03, rng=rng)
    cell = average_cell(cluster)
    assert len(cell.sites) == 1
    assert cell.nearest_neighbor_distance == pytest.approx(2.5, rel=0.01)


def test_slabs_and_packings_are_refused(rng: np.random.Generator) -> None:
    slab = bulk("Cu").repeat(4)
    slab.pbc = (True, True, False)
    with pytest.raises(InputError, match="periodic in all directions or in none"):
        average_cell(slab)
    packing = crystals.random_packing(600, rng=rng)
    packing.pbc = False
    with pytest.raises(NoLatticeError, match="no lattice was found"):
        average_cell(packing)


def test_large_supercells_use_the_window_in_the_middle(rng: np.random.Generator) -> None:
    noisy = displaced(bulk("Cu", cubic=True).repeat(11), 0.05, rng)  # 5,324 atoms
    cell = average_cell(noisy)
    assert np.linalg.det(cell.lattice) == pytest.approx(3.61**3 / 4, rel=0.01)


@pytest.mark.parametrize("name", ["sc", "bcc", "fcc", "diam"])
def test_hot_crystals_keep_their_sites(name: str, rng: np.random.Generator) -> None:
    """Up to a Lindemann parameter of 0.26: sigma = 0.15 nearest-neighbour distances."""
    crystal = CRYSTALS[name]
    expected = average_cell(crystal)
    distance = expected.nearest_neighbor_distance
    hot = displaced(crystal.repeat(6 if SITES[name] == 1 else 5), 0.15 * distance, rng)
    cell = average_cell(hot)
    assert np.abs(cell.lattice - expected.lattice).max() < 1e-6 * distance
    assert len(cell.sites) == SITES[name]
    assert cell.nearest_neighbor_distance == pytest.approx(distance, rel=0.08)


def test_body_centers_leave_by_and_by(rng: np.random.Generator) -> None:
    from ase_crystalnet.crystals.defects import without_body_centers

    supercell = bulk("Fe", cubic=True).repeat(5)
    few, half, all_gone = (
        average_cell(without_body_centers(supercell, f, rng)) for f in (0.1, 0.6, 1.0)
    )
    # Below about a half the average is bcc with vacancies, then a cube with two kinds of sites.
    assert (len(few.sites), len(half.sites), len(all_gone.sites)) == (1, 2, 1)
    assert few.nearest_neighbor_distance == pytest.approx(2.87 * 0.75**0.5, rel=1e-6)
    assert few.nearest_neighbor_distance < half.nearest_neighbor_distance < 2.87
    assert all_gone.nearest_neighbor_distance == pytest.approx(2.87, rel=1e-6)


@pytest.mark.parametrize("word", [(1, 1, -1, 1, -1, 1, -1), (1, 1, 1, 1, -1, -1, -1)])
def test_long_stackings_are_not_taken_for_their_average(
    word: tuple[int, ...], rng: np.random.Generator
) -> None:
    """Graphite of seven layers, two fifths of it missing: reflections many, and each weak."""
    cell, honeycomb = graphite_cell(word, 1.363)
    graphite = Atoms(
        np.full(len(honeycomb), 6), cell=2.46 * cell, scaled_positions=honeycomb, pbc=True
    )
    whole = average_cell(graphite)
    assert len(whole.sites) == 14
    supercell = crystals.rotated(perfect_supercell(graphite), rng)[0]
    for spoilt in (with_vacancies(supercell, 0.4, rng), displaced(supercell, 0.06, rng)):
        found = average_cell(spoilt)
        assert len(found.sites) == 14
        assert np.linalg.det(found.lattice) == pytest.approx(np.linalg.det(whole.lattice))


def test_clathrate_with_vacancies_keeps_its_cell() -> None:
    """What a larger cell adds must stand out of the diffuse scattering each time it is doubled."""
    silicon = next(p for p in PROTOTYPES if p.name == "A_cF136_227_aeg (clathrate II)")
    for seed in range(3):
        rng = np.random.default_rng(seed)
        cell, sites = silicon.sample(rng)
        atoms = Atoms(np.full(136, 14), cell=14.7 * cell, scaled_positions=sites, pbc=True)
        supercell = crystals.rotated(perfect_supercell(atoms), rng)[0]
        assert len(average_cell(with_vacancies(supercell, 0.25, rng)).sites) == 34
