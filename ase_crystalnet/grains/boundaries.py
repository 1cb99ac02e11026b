"""What neighbouring grains are to each other: misorientation, coincidence relations, contact."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ase_crystalnet._compute.types import Array

__all__ = ["Boundary", "brandon", "coincidence", "contacts", "disorientation", "special_rotations"]

#: Brandon's angle of Sigma 1, degrees: Acta Metall. 14, 1479 (1966).
BRANDON = 15.0
#: Largest Sigma that is named.
LARGEST_SIGMA = 29


@dataclass(frozen=True)
class Boundary:
    """Contact of two grains.

    Attributes
    ----------
    grains : (int, int)
        Their numbers, the smaller one first.
    pairs : int
        Pairs of neighbouring atoms across it: a measure of its area.
    misorientation : float
        Smallest rotation between equivalent axes, degrees; nan between different crystals.
    axis : (float, float, float)
        Its axis in the axes of the crystal; nan between different crystals.
    sigma : int
        Coincidence index of cubic crystals within Brandon's limit, 3 for a twin; 0 for none, 1
        below 15 degrees.
    deviation : float
        Angle from that coincidence, degrees; nan without one.
    """

    grains: tuple[int, int]
    pairs: int
    misorientation: float
    axis: tuple[float, float, float]
    sigma: int
    deviation: float


def brandon(sigma: int) -> float:
    """Largest deviation from a coincidence, degrees: 15 / sqrt(Sigma)."""
    return float(BRANDON / np.sqrt(sigma))


def disorientation(first: Array, second: Array, rotations: Array) -> tuple[float, Array]:
    """Smallest rotation between two orientations of one crystal, and its axis in crystal axes.

    Parameters
    ----------
    first, second : (3, 3) array
        From crystal axes to sample axes.
    rotations : (G, 3, 3) array
        Proper rotations of the crystal's Laue group.

    Returns
    -------
    angle : float
        Degrees.
    axis : (3,) array
        Unit vector, of the equivalent ones that with components descending in magnitude first.
    """
    between = first.T @ second
    candidates = Rotation.from_matrix(between @ rotations)
    angles = candidates.magnitude()
    vector = candidates[int(np.argmin(angles))].as_rotvec()
    angle = float(np.linalg.norm(vector))
    if angle < 1e-9:
        return 0.0, np.array([0.0, 0.0, 1.0])
    axis = vector / angle
    equal = np.concatenate([rotations @ axis, -rotations @ axis])
    ranked = np.round(equal, 6)
    best = np.lexsort((ranked[:, 2], ranked[:, 1], ranked[:, 0]))[-1]
    return float(np.degrees(angle)), np.asarray(equal[best] + 0.0)


@cache
def special_rotations() -> tuple[tuple[int, Array], ...]:
    """Coincidence rotations of cubic lattices up to Sigma 29: index and matrix, one of each kind.

    Every quaternion of small integers (m, u, v, w) is one; Sigma is its squared norm without
    factors of two (Grimmer, Acta Cryst. A30, 685 (1974)).
    """
    group = Rotation.create_group("O").as_matrix()
    found: dict[tuple[int, int], Array] = {}
    small = range(6)
    for m in small:
        for u in small:
            for v in range(u + 1):
                for w in range(v + 1):
                    if np.gcd.reduce([m, u, v, w]) != 1 or not u:
                        continue
                    sigma = m * m + u * u + v * v + w * w
                    while sigma % 2 == 0:
                        sigma //= 2
                    if not 1 < sigma <= LARGEST_SIGMA:
                        continue
                    matrix = Rotation.from_quat([u, v, w, m]).as_matrix()
                    angle, _ = disorientation(np.eye(3), matrix, group)
                    found.setdefault((sigma, round(100 * angle)), matrix)
    return tuple((sigma, found[sigma, angle]) for sigma, angle in sorted(found))


def coincidence(first: Array, second: Array) -> tuple[int, float]:
    """Sigma of two orientations of a cubic crystal by Brandon's criterion, and the deviation.

    Of several within their limits the one that is nearest in units of its limit.

    Returns
    -------
    sigma : int
        0 for none; 1 for a small-angle boundary.
    deviation : float
        Degrees; nan for none.
    """
    between = (first.T @ second).reshape(9)
    best = (1.0, 0, float("nan"))
    for sigma, equivalents in _equivalents():
        # The trace of a rotation is 1 + 2 cos of its angle.
        cosine = (float((equivalents @ between).max()) - 1) / 2
        angle = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        if angle / brandon(sigma) < best[0]:
            best = (angle / brandon(sigma), sigma, angle)
    return best[1], best[2]


@cache
def _equivalents() -> tuple[tuple[int, Array], ...]:
    """All equivalents (M, 9) of each coincidence: symmetry of either grain, and the inverse."""
    group = Rotation.create_group("O").as_matrix()
    result = []
    for sigma, matrix in ((1, np.eye(3)), *special_rotations()):
        both = np.stack([matrix, matrix.T])
        every = np.einsum("aij,bjk,ckl->abcil", group, both, group).reshape(-1, 9)
        result.append((sigma, np.unique(np.round(every, 12) + 0.0, axis=0)))
    return tuple(result)


def contacts(
    grain: NDArray[np.integer], neighbors: NDArray[np.integer], rounds: int = 2
) -> dict[tuple[int, int], int]:
    """Pairs of neighbouring atoms of each two grains that meet.

    Parameters
    ----------
    grain : (N,) integer array
        From 1; 0 for none.
    neighbors : (N, k) integer array
        Nearest atoms of each.
    rounds : int
        Atoms of no grain are given to the commonest grain about them, so often.
    """
    label = np.asarray(grain).astype(np.int64).copy()
    for _ in range(rounds):
        free = np.flatnonzero(label == 0)
        if not len(free):
            break
        around = np.sort(label[neighbors[free]], axis=1)
        best, most = np.zeros(len(free), np.int64), np.zeros(len(free), np.int64)
        for column in range(around.shape[1]):
            value = around[:, column]
            number = (around == value[:, None]).sum(axis=1) * (value > 0)
            better = number > most
            best[better], most[better] = value[better], number[better]
        label[free] = best
    first = np.repeat(label, neighbors.shape[1])
    second = label[neighbors].reshape(-1)
    different = (first != second) & (first > 0) & (second > 0)
    pairs = np.sort(np.stack([first[different], second[different]], axis=1), axis=1)
    if not len(pairs):
        return {}
    unique, counts = np.unique(pairs, axis=0, return_counts=True)
    return {(int(a), int(b)): int(n) for (a, b), n in zip(unique, counts, strict=True)}
