"""The fingerprint's two forms: reference values, agreement, inputs, errors."""

from __future__ import annotations

import cmath
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet.errors import InputError
from ase_crystalnet.fingerprint.fingerprint import Fingerprint

DETECTOR = Fingerprint()
SEPARABLE = Fingerprint(grid="separable")
CUBIC = {
    "sc": (1.0, [(0, 0, 0)]),
    "bcc": (2 ** (1 / 3), [(0, 0, 0), (0.5, 0.5, 0.5)]),
    "fcc": (4 ** (1 / 3), [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]),
}
CUBIC["diam"] = (CUBIC["fcc"][0], [*CUBIC["fcc"][1], *np.add(CUBIC["fcc"][1], 0.25)])


def rotation(rng):
    """A random proper rotation."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


def crystal(name, rng, atoms=250, sigma=0.0, vacancies=0.0):
    """A window of a crystal, primitive volume 1, any orientation and centre, (1, N, 3)."""
    edge, basis = CUBIC[name]
    cells = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3), -1).reshape(-1, 1, 3)
    points = ((cells + np.array(basis)) * edge).reshape(-1, 3) - rng.random(3) * edge
    points = points @ rotation(rng).T + sigma * rng.normal(size=points.shape)
    points = points[rng.random(len(points)) >= vacancies]
    nearest = np.argsort(np.linalg.norm(points, axis=1))[:atoms]
    return points[nearest][None]


def ball(rng, atoms, radius=4.0):
    """Random points in a ball, (1, N, 3)."""
    points = rng.normal(size=(atoms, 3))
    points *= (radius * rng.random(atoms) ** (1 / 3) / np.linalg.norm(points, axis=1))[:, None]
    return points[None]


def worst(a, b):
    """The largest difference of two images."""
    return float(np.abs(a - b).max())


def pixel_by_hand(points, i, j, channel, weights):
    """Eqs. 1-2 at one pixel in scalar arithmetic: two patterns' sum over (sum w)^2."""
    k = 2 * math.pi / 0.05
    x, y, d = (i - 31.5) * 4e-4, (j - 31.5) * 4e-4, 0.1
    r = math.sqrt(x * x + y * y + d * d)
    q = (k * x / r, k * y / r, k * d / r - k)
    total = 0.0
    for sign in (-1, 1):
        c, s = math.cos(math.pi / 4), sign * math.sin(math.pi / 4)
        psi = 0j
        for (px, py, pz), w in zip(points, weights, strict=True):
            turned = [
                (px, c * py - s * pz, s * py + c * pz),
                (c * px + s * pz, py, c * pz - s * px),
                (c * px - s * py, s * px + c * py, pz),
            ][channel]
            psi += w * cmath.exp(-1j * sum(a * b for a, b in zip(q, turned, strict=True)))
        total += abs(psi) ** 2
    return total * (d / r) ** 3 / sum(weights) ** 2


def test_three_atoms_agree_with_scalar_arithmetic():
    # No symmetry: the sign of q_z, the sense of rotation and the axes' order all matter.
    points = [(0.3, -0.2, 2.5), (-1.1, 0.7, -2.0), (0.9, 1.3, 0.4)]
    weights = [1.0, 0.5, 2.0]
    literal = DETECTOR.exact([points], weights=[weights], normalize=False)[0]
    image = DETECTOR.exact([points], weights=[weights])[0]
    fast = DETECTOR([points], weights=[weights])[0]
    for i, j, channel in [(45, 20, 0), (10, 36, 1), (52, 47, 2), (33, 4, 0), (24, 24, 2)]:
        wanted = pixel_by_hand(points, i, j, channel, weights)
        assert literal[i, j, channel] == pytest.approx(wanted, rel=1e-10)
        assert image[i, j, channel] == pytest.approx(wanted / literal.max(), rel=1e-10)
        assert fast[i, j, channel] == pytest.approx(wanted / literal.max(), abs=1e-3)


def test_two_atoms_make_cosine_fringes():
    a = 1.0
    image = DETECTOR.exact([[(a / 2, 0, 0), (-a / 2, 0, 0)]], normalize=False)[0]
    q = DETECTOR.detector.wave_vectors()
    assert q[42, 31, 0] == pytest.approx(
        2 * math.pi / 0.05 * 0.0042 / math.hypot(0.1, 0.0042, 2e-4)
    )
    # Turning about x leaves the pair where it is: 2 (2 cos(q_x a/2))^2 / 2^2, dimmed by cos^3.
    ratio = 0.1 / math.hypot(0.1, 0.0042, 2e-4)
    wanted = 2 * math.cos(q[42, 31, 0] * a / 2) ** 2 * ratio**3
    assert image[42, 31, 0] == pytest.approx(wanted, rel=1e-12)


