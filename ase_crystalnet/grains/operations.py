"""Operations that an average crystal has nearly, and the groups that they generate.

A search of its own, beside spglib's: of a crystal whose sites have errors spglib may find half of a
group at every tolerance.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.grains.average_crystal import AverageCrystal

__all__ = ["Operations", "generated_groups", "near_operations", "products_of", "symmetric_sites"]

#: Operations are looked at that strain the lattice by less, and move sites by less than so many
#: nearest-neighbour distances from the places of others.
FARTHEST_STRAIN, FARTHEST_SITE = 0.15, 0.4
#: Of these so many, the most exact ones: a face-centred cubic cell has 192.
MOST_OPERATIONS = 400


@dataclass(frozen=True, eq=False)
class Operations:
    """M operations on the fractional coordinates of K sites.

    Attributes
    ----------
    rotations : (M, 3, 3) float64 array
        Whole numbers; they act on columns.
    translations : (M, 3) float64 array
    images : (M, K) integer array
        The site that each is mapped to.
    strain : (M,) float64 array
        Strain of the lattice against its image.
    offset : (M,) float64 array
        Root mean square distance of images from sites, Angstrom.
    """

    rotations: Array
    translations: Array
    images: NDArray[np.int64]
    strain: Array
    offset: Array

    def those(self, rows: NDArray[np.intp]) -> Operations:
        """Some of them."""
        return Operations(
            self.rotations[rows],
            self.translations[rows],
            self.images[rows],
            self.strain[rows],
            self.offset[rows],
        )


@cache
def _unimodular() -> NDArray[np.int64]:
    """All 3x3 matrices of -1, 0, 1 with determinant +-1: symmetries of reduced bases are among."""
    rows = np.array(list(product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    return np.asarray(rows[np.abs(np.rint(np.linalg.det(rows))) == 1])


def near_operations(crystal: AverageCrystal, labels: NDArray[np.int64]) -> Operations:
    """Operations on fractional coordinates that map lattice and sites nearly onto themselves."""
    lattice, sites = crystal.lattice, crystal.sites
    metric = lattice @ lattice.T
    inverse = np.linalg.inv(np.linalg.cholesky(metric))
    matrices = _unimodular()
    turned = matrices.transpose(0, 2, 1) @ metric @ matrices
    strains = np.linalg.norm(inverse @ turned @ inverse.T - np.eye(3), axis=(1, 2)) / 2
    kept = np.flatnonzero(strains < FARTHEST_STRAIN)
    # Every image of one site of the rarest kind gives a translation.
    kinds, counts = np.unique(labels, return_counts=True)
    alike = np.flatnonzero(labels == kinds[np.argmin(counts)])
    forbidden = labels[:, None] != labels
    rows = []
    for number in kept:
        rotation, seen = matrices[number], set()
        moved = sites @ rotation.T
        for target in alike:
            translation = sites[target] - moved[alike[0]]
            for _ in range(2):
                difference = (moved + translation)[:, None] - sites
                difference -= np.rint(difference)
                far = np.linalg.norm(difference @ lattice, axis=2)
                far[forbidden] = np.inf
                image = far.argmin(axis=1)
                offset = difference[np.arange(len(sites)), image]
                translation = translation - offset.mean(axis=0)
            # Two targets that are near each other may lead to one operation.
            if len(np.unique(image)) < len(sites) or image.tobytes() in seen:
                continue
            seen.add(image.tobytes())
            rest = (offset - offset.mean(axis=0)) @ lattice
            length = np.linalg.norm(rest, axis=1)
            if length.max() < FARTHEST_SITE * crystal.spacing:
                size = float(np.sqrt((length**2).mean()))
                rows.append((rotation, translation, image, strains[number], size))
    rotations, translations, images, strain, offsets = zip(*rows, strict=True)
    nearest = np.argsort(offsets, kind="stable")[:MOST_OPERATIONS]
    return Operations(
        np.array(rotations, float),
        np.array(translations),
        np.array(images, np.int64),
        np.array(strain),
        np.array(offsets),
    ).those(nearest)


def products_of(every: Operations) -> NDArray[np.int64]:
    """Number of the product of each two operations (M, M); -1 where it is none of them."""
    number = {
        (rotation.astype(np.int8).tobytes(), image.tobytes()): row
        for row, (rotation, image) in enumerate(zip(every.rotations, every.images, strict=True))
    }
    result = np.empty((len(every.images),) * 2, np.int64)
    for row, (rotation, image) in enumerate(zip(every.rotations, every.images, strict=True)):
        turned = np.rint(rotation @ every.rotations).astype(np.int8)
        moved = image[every.images]
        result[row] = [
            number.get((first.tobytes(), second.tobytes()), -1)
            for first, second in zip(turned, moved, strict=True)
        ]
    return result


def generated_groups(
    products: NDArray[np.int64], order: NDArray[np.intp]
) -> list[NDArray[np.intp]]:
    """Groups that more and more of the operations generate, as far as all products are known."""
    group: NDArray[np.intp] = np.empty(0, np.intp)
    result = []
    for row in order:
        if row in group:
            continue
        trial = np.append(group, row)
        while True:
            larger = np.unique(products[np.ix_(trial, trial)])
            if larger[0] < 0:
                break
            larger = np.union1d(larger, trial)
            if len(larger) == len(trial):
                break
            trial = larger
        if larger[0] >= 0:
            group = trial
            result.append(np.sort(group))
    return result


def symmetric_sites(sites: Array, operations: Operations) -> Array:
    """Sites that the operations map exactly onto each other, nearest to the given ones."""
    rotations, images, count = operations.rotations, operations.images, len(sites)
    result, translations = sites, operations.translations
    for _ in range(4):
        offsets = result @ rotations.transpose(0, 2, 1) + translations[:, None] - result[images]
        offsets -= np.rint(offsets)
        # Translations of the group, from the sites as they are now.
        mean = offsets.mean(axis=1)
        translations = translations - mean
        offsets -= mean[:, None]
        total = np.zeros((count, 3))
        np.add.at(total, images, offsets)
        result = result + total / len(rotations)
    return result
