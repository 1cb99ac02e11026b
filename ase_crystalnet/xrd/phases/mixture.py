"""Which phases a pattern holds, one to four of them, their shares and cells, and what is left.

The phase that fits under most of the pattern is taken first: its scale is the largest at which
hardly any of its lines stands above the pattern, so that a mixture's lines do not count against it
and its own missing lines do. Its cell is refined, what it explains is taken off, and the rest is
searched again, as long as lines remain that no accepted phase explains and the next phase explains
more of them than chance would let one of the library's. The shares follow from one non-negative
fit of all of them to the whole pattern.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.xrd.measured.lines import Findings
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.phases.cell import Positions
from ase_crystalnet.xrd.phases.comparison import TOLERANCE, Comparison, Phase
from ase_crystalnet.xrd.phases.search import PhaseIndex

__all__ = ["Mixture", "Phase", "decompose"]

#: Phases of a mixture, at most.
MOST_PHASES = 4
#: A first phase overlaps the pattern at least so far, and a further one the rest.
LEAST_FIRST, LEAST_NEXT = 0.25, 0.35
#: Share of a further phase's lines that may be missing where they should be seen.
MOST_MISSING = 0.2
#: Lines of a pattern that a further phase explains and no accepted one does.
FEWEST_NEW = 2
#: Correlation that each phase of a mixture must be worth.
EACH = 0.01
#: Chance of a further phase, over all entries and cells, from which it is not accepted.
#: Cells that differ enough to be tried are so many within the reach of breathing; neighbouring
#: entries are alike, which takes most of it back.
CHANCE, BREATHING = 0.05, 0.1
#: Significance of lines that ask for another phase.
CLEAR_LINE = 8.0
#: K-beta over K-alpha, and tungsten's L-alpha over copper's K-alpha: ghosts of strong lines.
GHOSTS = {"K-beta": 0.9036, "W L-alpha": 0.9583}
GHOST_SHARE, GHOST_PARENT = 0.25, 0.2


@dataclass(frozen=True)
class Mixture:
    """What a pattern holds.

    Attributes
    ----------
    phases : tuple of Phase
        By share of the intensity; empty where no entry fits.
    rivals : tuple of Phase
        Entries that fit nearly as well as the first phase, of other space groups, best first.
    positions : Positions
        The pattern's lines.
    unexplained : (n,) bool array
        Lines that no phase explains, and no ghost.
    explained : float
        Share of the lines' heights that the phases explain.
    width : float
        Full width of the lines at half maximum, degrees.
    ghosts : tuple of str
        Radiation besides K-alpha whose lines are seen.
    """

    phases: tuple[Phase, ...]
    rivals: tuple[Phase, ...]
    positions: Positions
    unexplained: NDArray[np.bool_]
    explained: float
    width: float
    ghosts: tuple[str, ...] = ()

    @cached_property
    def unidentified(self) -> NDArray[np.float64]:
        """Angles of the lines that nothing explains, degrees with Cu K-alpha."""
        return self.positions.angle[self.unexplained]


def decompose(
    scan: Scan,
    findings: Findings,
    index: PhaseIndex,
    without: NDArray[np.bool_] | None = None,
) -> Mixture:
    """Phases of the library in a scan, one to four.

    Parameters
    ----------
    scan : Scan
    findings : Findings
        Of the same scan, `measured.lines.findings`.
    index : PhaseIndex
    without : (M,) bool array, optional
        Entries of the library that are left out, as if it did not have them.

    Raises
    ------
    InputError
        Nothing stands above the background.
    """
    search = Comparison(scan, findings, index)
    search.without = without
    ghosts, search.haunted = _ghosts(search.positions)
    phases, rivals = _greedy(search)
    if phases and _clear(search, phases) >= FEWEST_NEW:
        # Lines are left: perhaps the first phase was none, but stood for two.
        search.others = True
        again, others = _greedy(search)
        if _fit(search, again) > _fit(search, phases):
            phases, rivals = again, others
    open_lines = _open(search, phases)
    total = float(search.positions.height.sum())
    left = float(search.positions.height[open_lines].sum())
    return Mixture(
        tuple(_shares(search, phases)), rivals, search.positions, open_lines,
        1 - left / total if total > 0 else 0.0, search.width, ghosts,
    )  # fmt: skip


def _greedy(search: Comparison) -> tuple[list[Phase], tuple[Phase, ...]]:
    """Phases, one after the other, and the rivals of the first."""
    phases: list[Phase] = []
    rivals: tuple[Phase, ...] = ()
    others = search.others
    open_lines = ~search.haunted
    pattern, grid = search.pattern, search.grid
    while len(phases) < MOST_PHASES and open_lines.any():
        search.others = others or bool(phases)
        ranked = search.candidates(grid, pattern, open_lines)
        chosen = _chosen(search, ranked, phases, open_lines, pattern)
        if not phases:
            rivals = _rivals(search.index, ranked, chosen)
        if chosen is None:
            break
        phases.append(chosen)
        if _clear(search, phases) < FEWEST_NEW:
            break
        open_lines = _open(search, phases)
        pattern, grid = _rest(search, phases)
        if not grid.max() > 0:
            break
    search.others = others
    return phases, rivals


def _clear(search: Comparison, phases: list[Phase]) -> int:
    """How many lines no phase explains that stand clearly out."""
    return int((_open(search, phases) & (search.positions.significance > CLEAR_LINE)).sum())


def _fit(search: Comparison, phases: list[Phase]) -> float:
    """Correlation of the roots of the pattern and of all phases together, less for each."""
    if not phases:
        return 0.0
    _, fit = _fitted(search, phases)
    return search.correlation(fit, search.pattern) - EACH * len(phases)


def _chosen(
    search: Comparison,
    ranked: list[tuple[float, Phase]],
    phases: list[Phase],
    open_lines: NDArray[np.bool_],
    pattern: NDArray[np.float64],
) -> Phase | None:
    """The best candidate that may be accepted."""
    if not phases:
        good = [phase for merit, phase in ranked if merit > LEAST_FIRST and phase.lines >= 2]
        return good[0] if good else None
    for merit, phase in ranked:
        if merit < LEAST_NEXT or phase.missing > MOST_MISSING:
            continue
        if any(phase.entry == other.entry for other in phases):
            continue
        new = _explained(search, phase, search.positions) & open_lines
        clear = new & (search.positions.significance > CLEAR_LINE)
        if clear.sum() < FEWEST_NEW or _by_chance(search, phase, pattern) > CHANCE:
            continue
        return phase
    return None


def _by_chance(search: Comparison, phase: Phase, pattern: NDArray[np.float64]) -> float:
    """How many entries of the library would explain as many of the open lines by chance."""
    from scipy.stats import binom

    low, high = search.covered
    # Its lines that would be seen: above the noise, and a tenth of its strongest at most.
    _, largest = search.smooth(pattern)
    weakest = min(6 * search.noise / max(largest * phase.scale, 1e-9), 0.1)
    seen = (phase.intensity > max(weakest, 0.03)) & (phase.angle > low) & (phase.angle < high)
    angles = phase.angle[seen]
    if not len(angles):
        return np.inf
    places = search.positions.angle
    near = np.abs(places[:, None] - angles[None]).min(axis=0)
    # A refined cell puts its lines where they are, to a fraction of their width.
    close = max(0.35 * search.width, 0.035) if phase.cell.refined else search.tolerance
    hits = int((near < close).sum())
    covered = min(2 * close * len(places) / max(high - low, 1.0), 0.9)
    # The cell that breathes finds one line by itself.
    tail = float(binom.sf(max(hits - 2, 0), max(len(angles) - 1, 1), covered))
    return tail * search.rivals_of(phase.entry) * BREATHING


def _explained(search: Comparison, phase: Phase, positions: Positions) -> NDArray[np.bool_]:
    """Which lines of the pattern a phase explains: one of its own is near, and strong enough."""
    if not len(positions.angle):
        return np.zeros(0, bool)
    reach = np.maximum(TOLERANCE * positions.width, search.tolerance)
    near = np.abs(positions.angle[:, None] - phase.angle[None]) < reach[:, None]
    own = phase.intensity * max(phase.scale, 1e-9)
    strongest = np.where(near, own[None], 0.0).max(axis=1)
    # Texture changes intensities by factors; a line of a hundredth explains none of a tenth.
    return np.asarray(strongest > 0.12 * positions.height)


def _open(search: Comparison, phases: list[Phase]) -> NDArray[np.bool_]:
    """Lines that no phase explains."""
    positions = search.positions
    explained = np.zeros(len(positions.angle), bool)
    for phase in phases:
        explained |= _explained(search, phase, positions)
    return ~explained & ~search.haunted


def _rest(
    search: Comparison, phases: list[Phase]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """The pattern without what the phases explain, in both resolutions.

    Where a phase has a line, texture may have made the sample's stronger: up to two and a half
    times the fit is taken off.
    """
    _, fit = _fitted(search, phases)
    pattern = search.pattern
    over = np.where(pattern < 2.5 * fit, pattern, fit)
    rest = np.maximum(pattern - over, 0.0)
    fine = np.repeat(over, len(search.grid) // len(over))
    grid = np.maximum(search.grid - fine, 0.0).astype(np.float32)
    grid[grid < search.floor] = 0.0
    return rest, grid


def _fitted(
    search: Comparison, phases: list[Phase]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Non-negative scales of the phases, and the pattern they make."""
    from scipy.optimize import nnls

    models = np.array([search.model(phase.angle, phase.intensity) for phase in phases]).T
    target = np.maximum(search.pattern - search.floor, 0.0)
    weight = np.where(search.inside, 1 / np.sqrt(target + 0.02 + search.noise), 0.0)
    scales, _ = nnls(models * weight[:, None], target * weight)
    return np.asarray(scales), np.asarray(models @ scales)


