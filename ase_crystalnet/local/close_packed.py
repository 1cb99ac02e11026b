"""Crystals of close-packed planes or of double layers that windows show, each as it lies there."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ase_crystalnet._compute.types import Array
from ase_crystalnet.classes import STACKED
from ase_crystalnet.lattice.strain import PARENTS, ParentFinder
from ase_crystalnet.results.table import WindowTable
from ase_crystalnet.windows.windower import PreparedSystem

__all__ = [
    "DOWN",
    "NEIGHBOURS",
    "NORMALS",
    "PLACES",
    "RING",
    "SLACK",
    "UP",
    "Crystals",
    "crystals_of",
]

#: One window in a cube of so many spacings is asked.
CUBE = 2.0
#: Least coherence of a window that is asked, and least probability of its class.
LEAST_COHERENCE, LEAST_CERTAINTY = 0.5, 0.5
#: Spacing in the close-packed planes over the nearest neighbours' distance (1, in diamond 1.63;
#: displacements bring neighbours nearer): of all crystals, and where that of diamond begins.
WIDTHS, WIDE = (0.8, 2.0), 1.35
#: Error of the places beside the displacements, in spacings: strain that varies.
SLACK = 0.04

#: The twelve neighbours of an atom in fcc, spacing 1, and the normals of the four planes.
NEIGHBOURS = np.array([v for v in product((-1, 0, 1), repeat=3) if np.abs(v).sum() == 2]) / np.sqrt(
    2
)
NORMALS = np.array([(1, 1, 1), (1, 1, -1), (1, -1, 1), (-1, 1, 1)]) / np.sqrt(3)
_HEIGHTS = NORMALS @ NEIGHBOURS.T
UP, DOWN, RING = (
    np.array([np.flatnonzero(row) for row in rows])
    for rows in (_HEIGHTS > 0.5, _HEIGHTS < -0.5, np.abs(_HEIGHTS) < 0.5)
)
#: After the twelve, the places of the other stacking: above, below each plane.
PLACES = np.concatenate(
    [NEIGHBOURS]
    + [
        NEIGHBOURS[np.concatenate([UP[q], DOWN[q]])]
        @ Rotation.from_rotvec(np.pi / 3 * NORMALS[q]).as_matrix().T
        for q in range(4)
    ]
)
#: Distance of close-packed planes, spacing 1.
LAYER = np.sqrt(2 / 3)


@dataclass(frozen=True, eq=False)
class Crystals:
    """Crystals that some windows show, M of them, as the stacking needs them.

    Attributes
    ----------
    centers : (M, 3) array
        Of the windows, Angstrom.
    matrix : (M, 3, 3) array
        Takes vectors (rows) of the undistorted fcc crystal with spacing 1 to the sample, Angstrom.
        Of hexagonal crystals an fcc crystal that has its basal plane as (111).
    hexagonal : (M,) bool array
        One plane to look at, not four, of which both stackings are its own.
    double : (M,) bool array
        Hexagonal with four layers: dhcp.
    diamond : (M,) bool array
        Second neighbours are looked at.
    spacing : (M,) array
        Of atoms in a close-packed plane, Angstrom.
    noise : (M,) array
        Variance of a bond per Cartesian component, in squared spacings.
    """

    centers: Array
    matrix: Array
    hexagonal: NDArray[np.bool_]
    double: NDArray[np.bool_]
    diamond: NDArray[np.bool_]
    spacing: Array
    noise: Array

    def __len__(self) -> int:
        return len(self.centers)

    def some(self, rows: NDArray[np.int64]) -> Crystals:
        """Some of them."""
        return Crystals(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def moved(self, centers: Array, matrix: Array) -> Crystals:
        """The same elsewhere, and lying otherwise."""
        return replace(self, centers=centers, matrix=matrix)

    def joined(self, other: Crystals) -> Crystals:
        """These, then the others."""
        return Crystals(
            **{
                f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)])
                for f in fields(self)
            }
        )

    @property
    def planes(self) -> NDArray[np.int64]:
        """Planes looked at, (M,)."""
        return np.where(self.hexagonal, 1, 4)

    @property
    def normals(self) -> Array:
        """Unit normals (M, 4, 3) of the planes, in the sample."""
        # Planes transform with the inverse.
        rows = NORMALS @ np.linalg.inv(self.matrix).transpose(0, 2, 1)
        result: Array = rows / np.linalg.norm(rows, axis=2, keepdims=True)
        return result

    @property
    def heights(self) -> Array:
        """Distances (M, 4) of the planes, Angstrom."""
        first = NEIGHBOURS[UP[:, 0]] @ self.matrix
        return np.asarray(np.einsum("mqi,mqi->mq", first, self.normals))

    @property
    def towards(self) -> Array:
        """Unit vectors (M, 4, 3) in each plane towards the first of the crystal's places above."""
        normals = self.normals
        first = NEIGHBOURS[UP[:, 0]] @ self.matrix
        first -= np.einsum("mqi,mqi->mq", first, normals)[..., None] * normals
        result: Array = first / np.linalg.norm(first, axis=2, keepdims=True)
        return result


