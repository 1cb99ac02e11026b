"""The average crystal of a region: lattice, sites, species and displacements, with their errors.

One linear regression, position = integers . lattice + site, over all atoms of a region. Atoms of a
crystal do not move independently: strain and the distances of sites fluctuate by long waves. How
much is read off the region's own parts where there are enough atoms, and taken from a formula
otherwise (`Fluctuations`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.grains.motif import LEAST_SIGMA, Assignment, Motif, regression

__all__ = ["AverageCrystal", "Fluctuations", "average_crystal"]

#: Variance of a strain component of N atoms, in units of sigma^2 / (d^2 N), and of a site's mean
#: place, in units of sigma^2 / n, beyond independent displacements: what molecular dynamics at the
#: melting point showed (DESIGN of the method: docs/crystals.md).
STRAIN_FLUCTUATION, SITE_FLUCTUATION = 3.0, 2.0
#: Of crystals at rest in files: error of sites in least standard deviations, relative one of cells.
STATIC_SITE, STATIC_STRAIN = 0.4, 3e-4
#: Atoms that each of the eight parts of a region needs, for each parameter of the fit.
ATOMS_A_PART, ATOMS_A_PARAMETER = 100, 4


@dataclass(frozen=True)
class Fluctuations:
    """How far the mean lattice and sites of a region are from those of the crystal.

    Attributes
    ----------
    strain : float
        Variance of a component of the mean strain in units of sigma^2 / (d^2 N), with sigma the
        displacement per component, d the nearest-neighbour distance and N the number of atoms;
        beyond the variance that independent displacements give to the regression.
    site : float
        Variance of a coordinate of a site in units of sigma^2 / n, n the atoms on it.
    parts : int
        Parts of the region they were estimated from; 0: assumed.
    """

    strain: float = STRAIN_FLUCTUATION
    site: float = SITE_FLUCTUATION
    parts: int = 0


@dataclass(frozen=True, eq=False)
class AverageCrystal:
    """Average crystal of N atoms: K sites, S species.

    Attributes
    ----------
    lattice : (3, 3) float64 array
        Primitive vectors in rows, Angstrom, in the axes of the sample.
    lattice_error : (3, 3) float64 array
        Standard error of each component, Angstrom.
    sites : (K, 3) float64 array
        Fractional positions.
    site_error : (K,) float64 array
        Standard error of a Cartesian coordinate of each site, Angstrom.
    species : (S,) integer array
        Atomic numbers, ascending.
    counts : (K, S) integer array
        Atoms of each species on each site, of those that are well inside the region if that is
        known: atoms of a neighbour that lie near sites by chance are no antisites.
    displacement : (K, 3, 3) float64 array
        Mean square displacement tensor U of each site, Angstrom^2, in the axes of the sample.
    displacement_error : (K, 3, 3) float64 array
        Its standard error, of independent displacements.
    strain_variance : float
        Variance of a component of the mean strain.
    spacing : float
        Nearest-neighbour distance, Angstrom.
    fluctuations : Fluctuations
        What the errors were computed from.
    """

    lattice: Array
    lattice_error: Array
    sites: Array
    site_error: Array
    species: NDArray[np.int64]
    counts: NDArray[np.int64]
    displacement: Array
    displacement_error: Array
    strain_variance: float
    spacing: float
    fluctuations: Fluctuations

    @property
    def number_of_atoms(self) -> int:
        """Atoms whose species are counted."""
        return int(self.counts.sum())

    @property
    def composition(self) -> Array:
        """Share of each species on each site, (K, S); rows sum to 1."""
        return np.asarray(self.counts / np.maximum(self.counts.sum(axis=1, keepdims=True), 1))

    @property
    def composition_error(self) -> Array:
        """Standard error of `composition`, (K, S), with one atom of each kind added."""
        filled = self.counts.sum(axis=1, keepdims=True)
        share = (self.counts + 1) / (filled + len(self.species))
        return np.asarray(np.sqrt(share * (1 - share) / (filled + len(self.species))))

    @property
    def filling(self) -> Array:
        """Atoms on each site in those on the fullest, (K,): less than 1 with vacancies."""
        filled = self.counts.sum(axis=1)
        return np.asarray(filled / max(filled.max(), 1))

    @property
    def numbers(self) -> NDArray[np.int64]:
        """Commonest species of each site, (K,)."""
        return np.asarray(self.species[self.counts.argmax(axis=1)])

    @property
    def sigma(self) -> float:
        """Root mean square displacement per component, Angstrom."""
        weight = self.counts.sum(axis=1)
        trace = np.trace(self.displacement, axis1=1, axis2=2) / 3
        return float(np.sqrt(np.average(trace, weights=weight)))


def average_crystal(
    motif: Motif,
    found: Assignment,
    positions: Array,
    numbers: NDArray[np.int64],
    *,
    fluctuations: Fluctuations | None = None,
    inner: NDArray[np.bool_] | None = None,
) -> AverageCrystal:
    """Average crystal of a region whose atoms have sites.

    Parameters
    ----------
    motif : Motif
        Its K sites each need an atom.
    found : Assignment
        Cells and sites of N atoms; those that are not near are left out.
    positions : (N, 3) array
        Angstrom, in open space (not wrapped into a cell).
    numbers : (N,) integer array
        Atomic numbers.
    fluctuations : Fluctuations, optional
        By default from the region itself where it is large enough.
    inner : (N,) bool array, optional
        Atoms well inside the region, whose species are counted; by default all. If a site has none
        of them, all are.
    """
    near = found.near
    cells, site = found.cells[near], found.site[near]
    positions = positions[near] - positions[near].mean(axis=0)
    count = len(motif.sites)
    lattice, cartesian, normal = regression(cells, site, positions, count)
    rest = positions - cells @ lattice - cartesian[site]
    filled = np.bincount(site, minlength=count)
    total = len(site)
    freedom = max(3 * total - 9 - 3 * count, 3)
    floor = (LEAST_SIGMA * motif.spacing) ** 2
    variance = float((rest**2).sum()) / freedom
    # Cells at rest are copies of one: their numbers, rounded and relaxed to a tolerance, do not
    # become more exact by their number.
    copied = floor / (floor + variance)
    variance = max(variance, floor)
    moments = np.zeros((count, 3, 3))
    for i in range(3):
        for j in range(i, 3):
            values = np.bincount(site, rest[:, i] * rest[:, j], count)
            moments[:, i, j] = moments[:, j, i] = values
    tensor = moments / np.maximum(filled - 1, 1)[:, None, None]
    diagonal = np.einsum("kii->ki", tensor)
    # Variance of a sample covariance of Gaussian variables (Wishart).
    spread = (diagonal[:, :, None] * diagonal[:, None] + tensor**2) / np.maximum(filled - 1, 1)[
        :, None, None
    ]
    if fluctuations is None:
        fluctuations = _fluctuations(motif.spacing, cells, site, positions, lattice, variance)
    # Independent displacements: strain = inv(lattice) . error of the lattice.
    inverse = np.linalg.inv(lattice)
    white = inverse @ np.linalg.inv(normal) @ inverse.T * variance
    strain_variance = float(np.trace(white)) / 3
    strain_variance += fluctuations.strain * variance / (motif.spacing**2 * total)
    strain_variance += copied * STATIC_STRAIN**2
    lattice_error = np.sqrt(
        np.diag(np.linalg.inv(normal))[:, None] * variance
        + fluctuations.strain
        * variance
        / (motif.spacing**2 * total)
        * (lattice**2).sum(axis=1)[:, None]
        + copied * STATIC_STRAIN**2 * (lattice**2).sum(axis=1)[:, None]
    ) * np.ones((1, 3))
    own = np.maximum(diagonal.mean(axis=1), floor)
    species, kind = np.unique(numbers[near], return_inverse=True)
    counts = np.zeros((count, len(species)), np.int64)
    counted = np.ones(total, bool) if inner is None else inner[near]
    if np.bincount(site[counted], minlength=count).min() == 0:
        counted[:] = True
    np.add.at(counts, (site[counted], kind[counted]), 1)
    return AverageCrystal(
        lattice=lattice,
        lattice_error=lattice_error,
        sites=(cartesian @ inverse) % 1.0,
        site_error=np.sqrt(
            fluctuations.site * own / np.maximum(filled, 1) + copied * STATIC_SITE**2 * floor
        ),
        species=species.astype(np.int64),
        counts=counts,
        displacement=tensor,
        displacement_error=np.sqrt(spread),
        strain_variance=strain_variance,
        spacing=motif.spacing,
        fluctuations=fluctuations,
    )


def _fluctuations(
    spacing: float,
    cells: NDArray[np.int64],
    site: NDArray[np.int64],
    positions: Array,
    lattice: Array,
    variance: float,
) -> Fluctuations:
    """From the differences of the eight parts of a region; assumed where these are too small."""
    count = int(site.max()) + 1
    part = np.zeros(len(site), np.int64)
    for axis in range(3):  # halves of halves of halves, equal in number whatever the shape
        halves = [np.flatnonzero(part == value) for value in range(2**axis)]
        for value, rows in enumerate(halves):
            upper = positions[rows, axis] > np.median(positions[rows, axis])
            part[rows] = 2 * value + upper
    filled = np.zeros((8, count), np.int64)
    np.add.at(filled, (part, site), 1)
    atoms = filled.sum(axis=1)
    if atoms.min() < max(ATOMS_A_PART, ATOMS_A_PARAMETER * (3 + count)) or filled.min() < 4:
        return Fluctuations()
    inverse = np.linalg.inv(lattice)
    strains, expected, offsets = [], [], []
    for number in range(8):
        rows = part == number
        its, _, normal = regression(cells[rows], site[rows], positions[rows], count)
        if np.linalg.matrix_rank(normal) < 3:
            return Fluctuations()  # a part of one layer of cells has no lattice of its own
        gradient = inverse @ its
        strains.append((gradient + gradient.T) / 2 - np.eye(3))
        white = inverse @ np.linalg.inv(normal) @ inverse.T
        expected.append(2 * float(np.trace(white)) * variance)
        rest = positions[rows] - cells[rows] @ its
        means = [np.bincount(site[rows], rest[:, k], count) / filled[number] for k in range(3)]
        offsets.append(np.stack(means, axis=1) - np.mean(means, axis=1))
    strain = np.array(strains)
    excess = ((strain - strain.mean(axis=0)) ** 2).sum(axis=(1, 2)) * 8 / 7 - expected
    unit = 6 * variance / (spacing**2 * atoms)
    along = max(float(np.sum(excess) / np.sum(unit)), 0.0)
    across = 1.0
    if count > 1:
        moved = np.array(offsets)
        moved = moved - moved.mean(axis=0)
        square = (moved**2).sum(axis=2) * filled
        across = float(square.sum()) / (3 * variance * 7 * (count - 1))
        across = max(across, 1.0)
    return Fluctuations(along, across, 8)
