"""Which lines stand out of a scan, and whether there are any: noise, lines, humps, verdict.

Lines are looked for as blobs in scale space: the scan is filtered with the second derivative of
Gaussians of many widths, which neither a level nor a slope gets through, each result is divided
by the noise that the counts and their correlation let through, and what is largest among its
neighbours in angle and in width is a line of about that width (T. Lindeberg, Int. J. Comput. Vis.
30, 79 (1998)).
What is wider than a line of the smallest crystals is a hump: of glass, of a film's substrate, of
the instrument.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.xrd.measured.scan import Scan

__all__ = ["FEWEST_LINES", "Findings", "Line", "findings", "noise_of"]

#: Widths (full at half maximum) of the lines that are looked for, degrees, and their ratio.
NARROWEST, WIDEST, RATIO = 0.04, 12.0, 1.4
#: A filter has most signal over noise for lines of 1 / sqrt(5) of its own width.
MATCHED = 5**0.5
#: What is wider is a hump, degrees: crystals of 3 nm have lines of 3 degrees. From the second width
#: on a line is one only if it is as clear as one, by significance and by its share of what it
#: stands on: a film's substrate and the optics leave waves of that width.
WIDEST_LINE, WIDE_LINE = 3.0, 1.0
CLEAR, CLEAR_SHARE = 10.0, 0.3
#: Multiples of the noise above which a blob is a line, or a hump: among the thousands of places
#: and widths of a scan of noise, less than one in a hundred scans has one.
SIGNIFICANT, SIGNIFICANT_HUMP = 5.5, 7.0
#: Fewer lines fix no cell.
FEWEST_LINES = 3
#: A hump as high as this share of what it stands on is a substance's, not the instrument's.
AMORPHOUS = 0.3
#: Points of a filter's standard deviation, at least, where points are taken together.
FINENESS = 6.0
#: Points of the pieces in which noise is measured.
PIECE = 41
#: Pieces are still if they vary by no more than this share of the highest point; of a pattern that
#: was computed so many are. Its noise is taken for no less than the last share.
STILL, SHARE_STILL, LEAST_NOISE = 1e-5, 0.3, 1e-4
#: Lags of the noise's correlation that count, points: what smoothing or an interpolation makes.
LAGS = 12
#: 1/d of lines of one family of planes are multiples of the first to this share.
FAMILY = 0.004


@dataclass(frozen=True)
class Line:
    """A line or a hump of a scan.

    Attributes
    ----------
    angle : float
        Two-theta on the scan's axis, degrees.
    width : float
        Full width at half maximum, degrees, to about a fifth.
    height : float
        Above what it stands on, in units of the scan.
    significance : float
        Height of the filtered scan over its noise.
    """

    angle: float
    width: float
    height: float
    significance: float


@dataclass(frozen=True)
class Findings:
    """What stands out of a scan.

    Attributes
    ----------
    lines, humps : tuple of Line
        By angle.
    verdict : str
        "lines"; "few lines" (less than `FEWEST_LINES`); "one family" (all lines are orders of one
        set of planes); "amorphous"; "no lines".
    spikes : int
        Single points far above their neighbours, no lines.
    """

    lines: tuple[Line, ...]
    humps: tuple[Line, ...]
    verdict: str
    spikes: int = 0

    @property
    def usable(self) -> bool:
        """Whether a space group can be asked for."""
        return self.verdict == "lines"

    @property
    def said(self) -> str:
        """The verdict in words."""
        broad = ", ".join(f"{hump.angle:.1f}" for hump in self.humps[:6])
        sharp = ", ".join(f"{line.angle:.2f}" for line in self.lines[:6])
        if self.verdict == "no lines":
            more = f"; broad humps at {broad} degrees" if broad else ""
            return f"no lines: nothing sharp stands above noise and background{more}"
        if self.verdict == "amorphous":
            hump = max(self.humps, key=lambda hump: hump.height * hump.width)
            return (
                f"amorphous: no lines, a hump at {hump.angle:.1f} degrees, {hump.width:.1f} "
                "degrees wide"
            )
        if self.verdict == "few lines":
            many = "line stands" if len(self.lines) == 1 else "lines stand"
            return f"{len(self.lines)} {many} out (at {sharp} degrees): too few for a space group"
        if self.verdict == "one family":
            return (
                f"the lines (at {sharp} degrees) are orders of one set of planes: a texture, a "
                "film or one crystal, which does not show its space group"
            )
        return f"{len(self.lines)} lines"


def noise_of(y: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variance of the noise at each point, and its correlation between points.

    Counts have a variance that grows with them, by a factor that the scan itself tells (1 for
    counts, less for rates); a floor is added for what had its background subtracted. The factor
    comes from the quieter pieces, in which there is no line.

    Parameters
    ----------
    y : (M,) array
        On an axis of equal steps.

    Returns
    -------
    variance : (M,) float64 array
    correlation : (13,) float64 array
        Of points that far apart; 1 first.
    """
    from scipy.ndimage import uniform_filter1d

    factor, floor, correlation = _levels(y, PIECE)
    # Smoothed noise is slow: short pieces would take it for the background.
    if correlation[1] > 0.25:
        factor, floor, correlation = _levels(y, 6 * PIECE)
    smooth = np.maximum(uniform_filter1d(y, PIECE, mode="nearest"), 0.0)
    return np.maximum(np.maximum(factor * smooth, floor), 1e-30), correlation


