"""Local density of the material, and from it the radius of a window at any place.

The distance to the k-th nearest atom gives the density inside the material, but at a surface it
reaches into the vacuum and overestimates the volume. So it is evaluated at probe atoms spread over
the structure, and a place takes a low quantile over the probes within its window: those that lie
deepest in the densest material nearby. A thin film or a small particle has no such deep atom; there
smaller k, which reach less far, take over.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ase_crystalnet._compute.threads import thread_number
from ase_crystalnet.geometry.neighbors import CellList
from ase_crystalnet.geometry.periodic import PeriodicSpace

#: Up to this many atoms each one is a probe: then the radii are exactly the same whatever the
#: order, translation or rotation of the atoms. Beyond, they agree statistically (below 1 %).
ALL_PROBES = 1000
#: Atoms from which the volume of an atom is taken.
SAMPLE = 4096
#: Atoms a probe stands for in larger structures.
ATOMS_PER_PROBE = 12
#: Quantile over the probes of a window, of the radius.
QUANTILE = 0.1
#: Neighbour counts as shares of `window_atoms`, and how much denser (natural logarithm) the
#: material must look with each before it overrules the whole window. A smaller count fluctuates
#: more (vacancies) and sees the motif (a molecule, a layer) rather than the crystal.
LEVELS = ((1.0, 0.0), (0.5, 0.1), (0.25, 0.2), (0.125, 0.3))
#: Radii are at most this many times the median one: gas around a crystal needs no larger window
#: (it will be found sparse), and the layer of ghost images stays bounded.
LARGEST = 3.0
#: A structure without periodic directions is one region if it holds at most this many windows.
WHOLE = 4
#: Probes of a window there is room for at first, and at most.
FEW, MANY = 48, 512


@dataclass(frozen=True)
class RadiusField:
    """Window radii at probes.

    Attributes
    ----------
    tree : scipy.spatial.cKDTree
        Probes and their periodic images.
    radius : (P,) float64 array
        Window radius at each row of the tree, Angstrom.
    nearest_neighbor_distance : float
        Median over the probes, Angstrom; nan if there is one atom only.
    largest : float
        Largest radius, Angstrom.
    """

    tree: Any
    radius: NDArray[np.float64]
    nearest_neighbor_distance: float
    largest: float


def estimate_radii(
    space: PeriodicSpace, positions: NDArray[np.float64], window_atoms: int, workers: int = -1
) -> RadiusField:
    """Window radii all over a structure.

    Parameters
    ----------
    space : PeriodicSpace
        The cell.
    positions : (N, 3) float array
        Positions wrapped into the reduced cell, Angstrom.
    window_atoms : int
        Atoms in a window inside the material.
    workers : int
        Threads of the neighbour search.
    """
    volume = _atom_volume(positions, workers)
    probes, weight = _probes(space, positions, volume)
    levels, nearest = _probe_radii(space, positions, probes, weight, window_atoms, volume, workers)
    apart = nearest[np.isfinite(nearest)]
    if len(apart) and np.median(apart) == 0.0:  # every second atom doubled
        apart = apart[apart > 0.0]
    spacing = float(np.median(apart)) if len(apart) else float("nan")

    cap = LARGEST * _weighted_median(levels[0], weight)
    if cap <= 0.0:  # a lone atom, or all atoms in one place
        cap = 1.0
    levels = np.minimum(levels, cap)
    smooth = _low_quantile(space, positions[probes], levels, workers)
    allowed = np.exp(np.array([margin for _, margin in LEVELS]) / 3.0)
    radius = np.maximum((smooth * allowed[:, None]).min(axis=0), 1e-9)
    ghosts, source = space.with_ghosts(positions[probes], float(radius.max()))
    return RadiusField(
        tree=cKDTree(ghosts),
        radius=radius[source],
        nearest_neighbor_distance=spacing,
        largest=float(radius.max()),
    )


def uniform_radius(
    space: PeriodicSpace, positions: NDArray[np.float64], radius: float, workers: int = -1
) -> RadiusField:
    """One given radius (Angstrom) everywhere; parameters as for `estimate_radii`."""
    images, _ = space.with_ghosts(positions, radius)
    some = positions[:: max(len(positions) // ALL_PROBES, 1)]
    tree = cKDTree(images, leafsize=32, balanced_tree=False, compact_nodes=False)
    nearest = tree.query(some, k=[2], workers=workers)[0]
    apart = nearest[np.isfinite(nearest)]
    return RadiusField(
        tree=cKDTree(positions[:1]),
        radius=np.array([radius]),
        nearest_neighbor_distance=float(np.median(apart)) if len(apart) else float("nan"),
        largest=radius,
    )


def _atom_volume(positions: NDArray[np.float64], workers: int) -> float:
    """Volume of an atom in the material, Angstrom^3, whatever the empty space.

    From the distance of the eighth neighbour, which noise changes little; 0 for fewer atoms.
    """
    some = positions[:: max(len(positions) // SAMPLE, 1)]
    tree = cKDTree(positions, leafsize=32, balanced_tree=False, compact_nodes=False)
    eighth = tree.query(some, k=[9], workers=workers)[0]
    eighth = eighth[np.isfinite(eighth)]
    if not len(eighth):
        return 0.0
    return 4.0 * np.pi / 3.0 * float(np.median(eighth)) ** 3 / 8.5


def _probes(
    space: PeriodicSpace, positions: NDArray[np.float64], volume: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Indices of the probe atoms, one per voxel, and the number of atoms in each's voxel."""
    count = len(positions)
    if count <= ALL_PROBES:
        return np.arange(count), np.ones(count)
    edge = max((ATOMS_PER_PROBE * volume) ** (1.0 / 3.0), 1e-6)
    fractional = positions @ np.linalg.inv(space.reduced)
    fractional -= np.where(space.pbc, 0.0, fractional.min(axis=0))
    steps = np.maximum(np.rint(np.linalg.norm(space.reduced, axis=1) / edge), 1.0)
    steps = np.where(space.pbc, steps, 1.0 / edge)
    scaled = fractional * steps
    voxel = np.floor(scaled)
    away = ((scaled - voxel - 0.5) ** 2).sum(axis=1)
    order = np.lexsort((away, voxel[:, 2], voxel[:, 1], voxel[:, 0]))
    new = np.ones(count, dtype=bool)
    new[1:] = (np.diff(voxel[order], axis=0) != 0).any(axis=1)
    first = np.flatnonzero(new)
    return order[first], np.diff(np.append(first, count)).astype(np.float64)


