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

__all__ = ["stackings", "words"]

Array = NDArray[np.float64]

#: Longest period, in layers; rhombohedral cells are three times as high.
PERIOD = {166: 7, 194: 8}
_SITES = np.array([(0.0, 0.0), (1 / 3, 2 / 3), (2 / 3, 1 / 3)])
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
            cell, sites = _close_packed(word, (2 / 3) ** 0.5 * 1.02)
            # A multiple of a shorter word shows itself by a smaller primitive cell.
            given: Any = (cell, sites, np.ones(len(sites)))
            data: Any = spglib.get_symmetry_dataset(given, symprec=1e-3)
            primitive = np.bincount(data.mapping_to_primitive).max()
            whole = 3 if data.number == 166 and len(sites) == 3 * period else 1
            if data.number == group and primitive == whole:
                result.append(word)
    return tuple(result)


def _letters(word: tuple[int, ...]) -> NDArray[np.int64]:
    repeats = 1 if sum(word) % 3 == 0 else 3
    return np.concatenate([[0], np.cumsum(np.tile(word, repeats))[:-1]]) % 3


def _hexagonal(height: float) -> Array:
    return np.array([[1, 0, 0], [-0.5, 0.75**0.5, 0], [0, 0, height]])


def _close_packed(word: tuple[int, ...], thickness: float) -> tuple[Array, Array]:
    letters = _letters(word)
    heights = np.arange(len(letters)) / len(letters)
    return _hexagonal(thickness * len(letters)), np.column_stack([_SITES[letters], heights])


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
    cell, sites = _close_packed(word, thickness)
    letters, layers = _letters(word), len(sites)
    if kind == "diamond":  # each layer is a pair of atoms; three quarters of a layer apart
        up = 0.75 * rng.normal(1.0, 0.01)
        sites = np.vstack([sites, sites + np.array([0.0, 0.0, up / layers])])
    elif kind == "graphite":  # each layer is a honeycomb, hollow at its letter
        sites = np.vstack(
            [np.column_stack([_SITES[(letters + s) % 3], sites[:, 2]]) for s in (1, 2)]
        )
    symbols = "".join("ABC"[x] for x in letters)
    return f"{kind} {symbols if layers <= 12 else symbols[:12] + '..'}", cell, sites % 1.0