def _levels(y: NDArray[np.float64], piece: int) -> tuple[float, float, NDArray[np.float64]]:
    """Variance over level, its floor, and the correlation, from pieces of so many points."""
    pieces = _pieces(y, piece)
    level = np.maximum(pieces.mean(axis=1), 0.0)
    t = np.linspace(-1, 1, pieces.shape[1])
    basis, _ = np.linalg.qr(np.stack([t**k for k in range(4)], axis=1))
    rest = pieces - (pieces @ basis) @ basis.T
    spread = (rest**2).sum(axis=1) / max(rest.shape[1] - basis.shape[1], 1)
    positive = (level > 0) & (spread > 0)
    white = np.eye(1, LAGS + 1)[0]
    if not positive.any():
        return 0.0, float(np.var(y)), white
    factor = float(np.quantile(spread[positive] / level[positive], 0.25))
    floor = 0.5 * float(np.quantile(spread[positive], 0.05))
    quiet = positive & (spread <= 1.7 * np.maximum(factor * level, floor))
    if quiet.any():
        factor = max(factor, float((spread[quiet] / level[quiet]).mean()))
        white = _correlation(rest[quiet])
    still = spread <= (STILL * float(np.ptp(y))) ** 2
    if still.mean() < SHARE_STILL:
        return factor, floor, white
    rounding = _rounding(y)
    # A computed pattern has no noise but rounding: what varies in the other pieces are its lines.
    # Counts, of which many are none, have theirs in differences of neighbouring points as well.
    rough = np.diff(pieces, 4, axis=1)
    factor = float(np.median((rough[positive] ** 2).mean(axis=1) / 70 / level[positive]))
    floor = max(rounding**2 / 12, (LEAST_NOISE * float(np.ptp(y))) ** 2)
    return factor, floor, np.eye(1, LAGS + 1)[0]


def _rounding(y: NDArray[np.float64]) -> float:
    """The smallest difference of two values."""
    steps = np.diff(np.unique(y))
    return float(steps.min()) if len(steps) else 0.0


def _pieces(y: NDArray[np.float64], piece: int) -> NDArray[np.float64]:
    number = len(y) // piece
    return y[: number * piece].reshape(number, -1) if number else y[None]


