"""Lattice parameters from lines alone: the cells that explain them, with figures of merit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.indexing.lattices import (
    CENTRINGS,
    FREE,
    conventional,
    matrix,
    parameters_of,
)
from ase_crystalnet.xrd.indexing.lines import FEWEST, IndexLines
from ase_crystalnet.xrd.indexing.refinement import (
    Fit,
    evidence_of,
    figures_of_merit,
    fitted,
    possible,
)
from ase_crystalnet.xrd.indexing.search import SEARCHED, STAGES, Budget, Effort, candidates

__all__ = ["CONVINCING", "IndexedCell", "index_lines"]

#: What a free parameter of a cell costs, in units of the evidence: a cell with more of them finds
#: lines by chance more easily.
PARAMETER = 4.0
#: Merit from which a cell is more than chance: of lines at random none reaches it.
CONVINCING = 20.0
#: Merit from which monoclinic and triclinic cells are not searched, where all lines but one are
#: explained, and to so many standard deviations: of a cell that only nearly has the symmetry more.
SETTLED, SHARP = 35.0, 1.5
#: Cells of each Bravais lattice that are refined with all lines, and that are handed on.
REFINED, HANDED = 4, 3


@dataclass(frozen=True)
class IndexedCell:
    """A cell that explains lines of a pattern.

    Attributes
    ----------
    lattice : str
        Bravais lattice: family (a, m, o, t, h, c) and centring, such as "oC".
    parameters, errors : (6,) arrays
        a, b, c in Angstrom, alpha, beta, gamma in degrees, and standard deviations.
    displacement : float
        Of the sample, as a shift of the angles times cos(theta), degrees.
    indexed, spurious : int
        Of the first lines (20 at most), how many the cell explains, and how many it does not.
    m, f : float
        De Wolff's and Smith and Snyder's figure of merit of the lines that are explained.
    evidence : float
        Logarithm of the likelihood of all lines over that by chance.
    merit : float
        Evidence less 4 for each free parameter; from `CONVINCING` on a cell is more than chance.
    angle : (n,) array
        Of all lines that the cell can have, degrees for Cu K-alpha 1.
    fit : Fit
    """

    lattice: str
    parameters: NDArray[np.float64]
    errors: NDArray[np.float64]
    displacement: float
    indexed: int
    spurious: int
    m: float
    f: float
    evidence: float
    merit: float
    angle: NDArray[np.float64]
    fit: Fit

    @property
    def family(self) -> str:
        """Letter of the crystal family."""
        return self.lattice[0]

    @property
    def centring(self) -> str:
        """Letter of the centring."""
        return self.lattice[1]

    @property
    def volume(self) -> float:
        """Of the conventional cell, cubic Angstrom."""
        return float(1 / np.sqrt(np.linalg.det(matrix(self.fit.metric))))

    @property
    def convincing(self) -> bool:
        """Whether it is more than chance."""
        return self.merit >= CONVINCING


def index_lines(
    lines: IndexLines, budget: Budget | None = None
) -> tuple[tuple[IndexedCell, ...], Effort]:
    """Cells that explain lines, best first.

    Parameters
    ----------
    lines : IndexLines
        At least six. Only the first 20 are searched; all of them count for the merit.
    budget : Budget, optional
        Most tries.

    Returns
    -------
    tuple of IndexedCell
        Three at most of each Bravais lattice.
    Effort
        Tries of each search; families of lower symmetry than a cell that settles it are left out.

    Raises
    ------
    InputError
        Too few lines.
    """
    if len(lines) < FEWEST:
        raise InputError(
            f"{len(lines)} lines; expected {FEWEST} at least to find a cell from them alone"
        )
    effort = Effort()
    drafts: dict[str, list[tuple[float, Fit]]] = {}
    for stage in STAGES:
        for family in stage:
            _add_drafts(drafts, lines, candidates(lines, family, budget, effort))
        found = _refined(lines, drafts)
        if found and _settles(found[0], lines):
            break
    return found, effort


def _settles(cell: IndexedCell, lines: IndexLines) -> bool:
    """Whether no cell of lower symmetry need be looked for."""
    usual = float(np.median(lines.sigma))
    return cell.merit >= SETTLED and cell.spurious <= 1 and cell.fit.residual < SHARP * usual


def _add_drafts(
    drafts: dict[str, list[tuple[float, Fit]]],
    lines: IndexLines,
    metrics: list[NDArray[np.float64]],
) -> None:
    """Fits the Bravais lattices that these metrics have to the first lines."""
    last = float(lines.angle[-1])
    for metric in metrics:
        for name, start in conventional(metric).items():
            family, own = name[0], name[1]
            fit = fitted(lines, start, family, own, SEARCHED)
            if fit is None:
                continue
            for centring in CENTRINGS[family] if own == "P" else own:
                places = possible(fit, centring, last)
                if places is not None and len(places):
                    merit = _merit(lines, places, family)
                    drafts.setdefault(family + centring, []).append((merit, fit))


def _refined(
    lines: IndexLines, drafts: dict[str, list[tuple[float, Fit]]]
) -> tuple[IndexedCell, ...]:
    """The best of each Bravais lattice, fitted to all lines; best first."""
    last = float(lines.angle[-1])
    found: list[IndexedCell] = []
    for lattice, list_of in drafts.items():
        cells: list[IndexedCell] = []
        for _, fit in _distinct(list_of)[:REFINED]:
            cells.append(_cell(lines, lattice, fit, last))
        cells.sort(key=lambda cell: -cell.merit)
        found += cells[:HANDED]
    return tuple(sorted(found, key=lambda cell: -cell.merit))


def _merit(lines: IndexLines, places: NDArray[np.float64], family: str) -> float:
    return evidence_of(lines, places) - PARAMETER * len(FREE[family])


def _distinct(drafts: list[tuple[float, Fit]]) -> list[tuple[float, Fit]]:
    """Best first, cells that differ."""
    kept: list[tuple[float, Fit]] = []
    for merit, fit in sorted(drafts, key=lambda pair: -pair[0]):
        near = 0.004 * float(fit.metric[:3].mean())
        if not any(float(np.abs(fit.metric - other.metric).max()) < near for _, other in kept):
            kept.append((merit, fit))
    return kept


def _cell(lines: IndexLines, lattice: str, fit: Fit, last: float) -> IndexedCell:
    """Refined with all lines, if that is better."""
    family, centring = lattice[0], lattice[1]
    best: tuple[float, Fit, NDArray[np.float64]] | None = None
    for each in (fit, fitted(lines, fit.metric, family, centring, len(lines))):
        places = None if each is None else possible(each, centring, last)
        if each is None or places is None or not len(places):
            continue
        merit = _merit(lines, places, family)
        if best is None or merit > best[0]:
            best = merit, each, places
    assert best is not None
    merit, chosen, places = best
    m, f, indexed, spurious = figures_of_merit(lines, places)
    return IndexedCell(
        lattice, parameters_of(chosen.metric), _errors(chosen, family), chosen.displacement,
        indexed, spurious, m, f, merit + PARAMETER * len(FREE[family]), merit, places, chosen,
    )  # fmt: skip


def _errors(fit: Fit, family: str) -> NDArray[np.float64]:
    """Standard deviations of the lattice parameters, by differences."""
    free = FREE[family]
    center = parameters_of(fit.metric)
    slopes = np.empty((6, len(free)))
    for k, row in enumerate(free):
        size = 1e-5 * float(np.abs(fit.metric).max())
        slopes[:, k] = (parameters_of(fit.metric + size * row) - center) / size
    variance = np.einsum("ij,jk,ik->i", slopes, fit.covariance, slopes)
    found = np.sqrt(np.maximum(variance, 0.0))
    return np.asarray(np.where(found < 1e-8, 0.0, found))
