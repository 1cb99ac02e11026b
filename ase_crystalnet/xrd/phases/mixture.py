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
from ase_crystalnet.xrd.pattern import system_of
from ase_crystalnet.xrd.phases import _kernels as kernels
from ase_crystalnet.xrd.phases.cell import Cell, Positions, doublet_of, positions_of, refine
from ase_crystalnet.xrd.phases.search import FIRST, STEP, Candidate, PhaseIndex, coarse

__all__ = ["Mixture", "Phase", "decompose"]

#: Phases of a mixture, at most.
MOST_PHASES = 4
#: Candidates whose cells are refined, in each round.
REFINED = 14
#: Lorentzian share of the model's lines.
MIXING = 0.5
#: Factors of the lines' width that are tried with the first phase.
WIDTHS = np.array([1.0, 0.6, 0.8, 1.25, 1.6])
#: A line of the pattern within this many widths of a phase's line is explained by it.
TOLERANCE = 0.6
#: Lines below this share of the strongest of a phase do not count for or against it.
WEAKEST = 0.04
#: A first phase overlaps the pattern at least so far, and a further one the rest.
LEAST_FIRST, LEAST_NEXT = 0.25, 0.35
#: Share of a further phase's lines that may be missing where they should be seen.
MOST_MISSING = 0.2
#: Lines of a pattern that a further phase explains and no accepted one does.
FEWEST_NEW = 2
#: What counts for a phase that is met every day, for one with a name, and against each parameter of
#: the cell beyond the first, as a share of its merit.
EVERYDAY, NAMED, SIMPLER = 0.10, 0.04, 0.02
#: Free lattice parameters of the crystal systems, triclinic to cubic.
_PARAMETERS = (6, 4, 3, 2, 2, 2, 1)
#: Share of a phase's lines (by the root of the intensity) that may stand above the pattern, and what
#: lines that cover the whole range count against it.
QUANTILE, CROWDED = 0.5, 0.5
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
GHOST_SHARE = 0.25


@dataclass(frozen=True)
class Phase:
    """A phase of the library in a pattern.

    Attributes
    ----------
    entry : int
        Index into the library.
    cell : Cell
        Refined.
    angle, intensity : (m,) arrays
        Its lines by that cell, degrees with Cu K-alpha 1; strongest 1.
    scale : float
        Height of its strongest line over the pattern's.
    correlation : float
        Of the roots of the pattern and of this phase alone.
    lines, missing : int, float
        Lines that are seen, and share (by the root of the intensity) that should be and is not.
    share : float
        Of the weight of the phases that were found, by reference intensities.
    """

    entry: int
    cell: Cell
    angle: NDArray[np.float64]
    intensity: NDArray[np.float64]
    scale: float
    correlation: float
    lines: int
    missing: float
    share: float = 1.0


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


@dataclass(frozen=True)
class Overlap:
    """How a phase fits under a pattern: see `_kernels.line_overlap`."""

    scale: float
    gained: float
    lines: int
    missing: float
    covered: float

    @property
    def merit(self) -> float:
        """Of what is gained, less for lines that are missing and for lines everywhere."""
        return min(self.gained, 1.0) * (1 - self.missing) * (1 - CROWDED * self.covered)


