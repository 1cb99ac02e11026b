"""Pristine elemental crystals of the eight space groups of Ziletti et al. 2018.

Eighty-three elements in the prototypes that high-throughput databases compute them in: with the
cell of the prototype itself ("unrelaxed") and with axial ratios and free coordinates over the
ranges that relaxed cells take. Axial ratios at which a structure turns into one of higher symmetry
are left out by 1.2 %, and every label is confirmed by spglib at the paper's tolerances.

Prototypes and their coordinates: AFLOW Library of Crystallographic Prototypes (Mehl et al., Comput.
Mater. Sci. 136, S1 (2017)), International Tables' standard settings, first origin.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.data import chemical_symbols, covalent_radii
from numpy.typing import NDArray

from ase_crystalnet.training.stackings import stackings

__all__ = ["ELEMENTS", "LABELS", "PROTOTYPES", "Element", "Prototype", "elemental_structures"]

Array = NDArray[np.float64]
Range = tuple[float, float]

#: Space group -> class; hexagonal and rhombohedral are one (Ziletti et al., Table 1).
LABELS: dict[int, str] = {
    139: "bct139",
    141: "bct141",
    166: "hex/rh",
    194: "hex/rh",
    221: "sc",
    225: "fcc",
    227: "diam",
    229: "bcc",
}
#: Atomic numbers: hydrogen to bismuth.
ELEMENTS: tuple[int, ...] = tuple(range(1, 84))
#: Tolerances at which spglib must find the space group, Angstrom (Ziletti et al., Methods).
TOLERANCES = (1e-3, 1e-6, 1e-9)
#: In 166 and 194, coordinates such as 1/3 leave only the first two.
TOLERANCES_HEXAGONAL = TOLERANCES[:2]
#: Least distance, in ln(c/a), from an axial ratio of higher symmetry.
MARGIN = 0.012
#: Shortest bonds, in covalent radii: molecules of heavy atoms are larger than their volume says.
LEAST_BOND = 1.6
#: Share of structures with the axial ratio of the prototype itself.
UNRELAXED = 0.3


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
            ratio = float(np.exp(rng.uniform(*np.log(self.ranges[rng.integers(len(self.ranges))]))))
            if all(abs(np.log(ratio / x)) > MARGIN for x in self.excluded):
                break
        cell = _cell(self.space_group, ratio)
        scale = self.spread * np.linalg.inv(cell) if relaxed else np.zeros((3, 3))
        sites = [_orbit(self.space_group, p, rng.normal(size=3) @ scale) for p in self.orbits]
        return cell, np.concatenate(sites)


@dataclass(frozen=True, eq=False)
class Element:
    """One pristine structure.

    Attributes
    ----------
    atoms : ase.Atoms
        Primitive cell.
    space_group : int
    label : str
        Class.
    prototype : str
    """

    atoms: Atoms
    space_group: int
    label: str
    prototype: str


def _axial(*values: float) -> tuple[tuple[float, float, float], ...]:
    return tuple((0.0, 0.0, z) for z in values)


_ORIGIN = ((0.0, 0.0, 0.0),)
_TI2_RANGES = ((0.3, 0.7), (0.7, 1.0), (1.0, 1.42), (1.38, 2.2), (0.9, 1.1))
_THIRD, _TWO = 1 / 3, 2 / 3
PROTOTYPES: tuple[Prototype, ...] = (
    Prototype("A_tI2_139_a", 139, 0.70, _ORIGIN, (0.8235, 1.5206, 0.7071, 0.93, 0.985),
              _TI2_RANGES, (1.0, 2**0.5)),
    Prototype("A_tI4_139_e", 139, 0.08, _axial(0.181), (1.9422,), ((1.6, 2.4),), (), 0.02),
    Prototype("A_tI4_139_e (molecules)", 139, 0.10, _axial(0.119), (0.7063,),
              ((0.6, 1.2), (1.2, 2.6)), (1.0, 2**0.5), 0.01),
    Prototype("A_tI8_139_h", 139, 0.06, ((0.17916, 0.17916, 0.0),), (0.5741,), ((0.5, 0.68),),
              (), 0.01),
    Prototype("A_tI16_139_l", 139, 0.06, ((0.0862, 0.2102, 0.0),), (0.4763,), ((0.4, 0.6),),
              (), 0.01),
    Prototype("A_tI4_141_a", 141, 1.0, _ORIGIN, (0.5456, 0.5516, 0.5735, 3.62, 2.6),
              ((0.4, 0.8), (0.5, 1.32), (1.45, 4.0)), (2**0.5,)),
    Prototype("A_hR1_166_a", 166, 0.34, _ORIGIN, (1.9273, 0.9681, 1.229),
              ((0.4, 1.2), (0.8, 2.4), (1.3, 3.2), (2.4, 5.5)), (0.375**0.5, 1.5**0.5, 6**0.5)),
    Prototype("A_hR2_166_c", 166, 0.22, _axial(0.22754), (2.7816, 2.605, 2.617),
              ((2.4, 3.1),), (6**0.5,), 0.025),
    Prototype("A_hR2_166_c (molecules)", 166, 0.08, _axial(0.0543), (3.4299,), ((2.0, 4.2),),
              (), 0.02),
    Prototype("A_hR2_166_c (graphite)", 166, 0.05, _axial(1 / 6), (4.0896, 4.886),
              ((3.4, 6.0),)),
    Prototype("A_hR4_166_2c (graphite)", 166, 0.02, _axial(0.0508, 1 / 3 - 0.0508), (14.4,),
              ((7.5, 15.0),)),
    Prototype("A_hR12_166_2h", 166, 0.04,
              ((0.09793, 0.54896, 0.55936), (0.05887, 0.52943, 0.30883)), (2.5602,),
              ((2.4, 2.7),), (), 0.004),
    Prototype("A_hR15_166_bc2h", 166, 0.05,
              ((_THIRD, _TWO, 1 / 6), (0.0, 0.0, 0.3659), (0.0041, 0.50205, 0.6949),
               (0.1075, 0.215, 0.8856)), (2.0733,), ((1.9, 2.3),), (), 0.004),
    Prototype("A_hR105_166_bc9h4i", 166, 0.03,
              ((_THIRD, _TWO, 1 / 6), (0.0, 0.0, 0.3848), (0.05707, 0.11414, 0.32723),
               (0.09057, 0.18113, 0.39893), (0.06056, 0.12113, 0.55214),
               (0.10233, 0.20466, 0.69857), (0.00727, 0.50363, 0.30533),
               (0.07407, 0.53704, 0.43384), (0.10783, 0.21567, 0.88547),
               (0.0878, 0.1756, 0.013), (0.05517, 0.11034, 0.94233),
               (0.01524, 0.24936, 0.34696), (0.044, 0.26211, 0.5795),
               (0.01493, 0.36986, 0.53716), (0.0016, 0.1728, 0.1761)), (2.1797,),
              ((2.1, 2.26),), (), 0.001),
    Prototype("A_hP2_194_c", 194, 0.46, ((_THIRD, _TWO, 0.25),), (1.633, 1.58, 1.62, 1.86),
              ((1.45, 2.0), (1.5, 1.7), (0.6, 2.4))),
    Prototype("A_hP4_194_f (molecules)", 194, 0.06, ((_THIRD, _TWO, 0.1729),), (3.1568, 3.393),
              ((2.4, 3.8),), (), 0.02),
    Prototype("A_hP4_194_f (molecules, hcp)", 194, 0.02, ((_THIRD, _TWO, 0.19),), (1.633,),
              ((1.5, 1.9),), (), 0.015),
    Prototype("A_hP6_194_h", 194, 0.03, ((0.10402, 0.55201, 0.25),), (0.5689,), ((0.5, 0.7),),
              (), 0.01),
    Prototype("A_cP1_221_a", 221, 0.92, _ORIGIN),
    Prototype("A_cP20_221_gj", 221, 0.08, ((0.2623, 0.2623, 0.2623), (0.1515, 0.1515, 0.5)),
              spread=0.005),
    Prototype("A_cF4_225_a", 225, 1.0, _ORIGIN),
    Prototype("A_cF8_227_a", 227, 0.80, _ORIGIN),
    Prototype("A_cF136_227_aeg", 227, 0.14,
              ((0.0, 0.0, 0.0), (0.1, 0.1, 0.9), (0.0040, 0.1915, 0.8085)), spread=0.006),
    Prototype("A_cF24_227_ad", 227, 0.03, ((0.0, 0.0, 0.0), (0.625, 0.625, 0.625))),
    Prototype("A_cF32_227_e", 227, 0.03, ((0.0706, 0.0706, 0.0706),), spread=0.004),
    Prototype("A_cI2_229_a", 229, 0.92, _ORIGIN),
    Prototype("A_cI16_229_f", 229, 0.04, ((0.1626, 0.1626, 0.1626),), spread=0.01),
    Prototype("A_cI12_229_d", 229, 0.04, ((0.25, 0.0, 0.5),)),
)  # fmt: skip
#: Share of layered structures (close-packed, diamond and graphite stackings) by space group.
LAYERED = {166: 0.17, 194: 0.43}
#: Volume of an atom, cubic Angstrom, where ASE knows no cell of the solid.
_VOLUMES = {1: 11.0, 2: 19.0, 5: 7.3, 7: 22.0, 8: 14.0, 9: 16.0, 15: 19.0, 16: 25.8, 17: 29.0,
            25: 12.2, 31: 19.6, 34: 27.3, 35: 33.0, 52: 34.0, 53: 43.0, 61: 33.6}  # fmt: skip
#: Structures of each space group in 10,500.
_COUNTS = {139: 1300, 141: 1200, 166: 1500, 194: 1500, 221: 1200, 225: 1300, 227: 1300, 229: 1200}


def elemental_structures(rng: np.random.Generator, count: int = 10_500) -> list[Element]:
    """Pristine structures, each element and space group in its share.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int
        About how many; at 10,500 every space group has more than a thousand.
    """
    result = []
    for group, share in _COUNTS.items():
        wanted = max(1, round(count * share / sum(_COUNTS.values())))
        for number, z in zip(range(wanted), _species(wanted, rng), strict=True):
            result.append(_structure(group, int(z), number / wanted, rng))
    return result


def _species(count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Every element as often as any other, in random order."""
    rounds = -(-count // len(ELEMENTS))
    return np.concatenate([rng.permutation(ELEMENTS) for _ in range(rounds)])[:count]


def prototype_of(element: Element) -> Prototype | None:
    """Prototype of a structure; None of a stacking."""
    return next((p for p in PROTOTYPES if p.name == element.prototype), None)


def _structure(group: int, z: int, place: float, rng: np.random.Generator) -> Element:
    """One structure; `place` in 0 .. 1 picks the prototype, so that shares are met exactly."""
    kinds: list[tuple[float, Prototype | None]] = [
        (p.share, p) for p in PROTOTYPES if p.space_group == group
    ]
    if group in LAYERED:
        kinds.append((LAYERED[group], None))
    edges = np.cumsum([share for share, _ in kinds])
    kind = kinds[min(int(np.searchsorted(edges / edges[-1], place, side="right")), len(kinds) - 1)]
    for _ in range(100):
        if kind[1] is None:
            name, cell, sites = stackings(group, rng)
        else:
            name, (cell, sites) = kind[1].name, kind[1].sample(rng)
        # The element's own volume: databases give each prototype about that.
        volume = _volume(z) * rng.uniform(0.9, 1.15) * len(sites)
        edge = (volume / abs(np.linalg.det(cell))) ** (1 / 3)
        edge = max(edge, LEAST_BOND * covalent_radii[z] / _shortest(cell, sites))
        if kind[1] is not None and kind[1].fixed:
            unit = _fixed(kind[1])
            place_in = unit.get_scaled_positions()
            found: Atoms | None = Atoms(
                np.full(len(unit), z),
                cell=unit.cell.array * edge,
                scaled_positions=place_in,
                pbc=True,
            )
        else:
            found = _confirmed(group, z, cell * edge, sites)
        if found is not None:
            return Element(found, group, LABELS[group], name)
    raise RuntimeError(f"no structure of space group {group} passed: {name}")


@cache
def _fixed(kind: Prototype) -> Atoms:
    """Primitive cell, confirmed at a = 4 Angstrom and then given a = 1."""
    cell, sites = kind.sample(np.random.default_rng(0))
    atoms = _confirmed(kind.space_group, 1, 4.0 * cell, sites)
    if atoms is None:
        raise RuntimeError(f"spglib does not confirm {kind.name}")
    atoms.set_cell(atoms.cell.array / 4.0, scale_atoms=True)
    return atoms


@cache
def _volume(z: int) -> float:
    """Volume of an atom of the element's solid, cubic Angstrom."""
    if z in _VOLUMES:
        return _VOLUMES[z]
    solid = bulk(chemical_symbols[z])
    return float(solid.get_volume() / len(solid))


def _confirmed(group: int, z: int, cell: Array, sites: Array) -> Atoms | None:
    """Primitive cell of the conventional one; None if spglib names another group."""
    import spglib

    numbers = np.full(len(sites), z)
    given: Any = (cell, sites, numbers)
    tolerances = TOLERANCES_HEXAGONAL if group in (166, 194) else TOLERANCES
    for tolerance in tolerances:
        found = spglib.get_symmetry_dataset(given, symprec=tolerance)
        if found is None or found.number != group:
            return None
    primitive: Any = spglib.standardize_cell(
        given, to_primitive=True, no_idealize=True, symprec=tolerances[0]
    )
    lattice, fractional, species = primitive
    return Atoms(species, cell=lattice, scaled_positions=fractional, pbc=True)


def _shortest(cell: Array, sites: Array) -> float:
    """Nearest-neighbour distance of a conventional cell, in its units."""
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3) @ cell
    # Equivalent by symmetry or not: every site has a neighbour among the images of a few.
    some = sites[:: max(1, len(sites) // 24)]
    difference = some[:, None] - sites
    difference -= np.rint(difference)
    lengths = np.linalg.norm((difference @ cell)[:, :, None] + steps, axis=-1)
    return float(lengths[lengths > 1e-6].min())


def _cell(group: int, ratio: float) -> Array:
    if group in (166, 194):
        return np.array([[1, 0, 0], [-0.5, 0.75**0.5, 0], [0, 0, ratio]])
    return np.diag([1.0, 1.0, ratio])


@cache
def _operations(group: int) -> tuple[Array, Array]:
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
    rotations, translations = _operations(group)
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