def _rivals(
    index: PhaseIndex, ranked: list[tuple[float, Phase]], chosen: Phase | None
) -> tuple[Phase, ...]:
    group = None if chosen is None else index.library.space_group[chosen.entry]
    return tuple(phase for _, phase in ranked if index.library.space_group[phase.entry] != group)[
        :3
    ]


def _ghosts(positions: Positions) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Weak lines where other radiation of the tube would put the strong ones, all of them."""
    haunted = np.zeros(len(positions.angle), bool)
    names = []
    for name, ratio in GHOSTS.items():
        sine = np.sin(np.radians(positions.angle / 2)) * ratio
        place = 2 * np.degrees(np.arcsin(sine))
        off = np.abs(positions.angle[:, None] - place[None])
        strong = positions.height[None] * GHOST_SHARE > positions.height[:, None]
        near = (off < np.maximum(0.35 * positions.width, 0.05)[:, None]) & strong
        mine = near.any(axis=1)
        # One strong line with a weak one at the right place is an accident; all of them are not.
        parents = (positions.height > GHOST_PARENT) & (place > positions.angle.min())
        seen = near[:, parents].any(axis=0)
        if mine.any() and seen.sum() >= min(2, parents.sum()) and seen.mean() > 0.6:
            haunted |= mine
            names.append(name)
    return tuple(names), haunted


def _shares(search: Comparison, phases: list[Phase]) -> list[Phase]:
    """The phases with their scales in one fit, and shares of weight; strongest first."""
    if not phases:
        return []
    scales, _ = _fitted(search, phases)
    library = search.library
    areas = scales / np.array([library.reference[phase.entry] for phase in phases])
    weights = areas / max(float(areas.sum()), 1e-12)
    found = [
        replace(
            phase,
            scale=float(scale),
            share=float(weight),
            correlation=search.correlation(
                search.model(phase.angle, phase.intensity), search.pattern
            ),
        )
        for phase, scale, weight in zip(phases, scales, weights, strict=True)
        if scale > 0
    ]
    return sorted(found, key=lambda phase: -phase.scale)
