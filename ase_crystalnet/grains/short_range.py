"""Short-range order of a crystal: Warren-Cowley parameters of shells of neighbours, with errors.

Neighbours are those of the sites, not those by distance: heat and strain move no atom from one
shell into another. Cowley, Phys. Rev. 77, 669 (1950).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.grains.motif import Assignment, Motif

__all__ = ["ShortRangeOrder", "short_range_order"]

#: Shells of neighbours, and the least gap between two of them, in nearest-neighbour distances.
SHELLS, GAP = 3, 0.06
#: Farthest neighbour looked for, in nearest-neighbour distances.
FARTHEST = 2.2
#: Parts of a region along each direction, from whose differences errors come, and the atoms that
#: each needs on average.
PARTS, ATOMS_A_PART = 3, 16


@dataclass(frozen=True, eq=False)
class ShortRangeOrder:
    """Warren-Cowley parameters of a crystal of S species in n shells.

    Attributes
    ----------
    species : (S,) integer array
        Atomic numbers, ascending.
    concentration : (S,) float64 array
        Share of each.
    distance : (n,) float64 array
        Mean distance of the neighbours of a shell, Angstrom.
    coordination : (n,) float64 array
        Neighbours of an atom in the shell.
    parameter : (n, S, S) float64 array
        1 - P(b | a) / c_b: P(b | a) is the share of b among the neighbours of a, c_b that of b in
        all. 0 in a random solution, negative where a and b attract each other. Long-range order
        shows in it as well.
    error : (n, S, S) float64 array
        Standard error, from the differences of parts of the region (jackknife).
    """

    species: NDArray[np.int64]
    concentration: Array
    distance: Array
    coordination: Array
    parameter: Array
    error: Array

    def between(self, first: int, second: int, shell: int = 0) -> tuple[float, float]:
        """Parameter of two species, by atomic number, in a shell, and its error."""
        a, b = (int(np.searchsorted(self.species, each)) for each in (first, second))
        return float(self.parameter[shell, a, b]), float(self.error[shell, a, b])

    def __repr__(self) -> str:
        from ase.data import chemical_symbols

        lines = []
        for shell, distance in enumerate(self.distance):
            parts = []
            for a in range(len(self.species)):
                for b in range(a + 1, len(self.species)):
                    pair = "-".join(chemical_symbols[self.species[k]] for k in (a, b))
                    value, error = self.parameter[shell, a, b], self.error[shell, a, b]
                    parts.append(f"{pair} {value:+.3f} +- {error:.3f}")
            lines.append(
                f"shell {shell + 1} ({distance:.2f} A, {self.coordination[shell]:.1f} neighbours): "
                + ", ".join(parts)
            )
        return "\n".join(lines)


def short_range_order(
    motif: Motif, found: Assignment, numbers: NDArray[np.int64], shells: int = SHELLS
) -> ShortRangeOrder | None:
    """Warren-Cowley parameters of a region; None of one species.

    Parameters
    ----------
    motif : Motif
        Its lattice and sites.
    found : Assignment
        Cells and sites of N atoms; those that are not near a site are left out.
    numbers : (N,) integer array
        Atomic numbers.
    shells : int
        Number of shells of neighbours.
    """
    near = found.near
    cells, site = found.cells[near], found.site[near]
    species, kind = np.unique(numbers[near], return_inverse=True)
    total = len(species)
    if total < 2:
        return None
    bonds = _bonds(motif, shells)
    place = _Places(cells, site, len(motif.sites))
    part = _parts(cells @ motif.lattice + motif.sites[site] @ motif.lattice)
    blocks = int(part.max()) + 1
    count = np.bincount(kind, minlength=total)
    concentration = count / count.sum()
    parameter, error, distance, coordination = [], [], [], []
    for shell in bonds:
        pairs = np.zeros(blocks * total * total)
        for first, second, offset, _ in shell:
            rows = place.of_site[first]
            other = place.at(cells[rows] + offset, second)
            rows, other = rows[other >= 0], other[other >= 0]
            code = (part[rows] * total + kind[rows]) * total + kind[other]
            pairs += np.bincount(code, minlength=len(pairs))
        table = pairs.reshape(blocks, total, total)
        value = _parameter(table.sum(axis=0), concentration)
        # Leaving out one part after the other (Tukey's jackknife).
        without = np.array(
            [_parameter(table.sum(axis=0) - table[k], concentration) for k in range(blocks)]
        )
        spread = np.sqrt(
            (blocks - 1) / blocks * ((without - without.mean(axis=0)) ** 2).sum(axis=0)
        )
        parameter.append(value)
        error.append(spread if blocks > 1 else np.full_like(value, np.nan))
        distance.append(float(np.mean([bond[3] for bond in shell])))
        coordination.append(len(shell) / len(motif.sites))
    return ShortRangeOrder(
        species=species.astype(np.int64),
        concentration=concentration,
        distance=np.array(distance),
        coordination=np.array(coordination),
        parameter=np.array(parameter).reshape(-1, total, total),
        error=np.array(error).reshape(-1, total, total),
    )


def _parameter(pairs: Array, concentration: Array) -> Array:
    share = pairs / np.maximum(pairs.sum(axis=1, keepdims=True), 1.0)
    return np.asarray(1.0 - share / concentration)


def _bonds(motif: Motif, shells: int) -> list[list[tuple[int, int, NDArray[np.int64], float]]]:
    """Of each shell its bonds: site, other site, cells between them, length."""
    lattice, count = motif.lattice, len(motif.sites)
    reach = FARTHEST * motif.spacing
    heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    steps = [range(-int(reach / h) - 1, int(reach / h) + 2) for h in heights]
    shifts = np.array(list(product(*steps)), np.int64)
    found = []
    for first in range(count):
        for second in range(count):
            offset = (shifts + motif.sites[second] - motif.sites[first]) @ lattice
            length = np.linalg.norm(offset, axis=1)
            for row in np.flatnonzero((length < reach) & (length > 0.3 * motif.spacing)):
                found.append((first, second, shifts[row], float(length[row])))
    found.sort(key=lambda bond: bond[3])
    lengths = np.array([bond[3] for bond in found])
    edges = [0, *(np.flatnonzero(np.diff(lengths) > GAP * motif.spacing) + 1), len(found)]
    # The last one may be cut off by the reach.
    whole = list(pairwise(edges))
    return [found[a:b] for a, b in whole[: min(shells, max(len(whole) - 1, 1))]]


class _Places:
    """Which atom is on a site of a cell."""

    def __init__(self, cells: NDArray[np.int64], site: NDArray[np.int64], sites: int) -> None:
        self.low = cells.min(axis=0)
        self.size = cells.max(axis=0) - self.low + 1
        code = self._code(cells) * sites + site
        order = np.argsort(code, kind="stable")
        self.codes, self.rows, self.sites = code[order], order, sites
        self.of_site = [np.flatnonzero(site == s) for s in range(sites)]

    def _code(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        n = cells - self.low
        return np.asarray((n[:, 0] * self.size[1] + n[:, 1]) * self.size[2] + n[:, 2])

    def at(self, cells: NDArray[np.int64], site: int) -> NDArray[np.int64]:
        """Row of the atom on a site of cells (M, 3); -1 for none."""
        n = cells - self.low
        inside = ((n >= 0) & (n < self.size)).all(axis=1)
        wanted = self._code(cells) * self.sites + site
        where = np.minimum(np.searchsorted(self.codes, wanted), len(self.codes) - 1)
        there = inside & (self.codes[where] == wanted)
        return np.asarray(np.where(there, self.rows[where], -1))


def _parts(positions: Array) -> NDArray[np.int64]:
    """Part of a region that each atom is in: slices of slices of slices, equal in number."""
    parts = PARTS
    while parts > 1 and len(positions) < ATOMS_A_PART * parts**3:
        parts -= 1
    number = np.zeros(len(positions), np.int64)
    for axis in range(3):
        for value in np.unique(number):
            rows = np.flatnonzero(number == value)
            rank = np.argsort(np.argsort(positions[rows, axis], kind="stable"), kind="stable")
            number[rows] = value * parts + rank * parts // max(len(rows), 1)
    return number
