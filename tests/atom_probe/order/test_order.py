"""Order: reflections, their law without order, S, maps, and pair correlations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from ase_crystalnet.atom_probe.crystal import read_crystal
from ase_crystalnet.atom_probe.order import (
    OrderFinder,
    map_order,
    reflections_of,
    spatial_distribution,
    spatial_distribution_3d,
)
from ase_crystalnet.atom_probe.order.composition import local_share
from ase_crystalnet.atom_probe.order.finder import intensity
from ase_crystalnet.atom_probe.order.statistic import quadratic_tail, quadratic_threshold
from ase_crystalnet.errors import InputError

EDGE = 3.6


def block(rng, cells=14, efficiency=0.6, blur=(1.5, 1.5, 0.2)):
    """Ions of fcc, which are on the first sublattice, and which at random would be solute."""
    grid = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    sites = np.array([(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])
    points = ((grid + sites).reshape(-1, 3) - cells / 2) * EDGE
    own = np.tile(np.arange(4) == 0, cells**3)
    kept = rng.random(len(points)) < efficiency
    points, own = points[kept], own[kept]
    return (points + rng.normal(size=points.shape) * blur).astype(np.float32), own


def window(points, solute, radius=17.0):
    share = local_share(points, solute)
    inside = (points**2).sum(axis=1) < radius**2
    excess, variance = (solute - share)[inside], (share * (1 - share))[inside]
    return points[inside][None], np.ones((1, inside.sum()), bool), excess[None], variance[None]


def finder(name="L1_2", crystal=f"fcc:{EDGE}", **more):
    return OrderFinder(reflections_of(name, read_crystal(crystal)), np.eye(3), **more)


def test_the_tail_of_quadratic_forms():
    values = np.array([1.0, 6.0, 15.0, 40.0])
    for freedom in (1, 2, 6):
        weights = np.tile(np.append(np.ones(freedom), 0.0), (4, 1))
        exact = chi2.sf(values, freedom)
        np.testing.assert_allclose(quadratic_tail(values, weights), exact, rtol=0.12)
        limit = quadratic_threshold(0.01, weights)
        np.testing.assert_allclose(limit, chi2.isf(0.01, freedom), rtol=1e-6)
    rng = np.random.default_rng(0)
    weights = np.array([1.0, 0.6, 0.5, 0.1])
    drawn = np.sort((rng.normal(size=(200_000, 4)) ** 2) @ weights)
    value = drawn[[100_000, 190_000, 199_000]]
    tail = quadratic_tail(value, np.tile(weights, (3, 1)))
    np.testing.assert_allclose(tail, [0.5, 0.05, 0.005], rtol=0.06)
    assert quadratic_tail(np.array([0.0]), np.zeros((1, 3)))[0] == 1.0


@pytest.mark.parametrize(
    ("name", "crystal", "variants", "first", "amplitude"),
    [
        ("L1_2", "fcc:3.6", 1, (0, 0, 1), 0.25),
        ("L12", "Al", 1, (0, 1, 1), 0.25),
        ("L1_0", "fcc:3.85", 3, (0, 0, 1), 0.5),
        ("B2", "bcc:2.89", 1, (0, 0, 1), 0.5),
        ("omega", "bcc:3.28", 4, (2 / 3, 2 / 3, 2 / 3), 1 / 3),
        ("D0_19", "Ti", 1, (0, 0.5, 0), 0.125),
    ],
)
def test_reflections(name, crystal, variants, first, amplitude):
    parent = read_crystal(crystal)
    found = reflections_of(name, parent)
    assert len(found.variants) == variants
    index = np.concatenate([v @ parent.cell.T for v in found.variants])
    every = np.concatenate(found.amplitudes)
    hit = (np.abs(np.abs(index) - np.abs(first)) < 1e-4).all(axis=1)
    assert hit.any()
    np.testing.assert_allclose(every[hit].max(), amplitude, atol=1e-6)
    # None is one of the parent's.
    both = np.concatenate([found.fundamental, -found.fundamental]) @ parent.cell.T
    assert np.abs(index[:, None] - both).max(axis=2).min() > 0.1


def test_structures_of_another_lattice_are_refused():
    for name, crystal in (("B2", "Al"), ("L1_2", "W"), ("D0_19", "Al"), ("L1_2", "diamond:5.4")):
        with pytest.raises(InputError):
            reflections_of(name, read_crystal(crystal))


@pytest.mark.parametrize("order", [1.0, 0.6])
def test_order_is_found_and_measured(rng, order):
    values = []
    for _ in range(4):
        points, own = block(rng)
        share = np.where(own, 0.25 + 0.75 * order, 0.25 - 0.25 * order)
        found = finder()(*window(points, rng.random(len(points)) < share))
        assert found.significant[0] and found.order_p_value[0] < 1e-6
        assert found.order_limit[0] < 0.3
        values.append(found.order[0])
    assert np.mean(values) == pytest.approx(order, abs=0.08)
    assert found.order_error[0] < 0.15


def test_the_law_of_the_intensity_on_planes_that_resolve(rng):
    """Many draws of species on one set of sites: their intensities follow the stated law."""
    points, _ = block(rng, blur=(0.8, 0.8, 0.2))
    points = points[(points.astype(float) ** 2).sum(axis=1) < 17.0**2].astype(float)
    share = np.clip(0.25 + points[:, 0] / 80, 0.02, 0.98)
    q, weight = finder().variants[0]
    some = np.argsort(np.linalg.norm(q, axis=1), kind="stable")[:6]
    q, weight = q[some], weight[some]
    p_values = []
    for _ in range(1500):
        excess = (rng.random(len(points)) < share) - share
        value, _, eigen = intensity(points, excess, share * (1 - share), q, weight)
        p_values.append(quadratic_tail(np.array([value]), eigen[None])[0])
    p_values = np.array(p_values)
    for rate, spread in ((0.5, 0.05), (0.1, 0.03), (0.01, 0.009)):
        assert np.mean(p_values < rate) == pytest.approx(rate, abs=spread)


@pytest.mark.slow
def test_p_values_without_order_are_even(rng):
    """Species at random with a gradient and a cluster, on planes that resolve."""
    p_values = []
    search = finder()
    for _ in range(6):
        points, _ = block(rng)
        share = np.clip(0.25 + points[:, 0] / 80, 0.02, 0.98)
        share = np.where(np.linalg.norm(points - [5, 5, 5], axis=1) < 8, 0.75, share)
        for _ in range(40):
            found = search(*window(points, rng.random(len(points)) < share))
            p_values.append(found.order_p_value[0])
    p_values = np.array(p_values)
    assert 0.38 < np.mean(p_values < 0.5) < 0.62
    assert np.mean(p_values < 0.1) < 0.16
    assert np.mean(p_values < 0.01) < 0.04


def test_variants_of_l1_0_tell_its_axis(rng):
    points, _ = block(rng, efficiency=0.8, blur=(0.3, 0.3, 0.3))
    for axis in range(3):
        true = np.rint(points[:, axis] * 2 / EDGE + 14).astype(int) % 2 == 0
        found = finder("L1_0")(*window(points, true))
        q = finder("L1_0").variants[found.variant[0]][0]
        shortest = np.abs(q[np.linalg.norm(q, axis=1).argmin()])
        assert found.significant[0] and shortest.argmax() == axis


def test_planes_along_depth_alone_are_enough(rng):
    points, own = block(rng, blur=(4.0, 4.0, 0.2))
    along = finder(along=np.array([0.0, 0.0, 1.0]))
    assert all(np.abs(q[:, :2]).max() < 1e-9 for q, _ in along.variants)
    found = along(*window(points, own))
    assert found.significant[0] and found.order[0] == pytest.approx(1.0, abs=0.2)
    with pytest.raises(InputError, match="no superlattice planes"):
        finder(along=np.array([0.3, 0.5, 0.8]))


def test_a_window_corrects_a_lattice_that_is_off(rng):
    points, own = block(rng)
    stretched = points * np.array([1, 1, 1.05], np.float32)
    planes = np.full((1, 8, 3), np.nan)
    planes[0, 0] = [0, 0, 4 * np.pi / (1.05 * EDGE)]
    given = window(stretched, own)
    corrected = finder()(*given, planes)
    assert corrected.order_p_value[0] < 1e-3 * finder()(*given).order_p_value[0]
    assert corrected.order[0] == pytest.approx(1.0, abs=0.15)


def test_nothing_is_said_where_nothing_resolves_or_too_few_are_solute(rng):
    points, own = block(rng, blur=(9.0, 9.0, 9.0))
    found = finder()(*window(points, own))
    assert not found.significant[0]
    points, own = block(rng)
    few = np.zeros(len(own), bool)
    few[:5] = True
    found = finder()(*window(points, few))
    assert np.isnan(found.order_p_value[0]) and np.isnan(found.order[0])


def test_omega_is_of_positions(rng):
    """Every second and third (111) plane of bcc moved together."""
    edge, cells = 3.3, 16
    grid = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    half = (grid + np.array([(0, 0, 0), (0.5, 0.5, 0.5)])).reshape(-1, 3)
    layer = np.rint(2 * half.sum(axis=1)).astype(int) % 3
    step = edge / np.sqrt(3) / 12  # half of the way of omega
    points = (half - cells / 2) * edge
    shift = np.array([0.0, 1.0, -1.0])[layer][:, None] * step * np.ones(3)
    thinned = rng.random(len(points)) < 0.6
    search = finder("omega", f"bcc:{edge}")
    for moved, found_there in ((points + shift, True), (points, False)):
        chosen = (moved[thinned] + 0.25 * rng.normal(size=(thinned.sum(), 3))).astype(np.float32)
        inside = (chosen**2).sum(axis=1) < 20.0**2
        ones = np.ones((1, inside.sum()))
        found = search(chosen[inside][None], ones.astype(bool), ones, ones)
        assert bool(found.significant[0]) is found_there, found


def test_a_precipitate_is_mapped_with_its_boundary_and_composition(rng):
    points, own = block(rng, cells=26, blur=(2.0, 2.0, 0.3))
    inside = np.linalg.norm(points, axis=1) < 15.0
    solute = np.where(inside, own, rng.random(len(points)) < 0.08)
    share = local_share(points, solute)
    species = solute.astype(np.int16)
    species[rng.random(len(species)) < 0.05] = -1
    found = map_order(
        finder(), points, solute - share, share * (1 - share), species, 2, lateral=2.0, depth=0.3
    )
    (phase,) = found.phases
    assert np.linalg.norm(phase.center) < 3.0
    assert (3 * phase.volume / (4 * np.pi)) ** (1 / 3) == pytest.approx(15.0, abs=3.0)
    assert phase.counts[1] / phase.counts[:2].sum() == pytest.approx(0.24, abs=0.04)
    assert phase.counts[2] > 0 and phase.counts.sum() == (found.ion_region == 1).sum()
    nothing = map_order(
        finder(), points, (rng.random(len(points)) < 0.2) - 0.2, np.full(len(points), 0.16),
        species, 2, lateral=2.0, depth=0.3,
    )  # fmt: skip
    assert not nothing.phases and not nothing.region.any()


def test_distributions_count_neighbours(rng):
    points, own = block(rng, cells=8, efficiency=1.0, blur=(0.0, 0.0, 0.0))
    distance, count = spatial_distribution(points, lateral=3.0, depth=4.0, step=0.2)
    # Around an ion: four in its plane and in each next one at half an edge, fewer at the surface.
    planes = distance[count > 0.5]
    assert set(np.rint(2 * planes / EDGE).astype(int)) == {-2, -1, 0, 1, 2}
    assert 3.0 < count[np.abs(distance - EDGE / 2).argmin()] < 4.0
    _, solute = spatial_distribution(points, around=own, of=own, lateral=3.0, depth=4.0, step=0.2)
    assert solute[np.abs(distance - EDGE / 2).argmin()] == 0
    assert solute[np.abs(distance - EDGE).argmin()] > 0.7
    axis, density = spatial_distribution_3d(points, around=own, of=own, reach=5.0, step=0.4)
    place = np.unravel_index(density.argmax(), density.shape)
    assert np.linalg.norm(axis[list(place)]) == pytest.approx(EDGE, abs=0.3)
