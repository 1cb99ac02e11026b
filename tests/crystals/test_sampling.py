"""Crystals to train on: prototypes, their ranges and disorder; windows without a lattice."""

from __future__ import annotations

import numpy as np
import pytest
import spglib
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from ase_crystalnet.classes import CLASSES
from ase_crystalnet.crystals.disordered import cut_displaced_crystal, cut_gas, random_packing
from ase_crystalnet.crystals.pools import Pool, load_pools
from ase_crystalnet.crystals.sampling import (
    INNER,
    OUTER,
    Crystal,
    Disorder,
    cut_crystal,
    displacements,
    faulted_fcc,
    prototype,
    random_strain,
    sample_crystal,
)
from ase_crystalnet.lattice.finder import LatticeFinder
from ase_crystalnet.training.local.dataset import other_crystal
from ase_crystalnet.training.md.run import save_frames
from ase_crystalnet.training.shards import pad_windows

SPACE_GROUPS = [
    ("sc", (), 221),
    ("bcc", (), 229),
    ("fcc", (), 225),
    ("diam", (), 227),
    ("bct139", (0.82,), 139),
    ("bct139", (1.53,), 139),
    ("bct141", (0.5456,), 141),
    ("bct141", (1.7,), 141),
    ("hcp", (1.633,), 194),
    ("hcp", (1.886,), 194),
    ("dhcp", (3.23,), 194),
    ("9R", (7.3,), 166),
    ("hexdiamond", (1.65,), 194),
    ("graphite", (2.72,), 194),
    ("rgraphite", (4.1,), 166),
    ("rh", (0.9,), 166),
    ("rh", (1.93,), 166),
    ("alpha-As", (2.8, 0.227), 166),
    # Where classes meet.
    ("bct139", (1.0,), 229),
    ("bct139", (2**0.5,), 225),
    ("bct141", (2**0.5,), 227),
    ("rh", ((3 / 8) ** 0.5,), 229),
    ("rh", ((3 / 2) ** 0.5,), 221),
    ("rh", (6**0.5,), 225),
]
CRYSTALS = CLASSES[:7]


def crystal(name: str, *parameters: float) -> Crystal:
    return Crystal(name, np.eye(8)[0], *prototype(name, *parameters))


def nearest(points: np.ndarray) -> np.ndarray:
    """Distance of each point to its nearest neighbour."""
    return np.asarray(cKDTree(points).query(points, k=[2])[0][:, 0])


# ---------------------------------------------------------------- prototypes
@pytest.mark.parametrize(("name", "parameters", "group"), SPACE_GROUPS)
def test_prototypes_have_their_space_group(name, parameters, group):
    cell, sites = prototype(name, *parameters)
    found = spglib.get_spacegroup((cell, sites, np.ones(len(sites), int)), symprec=1e-5)
    assert found.endswith(f"({group})")


@pytest.mark.parametrize(("name", "parameters", "group"), SPACE_GROUPS)
def test_nearest_neighbours_are_one_apart(name, parameters, group):
    cell, sites = prototype(name, *parameters)
    atoms = Atoms(f"H{len(sites)}", cell=cell, scaled_positions=sites, pbc=True)
    block = atoms.repeat(np.ceil(4 / np.abs(np.linalg.norm(cell, axis=1))).astype(int).tolist())
    assert block.get_all_distances(mic=True)[0, 1:].min() == pytest.approx(1)
    assert nearest(block.positions).min() == pytest.approx(1)
    assert crystal(name, *parameters).density == pytest.approx(len(atoms) / atoms.get_volume())


def test_unknown_prototype_is_named():
    with pytest.raises(ValueError, match="prototype 'A15' is unknown: use one of sc, bcc"):
        prototype("A15")


def c_over_a(made: Crystal) -> float:
    a, _, c = np.linalg.norm(made.cell, axis=1)
    return float(c / a)


#: Prototype -> (class, lowest c/a, highest c/a, {c/a where classes meet: the other class}).
RANGES: dict[str, tuple[str, float, float, dict[float, str]]] = {
    "bct139": ("bct139", 0.55, 2.0, {1.0: "bcc", 2**0.5: "fcc"}),
    "bct141": ("bct141", 0.4, 1.9, {2**0.5: "diam"}),
    "hcp": ("hex/rh", 1.45, 1.95, {}),
    "dhcp": ("hex/rh", 3.0, 3.45, {}),
    "9R": ("hex/rh", 6.9, 7.7, {}),
    "hexdiamond": ("hex/rh", 1.55, 1.75, {}),
    "graphite": ("hex/rh", 2.4, 3.0, {}),
    "rgraphite": ("hex/rh", 3.6, 4.5, {}),
    "rh": ("hex/rh", 0.42, 3.3, {(3 / 8) ** 0.5: "bcc", 1.5**0.5: "sc", 6**0.5: "fcc"}),
    "alpha-As": ("hex/rh", 2.55, 3.0, {}),
}


