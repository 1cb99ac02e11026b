"""Global mode: clusters, the compiled exact fingerprint, one window for a whole structure."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from ase_crystalnet import crystals
from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.crystals.defects import displaced, substituted, with_vacancies
from ase_crystalnet.errors import InputError
from ase_crystalnet.fingerprint.exact import exact_fingerprints
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.whole.analysis import global_fingerprints, global_probabilities
from ase_crystalnet.whole.average_cell import average_cell
from ase_crystalnet.whole.average_lattice import NoLatticeError
from ase_crystalnet.whole.cluster import (
    cell_cluster,
    perfect_supercell,
    repetitions,
    scaled_clusters,
    standard_cluster,
    standard_conventional_cell,
)
from tests.support.tiny_models import CLASSES, write_card, write_network

CRYSTALS = {name: crystals.unit_cell(name) for name in CLASSES[:7]}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> CrystalNet:
    """Analyzer of whole structures with a network of random weights."""
    folder = tmp_path_factory.mktemp("global")
    write_network(folder / "model.keras", outputs=7)
    write_card(
        folder, mode="global", classes=list(CLASSES[:7]), input="linear", window_atoms=[250, 250]
    )
    return CrystalNet(folder)


@pytest.mark.parametrize("name", CRYSTALS)
def test_cluster_is_a_compact_block_of_about_250_atoms(name: str) -> None:
    cell = average_cell(CRYSTALS[name])
    n = repetitions(cell, 250)
    assert 225 <= n.prod() * len(cell.sites) <= 275
    sides = n * np.linalg.norm(cell.lattice, axis=1)
    assert sides.max() / sides.min() < 1.5
    cluster = standard_cluster(CRYSTALS[name])
    assert len(cluster) == n.prod() * len(cell.sites)
    assert not cluster.pbc.any()
    ideal = cell_cluster(cell).positions
    found = cluster.positions[np.lexsort(np.round(cluster.positions.T, 3))]
    assert np.abs(found - ideal[np.lexsort(np.round(ideal.T, 3))]).max() < 1e-6


def test_standard_cell_has_mean_sites_and_common_species(rng: np.random.Generator) -> None:
    alloy = substituted(bulk("Cu").repeat(6), ["Ni", "Cu"], rng, [0.3, 0.7])
    cell = standard_conventional_cell(displaced(alloy, 0.1, rng))
    assert str(cell.symbols) == "Cu" and cell.pbc.all()
    assert cell.get_volume() == pytest.approx(bulk("Cu").get_volume())


def test_cluster_keeps_the_defects(rng: np.random.Generator) -> None:
    perfect = perfect_supercell(bulk("Cu"))
    assert len(perfect) == 252
    spoilt = substituted(with_vacancies(perfect, 0.5, rng), ["Cu", "Au"], rng)
    cluster = standard_cluster(displaced(spoilt, 0.1, rng))
    # The block is the supercell itself: every atom is in it once.
    assert len(cluster) == len(spoilt)
    assert sorted(cluster.numbers) == sorted(spoilt.numbers)


def test_small_defective_cells_are_repeated(rng: np.random.Generator) -> None:
    small = with_vacancies(bulk("Cu").repeat(4), 0.1, rng)
    cluster = standard_cluster(small)
    assert len(cluster) == pytest.approx(252 * 0.9, rel=0.05)


def test_exact_kernel_agrees_with_the_sum_over_atoms(rng: np.random.Generator) -> None:
    structures = [
        bulk("Si"),
        displaced(bulk("Cu").repeat(6), 0.1, rng),
        substituted(bulk("Fe").repeat(6), ["H", "Fe", "Bi"], rng),
    ]
    positions, mask, numbers = scaled_clusters(structures)
    fingerprint = Fingerprint()
    fast = exact_fingerprints(fingerprint, positions, mask, numbers)
    slow = fingerprint.exact(positions, mask, numbers=numbers)
    assert fast.dtype == np.float32 and fast.shape == (3, 64, 64, 3)
    assert np.abs(fast - slow).max() < 2e-5
    assert (fast.max(axis=(1, 2, 3)) == 1.0).all()
    # Every atom alike, and turns that are no quarter turn of each other.
    odd = Fingerprint(angle=30.0)
    assert (
        np.abs(exact_fingerprints(odd, positions, mask) - odd.exact(positions, mask)).max() < 2e-5
    )


def test_threads_change_nothing(rng: np.random.Generator) -> None:
    structures = [displaced(bulk("Cu").repeat(3), 0.1, rng) for _ in range(20)]
    one = global_fingerprints(structures, threads=1)
    assert (one == global_fingerprints(structures, threads=2)).all()


def test_analysis_is_one_window_for_every_atom(tiny: CrystalNet, rng: np.random.Generator) -> None:
    structure = crystals.rotated(displaced(bulk("Cu").repeat(6), 0.05, rng), rng)[0]
    frame = tiny.analyze(structure)
    assert frame.number_of_windows == 1 and frame.number_of_atoms == 216
    assert frame.classes == CLASSES[:7]
    assert (frame.atom_probabilities == frame.probabilities).all()
    assert (frame.atom_labels == frame.labels[0]).all()
    assert frame.rank[0] == 3 and not frame.sparse[0]
    assert frame.nearest_neighbor_distance[0] == pytest.approx(2.553, rel=1e-3)
    # exp(-q^2 sigma^2) of the lowest reflections, and the displacements that were put in.
    assert 0.8 < frame.order[0] < 1.0
    assert frame.mean_square_displacement[0] == pytest.approx(0.05**2, rel=0.15)
    # The lattice is that of the structure as it lies: its cell is whole numbers of it.
    whole = structure.cell.array @ np.linalg.inv(frame.lattice[0])
    assert np.abs(whole - np.rint(whole)).max() < 1e-6
    assert frame.metadata["centers"] == "global"
    attached = frame.attach(structure)
    assert len(attached.arrays["crystalnet_label"]) == 216
    structure.calc = tiny
    assert structure.calc.get_property("class_probabilities", structure).shape == (216, 7)


def test_many_structures_at_once(tiny: CrystalNet, rng: np.random.Generator) -> None:
    packing = crystals.random_packing(600, rng=rng)
    packing.pbc = False
    structures = [CRYSTALS["fcc"], packing, CRYSTALS["diam"]]
    seen: list[tuple[int, int]] = []
    found = global_probabilities(
        tiny.classifier,
        structures,
        batch=2,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert found.shape == (3, 7) and seen == [(2, 3), (3, 3)]
    assert np.isnan(found[1]).all()
    assert np.abs(found[0] - tiny.analyze(CRYSTALS["fcc"]).probabilities[0]).max() < 1e-6
    assert (global_probabilities(tiny.classifier, structures[:1]) == found[0]).all()


def test_errors_say_what_to_do(
    tiny: CrystalNet, local_model: Path, rng: np.random.Generator
) -> None:
    with pytest.raises(InputError, match="classifies structures as a whole: centers"):
        tiny.analyze(CRYSTALS["fcc"], centers="grid")
    with pytest.raises(InputError, match="as a whole: spacing does not apply"):
        tiny.analyze(CRYSTALS["fcc"], spacing=3.0)
    folder = tiny.classifier.card.folder
    for options in (
        {"window_atoms": 250},
        {"on_sparse": "refuse"},
        {"species": "geometry"},
        {"divide": True},
        {"batch_size": 10},
    ):
        (name,) = options
        with pytest.raises(InputError, match=f"'tiny' classifies .* whole: {name} do not apply"):
            CrystalNet(folder, **options)
    with pytest.raises(InputError, match="it has no windows"):
        tiny.of_windows()
    with pytest.raises(TypeError, match="mode"):
        CrystalNet(folder, mode="global")
    slab = bulk("Cu").repeat(4)
    slab.pbc = (True, True, False)
    with pytest.raises(InputError, match="periodic in all directions or in none"):
        tiny.analyze(slab)
    packing = crystals.random_packing(600, rng=rng)
    packing.pbc = False
    with pytest.raises(NoLatticeError, match="no lattice was found"):
        tiny.analyze(packing)
