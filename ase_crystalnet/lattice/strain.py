"""Strain of a window: the nearest parent of its lattice, and the window without it.

A crystal that is pulled has the symmetry of the pull, and the frame of its reduced cell may jump
with it. What it *is* shows when the strain is taken out again: of all bases of the lattice the one
is sought whose metric is nearest to that of a face-centred, body-centred or simple cubic lattice of
the same volume; if the stretch between the two is small, the atoms are moved by its inverse.

The size of the undistorted crystal is not known from one window, so the parent has the volume of
the lattice and the strain is that of the shape alone.

Where no cubic parent is near enough, a hexagonal, body-centred tetragonal or rhombohedral one may
be: their c/a is free, and only what departs from the symmetry (a shear, an uneven pull in the plane
normal to the axis) counts as strain and is undone. So a strained hcp crystal or beta-tin comes to
the frame of its unstrained self, with the c/a that it has.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ase_crystalnet._compute.threads import share
from ase_crystalnet.errors import InputError
from ase_crystalnet.lattice.finder import Lattices, minkowski_reduce, standard_frame
from ase_crystalnet.lattice.orientation import CENTRING, HEXAGONAL_AXES, template_of

__all__ = [
    "PARENTS",
    "STRAIN_LIMIT",
    "ParentFinder",
    "Strains",
    "nearest_parent",
    "reframed",
    "without_strain",
]

Array = NDArray[np.float64]

#: Largest principal logarithmic stretch that is taken for a strain: below the middle of the way
#: from fcc to bcc, 0.1155.
STRAIN_LIMIT = 0.10
#: Parents, by their number in `Strains.parent`, and the centring of each.
PARENTS = ("fcc", "bcc", "sc", "hexagonal", "tetragonal", "rhombohedral")
# Centring, hexagonal axes, proper rotations.
_CUBIC = (("F", False, "O"), ("I", False, "O"), ("P", False, "O"))
_AXIAL = (("P", True, "D6"), ("I", False, "D4"), ("R", True, "D3"))
#: Difference of the distances of two parents, in logarithmic stretch, at which the nearer one has
#: the probability 1 / (1 + 1/e): about the error of the lattice of a window at sigma 0.10.
CONFUSED = 0.015
#: Logarithmic stretch to which the nearest basis is sure to be among those compared.
FARTHEST = 0.17


@dataclass(frozen=True, eq=False)
class Strains:
    """Nearest parents of B lattices, and the strain against them.

    Attributes
    ----------
    parent : (B,) int8 array
        0 face-centred, 1 body-centred, 2 simple cubic lattice; where none of these is within the
        limit 3 hexagonal, 4 body-centred tetragonal, 5 rhombohedral, with the lattice's own c/a
        (`PARENTS`); -1 where none is, or there is no lattice.
    undo : (B, 3, 3) float64 array
        Symmetric, of determinant 1: ``positions @ undo`` is free of the strain and not turned;
        the identity without a parent.
    strain : (B, 3, 3) float64 array
        Stretch minus 1 (Biot strain) in the axes of the parent's conventional cell, against a
        parent of the same volume; nan without a parent. Its determinant is that of a change of
        shape: volumetric strain needs a reference.
    size : (B,) float64 array
        Largest absolute logarithm of the principal stretches against the nearest parent, also
        where it is beyond the limit (beyond 0.17, of cubic parents, an upper bound); nan without a
        lattice.
    margin : (B,) float64 array
        Certainty that the nearest parent is the right one of the two nearest that were compared,
        1 / (1 + exp(-(d2 - d1) / 0.015)) with d1 and d2 the `size` of each: 1/2 in the middle of
        the Bain path between fcc and bcc, near 1 away from it; nan without a lattice.
    rival : (B,) int8 array
        The second nearest parent of those that were compared; -1 without a lattice.
    orientation : (B, 4) float64 array
        Unit quaternion (x, y, z, w) that turns the axes of the parent into those of the sample, of
        the symmetrically equal ones that with the smallest angle; `strain` is in its axes. nan
        without a parent.
    """

    parent: NDArray[np.int8]
    undo: Array
    strain: Array
    size: Array
    margin: Array
    rival: NDArray[np.int8]
    orientation: Array

    def __len__(self) -> int:
        return len(self.parent)


@dataclass(frozen=True)
class ParentFinder:
    """Limit of the search for parents; call it on lattices.

    Parameters
    ----------
    limit : float
        Largest principal logarithmic stretch that is taken for a strain.

    Raises
    ------
    InputError
        `limit` is negative or not a number.
    """

    limit: float = STRAIN_LIMIT

    def __post_init__(self) -> None:
        if not self.limit >= 0:
            raise InputError(f"limit is {self.limit}; expected a logarithmic stretch of 0 or more")

    def __call__(self, lattice: Array, *, threads: int | None = None) -> Strains:
        """Nearest parent of each lattice.

        Parameters
        ----------
        lattice : (B, 3, 3) array
            Lattice vectors in rows, any basis, any unit; nan where there is none.
        threads : int, optional
            Threads to share the lattices; default: numba's number (``NUMBA_NUM_THREADS``).

        Raises
        ------
        InputError
            The shape is not (B, 3, 3).
        """
        from ase_crystalnet.lattice._kernels.strain import strain_batch  # compiled on first use

        lattice = np.ascontiguousarray(lattice, np.float64)
        if lattice.ndim != 3 or lattice.shape[1:] != (3, 3):
            raise InputError(f"lattices have shape {lattice.shape}; expected (B, 3, 3)")
        total = len(lattice)
        parent = np.full(total, -1, np.int8)
        undo = np.tile(np.eye(3), (total, 1, 1))
        strain = np.full((total, 3, 3), np.nan)
        orientation = np.full((total, 4), np.nan)
        sizes = np.full((total, len(PARENTS)), np.nan)
        given = (self.limit, _parents(axial=False), _parents(axial=True))

        def part(start: int, stop: int) -> None:
            strain_batch(lattice, start, stop, *given, parent, undo, strain, orientation, sizes)

        share(part, total, threads)
        nearest = np.argsort(sizes, axis=1, kind="stable")[:, :2]  # nan goes last
        size, second = np.take_along_axis(sizes, nearest, axis=1).T
        rival = np.where(np.isfinite(second), nearest[:, 1], -1).astype(np.int8)
        # (1 + tanh(x / 2)) / 2 is the logistic function without overflow.
        margin = 0.5 + 0.5 * np.tanh((second - size) / (2 * CONFUSED))
        return Strains(parent, undo, strain, size, margin, rival, orientation)


def nearest_parent(
    lattice: Array, limit: float = STRAIN_LIMIT, *, threads: int | None = None
) -> Strains:
    """Nearest parent of each lattice (B, 3, 3), see `ParentFinder`."""
    return ParentFinder(limit)(lattice, threads=threads)


def reframed(lattices: Lattices, lattice: Array) -> Lattices:
    """The same windows with other lattices, reduced, and the frame and scale that follow.

    Parameters
    ----------
    lattices : Lattices
        Of B windows.
    lattice : (B, 3, 3) array
        Any basis; where it is nan, lattice, frame and scale stay.
    """
    there = np.isfinite(lattice).all(axis=(1, 2))
    reduced = minkowski_reduce(lattice[there])
    real, frame, scale = lattices.lattice.copy(), lattices.frame.copy(), lattices.scale.copy()
    real[there] = reduced
    frame[there] = standard_frame(reduced[:, 0], reduced[:, 1])
    scale[there] = np.cbrt(np.linalg.det(reduced))
    return replace(lattices, lattice=real, frame=frame, scale=scale)


def without_strain(
    lattices: Lattices, positions: NDArray[np.float32], strains: Strains
) -> tuple[Lattices, NDArray[np.float32]]:
    """Windows and their lattices with the strain taken out, ready for ``standardize``.

    Parameters
    ----------
    lattices : Lattices
        Of B windows.
    positions : (B, N, 3) array
        About the centres of the windows, Angstrom.
    strains : Strains
        Of ``lattices.lattice``, or of their parents (then `reframed` comes first).

    Returns
    -------
    Lattices, (B, N, 3) float32 array
        Where there is no parent both are as given.
    """
    some = np.flatnonzero(strains.parent >= 0)
    moved = np.array(positions, np.float32)
    moved[some] = np.matmul(positions[some], strains.undo[some].astype(np.float32))
    real, frame, scale = lattices.lattice.copy(), lattices.frame.copy(), lattices.scale.copy()
    turn = Rotation.from_quat(strains.orientation[some]).as_matrix()
    # In the axes of the parent, then as the parent itself has it: vectors of the found lattice that
    # are equal by symmetry now differ by rounding alone, which must not choose the frame.
    inside = lattices.lattice[some] @ strains.undo[some] @ turn
    bases = _standard_bases(strains.parent[some], inside)
    real[some] = bases @ turn.transpose(0, 2, 1)
    frame[some] = standard_frame(bases[:, 0], bases[:, 1]) @ turn.transpose(0, 2, 1)
    scale[some] = np.cbrt(np.abs(np.linalg.det(bases)))
    return replace(lattices, lattice=real, frame=frame, scale=scale), moved


def _standard_bases(parent: NDArray[np.int8], inside: Array) -> Array:
    """Reduced bases (B, 3, 3) of the parents of lattices given in the parents' own axes."""
    small = np.array(list(product(range(-2, 3), repeat=3)))
    volume = np.abs(np.linalg.det(inside))
    result = np.empty_like(inside)
    for number in np.unique(parent):
        rows = np.flatnonzero(parent == number)
        axial = number >= len(_CUBIC)
        centring, hexagonal, _ = (*_CUBIC, *_AXIAL)[number]
        template = CENTRING[centring] @ (HEXAGONAL_AXES if hexagonal else np.eye(3))
        stretch = np.ones((len(rows), 3))
        if axial:
            # Layers of a lattice are apart along its axis by c, c / 2 or c / 3.
            height = np.abs(small @ inside[rows, :, 2:])[..., 0]
            height[height < 0.05 * np.cbrt(volume[rows, None])] = np.inf
            layer = np.abs(template[:, 2]).max() if number != 3 else 1.0
            along = height.min(axis=1) / layer
            across = np.sqrt(volume[rows] / (np.abs(np.linalg.det(template)) * along))
            stretch[:, 2] = along / across
        bases = minkowski_reduce(template * stretch[:, None])
        edge = np.cbrt(volume[rows] / np.abs(np.linalg.det(bases)))
        result[rows] = bases * edge[:, None, None]
    return result


