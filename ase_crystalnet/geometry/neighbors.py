"""Points in space, found by place: balls of atoms, nearest neighbours; no list of pairs.

A tree (`scipy.spatial.cKDTree`) finds 250 neighbours of a place in 30-60 microseconds, most of
which goes into keeping them in order. Cubes of about half a ball's radius give the same ball, in no
order, in a tenth of that; see ``docs/performance.md``.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.threads import share
from ase_crystalnet._compute.types import Array

__all__ = ["CellList"]

#: Cubes along one axis at most; their numbers have to fit into a key.
MOST_STEPS = 2**20
#: Bits of one coordinate in a key of a cube.
BITS = 21
#: Cubes a point up to which there is a table of all of them.
MOST_CUBES = 4


class CellList:
    """Points sorted into cubes.

    Parameters
    ----------
    points : (N, 3) float64 array
        In open space: periodic images are points too.
    edge : float
        Wanted edge of a cube, in the points' unit; best a third to a half of the radii asked for.
        Empty space costs nothing.
    threads : int, optional
        Threads to share the centres; default: numba's number.
    labels : (N,) int64 array, optional
        What `cut` calls the points by; by default their indices.
    """

    def __init__(
        self,
        points: Array,
        edge: float,
        threads: int | None = None,
        labels: NDArray[np.int64] | None = None,
    ) -> None:
        from ase_crystalnet.geometry._neighbors_kernel import keys_of  # compiled on first use

        points = np.ascontiguousarray(points, np.float64)
        low, high = points.min(axis=0), points.max(axis=0)
        edge = max(float(edge), float((high - low).max()) / MOST_STEPS, 1e-12)
        keys = np.empty(len(points), np.int64)
        keys_of(points, low, edge, keys)
        self.threads = threads
        #: (N,) index of each sorted point among those given.
        self.order = np.argsort(keys, kind="stable")
        keys = keys[self.order]
        first = np.flatnonzero(np.append(True, np.diff(keys) != 0))
        starts = np.append(first, len(keys))
        steps = np.floor((high - low) / edge).astype(np.int64) + 1
        table = _table(keys[first], starts, steps)
        where = (low, edge, steps, keys[first], starts, table, points[self.order])
        self._where: tuple[Any, ...] = where
        self._labels = self.order if labels is None else labels[self.order]

    def cut(
        self, centers: Array, radii: Array, room: int
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """Points within a radius of each centre.

        Parameters
        ----------
        centers : (B, 3) array
        radii : (B,) array
        room : int
            Most points of a ball that are handed back.

        Returns
        -------
        relative : (B, room, 3) float32 array
            The points, relative to the centre; 0 after the last.
        found : (B, room) int64 array
            Their labels; -1 after the last.
        counts : (B,) int64 array
            All points in the ball, also those for which there was no room.
        """
        from ase_crystalnet.geometry._neighbors_kernel import cut

        centers = np.ascontiguousarray(centers, np.float64)
        radii = np.ascontiguousarray(radii, np.float64)
        relative = np.empty((len(centers), room, 3), np.float32)
        found = np.empty((len(centers), room), np.int64)
        counts = np.zeros(len(centers), np.int64)
        out = (self._labels, relative, found, counts)

        def part(start: int, stop: int) -> None:
            cut(centers, radii, start, stop, *self._where, *out)

        share(part, len(centers), self.threads)
        return relative, found, counts

    def nearest(self, centers: Array, count: int, radius: float) -> tuple[NDArray[np.int64], Array]:
        """Nearest points (B, count) to each centre within a radius, and their distances.

        -1 and inf where there are fewer.
        """
        from ase_crystalnet.geometry._neighbors_kernel import nearest

        centers = np.ascontiguousarray(centers, np.float64)
        found = np.empty((len(centers), count), np.int64)
        distances = np.empty((len(centers), count))

        def part(start: int, stop: int) -> None:
            nearest(centers, float(radius), start, stop, *self._where, found, distances)

        share(part, len(centers), self.threads)
        return np.where(found >= 0, self.order[found], -1), distances

    def sorted_distances(self, centers: Array, count: int, radius: float) -> Array:
        """Distances (B, count) of the nearest points to each centre within a radius, in order.

        inf where there are fewer.
        """
        centers = np.ascontiguousarray(centers, np.float64)
        out = np.empty((len(centers), count))
        room, todo = 4 * count, np.arange(len(centers))
        while len(todo):
            rows, some = centers[todo], np.empty((len(todo), count))
            part = partial(self._sorted_part, rows, float(radius), room, some)
            share(part, len(todo), self.threads)
            out[todo] = some
            todo = todo[some[:, 0] < 0]  # denser than thought: once more, with more room
            room *= 8
        return out

    def _sorted_part(
        self, rows: Array, radius: float, room: int, out: Array, start: int, stop: int
    ) -> None:
        from ase_crystalnet.geometry._neighbors_kernel import sorted_distances

        sorted_distances(rows, radius, start, stop, *self._where, room, out)


def _table(
    keys: NDArray[np.int64], starts: NDArray[np.int64], steps: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Where the points of every cube begin, empty ones too; no table where most are empty."""
    cubes = float(np.prod(steps.astype(float)))
    if cubes > MOST_CUBES * starts[-1] + 4096:
        return np.empty(0, np.int64)
    mask = (1 << BITS) - 1
    i, j, k = keys >> (2 * BITS), (keys >> BITS) & mask, keys & mask
    counts = np.zeros(int(cubes) + 1, np.int64)
    counts[1 + (i * steps[1] + j) * steps[2] + k] = np.diff(starts)
    return np.cumsum(counts)
