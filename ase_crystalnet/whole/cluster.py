"""Clusters of about 250 atoms in the standard setting, cut from a whole structure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.whole.average_cell import AverageCell, average_cell
from ase_crystalnet.whole.average_lattice import NoLatticeError

__all__ = [
    "CLUSTER_SIZE",
    "cell_cluster",
    "cluster_of",
    "padded",
    "perfect_supercell",
    "repetitions",
    "scaled_clusters",
    "standard_cluster",
    "standard_conventional_cell",
]


#: Sites of a cluster (Ziletti et al., Methods).
CLUSTER_SIZE = 250


def standard_conventional_cell(atoms: Atoms) -> Atoms:
    """Standard cell of the average crystal: triclinic convention, nothing symmetrised.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in all directions, or finite; any supercell, orientation and order of atoms.

    Returns
    -------
    ase.Atoms
        The reduced primitive cell, a along x, b in the xy plane. Defects are averaged out: each
        site is at its mean position with its commonest species.

    Raises
    ------
    NoLatticeError
        No lattice is found.
    InputError
        The structure is periodic in one or two directions only.
    """
    cell = average_cell(atoms)
    return Atoms(cell.numbers, cell=cell.lattice, scaled_positions=cell.sites, pbc=True)


def perfect_supercell(atoms: Atoms, size: int = CLUSTER_SIZE) -> Atoms:
    """Periodic supercell of about `size` sites: the standard cell, repeated compactly."""
    cell = average_cell(atoms)
    unit = Atoms(cell.numbers, cell=cell.lattice, scaled_positions=cell.sites, pbc=True)
    return unit.repeat(repetitions(cell, size).tolist())


def standard_cluster(atoms: Atoms, size: int = CLUSTER_SIZE) -> Atoms:
    """Cluster of the structure's own atoms, in the standard setting.

    Parameters
    ----------
    atoms : ase.Atoms
        As for `standard_conventional_cell`.
    size : int
        Sites; the block of standard cells is compact, and as near this as possible. Vacancies are
        not made up for.

    Returns
    -------
    ase.Atoms
        Without cell, defects included, Angstrom, the block centred at the origin.
    """
    return cluster_of(atoms, average_cell(atoms), size)


def repetitions(cell: AverageCell, size: int) -> NDArray[np.int64]:
    """Numbers (3,) of cells along its vectors: a compact block of about `size` sites."""
    lengths = np.linalg.norm(cell.lattice, axis=1)
    sites = len(cell.sites)
    edge = (size / sites * np.prod(lengths)) ** (1 / 3)
    ranges = [np.arange(max(1, int(edge / a) - 2), int(edge / a) + 4) for a in lengths]
    n = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
    sides = np.log(n * lengths)
    cost = 4 * np.log(np.prod(n, axis=1) * sites / size) ** 2 + 3 * sides.var(axis=1)
    # Equal choices, as along the equal vectors of a relaxed cubic cell, differ by little.
    result: NDArray[np.int64] = n[np.flatnonzero(cost < cost.min() + 1e-4)[0]]
    return result


def cluster_of(atoms: Atoms, cell: AverageCell, size: int = CLUSTER_SIZE) -> Atoms:
    """`standard_cluster` of a structure whose average cell is known."""
    n = repetitions(cell, size)
    inverse = np.linalg.inv(cell.lattice)
    turned = atoms.positions @ cell.frame.T
    periodic = bool(atoms.pbc.all())
    middle = atoms.cell.array.sum(axis=0) / 2 if periodic else atoms.positions.mean(axis=0)
    # The block begins at the corner of a cell, so that its faces keep away from the sites.
    low = np.rint(cell.frame @ middle @ inverse - cell.origin - n / 2) + cell.origin
    points = turned @ inverse
    numbers = atoms.numbers
    if periodic:
        # Moved into the supercell that begins at the block's corner, then repeated.
        steps = atoms.cell.array @ cell.frame.T @ inverse
        points = low + ((points - low) @ np.linalg.inv(steps) % 1.0) @ steps
        corners = np.array(list(product(*((0.0, float(k)) for k in n)))) @ np.linalg.inv(steps)
        first = np.floor(corners.min(axis=0) - 1 - 1e-9).astype(int)
        last = np.ceil(corners.max(axis=0) + 1e-9).astype(int)
        ranges = (range(a, b + 1) for a, b in zip(first, last, strict=True))
        images = np.array(list(product(*ranges)))
        numbers = np.tile(numbers, len(images))
        points = ((images @ steps)[:, None] + points).reshape(-1, 3)
    inside = ((points >= low) & (points < low + n)).all(axis=1)
    positions = (points[inside] - low - n / 2) @ cell.lattice
    return Atoms(numbers[inside], positions)


def cell_cluster(cell: AverageCell, size: int = CLUSTER_SIZE) -> Atoms:
    """The cluster of the average crystal itself, without defects."""
    unit = Atoms(cell.numbers, cell=cell.lattice, scaled_positions=cell.sites, pbc=True)
    n = repetitions(cell, size)
    block = unit.repeat(n.tolist())
    return Atoms(block.numbers, block.positions - n / 2 @ cell.lattice)


def scaled_clusters(
    structures: Sequence[Atoms], size: int = CLUSTER_SIZE
) -> tuple[Array, NDArray[np.bool_], NDArray[np.int64]]:
    """Clusters in nearest-neighbour distances, padded to one length.

    A structure in which no lattice is found has no atoms in its row.

    Returns
    -------
    positions : (B, N, 3) float64 array
    mask : (B, N) bool array
        True for atoms.
    numbers : (B, N) int array
        Atomic numbers, 0 where there is no atom.
    """
    clusters = []
    for atoms in structures:
        try:
            cell = average_cell(atoms)
        except NoLatticeError:
            clusters.append((np.empty((0, 3)), np.empty(0, np.int64)))
            continue
        cluster = cluster_of(atoms, cell, size)
        clusters.append((cluster.positions / cell.nearest_neighbor_distance, cluster.numbers))
    return padded(clusters)


def padded(
    clusters: Sequence[tuple[Array, NDArray[np.int64]]],
) -> tuple[Array, NDArray[np.bool_], NDArray[np.int64]]:
    """Positions (B, N, 3), mask (B, N) and numbers (B, N) of clusters of different sizes."""
    longest = max((len(numbers) for _, numbers in clusters), default=0)
    positions = np.zeros((len(clusters), longest, 3))
    numbers = np.zeros((len(clusters), longest), np.int64)
    for row, (points, species) in enumerate(clusters):
        positions[row, : len(points)] = points
        numbers[row, : len(points)] = species
    return positions, numbers > 0, numbers
