"""Space groups by the reflections that are not there.

A simplification of A. J. Markvardsen, W. I. F. David, J. C. Johnson and K. Shankland, Acta Cryst.
A57, 47 (2001): reflections that lie together in a pattern are one cluster. A cluster all of whose
reflections a space group forbids should be empty, to the noise; else its intensity is that of any
reflection, exponentially distributed (A. J. C. Wilson, Acta Cryst. 2, 318 (1949)). Clusters with a
reflection that is allowed say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.xrd.indexing.indexer import IndexedCell
from ase_crystalnet.xrd.indexing.lattices import FAMILIES, angles_of, reflections_in
from ase_crystalnet.xrd.pattern import TWO_THETA, WAVELENGTH, system_of

__all__ = ["Setting", "group_scores", "heights_of", "settings_of"]

#: Settings in spglib's table of Hall symbols.
_HALL_SYMBOLS = 530
#: Reflections that are looked at, and how close they are to be one cluster, in widths of a line.
MOST, TOGETHER = 250, 0.9
#: Share of the intensity beside it that may be a tail at a place, added to the noise.
TAIL = 0.05
#: What one cluster may count for or against a space group at most: lines of other phases, and
#: reflections that are weak by accident, are more frequent than their errors say.
FOR, AGAINST = 1.5, 6.0


@dataclass(frozen=True)
class Setting:
    """A space group in one setting of its cell.

    Attributes
    ----------
    space_group : int
    centring : str
        P, C, A, B, I, F or R (hexagonal axes).
    operations : tuple of (rotation, translation)
        Indices into the family's rotations and translations; those that forbid reflections.
    """

    space_group: int
    centring: str
    operations: tuple[tuple[int, int], ...]


@cache
def settings_of(
    family: str,
) -> tuple[tuple[Setting, ...], NDArray[np.int64], NDArray[np.float64]]:
    """Settings of a crystal family, each extinction once for a group; rotations, translations."""
    import spglib

    rotations: dict[bytes, int] = {}
    shifts: dict[bytes, int] = {}
    matrices: list[NDArray[np.int64]] = []
    vectors: list[NDArray[np.float64]] = []
    found: dict[tuple[int, str, tuple[tuple[int, int], ...]], Setting] = {}
    for hall in range(1, _HALL_SYMBOLS + 1):
        kind: Any = spglib.get_spacegroup_type(hall)
        group, choice = int(kind.number), str(kind.choice)
        if int(system_of(group)) not in FAMILIES[family] or choice == "R":
            continue
        if family == "m" and "b" not in choice:
            continue
        symmetry: Any = spglib.get_symmetry_from_database(hall)
        operations = set()
        for rotation, shift in zip(symmetry["rotations"], symmetry["translations"], strict=True):
            moved = np.round(np.asarray(shift) % 1.0, 6) % 1.0
            if not moved.any():
                continue
            key, other = rotation.astype(np.int8).tobytes(), moved.tobytes()
            if key not in rotations:
                rotations[key] = len(matrices)
                matrices.append(rotation)
            if other not in shifts:
                shifts[other] = len(vectors)
                vectors.append(moved)
            operations.add((rotations[key], shifts[other]))
        centring = str(kind.international_short)[0]
        letter = _letter(symmetry) if centring != "R" else "R"
        entry = Setting(group, letter, tuple(sorted(operations)))
        found.setdefault((group, letter, entry.operations), entry)
    rows = np.array(matrices, np.int64).reshape(-1, 3, 3)
    return tuple(found.values()), rows, np.array(vectors, np.float64).reshape(-1, 3)


def _letter(symmetry: dict[str, NDArray[np.float64]]) -> str:
    """Centring of a setting by its pure translations."""
    identity = (symmetry["rotations"] == np.eye(3, dtype=int)).all(axis=(1, 2))
    shifts = np.round(symmetry["translations"][identity] % 1.0, 3)
    halves = {tuple(row) for row in shifts.tolist()} - {(0.0, 0.0, 0.0)}
    if len(halves) == 3:
        return "F"
    names = {
        (0.5, 0.5, 0.5): "I", (0.5, 0.5, 0.0): "C", (0.0, 0.5, 0.5): "A", (0.5, 0.0, 0.5): "B",
    }  # fmt: skip
    return names[next(iter(halves))] if halves else "P"


def heights_of(
    grid: NDArray[np.float64], angle: NDArray[np.float64], width: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Height of a pattern at places above what is beside them, and its error.

    Parameters
    ----------
    grid : (8500,) array
        Pattern on `pattern.TWO_THETA`, background subtracted, largest value 1.
    angle : (n,) array
        Degrees.
    width : float
        Full width of the lines at half maximum, degrees.
    """
    from scipy.ndimage import gaussian_filter1d

    step = float(TWO_THETA[1] - TWO_THETA[0])
    smooth = gaussian_filter1d(grid, max(0.3 * width / step, 1.0), mode="nearest")
    rest = np.diff(smooth[:: max(round(width / step), 1)], 2)
    noise = max(float(np.median(np.abs(rest))) * 1.4826 / 6**0.5, 1e-4)
    here = np.interp(angle, TWO_THETA, smooth)
    left = np.interp(angle - 1.2 * width, TWO_THETA, smooth)
    right = np.interp(angle + 1.2 * width, TWO_THETA, smooth)
    beside = np.minimum(0.5 * (left + right), here)
    error = np.sqrt(noise**2 + (TAIL * np.maximum(left, right)) ** 2)
    return np.maximum(here - beside, 0.0), np.asarray(error)


