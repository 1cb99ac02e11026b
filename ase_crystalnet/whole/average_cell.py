"""Average crystal of a whole structure: its primitive cell, its sites, its standard setting.

The standard setting is the triclinic convention on the reduced cell: a along x, b in the xy plane,
right-handed. Nothing is symmetrised.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.geometry.periodic import validated_positions
from ase_crystalnet.lattice.finder import minkowski_reduce
from ase_crystalnet.whole.average_lattice import average_lattice
from ase_crystalnet.whole.sites import mean_sites, typical_distance

__all__ = ["AverageCell", "average_cell", "standard_bases"]

#: Vectors this much longer than the shortest count as equally short.
EQUAL_LENGTH = 0.02


@dataclass(frozen=True, eq=False)
class AverageCell:
    """Primitive cell of the average crystal in the standard setting.

    Attributes
    ----------
    lattice : (3, 3) array
        Vectors in rows, Angstrom: the first along x, the second in the xy plane, right-handed.
    frame : (3, 3) array
        Rotation into the standard setting: ``positions @ frame.T``.
    sites : (n, 3) array
        Mean positions, fractional, in the half-open cell that begins at 0; the faces of the cell
        are as far from the sites as they can be.
    numbers : (n,) int array
        Commonest species of each site.
    atoms : (n,) int array
        Atoms of the structure on each site.
    origin : (3,) array
        Of the cell, fractional, in the frame of the structure turned by `frame`.
    """

    lattice: Array
    frame: Array
    sites: Array
    numbers: NDArray[np.int64]
    atoms: NDArray[np.int64]
    origin: Array

    @property
    def nearest_neighbor_distance(self) -> float:
        """Average nearest-neighbour distance of the average crystal, Angstrom.

        The mean over atoms of the distance to the nearest neighbour, expected when the sites are
        occupied at random by their relative occupancies. Unlike the mean over the displaced atoms
        it is not shortened by noise, nor lengthened by vacancies that all sites share.
        """
        # Sites with too few atoms by no more than chance are as full as the others.
        counts = self.atoms + 2 * np.sqrt(self.atoms)
        occupancies = np.minimum(counts / self.atoms.max(), 1.0)
        steps = np.array(list(product((-2, -1, 0, 1, 2), repeat=3)))
        total = weight = 0.0
        for site, occupancy in zip(self.sites, occupancies, strict=True):
            difference = (self.sites - site)[:, None] + steps
            lengths = np.linalg.norm(difference @ self.lattice, axis=-1).ravel()
            chance = np.repeat(occupancies, len(steps))
            order = np.argsort(lengths, kind="stable")[1:65]  # the first is the site itself
            lengths, chance = lengths[order], chance[order]
            first = chance * np.concatenate([[1.0], np.cumprod(1 - chance)[:-1]])
            total += occupancy * float((first * lengths).sum() / first.sum())
            weight += occupancy
        return total / weight


def average_cell(atoms: Atoms, lattice: Array | None = None) -> AverageCell:
    """Average crystal of a structure.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in all directions, or finite. Defects are averaged out.
    lattice : (3, 3) array, optional
        Lattice of the cell wanted, rows, Angstrom; by default the primitive one is found.

    Raises
    ------
    NoLatticeError
        No lattice is found (finite and large structures only).
    InputError
        The structure is periodic in one or two directions only.
    """
    positions = validated_positions(atoms)
    bases = standard_bases(average_lattice(atoms, positions) if lattice is None else lattice)
    if atoms.pbc.all():
        # Of equal settings the one along the vectors given: a supercell is then a block of cells.
        whole = np.abs(atoms.cell.array @ np.linalg.inv(bases))
        bases = bases[
            np.argsort(whole.sum(axis=(1, 2)) - np.trace(whole, axis1=1, axis2=2), kind="stable")
        ]
    return _settle(positions, atoms.numbers, bases, typical_distance(atoms, positions))


def standard_bases(lattice: Array) -> Array:
    """Reduced bases (K, 3, 3) of a lattice that the triclinic convention cannot tell apart.

    Of the bases whose vectors are as short as they can be (within 2 %), those with the most acute
    angles, between the shorter vectors first: for fcc the rhombohedral cell with angles of 60
    degrees. They are right-handed and differ by rotations of the lattice.

    Parameters
    ----------
    lattice : (3, 3) array
        Vectors in rows.
    """
    reduced = minkowski_reduce(lattice[None])[0]
    steps = np.array([s for s in product((-1, 0, 1), repeat=3) if any(s)])
    vectors = steps @ reduced
    lengths = np.linalg.norm(vectors, axis=1)
    shortest = np.linalg.norm(reduced, axis=1)
    choices = [np.flatnonzero(lengths < (1 + EQUAL_LENGTH) * s) for s in shortest]
    index = np.stack(np.meshgrid(*choices, indexing="ij"), -1).reshape(-1, 3)
    index = index[np.rint(np.linalg.det(steps[index])) == 1]
    bases = vectors[index]
    unit = bases / lengths[index][..., None]
    cosines = [(unit[:, i] * unit[:, j]).sum(axis=1) for i, j in ((0, 1), (0, 2), (1, 2))]
    score = 4 * cosines[0] + 2 * cosines[1] + cosines[2]
    result: Array = bases[score > score.max() - 1e-3]
    return result


def _frame(basis: Array) -> Array:
    x = basis[0] / np.linalg.norm(basis[0])
    z = np.cross(basis[0], basis[1])
    z /= np.linalg.norm(z)
    return np.stack([x, np.cross(z, x), z])


def _settle(
    positions: Array, numbers: NDArray[np.int64], bases: Array, distance: float
) -> AverageCell:
    """Find the sites, and the setting in which their coordinates come first in order."""
    folded = positions @ np.linalg.inv(bases[0])
    means, site, _ = mean_sites(folded, bases[0], distance)
    counts = np.bincount(site, minlength=len(means))
    species = np.array([np.bincount(numbers[site == s]).argmax() for s in range(len(means))])
    best: tuple[Array, Array, Array, Array] | None = None
    # Settings of symmetric crystals differ in nothing; in others the first in order is taken.
    for basis in bases if 1 < len(means) <= 400 / len(bases) else bases[:1]:
        fractional = means @ bases[0] @ np.linalg.inv(basis)
        for origin in _origins(fractional):
            inside = (fractional - origin) % 1.0
            order = np.lexsort(np.rint(inside.T[::-1] * 1e3))
            key = np.rint(inside[order] * 1e3).ravel()
            if best is None or _before(key, best[0]):
                best = key, basis, origin, inside
    assert best is not None
    _, basis, origin, inside = best
    frame = _frame(basis)
    return AverageCell(
        lattice=basis @ frame.T,
        frame=frame,
        sites=inside,
        numbers=species,
        atoms=counts,
        origin=origin,
    )


def _before(first: Array, second: Array) -> bool:
    different = np.flatnonzero(np.abs(first - second) > 1.5)
    return bool(len(different)) and bool(first[different[0]] < second[different[0]])


def _origins(fractional: Array) -> list[Array]:
    """Corners of the cell whose faces are farthest from the sites; several where that is a tie."""
    faces = []
    for coordinate in fractional.T:
        ordered = np.sort(coordinate % 1.0)
        gaps = np.diff(np.append(ordered, ordered[0] + 1.0))
        widest = np.flatnonzero(gaps > gaps.max() - 1e-3)[:4]
        faces.append((ordered[widest] + gaps[widest] / 2) % 1.0)
    return [np.array(corner) for corner in product(*faces)]
