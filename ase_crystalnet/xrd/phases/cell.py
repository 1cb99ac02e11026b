"""The cell of a phase on a pattern: positions of lines, least squares, errors.

The metric of the reciprocal cell is linear in 1/d^2, so that lattice parameters of a phase whose
lines are indexed by the library's cell follow from Gauss-Newton steps on the angles, with the
displacement of the sample (a shift by cos(theta)) where there are lines enough.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.xrd.measured.lines import Line
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import ANODES, WAVELENGTH, system_of
from ase_crystalnet.xrd.phases import _kernels as kernels

__all__ = ["Cell", "Positions", "doublet_of", "positions_of", "refine"]

#: (K-alpha 2 - K-alpha 1) / K-alpha 1 of common anodes (Hoelzer 1997, Deslattes 2003).
DOUBLETS = {
    "Cu": 0.002484, "Mo": 0.006042, "Co": 0.002166, "Cr": 0.001731, "Fe": 0.002005, "Ag": 0.007917,
}  # fmt: skip
#: A wavelength this near to an anode's K-alpha 1 or mean is that anode's.
NEAR_ANODE = 0.0025
#: Lines beyond are not in the library, degrees.
LAST = 94.0
#: Lines farther from where the cell puts them, in widths of a line, are another's.
REACH = 1.2
#: Passes of the least squares; the reach halves with each.
PASSES = 3
#: Parameters of the metric by crystal system, as combinations of (a*a*, b*b*, c*c*, b*c*, a*c*,
#: a*b*) times hkl products.
_FREE = {
    "cubic": ((0, 1, 2),),
    "tetragonal": ((0, 1), (2,)),
    "hexagonal": ((0, 1, 5), (2,)),
    "orthorhombic": ((0,), (1,), (2,)),
    "monoclinic": ((0,), (1,), (2,), (4,)),
    "triclinic": ((0,), (1,), (2,), (3,), (4,), (5,)),
}


@dataclass(frozen=True)
class Positions:
    """Lines of a scan where Cu K-alpha 1 would have put them.

    Attributes
    ----------
    angle, error : (n,) arrays
        Two-theta and its standard deviation, degrees.
    width : (n,) array
        Full width at half maximum, degrees.
    height : (n,) array
        Above the background, over the strongest.
    significance : (n,) array
    """

    angle: NDArray[np.float64]
    error: NDArray[np.float64]
    width: NDArray[np.float64]
    height: NDArray[np.float64]
    significance: NDArray[np.float64]

    @property
    def usual_width(self) -> float:
        """Median width of the stronger half of the lines, degrees."""
        strong = self.height >= np.median(self.height)
        return float(np.median(self.width[strong]))


@dataclass(frozen=True)
class Cell:
    """Lattice parameters of a phase and how they were found.

    Attributes
    ----------
    parameters, errors : (6,) arrays
        a, b, c in Angstrom and alpha, beta, gamma in degrees; standard deviations, 0 where symmetry
        fixes a value and nan where the lines do not.
    displacement : float
        Of the sample, as a shift of the angles times cos(theta), degrees.
    lines : int
        Lines that it was fitted to.
    residual : float
        Root mean square of their deviations, degrees.
    refined : bool
        Whether there were lines enough; else it is the library's cell, scaled.
    """

    parameters: NDArray[np.float64]
    errors: NDArray[np.float64]
    displacement: float
    lines: int
    residual: float
    refined: bool

    @property
    def volume(self) -> float:
        """Of the cell, cubic Angstrom."""
        return float(1 / np.sqrt(np.linalg.det(_matrix(_metric(self.parameters)))))


def doublet_of(scan: Scan) -> float:
    """Relative distance of K-alpha 2 for a scan of an anode's radiation, 0 for another."""
    for anode, wavelength in ANODES.items():
        if abs(scan.wavelength / wavelength - 1) < NEAR_ANODE:
            return DOUBLETS[anode]
    return 0.0


