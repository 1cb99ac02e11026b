"""Pristine elemental crystals of the eight space groups of Ziletti et al. 2018.

Eighty-three elements in the prototypes that high-throughput databases compute them in: with the
cell of the prototype itself ("unrelaxed") and with axial ratios and free coordinates over the
ranges that relaxed cells take. What is nearer to another class than `MARGIN` is left out, and every
label is confirmed by spglib at the paper's tolerances.
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

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet._compute.types import Array
from ase_crystalnet.crystals.prototypes import MARGIN, PROTOTYPES, Prototype
from ase_crystalnet.crystals.stackings import stackings

__all__ = ["ELEMENTS", "LABELS", "Element", "apart", "elemental_structures"]

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
#: Shortest bonds, in covalent radii: molecules of heavy atoms are larger than their volume says.
LEAST_BOND = 1.6


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


#: Share of layered structures (close-packed, diamond and graphite stackings) by space group.
LAYERED = {166: 0.24, 194: 0.43}
#: Volume of an atom, cubic Angstrom, where ASE knows no cell of the solid.
_VOLUMES = {1: 11.0, 2: 19.0, 5: 7.3, 7: 22.0, 8: 14.0, 9: 16.0, 15: 19.0, 16: 25.8, 17: 29.0,
            25: 12.2, 31: 19.6, 34: 27.3, 35: 33.0, 52: 34.0, 53: 43.0, 61: 33.6}  # fmt: skip
#: Structures of each space group in 10,500: more where cells differ more.
_COUNTS = {139: 1700, 141: 1100, 166: 2500, 194: 2000, 221: 700, 225: 800, 227: 1000, 229: 700}


def elemental_structures(rng: np.random.Generator, count: int = 10_500) -> list[Element]:
    """Pristine structures, each element and space group in its share.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int
        About how many; at 10,500 every space group has 700 and more.
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
            free = kind[1] is None or kind[1].spread > 0
            if found is not None and free and not apart(group, cell, sites):
                found = None
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
        found = answer_of(spglib.get_symmetry_dataset, given, symprec=tolerance)
        if found is None or found.number != group:
            return None
    primitive: Any = answer_of(
        spglib.standardize_cell, given, to_primitive=True, no_idealize=True, symprec=tolerances[0]
    )
    lattice, fractional, species = primitive
    return Atoms(species, cell=lattice, scaled_positions=fractional, pbc=True)


def apart(group: int, cell: Array, sites: Array) -> bool:
    """Whether no crystal of another class is as near as `MARGIN`.

    Parameters
    ----------
    group : int
        Space group.
    cell : (3, 3) array
        Vectors in rows; any cell of the crystal.
    sites : (n, 3) array
        Fractional.
    """
    import spglib

    given: Any = (cell, sites, np.ones(len(sites)))
    found = answer_of(spglib.get_symmetry_dataset, given, symprec=MARGIN * _shortest(cell, sites))
    return found is not None and LABELS.get(found.number) == LABELS[group]


def _shortest(cell: Array, sites: Array) -> float:
    """Nearest-neighbour distance of a conventional cell, in its units."""
    steps = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3) @ cell
    # Equivalent by symmetry or not: every site has a neighbour among the images of a few.
    some = sites[:: max(1, len(sites) // 24)]
    difference = some[:, None] - sites
    difference -= np.rint(difference)
    lengths = np.linalg.norm((difference @ cell)[:, :, None] + steps, axis=-1)
    return float(lengths[lengths > 1e-6].min())
