"""A crystal as a model of where atoms are: lattice and sites, and how much better than chance.

Sites are found by folding the atoms of a window into the cell of a lattice; one linear regression,
position = integers . lattice + site, then gives lattice and sites together. What a model is worth
is its log likelihood against atoms that are anywhere, less half a logarithm of their number for
every parameter (Schwarz, Ann. Stat. 6, 461 (1978)). Larger cells and more sites, species on sites
and cells that are no cells of anything are all compared by this one number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.lattice.finder import minkowski_reduce
from ase_crystalnet.whole.sites import mean_sites

__all__ = [
    "CAPTURE",
    "MOST_SITES",
    "Assignment",
    "Motif",
    "filling",
    "fold",
    "reduced",
    "refined",
    "regression",
    "score",
]

#: Atoms belong to a site within this share of the nearest-neighbour distance.
CAPTURE = 0.4
#: Sites with a smaller share of the mean occupation are the tails of others.
FEWEST = 0.2
#: Cells are folded into if they have fewer sites; the sites of a window of 2,000 atoms then have
#: ten atoms each.
MOST_SITES = 200
#: Least standard deviation of displacements, nearest-neighbour distances: files round positions.
LEAST_SIGMA = 1e-3


@dataclass(frozen=True, eq=False)
class Motif:
    """Lattice and sites of a crystal.

    Attributes
    ----------
    lattice : (3, 3) float64 array
        Vectors in rows, reduced, Angstrom.
    sites : (K, 3) float64 array
        Fractional positions of the sites.
    origin : (3,) float64 array
        Where the fractional position 0 is, Angstrom.
    spacing : float
        Nearest-neighbour distance, Angstrom.
    """

    lattice: Array
    sites: Array
    origin: Array
    spacing: float

    def assign(self, positions: Array) -> Assignment:
        """Nearest site of each position (N, 3)."""
        from ase_crystalnet.grains._kernels.sites import assign  # compiled on first use

        count = len(positions)
        cells = np.empty((count, 3), np.int64)
        site = np.empty(count, np.int64)
        offsets = np.empty((count, 3))
        assign(
            np.ascontiguousarray(positions, np.float64),
            np.ascontiguousarray(self.lattice),
            np.linalg.inv(self.lattice),
            np.ascontiguousarray(self.origin),
            np.ascontiguousarray(self.sites),
            cells,
            site,
            offsets,
        )
        near = np.linalg.norm(offsets, axis=1) < CAPTURE * self.spacing
        return Assignment(cells, site, offsets, near)


@dataclass(frozen=True, eq=False)
class Assignment:
    """Cells (N, 3) and sites (N,) of N atoms, offsets (N, 3) from them, which are near (N,)."""

    cells: NDArray[np.int64]
    site: NDArray[np.int64]
    offsets: Array
    near: NDArray[np.bool_]


def fold(positions: Array, lattice: Array, spacing: float) -> Motif | None:
    """Motif of atoms folded into the cell of a lattice; None if they do not gather on sites.

    Parameters
    ----------
    positions : (N, 3) array
        Angstrom.
    lattice : (3, 3) array
        Vectors in rows.
    spacing : float
        Nearest-neighbour distance, Angstrom.
    """
    volume = abs(float(np.linalg.det(lattice))) / spacing**3
    most = min(int(2 * volume) + 8, MOST_SITES)
    folded = positions @ np.linalg.inv(lattice)
    sites, site, _ = mean_sites(folded, lattice, spacing, most=most)
    if not len(sites):
        return None
    filled = np.bincount(site, minlength=len(sites))
    sites = sites[filled > FEWEST * np.mean(filled)]
    return Motif(lattice, sites, np.zeros(3), spacing)


def refined(motif: Motif, positions: Array, rounds: int = 3) -> Motif:
    """The motif that fits a window best: assignment and regression in turns, outwards.

    Far from the origin integers are wrong as long as the lattice is not exact, so the ball of atoms
    that are fitted grows.
    """
    middle = positions.mean(axis=0)
    radius = np.linalg.norm(positions - middle, axis=1)
    for share in (*np.linspace(0.6, 1.0, rounds), 1.0):
        inner = positions[radius <= share * radius.max()]
        found = motif.assign(inner)
        if found.near.sum() < 3 * len(motif.sites) + 9:
            return motif
        motif = _regressed(motif, found, inner)
    return motif


def _regressed(motif: Motif, found: Assignment, positions: Array) -> Motif:
    near = found.near
    filled = np.bincount(found.site[near], minlength=len(motif.sites))
    kept = np.flatnonzero(filled > FEWEST * filled.mean())
    if len(kept) < len(motif.sites):
        number = np.full(len(motif.sites), -1)
        number[kept] = np.arange(len(kept))
        near = near & (number[found.site] >= 0)
        site = number[found.site[near]]
    else:
        site = found.site[near]
    lattice, sites, _ = regression(found.cells[near], site, positions[near], len(kept))
    if abs(np.linalg.det(lattice)) < 1e-3 * motif.spacing**3:
        return motif
    return Motif(lattice, sites @ np.linalg.inv(lattice), np.zeros(3), motif.spacing)


def regression(
    cells: NDArray[np.int64], site: NDArray[np.int64], positions: Array, count: int
) -> tuple[Array, Array, Array]:
    """Least squares of positions = cells . lattice + site.

    Parameters
    ----------
    cells : (N, 3) integer array
    site : (N,) integer array
    positions : (N, 3) array
    count : int
        Number of sites, each of which has an atom.

    Returns
    -------
    lattice : (3, 3) array
    sites : (count, 3) array
        Cartesian, for cell 0.
    normal : (3, 3) array
        Matrix of the normal equations of the lattice once the sites are eliminated: its inverse
        times the variance of displacements is the covariance of a column of the lattice.
    """
    filled = np.maximum(np.bincount(site, minlength=count), 1)[:, None]
    numbers: Array = cells.astype(np.float64)

    def mean(values: Array) -> Array:
        sums = [np.bincount(site, values[:, k], count) for k in range(3)]
        return np.asarray(np.stack(sums, axis=1) / filled, np.float64)

    cell_mean, position_mean = mean(numbers), mean(positions)
    n = numbers - cell_mean[site]
    normal = np.asarray(n.T @ n, np.float64)
    right = n.T @ (positions - position_mean[site])
    lattice = np.asarray(np.linalg.lstsq(normal, right, rcond=None)[0], np.float64)
    return lattice, position_mean - cell_mean @ lattice, normal


def score(motif: Motif, found: Assignment, numbers: NDArray[np.int64]) -> tuple[float, float]:
    """Log likelihood against chance less the cost of the parameters; share of atoms on sites.

    Displacements are Gaussian, one width for all sites, which are equally full: a region that holds
    a few cells has more atoms on some of them by its shape. Species are free on each site. An atom
    is on its site or, with some probability, anywhere.
    """
    count, sites = len(found.site), len(motif.sites)
    square = (found.offsets**2).sum(axis=1)
    volume = abs(float(np.linalg.det(motif.lattice)))
    kinds, kind = np.unique(numbers, return_inverse=True)
    near = found.near
    table = np.zeros((sites, len(kinds)))
    np.add.at(table, (found.site[near], kind[near]), 1.0)
    filled = table.sum(axis=1)
    chosen = table / np.maximum(filled[:, None], 1.0)
    overall = np.bincount(kind, minlength=len(kinds)) / count
    species = chosen[found.site, kind] / overall[kind]
    variance = max(float(np.mean(square[near])) / 3, (LEAST_SIGMA * motif.spacing) ** 2)
    on = float(near.mean())
    for _ in range(8):
        gauss = np.exp(-0.5 * square / variance) / (2 * np.pi * variance) ** 1.5
        on_site = on * volume / sites * gauss * species
        weight = on_site / (on_site + (1 - on) + 1e-300)
        on = min(float(weight.mean()), 1 - 1e-3)
        variance = float((weight * square).sum() / (3 * weight.sum() + 1e-300))
        variance = max(variance, (LEAST_SIGMA * motif.spacing) ** 2)
    gain = float(np.log(on_site + (1 - on) + 1e-300).sum())
    parameters = 9 + 3 * sites + sites * (len(kinds) - 1)
    return gain - 0.5 * parameters * np.log(count), on


def filling(found: Assignment) -> float:
    """How many of the sites beside those of the atoms hold an atom: 1 in a perfect crystal.

    The same site of the six neighbouring cells is asked for, so that a lattice that is too fine,
    whose sites are mostly empty, shows, and vacancies and surfaces count as what they are.
    """
    near = found.near
    if not near.any():
        return 0.0
    cells = found.cells[near] - found.cells[near].min(axis=0) + 1
    size = cells.max(axis=0) + 2
    site = found.site[near] * int(size.prod())

    def code(places: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.asarray((places[:, 0] * size[1] + places[:, 1]) * size[2] + places[:, 2] + site)

    there = code(cells)
    steps = np.vstack([np.eye(3, dtype=np.int64), -np.eye(3, dtype=np.int64)])
    return float(np.mean([np.isin(code(cells + step), there).mean() for step in steps]))


def reduced(motif: Motif) -> Motif:
    """The same crystal in a reduced basis."""
    lattice = minkowski_reduce(motif.lattice[None])[0]
    sites = motif.sites @ motif.lattice @ np.linalg.inv(lattice)
    return Motif(lattice, sites % 1.0, motif.origin, motif.spacing)