def positions_of(scan: Scan, lines: tuple[Line, ...]) -> Positions:
    """Precise positions of lines: the maximum of the smoothed scan, K-alpha 2 taken off.

    Where the two lines of K-alpha are one, the maximum is at their mean; where they part, at
    K-alpha 1.
    """
    from scipy.ndimage import gaussian_filter1d

    x, y = scan.two_theta, scan.intensity
    step = float(np.median(np.diff(x)))
    doublet = doublet_of(scan)
    found: list[tuple[float, float, float, float, float]] = []
    levels: dict[float, NDArray[np.float64]] = {}
    for line in lines:
        sigma = round(max(0.35 * line.width / step, 0.6) * 2) / 2
        if sigma not in levels:
            levels[sigma] = gaussian_filter1d(y, sigma, mode="nearest")
        smooth = levels[sigma]
        low, high = np.searchsorted(
            x, [line.angle - 0.7 * line.width, line.angle + 0.7 * line.width]
        )
        low, high = max(int(low), 1), min(max(int(high), int(low) + 3), len(x) - 1)
        if high <= low:
            continue
        top = low + int(np.argmax(smooth[low:high]))
        left, middle, right = smooth[top - 1 : top + 2]
        bend = left - 2 * middle + right
        place = float(x[top]) + (0.5 * step * (left - right) / bend if bend < 0 else 0.0)
        place = float(np.clip(place, x[top - 1], x[top + 1]))
        separation = np.degrees(2 * np.tan(np.radians(place / 2)) * doublet)
        place -= float(separation / 3 * np.exp(-0.8 * (separation / line.width) ** 2))
        error = float(np.hypot(0.5 * line.width / line.significance, 0.15 * step))
        found.append((place, error, line.width, line.height, line.significance))
    return _as_copper(scan, np.array(found, np.float64).reshape(-1, 5))


def _as_copper(scan: Scan, found: NDArray[np.float64]) -> Positions:
    """Of rows of angle, error, width, height, significance on the scan's own axis."""
    angle, error, width, height, significance = found.T
    if not scan.is_copper:
        sine = np.sin(np.radians(angle / 2)) * WAVELENGTH / scan.wavelength
        ours = 2 * np.degrees(np.arcsin(np.minimum(sine, 1.0)))
        stretch = np.tan(np.radians(ours / 2)) / np.tan(np.radians(angle / 2))
        angle, error, width = ours, error * stretch, width * stretch
    keep = angle < LAST
    largest = float(height[keep].max()) if keep.any() else 1.0
    return Positions(
        angle[keep], error[keep], width[keep], height[keep] / max(largest, 1e-12),
        significance[keep],
    )  # fmt: skip