def crystals_of(
    prepared: PreparedSystem,
    points: Array,
    table: WindowTable,
    classes: tuple[str, ...],
    parents: ParentFinder,
) -> Crystals:
    """Crystals of close-packed planes that windows show: the best window of each small cube.

    Parameters
    ----------
    prepared : PreparedSystem
    points : (W, 3) array
        Centres, Angstrom.
    table : WindowTable
        Of these centres.
    classes : tuple of str
        Names of its classes.
    parents : ParentFinder
    """
    kinds = np.array([STACKED.get(name, "") for name in classes])
    probabilities = np.nan_to_num(table.probabilities)
    best = probabilities.argmax(axis=1)
    kind = kinds[best]
    with np.errstate(invalid="ignore"):
        good = (kind != "") & (table.coherence > LEAST_COHERENCE) & ~table.sparse
    good &= probabilities.max(axis=1, initial=0.0) > LEAST_CERTAINTY
    good &= np.isfinite(table.lattice).all(axis=(1, 2))
    rows = np.flatnonzero(good)
    # The most coherent window of each cube comes first.
    rows = rows[np.argsort(-table.coherence[rows], kind="stable")]
    distances = table.nearest_neighbor_distance[rows]
    edge = CUBE * max(float(np.median(distances)) if len(rows) else 0.0, 1e-6)
    cubes = np.floor(prepared.space.wrap(points[rows]) / edge).astype(np.int64)
    cubes = np.column_stack([cubes, kind[rows] == "hexagonal"])
    rows = rows[np.sort(np.unique(cubes, axis=0, return_index=True)[1])]
    matrix = np.full((len(rows), 3, 3), np.nan)
    double = np.zeros(len(rows), bool)
    hexagonal = kind[rows] == "hexagonal"
    matrix[~hexagonal] = _cubic(table.lattice[rows[~hexagonal]], parents)
    matrix[hexagonal], double[hexagonal] = _hexagonal(table.lattice[rows[hexagonal]])
    known = np.isfinite(matrix).all(axis=(1, 2))
    rows, matrix, double, hexagonal = rows[known], matrix[known], double[known], hexagonal[known]
    spacing = np.cbrt(np.abs(np.linalg.det(matrix)))
    ratio = spacing / table.nearest_neighbor_distance[rows]
    wide = ratio > WIDE
    # What has the lattice, but another motif, has other neighbours.
    there = (ratio > WIDTHS[0]) & (ratio < WIDTHS[1])
    there &= hexagonal | (wide == (kind[rows] == "diamond"))
    rows, matrix, double, hexagonal = rows[there], matrix[there], double[there], hexagonal[there]
    spacing, wide = spacing[there], wide[there]
    variance = np.maximum(np.nan_to_num(table.mean_square_displacement[rows]), 0.0) / spacing**2
    return Crystals(
        points[rows],
        matrix,
        hexagonal,
        double,
        wide,
        spacing,
        2 * variance + SLACK**2,
    )


def _cubic(lattice: Array, parents: ParentFinder) -> Array:
    """Matrices (B, 3, 3) of face-centred lattices, however strained; nan where there is none."""
    strains = parents(lattice)
    face = strains.parent == PARENTS.index("fcc")
    result = np.full((len(lattice), 3, 3), np.nan)
    turn = Rotation.from_quat(strains.orientation[face]).as_matrix()
    # Of row vectors: stretched in the parent's axes, then turned; the parent has the volume.
    spacing = np.cbrt(np.abs(np.linalg.det(lattice[face])) * np.sqrt(2))
    stretch = np.eye(3) + strains.strain[face]
    result[face] = spacing[:, None, None] * stretch @ turn.transpose(0, 2, 1)
    return result


def _hexagonal(lattice: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Matrices (B, 3, 3) of hexagonal lattices of two or four layers, nan of others; which four."""
    first, second = lattice[:, 0], lattice[:, 1]
    # An angle near 120 degrees, as between two of the vectors in a (111) plane.
    turned = np.einsum("bi,bi->b", first, second) > 0
    second = np.where(turned[:, None], second - first, second)
    lengths = np.linalg.norm([first, second, first + second], axis=2)
    edge = lengths.mean(axis=0)
    normal = np.cross(first, second)
    area = np.linalg.norm(normal, axis=1)
    height = np.abs(np.linalg.det(lattice)) / area
    layers = np.rint(height / (LAYER * edge))
    even = (np.ptp(lengths, axis=0) < 0.2 * edge) & np.isin(layers, (2, 4))
    even &= np.abs(height / (LAYER * edge) / np.where(even, layers, 1) - 1) < 0.12
    ideal = np.array([(1, -1, 0), (0, 1, -1), (2 / 3, 2 / 3, 2 / 3)]) / np.sqrt(2)
    layer = normal / area[:, None] * (height / np.where(even, layers, 1))[:, None]
    real = np.stack([first, second, layer], axis=1)
    matrix = np.where(even[:, None, None], np.linalg.inv(ideal) @ real, np.nan)
    return matrix, np.asarray(layers == 4)
