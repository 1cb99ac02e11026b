"""One pattern beside the phases of a library: how well each lies on it, or under it.

A phase lies under a pattern at the largest scale at which hardly any of its lines stands above: so
the lines of other phases of a mixture do not count against it, and its own missing lines do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.xrd.measured.lines import Findings
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import system_of
from ase_crystalnet.xrd.phases import _kernels as kernels
from ase_crystalnet.xrd.phases.cell import Cell, doublet_of, positions_of, refine
from ase_crystalnet.xrd.phases.search import FIRST, STEP, Candidate, PhaseIndex, coarse

__all__ = ["FREE_PARAMETERS", "TOLERANCE", "Comparison", "Overlap", "Phase"]

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
#: What counts for a phase that is met every day, for one with a name, and against each parameter of
#: the cell beyond the first, as a share of its merit.
EVERYDAY, NAMED, SIMPLER = 0.10, 0.04, 0.02
#: Free lattice parameters of the crystal systems, triclinic to cubic.
FREE_PARAMETERS = (6, 4, 3, 2, 2, 2, 1)
#: Share of a phase's lines (by the root of the intensity) that may stand above the pattern, and
#: what lines that cover the whole range count against it.
QUANTILE, CROWDED = 0.5, 0.5


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


class Comparison:
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
        #: Lines of other radiation, which ask for no phase.
        self.haunted = np.zeros(len(self.positions.angle), bool)
        self.without: NDArray[np.bool_] | None = None
        self._smooth: tuple[NDArray[np.float64], NDArray[np.float64], float] | None = None
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
        smooth, largest = self.smooth(pattern)
        keep = np.ones(len(self.positions.angle), bool) if open_lines is None else open_lines
        places = self.positions.angle[keep]
        heights = np.interp(places, self.angles, smooth)
        scale, gained, lines, missing, covered = kernels.line_overlap(
            smooth, FIRST, STEP, self.covered[0], self.covered[1], angle, intensity,
            self.tolerance, WEAKEST, 2 * self.noise / largest, places, heights, QUANTILE,
        )  # fmt: skip
        return Overlap(scale, gained / max(float(heights.sum()), 1e-12), lines, missing, covered)

    def smooth(self, pattern: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
        """A pattern whose lines are wider than they are, so that heights are areas.

        Its largest value is 1; what that was before is given back, too.
        """
        if self._smooth is None or self._smooth[0] is not pattern:
            from scipy.ndimage import gaussian_filter1d

            wide = gaussian_filter1d(pattern, 0.7 * self.width / STEP, mode="constant")
            largest = max(float(wide.max()), 1e-12)
            self._smooth = pattern, wide / largest, largest
        return self._smooth[1], self._smooth[2]

    def candidates(
        self, grid: NDArray[np.float32], pattern: NDArray[np.float64], open_lines: NDArray[np.bool_]
    ) -> list[tuple[float, Phase]]:
        """The entries that fit under most of a pattern, with their merit, best first."""
        entries, factors, _ = self.index.search(grid, self.covered, without=self.without)
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
        free = FREE_PARAMETERS[int(system_of(int(self.library.space_group[entry])))]
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
