"""The pristine elemental crystals: labels, elements, shares, polytypes."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import spglib
from ase import Atoms
from ase.data import covalent_radii

from ase_crystalnet import crystals
from ase_crystalnet.crystals.elements import (
    ELEMENTS,
    LABELS,
    LAYERED,
    LEAST_BOND,
    TOLERANCES,
    Element,
    apart,
    elemental_structures,
    prototype_of,
)
from ase_crystalnet.crystals.prototypes import MARGIN, NEARNESS, PROTOTYPES
from ase_crystalnet.crystals.stackings import stackings, words


def spacegroup(atoms: Atoms, tolerance: float) -> int:
    cell = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    return spglib.get_symmetry_dataset(cell, symprec=tolerance).number


@pytest.fixture(scope="module")
def structures() -> list[Element]:
    return elemental_structures(np.random.default_rng(5), 120)


def test_every_space_group_is_there_in_its_share(structures: list[Element]) -> None:
    counts = Counter(e.space_group for e in structures)
    assert set(counts) == set(LABELS) == {139, 141, 166, 194, 221, 225, 227, 229}
    assert sum(counts.values()) == pytest.approx(120, abs=4)
    # Of the whole 10,500 that is 700 and more, where the paper has fifty and more of each.
    assert min(counts.values()) >= 8
    assert {e.label for e in structures} == set(LABELS.values())


def test_labels_are_confirmed_at_the_tolerances_of_the_paper(structures: list[Element]) -> None:
    for element in structures:
        assert element.label == LABELS[element.space_group]
        for tolerance in TOLERANCES[:2]:
            assert spacegroup(element.atoms, tolerance) == element.space_group, element.prototype
        assert len(set(element.atoms.numbers)) == 1 and element.atoms.pbc.all()


def test_eighty_three_elements_as_often_as_each_other() -> None:
    assert len(ELEMENTS) == 83
    rng = np.random.default_rng(1)
    numbers = [int(e.atoms.numbers[0]) for e in elemental_structures(rng, 10) for _ in [0]]
    assert set(numbers) <= set(ELEMENTS)


def test_shares_of_the_prototypes_add_up() -> None:
    for group in LABELS:
        kinds = [p for p in PROTOTYPES if p.space_group == group]
        assert sum(p.share for p in kinds) + LAYERED.get(group, 0) == pytest.approx(1.0)


def test_axial_ratios_keep_away_from_higher_symmetry(rng: np.random.Generator) -> None:
    indium = next(p for p in PROTOTYPES if p.name == "A_tI2_139_a")
    ratios = np.array([indium.sample(rng)[0][2, 2] for _ in range(400)])
    assert ratios.min() < 0.5 and ratios.max() > 1.8
    for special in indium.excluded:
        distance = np.abs(np.log(ratios / special))
        assert distance.min() > MARGIN
        # What lies near is not rare: it is there that the ratio decides.
        assert (distance < NEARNESS).sum() > 20


def test_prototypes_themselves_keep_away_from_higher_symmetry() -> None:
    for prototype in PROTOTYPES:
        for ratio in prototype.c_over_a:
            for special in prototype.excluded:
                assert abs(np.log(ratio / special)) > MARGIN, prototype.name


def test_every_meeting_with_a_cubic_crystal_is_excluded(rng: np.random.Generator) -> None:
    """spglib, with a tolerance of the margin, finds no other class in any of them."""
    for prototype in PROTOTYPES:
        for _ in range(1 if prototype.fixed else 12):
            cell, sites = prototype.sample(rng)
            assert apart(prototype.space_group, cell, sites), prototype.name


def test_margin_is_a_quarter_of_a_spot() -> None:
    """Half width of the spots of a block of 250 atoms, at the outer edge of the ring."""
    edge = 250 ** (1 / 3)  # nearest-neighbour distances, of a simple cubic block
    q = np.linspace(0, 2 * np.pi / edge, 4001)[1:]
    n = round(edge)
    profile = (np.sin(q * edge / 2) / (n * np.sin(q * edge / n / 2))) ** 2
    width = 2 * q[np.argmin(np.abs(profile - 0.5))]
    ring = 30 * 4e-4 / 0.1 * 2 * np.pi / 0.05  # pixels to wave vector, 1 / distance
    assert width / ring == pytest.approx(4 * MARGIN, rel=0.05)


def test_free_coordinates_move_and_fixed_ones_do_not(rng: np.random.Generator) -> None:
    clathrate = next(p for p in PROTOTYPES if p.name.startswith("A_cF136_227_aeg"))
    cell, sites = clathrate.sample(rng)
    assert len(sites) == 136 and (cell == np.eye(3)).all()
    assert np.abs((sites - [0, 0, 0] + 0.5) % 1 - 0.5).max(axis=1).min() < 1e-12  # on 8a
    polonium = next(p for p in PROTOTYPES if p.name == "A_cP1_221_a")
    assert polonium.fixed and not clathrate.fixed


def test_sizes_are_those_of_solids(structures: list[Element]) -> None:
    for element in structures:
        prototype = prototype_of(element)
        volume = element.atoms.get_volume() / len(element.atoms)
        if prototype is not None and prototype.fixed:
            assert 4 < volume < 140, element.prototype
        if len(element.atoms) < 20:
            bond = crystals.nearest_distance(element.atoms)
            radius = covalent_radii[element.atoms.numbers[0]]
            assert bond > 0.99 * LEAST_BOND * radius, element.prototype


@pytest.mark.parametrize("group", [166, 194])
def test_stackings_have_their_space_group(group: int, rng: np.random.Generator) -> None:
    known = words(group)
    assert ((1, -1) in known) == (group == 194)  # hcp
    assert ((1, 1, -1) in known) == (group == 166)  # 9R, alpha-samarium
    kinds = set()
    for _ in range(12):
        name, cell, sites = stackings(group, rng)
        kinds.add(name.split()[0])
        atoms = Atoms(np.full(len(sites), 6), cell=3 * cell, scaled_positions=sites, pbc=True)
        assert spacegroup(atoms, 1e-3) == group, name
    assert len(kinds) >= 2


def test_structures_know_their_prototype(structures: list[Element]) -> None:
    fixed = [e for e in structures if (p := prototype_of(e)) is not None and p.fixed]
    assert {e.prototype for e in fixed} >= {"A_cF4_225_a", "A_cI2_229_a", "A_cP1_221_a"}
    assert any(prototype_of(e) is None for e in structures)


def test_clathrate_ii_has_four_neighbors_as_diamond_has(rng: np.random.Generator) -> None:
    clathrate = next(p for p in PROTOTYPES if p.name == "A_cF136_227_aeg (clathrate II)")
    cell, sites = clathrate.sample(rng)
    atoms = Atoms(np.full(136, 14), cell=14.7 * cell, scaled_positions=sites, pbc=True)
    distances = np.sort(atoms.get_all_distances(mic=True), axis=1)[:, 1:]
    assert distances[:, 3].max() < 1.12 * distances[:, 0].min()
    assert distances[:, 4].min() > 1.45 * distances[:, 0].min()
