"""Search for planes, rods and lattices in windows, at a false-alarm rate that is stated.

See `statistics` for the law and `background` for what the peaks are compared with.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.batches import first_atoms
from ase_crystalnet._compute.types import Array, Float32
from ase_crystalnet.atom_probe.search import statistics
from ase_crystalnet.atom_probe.search.background import (
    Background,
    clipped_mean,
    fit_heterogeneity,
)
from ase_crystalnet.atom_probe.search.findings import WindowFindings, findings_of
from ase_crystalnet.atom_probe.search.peaks import (
    LineLevels,
    PeakSearch,
    follow_lines,
    ion_distance,
    search_peaks,
)
from ase_crystalnet.errors import InputError

__all__ = ["SPACING_RANGE", "PlaneFinder"]

#: Interplanar spacings searched by default, in cube roots of the volume per detected ion. At 37 %
#: efficiency it reaches from below (220) of aluminium to above (111) of silicon.
SPACING_RANGE = (0.33, 1.30)
#: A peak weaker than this share of the window's strongest may be the side lobe of a ball's form
#: factor (0.0075 of the peak, several of which may add up).
SIDE_LOBE = 0.03


@dataclass(frozen=True)
class PlaneFinder:
    """Parameters of the search; call it on windows.

    Parameters
    ----------
    false_alarm : float
        Probability that planes are reported in a window without any.
    spacing : (float, float), optional
        Smallest and largest interplanar spacing searched, Angstrom; by default 0.33 and 1.30
        times the cube root of the volume per ion.
    depth_axis : sequence of 3 floats, optional
        Direction of the analysis. The atom probe resolves depth best, so half of the false alarms
        are spent on normals within `depth_cone` of it. None treats all directions alike.
    depth_cone : float
        Degrees. Depth is the normal of the specimen's curved surface, which at the edge of a
        reconstruction leans by 25 degrees or more.
    depth_share : float
        Share of the false alarms spent in the cone.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    false_alarm: float = 0.01
    spacing: tuple[float, float] | None = None
    depth_axis: tuple[float, float, float] | None = (0.0, 0.0, 1.0)
    depth_cone: float = 35.0
    depth_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 < self.false_alarm <= 0.5:
            raise InputError(f"false_alarm={self.false_alarm!r} is not above 0 and at most 0.5")
        if self.spacing is not None and (
            len(self.spacing) != 2 or not 0.0 < self.spacing[0] < self.spacing[1] < np.inf
        ):
            raise InputError(
                f"spacing={self.spacing!r} is not a smaller and a larger spacing in Angstrom"
            )
        if self.depth_axis is not None:
            axis = np.asarray(self.depth_axis, np.float64)
            if axis.shape != (3,) or not np.isfinite(axis).all() or not np.linalg.norm(axis) > 0:
                raise InputError(f"depth_axis={self.depth_axis!r} is not a direction (x, y, z)")
        if not 0.0 < self.depth_cone < 90.0:
            raise InputError(f"depth_cone={self.depth_cone!r} is not between 0 and 90 degrees")
        if not 0.0 < self.depth_share < 1.0:
            raise InputError(f"depth_share={self.depth_share!r} is not between 0 and 1")

    def for_windows(self, windows: int) -> PlaneFinder:
        """This search with its false-alarm rate held over all of a number of windows together.

        Sidak's rule: 1 - (1 - a)^(1 / windows); exact for windows that share no ions, on the safe
        side for others.
        """
        if windows < 1:
            raise InputError(f"windows={windows!r} is not a positive number")
        rate = -np.expm1(np.log1p(-self.false_alarm) / windows)
        return replace(self, false_alarm=float(rate))

    def alarm_density(self, direction: Array) -> float:
        """False alarms per solid angle at a direction (3,), relative to their mean."""
        if self.depth_axis is None:
            return 1.0
        cone = 1 - np.cos(np.deg2rad(self.depth_cone))
        inside = bool(self._inside(np.asarray(direction, np.float64)))
        return float(self.depth_share / cone if inside else (1 - self.depth_share) / (1 - cone))

    def reference(
        self, positions: Float32, mask: NDArray[np.bool_], *, threads: int | None = None
    ) -> Background:
        """Background of a reconstruction, from a sample of its windows (40 or more, better 300).

        Parameters
        ----------
        positions : (B, N, 3) array
            Angstrom.
        mask : (B, N) bool array
            True for ions, which come first in each row.
        threads : int, optional
            Threads to share the windows; default: numba's number.
        """
        positions, counts = first_atoms(positions, mask)
        low, high = self._shell(positions, counts)
        search = search_peaks(positions, counts, low, high, threads)
        return self._background(positions, search, low, high, threads)[0]

    def __call__(
        self,
        positions: Float32,
        mask: NDArray[np.bool_],
        *,
        reference: Background | None = None,
        threads: int | None = None,
    ) -> WindowFindings:
        """Search every window.

        Parameters
        ----------
        positions : (B, N, 3) array
            Angstrom, relative to anything; windows should be balls.
        mask : (B, N) bool array
            True for ions, which come first in each row.
        reference : Background, optional
            Background of the reconstruction; by default taken from these windows.
        threads : int, optional
            Threads to share the windows; default: numba's number.

        Raises
        ------
        InputError
            If the shapes do not fit, ions do not come first in their rows, or the background is
            of another range of spacings.
        """
        positions, counts = first_atoms(positions, mask)
        if reference is None:
            low, high = self._shell(positions, counts)
        else:
            low, high = reference.low, reference.high
            if self.spacing is not None and not np.allclose(
                self.spacing, (2 * np.pi / high, 2 * np.pi / low)
            ):
                raise InputError(
                    f"the background is of spacings {2 * np.pi / high:.3g} to "
                    f"{2 * np.pi / low:.3g} Angstrom, the search of {self.spacing[0]:.3g} to "
                    f"{self.spacing[1]:.3g}: make it with this PlaneFinder"
                )
        search = search_peaks(positions, counts, low, high, threads)
        if reference is None:
            reference, lines = self._background(positions, search, low, high, threads)
        else:
            lines = self._follow(positions, search, (low, high, reference.level), threads)
        return self._judge(search, lines, reference)

    def _shell(self, positions: Float32, counts: NDArray[np.int64]) -> tuple[float, float]:
        """Range of |q| searched."""
        if self.spacing is not None:
            return 2 * np.pi / self.spacing[1], 2 * np.pi / self.spacing[0]
        apart = ion_distance(positions, counts)
        if not np.isfinite(apart):
            raise InputError("no window holds 16 ions: no range of spacings can be taken from them")
        if apart == 0.0:
            raise InputError(
                "the ions of most windows lie in a plane or on a line and fill no volume; is this "
                "a whole reconstruction? With a range of spacings it is searched all the same"
            )
        return 2 * np.pi / (SPACING_RANGE[1] * apart), 2 * np.pi / (SPACING_RANGE[0] * apart)

    @property
    def _axis(self) -> Array:
        axis = np.asarray(self.depth_axis or (0.0, 0.0, 1.0), np.float64)
        return np.asarray(axis / np.linalg.norm(axis))

    def _follow(
        self,
        positions: Float32,
        search: PeakSearch,
        background: tuple[float, float, Array],
        threads: int | None,
    ) -> tuple[LineLevels, LineLevels]:
        """Level of the line of the strongest peak outside, and of that inside the cone."""
        inside = self._inside(search.peaks)
        return (
            follow_lines(positions, search, ~inside, background, threads),
            follow_lines(positions, search, inside, background, threads),
        )

    def _inside(self, peaks: Array) -> NDArray[np.bool_]:
        """Which wave vectors (..., 3) point into the depth cone."""
        if self.depth_axis is None:
            return np.zeros(peaks.shape[:-1], bool)
        along = np.abs(peaks @ self._axis)
        cosine = np.cos(np.deg2rad(self.depth_cone))
        return np.asarray(along > cosine * np.linalg.norm(peaks, axis=-1))

    def _background(
        self,
        positions: Float32,
        search: PeakSearch,
        low: float,
        high: float,
        threads: int | None,
    ) -> tuple[Background, tuple[LineLevels, LineLevels]]:
        """The background of these windows, and the levels of their lines over it."""
        level = clipped_mean(search.total.sum(axis=0), search.points.sum(axis=0))
        lines = self._follow(positions, search, (low, high, level), threads)
        fits = [fit_heterogeneity(line.level, line.freedom) for line in lines]
        mean, freedom = np.array(fits).T
        return Background(low, high, level, mean, freedom, len(search.counts)), lines

    def _judge(
        self, search: PeakSearch, lines: tuple[LineLevels, LineLevels], background: Background
    ) -> WindowFindings:
        """What of the peaks is significant over a background."""
        peaks, values, counts = search.peaks, search.values, search.counts
        inside, covariance = self._inside(peaks), search.moments
        ions = np.maximum(counts, 1)[:, None]
        level = background.at(np.linalg.norm(peaks, axis=-1))
        line, freedom = self._lines(lines, background)
        row = inside.astype(int)
        line_of = np.take_along_axis(line, row, axis=1)
        freedom_of = np.take_along_axis(freedom, row, axis=1)
        ratio = values / level
        lifted = statistics.gaussian_strength(ratio, ions)
        strength = statistics.with_background(lifted, line_of, freedom_of)
        parts = self._parts(background)
        volume = np.array([v for v, _ in parts])[row]
        budget = np.array([s for _, s in parts])[row]
        expected = statistics.expected_maxima(strength, volume, covariance) / budget
        expected = np.where(values > 0, expected, np.inf)
        # A side lobe is no peak of its own.
        expected = np.where(values < SIDE_LOBE * values[:, :1], np.inf, expected)
        order = np.argsort(expected, axis=1, kind="stable")
        expected, values, ratio, line_of = (
            np.take_along_axis(each, order, axis=1) for each in (expected, values, ratio, line_of)
        )
        peaks = np.take_along_axis(peaks, order[..., None], axis=1)
        p_value = -np.expm1(-expected)
        significant = p_value < self.false_alarm
        return findings_of(
            peaks, values, ratio / line_of, line_of[:, 0], p_value[:, 0], significant, search,
            background, self._limits(search, background, line, freedom, parts),
        )  # fmt: skip

    @staticmethod
    def _lines(lines: tuple[LineLevels, LineLevels], background: Background) -> tuple[Array, Array]:
        """Level and freedom (B, 2) of lines outside and inside the cone: each window's, and all."""
        levels, freedoms = [], []
        for k, line in enumerate(lines):
            own, weight = line.level, line.freedom
            prior, prior_weight = background.line_level[k], background.line_freedom[k]
            freedoms.append(weight + prior_weight)
            part = np.where(np.isfinite(prior_weight), weight / (weight + prior_weight), 0.0)
            levels.append(prior + (own - prior) * part)
        return np.stack(levels, axis=1), np.stack(freedoms, axis=1)

    def _parts(self, background: Background) -> list[tuple[float, float]]:
        """Volume of q and share of the false alarms, outside and inside the cone."""
        whole = float(statistics.shell_volume(background.low, background.high))
        if self.depth_axis is None:
            return [(whole, 1.0), (whole, 1.0)]
        cone = 1 - np.cos(np.deg2rad(self.depth_cone))
        return [
            (whole * (1 - cone), 1 - self.depth_share),
            (whole * cone, self.depth_share),
        ]

    def _limits(
        self,
        search: PeakSearch,
        background: Background,
        line: Array,
        freedom: Array,
        parts: list[tuple[float, float]],
    ) -> Array:
        """Contrast (B, 2) that is found half of the time, outside and inside the cone."""
        covariance = np.where((search.counts >= 16)[:, None, None], search.moments, np.eye(3))
        target = -np.log1p(-self.false_alarm)
        limits = []
        for k, (volume, budget) in enumerate(parts):
            s = statistics.strength_at(target * budget, volume, covariance)
            # Backwards through `with_background`, and up to the background of these directions.
            s = statistics.without_background(s, line[:, k], freedom[:, k])
            limits.append(
                statistics.detectable_contrast(
                    s * background.mean,
                    line[:, k] * background.mean,
                    np.maximum(search.counts, 1),
                )
            )
        result = np.stack(limits, axis=1)
        if self.depth_axis is None:
            result[:, 1] = result[:, 0]
        return np.where((search.counts >= 16)[:, None], result, np.nan)
