"""Poles named: orientation and scales at which the found planes are those of a known crystal.

A reconstruction's lengths are off: by one factor across depth and by another along it. With h the
indices of a plane, B the reciprocal cell, R the orientation and S = diag(a, a, c) the scales, a
plane appears with normal over spacing q = S^-1 R B h. R has three unknowns, S two; every pole gives
three equations. A prior on the scales (a tenth) keeps what is not measured near 1.

Which pole is which plane is found by hypotheses: two poles are taken for two planes of like
spacings and angle, which gives an orientation, at which all poles are judged. A pole counts by the
logarithm of its odds: how likely a plane of the crystal would appear just there, against a
direction and spacing at random. Planes that field evaporation shows have low indices: the share
that a plane has falls with the fourth power of 1 / spacing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ase_crystalnet._compute.types import Array
from ase_crystalnet.atom_probe.crystal.known import KnownCrystal
from ase_crystalnet.atom_probe.search.poles import Pole
from ase_crystalnet.errors import InputError

__all__ = ["NamedPoles", "name_poles"]

#: Largest error of a scale that is looked for, and its standard deviation beforehand.
SCALE_LIMIT, SCALE_PRIOR = 0.15, 0.08
#: Errors of a pole beyond its windows' scatter: the reconstruction is bent. Share, degrees.
SPACING_ERROR, NORMAL_ERROR = 0.006, 1.2
#: Poles that orientations are made of; poles that are judged.
_SEEDS, _JUDGED = 6, 16
#: Largest angle by which two poles may miss that of two planes, degrees.
_ANGLE = 10.0
#: Orientations that are refined.
_REFINED = 24
#: Odds (their logarithm) below which another orientation is as good.
_CLEAR = 3.0


@dataclass(frozen=True, eq=False)
class NamedPoles:
    """Names of poles, and the orientation and scales that make them right (docs/glossary.md).

    Attributes
    ----------
    crystal : str
    indices : (P, 3) int array
        Planes of the poles given, in their order; 0 0 0 where none fits. With signs: normals are
        ``orientation @ vectors``.
    normals : (P, 3) array
        Of the poles, as found.
    names : tuple of str
        Their families; '' where none fits.
    orientation : (3, 3) array
        From the frame of the crystal's cell to the sample; nan where fewer than two directions are
        named.
    orientation_error : float
        Standard deviation of the rotation, root mean square over the axes, degrees.
    lateral_scale, depth_scale : float
        Reconstructed over true length. Planes are reconstructed where their pole comes out of the
        cap, along the cap's normal: the lateral one is of the planes, and says little of the
        specimen's width.
    lateral_error, depth_error : float
        Standard deviations. Near `SCALE_PRIOR`: the planes do not tell.
    odds : float
        Logarithm of the odds against poles at random.
    margin : float
        By how much these are above those of the next orientation that the crystal's symmetry does
        not make the same; below 3 the names are not certain.
    """

    crystal: str
    indices: NDArray[np.int64]
    normals: Array
    names: tuple[str, ...]
    orientation: Array
    orientation_error: float
    lateral_scale: float
    depth_scale: float
    lateral_error: float
    depth_error: float
    odds: float
    margin: float

    @property
    def frame(self) -> Array:
        """Matrix (3, 3) from wave vectors of the crystal to those of the reconstruction."""
        stretch = np.array([self.lateral_scale, self.lateral_scale, self.depth_scale])
        return np.asarray(self.orientation / stretch[:, None])

    @property
    def certain(self) -> bool:
        """Whether no other orientation explains the poles nearly as well."""
        return bool(np.isfinite(self.orientation).all() and self.margin >= _CLEAR)

    @property
    def suggestion(self) -> str:
        """What to change in the reconstruction so that the spacings become right, in words.

        Of the protocol of Bas: depth goes as (k F / xi)^2, lengths across depth as xi / (k F),
        with k the field factor, F the evaporation field and xi the image compression.
        """
        if not np.isfinite(self.depth_error) or self.depth_error > 0.5 * SCALE_PRIOR:
            return "none: the named planes do not fix the depth scale"
        factor = self.depth_scale**-0.5
        error = 0.5 * self.depth_error / self.depth_scale * factor
        return (
            f"multiply k x F by {factor:.3f} ± {error:.3f} (or divide the image compression "
            f"by it): depth is {100 * (self.depth_scale - 1):+.1f} ± {100 * self.depth_error:.1f} %"
        )


@dataclass(frozen=True, eq=False)
class _Measured:
    """Poles as numbers: normals over spacings, and errors of length (share) and angle."""

    q: Array
    length_error: Array
    angle_error: Array

    @classmethod
    def of(cls, poles: Sequence[Pole]) -> _Measured:
        q = np.array([np.asarray(p.normal) / p.spacing for p in poles]).reshape(-1, 3)
        root = np.sqrt([max(p.independent, 1) for p in poles])
        spread = np.array([p.spacing_spread / p.spacing for p in poles])
        angle = np.deg2rad([p.spread for p in poles])
        return cls(
            q,
            np.hypot(spread / root, SPACING_ERROR),
            np.hypot(angle / root, np.deg2rad(NORMAL_ERROR)),
        )

    def some(self, count: int) -> _Measured:
        return _Measured(self.q[:count], self.length_error[:count], self.angle_error[:count])


def name_poles(poles: Sequence[Pole], crystal: KnownCrystal) -> NamedPoles:
    """Match poles to the planes of a crystal.

    Parameters
    ----------
    poles : sequence of Pole
        From `find_poles`, the most significant first.
    crystal : KnownCrystal

    Raises
    ------
    InputError
        If there is no pole.

    Notes
    -----
    A single direction leaves the orientation open: the pole is named if one plane's spacing fits
    better than all others', with the scale that follows.
    """
    if not poles:
        raise InputError("no poles to name: no planes are significant in several windows")
    measured = _Measured.of(poles[:_JUDGED])
    spacing = 1 / np.linalg.norm(measured.q, axis=1)
    indices, share = crystal.planes(float(spacing.min()) / (1 + SCALE_LIMIT))
    if not len(indices):
        return _unnamed(poles, crystal)
    vectors = crystal.vectors(indices)
    vectors, indices = np.concatenate([vectors, -vectors]), np.concatenate([indices, -indices])
    weight = np.concatenate([share, share]) ** 2 / np.linalg.norm(vectors, axis=1) ** 4
    log_share = np.log(weight / weight.sum())
    starts = _orientations(measured.some(_SEEDS), vectors, crystal)
    if not len(starts):
        return _named_by_spacing(poles, crystal, measured, vectors, indices, log_share)
    rough = _odds(starts, np.ones((len(starts), 2)), measured, vectors, log_share, 3.0)[0]
    fits: list[tuple[float, Array, Array]] = []
    for i in np.argsort(-rough, kind="stable")[:_REFINED]:
        turn, scale = _refined(starts[i], measured, vectors, log_share)
        value = float(_odds(turn[None], scale[None], measured, vectors, log_share, 1.0)[0][0])
        value -= float((np.log(scale) ** 2).sum()) / (2 * SCALE_PRIOR**2)
        fits.append((value, turn, scale))
    fits.sort(key=lambda fit: -fit[0])
    value, turn, scale = fits[0]
    others = [v for v, t, _ in fits[1:] if not _same(t, turn, crystal)]
    odds, chosen, hit = _odds(turn[None], scale[None], measured, vectors, log_share, 1.0)
    rows = np.full(len(poles), -1)
    rows[: len(chosen[0])] = np.where(hit[0], chosen[0], -1)
    if (rows >= 0).sum() < 2 or odds[0] <= 0:
        return _named_by_spacing(poles, crystal, measured, vectors, indices, log_share)
    covariance = _covariance(turn, scale, measured, vectors, rows[: len(chosen[0])])
    error = np.sqrt(np.diag(covariance))
    return NamedPoles(
        crystal=crystal.name,
        indices=np.where(rows[:, None] >= 0, indices[rows], 0),
        normals=_normals(poles),
        names=tuple(crystal.label(indices[r]) if r >= 0 else "" for r in rows),
        orientation=turn,
        orientation_error=float(np.rad2deg(np.sqrt(np.mean(error[:3] ** 2)))),
        lateral_scale=float(scale[0]),
        depth_scale=float(scale[1]),
        lateral_error=float(error[3] * scale[0]),
        depth_error=float(error[4] * scale[1]),
        odds=value,
        margin=value - max([*others, 0.0]),
    )


def _normals(poles: Sequence[Pole]) -> Array:
    return np.array([pole.normal for pole in poles]).reshape(-1, 3)


def _unnamed(poles: Sequence[Pole], crystal: KnownCrystal) -> NamedPoles:
    none = np.zeros((len(poles), 3), np.int64)
    nan = float("nan")
    return NamedPoles(
        crystal.name, none, _normals(poles), ("",) * len(poles), np.full((3, 3), nan),
        nan, nan, nan, nan, nan, 0.0, 0.0,
    )  # fmt: skip


def _orientations(measured: _Measured, vectors: Array, crystal: KnownCrystal) -> Array:
    """Rotations (K, 3, 3) that take two planes to two poles, each family once for the first."""
    length, size = np.linalg.norm(vectors, axis=1), np.linalg.norm(measured.q, axis=1)
    unit, normal = vectors / length[:, None], measured.q / size[:, None]
    near = np.abs(np.log(size[:, None] / length[None])) < SCALE_LIMIT
    indices = np.rint(vectors @ crystal.cell.T).astype(np.int64)
    families = [crystal.family(index) for index in indices]
    first = np.array([families.index(family) == i for i, family in enumerate(families)])
    angles = np.arccos(np.clip(unit @ unit.T, -1, 1))
    found = []
    for i in range(len(normal)):
        for j in range(len(normal)):
            apart = float(np.arccos(np.clip(normal[i] @ normal[j], -1, 1)))
            if i == j or min(apart, np.pi - apart) < np.deg2rad(12.0):
                continue
            fits = np.abs(angles - apart) < np.deg2rad(_ANGLE)
            a, b = np.nonzero(fits & (near[i] & first)[:, None] & near[j][None])
            if len(a):
                frame = _triad(normal[i][None], normal[j][None])
                found.append(frame.transpose(0, 2, 1) @ _triad(unit[a], unit[b]))
    return np.concatenate(found) if found else np.empty((0, 3, 3))


def _triad(a: Array, b: Array) -> Array:
    """Frames (K, 3, 3), rows: the middle of two unit vectors, across it in their plane, normal."""
    middle, across = a + b, a - b
    normal = np.cross(middle, across)
    frame = np.stack([middle, across, normal], axis=1)
    return np.asarray(frame / np.linalg.norm(frame, axis=2, keepdims=True))


def _odds(
    turns: Array, scales: Array, measured: _Measured, vectors: Array, log_share: Array, wide: float
) -> tuple[Array, NDArray[np.int64], NDArray[np.bool_]]:
    """Sum over poles of the log odds (K,), the best plane (K, P) of each, and whether it counts.

    `wide` widens the errors, for orientations and scales that are not refined yet.
    """
    places = vectors @ turns.transpose(0, 2, 1)
    stretch = scales[:, [0, 0, 1]][:, None]
    places = places / stretch
    far = np.linalg.norm(places, axis=2)
    size = np.linalg.norm(measured.q, axis=1)
    along = np.einsum("kmi,pi->kpm", places, measured.q) / (far[:, None] * size[:, None])
    angle = np.arccos(np.clip(along, -1, 1)) / (wide * measured.angle_error[:, None])
    miss = np.log(far[:, None] / size[:, None]) / (wide * measured.length_error[:, None])
    # Density of a pole at its plane, over that of directions and logarithms of spacings at random.
    peak = -np.log(
        2 * np.pi * (wide * measured.angle_error) ** 2
        * np.sqrt(2 * np.pi) * wide * measured.length_error
    ) + np.log(4 * np.pi * 1.0)  # fmt: skip
    value = peak[:, None] + log_share - 0.5 * (angle**2 + miss**2)
    best = value.argmax(axis=2)
    top = np.take_along_axis(value, best[..., None], axis=2)[..., 0]
    return np.maximum(top, 0.0).sum(axis=1), best, top > 0


def _refined(
    turn: Array, measured: _Measured, vectors: Array, log_share: Array
) -> tuple[Array, Array]:
    """Least squares of rotation and scales over the poles that have a plane, from rough to fine."""
    scale = np.ones(2)
    for wide in (3.0, 2.5, 2.0, 1.5, 1.0, 1.0):
        _, best, hit = _odds(turn[None], scale[None], measured, vectors, log_share, wide)
        rows = np.where(hit[0], best[0], -1)
        if (rows >= 0).sum() < 2:
            break
        jacobian, residual = _equations(turn, scale, measured, vectors, rows)
        prior = np.diag([0, 0, 0, *([SCALE_PRIOR**-2] * 2)])
        pull = np.array([0, 0, 0, *np.log(scale)]) / SCALE_PRIOR**2
        step = -np.linalg.solve(
            jacobian.T @ jacobian + prior + 1e-9 * np.eye(5), jacobian.T @ residual + pull
        )
        turn = Rotation.from_rotvec(step[:3]).as_matrix() @ turn
        scale = np.exp(np.clip(np.log(scale) + step[3:], -SCALE_LIMIT, SCALE_LIMIT))
    return turn, scale


def _equations(
    turn: Array, scale: Array, measured: _Measured, vectors: Array, rows: NDArray[np.int64]
) -> tuple[Array, Array]:
    """Jacobian (3n, 5) and residuals of the named poles, over their errors.

    Unknowns: rotation vector, logarithms of the two scales.
    """
    some = np.flatnonzero(rows >= 0)
    stretch = scale[[0, 0, 1]]
    turned = vectors[rows[some]] @ turn.T
    q, model = measured.q[some], turned / stretch
    size = np.linalg.norm(q, axis=1)
    unit = q / size[:, None]
    # Whitening: along q by the error of its length, across it by that of its direction.
    along = unit[:, :, None] * unit[:, None, :]
    whiten = along / (measured.length_error[some] * size)[:, None, None]
    whiten = whiten + (np.eye(3) - along) / (measured.angle_error[some] * size)[:, None, None]
    residual = np.einsum("nij,nj->ni", whiten, model - q)
    jacobian = np.zeros((len(some), 3, 5))
    for axis in range(3):
        jacobian[:, :, axis] = np.cross(np.eye(3)[axis], turned) / stretch
    jacobian[:, :2, 3] = -model[:, :2]
    jacobian[:, 2, 4] = -model[:, 2]
    return np.einsum("nij,njk->nik", whiten, jacobian).reshape(-1, 5), residual.ravel()


def _covariance(
    turn: Array, scale: Array, measured: _Measured, vectors: Array, rows: NDArray[np.int64]
) -> Array:
    """Covariance (5, 5), larger where the poles fit worse than their errors say."""
    jacobian, residual = _equations(turn, scale, measured, vectors, rows)
    freedom = max(len(residual) - 5, 1)
    excess = max(float(residual @ residual) / freedom, 1.0) if len(residual) > 5 else 1.0
    prior = np.diag([1e-9] * 3 + [SCALE_PRIOR**-2] * 2)
    return np.asarray(np.linalg.inv(jacobian.T @ jacobian / excess + prior))


def _same(a: Array, b: Array, crystal: KnownCrystal) -> bool:
    """Whether two orientations differ by a symmetry of the crystal, to within 4 degrees."""
    cartesian = crystal.reciprocal.T @ crystal.rotations @ np.linalg.inv(crystal.reciprocal.T)
    traces = np.einsum("ij,nij->n", b.T @ a, cartesian)
    return bool(traces.max() > 1 + 2 * np.cos(np.deg2rad(4.0)))


def _named_by_spacing(
    poles: Sequence[Pole],
    crystal: KnownCrystal,
    measured: _Measured,
    vectors: Array,
    indices: NDArray[np.int64],
    log_share: Array,
) -> NamedPoles:
    """Name of the strongest pole alone, if one family's spacing explains it better than others."""
    size, length = np.linalg.norm(measured.q[0]), np.linalg.norm(vectors, axis=1)
    miss = np.log(length / size)  # scale of this direction, logarithm
    value = log_share - 0.5 * (miss / SCALE_PRIOR) ** 2
    totals: dict[tuple[int, ...], float] = {}
    best: dict[tuple[int, ...], int] = {}
    for row in np.flatnonzero(np.abs(miss) < SCALE_LIMIT):
        family = crystal.family(indices[row])
        totals[family] = float(np.logaddexp(totals.get(family, -np.inf), value[row]))
        best.setdefault(family, int(row))
    none = _unnamed(poles, crystal)
    if not totals:
        return none
    first, *others = sorted(totals, key=lambda family: -totals[family])
    margin = totals[first] - totals[others[0]] if others else 10.0
    if margin < _CLEAR:
        return none
    named = none.indices.copy()
    named[0] = indices[best[first]]
    names = (crystal.label(named[0]), *none.names[1:])
    up = abs(float(poles[0].normal[2])) > np.cos(np.deg2rad(15.0))
    scale, error = float(np.exp(miss[best[first]])), float(measured.length_error[0])
    nan = float("nan")
    return NamedPoles(
        crystal.name, named, none.normals, names, none.orientation, nan,
        nan if up else scale, scale if up else nan, nan if up else error, error if up else nan,
        totals[first], margin,
    )  # fmt: skip