def _probe_radii(
    space: PeriodicSpace,
    positions: NDArray[np.float64],
    probes: NDArray[np.int64],
    weight: NDArray[np.float64],
    window_atoms: int,
    volume: float,
    workers: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Window radius by each level (L, P), inf where unbounded, and nearest neighbour (P,)."""
    finite = not space.pbc.any()
    width = min(window_atoms, len(positions)) if finite else window_atoms
    levels = np.full((len(LEVELS), len(probes)), np.inf)
    nearest = np.full(len(probes), np.inf)
    todo = np.arange(len(probes))
    # A cluster is one region. Elsewhere the first guess is a little more than a window's
    # radius in the bulk; probes at a surface need more.
    whole = finite and len(positions) <= WHOLE * window_atoms
    depth = 1.15 * (3.0 * window_atoms * volume / (4.0 * np.pi)) ** (1.0 / 3.0)
    if depth == 0.0:
        depth = _box_depth(space, positions, window_atoms)
    while True:
        images, _ = space.with_ghosts(positions, 0.0 if finite else depth)
        if whole:
            tree = cKDTree(images, leafsize=32, balanced_tree=False, compact_nodes=False)
        else:
            cells = CellList(images, depth / 2.5, threads=thread_number(workers))
        for start in range(0, len(todo), 4096):
            rows = todo[start : start + 4096]
            places = positions[probes[rows]]
            if whole:
                distance, _ = tree.query(places, k=list(range(1, width + 1)), workers=workers)
            else:
                distance = cells.sorted_distances(places, width, depth)
            for number, (share, _) in enumerate(LEVELS):
                levels[number, rows] = _level_radius(distance, window_atoms, share)
            if width > 1:
                nearest[rows] = distance[:, 1]
        todo = todo[~np.isfinite(levels[0, todo])]
        enough = LARGEST * _weighted_median(levels[0], weight)
        if whole or not len(todo) or depth >= enough:
            return levels, nearest
        # Not far enough: look farther, for those probes alone.
        depth = min(1.4 * depth, enough)


def _box_depth(space: PeriodicSpace, positions: NDArray[np.float64], window_atoms: int) -> float:
    """Guess of a window's radius from the mean density of the occupied box."""
    along = positions @ np.linalg.inv(space.reduced)
    span = np.where(space.pbc, 1.0, np.ptp(along, axis=0) + 2.0)
    volume = abs(float(np.linalg.det(space.reduced))) * float(np.prod(span))
    return float(1.15 * (3.0 * window_atoms * volume / len(positions) / (4.0 * np.pi)) ** (1 / 3))


def _level_radius(
    distance: NDArray[np.float64], window_atoms: int, share: float
) -> NDArray[np.float64]:
    """Window radius (P,) by the density that the nearest ``share * window_atoms`` atoms show.

    The third moment is used, sum_j r_j^3 = 3 / (4 pi density) * k^2 / 2 for j = 0 .. k-1, not the
    last distance alone, which jumps from shell to shell.
    """
    count = min(max(int(share * window_atoms), 8), distance.shape[1])
    cubes = (distance[:, :count] ** 3).sum(axis=1)
    return np.asarray((window_atoms * cubes * 2.0 / count**2) ** (1.0 / 3.0))


def _low_quantile(
    space: PeriodicSpace,
    points: NDArray[np.float64],
    levels: NDArray[np.float64],
    workers: int,
) -> NDArray[np.float64]:
    """Low quantile (L, P) of each level's radius over the probes within each probe's window."""
    reach = levels[0]
    images, source = space.with_ghosts(points, float(reach.max()))
    cells = CellList(images, float(np.median(reach)) / 2.5, threads=thread_number(workers))
    result = np.empty((len(levels), len(points)))
    for start in range(0, len(points), 4096):
        rows = slice(start, start + 4096)
        bound = reach[rows] * (1 + 1e-9) + 1e-9
        room = FEW
        found, counts = cells.cut(points[rows], bound, room)[1:]
        if counts.max() > room:
            room = min(int(counts.max()), MANY)
            found, counts = cells.cut(points[rows], bound, room)[1:]
        inside = found >= 0
        near = np.where(inside, source[found], 0)
        rank = np.floor(QUANTILE * (np.minimum(counts, room) - 1)).astype(np.int64)
        for number, radius in enumerate(levels):
            values = np.sort(np.where(inside, radius[near], np.inf), axis=1)
            result[number, rows] = values[np.arange(len(values)), rank]
    return result


def _weighted_median(values: NDArray[np.float64], weight: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    share = np.cumsum(weight[order]) / weight.sum()
    return float(values[order][np.searchsorted(share, 0.5)])
