"""Crystal structures that elements take in the eight space groups of Ziletti et al. 2018.

Coordinates: AFLOW Library of Crystallographic Prototypes (Mehl et al., Comput. Mater. Sci. 136, S1
(2017)); clathrate II: Kasper et al., Science 150, 1713 (1965). International Tables' standard
settings, first origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from ase_crystalnet._compute.types import Array

__all__ = ["MARGIN", "PROTOTYPES", "Prototype", "operations_of"]
Range = tuple[float, float]

#: Least distance from a crystal of higher symmetry or another class: in ln(c/a), and of the sites
#: in nearest-neighbour distances. A Bragg spot of 250 atoms (6.3 distances across) is
#: 0.886 * 2 pi / 6.3 wide, 5.9 % of the wave vector at the outer edge of the detector's ring; this
#: strain moves it by a quarter of its width at most. Nearer crystals are the same to the detector.
MARGIN = 0.015
#: Share of structures with the axial ratio of the prototype itself.
UNRELAXED = 0.3
#: Share of the others that lie near an axial ratio of higher symmetry, and how near in ln(c/a).
NEAR, NEARNESS = 0.3, 0.08


@dataclass(frozen=True)
class Prototype:
    """A crystal structure of one element.

    Attributes
    ----------
    name : str
        AFLOW label.
    space_group : int
    share : float
        Of the structures of its space group.
    orbits : tuple of (x, y, z)
        One representative of each orbit in the conventional cell.
    c_over_a : tuple of float
        Of the prototype itself; several where several elements have it.
    ranges : tuple of (low, high)
        Axial ratios of relaxed cells.
    excluded : tuple of float
        Axial ratios of higher symmetry.
    spread : float
        Standard deviation of the free coordinates, in edges a.
    """

    name: str
    space_group: int
    share: float
    orbits: tuple[tuple[float, float, float], ...]
    c_over_a: tuple[float, ...] = (1.0,)
    ranges: tuple[Range, ...] = ()
    excluded: tuple[float, ...] = ()
    spread: float = 0.0

    @property
    def fixed(self) -> bool:
        """Whether all its structures are the same but for their size."""
        return not self.ranges and self.spread == 0 and len(self.c_over_a) == 1

    def sample(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """Conventional cell (rows, a = 1) and fractional sites."""
        ratio = float(rng.choice(self.c_over_a))
        relaxed = rng.random() >= UNRELAXED
        while relaxed and self.ranges:
            ratio = self._ratio(rng)
            if all(abs(np.log(ratio / x)) > MARGIN for x in self.excluded):
                break
        cell = _cell(self.space_group, ratio)
        scale = self.spread * np.linalg.inv(cell) if relaxed else np.zeros((3, 3))
        sites = [_orbit(self.space_group, p, rng.normal(size=3) @ scale) for p in self.orbits]
        return cell, np.concatenate(sites)

    def _ratio(self, rng: np.random.Generator) -> float:
        """Axial ratio of a relaxed cell, over the ranges or near one of higher symmetry."""
        low, high = self.ranges[rng.integers(len(self.ranges))]
        if self.excluded and rng.random() < NEAR:
            # Where classes meet a ratio says most: these are shown more often.
            special = rng.choice(self.excluded)
            low, high = special * np.exp(-NEARNESS), special * np.exp(NEARNESS)
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _axial(*values: float) -> tuple[tuple[float, float, float], ...]:
    return tuple((0.0, 0.0, z) for z in values)


_ORIGIN = ((0.0, 0.0, 0.0),)
_TI2_RANGES = ((0.3, 0.7), (0.7, 1.0), (1.0, 1.42), (1.38, 2.2), (0.9, 1.1))
_THIRD, _TWO = 1 / 3, 2 / 3
PROTOTYPES: tuple[Prototype, ...] = (
    Prototype("A_tI2_139_a", 139, 0.62, _ORIGIN, (0.8235, 1.5206, 0.7071, 0.93, 0.98),
              _TI2_RANGES, (1.0, 2**0.5)),
    Prototype("A_tI4_139_e", 139, 0.08, _axial(0.181), (1.9422,), ((1.6, 2.4),), (), 0.02),
    Prototype("A_tI4_139_e (molecules)", 139, 0.18, _axial(0.119), (0.7063,),
              ((0.6, 1.2), (1.2, 1.5), (1.4, 2.6)), (1.0, 2**0.5), 0.01),
    Prototype("A_tI8_139_h", 139, 0.06, ((0.17916, 0.17916, 0.0),), (0.5741,), ((0.5, 0.68),),
              (), 0.01),
    Prototype("A_tI16_139_l", 139, 0.06, ((0.0862, 0.2102, 0.0),), (0.4763,), ((0.4, 0.6),),
              (), 0.01),
    Prototype("A_tI4_141_a", 141, 1.0, _ORIGIN, (0.5456, 0.5516, 0.5735, 3.62, 2.6),
              ((0.4, 0.8), (0.5, 1.32), (1.45, 4.0)), (2**0.5,)),
    Prototype("A_hR1_166_a", 166, 0.34, _ORIGIN, (1.9273, 0.9681),
              ((0.4, 1.2), (0.8, 2.4), (1.3, 3.2), (2.4, 5.5)), (0.375**0.5, 1.5**0.5, 6**0.5)),
    Prototype("A_hR2_166_c", 166, 0.18, _axial(0.22754), (2.7816, 2.605, 2.617),
              ((2.4, 3.1),), (6**0.5,), 0.025),
    Prototype("A_hR2_166_c (molecules)", 166, 0.08, _axial(0.0543), (3.4299,), ((2.0, 4.2),),
              (), 0.02),
    Prototype("A_hR2_166_c (graphite)", 166, 0.05, _axial(1 / 6), (4.0896, 4.886),
              ((3.4, 6.0),)),
    Prototype("A_hR4_166_2c (graphite)", 166, 0.02, _axial(0.0508, 1 / 3 - 0.0508), (14.4,),
              ((7.5, 15.0),)),
    Prototype("A_hR12_166_2h", 166, 0.03,
              ((0.09793, 0.54896, 0.55936), (0.05887, 0.52943, 0.30883)), (2.5602,),
              ((2.4, 2.7),), (), 0.004),
    Prototype("A_hR15_166_bc2h", 166, 0.04,
              ((_THIRD, _TWO, 1 / 6), (0.0, 0.0, 0.3659), (0.0041, 0.50205, 0.6949),
               (0.1075, 0.215, 0.8856)), (2.0733,), ((1.9, 2.3),), (), 0.004),
    Prototype("A_hR105_166_bc9h4i", 166, 0.02,
              ((_THIRD, _TWO, 1 / 6), (0.0, 0.0, 0.3848), (0.05707, 0.11414, 0.32723),
               (0.09057, 0.18113, 0.39893), (0.06056, 0.12113, 0.55214),
               (0.10233, 0.20466, 0.69857), (0.00727, 0.50363, 0.30533),
               (0.07407, 0.53704, 0.43384), (0.10783, 0.21567, 0.88547),
               (0.0878, 0.1756, 0.013), (0.05517, 0.11034, 0.94233),
               (0.01524, 0.24936, 0.34696), (0.044, 0.26211, 0.5795),
               (0.01493, 0.36986, 0.53716), (0.0016, 0.1728, 0.1761)), (2.1797,),
              ((2.1, 2.26),), (), 0.001),
    Prototype("A_hP2_194_c", 194, 0.42, ((_THIRD, _TWO, 0.25),), (1.633, 1.58, 1.62, 1.86),
              ((1.45, 2.0), (1.5, 1.7), (0.6, 2.4))),
    Prototype("A_hP4_194_f (molecules)", 194, 0.08, ((_THIRD, _TWO, 0.1729),), (3.1568, 3.393),
              ((2.4, 3.8),), (), 0.02),
    Prototype("A_hP4_194_f (molecules, hcp)", 194, 0.04, ((_THIRD, _TWO, 0.19),), (1.633,),
              ((1.5, 1.9),), (), 0.015),
    Prototype("A_hP6_194_h", 194, 0.03, ((0.10402, 0.55201, 0.25),), (0.5689,), ((0.5, 0.7),),
              (), 0.01),
    Prototype("A_cP1_221_a", 221, 0.92, _ORIGIN),
    Prototype("A_cP20_221_gj", 221, 0.08, ((0.2623, 0.2623, 0.2623), (0.1515, 0.1515, 0.5)),
              spread=0.005),
    Prototype("A_cF4_225_a", 225, 1.0, _ORIGIN),
    Prototype("A_cF8_227_a", 227, 0.67, _ORIGIN),
    Prototype("A_cF136_227_aeg (clathrate II)", 227, 0.12,
              ((0.0, 0.0, 0.0), (0.908, 0.908, 0.908), (0.057, 0.057, 0.754)), spread=0.0015),
    Prototype("A_cF136_227_aeg", 227, 0.12,
              ((0.0, 0.0, 0.0), (0.1, 0.1, 0.9), (0.0040, 0.1915, 0.8085)), spread=0.006),
    Prototype("A_cF24_227_ac (cristobalite)", 227, 0.03, ((0.0, 0.0, 0.0), (0.125, 0.125, 0.125))),
    Prototype("A_cF24_227_ad", 227, 0.03, ((0.0, 0.0, 0.0), (0.625, 0.625, 0.625))),
    Prototype("A_cF32_227_e", 227, 0.03, ((0.0706, 0.0706, 0.0706),), spread=0.004),
    Prototype("A_cI2_229_a", 229, 0.92, _ORIGIN),
    Prototype("A_cI16_229_f", 229, 0.04, ((0.1626, 0.1626, 0.1626),), spread=0.01),
    Prototype("A_cI12_229_d", 229, 0.04, ((0.25, 0.0, 0.5),)),
)  # fmt: skip


def _cell(group: int, ratio: float) -> Array:
    if group in (166, 194):
        return np.array([[1, 0, 0], [-0.5, 0.75**0.5, 0], [0, 0, ratio]])
    return np.diag([1.0, 1.0, ratio])


@cache
def operations_of(group: int) -> tuple[Array, Array]:
    """Rotations and translations of the standard setting, first origin choice."""
    import spglib

    hall = next(h for h in range(1, 531) if _group_of(h) == group)
    found: Any = spglib.get_symmetry_from_database(hall)
    return np.asarray(found["rotations"], float), np.asarray(found["translations"], float)


def _group_of(hall: int) -> int:
    import spglib

    found: Any = spglib.get_spacegroup_type(hall)
    return int(found.number)


def _orbit(group: int, point: tuple[float, float, float], shift: Array) -> Array:
    """All sites equivalent to a point, moved by `shift` as far as its site symmetry allows."""
    rotations, translations = operations_of(group)
    given = np.array(point)
    images = rotations @ given + translations
    offset = images - given
    offset -= np.rint(offset)
    # Coordinates given to four digits: what is nearly special is meant to be special.
    fixed = np.abs(offset).max(axis=1) < 2e-4
    exact = given + offset[fixed].mean(axis=0)
    moved = exact + rotations[fixed].mean(axis=0) @ shift
    sites = (rotations @ moved + translations) % 1.0
    kept: list[Array] = []
    for site in sites:
        if not kept or np.abs((d := np.array(kept) - site) - np.rint(d)).max(axis=1).min() > 1e-6:
            kept.append(site)
    return np.array(kept)