class _Search:
    """One pattern against one library."""

    def __init__(self, scan: Scan, findings: Findings, index: PhaseIndex) -> None:
        self.index, self.library = index, index.library
        self.covered = scan.covered
        self.positions = positions_of(scan, findings.lines)
        self.grid = scan.on_grid()
        self.pattern = coarse(self.grid)
        self.angles = FIRST + STEP * np.arange(len(self.pattern))
        self.inside = (self.angles >= self.covered[0]) & (self.angles <= self.covered[1])
        self.width = float(np.clip(self.positions.usual_width, 0.06, 3.0))
        self.tolerance = max(TOLERANCE * self.width, 0.06)
        self.doublet = doublet_of(scan)
        self.tuned = False
        self.others = False
        self._smooth: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
        rest = np.diff(self.pattern[self.inside], 2)
        self.noise = max(float(np.median(np.abs(rest)) * 1.4826 / 6**0.5), 1e-4)
        # What stands above half of the points is the floor that subtraction left.
        self.floor = float(np.median(self.pattern[self.inside]))

    def model(
        self, angle: NDArray[np.float64], intensity: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Pattern of lines, strongest about 1 (2125,)."""
        out = np.zeros(len(self.pattern))
        kernels.render(out, angle, intensity, FIRST, STEP, self.width, MIXING, self.doublet)
        return out / max(float(out.max()), 1e-12)

    def correlation(self, model: NDArray[np.float64], pattern: NDArray[np.float64]) -> float:
        """Of roots, where it was measured."""
        a = np.sqrt(model[self.inside])
        b = np.sqrt(np.maximum(pattern[self.inside] - self.floor - 2 * self.noise, 0.0))
        a, b = a - a.mean(), b - b.mean()
        return float(a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12))

    def tune(self, phase: Phase) -> None:
        """Width of the model's lines, and whether K-alpha 2 is there, by a phase that fits."""
        best = -1.0
        for doublet in (self.doublet, 0.0) if self.doublet else (0.0,):
            for width in self.width * WIDTHS:
                model = np.zeros(len(self.pattern))
                kernels.render(
                    model, phase.angle, phase.intensity, FIRST, STEP, width, MIXING, doublet
                )
                found = self.correlation(model / max(float(model.max()), 1e-12), self.pattern)
                if found > best + 1e-3:
                    best, chosen = found, (float(width), doublet)
        self.width, self.doublet = chosen
        self._smooth = None
        self.tuned = True

    def likeness(
        self, model: NDArray[np.float64], pattern: NDArray[np.float64], scale: float
    ) -> float:
        """Correlation of a phase with a pattern; of its own lines only, where others are expected.

        Then what stands above the phase, a half more than it, is another's and does not count.
        """
        if not self.others:
            return max(self.correlation(model, pattern), 0.0)
        height = float(pattern.max())
        own = np.minimum(pattern, 1.5 * scale * height * model + self.floor + 2 * self.noise)
        return max(self.correlation(model, own), 0.0)

    def overlap(
        self,
        pattern: NDArray[np.float64],
        angle: NDArray[np.float64],
        intensity: NDArray[np.float64],
        open_lines: NDArray[np.bool_] | None = None,
    ) -> Overlap:
        """How a phase fits under a pattern, whose lines are made as wide as each other first."""
        smooth = self.smooth(pattern)
        keep = np.ones(len(self.positions.angle), bool) if open_lines is None else open_lines
        places = self.positions.angle[keep]
        heights = np.interp(places, self.angles, smooth)
        scale, gained, lines, missing, covered = kernels.line_overlap(
            smooth, FIRST, STEP, self.covered[0], self.covered[1], angle, intensity,
            self.tolerance, WEAKEST, 2 * self.noise, places, heights, QUANTILE,
        )  # fmt: skip
        return Overlap(scale, gained / max(float(heights.sum()), 1e-12), lines, missing, covered)

    def smooth(self, pattern: NDArray[np.float64]) -> NDArray[np.float64]:
        """A pattern whose lines are wider than they are, so that heights are areas."""
        if self._smooth is None or self._smooth[0] is not pattern:
            from scipy.ndimage import gaussian_filter1d

            wide = gaussian_filter1d(pattern, 0.7 * self.width / STEP, mode="constant")
            self._smooth = pattern, wide / max(float(wide.max()), 1e-12)
        return self._smooth[1]

    def candidates(
        self, grid: NDArray[np.float32], pattern: NDArray[np.float64], open_lines: NDArray[np.bool_]
    ) -> list[tuple[float, Phase]]:
        """The entries that fit under most of a pattern, with their merit, best first."""
        entries, factors, _ = self.index.search(grid, self.covered)
        close = self.index.closely(grid, self.covered, entries, factors)
        ranked: list[tuple[float, Candidate]] = []
        for candidate in close:
            angle, intensity = self.library.lines(candidate.entry)
            moved = _moved(angle, candidate)
            under = self.overlap(pattern, moved, intensity, open_lines)
            if under.scale > 0:
                likeness = self.likeness(self.model(moved, intensity), pattern, under.scale)
                ranked.append((under.merit * likeness * self.prior(candidate.entry), candidate))
        ranked.sort(key=lambda pair: -pair[0])
        phases = [self.refined(candidate, pattern) for _, candidate in ranked[:REFINED]]
        found = [(self.merit(phase, pattern, open_lines), phase) for phase in phases]
        found.sort(key=lambda pair: -pair[0])
        if found and not self.tuned:
            # Widths come from the pattern's own lines until a phase tells them better.
            self.tune(found[0][1])
            phases = [self.again(phase, pattern) for phase in phases]
            found = [(self.merit(phase, pattern, open_lines), phase) for phase in phases]
            found.sort(key=lambda pair: -pair[0])
        return found

    def merit(
        self, phase: Phase, pattern: NDArray[np.float64], open_lines: NDArray[np.bool_]
    ) -> float:
        """How well a phase explains the open lines, and what counts for it before.

        Of two phases that fit alike the one with the simpler cell, and with a name, is preferred.
        """
        under = self.overlap(pattern, phase.angle, phase.intensity, open_lines)
        likeness = self.likeness(self.model(phase.angle, phase.intensity), pattern, under.scale)
        return under.merit * likeness * self.prior(phase.entry)

    def prior(self, entry: int) -> float:
        """What counts for an entry before it is compared."""
        named = 0.0
        if str(self.library.identifier[entry]).startswith("everyday"):
            named = EVERYDAY
        elif str(self.library.name[entry]):
            named = NAMED
        free = _PARAMETERS[int(system_of(int(self.library.space_group[entry])))]
        return 1 + named - SIMPLER * (free - 1)

    def rivals_of(self, entry: int) -> int:
        """Entries that are as likely as this one before they are compared."""
        everyday = np.char.startswith(self.library.identifier, "everyday")
        if everyday[entry]:
            return int(everyday.sum())
        named = self.library.name != ""
        return int(named.sum()) if named[entry] else len(self.library)

    def again(self, phase: Phase, pattern: NDArray[np.float64]) -> Phase:
        """The same phase, compared with lines as wide as they are known to be now."""
        under = self.overlap(pattern, phase.angle, phase.intensity)
        correlation = self.correlation(self.model(phase.angle, phase.intensity), pattern)
        return replace(
            phase, scale=under.scale, lines=under.lines, missing=under.missing,
            correlation=correlation,
        )  # fmt: skip

    def refined(self, candidate: Candidate, pattern: NDArray[np.float64]) -> Phase:
        """A candidate with its cell fitted, and how well it then lies on a pattern."""
        entry = candidate.entry
        angle, intensity = self.library.lines(entry)
        best: Phase | None = None
        cell, moved = refine(
            self.positions, int(self.library.space_group[entry]), self.library.cell[entry],
            angle, intensity, candidate.factor, candidate.zero,
        )  # fmt: skip
        for each, places in ((cell, moved), (None, _moved(angle, candidate))):
            under = self.overlap(pattern, places, intensity)
            correlation = self.correlation(self.model(places, intensity), pattern)
            if best is None or correlation > best.correlation + 0.01:
                kept = cell if each is not None else replace(cell, refined=False)
                best = Phase(
                    entry, kept, places, intensity, under.scale, correlation, under.lines,
                    under.missing,
                )  # fmt: skip
        assert best is not None
        return best


def _moved(angle: NDArray[np.float64], candidate: Candidate) -> NDArray[np.float64]:
    sine = np.sin(np.radians(angle / 2)) * candidate.factor
    return np.where(
        sine < 1, 2 * np.degrees(np.arcsin(np.minimum(sine, 1.0))) + candidate.zero, 180.0
    )


def decompose(scan: Scan, findings: Findings, index: PhaseIndex) -> Mixture:
    """Phases of the library in a scan, one to four.

    Parameters
    ----------
    scan : Scan
    findings : Findings
        Of the same scan, `measured.lines.findings`.
    index : PhaseIndex

    Raises
    ------
    InputError
        Nothing stands above the background.
    """
    search = _Search(scan, findings, index)
    phases, rivals = _greedy(search)
    if phases and _clear(search, phases) >= FEWEST_NEW:
        # Lines are left: perhaps the first phase was none, but stood for two.
        search.others = True
        again, others = _greedy(search)
        if _fit(search, again) > _fit(search, phases):
            phases, rivals = again, others
    open_lines = _open(search, phases)
    ghosts, haunted = _ghosts(search.positions, open_lines)
    open_lines &= ~haunted
    total = float(search.positions.height.sum())
    left = float(search.positions.height[open_lines].sum())
    return Mixture(
        tuple(_shares(search, phases)), rivals, search.positions, open_lines,
        1 - left / total if total > 0 else 0.0, search.width, ghosts,
    )  # fmt: skip


def _greedy(search: _Search) -> tuple[list[Phase], tuple[Phase, ...]]:
    """Phases, one after the other, and the rivals of the first."""
    phases: list[Phase] = []
    rivals: tuple[Phase, ...] = ()
    others = search.others
    open_lines = np.ones(len(search.positions.angle), bool)
    pattern, grid = search.pattern, search.grid
    while len(phases) < MOST_PHASES and open_lines.any():
        search.others = others or bool(phases)
        ranked = search.candidates(grid, pattern, open_lines)
        chosen = _chosen(search, ranked, phases, open_lines)
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


def _clear(search: _Search, phases: list[Phase]) -> int:
    """How many lines no phase explains that stand clearly out."""
    return int((_open(search, phases) & (search.positions.significance > CLEAR_LINE)).sum())


def _fit(search: _Search, phases: list[Phase]) -> float:
    """Correlation of the roots of the pattern and of all phases together, less for each."""
    if not phases:
        return 0.0
    _, fit = _fitted(search, phases)
    return search.correlation(fit, search.pattern) - EACH * len(phases)


def _chosen(
    search: _Search,
    ranked: list[tuple[float, Phase]],
    phases: list[Phase],
    open_lines: NDArray[np.bool_],
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
        if clear.sum() < FEWEST_NEW or _by_chance(search, phase, open_lines) > CHANCE:
            continue
        return phase
    return None


def _by_chance(search: _Search, phase: Phase, open_lines: NDArray[np.bool_]) -> float:
    """How many entries of the library would explain as many of the open lines by chance."""
    from scipy.stats import binom

    low, high = search.covered
    angles = phase.angle[(phase.intensity > 0.1) & (phase.angle > low) & (phase.angle < high)]
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


def _explained(search: _Search, phase: Phase, positions: Positions) -> NDArray[np.bool_]:
    """Which lines of the pattern a phase explains: one of its own is near, and strong enough."""
    if not len(positions.angle):
        return np.zeros(0, bool)
    reach = np.maximum(TOLERANCE * positions.width, search.tolerance)
    near = np.abs(positions.angle[:, None] - phase.angle[None]) < reach[:, None]
    own = phase.intensity * max(phase.scale, 1e-9)
    strongest = np.where(near, own[None], 0.0).max(axis=1)
    # Texture changes intensities by factors; a line of a hundredth explains none of a tenth.
    return np.asarray(strongest > 0.12 * positions.height)


def _open(search: _Search, phases: list[Phase]) -> NDArray[np.bool_]:
    """Lines that no phase explains."""
    positions = search.positions
    explained = np.zeros(len(positions.angle), bool)
    for phase in phases:
        explained |= _explained(search, phase, positions)
    return ~explained


def _rest(search: _Search, phases: list[Phase]) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """The pattern without what the phases explain, in both resolutions.

    Where a phase has a line, texture may have made the sample's stronger: up to two and a half times
    the fit is taken off.
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
    search: _Search, phases: list[Phase]
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


def _ghosts(
    positions: Positions, open_lines: NDArray[np.bool_]
) -> tuple[tuple[str, ...], NDArray[np.bool_]]:
    """Open lines where other radiation of the tube would put strong lines."""
    haunted = np.zeros(len(open_lines), bool)
    names = []
    for name, ratio in GHOSTS.items():
        sine = np.sin(np.radians(positions.angle / 2)) * ratio
        place = 2 * np.degrees(np.arcsin(sine))
        off = np.abs(positions.angle[:, None] - place[None])
        strong = positions.height[None] * GHOST_SHARE > positions.height[:, None]
        near = (off < np.maximum(0.5 * positions.width, 0.06)[:, None]) & strong
        mine = open_lines & near.any(axis=1)
        if mine.any():
            haunted |= mine
            names.append(name)
    return tuple(names), haunted


def _shares(search: _Search, phases: list[Phase]) -> list[Phase]:
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
