"""Least squares of a cell of known symmetry, its figures of merit, and its evidence.

M_N: P. M. de Wolff, J. Appl. Cryst. 1, 108 (1968). F_N: G. S. Smith and R. L. Snyder, J. Appl.
Cryst. 12, 60 (1979).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.xrd.indexing.lattices import (
    FREE,
    angles_of,
    centred,
    matrix,
    products,
    reflections_in,
)
from ase_crystalnet.xrd.indexing.lines import IndexLines
from ase_crystalnet.xrd.pattern import WAVELENGTH

__all__ = ["Fit", "evidence_of", "figures_of_merit", "fitted", "possible"]

#: Standard deviation of the displacement that is expected, degrees.
DISPLACEMENT = 0.04
#: Passes of the least squares, and how the reach shrinks with each.
PASSES, SHRINK = 4, 1.6
#: Reflections closer than this are one line, degrees.
SAME = 0.012
#: Half width of the window in which reflections are counted, degrees.
WINDOW = 3.0


@dataclass(frozen=True)
class Fit:
    """A metric fitted to lines.

    Attributes
    ----------
    metric : (6,) array
        Reciprocal, 1/Angstrom^2.
    displacement : float
        Of the angles, times cos(theta), degrees.
    residual : float
        Root mean square of the indexed lines, degrees.
    indexed : int
        Lines that were used.
    covariance : (p, p) array
        Of the free parameters.
    """

    metric: NDArray[np.float64]
    displacement: float
    residual: float
    indexed: int
    covariance: NDArray[np.float64]


def fitted(
    lines: IndexLines, metric: NDArray[np.float64], family: str, centring: str, number: int
) -> Fit | None:
    """The metric of a family that fits the first lines best; None where it leads nowhere."""
    free = FREE[family]
    x = np.linalg.lstsq(free.T, metric, rcond=None)[0]
    use = min(number, len(lines))
    angle, sigma = lines.angle[:use], lines.sigma[:use]
    found = reflections_in(free.T @ x, float(lines.squares[use - 1]) * 1.03)
    if found is None:
        return None
    hkl = found[0][centred(found[0], centring)]
    if len(hkl) < 3:
        return None
    design = products(hkl) @ free.T
    displacement = 0.0
    for turn in range(PASSES):
        places = angles_of(design @ x, displacement)
        order = np.argsort(places)
        sorted_places = places[order]
        right = np.clip(np.searchsorted(sorted_places, angle), 1, len(order) - 1)
        nearer = np.abs(sorted_places[right] - angle) < np.abs(sorted_places[right - 1] - angle)
        near = np.where(nearer, right, right - 1)
        reach = np.maximum((4 * sigma + 0.03) / SHRINK**turn, 2.5 * sigma)
        used = np.abs(sorted_places[near] - angle) < reach
        if used.sum() < len(x) + 1:
            return None
        rows = design[order[near[used]]]
        sine = np.sqrt(rows @ x) * WAVELENGTH / 2
        if not (sine < 0.999).all():
            return None
        theta = np.arcsin(sine)
        slope = np.degrees((WAVELENGTH / 2) ** 2 / (sine * np.cos(theta)))
        jacobian = np.concatenate([slope[:, None] * rows, np.cos(theta)[:, None]], axis=1)
        rest = angle[used] - 2 * np.degrees(theta) - displacement * np.cos(theta)
        weight = 1 / sigma[used] ** 2
        normal = (jacobian * weight[:, None]).T @ jacobian
        gradient = (jacobian * weight[:, None]).T @ rest
        normal[-1, -1] += 1 / DISPLACEMENT**2
        gradient[-1] -= displacement / DISPLACEMENT**2
        if np.diag(normal).min() < 1e-9:
            return None  # no line fixes one of the parameters
        scale = np.sqrt(np.diag(normal))
        scaled = normal / scale[:, None] / scale + 1e-9 * np.eye(len(scale))
        move = np.linalg.solve(scaled, gradient / scale) / scale
        x, displacement = x + move[:-1], displacement + float(move[-1])
        now = free.T @ x
        if not np.isfinite(now).all() or (np.linalg.eigvalsh(matrix(now)) <= 1e-6).any():
            return None
    covariance = np.linalg.inv(scaled) / scale[:, None] / scale
    chi = float((weight * rest**2).sum() / max(len(rest) - len(x) - 1, 1))
    return Fit(
        free.T @ x, displacement, float(np.sqrt(np.mean(rest**2))), int(used.sum()),
        covariance[:-1, :-1] * max(chi, 1.0),
    )  # fmt: skip


def possible(fit: Fit, centring: str, last: float) -> NDArray[np.float64] | None:
    """Angles of the lines that a cell can have up to an angle, degrees, each once."""
    limit = (2 * np.sin(np.radians(min(last + 1.0, 179.0) / 2)) / WAVELENGTH) ** 2
    found = reflections_in(fit.metric, limit)
    if found is None:
        return None
    places = angles_of(found[1][centred(found[0], centring)], fit.displacement)
    apart = np.diff(places, prepend=-1.0) > SAME
    return np.asarray(places[apart])


def evidence_of(lines: IndexLines, places: NDArray[np.float64]) -> float:
    """Logarithm of how much likelier the lines are by this cell than by chance.

    Each line is either a reflection, with its error, or another's, which lies anywhere; so many
    reflections as this cell has would lie near any line by chance. Both are compared, line by line.
    """
    if not len(places):
        return -1e9
    angle, sigma, doubt = lines.angle, lines.sigma, lines.doubt
    right = np.searchsorted(places, angle)
    last = len(places) - 1
    distance = np.minimum(
        np.abs(angle - places[np.clip(right - 1, 0, last)]),
        np.abs(angle - places[np.clip(right, 0, last)]),
    )
    low = np.maximum(angle - WINDOW, min(5.0, float(angle[0]) - 0.5))
    count = np.searchsorted(places, angle + WINDOW) - np.searchsorted(places, low)
    density = (count + 0.5) / (angle + WINDOW - low)
    chance = 2 * density * np.exp(-2 * density * distance)
    own = 2 / (np.sqrt(2 * np.pi) * sigma) * np.exp(-0.5 * (distance / sigma) ** 2)
    return float(np.log(doubt + (1 - doubt) * own / np.maximum(chance, 1e-300)).sum())


def figures_of_merit(
    lines: IndexLines, places: NDArray[np.float64], number: int = 20
) -> tuple[float, float, int, int]:
    """M_N of de Wolff and F_N of Smith and Snyder of the first lines, N, and lines left out.

    Lines farther than their tolerance from each reflection are left out, and counted.
    """
    use = min(number, len(lines))
    angle = lines.angle[:use]
    right = np.clip(np.searchsorted(places, angle), 1, len(places) - 1)
    nearer = np.abs(places[right] - angle) < np.abs(places[right - 1] - angle)
    near = places[np.where(nearer, right, right - 1)]
    off = np.abs(near - angle)
    indexed = off < np.maximum(3 * lines.sigma[:use], 0.02)
    if not indexed.any():
        return 0.0, 0.0, 0, use
    last = float(angle[indexed][-1])
    count = max(int(np.searchsorted(places, last + SAME)), 1)
    square = np.sin(np.radians(angle[indexed] / 2)) ** 2
    wanted = np.sin(np.radians(near[indexed] / 2)) ** 2
    used = int(indexed.sum())
    m = float(square[-1] / (2 * max(float(np.abs(square - wanted).mean()), 1e-9) * count))
    f = used / max(float(off[indexed].mean()), 1e-5) / count
    return m, f, used, use - used
