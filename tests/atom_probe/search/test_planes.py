"""Search for planes in atom-probe windows: false alarms, planted planes, limits, errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import binomtest

from ase_crystalnet.atom_probe.analysis import AtomProbeOptions, analyze_windows
from ase_crystalnet.atom_probe.files.reconstruction import read_reconstruction
from ase_crystalnet.atom_probe.search import background as background_module
from ase_crystalnet.atom_probe.search import statistics
from ase_crystalnet.atom_probe.search.background import Background
from ase_crystalnet.atom_probe.search.findings import WindowFindings
from ase_crystalnet.atom_probe.search.peaks import ion_distance
from ase_crystalnet.atom_probe.search.planes import PlaneFinder
from ase_crystalnet.atom_probe.search.poles import find_poles
from ase_crystalnet.atom_probe.search.spectra import burst_ions, jittered, mean_spectrum
from ase_crystalnet.atom_probe.windows import IonWindower
from ase_crystalnet.crystals.disordered import cut_gas, random_packing
from ase_crystalnet.crystals.pools import Pool
from ase_crystalnet.errors import InputError
from ase_crystalnet.training.shards import pad_windows

APART = 4.0  # cube root of the volume per ion, Angstrom
SPACING = (1.5, 5.2)


def gas(count, ions, rng):
    return [APART * cut_gas(ions, rng) for _ in range(count)]


def with_planes(count, ions, spacing, normal, contrast, rng):
    """Gases thinned by a density wave 1 + contrast cos(q.x)."""
    q = 2 * np.pi / spacing * np.asarray(normal) / np.linalg.norm(normal)
    windows = []
    for window in gas(count, int(ions * (1 + contrast)), rng):
        phase = rng.uniform(0, 2 * np.pi)
        share = (1 + contrast * np.cos(window @ q + phase)) / (1 + contrast)
        kept = window[rng.random(len(window)) < share]
        windows.append(kept)
    return windows


def with_bursts(count, ions, rng, size=5):
    """Ions in groups at the same depth, beside each other."""
    windows = []
    for window in gas(count, ions // size + 30, rng):
        offset = rng.normal(size=(len(window), size, 3)) * (2.0, 2.0, 0.15)
        points = (window[:, None] + offset).reshape(-1, 3)
        windows.append(
            points[np.linalg.norm(points, axis=1) < 0.8 * np.linalg.norm(window, axis=1).max()]
        )
    return windows


def within(hits, total, rate, level=0.999):
    """Whether the stated rate lies in the exact confidence interval of what was counted."""
    interval = binomtest(int(hits), int(total)).proportion_ci(level, "exact")
    return interval.low <= rate <= interval.high


def empty(finder, windows=1):
    """A background without heterogeneity, for a finder with a range of spacings."""
    low, high = 2 * np.pi / finder.spacing[1], 2 * np.pi / finder.spacing[0]
    return Background(low, high, np.ones(32), np.ones(2), np.full(2, np.inf), windows)


# ------------------------------------------------------------------------------- the law
def test_expected_maxima_and_strength_at_are_inverse(rng):
    covariance = np.array([np.eye(3) * 50.0, np.diag([10.0, 40.0, 90.0])])
    s = statistics.strength_at(0.01, 30.0, covariance)
    assert statistics.expected_maxima(s, 30.0, covariance) == pytest.approx([0.01, 0.01], rel=1e-6)


def test_the_tail_of_a_sum_of_unit_vectors_is_shorter_than_a_gaussians(rng):
    # 2 million sums of 30 vectors: counted beyond S = 7 against both laws.
    ions, beyond, count = 30, 7.0, 0
    for _ in range(8):
        angle = rng.uniform(0, 2 * np.pi, (ions, 250_000)).astype(np.float32)
        s = (np.cos(angle).sum(axis=0) ** 2 + np.sin(angle).sum(axis=0) ** 2) / ions
        count += int(np.count_nonzero(s > beyond))
    measured = count / 2e6
    corrected = np.exp(-statistics.gaussian_strength(beyond, ions))
    assert measured < 0.85 * np.exp(-beyond)
    assert corrected == pytest.approx(measured, rel=0.25)


def test_an_estimated_background_lengthens_the_tail(rng):
    # Ratio of one exponential variable to the mean of ten: the tail at 8.
    ratio = rng.exponential(size=400_000) / rng.exponential(size=(10, 400_000)).mean(axis=0)
    measured = np.mean(ratio > 8)
    tail = np.exp(-statistics.with_background(8.0, 1.0, 10.0))
    assert tail == pytest.approx(measured, rel=0.1)
    assert statistics.with_background(8.0, 2.0, np.inf) == 4.0
    for freedom in (3.0, np.inf):
        back = statistics.without_background(
            statistics.with_background(8.0, 2.0, freedom), 2.0, freedom
        )
        assert back == pytest.approx(8.0)


# ------------------------------------------------------------------------------- false alarms
@pytest.mark.parametrize("axis", [(0.0, 0.0, 1.0), None])
def test_rate_holds_on_a_gas(axis, rng):
    positions, mask = pad_windows(gas(700, 120, rng))
    finder = PlaneFinder(false_alarm=0.05, depth_axis=axis)
    found = finder(positions, mask)
    assert within(np.count_nonzero(found.rank), 700, 0.05)
    assert within(np.count_nonzero(found.p_value < 0.2), 700, 0.2, level=0.9999)


def packings(count, ions, rng):
    windows = []
    while len(windows) < count:
        pool = Pool.of("packing", *random_packing(1.2, rng, atoms=1200, sweeps=60))
        windows += [2.5 * pool.cut(ions, 0.0, rng, on_atom=False) for _ in range(60)]
    return windows[:count]


def test_rate_holds_in_a_dense_packing_whose_jittered_ions_would_say_planes_everywhere(rng):
    positions, mask = pad_windows(packings(480, 150, rng))
    finder = PlaneFinder(false_alarm=0.05)
    background = finder.reference(positions, mask)
    assert background.level.max() > 1.7  # the first maximum of the liquid
    found = finder(positions, mask, reference=background)
    assert within(np.count_nonzero(found.rank), 480, 0.05)
    flat = replace(background, level=np.ones(32), line_freedom=np.full(2, np.inf))
    naive = finder(positions, mask, reference=flat)
    assert np.mean(naive.p_value < 0.05) > 0.5


def test_ions_that_evaporated_together_are_not_planes(rng):
    positions, mask = pad_windows(with_bursts(300, 400, rng))
    finder = PlaneFinder(false_alarm=0.05)
    background = finder.reference(positions, mask)
    assert background.line_level[1] > 1.5
    assert background.line_level[0] == pytest.approx(1.0, abs=0.2)
    found = finder(positions, mask, reference=background)
    assert np.mean(found.rank > 0) < 0.08
    flat = replace(background, line_level=np.ones(2), line_freedom=np.full(2, np.inf))
    assert np.mean(finder(positions, mask, reference=flat).rank > 0) > 0.25


def test_family_wise_rate(rng):
    finder = PlaneFinder(false_alarm=0.05).for_windows(100)
    assert 1 - (1 - finder.false_alarm) ** 100 == pytest.approx(0.05)
    positions, mask = pad_windows(gas(300, 120, rng))
    assert np.count_nonzero(finder(positions, mask).rank) <= 2


# ------------------------------------------------------------------------------- planes
@pytest.mark.parametrize(
    ("normal", "spacing"), [((0.1, 0.0, 1.0), 2.2), ((1.0, 0.3, 0.2), 3.1), ((0.6, -0.6, 0.5), 1.9)]
)
def test_planted_planes_are_found_with_their_spacing_normal_and_contrast(normal, spacing, rng):
    finder = PlaneFinder(false_alarm=0.01, spacing=SPACING)
    positions, mask = pad_windows(with_planes(30, 250, spacing, normal, 0.9, rng))
    found = finder(positions, mask, reference=empty(finder))
    assert (found.rank >= 1).all()
    assert np.mean(found.rank == 1) > 0.9  # the rest: false alarms of a second direction
    assert np.abs(found.spacing - spacing).max() < 5 * found.spacing_error.max()
    z = (found.spacing - spacing) / found.spacing_error
    assert 0.6 < np.sqrt(np.mean(z**2)) < 1.5
    direction = np.asarray(normal) / np.linalg.norm(normal)
    off = np.rad2deg(np.arccos(np.clip(np.abs(found.normal @ direction), 0, 1)))
    # Two components, each with the standard deviation stated.
    assert np.mean(off**2) == pytest.approx(2 * np.mean(found.normal_error**2), rel=0.6)
    assert np.median(found.contrast) == pytest.approx(0.9, abs=0.08)
    assert (found.normal[:, 2] >= 0).all()


@pytest.mark.parametrize("inside", [True, False])
def test_planes_at_the_detection_limit_are_found_half_of_the_time(inside, rng):
    finder = PlaneFinder(false_alarm=0.01, spacing=SPACING)
    normal = (0.1, 0.1, 1.0) if inside else (1.0, 0.2, 0.1)
    positions, mask = pad_windows(gas(10, 250, rng))
    limits = finder(positions, mask, reference=empty(finder))
    limit = np.median(limits.detection_limit_depth if inside else limits.detection_limit)
    assert 0.3 < limit < 0.7
    shares = []
    for factor in (0.75, 1.0, 1.3):
        positions, mask = pad_windows(with_planes(200, 250, 2.4, normal, factor * limit, rng))
        shares.append(np.mean(finder(positions, mask, reference=empty(finder)).rank > 0))
    assert shares[0] < 0.25
    assert 0.35 < shares[1] < 0.65
    assert shares[2] > 0.8


def test_the_cone_lowers_the_limit_along_depth(rng):
    positions, mask = pad_windows(gas(40, 250, rng))
    cone = PlaneFinder(spacing=SPACING)
    everywhere = PlaneFinder(spacing=SPACING, depth_axis=None)
    inside = cone(positions, mask, reference=empty(cone))
    alike = everywhere(positions, mask, reference=empty(everywhere))
    assert (inside.detection_limit_depth < alike.detection_limit).all()
    assert (inside.detection_limit > alike.detection_limit).all()
    assert np.array_equal(alike.detection_limit, alike.detection_limit_depth)


def test_more_ions_see_weaker_planes(rng):
    finder = PlaneFinder(spacing=SPACING)
    limits = [
        np.median(finder(*pad_windows(gas(6, ions, rng)), reference=empty(finder)).detection_limit)
        for ions in (125, 250, 500)
    ]
    assert limits[0] > 1.25 * limits[1] > 1.5 * limits[2]


# ------------------------------------------------------------------------------- rank
def lattice_windows(count, ions, kept_axes, rng):
    """Ions near planes of one, two or three sets at right angles, `3.0` Angstrom apart."""
    q = 2 * np.pi / 3.0
    windows = []
    for window in gas(count, ions * 2**kept_axes, rng):
        share = np.prod((1 + np.cos(q * window[:, :kept_axes])) / 2, axis=1)
        windows.append(window[rng.random(len(window)) < share])
    return windows


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_planes_rods_and_lattices(rank, rng):
    positions, mask = pad_windows(lattice_windows(20, 300, rank, rng))
    turned = (
        Rotation.random(random_state=rng).apply(positions.reshape(-1, 3)).reshape(positions.shape)
    )
    finder = PlaneFinder(spacing=SPACING)
    found = finder(turned.astype(np.float32), mask, reference=empty(finder))
    assert (found.rank == rank).all()
    assert (found.count >= rank).all()
    assert np.isfinite(found.wave_vectors[:, 0]).all()
    assert found.spacing == pytest.approx(np.full(20, 3.0), abs=0.08)


def test_a_rotated_window_gives_the_same_answer(rng):
    positions, mask = pad_windows(
        gas(10, 200, rng) + with_planes(10, 250, 2.6, (0.2, 1, 0.5), 0.8, rng)
    )
    turn = Rotation.random(random_state=rng)
    turned = turn.apply(positions.reshape(-1, 3)).reshape(positions.shape).astype(np.float32)
    finder = PlaneFinder(spacing=SPACING, depth_axis=None)
    first = finder(positions, mask, reference=empty(finder))
    second = finder(turned, mask, reference=empty(finder))
    seen = (first.rank > 0) & (second.rank > 0)
    assert np.array_equal(first.rank, second.rank)
    assert seen.sum() >= 9
    assert first.strength[seen] == pytest.approx(second.strength[seen], rel=1e-3)
    assert first.spacing[seen] == pytest.approx(second.spacing[seen], abs=1e-3)
    along = np.abs(np.einsum("bi,bi->b", turn.apply(first.normal[seen]), second.normal[seen]))
    assert along == pytest.approx(np.ones(seen.sum()), abs=1e-4)


def test_shift_of_origin_and_order_of_ions_do_not_matter(rng):
    positions, mask = pad_windows(with_planes(12, 250, 2.6, (0, 0, 1), 0.8, rng))
    finder = PlaneFinder(spacing=SPACING)
    first = finder(positions, mask, reference=empty(finder))
    other = positions.copy()
    for row, inside in zip(other, mask, strict=True):
        row[inside] = rng.permutation(row[inside]) + np.array([3.0, -7.0, 11.0], np.float32)
    second = finder(other, mask, reference=empty(finder))
    assert first.p_value == pytest.approx(second.p_value, rel=1e-2)
    assert first.spacing == pytest.approx(second.spacing, abs=1e-3)


def test_threads_change_nothing(rng):
    positions, mask = pad_windows(gas(40, 100, rng))
    finder = PlaneFinder()
    one, two = (finder(positions, mask, threads=n) for n in (1, 2))
    assert np.array_equal(one.p_value, two.p_value)


def test_nothing_is_reported_as_nothing(rng):
    positions, mask = pad_windows(gas(40, 150, rng))
    found = PlaneFinder(false_alarm=1e-6)(positions, mask)
    assert (found.rank == 0).all() and (found.count == 0).all()
    for value in (found.spacing, found.normal, found.contrast, found.normal_error):
        assert np.isnan(value).all()
    assert np.isfinite(found.detection_limit).all()
    assert (found.p_value > 1e-6).all()


def test_windows_of_few_ions_are_nothing(rng):
    positions, mask = pad_windows([*gas(5, 200, rng), rng.normal(size=(6, 3)), np.zeros((0, 3))])
    found = PlaneFinder()(positions, mask)
    assert (found.rank[5:] == 0).all() and (found.p_value[5:] == 1).all()
    assert np.isnan(found.detection_limit[5:]).all()


@pytest.mark.parametrize("axes", [1, 2])
def test_ions_on_a_line_or_in_a_plane_are_refused(axes, rng):
    """They fill no volume: a distance between ions cannot be had from it."""
    flat = [window * ([1, 1, 0] if axes == 2 else [0, 0, 1]) for window in gas(6, 200, rng)]
    tilted = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    for turn in (np.eye(3), tilted):
        positions, mask = pad_windows([window @ turn for window in flat])
        for search in (PlaneFinder(), PlaneFinder().reference):
            with pytest.raises(InputError, match="in a plane or on a line"):
                search(positions, mask)


@pytest.mark.parametrize("name", ["line.pos", "flat.pos"])
@pytest.mark.parametrize("radius", [None, 30.0])
def test_files_of_ions_on_a_line_or_in_a_plane(data_dir, name, radius):
    ions = read_reconstruction(data_dir / "cases" / name)
    with pytest.raises(InputError) as error:
        analyze_windows(IonWindower(1000, radius).prepare(ions), AtomProbeOptions())
    assert len(str(error.value).splitlines()) == 1


def test_no_windows_and_joined_batches(rng):
    positions, mask = pad_windows(gas(9, 120, rng))
    finder = PlaneFinder(spacing=SPACING)
    whole = finder(positions, mask, reference=empty(finder))
    parts = [
        finder(positions[p], mask[p], reference=empty(finder)) for p in (slice(4), slice(4, 9))
    ]
    joined = WindowFindings.concatenate(parts)
    assert len(joined) == 9
    assert np.array_equal(joined.p_value, whole.p_value)
    assert len(finder(positions[:0], mask[:0], reference=empty(finder))) == 0
    with pytest.raises(InputError, match="at least one"):
        WindowFindings.concatenate([])


def test_ion_distance_is_the_cube_root_of_the_volume_per_ion(rng):
    positions, mask = pad_windows(gas(50, 250, rng))
    counts = mask.sum(axis=1).astype(np.int64)
    assert ion_distance(positions, counts) == pytest.approx(APART, rel=0.03)


def test_heterogeneity_of_lines(rng):
    freedom = np.full(400, 12.0)
    alike = rng.gamma(12, 1 / 12, 400)
    assert background_module.fit_heterogeneity(alike, freedom) == (1.0, 1000.0)
    assert background_module.fit_heterogeneity(1.2 * alike, freedom) == (
        pytest.approx(1.2, abs=0.05),
        1000.0,
    )
    mean, weight = background_module.fit_heterogeneity(
        2.5 * rng.gamma(4, 1 / 4, 400) * rng.gamma(12, 1 / 12, 400), freedom
    )
    assert mean == pytest.approx(2.5, rel=0.15)
    assert 2 < weight < 8
    assert background_module.fit_heterogeneity(alike[:5], freedom[:5]) == (1.0, 10.0)


# ------------------------------------------------------------------------------- poles, spectra
def test_poles_gather_tilted_planes(rng):
    # Three sets of windows: planes along depth, planes tilted by 30 degrees, and none.
    normals = [(0, 0, 1.0), (0.5, 0, np.sqrt(0.75))]
    windows = [
        *with_planes(12, 250, 2.2, normals[0], 0.9, rng),
        *with_planes(8, 250, 2.9, normals[1], 0.9, rng),
        *gas(20, 250, rng),
    ]
    positions, mask = pad_windows(windows)
    centers = 100.0 * np.stack(np.unravel_index(np.arange(40), (4, 5, 2)), axis=1).astype(float)
    finder = PlaneFinder(spacing=SPACING)
    found = finder(positions, mask, reference=empty(finder))
    poles = find_poles(centers, found, finder=finder, apart=50.0)
    assert len(poles) == 2
    for pole, normal, spacing, size in zip(poles, normals, (2.2, 2.9), (12, 8), strict=True):
        assert np.abs(pole.normal @ np.asarray(normal)) > np.cos(np.deg2rad(2))
        assert pole.spacing == pytest.approx(spacing, rel=0.01)
        assert abs(len(pole.windows) - size) <= 1
        assert pole.independent == len(pole.windows)
        assert pole.p_value < 1e-6
        assert pole.expected < 0.1
        assert pole.contrast == pytest.approx(0.9, abs=0.1)


def test_poles_count_windows_that_share_ions_once(rng):
    positions, mask = pad_windows(with_planes(10, 250, 2.2, (0, 0, 1), 0.9, rng))
    finder = PlaneFinder(spacing=SPACING)
    found = finder(positions, mask, reference=empty(finder))
    together = np.zeros((10, 3))
    assert find_poles(together, found, finder=finder, apart=20.0) == []
    poles = find_poles(together, found, finder=finder, apart=20.0, least=1)
    pole = max(poles, key=lambda each: len(each.windows))
    assert pole.independent == 1 and len(pole.windows) == 10


def test_false_alarms_make_no_pole(rng):
    positions, mask = pad_windows(gas(300, 120, rng))
    finder = PlaneFinder(false_alarm=0.1)
    found = finder(positions, mask)
    centers = rng.uniform(0, 1e4, (300, 3))
    assert np.count_nonzero(found.rank) > 10
    assert all(pole.p_value > 1e-3 for pole in find_poles(centers, found, finder=finder, apart=1.0))
    assert find_poles(centers, PlaneFinder(false_alarm=1e-9)(positions, mask)) == []


def test_mean_spectrum_finds_planes_too_weak_for_one_window(rng):
    windows = with_planes(150, 250, 2.2, (0, 0, 1), 0.25, rng)
    positions, mask = pad_windows(windows)
    spacings = np.linspace(1.6, 3.4, 91)
    mean, error = mean_spectrum(positions, mask, axis=(0, 0, 2), spacings=spacings)
    best = np.argmax(mean)
    assert spacings[best] == pytest.approx(2.2, abs=0.06)
    assert mean[best] > 1 + 5 * error[best]
    assert np.median(mean) == pytest.approx(1.0, abs=0.2)
    other, _ = mean_spectrum(positions, mask, axis=(1, 0, 0), spacings=spacings)
    assert other.max() < 1.6
    nothing, unknown = mean_spectrum(positions[:1], mask[:1] & False, spacings=spacings)
    assert np.isnan(nothing).all() and np.isnan(unknown).all()


def test_jittered_windows_have_no_planes(rng):
    positions, mask = pad_windows(with_planes(30, 250, 2.2, (0, 0, 1), 1.0, rng))
    finder = PlaneFinder(spacing=SPACING)
    assert (finder(positions, mask, reference=empty(finder)).rank == 1).all()
    moved = jittered(positions, mask, APART, rng)
    assert np.count_nonzero(finder(moved, mask, reference=empty(finder)).rank) <= 3
    assert (moved[~mask] == 0).all()
    assert np.array_equal(jittered(positions, mask, 0.0, rng), positions)


def test_bursts_are_taken_out(rng):
    # 500 single ions, then 100 groups of four: three of each group follow the first.
    single = rng.uniform(-200, 200, (500, 3))
    first = rng.uniform(-200, 200, (100, 1, 3))
    groups = (first + rng.normal(size=(100, 4, 3)) * (4, 4, 0.2)).reshape(-1, 3)
    burst = burst_ions(np.vstack([single, groups]))
    assert burst[:500].mean() < 0.05
    assert burst[500:].reshape(100, 4)[:, 1:].mean() > 0.95
    assert burst[500:].reshape(100, 4)[:, 0].mean() < 0.1
    assert not burst_ions(np.zeros((1, 3))).any()


# ------------------------------------------------------------------------------- errors
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"false_alarm": 0.0}, "false_alarm=0.0 is not above 0"),
        ({"false_alarm": 0.7}, "at most 0.5"),
        ({"spacing": (3.0, 2.0)}, "smaller and a larger spacing"),
        ({"spacing": (0.0, 2.0)}, "smaller and a larger spacing"),
        ({"depth_axis": (0.0, 0.0, 0.0)}, "not a direction"),
        ({"depth_axis": (0.0, 1.0)}, "not a direction"),
        ({"depth_cone": 90.0}, "between 0 and 90"),
        ({"depth_share": 1.0}, "between 0 and 1"),
    ],
)
def test_parameters_out_of_range(parameters, message):
    with pytest.raises(InputError, match=message):
        PlaneFinder(**parameters)


def test_bad_input(rng):
    positions, mask = pad_windows(gas(3, 100, rng))
    finder = PlaneFinder(spacing=SPACING)
    with pytest.raises(InputError, match=r"expected positions of shape \(B, N, 3\), got"):
        finder(positions[0], mask)
    with pytest.raises(InputError, match="expected mask of shape"):
        finder(positions, mask[:, 1:])
    with pytest.raises(InputError, match="for the first atoms"):
        finder(positions, mask[:, ::-1])
    with pytest.raises(InputError, match="not a positive number"):
        finder.for_windows(0)
    with pytest.raises(InputError, match="background is of spacings"):
        finder(
            positions, mask, reference=PlaneFinder(spacing=(2.0, 4.0)).reference(positions, mask)
        )
    with pytest.raises(InputError, match="no window holds 16 ions"):
        PlaneFinder()(np.zeros((2, 4, 3), np.float32), np.ones((2, 4), bool))
    with pytest.raises(InputError, match="smaller windows or larger spacings"):
        PlaneFinder(spacing=(0.1, 4.0))(positions, mask)
    found = finder(positions, mask, reference=empty(finder))
    with pytest.raises(InputError, match="centers have shape"):
        find_poles(np.zeros((2, 3)), found)
    with pytest.raises(InputError, match="tolerance"):
        find_poles(np.zeros((3, 3)), found, tolerance=0.0)
    with pytest.raises(InputError, match="not a direction"):
        mean_spectrum(positions, mask, axis=(0, 0, 0), spacings=[2.0])
    with pytest.raises(InputError, match="positive lengths"):
        mean_spectrum(positions, mask, spacings=[-1.0])
    with pytest.raises(InputError, match="not a length"):
        jittered(positions, mask, -1.0, rng)
    with pytest.raises(InputError, match=r"expected \(N, 3\)"):
        burst_ions(np.zeros((3, 2)))
