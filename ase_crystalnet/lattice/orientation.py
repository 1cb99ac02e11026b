"""Conventional setting, orientation and strain of a reduced lattice whose class is known.

A reduced primitive cell says nothing unique about orientation: fcc alone has several that are not
related by symmetry. So the integer change of basis is sought that makes the lattice most like the
class's own (cF, cI, cP, tI, hP or hR), and the rotation is that of the conventional axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ase_crystalnet._compute.types import Array
from ase_crystalnet.classes import VOCABULARY
from ase_crystalnet.lattice._kernels.setting import _best_change

__all__ = ["Setting", "conventional_setting", "misorientation", "symmetry_rotations"]

# Primitive basis in units of the conventional one (rows), conventional cell with c = 0 and a = 0.
CENTRING: dict[str, Array] = {
    "P": np.eye(3),
    "F": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2,
    "I": np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2,
    "R": np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3,
}
HEXAGONAL_AXES = np.array([[1, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, 1]])


@dataclass(frozen=True, eq=False)
class Setting:
    """Conventional setting of B lattices; nan where lattice or class is unknown.

    What each quantity means and where it can mislead: see docs/glossary.md.

    Attributes
    ----------
    orientation : (B, 4) array
        Unit quaternion (x, y, z, w) from crystal axes to sample axes.
    cell : (B, 3) array
        Conventional a, b, c, Angstrom.
    strain : (B, 3, 3) array
        Biot strain in crystal axes, without volume change.
    misfit : (B,) array
        Norm of `strain`.
    vectors : (B, 3, 3) array
        Conventional basis as it lies in the sample, strain in it, rows, Angstrom.
    centring : (B,) str array
        P, F, I or R: what of its class's Bravais types the lattice is nearest to; '' if unknown.
    """

    orientation: Array
    cell: Array
    strain: Array
    misfit: Array
    vectors: Array
    centring: NDArray[np.str_]


@cache
def _integer_matrices() -> NDArray[np.int64]:
    """All 3x3 matrices of -1, 0, 1 with determinant +-1."""
    rows = np.array(list(product((-1, 0, 1), repeat=9))).reshape(-1, 3, 3)
    return rows[np.abs(np.rint(np.linalg.det(rows))) == 1]


@cache
def template_of(centring: str, hexagonal: bool, free: bool) -> tuple[Array, Array, Array]:
    """Gram matrices of the primitive basis from a^2 and c^2, and one change of basis per coset."""
    conventional = HEXAGONAL_AXES if hexagonal else np.eye(3)
    primitive = CENTRING[centring] @ conventional
    gram_a = primitive[:, :2] @ primitive[:, :2].T
    gram_c = np.outer(primitive[:, 2], primitive[:, 2])
    if not free:
        gram_a, gram_c = gram_a + gram_c, np.zeros((3, 3))
    matrices = _integer_matrices()

    def keeps(gram: Array) -> NDArray[np.bool_]:
        turned = matrices @ gram @ matrices.transpose(0, 2, 1)
        result: NDArray[np.bool_] = np.abs(turned - gram).max(axis=(1, 2)) < 1e-9
        return result

    group = matrices[keeps(gram_a) & keeps(gram_c)]
    # One matrix per coset: symmetry operations of the template give the same lattice.
    digits = 5 ** np.arange(9)[::-1]
    codes = np.stack([((g @ matrices).reshape(len(matrices), 9) + 2) @ digits for g in group])
    _, first = np.unique(codes.min(axis=0), return_index=True)
    return gram_a, gram_c, matrices[first].astype(np.float64)


def conventional_setting(
    lattice: NDArray[np.float64], labels: NDArray[np.integer], classes: tuple[str, ...]
) -> Setting:
    """Orientation, conventional cell and strain of lattices of known class.

    Parameters
    ----------
    lattice : (B, 3, 3) array
        Reduced lattices, rows, Angstrom; nan if unknown.
    labels : (B,) integer array
        Index into `classes`; negative where unknown.
    classes : tuple of str
        Names; classes without a lattice get nan.
    """
    total = len(lattice)
    result = Setting(
        orientation=np.full((total, 4), np.nan),
        cell=np.full((total, 3), np.nan),
        strain=np.full((total, 3, 3), np.nan),
        misfit=np.full(total, np.nan),
        vectors=np.full((total, 3, 3), np.nan),
        centring=np.full(total, "", dtype="U1"),
    )
    known = np.isfinite(lattice).all(axis=(1, 2))
    for number, name in enumerate(classes):
        if name not in VOCABULARY or not VOCABULARY[name].bravais:
            continue
        chosen = np.flatnonzero(known & (labels == number))
        if len(chosen):
            _settle(lattice[chosen], chosen, VOCABULARY[name].bravais, result)
    return result


def _settle(
    lattice: Array,
    rows: NDArray[np.intp],
    types: tuple[tuple[str, bool, bool], ...],
    result: Setting,
) -> None:
    best = np.full(len(lattice), np.inf)
    for centring, hexagonal, free in types:
        gram_a, gram_c, changes = template_of(centring, hexagonal, free)
        index = np.zeros(len(lattice), np.int64)
        value = np.empty(len(lattice))
        _best_change(np.ascontiguousarray(lattice), gram_a, gram_c, changes, index, value)
        better = value < best
        best[better] = value[better]
        primitive = changes[index[better]] @ lattice[better]
        conventional = np.linalg.inv(CENTRING[centring]) @ primitive
        conventional[np.linalg.det(conventional) < 0] *= -1
        lengths = np.linalg.norm(conventional, axis=2)
        if free:
            a = np.sqrt((lengths[:, 0] ** 2 + lengths[:, 1] ** 2) / 2)
            c = lengths[:, 2]
        else:
            a = c = np.cbrt(np.linalg.det(conventional))
        ideal = (HEXAGONAL_AXES if hexagonal else np.eye(3)) * np.stack([a, a, c], axis=1)[
            :, None, :
        ]
        # Rows: conventional = ideal @ F^T with F = R U.
        gradient = np.linalg.solve(ideal, conventional).transpose(0, 2, 1)
        u, s, vt = np.linalg.svd(gradient)
        rotation = u @ vt
        stretch = vt.transpose(0, 2, 1) @ (s[:, :, None] * vt)
        quaternion, operation = _smallest_angle(
            Rotation.from_matrix(rotation), "hexagonal" if hexagonal else _system(free)
        )
        # The same operation turns the crystal axes that strain and cell are given in.
        stretch = operation.transpose(0, 2, 1) @ stretch @ operation
        conventional = ideal @ (gradient @ operation).transpose(0, 2, 1)
        where = rows[better]
        result.orientation[where] = quaternion
        result.cell[where] = np.linalg.norm(conventional, axis=2)
        result.vectors[where] = conventional
        result.centring[where] = centring
        result.strain[where] = stretch - np.eye(3)
        result.misfit[where] = np.linalg.norm(stretch - np.eye(3), axis=(1, 2))


def _system(free: bool) -> str:
    return "tetragonal" if free else "cubic"


@cache
def symmetry_rotations(system: str) -> Rotation:
    """Proper rotations of a crystal system's holohedry, c along z, a along x.

    Parameters
    ----------
    system : {'cubic', 'tetragonal', 'hexagonal'}
    """
    group = {"cubic": "O", "tetragonal": "D4", "hexagonal": "D6"}[system]
    return Rotation.create_group(group)


def _smallest_angle(rotation: Rotation, system: str) -> tuple[Array, Array]:
    """The symmetrically equal quaternion with the largest scalar part, and the operation to it."""
    operations = symmetry_rotations(system)
    given, turns = rotation.as_quat(), operations.as_quat()
    # The scalar part of each product.
    scalar = given[:, 3:] * turns[:, 3] - given[:, :3] @ turns[:, :3].T
    pick = np.abs(scalar).argmax(axis=1)
    quaternion: Array = (rotation * operations[pick]).as_quat()
    return quaternion * np.where(quaternion[:, 3:] < 0, -1.0, 1.0), operations.as_matrix()[pick]


def misorientation(first: Array, second: Array, system: str) -> Array:
    """Smallest angle (B,) in degrees between orientations (B, 4), up to crystal symmetry."""
    difference = Rotation.from_quat(first).inv() * Rotation.from_quat(second)
    angles = np.stack([(difference * s).magnitude() for s in symmetry_rotations(system)])
    return np.degrees(angles.min(axis=0))
