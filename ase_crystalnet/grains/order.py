"""Chemical long-range order of a crystal: which species sit where, and how surely.

The order parameter S is that of Bragg and Williams, for any number of sublattices: with a share
1 - S of the sites given to random species it is S. The sublattices are the orbits of the average
crystal, whose cell was enlarged where the species' structure factor at superlattice points is
significant (`superlattice`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from ase_crystalnet._compute.types import Array
from ase_crystalnet.grains.average_crystal import AverageCrystal

__all__ = ["ChemicalOrder", "chemical_order", "kinds_of_orbits"]

#: Orbits have one kind of content if they differ by less than this, or by chance alone.
SAME, CHANCE = 0.03, 1e-3


@dataclass(frozen=True, eq=False)
class ChemicalOrder:
    """Chemical order of a crystal of two or more species.

    Attributes
    ----------
    parameter : float
        Bragg-Williams long-range order parameter S: 0 random, 1 perfect.
    error : float
        Its standard error.
    p_value : float
        Chance of sublattices as different as these in a random solution.
    composition : (O, S) float64 array
        Share of each species on each orbit.
    multiplicity : (O,) integer array
        Sites of each orbit in the primitive cell.
    species : (S,) integer array
        Atomic numbers.
    """

    parameter: float
    error: float
    p_value: float
    composition: Array
    multiplicity: NDArray[np.int64]
    species: NDArray[np.int64]

    def __repr__(self) -> str:
        # Farther out the law of the statistic is not known.
        chance = f"p = {self.p_value:.1g}" if self.p_value >= 1e-12 else "p < 1e-12"
        return f"S = {self.parameter:.2f} +- {self.error:.2f} ({chance})"


def chemical_order(crystal: AverageCrystal, orbits: NDArray[np.integer]) -> ChemicalOrder | None:
    """Order parameter of a crystal; None of one species.

    Parameters
    ----------
    crystal : AverageCrystal
        K sites.
    orbits : (K,) integer array
        Number of the orbit of each site.
    """
    if len(crystal.species) < 2:
        return None
    _, orbit = np.unique(orbits, return_inverse=True)
    total = int(orbit.max()) + 1
    counts = np.zeros((total, len(crystal.species)))
    np.add.at(counts, orbit, crystal.counts)
    sites = np.bincount(orbit, minlength=total)
    filled = np.maximum(counts.sum(axis=1), 1.0)
    share = counts / filled[:, None]
    overall = (counts.sum(axis=0) / counts.sum())[None]
    if total == 1:
        return ChemicalOrder(0.0, 0.0, 1.0, share, sites, crystal.species)
    weight = filled / filled.sum()
    variance = share * (1 - share) / filled[:, None]
    excess = (share - overall) ** 2
    # Chance adds the variance of each share, less what the mean takes away.
    found = float((weight[:, None] * (excess - variance * (1 - weight[:, None]))).sum())
    ideal = np.zeros_like(share)
    ideal[np.arange(total), ((share - overall) / np.sqrt(overall)).argmax(axis=1)] = 1.0
    of_ideal = (weight[:, None] * ideal).sum(axis=0, keepdims=True)
    perfect = float((weight[:, None] * (ideal - of_ideal) ** 2).sum())
    expected = filled[:, None] * overall
    statistic = float(((counts - expected) ** 2 / np.maximum(expected, 1e-9)).sum())
    p_value = float(chi2.sf(statistic, (total - 1) * (len(crystal.species) - 1)))
    if perfect <= 0:
        return ChemicalOrder(0.0, 0.0, p_value, share, sites, crystal.species)
    parameter = float(np.sqrt(max(found, 0.0) / perfect))
    # Of S^2, by its derivatives and, near zero, by the variance itself.
    spread = (weight[:, None] ** 2 * (4 * excess * variance + 2 * variance**2)).sum()
    error = float(np.sqrt(spread)) / perfect
    error = error / (2 * parameter) if parameter**2 > error else float(np.sqrt(error))
    return ChemicalOrder(parameter, error, p_value, share, sites, crystal.species)


def kinds_of_orbits(crystal: AverageCrystal, orbits: NDArray[np.integer]) -> NDArray[np.int64]:
    """Number of the kind of content of each site (K,): equal where orbits hold the same species."""
    names, orbit = np.unique(orbits, return_inverse=True)
    counts = np.zeros((len(names), len(crystal.species)))
    np.add.at(counts, orbit, crystal.counts)
    kind = np.full(len(names), -1)
    pooled: list[Array] = []
    for number in np.argsort(-counts.sum(axis=1), kind="stable"):
        for index, others in enumerate(pooled):
            if _alike(counts[number], others):
                kind[number] = index
                pooled[index] = others + counts[number]
                break
        else:
            kind[number] = len(pooled)
            pooled.append(counts[number])
    return np.asarray(kind[orbit], np.int64)


def _alike(first: Array, second: Array) -> bool:
    shares = first / first.sum(), second / second.sum()
    if np.abs(shares[0] - shares[1]).max() < SAME:
        return True
    both = np.array([first, second])
    both = both[:, both.sum(axis=0) > 0]
    expected = both.sum(axis=1, keepdims=True) * both.sum(axis=0) / both.sum()
    statistic = float(((both - expected) ** 2 / expected).sum())
    return bool(chi2.sf(statistic, both.shape[1] - 1) > CHANCE)
