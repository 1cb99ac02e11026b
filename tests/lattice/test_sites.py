"""Mean sites of windows against those of structures, and vacancies in order."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ase_crystalnet import crystals
from ase_crystalnet.classes import STRUCTURES
from ase_crystalnet.lattice.finder import LatticeFinder
from ase_crystalnet.lattice.parent import SuperlatticeFinder
from ase_crystalnet.lattice.sites import site_misfit, vacancy_avoidance
from ase_crystalnet.training.local.structure_types import STRUCTURE_TYPES
from ase_crystalnet.training.shards import pad_windows


def ball(
    cell: Atoms, sigma: float, seed: int, atoms: int = 250, missing: float = 0.0
) -> np.ndarray:
    """A window about a random place of a turned crystal, spacings of its nearest neighbours."""
    rng = np.random.default_rng(seed)
    cell = cell.copy()
    spacing = crystals.nearest_distance(cell)
    block = crystals.supercell(cell, int(6 * atoms / (1 - missing)))
    middle = block.cell.array.sum(axis=0) / 2 + rng.uniform(-0.5, 0.5, 3) * spacing
    points = (block.positions - middle) / spacing
    points = points[rng.random(len(points)) >= missing]
    points = points[np.argsort(np.linalg.norm(points, axis=1))[:atoms]]
    points = points + rng.normal(scale=sigma, size=points.shape)
    return np.asarray(Rotation.random(random_state=rng).apply(points))


def misfits(name: str, windows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    positions, mask = pad_windows(windows)
    found = LatticeFinder()(positions, mask)
    labels = np.full(len(windows), STRUCTURES.index(name))
    return site_misfit(positions, mask, found, found.lattice, labels, STRUCTURES)


def hexagonal_with_a_shift(shift: float) -> Atoms:
    """Magnesium whose second layer is shifted by so many spacings in its plane."""
    cell = bulk("Mg")
    cell.positions[1, 1] += shift * crystals.nearest_distance(cell)
    return cell


@pytest.mark.parametrize("name", STRUCTURE_TYPES)
def test_a_structure_has_its_own_sites(name: str):
    cold, noise = misfits(name, [ball(crystals.unit_cell(name), 0.0, k) for k in range(6)])
    assert np.abs(cold).max() < 1e-3
    hot, noise = misfits(name, [ball(crystals.unit_cell(name), 0.1, k) for k in range(6)])
    assert (hot**2 < 0.02**2 + 7 * noise**2).all()
    assert (noise < 0.05).all()


@settings(deadline=None, max_examples=25)
@given(shift=st.floats(0.05, 0.22), seed=st.integers(0, 10**6))
def test_a_shift_of_a_layer_is_measured(shift: float, seed: int):
    # Two sites move by half of it each against their mean. At 0.25 they would make one lattice.
    window = ball(hexagonal_with_a_shift(shift), 0.02, seed)
    found = misfits("hcp", [window])[0][0]
    nearest = crystals.nearest_distance(hexagonal_with_a_shift(shift)) / crystals.nearest_distance(
        bulk("Mg")
    )
    assert found == pytest.approx(shift / 2 / nearest, abs=0.01)


def test_sites_on_the_axis_of_a_rhombohedral_crystal_may_lie_at_any_height():
    for height in (0.2271, 0.2339):
        cell = crystal(
            "As", [(0, 0, height)], spacegroup=166, cellpar=[3.76, 3.76, 10.55, 90, 90, 120]
        )
        assert misfits("rh", [ball(cell, 0.02, k) for k in range(4)])[0].max() < 0.01


def test_windows_of_two_twins_have_no_misfit():
    rng = np.random.default_rng(0)
    upper = crystals.supercell(crystals.unit_cell("hcp"), 3000).positions
    upper -= upper.mean(axis=0)
    turned = Rotation.from_euler("x", 64).apply(upper)
    points = np.concatenate([upper[upper[:, 0] > 0], turned[turned[:, 0] < -0.7]])
    points = points[np.argsort(np.linalg.norm(points, axis=1))[:250]]
    points += rng.normal(scale=0.05, size=points.shape)
    positions, mask = pad_windows([points])
    found = LatticeFinder()(positions, mask)
    assert np.isfinite(found.lattice).all()
    labels = np.array([STRUCTURES.index("hcp")])
    assert site_misfit(positions, mask, found, found.lattice, labels, STRUCTURES)[0][0] == 0


def test_no_lattice_and_no_sites_give_nan():
    points = np.random.default_rng(2).uniform(-3, 3, (250, 3))
    positions, mask = pad_windows([points, ball(bulk("Mg"), 0.02, 1)])
    found = LatticeFinder()(positions, mask)
    labels = np.array([STRUCTURES.index("hcp"), STRUCTURES.index("other")])
    misfit, noise = site_misfit(positions, mask, found, found.lattice, labels, STRUCTURES)
    assert np.isnan(misfit).all() and np.isnan(noise).all()


def lack(windows: list[np.ndarray]) -> np.ndarray:
    positions, mask = pad_windows(windows)
    found = LatticeFinder()(positions, mask)
    return vacancy_avoidance(positions, mask, found.lattice, found.nearest_neighbor_distance)


@pytest.mark.parametrize("name", ["fcc", "bcc", "diam", "hcp"])
@pytest.mark.parametrize("missing", [0.1, 0.3, 0.6])
def test_vacancies_at_random_do_not_avoid_each_other(name: str, missing: float):
    cell = crystals.unit_cell(name)
    found = lack([ball(cell, 0.06, k, missing=missing) for k in range(12)])
    assert found.min() > -4.2
    assert found.mean() > -1.5


def test_vacancies_in_order_do():
    # Every eighth site of bcc, far apart.
    cell = bulk("Fe", cubic=True) * (2, 2, 2)
    del cell[[k for k, f in enumerate(cell.get_scaled_positions()) if np.abs(f).max() < 0.01]]
    del cell[[k for k, f in enumerate(cell.get_scaled_positions()) if np.abs(f - 0.5).max() < 0.01]]
    positions, mask = pad_windows([ball(cell, 0.04, k) for k in range(8)])
    # The bcc lattice is that of the brightest peaks.
    found = LatticeFinder()(positions, mask)
    parent = SuperlatticeFinder()(positions, mask, found).lattice
    volume = np.abs(np.linalg.det(parent))
    assert volume == pytest.approx(4 / 3**1.5, rel=0.03)
    assert vacancy_avoidance(positions, mask, parent, np.ones(8)).max() < -4.6


def test_a_surface_is_no_order_of_vacancies():
    windows = []
    for k in range(6):
        whole = ball(bulk("Cu"), 0.05, k, atoms=400)
        windows.append(whole[whole[:, 2] < 0.4])
    assert lack(windows).min() > -3
