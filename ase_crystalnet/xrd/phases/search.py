"""Which phases of the library a pattern may hold: all are compared, the best ones closely.

On an axis of log(sin theta) a cell that is larger by a hundredth is a shift, so that one matrix
product compares a pattern with tens of thousands of entries whose cells breathe by 2 %. The best
are then compared line by line: which factor of the cell and which shift of the angles puts most of
their lines on the pattern's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.xrd.pattern import TWO_THETA
from ase_crystalnet.xrd.phases import _kernels as kernels
from ase_crystalnet.xrd.phases.library import PhaseLibrary

__all__ = ["Candidate", "PhaseIndex", "coarse"]

#: Bins of the axis of log(sin theta), 5 to 90 degrees: 0.5 % each.
BINS = 560
#: Deviation of a line on that axis by what cells differ, and by the instrument, degrees.
CELL_SIGMA, INSTRUMENT_SIGMA = 0.0040, 0.11
#: A cell may be larger or smaller by this, in bins: 2 %.
SHIFTS = 4
#: Bins of one step of the running sums of squares.
PIECE = 8
#: Candidates that are looked at closely.
CLOSELY = 160
#: Points of the grid in one of the close comparison, 0.04 degrees.
BINNING = 4
STEP = 0.01 * BINNING
FIRST = float(TWO_THETA[:BINNING].mean())
#: Deviation of the lines in the close comparison, degrees.
CLOSE_SIGMA = 0.10
#: Factors of the cell about the coarse one, and shifts of the angles (degrees).
SCALES = 1 + 0.0006 * np.arange(-8, 9)
ZEROS = np.array([-0.08, -0.04, 0.0, 0.04, 0.08])


@dataclass(frozen=True)
class Candidate:
    """An entry, and how it lies on the pattern.

    Attributes
    ----------
    entry : int
    factor : float
        Of sin(theta) of its lines: below 1 the sample's cell is larger.
    zero : float
        Added to its angles, degrees.
    score : float
        Overlap of the roots of pattern and entry, 0 to about 1.
    """

    entry: int
    factor: float
    zero: float
    score: float


def coarse(grid: NDArray[np.float32]) -> NDArray[np.float64]:
    """The pattern in points of 0.04 degrees (2125,), from 8,500."""
    return np.asarray(grid, np.float64).reshape(-1, BINNING).mean(axis=1)


class PhaseIndex:
    """A library made ready for searches.

    Parameters
    ----------
    library : PhaseLibrary
    """

    def __init__(self, library: PhaseLibrary) -> None:
        self.library = library
        ends = np.log(np.sin(np.radians(np.array([5.0, 90.0]) / 2)))
        self._first = float(ends[0])
        self._step = float(ends[1] - ends[0]) / BINS

    @cached_property
    def sines(self) -> NDArray[np.float64]:
        """sin(theta) of all lines (L,)."""
        return np.sin(np.radians(self.library.angle / 200.0))

    @cached_property
    def roots(self) -> NDArray[np.float64]:
        """Square roots of their intensities (L,), strongest of an entry 1."""
        return self.library.height / 255.0

    @cached_property
    def _rows(self) -> NDArray[np.float32]:
        """Roots of the entries' patterns on the axis (M, B)."""
        out = np.zeros((len(self.library), BINS), np.float32)
        kernels.features(
            out, self.sines, self.roots**2, self.library.owner, self._first, self._step,
            CELL_SIGMA, np.radians(INSTRUMENT_SIGMA) / 2,
        )  # fmt: skip
        return np.sqrt(out, out=out)

    @cached_property
    def _squares(self) -> NDArray[np.float32]:
        """Running sums of their squares, every `PIECE` bins (M, B / PIECE + 1)."""
        out = np.zeros((len(self.library), BINS // PIECE + 1), np.float32)
        for k in range(BINS // PIECE):
            part = self._rows[:, k * PIECE : (k + 1) * PIECE]
            out[:, k + 1] = out[:, k] + np.einsum("ij,ij->i", part, part)
        return out

    def _on_axis(self, grid: NDArray[np.float64]) -> NDArray[np.float64]:
        """A pattern (8500,) as roots on the axis, its lines as wide as the library's (B,)."""
        from scipy.ndimage import gaussian_filter1d

        smooth = gaussian_filter1d(grid, INSTRUMENT_SIGMA / 0.01, mode="nearest")
        edges = np.degrees(2 * np.arcsin(np.exp(self._first + self._step * np.arange(BINS + 1))))
        integral = np.concatenate([[0.0], np.cumsum(smooth)])
        places = np.clip((edges - TWO_THETA[0] + 0.005) / 0.01, 0, len(grid))
        sums = np.interp(places, np.arange(len(integral)), integral)
        # Counts per angle stay: a line is as high as it is where bins are narrow.
        binned = np.diff(sums) / np.maximum(np.diff(places), 1e-9)
        smoothed = gaussian_filter1d(binned, CELL_SIGMA / self._step, mode="nearest")
        floor = float(np.median(smoothed))
        return np.sqrt(np.maximum(smoothed - floor, 0.0))

    def search(
        self,
        grid: NDArray[np.float32],
        covered: tuple[float, float],
        number: int = CLOSELY,
        without: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float32]]:
        """The entries that look most like a pattern.

        Parameters
        ----------
        grid : (8500,) array
            Intensities on `pattern.TWO_THETA`, background subtracted.
        covered : (float, float)
            First and last angle that was measured, degrees.
        number : int
        without : (M,) bool array, optional
            Entries that are left out.

        Returns
        -------
        entry : (N,) int array
            Best first.
        factor : (N,) array
            Of sin(theta) of the entry's lines.
        correlation : (N,) float32 array
        """
        pattern = self._on_axis(np.asarray(grid, np.float64))
        ends = (np.log(np.sin(np.radians(np.array(covered) / 2))) - self._first) / self._step
        low = int(np.clip(np.ceil(ends[0] / PIECE), 0, BINS // PIECE - 1)) * PIECE
        high = int(np.clip(np.floor(ends[1] / PIECE), low // PIECE + 1, BINS // PIECE)) * PIECE
        inside = np.zeros(BINS)
        inside[low:high] = 1.0
        shifts = np.arange(-SHIFTS, SHIFTS + 1)
        columns = [inside]
        norms = []
        for shift in shifts:
            # The entry at bin b lies on the pattern at bin b + shift.
            moved = pattern[np.clip(np.arange(BINS) + shift, 0, BINS - 1)] * inside
            mean = moved.sum() / (high - low)
            moved = (moved - mean) * inside
            norms.append(max(float(np.linalg.norm(moved)), 1e-12))
            columns.append(moved)
        products = self._rows @ np.array(columns, np.float32).T
        squares = self._squares[:, high // PIECE] - self._squares[:, low // PIECE]
        spread = squares - products[:, 0] ** 2 / (high - low)
        own = np.sqrt(np.maximum(spread, 1e-6 * np.maximum(self._squares[:, -1], 1e-12)))
        found = products[:, 1:] / (own[:, None] * np.array(norms, np.float32))
        best = found.argmax(axis=1)
        value = np.take_along_axis(found, best[:, None], 1)[:, 0]
        if without is not None:
            value = np.where(without, np.float32(-1), value)
        number = min(number, len(value))
        part = np.argpartition(-value, number - 1)[:number]
        order = part[np.argsort(-value[part], kind="stable")]
        factor = np.exp(shifts[best[order]] * self._step)
        return order, factor, value[order]

    def closely(
        self,
        grid: NDArray[np.float32],
        covered: tuple[float, float],
        entries: NDArray[np.int64],
        factors: NDArray[np.float64],
    ) -> list[Candidate]:
        """Best factor of the cell and shift of the angles of each entry, best entries first."""
        from scipy.ndimage import gaussian_filter1d

        pattern = coarse(grid)
        angles = FIRST + STEP * np.arange(len(pattern))
        root = np.sqrt(np.maximum(pattern, 0.0))
        smooth = gaussian_filter1d(root, CLOSE_SIGMA / STEP, mode="constant")
        inside = (angles >= covered[0]) & (angles <= covered[1])
        # What lies between lines counts against an entry with a line there.
        smooth = np.where(inside, smooth - float(smooth[inside].mean()), 0.0)
        best = np.empty((len(entries), 3))
        kernels.breathe(
            smooth, FIRST, STEP, self.sines, self.roots, self.library.offsets.astype(np.int64),
            entries, np.asarray(factors, np.float64), SCALES, ZEROS, best,
        )  # fmt: skip
        norm = float(np.linalg.norm(root[inside])) + 1e-12
        found = []
        for entry, (total, factor, zero) in zip(entries, best, strict=True):
            part = slice(self.library.offsets[entry], self.library.offsets[entry + 1])
            place = 2 * np.degrees(np.arcsin(np.minimum(self.sines[part] * factor, 1.0)))
            seen = (place > covered[0]) & (place < covered[1])
            own = float(np.sqrt((self.roots[part][seen] ** 2).sum())) + 1e-12
            found.append(Candidate(int(entry), float(factor), float(zero), total / (own * norm)))
        return sorted(found, key=lambda candidate: -candidate.score)
