"""Colours of classes, as eyes without one kind of cones see them.

Dichromacy is simulated by the matrices of Machado, Oliveira and Fernandes, IEEE Trans. Vis. Comput.
Graph. 15, 1291 (2009), severity 1.0, on linear sRGB; distances are CIEDE2000 (Sharma, Wu and Dalal,
Color Res. Appl. 30, 21 (2005)) and, of CIELAB, Euclidean.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from ase_crystalnet.classes import CLASS_COLORS, REFUSED, STRUCTURES

EYES = {
    "without red cones": [
        [0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "without green cones": [
        [0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "without blue cones": [
        [1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
    "usual": np.eye(3).tolist(),
}  # fmt: skip
USUAL = ("fcc", "hcp", "bcc", "sc", "diam", "disordered")
_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750],
     [0.0193339, 0.1191920, 0.9503041]]
)  # fmt: skip


def lab(color: str, eyes: str = "usual") -> np.ndarray:
    """CIELAB (D65) of a hexadecimal colour as it is seen."""
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(EYES[eyes]) @ linear, 0, 1)
    ratio = _XYZ @ seen / _XYZ.sum(axis=1)
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(first: np.ndarray, second: np.ndarray) -> float:
    """CIEDE2000 of two colours in CIELAB."""
    (l1, a1, b1), (l2, a2, b2) = first, second
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    a1, a2 = (a * (1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25**7))) for a in (a1, a2))
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.degrees(np.arctan2(b1, a1)) % 360, np.degrees(np.arctan2(b2, a2)) % 360
    turn = 0.0 if c1 * c2 == 0 else (h2 - h1 + 180) % 360 - 180
    hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    mean_l, mean_c, mean_h = (l1 + l2) / 2, (c1 + c2) / 2, (h1 + h2) / 2
    if c1 * c2 == 0:
        mean_h = h1 + h2
    elif abs(h1 - h2) > 180:
        mean_h += 180 if h1 + h2 < 360 else -180
    t = (
        1
        - 0.17 * np.cos(np.radians(mean_h - 30))
        + 0.24 * np.cos(np.radians(2 * mean_h))
        + 0.32 * np.cos(np.radians(3 * mean_h + 6))
        - 0.20 * np.cos(np.radians(4 * mean_h - 63))
    )
    scale_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    parts = (
        (l2 - l1) / scale_l,
        (c2 - c1) / (1 + 0.045 * mean_c),
        hue / (1 + 0.015 * mean_c * t),
    )
    angle = 60 * np.exp(-(((mean_h - 275) / 25) ** 2))
    rotation = -2 * np.sqrt(mean_c**7 / (mean_c**7 + 25**7)) * np.sin(np.radians(angle))
    return float(np.sqrt(sum(p**2 for p in parts) + rotation * parts[1] * parts[2]))


@pytest.mark.parametrize(
    ("first", "second", "published"),
    [  # Table 1 of Sharma, Wu and Dalal: pairs 1, 7, 9, 14, 17, 25
        ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
        ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
        ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
        ((50.0, -0.001, 2.49), (50.0, 0.0011, -2.49), 4.7461),
        ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ],
)
def test_the_distance_is_the_published_one(first, second, published) -> None:
    assert distance(np.array(first), np.array(second)) == pytest.approx(published, abs=1e-4)


def test_grey_is_seen_as_grey_by_all() -> None:
    for eyes in EYES:
        np.testing.assert_allclose(lab("#808080", eyes), lab("#808080"), atol=0.1)


def nearest(names: tuple[str, ...], eyes: str) -> tuple[float, str, str]:
    """The two classes whose colours are least far apart."""
    return min(
        (distance(*(lab(CLASS_COLORS[n], eyes) for n in pair)), *pair)
        for pair in combinations(names, 2)
    )


@pytest.mark.parametrize(
    ("eyes", "least"),
    [
        ("usual", 20), ("without green cones", 20), ("without red cones", 20),
        ("without blue cones", 16),
    ],
)  # fmt: skip
def test_the_usual_classes_are_told_apart_by_everyone(eyes: str, least: float) -> None:
    found = nearest(USUAL, eyes)
    assert found[0] >= least, found
    for one, other in combinations(USUAL, 2):
        apart = np.linalg.norm(lab(CLASS_COLORS[one], eyes) - lab(CLASS_COLORS[other], eyes))
        assert apart >= 20 or eyes == "without blue cones", (one, other, apart)


@pytest.mark.parametrize(
    ("eyes", "least"), [("usual", 18), ("without green cones", 11), ("without red cones", 11)]
)
def test_all_classes_are_told_apart(eyes: str, least: float) -> None:
    found = nearest((*STRUCTURES, REFUSED), eyes)
    assert found[0] >= least, found


def test_the_colours_of_before_would_not_do() -> None:
    """fcc and disordered were ten units apart; the test sees it."""
    before = [lab(color, "without green cones") for color in ("#009e73", "#8f8f8f")]
    assert np.linalg.norm(before[0] - before[1]) == pytest.approx(10.0, abs=0.1)
    assert distance(*before) < 20
