"""The nearest parent of a lattice, its strain, and the windows without it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from ase_crystalnet.crystals.sampling import Crystal, Disorder, cut_crystal, prototype
from ase_crystalnet.errors import InputError
from ase_crystalnet.lattice.finder import LatticeFinder
from ase_crystalnet.lattice.strain import (
    PARENTS,
    ParentFinder,
    nearest_parent,
    reframed,
    without_strain,
)
from ase_crystalnet.training.shards import pad_windows

if TYPE_CHECKING:
    from ase_crystalnet import CrystalNet

SPACING = 2.7
HEXAGONAL = np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, 1]])
PRIMITIVE = {
    "fcc": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2,
    "bcc": np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2,
    "sc": np.eye(3),
    "hexagonal": HEXAGONAL * [1, 1, 1.6],
    "tetragonal": np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2 * [1, 1, 0.55],
    "rhombohedral": np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3 @ HEXAGONAL * [1, 1, 1.93],
}
CUBIC = ("fcc", "bcc", "sc")


def pull(direction, size):
    """Volume-conserving stretch by `size` along a direction."""
    n = np.asarray(direction, float) / np.linalg.norm(direction)
    return expm(np.log1p(size) * (1.5 * np.outer(n, n) - 0.5 * np.eye(3)))


DEFORMATIONS = {
    **{
        f"{'+' if sign > 0 else '-'}{''.join(map(str, n))}": (
            lambda size, n=n, sign=sign: pull(n, sign * size)
        )
        for n in ((1, 0, 0), (1, 1, 0), (1, 1, 1))
        for sign in (1, -1)
    },
    "shear": lambda size: np.eye(3) + size * np.outer([1, 0, 0], [0, 1, 0]),
}


def stretch_of(size, rng, axial=False):
    """Symmetric, of determinant 1, with the largest logarithmic principal stretch `size`."""
    e = rng.normal(size=(3, 3))
    e = e + e.T
    if axial:  # nothing that a change of c/a would take up
        e[[0, 1], [0, 1]] -= (e[0, 0] + e[1, 1]) / 2
        e[2, 2] = 0
    e -= np.trace(e) / 3 * np.eye(3)
    return expm(size * e / np.abs(np.linalg.eigvalsh(e)).max())


def other_basis(lattice, rng, steps=6):
    result = lattice.copy()
    for _ in range(steps):
        i, j = rng.choice(3, 2, replace=False)
        result[i] += rng.integers(-1, 2) * result[j]
    return result[rng.permutation(3)] * rng.choice([-1.0, 1.0], size=(3, 1))


def in_sample_axes(strains, row=0):
    turn = Rotation.from_quat(strains.orientation[row]).as_matrix()
    return turn @ strains.strain[row] @ turn.T


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(CUBIC), st.floats(0, 0.0995), st.integers(0, 2**32 - 1))
def test_strain_of_a_cubic_lattice_is_found_exactly_in_any_basis(name, size, seed):
    rng = np.random.default_rng(seed)
    stretch = stretch_of(size, rng)
    turn = Rotation.random(random_state=rng).as_matrix()
    lattice = other_basis(3.6 * PRIMITIVE[name] @ stretch @ turn.T, rng)
    strains = nearest_parent(lattice[None])
    assert PARENTS[strains.parent[0]] == name
    assert strains.size[0] == pytest.approx(size, abs=1e-9)
    done = turn @ stretch @ turn.T
    np.testing.assert_allclose(in_sample_axes(strains), done - np.eye(3), atol=1e-9)
    np.testing.assert_allclose(strains.undo[0] @ done, np.eye(3), atol=1e-9)
    # The orientation turns the conventional axes: the undistorted lattice has integers there.
    axes = Rotation.from_quat(strains.orientation[0]).as_matrix()
    numbers = lattice @ strains.undo[0] @ axes / (3.6 / 2)
    np.testing.assert_allclose(numbers, np.rint(numbers), atol=1e-8)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(PARENTS[3:]), st.floats(0, 0.05), st.integers(0, 2**32 - 1))
def test_deviation_from_an_axial_lattice_is_undone_and_its_axial_ratio_kept(name, size, seed):
    rng = np.random.default_rng(seed)
    turn = Rotation.random(random_state=rng).as_matrix()
    lattice = 3.6 * PRIMITIVE[name] @ stretch_of(size, rng, axial=True) @ turn.T
    strains = nearest_parent(other_basis(lattice, rng)[None])
    assert PARENTS[strains.parent[0]] == name
    assert strains.size[0] == pytest.approx(size, abs=0.05 * size + 1e-9)
    undone = nearest_parent((lattice @ strains.undo[0])[None])
    assert undone.parent[0] == strains.parent[0]
    assert undone.size[0] < 1e-9
    assert np.linalg.det(strains.undo[0]) == pytest.approx(1)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_of_any_lattice_basis_and_turn_and_length_do_not_matter(seed):
    rng = np.random.default_rng(seed)
    lattice = rng.normal(size=(3, 3))
    while abs(np.linalg.det(lattice)) < 0.3:
        lattice = rng.normal(size=(3, 3))
    turn = Rotation.random(random_state=rng).as_matrix()
    first = nearest_parent(lattice[None])
    second = nearest_parent(2.5 * other_basis(lattice, rng)[None] @ turn.T)
    assert first.parent[0] == second.parent[0]
    if first.parent[0] >= 0:
        assert first.size[0] == pytest.approx(second.size[0], abs=1e-6)
        np.testing.assert_allclose(turn @ first.undo[0] @ turn.T, second.undo[0], atol=1e-6)
    else:
        np.testing.assert_array_equal(first.undo[0], np.eye(3))
        assert np.isnan(first.strain[0]).all()


def test_the_bain_path_has_its_middle_between_fcc_and_bcc():
    logarithm = np.linspace(0, np.log(2) / 2, 41)  # of c/a, from bcc to fcc
    scale = np.exp(np.stack([-logarithm / 3, -logarithm / 3, 2 * logarithm / 3], axis=1))
    strains = nearest_parent(PRIMITIVE["bcc"] * scale[:, None, :], limit=0.2)
    assert (strains.parent[:20] == 1).all()
    assert (strains.parent[21:] == 0).all()
    assert strains.margin[20] == pytest.approx(0.5, abs=1e-6)
    assert (np.diff(strains.margin[:21]) < 0).all()
    assert (np.diff(strains.margin[20:]) > 0).all()
    assert strains.margin[[0, 40]].min() > 0.999
    assert strains.size[20] == pytest.approx(np.log(2) / 6)
    # Beyond the limit of both it is what it has always been: tetragonal.
    narrow = nearest_parent(PRIMITIVE["bcc"] * scale[:, None, :])
    assert PARENTS[narrow.parent[20]] == "tetragonal"
    assert narrow.size[20] < 1e-9


def test_without_lattice_or_within_no_limit_nothing_is_undone():
    lattice = np.stack([np.full((3, 3), np.nan), np.eye(3), np.eye(3) @ pull([1, 2, 3], 0.05)])
    strains = ParentFinder(limit=0.0)(lattice)
    assert strains.parent.tolist() == [-1, 2, -1]
    np.testing.assert_allclose(strains.undo, np.tile(np.eye(3), (3, 1, 1)), atol=1e-12)
    assert np.isnan(strains.size[0])
    assert np.isnan(strains.margin[0])
    assert len(ParentFinder()(np.empty((0, 3, 3)))) == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_each_lattice_is_judged_by_itself(rng, threads):
    lattices = np.stack([PRIMITIVE[PARENTS[i % 6]] @ stretch_of(0.03, rng) for i in range(60)])
    together = ParentFinder()(lattices, threads=threads)
    alone = [ParentFinder()(lattice[None]) for lattice in lattices]
    np.testing.assert_array_equal(together.parent, [s.parent[0] for s in alone])
    np.testing.assert_array_equal(together.undo, np.concatenate([s.undo for s in alone]))


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="expected a logarithmic stretch"):
        ParentFinder(limit=-0.1)
    with pytest.raises(InputError, match="expected a logarithmic stretch"):
        ParentFinder(limit=float("nan"))
    with pytest.raises(InputError, match=r"expected \(B, 3, 3\)"):
        nearest_parent(np.eye(3))


def windows_of(name, parameters, deformation, sigma, count, atoms=250, seed=0):
    """Windows of a deformed crystal in random orientation, Angstrom."""
    rng = np.random.default_rng(seed)
    cell, sites = prototype(name, *parameters)
    crystal = Crystal(name, np.zeros(8), cell @ deformation.T, sites)
    disorder = Disorder(sigma=sigma)
    return pad_windows([SPACING * cut_crystal(crystal, atoms, disorder, rng) for _ in range(count)])


@pytest.mark.parametrize("name", ["fcc", "bcc", "sc", "diam"])
@pytest.mark.parametrize("kind", sorted(DEFORMATIONS))
@pytest.mark.parametrize("size", [0.04, 0.08])
def test_strain_of_windows(name, kind, size):
    """To 0.3 % at sigma 0.05 (standard error of a principal stretch), parent and margin right."""
    deformation = DEFORMATIONS[kind](size)
    positions, mask = windows_of(name, (), deformation, 0.05, 16)
    strains = nearest_parent(LatticeFinder()(positions, mask).lattice)
    parent = "fcc" if name == "diam" else name
    assert (strains.parent == PARENTS.index(parent)).all()
    wanted = np.sort(np.linalg.svd(deformation, compute_uv=False)) - 1
    found = np.linalg.eigvalsh(strains.strain)
    error = found - wanted
    assert np.sqrt(np.mean(error**2)) < 0.003
    assert np.abs(error).max() < 0.008
    assert strains.margin.min() > 0.9


def test_windows_come_back_undistorted_and_in_the_frame_of_the_parent():
    deformation = DEFORMATIONS["+100"](0.06)
    positions, mask = windows_of("fcc", (), deformation, 0.0, 8)
    found = LatticeFinder()(positions, mask)
    lattices, moved = without_strain(found, positions, nearest_parent(found.lattice))
    edges = np.linalg.norm(lattices.lattice, axis=2)
    np.testing.assert_allclose(edges, edges.mean(), rtol=2e-3)
    np.testing.assert_allclose(lattices.scale, found.scale, rtol=1e-9)
    turned = np.einsum("bij,bvj->bvi", lattices.frame, lattices.lattice)
    np.testing.assert_allclose(turned[:, 0, 1:], 0, atol=1e-9)
    np.testing.assert_allclose(turned[:, 1, 2], 0, atol=1e-9)
    assert (np.linalg.det(lattices.frame) > 0.99).all()
    again = LatticeFinder()(moved, mask)
    assert (nearest_parent(again.lattice).size < 0.005).all()
    np.testing.assert_array_equal(lattices.order, found.order)


def test_windows_without_a_parent_stay_as_they_are(rng):
    positions = rng.normal(size=(3, 20, 3)).astype(np.float32)
    found = LatticeFinder()(positions, np.ones((3, 20), bool))
    found = replace(found, lattice=np.full((3, 3, 3), np.nan))
    lattices, moved = without_strain(found, positions, nearest_parent(found.lattice))
    np.testing.assert_array_equal(moved, positions)
    np.testing.assert_array_equal(lattices.frame, found.frame)
    np.testing.assert_array_equal(reframed(found, found.lattice).scale, found.scale)


@pytest.mark.slow
@pytest.mark.parametrize("sigma", [0.05, 0.10])
@pytest.mark.parametrize(
    ("name", "parameters", "label"),
    [
        ("fcc", (), "fcc"),
        ("bcc", (), "bcc"),
        ("sc", (), "sc"),
        ("diam", (), "diam"),
        ("hcp", (1.6,), "hex/rh"),
        ("hexdiamond", (1.633,), "hex/rh"),
        ("graphite", (2.72,), "hex/rh"),
        ("bct141", (0.5456,), "bct141"),
    ],
)
def test_names_of_strained_crystals(symmetries: CrystalNet, name, parameters, label, sigma):
    """The shipped network, not trained on strain, names what is left when it is out."""
    for kind, deformation in DEFORMATIONS.items():
        for size in (0.0, 0.04, 0.08):
            positions, mask = windows_of(name, parameters, deformation(size), sigma, 12)
            found = LatticeFinder()(positions, mask)
            lattices, moved = without_strain(found, positions, nearest_parent(found.lattice))
            images = symmetries.fingerprint(lattices.standardize(moved), mask)
            probabilities = symmetries.classifier.predict(images)
            right = probabilities.argmax(axis=1) == symmetries.classes.index(label)
            assert right.mean() > 0.9, (kind, size)
            assert probabilities.max(axis=1).mean() > 0.95, (kind, size)