@cache
def _parents(axial: bool) -> tuple[tuple[NDArray[np.float32], Array, Array], ...]:
    """For each parent, as the kernel takes it: tables (6, 6, K), steps (K, 3, 3), rotations.

    A step takes a reduced lattice of volume 1 to the gradient against the parent: the inverse of
    the parent's primitive basis times a change of basis. A table does the same to the metric.
    """
    pairs = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
    result = []
    for centring, hexagonal, group in _AXIAL if axial else _CUBIC:
        changes = template_of(centring, hexagonal, axial)[2]
        primitive = CENTRING[centring] @ (HEXAGONAL_AXES if hexagonal else np.eye(3))
        primitive = primitive / np.cbrt(abs(np.linalg.det(primitive)))
        if not axial:
            # A shortest vector is at most exp(FARTHEST) longer than in the parent, and any vector
            # that much shorter: longer ones of the parent are in no reduced basis.
            bases = np.linalg.norm(np.linalg.inv(changes) @ primitive, axis=2).max(axis=1)
            changes = changes[bases < bases.min() * np.exp(2 * FARTHEST)]
        steps = np.linalg.inv(primitive) @ changes
        tables = np.empty((6, 6, len(steps)), np.float32)
        for row, (i, j) in enumerate(pairs):
            for column, (p, q) in enumerate(pairs):
                value = steps[:, i, p] * steps[:, j, q]
                if p != q:
                    value = value + steps[:, i, q] * steps[:, j, p]
                tables[row, column] = value
        rotations = np.ascontiguousarray(Rotation.create_group(group).as_matrix())
        result.append((tables, steps, rotations))
    return tuple(result)
