"""Stackings of hexagonal layers: polytypes of close-packed metals, of diamond and of graphite.

A stacking of period p is a word of p signs: each layer is shifted by +1/3 or -1/3 of the long
diagonal against the one below. Words whose shifts add up to a lattice vector make hexagonal cells
of p layers, others rhombohedral ones of 3 p. Which words have space group 194 or 166 spglib says.
"""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet._compute.types import Array

__all__ = ["close_packed", "graphite", "letters_of", "stackings", "words"]

#: Longest period, in layers; rhombohedral cells are three times as high.
PERIOD = {166: 7, 194: 8}
#: Places of the letters A, B, C in a hexagonal layer, fractional.
SITES = np.array([(0.0, 0.0), (1 / 3, 2 / 3), (2 / 3, 1 / 3)])
#: Kind of layer, its share, thickness of a layer in units of a (of itself; relaxed from .. to).
KINDS = (
    ("close-packed", 0.4, (2 / 3) ** 0.5, (0.76, 0.9)),
    ("diamond", 0.4, (2 / 3) ** 0.5, (0.78, 0.86)),
    ("graphite", 0.2, 1.363, (1.2, 2.0)),
)


@cache
def words(group: int) -> tuple[tuple[int, ...], ...]:
    """Words of signs with space group 166 or 194, one of each set that differs by naming only."""
    import spglib

    found: set[tuple[int, ...]] = set()
    result = []
    for period in range(2, PERIOD[group] + 1):
        for word in product((1, -1), repeat=period):
            turned = [word[k:] + word[:k] for k in range(period)]
            same = turned + [w[::-1] for w in turned]
            same += [tuple(-s for s in w) for w in same]
            if found.intersection(same):
                continue
            found.add(word)
            cell, sites = close_packed(word, (2 / 3) ** 0.5 * 1.02)
            # A multiple of a shorter word shows itself by a smaller primitive cell.
            given: Any = (cell, sites, np.ones(len(sites)))
            data: Any = answer_of(spglib.get_symmetry_dataset, given, symprec=1e-3)
            primitive = np.bincount(data.mapping_to_primitive).max()
            whole = 3 if data.number == 166 and len(sites) == 3 * period else 1
            if data.number == group and primitive == whole:
                result.append(word)
    return tuple(result)


def letters_of(word: tuple[int, ...]) -> NDArray[np.int64]:
    """Place (0, 1, 2 for A, B, C) of each layer of the hexagonal cell of a word."""
    repeats = 1 if sum(word) % 3 == 0 else 3
    return np.concatenate([[0], np.cumsum(np.tile(word, repeats))[:-1]]) % 3


def _hexagonal(height: float) -> Array:
    return np.array([[1, 0, 0], [-0.5, 0.75**0.5, 0], [0, 0, height]])


def close_packed(word: tuple[int, ...], thickness: float) -> tuple[Array, Array]:
    """Cell (3, 3), a = 1, and fractional sites (layers, 3) of one atom a layer.

    Parameters
    ----------
    word : tuple of int
        Shifts of the layers, each +1 or -1.
    thickness : float
        Of a layer, in units of a.
    """
    letters = letters_of(word)
    heights = np.arange(len(letters)) / len(letters)
    return _hexagonal(thickness * len(letters)), np.column_stack([SITES[letters], heights])


def graphite(word: tuple[int, ...], thickness: float) -> tuple[Array, Array]:
    """The same of layers that are honeycombs, each hollow at its letter; sites (2 layers, 3)."""
    cell, sites = close_packed(word, thickness)
    letters = letters_of(word)
    honeycombs = [np.column_stack([SITES[(letters + s) % 3], sites[:, 2]]) for s in (1, 2)]
    return cell, np.vstack(honeycombs)


def stackings(group: int, rng: np.random.Generator) -> tuple[str, Array, Array]:
    """A random stacking: its name, hexagonal cell (rows, a = 1) and fractional sites.

    Parameters
    ----------
    group : int
        166 or 194.
    rng : numpy.random.Generator
    """
    kind, _, thickness, relaxed = KINDS[rng.choice(len(KINDS), p=[k[1] for k in KINDS])]
    known = words(group)
    # Short periods are the common ones.
    weights = np.array([1.0 / len(w) ** 2 for w in known])
    word = known[rng.choice(len(known), p=weights / weights.sum())]
    if rng.random() < 0.7:
        thickness = rng.uniform(*relaxed)
    cell, sites = close_packed(word, thickness)
    letters, layers = letters_of(word), len(sites)
    if kind == "diamond":  # each layer is a pair of atoms; three quarters of a layer apart
        up = 0.75 * rng.normal(1.0, 0.01)
        sites = np.vstack([sites, sites + np.array([0.0, 0.0, up / layers])])
    elif kind == "graphite":
        cell, sites = graphite(word, thickness)
    symbols = "".join("ABC"[x] for x in letters)
    return f"{kind} {symbols if layers <= 12 else symbols[:12] + '..'}", cell, sites % 1.0