def test_detector_is_the_papers():
    q = DETECTOR.detector.wave_vectors()
    assert q[32, 31, 0] - q[31, 31, 0] == pytest.approx(0.503, abs=1e-3)
    assert q[..., 2].max() < 0, "the scattered beam loses momentum along the beam"
    elastic = q + np.array([0, 0, 2 * np.pi / 0.05])
    np.testing.assert_allclose(np.linalg.norm(elastic, axis=-1), 2 * np.pi / 0.05)


def test_ring_and_normalisation(rng):
    image = DETECTOR(crystal("fcc", rng))[0]
    axis = np.arange(64) - 31.5
    radius = np.hypot(axis[:, None], axis)
    assert image.dtype == np.float32 and image.shape == (64, 64, 3)
    assert not image[radius <= 5].any() and not image[radius >= 30].any()
    assert image.max() == 1 and image.min() >= 0


@pytest.mark.parametrize("name", sorted(CUBIC))
@pytest.mark.parametrize(
    ("atoms", "sigma", "vacancies"), [(250, 0, 0), (64, 0.05, 0), (512, 0, 0), (250, 0.1, 0.6)]
)
def test_fast_agrees_on_crystals(name, atoms, sigma, vacancies, rng):
    points = crystal(name, rng, atoms, sigma, vacancies)
    assert worst(SEPARABLE(points), SEPARABLE.exact(points)) < 1e-5
    assert worst(DETECTOR(points), DETECTOR.exact(points)) < 1e-3


@pytest.mark.parametrize("seed", range(4))
def test_fast_agrees_on_dense_packings(seed):
    rng = np.random.default_rng(seed)
    points = np.zeros((1, 3))
    for point in ball(rng, 20000, radius=3.9)[0]:
        if ((points - point) ** 2).sum(1).min() > 0.85**2 and len(points) < 250:
            points = np.vstack([points, point])
    assert len(points) > 180
    assert worst(DETECTOR(points[None]), DETECTOR.exact(points[None])) < 1e-3


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 512), st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_fast_agrees_on_random_windows(atoms, seed, weighted, species):
    rng = np.random.default_rng(seed)
    points = ball(rng, atoms)
    mask = np.arange(atoms)[None] < rng.integers(1, atoms + 1)
    weights = rng.random((1, atoms)) + 0.1 if weighted else None
    numbers = rng.choice([1, 8, 29, 79], (1, atoms)) if species else None
    arguments = (points, mask, weights, numbers)
    assert worst(SEPARABLE(*arguments), SEPARABLE.exact(*arguments)) < 1e-5
    # An ideal gas is the worst case of resampling: its brightest pixel is dim; most of all one
    # of hydrogen and gold, a few atoms of which scatter nearly everything (worst seen: 2.1e-3).
    limit = 2.5e-3 if species else 2e-3
    assert worst(DETECTOR(*arguments), DETECTOR.exact(*arguments)) < limit


@pytest.mark.parametrize(
    "other",
    [
        Fingerprint(angle=30.0),
        Fingerprint(pixels=48, outer_radius=24.0, grid="separable"),
        Fingerprint(inner_radius=0.0, outer_radius=20.0),
        Fingerprint(wavelength=0.1, detector_distance=0.2, pixel_size=2e-4),
    ],
    ids=["angle", "pixels", "ring", "beam"],
)
def test_other_detectors(other, rng):
    points = crystal("bcc", rng)
    assert worst(other(points), other.exact(points)) < 1e-3


def test_mask_equals_leaving_out(rng):
    points = ball(rng, 60)
    mask = np.arange(60)[None] < 41
    padded = points.copy()
    padded[:, 41:] = np.nan  # padding may hold anything
    wanted = DETECTOR(points[:, :41])
    np.testing.assert_array_equal(DETECTOR(padded, mask), wanted)
    np.testing.assert_allclose(DETECTOR.exact(padded, mask), DETECTOR.exact(points[:, :41]))
    holes = rng.random((1, 60)) < 0.5
    np.testing.assert_allclose(DETECTOR(points, holes), DETECTOR(points[:, holes[0]]), atol=1e-6)


def test_weight_zero_equals_leaving_out(rng):
    points = ball(rng, 60)
    weights = (np.arange(60)[None] < 41).astype(float)
    assert worst(DETECTOR(points, weights=weights), DETECTOR(points[:, :41])) < 1e-5


