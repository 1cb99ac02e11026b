"""What the physics of diffraction says a fingerprint must and must not change under."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet.fingerprint.fingerprint import Fingerprint

DETECTOR = Fingerprint()
SEPARABLE = Fingerprint(grid="separable")


def cloud(rng, atoms=80, radius=3.0):
    """Random points without symmetry, (1, N, 3)."""
    return rng.uniform(-radius, radius, (1, atoms, 3)) / np.sqrt(3)


def quarter_turn(image):
    """The image turned by 90 degrees from x to y: I'(x, y) = I(y, -x)."""
    return image[:, :, ::-1].swapaxes(1, 2)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_atoms_is_immaterial(seed):
    rng = np.random.default_rng(seed)
    points = cloud(rng)
    shuffled = points[:, rng.permutation(points.shape[1])]
    np.testing.assert_allclose(DETECTOR(points), DETECTOR(shuffled), atol=1e-5)
    np.testing.assert_allclose(DETECTOR.exact(points), DETECTOR.exact(shuffled), atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_translation_changes_phases_only(seed):
    rng = np.random.default_rng(seed)
    points = cloud(rng)
    shift = rng.uniform(-1, 1, 3)
    np.testing.assert_allclose(DETECTOR.exact(points), DETECTOR.exact(points + shift), atol=1e-10)
    np.testing.assert_allclose(SEPARABLE(points), SEPARABLE(points + shift), atol=2e-5)
    np.testing.assert_allclose(DETECTOR(points), DETECTOR(points + shift), atol=2e-3)


def test_inversion_conjugates_the_amplitude(rng):
    points = cloud(rng)
    np.testing.assert_allclose(DETECTOR.exact(points), DETECTOR.exact(-points), atol=1e-12)
    np.testing.assert_allclose(DETECTOR(points), DETECTOR(-points), atol=1e-5)


def test_mirror_images_differ(rng):
    """The Ewald sphere is curved: Friedel pairs are not both on it and handedness is seen."""
    points = cloud(rng)
    mirrored = points * [1, 1, -1]
    assert np.abs(DETECTOR(points) - DETECTOR(mirrored)).max() > 0.1
    centrosymmetric = np.concatenate([points, -points], axis=1)
    image = DETECTOR.exact(centrosymmetric)
    assert np.abs(image - image[:, ::-1, ::-1]).max() > 0.01


def test_forward_amplitude_counts_the_atoms():
    """A cluster much smaller than the wavelength scatters in phase: I = (pair of) (sum w)^2."""
    open_ring = Fingerprint(inner_radius=0.0)
    points = np.random.default_rng(1).normal(size=(1, 37, 3)) * 1e-5
    image = open_ring.exact(points, normalize=False)
    np.testing.assert_allclose(image[0, 31:33, 31:33], 2.0, rtol=1e-4)
    np.testing.assert_allclose(open_ring(points)[0, 31:33, 31:33], 1.0, rtol=1e-4)


def test_one_atom_is_a_flat_field_dimmed_by_the_solid_angle():
    image = DETECTOR.exact([[[0.4, -0.3, 0.2]]], normalize=False)[0]
    axis = (np.arange(64) - 31.5) * 4e-4
    radius = np.hypot(axis[:, None], axis)
    ring = (radius > 5 * 4e-4) & (radius < 30 * 4e-4)
    wanted = 2 * np.cos(np.arctan(radius / 0.1)) ** 3
    np.testing.assert_allclose(image[ring], np.repeat(wanted[ring][:, None], 3, 1), rtol=1e-3)


@pytest.mark.parametrize(
    ("compute", "tolerance"), [(DETECTOR.exact, 1e-10), (DETECTOR, 5e-4), (SEPARABLE, 1e-5)]
)
def test_quarter_turn_about_the_beam_swaps_channels(compute, tolerance, rng):
    points = cloud(rng)
    turned = points @ np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]]).T
    wanted = quarter_turn(compute(points))[..., [1, 0, 2]]
    np.testing.assert_allclose(compute(turned), wanted, atol=tolerance)


def test_turns_about_the_beam_are_one_pattern_and_its_quarter_turn(rng):
    points = cloud(rng)
    pair = DETECTOR.exact(points, normalize=False)[..., 2]
    c = np.sqrt(0.5)
    minus = points @ np.array([[c, c, 0], [-c, c, 0], [0, 0, 1]]).T
    single = Fingerprint(angle=0.0).exact(minus, normalize=False)[..., 2] / 2
    np.testing.assert_allclose(pair, single + quarter_turn(single), atol=1e-12)


def test_third_of_a_turn_about_111_of_a_cubic_crystal_changes_little(rng):
    """Its axes are equivalent, so the channels are, each to its own in-plane orientation."""
    grid = np.arange(-3.0, 4.0)
    points = np.stack(np.meshgrid(grid, grid, grid), -1).reshape(1, -1, 3)
    image = DETECTOR.exact(points, normalize=False)[0]
    brightest = image.max(axis=(0, 1))
    assert brightest[0] == pytest.approx(brightest[1], rel=1e-3)
    np.testing.assert_allclose(DETECTOR(points), DETECTOR(points[..., [1, 2, 0]]), atol=1e-5)


def test_bragg_peaks_of_a_simple_cubic_crystal_are_where_they_belong():
    """Turned by 45 degrees about x the beam runs along [011]: 100 at 2 pi, 0-11 at 2 sqrt 2 pi."""
    grid = np.arange(-3.0, 4.0)
    points = np.stack(np.meshgrid(grid, grid, grid), -1).reshape(1, -1, 3)
    channel = DETECTOR.exact(points, normalize=False)[0, :, :, 0]
    q = DETECTOR.detector.wave_vectors()
    for axis, length in ((0, 2 * np.pi), (1, 2 * np.pi * np.sqrt(2))):
        line = channel[32:, 31] if axis == 0 else channel[31, 32:]
        at = (q[32:, 31, 0] if axis == 0 else q[31, 32:, 1])[np.argmax(line)]
        assert at == pytest.approx(length, abs=0.3)


def test_order_survives_only_without_normalisation(rng):
    grid = np.arange(-3.0, 4.0)
    points = np.stack(np.meshgrid(grid, grid, grid), -1).reshape(1, -1, 3)
    cold = DETECTOR.exact(points, normalize=False).max()
    hot = DETECTOR.exact(points + 0.1 * rng.normal(size=points.shape), normalize=False).max()
    gas = DETECTOR.exact(rng.uniform(-3.5, 3.5, points.shape), normalize=False).max()
    assert cold > hot > 5 * gas
    # Debye-Waller: exp(-q^2 sigma^2) at q = 2 pi, within the noise of 343 atoms.
    assert hot / cold == pytest.approx(np.exp(-((2 * np.pi * 0.1) ** 2)), rel=0.25)
