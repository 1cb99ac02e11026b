"""Strain of one lattice against another that describes the same crystal in any cell."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import product

import numpy as np

from ase_crystalnet._compute.types import Array
from ase_crystalnet.lattice.finder import minkowski_reduce

__all__ = ["deformation", "relative_strains", "stretch"]

#: Largest change of a length, and of the cosine of an angle, from one lattice to the other.
LENGTH, COSINE = 0.12, 0.15


def deformation(lattice: Array, reference: Array) -> Array | None:
    """Deformation gradient F (3, 3) from a reference lattice to a lattice; None if there is none.

    Columns are mapped: x = F X. Of the lattices of one crystal the one may be a part of the other;
    of the ways to lay the one over the other the one with the least strain is taken.

    Parameters
    ----------
    lattice, reference : (3, 3) array
        Vectors in rows, Angstrom.
    """
    own, known = (minkowski_reduce(np.asarray(each)[None])[0] for each in (lattice, reference))
    if abs(np.linalg.det(own)) < 0.9 * abs(np.linalg.det(known)):
        # The finer lattice is laid over the coarser.
        other = deformation(known, own)
        return None if other is None else np.asarray(np.linalg.inv(other))
    lengths = np.linalg.norm(own, axis=1)
    heights = 1 / np.linalg.norm(np.linalg.inv(known), axis=0)
    reach = lengths.max() * (1 + LENGTH)
    steps = [range(-int(reach / h), int(reach / h) + 1) for h in heights]
    vectors = np.array([n for n in product(*steps) if any(n)]) @ known
    size = np.linalg.norm(vectors, axis=1)
    near = [vectors[np.abs(size / length - 1) < LENGTH] for length in lengths]
    cosines = (own @ own.T) / np.outer(lengths, lengths)
    unit = [each / np.linalg.norm(each, axis=1)[:, None] for each in near]
    fits = {
        (i, j): np.abs(unit[i] @ unit[j].T - cosines[i, j]) < COSINE
        for i, j in ((0, 1), (0, 2), (1, 2))
    }
    best: tuple[float, Array] | None = None
    ratio = abs(np.linalg.det(own))
    for a, b in zip(*np.nonzero(fits[0, 1]), strict=True):
        for c in np.flatnonzero(fits[0, 2][a] & fits[1, 2][b]):
            rows = np.stack([near[0][a], near[1][b], near[2][c]])
            determinant = float(np.linalg.det(rows))
            # A mirrored lattice is the same lattice.
            if abs(np.log(abs(determinant) / ratio + 1e-12)) > 3 * LENGTH:
                continue
            gradient = np.linalg.solve(rows, own)
            strain = float(((gradient @ gradient.T - np.eye(3)) ** 2).sum())
            if best is None or strain < best[0] - 1e-12:
                best = (strain, gradient.T)
    return None if best is None else best[1]


def stretch(gradient: Array) -> Array:
    """Biot strain of a deformation gradient in the axes that it leads to: (F F^T)^(1/2) - 1."""
    value, vector = np.linalg.eigh(gradient @ gradient.T)
    return np.asarray((vector * (np.sqrt(value) - 1)) @ vector.T)


def relative_strains(
    kinds: Sequence[Hashable],
    cells: Array,
    strains: Array,
    orientations: Array,
    weights: Array,
) -> list[Array]:
    """Strain (3, 3) of each of G grains against the mean of the grains of the same crystal.

    In the axes of the sample. The mean is that of the symmetric cells: of a grain that is alone
    what is left is the part of the strain that breaks the symmetry.

    Parameters
    ----------
    kinds : sequence
        What crystal each is.
    cells : (G, 3, 3) array
        Standard cells, symmetric, vectors in rows.
    strains : (G, 3, 3) array
        Strain of each against its symmetric cell, in the axes of the latter.
    orientations : (G, 3, 3) array
        Rotations from the axes of the cells to those of the sample.
    weights : (G,) array
        Atoms of each.
    """
    result = []
    for number, kind in enumerate(kinds):
        same = [row for row, other in enumerate(kinds) if other == kind]
        share = np.maximum(weights[same], 1e-9)
        mean = np.asarray((cells[same] * share[:, None, None]).sum(axis=0) / share.sum(), float)
        # Vectors of the standard cell as they are in the grain, unturned, from those of the mean.
        rows: Array = cells[number] @ (np.eye(3) + strains[number])
        gradient: Array = np.linalg.solve(mean, rows).T
        turn: Array = orientations[number]
        result.append(np.asarray(turn @ stretch(gradient) @ turn.T))
    return result