@pytest.mark.parametrize("label", ["bct139", "bct141", "hex/rh"])
def test_sampled_crystals_cover_their_ranges_with_soft_labels(label, rng):
    own = CLASSES.index(label)
    seen: dict[str, list[float]] = {}
    soft = 0
    for _ in range(1500):
        made = sample_crystal(label, rng)
        of_class, low, high, meetings = RANGES[made.name]
        x = c_over_a(made)
        seen.setdefault(made.name, []).append(x)
        assert of_class == label
        assert low - 1e-9 <= x <= high + 1e-9
        expected = np.eye(8)[own]
        for point, neighbour in meetings.items():
            distance = abs(np.log(x / point))
            if distance < OUTER:
                share = min(max((distance - INNER) / (OUTER - INNER), 0), 1)
                expected = (
                    share * np.eye(8)[own] + (1 - share) * np.eye(8)[CLASSES.index(neighbour)]
                )
                soft += 0 < share < 1
        np.testing.assert_allclose(made.target, expected, atol=1e-9)
        assert made.target.sum() == pytest.approx(1)
    assert set(seen) == {name for name, row in RANGES.items() if row[0] == label}
    # bct141 leaves a gap about diamond instead of sharing its label.
    assert (soft > 5) == (label != "bct141")
    for name, values in seen.items():
        _, low, high, _ = RANGES[name]
        assert min(values) < low + 0.25 * (high - low)
        assert max(values) > high - 0.25 * (high - low)


@pytest.mark.parametrize("label", CRYSTALS)
def test_test_sets_keep_to_the_pure_part(label, rng):
    for _ in range(200):
        made = sample_crystal(label, rng, shared=False)
        np.testing.assert_array_equal(made.target, np.eye(8)[CLASSES.index(label)])


# ---------------------------------------------------------------- windows of crystals
@pytest.mark.parametrize("name", ["fcc", "diam", "bcc"])
@pytest.mark.parametrize("vacancies", [0.0, 0.5])
def test_windows_hold_the_atoms_asked_for(name, vacancies, rng):
    disorder = Disorder(sigma=0.05, vacancy_fraction=vacancies)
    counts = [len(cut_crystal(crystal(name), 250, disorder, rng, on_atom=False)) for _ in range(60)]
    assert np.mean(counts) == pytest.approx(250, rel=0.03)
    # Vacancies make the number fluctuate, the window's shape hardly.
    assert (np.std(counts) > 8) == (vacancies > 0)


def test_a_window_is_a_ball_with_its_centre_where_it_was_asked(rng):
    radius = (3 * 250 / (4 * np.pi * crystal("fcc").density)) ** (1 / 3)
    for on_atom in (True, False):
        window = cut_crystal(crystal("fcc"), 250, Disorder(), rng, on_atom=on_atom)
        distance = np.linalg.norm(window, axis=1)
        assert (distance.min() < 1e-9) == on_atom
        assert 0.9 * radius < distance.max() < radius
        np.testing.assert_allclose(nearest(window)[distance < radius - 1.2], 1)


def test_the_same_seed_gives_the_same_window():
    disorder = Disorder(0.1, 0.2, 0.02, 0.3, 0.5, 0.02, 0.4)
    one, two, three = (
        cut_crystal(crystal("hcp", 1.6), 200, disorder, np.random.default_rng(seed))
        for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one, two)
    assert one.shape != three.shape or not np.allclose(one, three)


@pytest.mark.parametrize(("height", "share"), [(0.0, 0.5), (0.5, 27 / 32)])
def test_a_surface_cuts_the_window(height, share, rng):
    counts = [
        len(cut_crystal(crystal("bcc"), 300, Disorder(surface=height), rng)) for _ in range(60)
    ]
    assert np.mean(counts) == pytest.approx(300 * share, rel=0.06)
    window = cut_crystal(crystal("bcc"), 300, Disorder(surface=0.0), rng, on_atom=False)
    assert np.linalg.norm(window.mean(axis=0)) > 1.0  # all on one side


def test_interstitials_are_added(rng):
    windows = [
        cut_crystal(crystal("fcc"), 250, Disorder(interstitials=0.04), rng) for _ in range(30)
    ]
    assert 1.02 < np.mean([len(w) for w in windows]) / 250 < 1.15
    assert np.mean([nearest(w).min() for w in windows]) < 0.8


