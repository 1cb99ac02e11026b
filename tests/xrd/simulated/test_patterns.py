"""Patterns as a diffractometer measures them: each switch does what it says, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.pattern import (
    CRYSTAL_SYSTEMS,
    INPUT_POINTS,
    POINTS,
    SYSTEM_MATRIX,
    TWO_THETA,
    broaden,
    coarse_to_input,
    network_input,
    system_of,
)
from ase_crystalnet.xrd.simulated.patterns import (
    MEASURED,
    PAPER,
    Recipe,
    draw_patterns,
    paper_background,
)
from ase_crystalnet.xrd.simulated.reflections import peaks, reflections_of
from ase_crystalnet.xrd.simulated.structures import StructureSet, structure_set_of
from tests.support.powder_samples import quartz, rutile

PLAIN = Recipe(fwhm=(0.1, 0.1))


@pytest.fixture(scope="module")
def structures() -> StructureSet:
    return structure_set_of({"Si": bulk("Si", cubic=True), "quartz": quartz(), "rutile": rutile()})


def one(structures: StructureSet, recipe: Recipe, seed: int = 0, index: int = 0) -> np.ndarray:
    return draw_patterns(structures, np.array([index]), recipe, np.random.default_rng(seed))[0]


def center(pattern: np.ndarray, around: float, reach: float = 0.6) -> float:
    """Centre of gravity of a line, degrees."""
    part = np.abs(TWO_THETA - around) < reach
    return float((pattern[part] * TWO_THETA[part]).sum() / pattern[part].sum())


def test_lines_lie_and_stand_as_calculated(structures: StructureSet) -> None:
    for index in range(3):
        angles, heights = peaks(structures.reflections(index))
        drawn = one(structures, PLAIN, index=index)
        # Lines are gathered in bins of 0.005 degrees.
        assert np.abs(drawn - broaden(angles, heights, 0.1)).max() < 0.03


def test_width(structures: StructureSet) -> None:
    for width in (0.06, 0.2):
        pattern = one(structures, Recipe(fwhm=(width, width)))
        above = TWO_THETA[(np.abs(TWO_THETA - 28.44) < 1) & (pattern > 0.5)]
        assert above.max() - above.min() == pytest.approx(width, abs=0.021)


def test_coarse_patterns_are_means_of_fine_ones(structures: StructureSet) -> None:
    recipe = replace(PLAIN, fwhm=(0.2, 0.2))
    fine = one(structures, recipe)
    rng = np.random.default_rng(0)
    coarse = draw_patterns(structures, np.array([0]), recipe, rng, coarse=True)[0]
    mean = fine.reshape(INPUT_POINTS, 4).mean(axis=1)
    assert np.abs(coarse - mean / mean.max()).max() < 0.02


def test_zero_shift_and_displacement(structures: StructureSet) -> None:
    low, high = 28.44, 88.03
    plain = one(structures, PLAIN)
    shifts = {
        seed: [
            center(one(structures, replace(PLAIN, **change), seed), line) - center(plain, line)
            for change in ({"zero_shift": 0.1}, {"displacement": 0.1})
            for line in (low, high)
        ]
        for seed in range(5)
    }
    for zero_low, zero_high, moved_low, moved_high in shifts.values():
        assert abs(zero_low) <= 0.1 and zero_low == pytest.approx(zero_high, abs=6e-3)
        ratio = np.cos(np.radians(high / 2)) / np.cos(np.radians(low / 2))
        assert moved_high == pytest.approx(moved_low * ratio, abs=6e-3)
    assert np.ptp([s[0] for s in shifts.values()]) > 0.05


def test_strain_keeps_the_symmetry(structures: StructureSet) -> None:
    # A cubic crystal can only grow: sin(theta) of all lines by one factor.
    strained = one(structures, replace(PLAIN, strain=0.01), seed=3)
    plain = one(structures, PLAIN)
    factors = [
        np.sin(np.radians(center(strained, line, 1.5) / 2))
        / np.sin(np.radians(center(plain, line, 1.5) / 2))
        for line in (28.44, 47.3, 76.4)
    ]
    assert abs(factors[0] - 1) > 1e-4
    assert np.ptp(factors) < 2e-4


def test_projector(structures: StructureSet) -> None:
    for projector, free in zip(structures.strain, (1, 2, 2), strict=True):
        np.testing.assert_allclose(projector @ projector, projector, atol=1e-5)
        np.testing.assert_allclose(projector, projector.T, atol=1e-5)
        assert np.trace(projector) == pytest.approx(free, abs=1e-4)


def test_doublet(structures: StructureSet) -> None:
    both = one(structures, replace(PLAIN, fwhm=(0.05, 0.05), k_alpha2=1.0))
    part = (TWO_THETA > 87.5) & (TWO_THETA < 88.8)
    first = TWO_THETA[part][both[part].argmax()]
    second = np.abs(TWO_THETA - first - 0.275) < 0.125
    gap = TWO_THETA[second][both[second].argmax()] - first
    # d(2 theta) = 2 tan(theta) d(lambda) / lambda
    wanted = np.degrees(2 * np.tan(np.radians(first / 2)) * (1.54439 - 1.54056) / 1.54056)
    assert gap == pytest.approx(wanted, abs=0.015)
    assert both[second].max() / both[part].max() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("change", [{"texture": 1.0}, {"jitter": 0.5}, {"debye_waller": 3.0}])
def test_heights_change_and_places_stay(structures: StructureSet, change: dict[str, float]) -> None:
    plain = one(structures, PLAIN, index=1)
    drawn = [one(structures, replace(PLAIN, **change), seed, index=1) for seed in range(6)]
    other = max(drawn, key=lambda pattern: np.abs(plain - pattern).max())
    assert np.abs(plain - other).max() > 0.01
    lines = TWO_THETA[1:-1][
        (plain[1:-1] > plain[:-2]) & (plain[1:-1] > plain[2:]) & (plain[1:-1] > 0.05)
    ]
    for line in lines[:6]:
        assert center(other, line, 0.15) == pytest.approx(center(plain, line, 0.15), abs=3e-3)


def test_debye_waller_weakens_high_angles(structures: StructureSet) -> None:
    plain, warm = (one(structures, r, seed=4) for r in (PLAIN, replace(PLAIN, debye_waller=3.0)))
    share = [p[TWO_THETA > 60].sum() / p.sum() for p in (plain, warm)]
    assert share[1] < 0.95 * share[0]


def test_broadening_grows_with_angle(structures: StructureSet) -> None:
    def widths(recipe: Recipe) -> list[float]:
        pattern = one(structures, recipe, seed=1)
        result = []
        for line in (28.44, 76.38):
            part = np.abs(TWO_THETA - line) < 1.5
            y = pattern[part]
            result.append((y > 0.5 * y.max()).sum() * 0.01)
        return result

    plain = widths(PLAIN)
    strain = widths(replace(PLAIN, strain_width=0.5))
    size = widths(replace(PLAIN, size_width=0.5))
    assert strain[1] - plain[1] > 2 * (strain[0] - plain[0])
    assert size[1] > plain[1] + 0.02 and size[0] > plain[0] + 0.02


def test_lorentzian_has_tails(structures: StructureSet) -> None:
    far = np.abs(TWO_THETA - 28.44) < 1.0
    far &= np.abs(TWO_THETA - 28.44) > 0.3
    plain, lorentzian = (
        one(structures, r, seed=1) for r in (PLAIN, replace(PLAIN, lorentzian=1.0))
    )
    assert lorentzian[far].mean() > 10 * plain[far].mean()


def test_impurity_is_weak(structures: StructureSet) -> None:
    patterns = [one(structures, replace(PLAIN, impurity=1.0), seed) for seed in range(12)]
    plain = one(structures, PLAIN)
    foreign = [np.max(p[plain < 1e-3]) for p in patterns]
    assert max(foreign) > 0.01
    assert max(foreign) < 0.21


def test_paper_noise(structures: StructureSet) -> None:
    recipe = replace(PAPER, background=0.0)
    drawn = one(structures, recipe)
    # Between the lines: U(0.002, 0.02), before the pattern is scaled to a largest value of 1.
    quiet = (TWO_THETA > 31) & (TWO_THETA < 45)
    values = drawn[quiet]
    assert 0.0015 < values.min() < 0.0025 and 0.018 < values.max() <= 0.02
    assert values.std() == pytest.approx(0.018 / np.sqrt(12), rel=0.1)
    assert drawn.max() == 1


def test_paper_backgrounds() -> None:
    rng = np.random.default_rng(5)
    drawn = np.array([paper_background(850, rng) for _ in range(3000)])
    none = (drawn == 0).all(axis=1)
    # No background with probability 1/16; 3,000 draws have a standard error of 0.44 %.
    assert none.mean() == pytest.approx(1 / 16, abs=0.02)
    assert drawn.min() >= 0
    # The sum of all cannot exceed number * T = 0.1, times 3/2 for the polynomial.
    assert drawn.max() < 0.15
    # Step and polynomial only reach the right edge; the bump is at n theta = 2, at the left.
    assert drawn[:, -1].mean() > 0.01
    assert drawn[:, 850 * 2 // 55].mean() > drawn[:, 425].mean()


def test_measured_noise(structures: StructureSet) -> None:
    recipe = replace(PLAIN, noise=(0.02, 0.02), noise_offset=0.0)
    drawn = one(structures, recipe)
    quiet = drawn[(TWO_THETA > 60) & (TWO_THETA < 68)]
    assert drawn.min() == 0
    assert (quiet == 0).mean() == pytest.approx(0.5, abs=0.06)
    fine, coarse = (
        draw_patterns(structures, np.zeros(40, int), recipe, np.random.default_rng(1), coarse=c)
        for c in (False, True)
    )
    ratio = fine[:, -3000:-2200].std() / coarse[:, -750:-550].std()
    assert ratio == pytest.approx(2, rel=0.15)  # a bin is the mean of four points


def test_same_seed_same_patterns(structures: StructureSet) -> None:
    index = np.array([0, 1, 2, 1])
    a, b, c = (
        draw_patterns(structures, index, MEASURED, np.random.default_rng(s)) for s in (1, 1, 2)
    )
    np.testing.assert_array_equal(a, b)
    assert np.abs(a - c).max() > 0.05
    assert a.shape == (4, POINTS) and a.dtype == np.float32


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), paper=st.booleans(), coarse=st.booleans())
def test_every_pattern_is_one_a_network_can_see(
    structures: StructureSet, seed: int, paper: bool, coarse: bool
) -> None:
    recipe = PAPER if paper else MEASURED
    drawn = draw_patterns(
        structures, np.arange(3), recipe, np.random.default_rng(seed), coarse=coarse
    )
    assert np.isfinite(drawn).all()
    assert drawn.min() >= 0
    np.testing.assert_allclose(drawn.max(axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize(
    "wrong",
    [
        {"fwhm": (0.0, 0.1)},
        {"fwhm": (0.2, 0.1)},
        {"noise": (-0.1, 0.1)},
        {"texture": 1.5},
        {"background": -0.1},
    ],
)
def test_recipes_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        Recipe(**wrong)  # type: ignore[arg-type]


class TestInput:
    def test_scale_does_not_matter(self, structures: StructureSet) -> None:
        pattern = one(structures, MEASURED)[None]
        np.testing.assert_allclose(network_input(7 * pattern), network_input(pattern), atol=1e-5)

    def test_larger_cell_is_a_shift(self) -> None:
        def seen(a: float) -> np.ndarray:
            angles, heights = peaks(reflections_of(bulk("Cu", a=a, cubic=True)))
            return network_input(broaden(angles, heights, 0.3)[None])[0]

        small, large = seen(3.60), seen(3.66)
        step = np.log(np.sin(np.radians(45)) / np.sin(np.radians(2.5))) / INPUT_POINTS
        shift = round(np.log(3.66 / 3.60) / step)
        lags = np.arange(-60, 61)
        overlap = [float(small @ np.roll(large, lag)) for lag in lags]
        assert abs(lags[int(np.argmax(overlap))] - shift) <= 1

    def test_agrees_with_the_coarse_way(self, structures: StructureSet) -> None:
        pattern = one(structures, replace(PLAIN, fwhm=(0.2, 0.2)))
        coarse = pattern.reshape(INPUT_POINTS, 4).mean(axis=1)
        by_coarse = coarse_to_input((coarse / coarse.max())[None])
        np.testing.assert_allclose(network_input(pattern[None]), by_coarse, atol=1e-6)

    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            (np.ones(POINTS), "shape"),
            (np.ones((1, 100)), "shape"),
            (np.zeros((1, POINTS)), "zero"),
            (-np.ones((1, POINTS)), "negative"),
            (np.full((1, POINTS), np.nan), "finite"),
        ],
    )
    def test_bad_patterns(self, wrong: np.ndarray, words: str) -> None:
        with pytest.raises(InputError, match=words):
            network_input(wrong)


def test_crystal_systems() -> None:
    ends = [1, 2, 3, 15, 16, 74, 75, 142, 143, 167, 168, 194, 195, 230]
    assert system_of(ends).tolist() == [i for i in range(7) for _ in range(2)]
    assert SYSTEM_MATRIX.sum(axis=0).tolist() == [2, 13, 59, 68, 25, 27, 36]
    assert len(CRYSTAL_SYSTEMS) == 7
    for wrong in (0, 231):
        with pytest.raises(InputError, match="1 to 230"):
            system_of([wrong])


@pytest.mark.parametrize(
    ("angles", "heights", "width"),
    [([30.0], [1.0], 0.0), ([30.0], [1.0, 2.0], 0.1), ([120.0], [1.0], 0.1)],
)
def test_bad_lines(angles: list[float], heights: list[float], width: float) -> None:
    with pytest.raises(InputError):
        broaden(angles, heights, width)


def test_atoms_alone_are_no_crystal() -> None:
    with pytest.raises(InputError, match="volume"):
        structure_set_of({"molecule": Atoms("N2", [(0, 0, 0), (0, 0, 1.1)])})
