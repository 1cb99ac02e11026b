"""Bragg spots on the detector, and the share of a map near them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import maximum_filter

from ase_crystalnet.crystals.sampling import prototype
from ase_crystalnet.errors import InputError
from ase_crystalnet.explain.bragg_spots import (
    bragg_spots,
    energy_share,
    ring,
    shuffled_share,
)
from ase_crystalnet.fingerprint.fingerprint import Fingerprint

FINGERPRINT = Fingerprint()
_HEXAGONAL = np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, 1]])
# Prototype, its parameters, and the primitive lattice in terms of the cell.
CRYSTALS: list[tuple[str, tuple[float, ...], Any]] = [
    ("sc", (), np.eye(3)),
    ("bcc", (), np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2),
    ("fcc", (), np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2),
    ("diam", (), np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2),
    ("bct141", (0.5456,), np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2),
    ("hcp", (1.633,), np.eye(3)),
]


def ball(cell: Any, sites: Any, radius: float = 3.6) -> Any:
    steps = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3), -1).reshape(-1, 3)
    points = (steps[:, None] + sites).reshape(-1, 3) @ cell
    return points[np.linalg.norm(points, axis=1) < radius]


@pytest.mark.parametrize(("name", "parameters", "primitive"), CRYSTALS)
def test_spots_are_where_the_perfect_crystal_is_bright(
    name: str, parameters: tuple[float, ...], primitive: Any
) -> None:
    cell, sites = prototype(name, *parameters)
    positions = ball(cell, sites)
    image = FINGERPRINT.exact(positions[None])[0]
    spots = bragg_spots(image, primitive @ cell, FINGERPRINT, positions)
    assert len(spots) >= 15
    # Each is within a pixel and a half of a maximum of its channel; two spots may be one maximum
    # where they overlap.
    peaks = (maximum_filter(image, (3, 3, 1)) == image) & (image > 0.003)
    for channel, place in zip(spots.channel, spots.pixel, strict=True):
        found = np.argwhere(peaks[:, :, channel])
        assert np.linalg.norm(found - place, axis=1).min() < 2.0
    # And nothing bright is left out: side maxima of the ball reach 1 % of the strongest.
    assert spots.near(2.0)[image > 0.05].mean() > 0.97
    assert energy_share(image, spots.near(2.0)) > 0.98
    # A cell of twice the volume allows spots between them, which the image denies.
    doubled = bragg_spots(image, np.diag([2.0, 1, 1]) @ primitive @ cell, FINGERPRINT, positions)
    assert len(doubled) <= 1.25 * len(spots)


def test_spots_of_a_turned_crystal_turn_with_it() -> None:
    """A quarter turn about the beam brings the z channel onto itself turned."""
    cell, sites = prototype("bct139", 1.3)
    positions = ball(cell, sites)
    lattice = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2 @ cell
    turn = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    seen = []
    for frame in (np.eye(3), turn):
        atoms = positions @ frame.T
        image = FINGERPRINT.exact(atoms[None])[0]
        spots = bragg_spots(image, lattice @ frame.T, FINGERPRINT, atoms)
        seen.append(spots.near()[:, :, 2])
    np.testing.assert_array_equal(np.rot90(seen[0]), seen[1])


def test_bad_input_is_named() -> None:
    image = np.zeros((64, 64, 3))
    for lattice in (np.zeros((3, 3)), np.full((3, 3), np.nan), np.eye(2)):
        with pytest.raises(InputError, match="independent, finite"):
            bragg_spots(image, lattice, FINGERPRINT, np.eye(3))
    with pytest.raises(InputError, match=r"shape \(32, 32, 3\)"):
        bragg_spots(image[:32, :32], np.eye(3), FINGERPRINT, np.eye(3))


def test_flat_crystals_are_refused() -> None:
    flat = ball(np.eye(3), np.zeros((1, 3))) * [1, 1, 0]
    with pytest.raises(InputError, match="all lie in one plane"):
        bragg_spots(np.zeros((64, 64, 3)), np.eye(3), FINGERPRINT, flat)


def test_no_spots_on_a_dark_detector() -> None:
    spots = bragg_spots(
        np.zeros((64, 64, 3)), np.eye(3), FINGERPRINT, ball(np.eye(3), np.zeros((1, 3)))
    )
    assert len(spots) == 0
    assert not spots.near().any()


def block(name: str) -> tuple[Any, Any]:
    """Atoms of an oblique block of primitive cells of about 250 sites, and its lattice."""
    cell = prototype(name)[0]
    primitive = {
        "fcc": [[0, 1, 1], [1, 0, 1], [1, 1, 0]],
        "bcc": [[-1, 1, 1], [1, -1, 1], [1, 1, -1]],
    }
    lattice = np.array(primitive[name]) / 2 @ cell
    steps = np.stack(np.meshgrid(*[np.arange(6)] * 3), -1).reshape(-1, 3)
    return (steps - 2.5) @ lattice, lattice


@pytest.mark.parametrize("name", ["fcc", "bcc"])
def test_spots_of_an_oblique_block_lie_along_its_streaks(name: str) -> None:
    """Reflections of a block are oblique: they cross the Ewald sphere beside its nearest point."""
    positions, lattice = block(name)
    image = FINGERPRINT.exact(positions[None])[0]
    spots = bragg_spots(image, lattice, FINGERPRINT, positions)
    peaks = (maximum_filter(image, (3, 3, 1)) == image) & (image > 0.2)
    strong = np.argwhere(peaks)
    assert len(strong) > 8
    for x, y, channel in strong:
        here = spots.pixel[spots.channel == channel]
        assert np.linalg.norm(here - [x, y], axis=1).min() < 1.2
    assert energy_share(image, spots.near(2.0)) > 0.97


maps = arrays(np.float32, (12, 12, 3), elements=st.floats(-4, 4, width=32))
masks = arrays(np.bool_, (12, 12, 3))


@settings(deadline=None, max_examples=40)
@given(maps, masks, st.floats(0.1, 10))
def test_shares_are_shares(values: Any, near: Any, scale: float) -> None:
    for measure in (energy_share, shuffled_share):
        share = measure(values, near)
        if not np.square(values.astype(float)).any():
            assert np.isnan(share)
            continue
        assert -1e-9 <= share <= 1 + 1e-9
        assert share + measure(values, ~near) == pytest.approx(1)
        assert measure(values * np.float64(scale), near) == pytest.approx(float(share), abs=1e-6)
        batch = measure(np.stack([values, values]), near)
        np.testing.assert_allclose(batch, share)


def test_shuffled_share_is_the_mean_over_shuffles(rng: np.random.Generator) -> None:
    values = rng.normal(size=(16, 16, 3)) ** 3
    near = rng.random((16, 16, 3)) < 0.3
    axis = np.arange(16) - 7.5
    radius = np.hypot(axis[:, None], axis).astype(int)
    found = []
    for _ in range(400):
        shuffled = values.copy()
        for r in range(radius.max() + 1):
            for channel in range(3):
                shuffled[radius == r, channel] = rng.permutation(values[radius == r, channel])
        found.append(energy_share(shuffled, near))
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - shuffled_share(values, near)) < 4 * error
    # A map that is the same all around the centre cannot be told from its shuffles.
    round_map = np.repeat(np.exp(-radius / 4.0)[..., None], 3, axis=2)
    assert energy_share(round_map, near) == pytest.approx(float(shuffled_share(round_map, near)))


def test_ring_is_what_a_fingerprint_keeps(rng: np.random.Generator) -> None:
    image = FINGERPRINT(rng.normal(size=(1, 40, 3)))[0]
    assert np.all(image[~ring(FINGERPRINT)] == 0)
    assert ring(FINGERPRINT).sum() == pytest.approx(np.pi * (30**2 - 5**2), rel=0.01)