def _metric(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reciprocal metric (a*a*, b*b*, c*c*, b*c*, a*c*, a*b*), 1/Angstrom^2."""
    from ase.geometry import cellpar_to_cell

    lattice = np.asarray(cellpar_to_cell(parameters))
    inverse = np.linalg.inv(lattice @ lattice.T)
    i, j = np.array([0, 1, 2, 1, 0, 0]), np.array([0, 1, 2, 2, 2, 1])
    return np.asarray(inverse[i, j])


def _matrix(metric: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b, c, d, e, f = metric
    return np.array([[a, f, e], [f, b, d], [e, d, c]])


def _parameters(metric: NDArray[np.float64]) -> NDArray[np.float64]:
    real = np.linalg.inv(_matrix(metric))
    lengths = np.sqrt(np.diag(real))
    cosines = [real[i, j] / (lengths[i] * lengths[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    return np.concatenate([lengths, np.degrees(np.arccos(np.clip(cosines, -1, 1)))])


def _indices(
    metric: NDArray[np.float64], angles: NDArray[np.float64], most: int = 60_000
) -> NDArray[np.int64] | None:
    """Miller indices (n, 3) of the lines at these angles; None for a cell with too many."""
    from ase_crystalnet.xrd.simulated.reflections import G_MAX

    limit = min(float(2 * np.sin(np.radians(angles.max() / 2)) / WAVELENGTH) * 1.01, G_MAX)
    lengths = np.sqrt(np.diag(np.linalg.inv(_matrix(metric))))
    reach = np.floor(limit * lengths).astype(int)
    if np.prod(2.0 * reach + 1) > most:
        return None
    axes = [np.arange(-n, n + 1) for n in (reach[0], reach[1], reach[2])]
    hkl = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    # One of each Friedel pair.
    first = np.where(hkl[:, 0] != 0, hkl[:, 0], np.where(hkl[:, 1] != 0, hkl[:, 1], hkl[:, 2]))
    hkl = hkl[first > 0]
    g = np.sqrt(np.maximum(_products(hkl) @ metric, 1e-12))
    keep = g < limit
    hkl, g = hkl[keep], g[keep]
    order = np.argsort(g, kind="stable")
    hkl, g = hkl[order], g[order]
    wanted = 2 * np.sin(np.radians(angles / 2)) / WAVELENGTH
    right = np.clip(np.searchsorted(g, wanted), 1, len(g) - 1)
    nearest = np.where(np.abs(g[right] - wanted) < np.abs(g[right - 1] - wanted), right, right - 1)
    return np.asarray(hkl[nearest])


def _products(hkl: NDArray[np.int64]) -> NDArray[np.float64]:
    h, k, m = hkl.T.astype(np.float64)
    return np.stack([h * h, k * k, m * m, 2 * k * m, 2 * h * m, 2 * h * k], axis=1)


def _kind(space_group: int, parameters: NDArray[np.float64]) -> str:
    """Which parameters are free: by the crystal system, if the cell has its shape."""
    a, b, c, alpha, beta, gamma = parameters
    right = abs(np.array([alpha, beta, gamma]) - 90) < 0.02
    system = int(system_of(space_group))
    if system == 6 and abs(a / b - 1) < 1e-3 and abs(a / c - 1) < 1e-3 and right.all():
        return "cubic"
    if system in (4, 5) and abs(a / b - 1) < 1e-3 and abs(gamma - 120) < 0.02 and right[:2].all():
        return "hexagonal"
    if system == 3 and abs(a / b - 1) < 1e-3 and right.all():
        return "tetragonal"
    if system == 2 and right.all():
        return "orthorhombic"
    if system == 1 and right[0] and right[2]:
        return "monoclinic"
    return "triclinic"


def _free(kind: str) -> NDArray[np.float64]:
    """(p, 6): how the free parameters make the metric."""
    rows = np.zeros((len(_FREE[kind]), 6))
    for row, members in zip(rows, _FREE[kind], strict=True):
        for member in members:
            row[member] = 0.5 if member == 5 and kind == "hexagonal" else 1.0
    return rows


def refine(
    positions: Positions,
    space_group: int,
    parameters: NDArray[np.float64],
    angles: NDArray[np.float64],
    intensities: NDArray[np.float64],
    factor: float,
    zero: float,
) -> tuple[Cell, NDArray[np.float64]]:
    """Lattice parameters of a phase from the lines of a pattern.

    Parameters
    ----------
    positions : Positions
    space_group : int
    parameters : (6,) array
        The library's cell.
    angles, intensities : (m,) arrays
        Its lines, degrees with Cu K-alpha 1, strongest 1.
    factor, zero : float
        Where the search put them (`search.Candidate`).

    Returns
    -------
    Cell
    angles : (m,) array
        Of the library's lines by the refined cell and displacement; 180 beyond reach.
    """
    start = _metric(np.asarray(parameters, np.float64))
    hkl = _indices(start, angles)
    guess = _scaled(angles, factor, zero)
    fallback = _parameters(start * factor**2)
    nothing = Cell(fallback, np.full(6, np.nan), zero, 0, np.nan, False)
    if hkl is None:
        return nothing, guess
    free = _free(_kind(space_group, np.asarray(parameters, np.float64)))
    design = _products(hkl) @ free.T
    x = np.linalg.lstsq(free.T, start, rcond=None)[0] * factor**2
    displacement = zero
    found = guess
    width = positions.usual_width
    reach = REACH * max(width, 0.08)
    cell = nothing
    for number in range(PASSES):
        pairs = _pairs(positions, found, intensities, reach)
        if len(pairs) < len(x) + 1:
            break
        mine, theirs = pairs.T
        with_shift = len(pairs) >= len(x) + 3
        solved = _step(
            positions, design, mine, theirs, np.asarray(x, np.float64), displacement, with_shift
        )
        if solved is None:
            break
        x, displacement, covariance, residual = solved
        metric = free.T @ x
        # A cell that left the reach of breathing is another's.
        if not (np.linalg.eigvalsh(_matrix(metric)) > 0).all():
            break
        found = _angles(design @ x, displacement)
        now = _parameters(metric)
        if np.abs(now[:3] / fallback[:3] - 1).max() > 0.04:
            break
        spread = covariance[: len(x), : len(x)]
        cell = Cell(now, np.zeros(6), displacement, len(pairs), residual, True)
        kept = x
        reach = max(0.5 * reach, 0.35 * width, 4 * residual) if number else reach
    if not cell.refined:
        return cell, guess
    return replace(cell, errors=_errors(free, kept, spread)), found


def _scaled(angles: NDArray[np.float64], factor: float, zero: float) -> NDArray[np.float64]:
    sine = np.sin(np.radians(angles / 2)) * factor
    return np.where(sine < 1, 2 * np.degrees(np.arcsin(np.minimum(sine, 1.0))) + zero, 180.0)


def _angles(squares: NDArray[np.float64], displacement: float) -> NDArray[np.float64]:
    sine = np.sqrt(np.maximum(squares, 0.0)) * WAVELENGTH / 2
    theta = np.arcsin(np.minimum(sine, 1.0))
    return np.where(sine < 1, 2 * np.degrees(theta) + displacement * np.cos(theta), 180.0)


def _pairs(
    positions: Positions,
    angles: NDArray[np.float64],
    intensities: NDArray[np.float64],
    reach: float,
) -> NDArray[np.int64]:
    """(n, 2): lines of the pattern and of the phase that belong together."""
    taken, distance = np.empty(len(angles), np.int64), np.empty(len(angles))
    kernels.pair_lines(
        positions.angle, positions.width, angles, intensities, reach, taken, distance
    )
    theirs = np.flatnonzero(taken >= 0)
    return np.stack([taken[theirs], theirs], axis=1)


def _step(
    positions: Positions,
    design: NDArray[np.float64],
    mine: NDArray[np.int64],
    theirs: NDArray[np.int64],
    x: NDArray[np.float64],
    displacement: float,
    with_shift: bool,
) -> tuple[NDArray[np.float64], float, NDArray[np.float64], float] | None:
    """Gauss-Newton on the angles; parameters, displacement, covariance, residual."""
    wanted = positions.angle[mine]
    # Positions are worth no more than a fiftieth of a line's width, however many the counts.
    error = np.hypot(positions.error[mine], 0.02 * positions.width[mine])
    for _ in range(3):
        squares = design[theirs] @ x
        sine = np.sqrt(np.maximum(squares, 1e-12)) * WAVELENGTH / 2
        if (sine >= 0.999).any():
            return None
        theta = np.arcsin(sine)
        # d(two-theta) / d(1/d^2), degrees.
        slope = np.degrees((WAVELENGTH / 2) ** 2 / (sine * np.cos(theta)))
        jacobian = slope[:, None] * design[theirs]
        if with_shift:
            jacobian = np.concatenate([jacobian, np.cos(theta)[:, None]], axis=1)
        rest = wanted - 2 * np.degrees(theta) - displacement * np.cos(theta)
        # Outliers pull with what a neighbour would.
        weight = 1 / error / np.sqrt(1 + (rest / (3 * error)) ** 2)
        normal = (jacobian * weight[:, None] ** 2).T @ jacobian
        gradient = (jacobian * weight[:, None] ** 2).T @ rest
        scale = np.sqrt(np.maximum(np.diag(normal), 1e-300))
        normal = normal / scale[:, None] / scale[None]
        if np.linalg.cond(normal) > 1e9:
            return None
        move = np.linalg.solve(normal, gradient / scale) / scale
        x = x + move[: len(x)]
        if with_shift:
            displacement += float(move[-1])
    freedom = max(len(mine) - len(move), 1)
    chi = float((weight**2 * rest**2).sum() / freedom)
    covariance = np.linalg.inv(normal) / scale[:, None] / scale[None] * max(chi, 1.0)
    return x, displacement, covariance, float(np.sqrt(np.mean(rest**2)))


def _errors(
    free: NDArray[np.float64], x: NDArray[np.float64], covariance: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Standard deviations of a, b, c, alpha, beta, gamma, by differences."""
    center = _parameters(free.T @ x)
    slopes = np.empty((6, len(x)))
    for k in range(len(x)):
        size = 1e-5 * float(np.abs(x).max())
        moved = x.copy()
        moved[k] += size
        slopes[:, k] = (_parameters(free.T @ moved) - center) / size
    found = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", slopes, covariance, slopes), 0.0))
    return np.where(found < 1e-8, 0.0, found)
