"""Crystals of the structure types, and crystals of none of them.

What a structure is called does not change when it is strained: indium, 5 % from fcc, is strained
fcc. So a lattice of one atom is named by its nearest cubic parent where that is within the limit of
strain, and only beyond it by its own symmetry.

Crystals of no type are drawn by symmetry: a space group, some of its special positions, a cell of
its crystal system. What comes out as one of the types when all atoms count alike is drawn again;
fluorite, perovskite, Laves phases and A15 are among the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase.geometry import cellpar_to_cell
from numpy.typing import NDArray

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet._compute.types import Array
from ase_crystalnet.classes import STRUCTURES
from ase_crystalnet.crystals.prototypes import operations_of
from ase_crystalnet.crystals.sampling import Crystal, prototype
from ase_crystalnet.crystals.stackings import close_packed, graphite, letters_of, words
from ase_crystalnet.lattice.strain import PARENTS, STRAIN_LIMIT, nearest_parent

__all__ = [
    "BAND",
    "STRUCTURE_TYPES",
    "real_crystals",
    "sample_other",
    "sample_structure",
    "target_of",
    "type_of",
]

#: Lattices so near the limit are not drawn: one window cannot tell on which side they are.
BAND = 0.012

# Prototype, share of its type, ranges of its parameters.
_KINDS: dict[str, list[tuple[str, float, tuple[tuple[float, float], ...]]]] = {
    "fcc": [("fcc", 1.0, ())],
    "bcc": [("bcc", 1.0, ())],
    "sc": [("sc", 1.0, ())],
    "diam": [("diam", 1.0, ())],
    "hcp": [("hcp", 0.6, ((1.5, 1.95),)), ("hcp", 0.4, ((1.56, 1.7),))],
    "dhcp": [("dhcp", 1.0, ((3.05, 3.45),))],
    "hexdiam": [("hexdiamond", 1.0, ((1.56, 1.72),))],
    "graphite": [("graphite", 0.75, ((2.35, 3.4),)), ("rgraphite", 0.25, ((3.5, 5.1),))],
    "bct141": [("bct141", 0.85, ((0.45, 0.8),)), ("bct141", 0.15, ((0.8, 1.2),))],
    "rh": [
        ("rh", 0.3, ((0.42, 3.3),)),
        ("rh", 0.15, ((1.7, 2.1),)),
        ("alpha-As", 0.55, ((2.5, 3.0), (0.215, 0.2365))),
    ],
    "bct139": [("bct139", 0.6, ((0.62, 2.1),)), ("bct139", 0.4, ((0.76, 0.86),))],
}
STRUCTURE_TYPES = tuple(_KINDS)
"""Types that `sample_structure` draws: `STRUCTURES` without 'other' and 'disordered'."""

#: Space group and atoms in the primitive cell of each type, all atoms alike. Other crystals of the
#: same pair exist (group 194 with four atoms); they are not drawn as crystals of no type.
_TYPE_OF_GROUP: dict[tuple[int, int], str] = {
    (225, 1): "fcc", (229, 1): "bcc", (221, 1): "sc", (227, 2): "diam", (194, 2): "hcp",
    (194, 4): "dhcp", (141, 2): "bct141", (139, 1): "bct139", (166, 1): "rh", (166, 2): "rh",
}  # fmt: skip


def cubic_parent(lattice: Array) -> str | None:
    """Cubic parent of a lattice (3, 3) within the limit of strain; '' in the band around it."""
    found = nearest_parent(np.asarray(lattice)[None], STRAIN_LIMIT + BAND)
    if found.parent[0] < 0 or found.parent[0] > 2:
        return None
    return PARENTS[found.parent[0]] if found.size[0] < STRAIN_LIMIT - BAND else ""


def sample_structure(name: str, rng: np.random.Generator) -> Crystal:
    """A crystal of a structure type, its parameters drawn from their whole range.

    Parameters
    ----------
    name : str
        One of `STRUCTURE_TYPES`.
    rng : numpy.random.Generator

    Returns
    -------
    Crystal
        `target` is of `STRUCTURES`. A lattice on the rhombohedral path that is within the limit of
        strain of a cubic one is named by that; near the limit it says nothing. On the Bain path
        such lattices are drawn again.
    """
    kinds = _KINDS[name]
    while True:
        kind, _, ranges = kinds[rng.choice(len(kinds), p=[k[1] for k in kinds])]
        parameters = tuple(float(rng.uniform(*r)) for r in ranges)
        cell, sites = prototype(kind, *parameters)
        parent = None
        if kind in ("rh", "bct139"):
            # Two edges and the first centring: a primitive basis of one atom a cell.
            parent = cubic_parent(np.vstack([cell[:2], (sites @ cell)[1]]))
        if kind == "bct139" and parent is not None:
            continue
        if parent == "":
            return Crystal(kind, np.full(len(STRUCTURES), 1 / len(STRUCTURES)), cell, sites)
        return Crystal(kind, target_of(parent or name), cell, sites)


def target_of(name: str) -> Array:
    """Probabilities (C,) of `STRUCTURES` that are 1 for one of them."""
    return np.eye(len(STRUCTURES))[STRUCTURES.index(name)]


# ------------------------------------------------------------------ crystals of no type
#: Crystal systems by their first space group, and how often each is drawn.
_SYSTEMS = ((1, 0.05), (3, 0.12), (16, 0.18), (75, 0.17), (143, 0.09), (168, 0.15), (195, 0.24))
_COORDINATES = (0, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 3 / 8, 1 / 2, 5 / 8, 2 / 3, 3 / 4, 5 / 6, 7 / 8)
#: Least distance of atoms, in cube roots of the volume per atom: real crystals have 0.55 to 1.12.
_LEAST_DISTANCE = 0.62
#: Molecules and hydrogen bonds are shorter; so many of the crystals may be so.
_OPEN_SHARE, _OPEN_DISTANCE = 0.15, 0.45
_MOST_SITES = 24
#: Share of polytypes among the crystals of no type.
_STACKED_SHARE = 0.06


def _random_cell(group: int, rng: np.random.Generator) -> Array:
    a, b, c = rng.uniform(0.7, 1.6, 3)
    lengths: tuple[float, float, float]
    angles: tuple[float, float, float]
    alpha, beta, gamma = rng.uniform(70, 110, 3)
    if group >= 195:
        lengths, angles = (1, 1, 1), (90, 90, 90)
    elif group >= 143:  # rhombohedral groups in hexagonal axes, as spglib's first setting has them
        lengths, angles = (1, 1, rng.uniform(0.4, 3.0)), (90, 90, 120)
    elif group >= 75:
        lengths, angles = (1, 1, rng.uniform(0.4, 2.6)), (90, 90, 90)
    elif group >= 16:
        lengths, angles = (a, b, c), (90, 90, 90)
    elif group >= 3:
        lengths, angles = (a, b, c), (90, beta, 90)
    else:
        lengths, angles = (a, b, c), (alpha, beta, gamma)
    cell: Array = cellpar_to_cell([*lengths, *angles])
    return cell


def _distances(cell: Array, sites: Array) -> Array:
    shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3)
    offset = sites[:, None] - sites[None]
    offset -= np.rint(offset)
    vectors = (offset[:, :, None] + shifts) @ cell
    lengths = np.linalg.norm(vectors, axis=-1)
    return np.asarray(lengths[lengths > 1e-6])


def _all_images(group: int, point: Array) -> Array:
    rotations, translations = operations_of(group)
    images = (rotations @ point + translations) % 1.0
    kept: list[Array] = []
    for image in images:
        if not kept or np.abs((d := np.array(kept) - image) - np.rint(d)).max(axis=1).min() > 1e-5:
            kept.append(image)
    return np.array(kept)


def _by_symmetry(rng: np.random.Generator) -> tuple[Array, Array] | None:
    starts = [s for s, _ in _SYSTEMS] + [231]
    system = rng.choice(len(_SYSTEMS), p=[share for _, share in _SYSTEMS])
    group = int(rng.integers(starts[system], starts[system + 1]))
    cell = _random_cell(group, rng)
    sites = np.empty((0, 3))
    for _ in range(int(rng.integers(1, 4))):
        special = rng.random(3) < (0.9 if group >= 75 else 0.6)
        point = np.where(special, rng.choice(_COORDINATES, 3), rng.random(3))
        if rng.random() < 0.3:  # a mirror or a threefold axis through the cell
            point[1] = point[0]
            if rng.random() < 0.5:
                point[2] = point[0]
        sites = np.concatenate([sites, _all_images(group, point)])
        if len(sites) > 4 * _MOST_SITES:
            return None
    nearest = _distances(cell, sites)
    spacing = np.cbrt(abs(np.linalg.det(cell)) / len(sites))
    least = _OPEN_DISTANCE if rng.random() < _OPEN_SHARE else _LEAST_DISTANCE
    if len(nearest) == 0 or nearest.min() < least * spacing:
        return None
    return cell / nearest.min(), sites


def _long_stacking(rng: np.random.Generator) -> tuple[Array, Array]:
    """Polytypes of close-packed and graphite layers that are no type of their own."""
    while True:
        found = [w for group in (166, 194) for w in words(group)]
        word = found[rng.integers(len(found))]
        letters = letters_of(word)
        around = np.roll(letters, 1) != np.roll(letters, -1)  # A between B and C: fcc-like
        cubic = around.mean()
        if len(word) <= 2 or cubic > 0.7 or (len(letters) == 4 and abs(cubic - 0.5) < 0.01):
            continue
        kind = rng.random()
        cell, sites = close_packed(word, rng.uniform(0.79, 0.84))
        if kind < 0.4:  # diamond: each layer is a pair of atoms, three quarters of a layer apart
            sites = np.vstack([sites, sites + np.array([0.0, 0.0, 0.75 / len(sites)])])
        elif kind < 0.5:
            cell, sites = graphite(word, rng.uniform(1.2, 1.7))
        if len(sites) <= _MOST_SITES:
            return cell / _distances(cell, sites).min(), sites


def type_of(cell: Array, sites: Array) -> tuple[str, int]:
    """Structure type of a crystal whose atoms all count alike, and atoms of its primitive cell.

    Parameters
    ----------
    cell : (3, 3) array
        Rows, nearest-neighbour distance 1.
    sites : (n, 3) array
        Fractional.

    Returns
    -------
    str
        One of the types; 'other' if it is none of them, '' if that is hard to say: so near a type
        that a window cannot tell, or a lattice near the limit of strain.
    int
    """
    import spglib

    given: Any = (cell, sites, np.ones(len(sites)))
    for tolerance in (0.06, 0.01):
        data: Any = answer_of(spglib.get_symmetry_dataset, given, symprec=tolerance)
        if data is None:
            return "", 0
        primitive = len(np.unique(data.mapping_to_primitive))
        name = _TYPE_OF_GROUP.get((int(data.number), primitive))
        if name is not None:
            break
    if name is None and primitive == 1:
        name = "bct139"  # a lattice: named by its cubic parent, or a crystal of no type
    if name is None:
        return _near_a_type(given, primitive), primitive
    if primitive == 1:
        lattice: Any = answer_of(spglib.find_primitive, given, symprec=tolerance)
        parent = cubic_parent(lattice[0])
        if parent is not None:
            return parent, 1
        return (name if (int(data.number), 1) in _TYPE_OF_GROUP else "other"), 1
    return ("" if primitive == 4 else name), primitive


def _near_a_type(given: Any, primitive: int) -> str:
    """'' where a crystal of few atoms is a strained diamond, hcp or the like; else 'other'."""
    import spglib

    if primitive > 4:
        return "other"
    coarse: Any = answer_of(spglib.get_symmetry_dataset, given, symprec=0.12)
    if coarse is None:
        return ""
    atoms = len(np.unique(coarse.mapping_to_primitive))
    return "" if (int(coarse.number), atoms) in _TYPE_OF_GROUP else "other"


def sample_other(
    rng: np.random.Generator, given: tuple[tuple[Array, Array], ...] = (), given_share: float = 0.5
) -> Crystal:
    """A crystal of no type.

    Parameters
    ----------
    rng : numpy.random.Generator
    given : tuple of (cell, sites)
        Real crystals to draw from.
    given_share : float
        How often, where there are some.
    """
    if rng.random() < _STACKED_SHARE:
        cell, sites = _long_stacking(rng)
        return Crystal("stacking", target_of("other"), cell, sites)
    real = bool(given) and rng.random() < given_share
    while True:
        if real:
            drawn: tuple[Array, Array] | None = given[rng.integers(len(given))]
        else:
            drawn = _by_symmetry(rng)
        if drawn is None:
            continue
        found, atoms = type_of(*drawn)
        if found == "other" and atoms <= _MOST_SITES:
            name = "real crystal" if real else "by symmetry"
            return Crystal(name, target_of("other"), *drawn)


def real_crystals(cells: list[tuple[Array, NDArray[Any]]]) -> tuple[tuple[Array, Array], ...]:
    """Cells and sites of real crystals, as `sample_other` takes them: nearest distance 1.

    Parameters
    ----------
    cells : list of (cell (3, 3), fractional sites (n, 3))
        Angstrom; primitive cells of few atoms.

    Returns
    -------
    tuple
        Those that are of no type when all atoms count alike.
    """
    kept = []
    for cell, sites in cells:
        near = _distances(np.asarray(cell), np.asarray(sites))
        if len(near) == 0:
            continue
        unit = np.asarray(cell) / near.min()
        if type_of(unit, np.asarray(sites))[0] == "other":
            kept.append((unit, np.asarray(sites)))
    return tuple(kept)
