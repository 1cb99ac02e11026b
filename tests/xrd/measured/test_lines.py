"""Lines stand out or do not: noise, glass, smoothing, spikes, films, and crystals that are weak."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ase_crystalnet.xrd.answer.library import PatternLibrary
from ase_crystalnet.xrd.measured.lines import findings, noise_of
from ase_crystalnet.xrd.measured.readers import measured_patterns, read_scan
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import TWO_THETA


def background(x: np.ndarray, level: float, rng: np.random.Generator) -> np.ndarray:
    u = (x - x[0]) / np.ptp(x)
    air = rng.uniform(0, 5) * np.exp(-u / rng.uniform(0.03, 0.5))
    return level * (1 + air + rng.uniform(-0.5, 0.5) * u)


def scan_without_lines(kind: str, rng: np.random.Generator) -> Scan:
    """Counting noise on a smooth background: alone, with glass, or smoothed by the instrument."""
    x = np.arange(rng.uniform(5, 20), rng.uniform(60, 90), rng.choice([0.01, 0.02, 0.03, 0.05]))
    level = 10 ** rng.uniform(0.5, 4.5)
    y = background(x, level, rng)
    if kind == "glass":
        for _ in range(rng.integers(1, 3)):
            hump = np.exp(-0.5 * ((x - rng.uniform(18, 45)) / rng.uniform(2.2, 5)) ** 2)
            y = y + level * rng.uniform(1, 10) * hump
    counts = rng.poisson(y).astype(float)
    if kind == "smoothed":
        width = int(rng.integers(2, 8))
        counts = np.convolve(counts, np.ones(width) / width, mode="same")[width:-width]
        x = x[width:-width]
    return Scan(x, counts + (counts.max() == 0))


@pytest.mark.parametrize("kind", ["noise", "glass", "smoothed"])
def test_what_has_no_lines_is_refused(kind: str) -> None:
    rng = np.random.default_rng(5)
    verdicts = [findings(scan_without_lines(kind, rng)).verdict for _ in range(60)]
    assert "lines" not in verdicts
    assert "one family" not in verdicts
    if kind != "glass":
        assert verdicts.count("no lines") >= 57
    else:
        assert verdicts.count("amorphous") >= 48


def test_glass_has_its_place_and_width() -> None:
    x = np.arange(10, 80, 0.02)
    rng = np.random.default_rng(0)
    y = rng.poisson(200 + 2500 * np.exp(-4 * np.log(2) * ((x - 22) / 7.0) ** 2)).astype(float)
    found = findings(Scan(x, y))
    assert found.verdict == "amorphous"
    hump = max(found.humps, key=lambda hump: hump.height)
    assert hump.angle == pytest.approx(22, abs=0.7)
    assert 5 < hump.width < 9.5
    assert "22." in found.said or "21." in found.said


@pytest.mark.parametrize("fwhm", [0.06, 0.12, 0.3, 1.0, 2.0])
def test_crystals_are_not_refused(fwhm: float) -> None:
    """Minerals at any width to 4 nm, with counting noise and background."""
    library, rng = PatternLibrary.load(), np.random.default_rng(2)
    refused = 0
    for i in rng.integers(0, len(library), 40):
        lines = slice(library.offsets[i], library.offsets[i + 1])
        x = np.arange(10, 80, 0.02)
        y = np.zeros_like(x)
        strength = (library.height[lines] / 255.0) ** 2
        for angle, height in zip(library.angle[lines] / 100, strength, strict=True):
            y += height * np.exp(-4 * np.log(2) * ((x - angle) / fwhm) ** 2)
        if y.max() == 0:
            continue
        counts = rng.poisson(3000 * y / y.max() + 150 * (1 + np.exp(-(x - 10) / 8)))
        refused += not findings(Scan(x, counts.astype(float))).usable
    assert refused <= 2  # a few have two lines in the range


def test_measured_minerals_are_not_refused(data_dir: Path) -> None:
    """Of the 190 patterns with even id: less than one in a hundred."""
    patterns, _, even = measured_patterns(data_dir / "xrd" / "measured_powder_patterns.npz")
    usable = [findings(Scan(TWO_THETA, row.astype(float))).usable for row in patterns[even]]
    assert np.mean(usable) > 0.99


def test_cases(data_dir: Path) -> None:
    folder = data_dir / "cases"
    assert findings(read_scan(folder / "no_lines_film_background.xy")).verdict == "no lines"
    silica = findings(read_scan(folder / "amorphous_silica.xy"))
    assert silica.verdict == "amorphous"
    weak = findings(read_scan(folder / "weak_cubic_perovskite.xy"))
    assert weak.usable and 7 <= len(weak.lines) <= 9


def gaussian(x: np.ndarray, place: float, width: float = 0.15) -> np.ndarray:
    return np.exp(-4 * np.log(2) * ((x - place) / width) ** 2)


def test_few_lines_and_one_family() -> None:
    x, rng = np.arange(10, 80, 0.02), np.random.default_rng(1)
    one = rng.poisson(100 + 9000 * gaussian(x, 69.13)).astype(float)
    found = findings(Scan(x, one))
    assert found.verdict == "few lines" and "69.1" in found.said
    orders = [2 * np.degrees(np.arcsin(n * 1.5406 / 2 / 13.0)) for n in range(2, 8)]
    film = rng.poisson(100 + sum(3000 * gaussian(x, place) for place in orders)).astype(float)
    assert findings(Scan(x, film)).verdict == "one family"


def test_spikes_are_no_lines() -> None:
    x, rng = np.arange(10, 80, 0.02), np.random.default_rng(1)
    y = rng.poisson(np.full(len(x), 100.0)).astype(float)
    y[[300, 1200, 2500, 3100]] += 900
    found = findings(Scan(x, y))
    assert found.verdict == "no lines" and found.spikes == 4


def test_noise_is_measured() -> None:
    rng = np.random.default_rng(3)
    level = np.linspace(2000, 200, 5000)
    white = rng.poisson(level).astype(float)
    variance, correlation = noise_of(white)
    np.testing.assert_allclose(variance / level, 1, atol=0.25)
    assert (correlation[1:] == 0).all()
    smooth = np.convolve(white, np.ones(5) / 5, mode="valid")
    variance, correlation = noise_of(smooth)
    np.testing.assert_allclose(np.median(variance / (level[2:-2] / 5)), 1, atol=0.3)
    np.testing.assert_allclose(correlation[1:5], [0.8, 0.6, 0.4, 0.2], atol=0.12)
    rates = white / 7.0
    np.testing.assert_allclose(np.median(noise_of(rates)[0] / (level / 49)), 1, atol=0.25)


def test_any_array_of_numbers_has_a_verdict() -> None:
    rng = np.random.default_rng(4)
    for y in (rng.normal(size=60), np.r_[np.zeros(59), 1.0], rng.exponential(size=500)):
        findings(Scan(np.linspace(10, 60, len(y)), y))


@pytest.mark.parametrize("scale", [1.0, 100.0, 1e4])
@pytest.mark.parametrize("decimals", [None, 3])
def test_a_computed_pattern_shows_its_weak_lines(scale: float, decimals: int | None) -> None:
    """Without noise: what varies is the lines, and rounding to a share of the strongest."""
    x = np.arange(5.0, 90.0, 0.01)
    places = np.array([11.3, 18.4, 22.1, 27.9, 31.2, 36.6, 44.8, 51.3, 62.7, 71.1])
    heights = np.array([1.0, 0.3, 0.02, 0.6, 0.05, 0.2, 0.03, 0.4, 0.1, 0.02])
    y = sum(h * gaussian(x, p) for p, h in zip(places, heights, strict=True))
    y = scale * y / y.max()
    if decimals is not None:
        y = scale * np.round(y / scale, decimals)
    found = findings(Scan(x, y))
    assert [line.angle for line in found.lines] == pytest.approx(list(places), abs=0.02)


def test_counts_of_which_most_are_none_keep_their_noise() -> None:
    rng = np.random.default_rng(8)
    x = np.arange(5.0, 90.0, 0.02)
    for level in (0.02, 0.2):
        y = rng.poisson(level + 30 * gaussian(x, 40.0)).astype(float)
        angles = np.array([line.angle for line in findings(Scan(x, y)).lines])
        assert len(angles) <= 2 and np.abs(angles - 40.0).min() < 0.05


@pytest.mark.parametrize("kind", ["lorentzian", "two decimals", "slope in whole numbers"])
def test_other_computed_patterns_show_just_their_lines(kind: str) -> None:
    x = np.arange(5.0, 90.0, 0.02)
    places = np.array([11.3, 18.4, 22.1, 27.9, 31.2, 36.6, 44.8, 51.3, 62.7, 71.1])
    heights = np.array([1.0, 0.3, 0.02, 0.6, 0.05, 0.2, 0.03, 0.4, 0.1, 0.02])
    wide = sum(h / (1 + ((x - p) / 0.05) ** 2) for p, h in zip(places, heights, strict=True))
    sharp = sum(h * gaussian(x, p, 0.2) for p, h in zip(places, heights, strict=True))
    y = {
        "lorentzian": 100 * wide,
        "two decimals": np.round(50 * wide + 50 * sharp, 2),
        "slope in whole numbers": np.round(1e4 * sharp + 200 - x),
    }[kind]
    found = findings(Scan(x, y))
    assert [line.angle for line in found.lines] == pytest.approx(list(places), abs=0.03)
