"""Average lattice, standard frame and Debye-Waller estimate of windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ase_crystalnet.classes import CLASSES
from ase_crystalnet.crystals.disordered import cut_gas, random_packing
from ase_crystalnet.crystals.sampling import (
    Crystal,
    Disorder,
    cut_crystal,
    prototype,
    sample_crystal,
)
from ase_crystalnet.errors import InputError
from ase_crystalnet.lattice.finder import LatticeFinder, minkowski_reduce
from ase_crystalnet.local.boundaries import COHERENCE_RANGE
from ase_crystalnet.training.shards import pad_windows

SPACING = 2.7

# Prototype, parameters, atoms of the primitive cell.
PROTOTYPES = [
    ("sc", (), 1),
    ("bcc", (), 1),
    ("fcc", (), 1),
    ("diam", (), 2),
    ("bct139", (0.82,), 1),
    ("bct139", (1.53,), 1),
    ("bct141", (0.545,), 2),
    ("hcp", (1.633,), 2),
    ("hcp", (1.856,), 2),
    ("9R", (7.3,), 3),
    ("rh", (1.93,), 1),
    ("alpha-As", (2.8, 0.227), 2),
    ("graphite", (2.72,), 4),
    ("hexdiamond", (1.65,), 4),
]


def crystal(name: str, *parameters: float) -> Crystal:
    cell, sites = prototype(name, *parameters)
    return Crystal(name, np.zeros(8), cell, sites)


def windows_of(name, parameters, disorder, count=20, atoms=250, seed=0):
    rng = np.random.default_rng(seed)
    made = [
        SPACING * cut_crystal(crystal(name, *parameters), atoms, disorder, rng)
        for _ in range(count)
    ]
    return pad_windows(made)


def primitive_volume(name, parameters, primitive_atoms):
    return primitive_atoms / crystal(name, *parameters).density * SPACING**3


@pytest.mark.parametrize(("name", "parameters", "primitive_atoms"), PROTOTYPES)
@pytest.mark.parametrize(
    "disorder",
    [Disorder(), Disorder(sigma=0.1), Disorder(vacancy_fraction=0.6)],
    ids=["clean", "hot", "vacancies"],
)
def test_primitive_volume_of_every_prototype(name, parameters, primitive_atoms, disorder):
    lattices = LatticeFinder()(*windows_of(name, parameters, disorder))
    volume = np.abs(np.linalg.det(lattices.lattice))
    wanted = primitive_volume(name, parameters, primitive_atoms)
    right = np.abs(volume / wanted - 1) < 0.05
    assert right.mean() >= 0.95
    assert (lattices.rank == 3).all()
    np.testing.assert_allclose(lattices.scale, np.cbrt(volume))


@pytest.mark.parametrize("sigma", [0.03, 0.06, 0.1, 0.14])
@pytest.mark.parametrize(
    ("name", "parameters"), [("fcc", ()), ("bcc", ()), ("hcp", (1.633,)), ("diam", ())]
)
def test_debye_waller_gives_the_displacement(name, parameters, sigma):
    lattices = LatticeFinder()(*windows_of(name, parameters, Disorder(sigma=sigma), count=30))
    found = np.sqrt(np.median(lattices.mean_square_displacement)) / SPACING
    assert found == pytest.approx(sigma, rel=0.1)


@pytest.mark.parametrize("sigma", [0.0, 0.05, 0.1])
def test_order_follows_debye_waller_of_the_first_reflection(sigma):
    lattices = LatticeFinder()(*windows_of("fcc", (), Disorder(sigma=sigma)))
    q = 2 * np.pi * np.sqrt(3) / np.sqrt(2)  # 111
    assert np.mean(lattices.order) == pytest.approx(np.exp(-((q * sigma) ** 2)), abs=0.06)


def test_nearest_neighbor_distance_survives_noise_and_vacancies():
    for disorder in (Disorder(), Disorder(sigma=0.12), Disorder(vacancy_fraction=0.7)):
        lattices = LatticeFinder()(*windows_of("fcc", (), disorder))
        np.testing.assert_allclose(lattices.nearest_neighbor_distance, SPACING, rtol=0.08)


def test_nothing_is_reported_of_gas_and_packing():
    rng = np.random.default_rng(3)
    points, cell = random_packing(1.15, rng, atoms=1000)
    centre = points - cell.diagonal() / 2
    packing = centre[np.linalg.norm(centre, axis=1) < (250 * 3 / (4 * np.pi * 1.15)) ** (1 / 3)]
    lattices = LatticeFinder()(*pad_windows([cut_gas(250, rng) for _ in range(40)] + [packing]))
    assert (lattices.rank < 3).mean() >= 0.95
    assert np.isnan(lattices.lattice[lattices.rank < 3]).all()
    assert lattices.order.max() < 0.2


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6))
def test_rotation_turns_the_lattice_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    positions, mask = windows_of("hcp", (1.6,), Disorder(sigma=0.05), count=1, seed=seed)
    turn = Rotation.random(random_state=rng).as_matrix()
    one = LatticeFinder()(positions, mask)
    two = LatticeFinder()((positions @ turn.T).astype(np.float32), mask)
    np.testing.assert_allclose(one.scale, two.scale, rtol=3e-3)
    np.testing.assert_allclose(one.order, two.order, atol=5e-3)
    np.testing.assert_allclose(
        np.linalg.norm(one.lattice, axis=2), np.linalg.norm(two.lattice, axis=2), rtol=1e-2
    )


def test_translation_and_permutation_leave_the_lattice():
    positions, mask = windows_of("bcc", (), Disorder(sigma=0.05), count=4)
    one = LatticeFinder()(positions, mask)
    moved = np.where(mask[..., None], positions + np.float32([1.0, -2.0, 0.5]), 0)
    two = LatticeFinder()(moved.astype(np.float32), mask)
    np.testing.assert_allclose(np.abs(one.lattice), np.abs(two.lattice), atol=5e-3)
    rng = np.random.default_rng(0)
    shuffled = np.zeros_like(positions)
    for row, source, m in zip(shuffled, positions, mask, strict=True):
        row[: m.sum()] = source[rng.permutation(m.sum())]
    three = LatticeFinder()(shuffled, mask)
    np.testing.assert_allclose(np.abs(one.lattice), np.abs(three.lattice), atol=1e-3)


def test_frame_is_a_rotation_and_standardizes():
    positions, mask = windows_of("bct139", (1.3,), Disorder(sigma=0.03), count=10)
    lattices = LatticeFinder()(positions, mask)
    np.testing.assert_allclose(
        lattices.frame @ lattices.frame.transpose(0, 2, 1),
        np.broadcast_to(np.eye(3), (10, 3, 3)),
        atol=1e-9,
    )
    np.testing.assert_allclose(np.linalg.det(lattices.frame), 1)
    turned = lattices.lattice @ lattices.frame.transpose(0, 2, 1)
    np.testing.assert_allclose(turned[:, 0, 1:], 0, atol=1e-9)
    np.testing.assert_allclose(turned[:, 1, 2], 0, atol=1e-9)
    standard = lattices.standardize(positions)
    back = (standard * lattices.scale[:, None, None]) @ lattices.frame
    np.testing.assert_allclose(back, positions, atol=1e-3)


def test_coherence_tells_on_which_side_the_centre_lies():
    rng = np.random.default_rng(5)
    inside, outside = [], []
    for _ in range(20):
        window = cut_crystal(crystal("fcc"), 250, Disorder(sigma=0.08), rng)
        gas = cut_gas(250, rng) / 1.41 ** (1 / 3)
        for shift, group in ((0.6, inside), (-0.6, outside)):
            group.append(np.vstack([window[window[:, 2] < shift], gas[gas[:, 2] >= shift]]))
    lattices = LatticeFinder()(*pad_windows(inside + outside))
    there = lattices.rank == 3
    assert there[:20].all()
    assert np.nanmin(lattices.coherence[:20]) > 0.6
    assert there[20:].sum() >= 5
    assert np.nanmedian(lattices.coherence[20:]) < 0.5


@pytest.mark.parametrize(("atoms", "sigma"), [(64, 0.1), (120, 0.1), (250, 0.1), (250, 0.15)])
def test_coherence_of_bulk_is_out_of_doubt(atoms, sigma):
    """What `boundaries.COHERENCE_RANGE` rests on."""
    rng = np.random.default_rng(7)
    made = [
        cut_crystal(sample_crystal(CLASSES[k % 7], rng, shared=False), atoms, Disorder(sigma), rng)
        for k in range(210)
    ]
    assert np.nanmin(LatticeFinder()(*pad_windows(made)).coherence) > COHERENCE_RANGE[1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6))
def test_minkowski_reduction_keeps_the_lattice_and_shortens_it(seed):
    rng = np.random.default_rng(seed)
    lattice = rng.normal(size=(1, 3, 3)) + np.eye(3) * 2
    mixing = np.eye(3, dtype=int)
    for _ in range(6):
        i, j = rng.choice(3, 2, replace=False)
        mixing[i] += rng.integers(-3, 4) * mixing[j]
    reduced = minkowski_reduce(mixing @ lattice)
    change = reduced[0] @ np.linalg.inv(lattice[0])
    np.testing.assert_allclose(change, np.rint(change), atol=1e-6)
    assert abs(np.linalg.det(change)) == pytest.approx(1)
    assert np.linalg.det(reduced[0]) > 0
    lengths = np.linalg.norm(reduced[0], axis=1)
    assert (np.diff(lengths) >= -1e-9).all()
    # Minkowski: no combination is shorter than the vector it would replace.
    g = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    for k in range(3):
        longer = np.linalg.norm(g[g[:, k] != 0] @ reduced[0], axis=1)
        assert longer.min() >= lengths[k] - 1e-7


def test_wrong_shapes_are_named():
    finder = LatticeFinder()
    with pytest.raises(InputError, match=r"expected positions of shape \(B, N, 3\), got \(2, 4\)"):
        finder(np.zeros((2, 4), np.float32), np.ones((2, 4), bool))
    with pytest.raises(InputError, match=r"expected mask of shape \(2, 4\), got \(2, 5\)"):
        finder(np.zeros((2, 4, 3), np.float32), np.ones((2, 5), bool))
    with pytest.raises(InputError, match="for the first atoms"):
        finder(np.zeros((1, 2, 3), np.float32), np.array([[False, True]]))
    with pytest.raises(InputError, match=r"expected weights of shape \(1, 2\)"):
        finder(np.zeros((1, 2, 3), np.float32), np.ones((1, 2), bool), np.ones((1, 3), np.float32))


def test_neither_threads_nor_other_windows_change_a_bit():
    positions, mask = windows_of(
        "hcp", (1.633,), Disorder(sigma=0.1, vacancy_fraction=0.2), count=7
    )
    one = LatticeFinder()(positions, mask, threads=1)
    three = LatticeFinder()(positions, mask, threads=3)
    alone = LatticeFinder()(positions[5:6], mask[5:6])
    for name, values in vars(one).items():
        assert values.tobytes() == getattr(three, name).tobytes(), name
        assert values[5:6].tobytes() == getattr(alone, name).tobytes(), name


def test_empty_batch_and_coincident_atoms():
    assert len(LatticeFinder()(np.zeros((0, 5, 3), np.float32), np.zeros((0, 5), bool))) == 0
    lattices = LatticeFinder()(np.zeros((2, 50, 3), np.float32), np.ones((2, 50), bool))
    assert (lattices.rank == 0).all()
    assert np.isfinite(lattices.scale).all()