def test_faults_lie_near_the_centre_and_keep_the_coordination(rng):
    kinds = set()
    for _ in range(40):
        _, sites = faulted_fcc(rng)
        letters = np.rint(3 * sites[:, 0]).astype(int)
        # A layer with like neighbours above and below is stacked as in hcp.
        hexagonal = np.flatnonzero(letters[2:] == letters[:-2]) + 1
        assert len(hexagonal) in (1, 2)  # twin, intrinsic fault
        kinds.add(len(hexagonal))
        assert 1 <= np.abs(hexagonal - len(letters) // 2).min() <= 5
        window = cut_crystal(crystal("fcc"), 200, Disorder(fault=True), rng, on_atom=True)
        inner = np.linalg.norm(window, axis=1) < 1.5
        touching = cKDTree(window).query_ball_point(window[inner], 1.01, return_length=True)
        np.testing.assert_array_equal(touching, 13)
    assert kinds == {1, 2}


# ---------------------------------------------------------------- strain and displacements
@settings(max_examples=40, deadline=None)
@given(size=st.floats(1e-4, 0.2), seed=st.integers(0, 10**6))
def test_largest_principal_strain_is_that_asked_for(size, seed):
    strain = random_strain(size, np.random.default_rng(seed)) - np.eye(3)
    np.testing.assert_allclose(strain, strain.T, atol=1e-12)
    assert np.abs(np.linalg.eigvalsh(strain)).max() == pytest.approx(size)


def test_no_strain_is_the_identity(rng):
    np.testing.assert_array_equal(random_strain(0.0, rng), np.eye(3))
    np.testing.assert_array_equal(displacements(np.ones((5, 3)), Disorder(), rng), 0)


@pytest.mark.parametrize(
    "kind",
    [{}, {"collective": 0.7}, {"collective": 1.0}, {"anisotropy": 0.35}],
    ids=["independent", "collective", "smooth", "anisotropic"],
)
def test_variance_of_a_displacement_component_is_sigma_squared(kind, rng):
    points = rng.uniform(-4, 4, (250, 3))
    disorder = Disorder(sigma=0.1, **kind)
    draws = np.array([displacements(points, disorder, rng) for _ in range(300)])
    assert np.mean(draws**2) == pytest.approx(0.01, rel=0.05)
    assert np.abs(draws.mean(axis=(0, 1))).max() < 0.01
    own = np.array([np.linalg.eigvalsh(np.cov(u.T)) for u in draws])
    ratio = np.median(own[:, 2] / own[:, 0])  # of the principal variances of one window
    if "collective" not in kind:
        assert (ratio > 2) == ("anisotropy" in kind)


def test_collective_displacements_are_alike_nearby(rng):
    points = np.array([[0.0, 0, 0], [0.5, 0, 0], [9.0, 0, 0]])
    u = np.array(
        [displacements(points, Disorder(sigma=0.1, collective=1.0), rng) for _ in range(400)]
    )
    near, far = ((u[:, 0] * u[:, k]).sum(axis=1).mean() / 0.03 for k in (1, 2))
    assert near > 0.8
    assert abs(far) < 0.25


# ---------------------------------------------------------------- windows without a lattice
def test_packings_are_dense_periodic_and_without_overlap(rng):
    points, cell = random_packing(1.1, rng, atoms=400)
    length = cell[0, 0]
    np.testing.assert_array_equal(cell, np.eye(3) * length)
    assert len(points) / length**3 == pytest.approx(1.1)
    assert ((points >= 0) & (points < length)).all()
    assert cKDTree(points, boxsize=length).query(points, k=[2])[0].min() > 0.85


def test_pools_of_saved_frames(tmp_path, rng):
    points, cell = random_packing(1.1, rng, atoms=300)
    frames = [Atoms("Al300", 2.8 * points, cell=2.8 * cell, pbc=True) for _ in range(2)]
    save_frames(tmp_path / "Al_liquid.npz", frames)
    pools = load_pools([tmp_path / "Al_liquid.npz"])
    assert [pool.name for pool in pools] == ["Al_liquid"] * 2
    assert pools[0].density == pytest.approx(1.1 / 2.8**3)
    for vacancies in (0.0, 0.6):
        cuts = [pools[0].cut(200, vacancies, rng, on_atom=k % 2 == 0) for k in range(60)]
        assert np.mean([len(c) for c in cuts]) == pytest.approx(200, rel=0.04)
    whole = pools[0].cut(250, 0.0, rng, on_atom=True)
    assert np.linalg.norm(whole, axis=1).min() == 0
    # A window may be larger than the sample: it goes on in the images.
    assert len(pools[0].cut(500, 0.0, rng, on_atom=True)) > 450


@pytest.mark.parametrize("vacancies", [0.0, 0.5])
def test_displaced_crystals_and_gases_show_no_lattice(vacancies, rng):
    windows = [cut_displaced_crystal(250, vacancies, rng) for _ in range(40)]
    windows += [cut_gas(250, rng) for _ in range(20)]
    assert np.mean([len(w) for w in windows[40:]]) == pytest.approx(250, rel=0.05)
    lattices = LatticeFinder()(*pad_windows(windows))
    assert (lattices.rank < 3).mean() > 0.85


def test_crystals_of_no_class_are_equally_unlikely_in_all(rng):
    for _ in range(20):
        made = other_crystal(rng)
        np.testing.assert_allclose(made.target, 1 / 8)
        window = cut_crystal(made, 120, Disorder(), rng)
        assert nearest(window).min() == pytest.approx(1, abs=1e-6)


def test_pool_keeps_the_sample_in_the_middle(rng):
    points, cell = random_packing(1.0, rng, atoms=50, sweeps=5)
    pool = Pool.of("p", points, cell)
    np.testing.assert_array_equal(pool.points[pool.inner], points)
    assert len(pool.points) == 27 * 50
