"""Order in windows: amplitude of species at superlattice points, its significance, the parameter S.

The lattice is known in orientation and scale, by named poles or otherwise; each window's own planes
correct it. Blur comes from the parent's reflections, which need no species. See `statistic` for
the law, and docs/atom_probe_method.md for the derivation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array, Float32
from ase_crystalnet.atom_probe.order.statistic import quadratic_tail, quadratic_threshold
from ase_crystalnet.atom_probe.order.structures import Reflections
from ase_crystalnet.errors import InputError

__all__ = ["OrderFinder", "OrderFindings"]

#: Resolutions tried, Angstrom: standard deviations across depth and along it.
_LATERAL = np.array([0.0, 0.3, 0.5, 0.75, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 4.0, 6.0])
_DEPTH = np.array([0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1.0, 1.3, 1.8, 3.0])
#: Standard deviation, beforehand, of the share of a window's ions that are off the lattice.
_SHARE_PRIOR = 0.1
#: Share of the strongest weight below which a reflection is left out: it would only add noise.
_FAINT = 0.08
#: Amplitude left by blur, over that without, below which planes do not resolve.
_RESOLVED = 0.03
#: Fewest ions of the species in a window, and of the others: fewer do not add up to a normal law.
_FEWEST = 16
#: How near a window's planes must be to the lattice to correct it: share of |q|, degrees.
_NEAR, _LEAN = 0.1, 10.0
#: Ridge of that correction: what is not measured stays as it was.
_RIDGE = 0.02
#: Most reflections of a window.
_MOST = 24


@dataclass(frozen=True, eq=False)
class OrderFindings:
    """Order of B windows. Quantities: see docs/glossary.md.

    Attributes
    ----------
    order_p_value : (B,) array
        Chance of so much intensity with species at random; nan where it cannot be said.
    order : (B,) array
        S: share of the species on its own sublattice less that on the others; 0 where the
        intensity is below chance's, nan where planes do not resolve.
    order_error : (B,) array
        Its standard deviation.
    order_limit : (B,) array
        S that would have been found in half of the cases; nan where planes do not resolve.
    variant : (B,) int8 array
        Which orientation of the ordered structure; -1 where it has one only, or none is found.
    lateral_blur, depth_blur : (B,) arrays
        Resolution that the parent's planes show, Angstrom.
    significant : (B,) bool array
    """

    order_p_value: Array
    order: Array
    order_error: Array
    order_limit: Array
    variant: NDArray[np.int8]
    lateral_blur: Array
    depth_blur: Array
    significant: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.order)

    @classmethod
    def concatenate(cls, parts: Sequence[OrderFindings]) -> OrderFindings:
        """Findings of several batches, one after the other."""
        return cls(
            **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)}
        )


@dataclass(frozen=True, eq=False)
class OrderFinder:
    """Search for one ordered structure in windows of a known lattice.

    Parameters
    ----------
    reflections : Reflections
        From `reflections_of`.
    frame : (3, 3) array
        Takes wave vectors of the crystal's frame to those of the sample, ``q = frame @ g``:
        orientation and scales (`NamedPoles.frame`).
    false_alarm : float
        Chance that a window without order is reported to have it.
    along : (3,) array, optional
        Only reflections along this direction of the sample, within 3 degrees: where the
        orientation about it is not known.

    Raises
    ------
    InputError
        If a parameter is out of range, or no reflection lies along the direction.
    """

    reflections: Reflections
    frame: Array
    false_alarm: float = 0.01
    along: Array | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.false_alarm <= 0.5:
            raise InputError(f"false_alarm={self.false_alarm!r} is not above 0 and at most 0.5")
        if np.shape(self.frame) != (3, 3) or not np.isfinite(self.frame).all():
            raise InputError("order: the orientation of the lattice is not known")
        if not any(len(points) for points, _ in self.variants):
            raise InputError(
                f"order: {self.reflections.structure} has no superlattice planes along the named "
                "direction"
            )

    @property
    def variants(self) -> list[tuple[Array, Array]]:
        """Wave vectors (K, 3), Angstrom^-1, and amplitudes (K,) of each orientation."""
        found = []
        for points, amplitude in zip(
            self.reflections.variants, self.reflections.amplitudes, strict=True
        ):
            q = 2 * np.pi * points @ np.asarray(self.frame).T
            found.append((q[keep := self._along(q)], amplitude[keep]))
        return found

    @property
    def fundamental(self) -> Array:
        """Wave vectors (M, 3) of the parent, Angstrom^-1."""
        q = 2 * np.pi * self.reflections.fundamental @ np.asarray(self.frame).T
        return q[self._along(q)]

    def _along(self, q: Array) -> NDArray[np.bool_]:
        if self.along is None:
            return np.ones(len(q), bool)
        axis = np.asarray(self.along, np.float64) / np.linalg.norm(self.along)
        cosine = np.abs(q @ axis) / np.linalg.norm(q, axis=1)
        return np.asarray(cosine > np.cos(np.deg2rad(3.0)))

    def __call__(
        self,
        positions: Float32,
        mask: NDArray[np.bool_],
        excess: NDArray[np.floating],
        variance: NDArray[np.floating],
        wave_vectors: Array | None = None,
    ) -> OrderFindings:
        """Judge every window.

        Parameters
        ----------
        positions : (B, N, 3) array
            Angstrom, about the window's centre.
        mask : (B, N) bool array
            True for ions.
        excess : (B, N) array
            1 for ions of the species that orders, 0 for others, less the local share; 0 for ions
            without a species. Of a structure of positions (omega): 1.
        variance : (B, N) array
            Local share times what is left to 1; 0 for ions without a species.
        wave_vectors : (B, P, 3) array, optional
            Planes found in each window, nan after the last (`WindowFindings.wave_vectors`).
        """
        variants, fundamental = self.variants, self.fundamental
        count, kinds = len(positions), len(variants)
        value, gain = np.full((count, kinds), np.nan), np.zeros((count, kinds))
        eigen = np.zeros((count, kinds, 2 * _MOST))
        blur = np.full((count, 2), np.nan)
        for b in range(count):
            inside = mask[b]
            points = positions[b][inside].astype(np.float64)
            own, spread = excess[b][inside], variance[b][inside]
            if not self._enough(own, spread):
                continue
            bend = correction(fundamental, None if wave_vectors is None else wave_vectors[b])
            lateral, depth, kept = resolution(points, fundamental @ bend.T)
            blur[b] = lateral, depth
            for v, (q, amplitude) in enumerate(variants):
                turned = q @ bend.T
                weight = kept * attenuation(turned, lateral, depth) * amplitude
                strongest = weight.max(initial=0.0)
                use = np.flatnonzero(weight > _FAINT * strongest)
                use = use[np.argsort(-weight[use], kind="stable")[:_MOST]]
                if strongest > _RESOLVED * amplitude.max(initial=1.0):
                    value[b, v], gain[b, v], found = intensity(
                        points, own, spread, turned[use], weight[use]
                    )
                    eigen[b, v, : len(found)] = found
        return self._judged(value, gain, eigen, blur)

    def _enough(self, excess: NDArray[np.floating], variance: NDArray[np.floating]) -> bool:
        """Whether there are ions enough of both kinds for a normal law."""
        labelled = int(np.count_nonzero(variance > 0))
        if not self.reflections.chemical:
            return labelled >= _FEWEST
        chosen = int(np.count_nonzero(excess > 0))
        return min(chosen, labelled - chosen) >= _FEWEST

    def _judged(self, value: Array, gain: Array, eigen: Array, blur: Array) -> OrderFindings:
        """Findings of intensities (B, V), their gain and the weights (B, V, E) of their law."""
        count, kinds = value.shape
        flat = eigen.reshape(count * kinds, -1)
        p_value = quadratic_tail(np.nan_to_num(value).ravel(), flat).reshape(count, kinds)
        resolved = np.isfinite(value)
        tries = np.maximum(resolved.sum(axis=1), 1)
        best = np.where(resolved, p_value, np.inf).argmin(axis=1)
        rows = np.arange(count)
        p_value, value, gain, eigen = (x[rows, best] for x in (p_value, value, gain, eigen))
        p_value = -np.expm1(tries * np.log1p(-np.minimum(p_value, 1 - 1e-15)))
        noise, largest = eigen.sum(axis=1), eigen.max(axis=1)
        limit = quadratic_threshold(self.false_alarm / tries, eigen)
        with np.errstate(invalid="ignore", divide="ignore"):
            square = (value - noise) / gain
            order = np.sqrt(np.maximum(square, 0.0))
            spread = 2 * (eigen**2).sum(axis=1) + 4 * np.maximum(square, 0.0) * gain * largest
            spread = np.sqrt(spread) / gain
            error = np.where(order**2 > spread, spread / (2 * order), np.sqrt(spread) / 2)
            limit = np.sqrt(np.maximum(limit - noise, 0.0) / gain)
        p_value = np.where(np.isfinite(value), p_value, np.nan)
        limit = np.where(np.isfinite(value), limit, np.nan)
        with np.errstate(invalid="ignore"):
            significant = p_value < self.false_alarm
        return OrderFindings(
            order_p_value=p_value,
            order=order,
            order_error=error,
            order_limit=limit,
            variant=np.where(significant & (kinds > 1), best, -1).astype(np.int8),
            lateral_blur=blur[:, 0],
            depth_blur=blur[:, 1],
            significant=significant,
        )


def intensity(
    points: Array,
    excess: NDArray[np.floating],
    variance: NDArray[np.floating],
    q: Array,
    weight: Array,
) -> tuple[float, float, Array]:
    """Weighted intensity of one window at its reflections, what S = 1 adds, and its law.

    Parameters
    ----------
    points : (N, 3) array
        Angstrom.
    excess, variance : (N,) arrays
        See `OrderFinder`.
    q : (K, 3) array
        Angstrom^-1.
    weight : (K,) array
        Amplitude expected of each for S = 1, over the number of ions.

    Returns
    -------
    value : float
        sum_k weight_k^2 |a_k|^2.
    gain : float
        By how much order raises it: S^2 N^2 sum_k weight_k^4.
    eigenvalues : (2 K,) array
        Weights of the chi-squares that it is a sum of without order.
    """
    phase = points @ q.T
    waves = np.concatenate([np.cos(phase), np.sin(phase)], axis=1) * np.tile(weight, 2)
    sums = excess @ waves
    eigen = np.maximum(np.linalg.eigvalsh((waves * variance[:, None]).T @ waves), 0.0)
    count = np.count_nonzero(variance > 0)
    return float(sums @ sums), float(count**2 * (weight**4).sum()), eigen


def attenuation(q: Array, lateral: float, depth: float) -> Array:
    """Amplitude (K,) left of waves by blur across and along depth."""
    across = (q[:, :2] ** 2).sum(axis=1) * lateral**2
    return np.asarray(np.exp(-0.5 * (across + q[:, 2] ** 2 * depth**2)))


def resolution(points: Array, fundamental: Array) -> tuple[float, float, float]:
    """Blur across and along depth, and share of the ions that are on the lattice, of a window.

    The likelihood of exponential intensities S(q) of mean 1 + N k^2 exp(-(blur q)^2) over all
    reflections of the parent, with k the share, over grids of the three.
    """
    phase = points @ fundamental.T
    count = len(points)
    strength = (np.cos(phase).sum(axis=0) ** 2 + np.sin(phase).sum(axis=0) ** 2) / count
    across = (fundamental[:, :2] ** 2).sum(axis=1)
    along = fundamental[:, 2] ** 2

    def best(lateral: Array, depth: Array, share: Array) -> Array:
        """The likeliest point of a grid."""
        a, d, k = (x.ravel() for x in np.meshgrid(lateral, depth, share, indexing="ij"))
        fall = np.exp(-np.outer(a**2, across) - np.outer(d**2, along))
        mean = 1 + count * k[:, None] ** 2 * fall
        likelihood = -(np.log(mean) + strength / mean).sum(axis=1)
        likelihood -= ((1 - k) / _SHARE_PRIOR) ** 2 / 2
        i = int(likelihood.argmax())
        return np.array([a[i], d[i], k[i]])

    answer = best(_LATERAL, _DEPTH, np.array([1.0, 0.85, 0.7]))
    # Around the best of the coarse grid, finer and finer.
    step = np.array([0.35 * answer[0] + 0.1, 0.35 * answer[1] + 0.05, 0.08])
    for _ in range(3):
        near = [
            np.maximum(x + h * np.linspace(-1, 1, 5), 0.0)
            for x, h in zip(answer, step, strict=True)
        ]
        answer = best(near[0], near[1], np.clip(near[2], 0.5, 1.0))
        step = step / 2
    return float(answer[0]), float(answer[1]), float(answer[2])


def correction(fundamental: Array, found: Array | None) -> Array:
    """Linear change (3, 3) that takes the lattice's wave vectors to those found nearby.

    Least squares with a ridge: directions in which a window shows no planes stay as they are.

    Parameters
    ----------
    fundamental : (M, 3) array
        Predicted, either of q and -q.
    found : (P, 3) array, optional
        nan where unused.
    """
    if found is None:
        return np.eye(3)
    some = found[np.isfinite(found[:, 0])]
    if not len(some):
        return np.eye(3)
    both = np.concatenate([fundamental, -fundamental])
    size = np.linalg.norm(both, axis=1)
    sources, targets = [], []
    for q in some:
        length = float(np.linalg.norm(q))
        along = both @ q / (size * length)
        near = (along > np.cos(np.deg2rad(_LEAN))) & (np.abs(size / length - 1) < _NEAR)
        if near.any():
            off = np.where(near, np.linalg.norm(both - q, axis=1), np.inf)
            sources.append(both[int(off.argmin())] / length)
            targets.append(q / length)
    if not sources:
        return np.eye(3)
    a, b = np.array(sources), np.array(targets)
    change = np.linalg.solve(a.T @ a + _RIDGE * np.eye(3), a.T @ (b - a))
    return np.asarray(np.eye(3) + change.T)
