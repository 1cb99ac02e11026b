"""Does a window show a crystal that is known already?"""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from ase_crystalnet import crystals
from ase_crystalnet.crystals.stackings import close_packed
from ase_crystalnet.lattice.finder import LatticeFinder
from ase_crystalnet.lattice.known import KnownCrystals, KnownFinder, Shown

SPACING = 2.6


def window(
    atoms: Atoms, at: np.ndarray | None = None, count: int = 250
) -> tuple[np.ndarray, np.ndarray]:
    """The nearest atoms to a place, by default the middle, as a batch of one window."""
    place = atoms.cell.array.sum(axis=0) / 2 if at is None else at
    relative = atoms.positions - place
    order = np.argsort(np.linalg.norm(relative, axis=1))[:count]
    return relative[order][None].astype(np.float32), np.ones((1, count), bool)


def block(cell: Atoms, sigma: float, seed: int, repeat: int = 12) -> Atoms:
    rng = np.random.default_rng(seed)
    atoms = cell.repeat(repeat)
    atoms.set_cell(atoms.cell * SPACING / crystals.nearest_distance(cell), scale_atoms=True)
    atoms.positions += rng.normal(scale=sigma * SPACING, size=atoms.positions.shape)
    return atoms


def known_of(atoms: Atoms) -> KnownCrystals:
    positions, mask = window(atoms)
    found = LatticeFinder()(positions, mask)
    assert found.rank[0] == 3
    spacing = found.nearest_neighbor_distance
    return KnownCrystals.of(positions, mask, found.lattice, spacing)


def compared(crystals: KnownCrystals, positions: np.ndarray, mask: np.ndarray) -> Shown:
    row = np.zeros((len(positions), 1), np.int64)
    return KnownFinder()(
        positions, mask, row, crystals.basis, np.arange(len(crystals)), crystals, threads=1
    )


@pytest.mark.parametrize("name", ["fcc", "bcc", "sc", "hcp", "diam"])
@pytest.mark.parametrize("sigma", [0.02, 0.08])
def test_what_is_found_is_as_of_the_full_search(name: str, sigma: float) -> None:
    cell = crystals.unit_cell(name)
    known = known_of(block(cell, sigma, seed=1))
    atoms = block(cell, sigma, seed=2)
    strain = np.eye(3) + np.array([[0.004, 0.003, 0], [0, -0.004, 0.002], [0.002, 0, 0.003]])
    atoms.set_cell(atoms.cell.array @ strain, scale_atoms=True)
    positions, mask = window(atoms, atoms.cell.array.sum(axis=0) / 2 + [0.4, 0.1, 0.9])
    shown, found = compared(known, positions, mask), LatticeFinder()(positions, mask)
    assert shown.known.tolist() == [0]
    own, searched = shown.lattice(np.array([0])), found.lattice
    metric = [np.sort(np.linalg.eigvalsh((a @ a.transpose(0, 2, 1))[0])) for a in (own, searched)]
    np.testing.assert_allclose(metric[0], metric[1], rtol=2e-3)
    assert abs(shown.order[0] - found.order[0]) < 0.02
    assert abs(shown.coherence[0] - found.coherence[0]) < 0.03
    assert shown.mean_square_displacement[0] == pytest.approx(
        found.mean_square_displacement[0], rel=0.1, abs=1e-3
    )


def turned() -> Atoms:
    return crystals.rotated(block(crystals.unit_cell("fcc"), 0.05, 2), np.random.default_rng(3))[0]


def strained() -> Atoms:
    atoms = block(crystals.unit_cell("fcc"), 0.05, 2)
    atoms.set_cell(atoms.cell.array * [1.12, 0.95, 0.95], scale_atoms=True)
    return atoms


def half_melted() -> Atoms:
    atoms = block(crystals.unit_cell("fcc"), 0.05, 2)
    some = atoms.positions[:, 2] > atoms.cell[2, 2] / 2 + 1
    rng = np.random.default_rng(4)
    atoms.positions[some] += rng.normal(scale=0.5 * SPACING, size=(int(some.sum()), 3))
    return atoms


def shifted_sites() -> Atoms:
    """Every second site of a simple cubic lattice, along a diagonal, as in bismuth."""
    atoms = block(crystals.unit_cell("sc"), 0.03, 2, repeat=10)
    sites = np.rint(block(crystals.unit_cell("sc"), 0.0, 2, repeat=10).positions / SPACING)
    odd = sites.sum(axis=1).astype(int) % 2 == 1
    atoms.positions[odd] += 0.06 * SPACING
    return atoms


def layered(word: tuple[int, ...]) -> Atoms:
    """Close-packed layers; the middle is where a fault is."""
    cell, sites = close_packed(word, (2 / 3) ** 0.5)
    atoms = Atoms(f"Cu{len(sites)}", cell=cell, scaled_positions=sites, pbc=True)
    return block(atoms, 0.05, 2, repeat=1).repeat((14, 14, 1))


def other_motif() -> Atoms:
    """Diamond with the lattice of the fcc crystal that it is compared with."""
    atoms = block(crystals.unit_cell("diam"), 0.03, 2)
    # The edge of the cube is 4 / sqrt(3) bonds there, sqrt(2) here.
    atoms.set_cell(atoms.cell.array * 2**0.5 * 3**0.5 / 4, scale_atoms=True)
    return atoms


OTHERS = {
    "turned": ("fcc", turned),
    "strained by more than the reflections allow": ("fcc", strained),
    "half liquid": ("fcc", half_melted),
    "shifted sites": ("sc", shifted_sites),
    "the same lattice, another motif": ("fcc", other_motif),
}


@pytest.mark.parametrize("case", OTHERS)
def test_what_changes_the_name_is_seen(case: str) -> None:
    name, other = OTHERS[case]
    known = known_of(block(crystals.unit_cell(name), 0.03, seed=1))
    assert compared(known, *window(block(crystals.unit_cell(name), 0.03, seed=5))).known[0] == 0
    assert compared(known, *window(other())).known[0] == -1


@pytest.mark.parametrize(
    "word",
    [(1,) * 6 + (-1,) * 6, (1,) * 5 + (-1,) + (1,) * 6, (1, -1) * 6],
    ids=["twin", "intrinsic", "hcp"],
)
def test_planes_through_the_middle_are_seen(word: tuple[int, ...]) -> None:
    whole, faulted = layered((1,) * 12), layered(word)
    known = known_of(whole)
    assert compared(known, *window(whole, whole.cell.array.sum(axis=0) / 2 + 0.7)).known[0] == 0
    assert compared(known, *window(faulted)).known[0] == -1


def test_no_crystal_no_window() -> None:
    known = KnownCrystals.none()
    positions, mask = window(block(crystals.unit_cell("fcc"), 0.05, 1))
    shown = KnownFinder()(
        positions, mask, np.full((1, 3), -1), np.zeros((0, 3, 3)), np.zeros(0, np.int64), known
    )
    assert shown.known.tolist() == [-1]
