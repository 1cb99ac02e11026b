"""The strongest peaks of S(q) of each window, and the level of S along their lines: the raw search.

Arrays in, arrays out; what is significant of it is decided in `planes`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.threads import share
from ase_crystalnet._compute.types import Array, Float32
from ase_crystalnet.atom_probe.search.background import CLIP, Q_BINS
from ase_crystalnet.errors import InputError

__all__ = ["LineLevels", "PeakSearch", "follow_lines", "ion_distance", "search_peaks"]

#: S from which a point of the map is climbed: the least that noise must reach is 12, and a point of
#: the map may lie at a fifth of its peak.
FLOOR = 6.0
#: Half-axis points of the largest map that is made.
MOST_HALF = 128
#: Thinner than this share of its width is no window of a reconstruction.
FLAT = 1e-4
#: Peaks kept of each window. A perfect crystal has hundreds; the strongest may lie in one plane.
KEPT = 40


@dataclass(frozen=True, eq=False)
class PeakSearch:
    """Peaks of B windows in a shell of |q|, and sums for the background of each.

    Attributes
    ----------
    counts : (B,) int64 array
        Ions of each window.
    moments : (B, 3, 3) array
        Covariance of their positions, square Angstrom.
    total, points : (B, bins) arrays
        Sum of S, clipped, and number of points of the map in bins of |q|.
    peaks : (B, K, 3) array
        Wave vectors of the strongest peaks, strongest first, Angstrom^-1; 0 after the last.
    values : (B, K) array
        S of them; 0 after the last.
    """

    counts: NDArray[np.int64]
    moments: Array
    total: Array
    points: Array
    peaks: Array
    values: Array

    @classmethod
    def empty(cls, counts: NDArray[np.int64]) -> PeakSearch:
        """The search of windows of so many ions before anything is found."""
        windows = len(counts)
        return cls(
            counts=counts,
            moments=np.zeros((windows, 3, 3)),
            total=np.zeros((windows, Q_BINS)),
            points=np.zeros((windows, Q_BINS)),
            peaks=np.zeros((windows, KEPT, 3)),
            values=np.zeros((windows, KEPT)),
        )


@dataclass(frozen=True, eq=False)
class LineLevels:
    """Level of S along the line of a peak, of B windows.

    Attributes
    ----------
    level : (B,) array
        Mean of S over its background; 1 where nothing was measured.
    freedom : (B,) array
        Independent values of S in that mean; 0 where nothing was measured.
    """

    level: Array
    freedom: Array


def search_peaks(
    positions: Float32,
    counts: NDArray[np.int64],
    low: float,
    high: float,
    threads: int | None = None,
) -> PeakSearch:
    """The strongest peaks of S(q) with `low` <= |q| <= `high` in each window.

    Parameters
    ----------
    positions : (B, N, 3) float32 array
        Angstrom; the ions of a window come first in its row.
    counts : (B,) int64 array
        How many they are.
    low, high : float
        Angstrom^-1.
    threads : int, optional
        Threads to share the windows; by default numba's number.

    Raises
    ------
    InputError
        The map of the largest window would have too many points.
    """
    from ase_crystalnet.atom_probe.search import _kernel as kernels

    search = PeakSearch.empty(counts)
    if not len(positions):
        return search
    reach = np.sqrt(5.0 / 3.0 * np.trace(_covariance(positions, counts), axis1=1, axis2=2))
    half = int(high * float(reach.max()) / kernels.MAP_STEP + 2)
    if half > MOST_HALF:
        raise InputError(
            f"spacings down to {2 * np.pi / high:.2g} Angstrom in windows of radius "
            f"{reach.max():.3g} Angstrom need a map of {2 * half} points a side; choose "
            "smaller windows or larger spacings"
        )

    def part(start: int, stop: int) -> None:
        kernels.search(
            positions, counts, start, stop, half, low, high, FLOOR, CLIP,
            search.moments, search.total, search.points, search.peaks, search.values,
        )  # fmt: skip

    share(part, len(positions), threads)
    return search


def follow_lines(
    positions: Float32,
    search: PeakSearch,
    which: NDArray[np.bool_],
    background: tuple[float, float, Array],
    threads: int | None = None,
) -> LineLevels:
    """Level of the line through q = 0 and the strongest of some peaks of each window.

    Parameters
    ----------
    positions : (B, N, 3) float32 array
        Those that were searched.
    search : PeakSearch
    which : (B, K) bool array
        The peaks to choose from.
    background : float, float, (bins,) array
        Range of |q| searched, and the level of S without planes in bins of it.
    threads : int, optional
    """
    from ase_crystalnet.atom_probe.search import _kernel as kernels

    windows = len(positions)
    rows = np.arange(windows)
    values = np.where(which, search.values, 0.0)
    index = values.argmax(axis=1)
    peaks = np.where((values[rows, index] > 0)[:, None], search.peaks[rows, index], 0.0)
    low, high, level = background
    line = LineLevels(np.ones(windows), np.zeros(windows))

    def part(start: int, stop: int) -> None:
        kernels.line_levels(
            positions, search.counts, start, stop, peaks, search.moments, low, high, level,
            line.level, line.freedom,
        )  # fmt: skip

    share(part, windows, threads)
    return line


def ion_distance(positions: Float32, counts: NDArray[np.int64]) -> float:
    """Cube root of the volume per ion, Angstrom: median over windows of 16 ions or more, or nan.

    The volume of a window is that of the ellipsoid with its moments; 0 where it is flat, to the
    rounding of float32 positions.
    """
    good = counts >= 16
    if not good.any():
        return float("nan")
    moments = np.maximum(np.linalg.eigvalsh(_covariance(positions[good], counts[good])), 0.0)
    root = np.sqrt(moments.prod(axis=1))
    root[moments[:, 0] <= FLAT**2 * moments[:, 2]] = 0.0
    volume = 4 * np.pi / 3 * 5**1.5 * root
    return float(np.median(np.cbrt(volume / counts[good])))


def _covariance(positions: Float32, counts: NDArray[np.int64]) -> Array:
    """Covariance (B, 3, 3) of the ions of each window."""
    n = np.maximum(counts, 1)[:, None]
    inside = (np.arange(positions.shape[1]) < counts[:, None])[..., None]
    mean = np.where(inside, positions, 0).sum(axis=1, dtype=np.float64) / n
    off = np.where(inside, positions - mean[:, None], 0.0)
    return np.asarray(np.einsum("bni,bnj->bij", off, off) / n[..., None])