def group_scores(
    cell: IndexedCell, grid: NDArray[np.float64], covered: tuple[float, float], width: float
) -> dict[int, float]:
    """How much likelier the pattern is with the extinctions of each space group than with none.

    Parameters
    ----------
    cell : IndexedCell
    grid : (8500,) array
        Pattern on `pattern.TWO_THETA`, background subtracted, largest value 1.
    covered : (float, float)
        First and last angle that was measured, degrees.
    width : float
        Full width of the lines at half maximum, degrees.

    Returns
    -------
    dict of int to float
        Logarithms by space group; those whose centring is the cell's.
    """
    limit = float((2 * np.sin(np.radians(covered[1] / 2)) / WAVELENGTH) ** 2)
    found = reflections_in(cell.fit.metric, limit)
    if found is None:
        return {}
    hkl, squares = found[0][:MOST], found[1][:MOST]
    angle = angles_of(squares, cell.displacement)
    inside = (angle > covered[0] + width) & (angle < covered[1] - width)
    hkl, angle = hkl[inside], angle[inside]
    if not len(angle):
        return {}
    cluster = np.cumsum(np.diff(angle, prepend=angle[0]) > TOGETHER * width)
    height, error = heights_of(grid, angle, width)
    number = int(cluster[-1]) + 1
    top = np.zeros(number)
    np.maximum.at(top, cluster, height)
    noise = np.full(number, np.inf)
    np.minimum.at(noise, cluster, error)
    seen = top > 3 * noise
    usual = float(top[seen].mean()) if seen.any() else float(top.mean() + 1e-6)
    empty = -0.5 * (top / noise) ** 2 - np.log(noise * np.sqrt(np.pi / 2))
    # Of an exponential the noise takes little; what is not seen may be anything below it.
    there = -np.log(usual) - np.maximum(top, noise) / usual
    gain = np.clip(empty - there, -AGAINST, FOR)
    settings, rotations, shifts = settings_of(cell.family)
    forbidden = _Forbidden(hkl, rotations, shifts)
    scores: dict[int, list[float]] = {}
    for setting in settings:
        if setting.centring != cell.centring:
            continue
        absent = np.zeros(len(hkl), bool)
        for rotation, shift in setting.operations:
            absent |= forbidden(rotation, shift)
        left = np.zeros(number, bool)
        left[cluster[~absent]] = True
        own = float(gain[~left].sum())
        scores.setdefault(setting.space_group, []).append(own)
    return {
        group: float(np.log(np.mean(np.exp(np.array(values) - max(values)))) + max(values))
        for group, values in scores.items()
    }


class _Forbidden:
    """Which reflections an operation forbids: those it leaves in place but moves in phase."""

    def __init__(
        self, hkl: NDArray[np.int64], rotations: NDArray[np.int64], shifts: NDArray[np.float64]
    ) -> None:
        self.still = np.array([(hkl @ rotation == hkl).all(axis=1) for rotation in rotations])
        phase = hkl @ shifts.T
        self.moved = np.abs(phase - np.round(phase)) > 1e-3

    def __call__(self, rotation: int, shift: int) -> NDArray[np.bool_]:
        return np.asarray(self.still[rotation] & self.moved[:, shift])