def _correlation(rest: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the residuals, freed of what the fit of a cubic took away."""
    length = rest.shape[1]
    lags = min(LAGS, length - 5)
    power = float((rest**2).mean())
    found = np.zeros(LAGS + 1)
    found[0] = 1.0
    for lag in range(1, lags + 1):
        product = float((rest[:, lag:] * rest[:, :-lag]).mean())
        # Four parameters leave a white residual with correlations of about -4 / length.
        found[lag] = product / power + 4.0 / length
    # Only what smoothing makes: positive, up to the first lag that is not.
    end = int(np.argmax(found < 2.5 / np.sqrt(rest.size))) or LAGS + 1
    found[end:] = 0.0
    return found


def findings(scan: Scan) -> Findings:
    """Lines and humps of a scan, and what they allow to ask."""
    x, y = _even(scan)
    step = float(x[1] - x[0])
    variance, correlation = noise_of(y)
    widths = _widths(step, float(x[-1] - x[0]))
    response = np.stack([_significance(y, variance, correlation, w / step) for w in widths])
    lines, humps, spikes = [], [], 0
    for k, i in _blobs(response, widths, step):
        width, z = float(widths[k]), float(response[k, i])
        height, level = _height(y, i, width / step)
        found = Line(float(x[i]), width, height, z)
        clear = z > CLEAR and height > CLEAR_SHARE * level
        if width <= WIDE_LINE or (width <= WIDEST_LINE and clear):
            if _is_spike(y, variance, i):
                spikes += 1
            elif height > 0:
                lines.append(found)
        elif z > SIGNIFICANT_HUMP and height > 0:
            humps.append(found)
    lines = _separate(lines)
    lines.sort(key=lambda line: line.angle)
    humps.sort(key=lambda hump: hump.angle)
    return Findings(tuple(lines), tuple(humps), _verdict(scan, x, y, lines, humps), spikes)


def _even(scan: Scan) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The scan on an axis of equal steps; as it is where its own are equal to a twentieth."""
    x, y = scan.two_theta, scan.intensity
    steps = np.diff(x)
    step = float(np.median(steps))
    number = max(round((x[-1] - x[0]) / step), 1) + 1
    if number > 200_000:
        number = 200_000
    even = np.linspace(x[0], x[-1], number)
    if len(even) == len(x) and np.abs(even - x).max() < 0.05 * step:
        return even, y
    return even, np.interp(even, x, y)


def _widths(step: float, length: float) -> NDArray[np.float64]:
    narrowest = max(NARROWEST, 1.2 * step)
    widest = min(WIDEST, length / 4)
    number = max(int(np.log(widest / narrowest) / np.log(RATIO)) + 1, 2)
    return np.asarray(narrowest * RATIO ** np.arange(number))


def _significance(
    y: NDArray[np.float64],
    variance: NDArray[np.float64],
    correlation: NDArray[np.float64],
    width: float,
) -> NDArray[np.float64]:
    """Minus the second derivative at a scale, over its noise (M,). `width` in points.

    Wide filters see means of so many points that the filter is six of them wide.
    """
    sigma = MATCHED * width / 2.3548
    block = max(int(sigma / FINENESS), 1)
    if block == 1:
        return _filtered(y, variance, correlation, sigma)
    number = len(y) // block
    part = slice(0, number * block)
    means = y[part].reshape(number, block).mean(axis=1)
    # Noise of means, and the correlation of neighbouring ones.
    offset = np.arange(1 - block, block)
    weight = (1 - np.abs(offset) / block) / block
    lags = np.abs(block * np.arange(len(correlation))[:, None] + offset)
    known = np.append(correlation, 0.0)[np.minimum(lags, len(correlation))]
    together = known @ weight
    spread = variance[part].reshape(number, block).mean(axis=1) * together[0]
    coarse = _filtered(means, spread, together / together[0], sigma / block)
    places = (np.arange(number) + 0.5) * block - 0.5
    return np.asarray(np.interp(np.arange(len(y)), places, coarse))


def _filtered(
    y: NDArray[np.float64],
    variance: NDArray[np.float64],
    correlation: NDArray[np.float64],
    sigma: float,
) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter1d

    reach = int(4 * sigma) + 1
    padded = np.concatenate([_beyond(y, reach)[::-1], y, _beyond(y[::-1], reach)])
    curved = -gaussian_filter1d(padded, sigma, order=2)[reach : reach + len(y)]
    local = gaussian_filter1d(variance, sigma, mode="nearest")
    kernel = gaussian_filter1d(np.eye(1, 2 * reach + 1, reach)[0], sigma, order=2)
    power = float((kernel**2).sum())
    for lag in range(1, min(len(correlation), len(kernel))):
        power += 2 * float(correlation[lag]) * float((kernel[lag:] * kernel[:-lag]).sum())
    significance = curved / np.sqrt(local * max(power, 1e-300))
    # Near the ends the filter sees what was made up.
    edge = min(int(sigma) + 1, len(y) // 2)
    significance[:edge] = significance[len(y) - edge :] = 0.0
    return np.asarray(significance)


def _beyond(y: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """What may lie before the first point: the slope of the first ones goes on (reach,)."""
    near = y[: max(min(reach, len(y)), 2)]
    t = np.arange(len(near), dtype=np.float64)
    slope, level = np.polyfit(t, near, 1)
    return np.asarray(level - slope * np.arange(1, reach + 1))


def _blobs(
    response: NDArray[np.float64], widths: NDArray[np.float64], step: float
) -> list[tuple[int, int]]:
    """Largest among the neighbours in angle and width: (width, place), strongest first."""
    from scipy.ndimage import maximum_filter1d

    around = np.stack(
        [
            maximum_filter1d(row, 2 * max(int(0.6 * width / step), 1) + 1, mode="nearest")
            for row, width in zip(response, widths, strict=True)
        ]
    )
    best = around.copy()
    best[1:] = np.maximum(best[1:], around[:-1])
    best[:-1] = np.maximum(best[:-1], around[1:])
    k, i = np.nonzero((response >= best) & (response > SIGNIFICANT))
    # At the very ends there is half a line at most.
    inside = (i > 1) & (i < response.shape[1] - 2)
    k, i = k[inside], i[inside]
    order = np.argsort(-response[k, i], kind="stable")
    return [(int(k[j]), int(i[j])) for j in order]


def _height(y: NDArray[np.float64], i: int, width: float) -> tuple[float, float]:
    """Above the line between what lies one and a half widths to both sides, and that level."""
    half = max(int(0.2 * width), 0)
    away = max(int(1.5 * width), 2)
    side = max(int(0.3 * width), 1)

    def mean(place: int, reach: int) -> float:
        part = y[max(place - reach, 0) : max(place + reach + 1, 1)]
        return float(part.mean()) if len(part) else float(y[i])

    left, right = mean(max(i - away, 0), side), mean(min(i + away, len(y) - 1), side)
    level = 0.5 * (left + right)
    return mean(i, half) - level, max(level, 0.0)


def _separate(lines: list[Line]) -> list[Line]:
    """Lines that stand apart: the tip or the shoulder of a stronger one is none of its own.

    A narrow line that stands near a much wider one, or a wide one that is several narrow ones
    together, stays or goes by its significance.
    """
    kept: list[Line] = []
    for line in sorted(lines, key=lambda line: -line.significance):
        for other in kept:
            away = abs(line.angle - other.angle)
            if away > 0.75 * max(other.width, line.width):
                continue
            own = line.width < other.width / 3 and line.significance > 0.3 * other.significance
            if away < 0.5 * min(line.width, other.width) or not own:
                break
        else:
            kept.append(line)
    return kept


def _is_spike(y: NDArray[np.float64], variance: NDArray[np.float64], i: int) -> bool:
    """Whether one point alone is high, and neither of its neighbours."""
    low, high = max(i - 2, 0), min(i + 3, len(y))
    top = low + int(np.argmax(y[low:high]))
    around = np.concatenate([y[max(top - 6, 0) : max(top - 1, 0)], y[top + 2 : top + 7]])
    if top in (0, len(y) - 1) or not len(around):
        return False
    level, noise = float(np.median(around)), float(np.sqrt(np.median(variance[low:high])))
    peak = y[top] - level
    beside = max(y[top - 1], y[top + 1]) - level
    return bool(peak > 5 * noise and beside < max(2.5 * noise, 0.1 * peak))


def _verdict(
    scan: Scan, x: NDArray[np.float64], y: NDArray[np.float64], lines: list[Line], humps: list[Line]
) -> str:
    if not lines:
        for hump in humps:
            near = np.abs(x - hump.angle) < hump.width
            stands_on = max(float(np.median(y[near])) - hump.height, 1e-12)
            if hump.height > AMORPHOUS * stands_on:
                return "amorphous"
        return "no lines"
    if len(lines) < FEWEST_LINES:
        # The edge of a broad hump, as of a filter or a substrate, looks like a line now and then.
        broad = sum(hump.significance for hump in humps)
        sharp = max(line.significance for line in lines)
        steep = max(line.height / line.width for line in lines)
        gentle = max((hump.height / hump.width for hump in humps), default=0.0)
        return "no lines" if broad > sharp and steep < 4 * gentle else "few lines"
    g = np.sin(np.radians(np.array([line.angle for line in lines]) / 2))
    # The first line need not be the first order; few lines are multiples of anything by chance.
    for first in (1, 2, 3, 4) if len(lines) > FEWEST_LINES else (1,):
        orders = first * g / g[0]
        whole = np.round(orders)
        if (np.abs(orders / whole - 1) < FAMILY).all() and whole[-1] <= 12:
            return "one family"
    return "lines"
