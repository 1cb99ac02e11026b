"""Places from coarse to fine: a few all over the structure, then those between, then the rest.

Nested cubes say which places come first and which of those are near a later one. Both follow from
the places alone, not from their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.geometry.periodic import PeriodicSpace

__all__ = ["Level", "coarse_to_fine"]

Numbers = NDArray[np.int64]

#: Corners of a cube: its own cube and the seven on the sides to which a place lies.
CORNERS = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)])
#: Distances, in edges of a cube, that are told apart: equal ones are equal after rounding too.
TOLD_APART = 1e-6


@dataclass(frozen=True, eq=False)
class Level:
    """Places of one level and the earlier ones around them.

    Attributes
    ----------
    rows : (K,) integer array
        Places, ascending.
    near : (K, 8) integer array
        Earlier places, of all levels before, in the cubes around each, nearest first; -1 after the
        last. At most one a cube; none on the first level.
    """

    rows: Numbers
    near: Numbers


@dataclass(frozen=True, eq=False)
class _Cubes:
    """Cubes of one size: where they begin, and the first place in each of those that hold one."""

    steps: Array
    keys: Numbers
    first: Numbers


def coarse_to_fine(
    space: PeriodicSpace, points: Array, edge: float, doublings: int = 3
) -> list[Level]:
    """Levels of places, each between those of the levels before.

    Of every cube of edge ``edge * 2^doublings`` the place nearest to its middle is of the first
    level; then cubes of half that edge, and so on to `edge`; all other places are of the last.

    Parameters
    ----------
    space : PeriodicSpace
    points : (W, 3) array
        Angstrom; none may be there twice where the result is not to depend on their order.
    edge : float
        Wanted edge of the smallest cubes, Angstrom. Along periodic directions it is the nearest one
        that fits.
    doublings : int
        Sizes of cubes beside the smallest one.
    """
    wrapped = space.wrap(np.asarray(points, np.float64))
    fractional = wrapped @ np.linalg.inv(space.reduced)
    if len(points):
        fractional -= np.where(space.pbc, 0.0, fractional.min(axis=0))
    lengths = np.linalg.norm(space.reduced, axis=1)
    coarse = np.maximum(np.rint(lengths / (edge * 2**doublings)), 1.0)
    sizes: list[_Cubes] = []
    chosen = np.arange(len(points))
    for size in range(doublings + 1):
        steps = np.where(space.pbc, coarse * 2 ** (doublings - size), 1 / (edge * 2**size))
        scaled = fractional[chosen] * steps
        cube = _inside(np.floor(scaled), steps, space.pbc)
        # Skew and unequal edges do not matter: any measure of the middle will do.
        away = np.rint(((scaled - cube - 0.5) ** 2).sum(axis=1) / TOLD_APART)
        keys = _keys(cube)
        order = np.lexsort((*fractional[chosen].T, away, keys))
        begin = np.flatnonzero(np.append(True, np.diff(keys[order]) != 0))
        begin = begin[: len(order)]
        chosen = chosen[order[begin]]
        sizes.append(_Cubes(steps, keys[order[begin]], chosen))
    levels = []
    done = np.zeros(len(points), bool)
    before: _Cubes | None = None
    for cubes in [*reversed(sizes), None]:
        mine = ~done if cubes is None else np.zeros(len(points), bool)
        if cubes is not None:
            mine[cubes.first] = True
            mine &= ~done
        rows = np.flatnonzero(mine)
        done[rows] = True
        if len(rows):
            levels.append(Level(rows, _around(space, fractional, rows, before)))
        before = cubes
    return levels


def _inside(cube: Array, steps: Array, periodic: NDArray[np.bool_]) -> Array:
    """Cubes (K, 3) wrapped, as rounding may put a place on a face into the next cell."""
    return np.where(periodic, cube % np.where(periodic, steps, 1.0), cube)


def _keys(cube: Array) -> Numbers:
    """One number a cube (..., 3); a little room for cubes outside."""
    i, j, k = np.moveaxis(cube.astype(np.int64) + 2, -1, 0)
    return np.asarray((i << 42) | (j << 21) | k)


def _around(
    space: PeriodicSpace, fractional: Array, rows: Numbers, cubes: _Cubes | None
) -> Numbers:
    """First places of the eight cubes around each row, nearest first; -1 after the last."""
    if cubes is None:
        return np.full((len(rows), len(CORNERS)), -1)
    scaled = fractional[rows] * cubes.steps
    own = np.floor(scaled)
    side = np.where(scaled - own < 0.5, -1.0, 1.0)
    corner = own[:, None] + CORNERS * side[:, None]
    keys = _keys(_inside(corner, cubes.steps, space.pbc))
    place = np.minimum(np.searchsorted(cubes.keys, keys), len(cubes.keys) - 1)
    near = np.where(cubes.keys[place] == keys, cubes.first[place], -1)
    step = fractional[near] - fractional[rows, None]
    step -= np.where(space.pbc, np.rint(step), 0.0)
    square = ((step @ space.reduced) ** 2).sum(axis=2)
    square = np.rint(square / (TOLD_APART * square.max(initial=1e-12)))
    square[near < 0] = np.inf
    # One place may stand in several of the cubes where the cell has few of them.
    for later in range(1, near.shape[1]):
        again = (near[:, :later] == near[:, later : later + 1]).any(axis=1)
        square[again, later] = np.inf
    near = np.where(np.isfinite(square), near, -1)
    return np.asarray(np.take_along_axis(near, np.argsort(square, axis=1, kind="stable"), axis=1))