def test_one_species_scales_with_its_form_factor(rng):
    import xraydb

    points = ball(rng, 50)
    plain = SEPARABLE.exact(points, normalize=False)[0]
    copper = SEPARABLE.exact(points, numbers=np.full((1, 50), 29), normalize=False)[0]
    q = np.linalg.norm(SEPARABLE.detector.wave_vectors("separable")[45, 40])
    zinc_plus_one = float(xraydb.f0("Ga", q / (4 * np.pi))[0])  # the paper raises Z by two
    np.testing.assert_allclose(copper[45, 40], plain[45, 40] * zinc_plus_one**2, rtol=1e-10)


def test_species_order_does_not_matter(rng):
    points = ball(rng, 40)
    numbers = rng.choice([6, 14], (1, 40))
    order = rng.permutation(40)
    turned = DETECTOR(points[:, order], numbers=numbers[:, order])
    assert worst(DETECTOR(points, numbers=numbers), turned) < 1e-5


def test_empty_windows_are_zero(rng):
    points = np.concatenate([ball(rng, 20), ball(rng, 20)])
    mask = np.array([[False] * 20, [True] * 20])
    for image in (DETECTOR(points, mask), DETECTOR.exact(points, mask)):
        assert not image[0].any() and image[1].max() == 1
    assert not DETECTOR(np.empty((1, 0, 3))).any()
    assert not DETECTOR.exact(points, mask, normalize=False)[0].any()
    assert DETECTOR(np.empty((0, 5, 3))).shape == (0, 64, 64, 3)
    assert DETECTOR.exact(np.empty((0, 5, 3))).shape == (0, 64, 64, 3)


def test_threads_do_not_change_the_result(rng):
    points = np.concatenate([ball(rng, 30) for _ in range(37)])
    one = DETECTOR(points, threads=1)
    np.testing.assert_array_equal(one, DETECTOR(points, threads=3))
    np.testing.assert_array_equal(one[5:6], DETECTOR(points[5:6]))


def test_input_is_left_alone_and_float32_taken(rng):
    points = ball(rng, 30).astype(np.float32)
    before = points.copy()
    points.flags.writeable = False
    assert worst(DETECTOR(points), DETECTOR(points.astype(float))) < 1e-5
    np.testing.assert_array_equal(points, before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            (np.zeros((5, 3)),),
            r"expected positions of shape \(B, N, 3\), got \(5, 3\); .* positions\[None\]",
        ),
        ((np.zeros((1, 5, 2)),), r"positions of shape .*, got \(1, 5, 2\)"),
        ((np.zeros((1, 5, 3)), np.ones((1, 4), bool)), r"mask of shape \(1, 5\), got \(1, 4\)"),
        ((np.zeros((1, 5, 3)), None, np.ones(5)), r"weights of shape \(1, 5\), got \(5,\)"),
        ((np.zeros((1, 2, 3)), None, None, [[1]]), r"numbers of shape \(1, 2\), got \(1, 1\)"),
        ((np.zeros((1, 2, 3)), None, None, [[0, 6]]), "numbers hold 0; .*1 to 96"),
        ((np.zeros((1, 2, 3)), None, None, [[6, 97]]), "numbers hold 97; .*1 to 96"),
        ((np.full((1, 2, 3), np.nan),), "NaN or infinity"),
        ((np.zeros((1, 2, 3)), None, [[1, np.inf]]), "NaN or infinity"),
    ],
)
@pytest.mark.parametrize("form", [DETECTOR, DETECTOR.exact])
def test_bad_atoms(form, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        form(*arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"wavelength": 0.0}, "wavelength is 0.0; expected a positive length"),
        ({"pixel_size": -1.0}, "pixel_size is -1.0"),
        ({"detector_distance": math.nan}, "detector_distance is nan"),
        ({"pixels": 63}, "pixels is 63; expected an even number"),
        ({"inner_radius": 30.0}, "ring from 30.0 to 30.0"),
        ({"outer_radius": 33.0}, "outer_radius <= 32"),
        ({"angle": math.inf}, "angle is inf"),
        ({"grid": "polar"}, 'grid is \'polar\'; expected "detector" or "separable"'),
    ],
)
def test_bad_detectors(parameters, message):
    with pytest.raises(InputError, match=message):
        Fingerprint(**parameters)


def test_bad_grid_and_threads():
    points = np.zeros((1, 2, 3))
    with pytest.raises(InputError, match="grid is 'flat'"):
        DETECTOR.exact(points, grid="flat")
    with pytest.raises(InputError, match="threads is 0; expected 1 or more"):
        DETECTOR(points, threads=0)


def test_import_is_light():
    code = (
        "import sys, ase_crystalnet.fingerprint.fingerprint;"
        "print([m for m in ('numba', 'xraydb', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
