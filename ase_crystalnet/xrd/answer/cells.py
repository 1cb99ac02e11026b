"""Cells by indexing in an answer: where they are asked for, and how they count.

Where no phase of the library decides, the lines are indexed. Each cell speaks for the space groups
of its lattice, the better the more lines it explains, and among these for those whose extinctions
the pattern shows. What network and library say is weighted with that as a product of powers, whose
exponents `crystalnet xrd calibrate --phases` fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.answer.scan_report import ScanReport
from ase_crystalnet.xrd.indexing.extinctions import group_scores
from ase_crystalnet.xrd.indexing.indexer import CONVINCING, index_lines
from ase_crystalnet.xrd.indexing.lines import FEWEST, IndexLines
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.phases.cell import Positions, positions_of

__all__ = ["DECIDED", "CellEvidence", "Pool", "cell_evidence", "fit_pool", "pooled", "with_cells"]

#: A phase that is trusted so far decides, and nothing is indexed.
DECIDED = 0.5
#: Merit below which a cell says nothing, and above which the best one says no more; the others are
#: as far behind it as they are.
FLOOR, CEILING = 8.0, 40.0
#: Extinctions that are so much less likely than others of the same cell count no less.
LEAST_EXTINCTION = 20.0
#: Cells whose extinctions are looked at.
ASKED = 10
#: Lines from which on it is worth a word that no cell explains them.
ENOUGH = 12
#: The fit's exponents are drawn to those of no cell by this.
_WEIGHT = 0.003
_SMALLEST = 1e-6


@dataclass(frozen=True)
class Pool:
    """Exponents by which evidence is pooled.

    Attributes
    ----------
    network : float
        Of the probabilities by network and library of minerals.
    merit, extinction : float
        Of the cell's likelihood and of the extinctions', whose logarithms are `CellEvidence`.
    """

    network: float = 1.0
    merit: float = 0.0
    extinction: float = 0.0


@dataclass(frozen=True)
class CellEvidence:
    """What the cells of a pattern say of each space group.

    Attributes
    ----------
    merit : (230,) array
        Of the best cell of its lattice, over that of chance; 0 where there is none.
    extinction : (230,) array
        Logarithm of the likelihood of its extinctions over that of the likeliest of the same cell.
    """

    merit: NDArray[np.float64]
    extinction: NDArray[np.float64]


def with_cells(scan: Scan, report: ScanReport, trust: float) -> ScanReport:
    """The report with cells by indexing, where no phase decides."""
    if report.refusal or trust >= DECIDED:
        return report
    positions, keep = _positions(scan, report)
    lines = IndexLines.of(positions, keep)
    if len(lines) < FEWEST:
        return replace(report, cells=())
    cells, _ = index_lines(lines)
    notes = report.notes
    if len(lines) >= ENOUGH and not (cells and cells[0].merit >= CONVINCING):
        notes = (
            *notes, "no single cell was found that explains the lines: more than one phase, a "
            "large cell of low symmetry, or positions that are off",
        )  # fmt: skip
    elif cells and 4 * cells[0].spurious > cells[0].indexed:
        notes = (
            *notes, f"{cells[0].spurious} of the first lines are not explained by the cell that "
            "was found: perhaps more than one phase",
        )  # fmt: skip
    return replace(report, cells=cells, notes=notes)


def _positions(scan: Scan, report: ScanReport) -> tuple[Positions, NDArray[np.bool_] | None]:
    if report.mixture is None:
        return positions_of(scan, report.findings.lines), None
    mixture = report.mixture
    if not mixture.ghosts:
        return mixture.positions, None
    # Of a mixture without phases all that is explained is a ghost's.
    return mixture.positions, mixture.unexplained if not mixture.phases else None


def cell_evidence(scan: Scan, report: ScanReport) -> CellEvidence:
    """What the cells of a report say of the space groups."""
    merit, extinction = np.zeros(230), np.zeros(230)
    asked = [cell for cell in report.cells or () if cell.merit > FLOOR][:ASKED]
    if not asked:
        return CellEvidence(merit, extinction)
    positions, _ = _positions(scan, report)
    grid = scan.on_grid().astype(np.float64)
    excess = max(asked[0].merit - CEILING, 0.0)
    for cell in asked:
        scores = group_scores(cell, grid, scan.covered, max(positions.usual_width, 0.06))
        best = max(scores.values(), default=0.0)
        worth = max(cell.merit - excess - FLOOR, 0.0)
        for group, score in scores.items():
            own = max(score - best, -LEAST_EXTINCTION)
            if worth + 0.2 * own > merit[group - 1] + 0.2 * extinction[group - 1]:
                merit[group - 1], extinction[group - 1] = worth, own
    return CellEvidence(merit, extinction)


def pooled(
    probabilities: NDArray[np.float64], evidence: CellEvidence, pool: Pool
) -> NDArray[np.float64]:
    """Probabilities (230,) of network, library and cells together."""
    logits = (
        pool.network * np.log(np.maximum(probabilities, _SMALLEST))
        + pool.merit * evidence.merit
        + pool.extinction * evidence.extinction
    )
    e = np.exp(logits - logits.max())
    return np.asarray(e / e.sum())


def fit_pool(
    probabilities: NDArray[np.float64],
    evidence: Sequence[CellEvidence],
    truth: ArrayLike,
    weights: ArrayLike,
) -> Pool:
    """Exponents that give true space groups the highest probability.

    Parameters
    ----------
    probabilities : (B, 230) array
        By network and library.
    evidence : sequence of B CellEvidence
    truth : (B,) array of int
    weights : (B,) array
        How much each pattern counts.

    Raises
    ------
    InputError
        Fewer than 30 patterns.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    label = np.asarray(truth) - 1
    if len(label) < 30:
        raise InputError(f"{len(label)} patterns without a phase that decides; 30 are needed")
    terms = np.stack(
        [
            np.log(np.maximum(probabilities, _SMALLEST)),
            np.array([each.merit for each in evidence]),
            np.array([each.extinction for each in evidence]),
        ]
    )
    counts = np.asarray(weights, float)
    rows = np.arange(len(label))
    spread = np.array([1.0, 0.2, 0.2])
    start = np.array([1.0, 0.0, 0.0])

    def cost(units: NDArray[np.float64]) -> float:
        power = start + units * spread
        logs = log_softmax(np.tensordot(power, terms, 1), axis=1)[rows, label]
        return float(np.average(-logs, weights=counts) + _WEIGHT * (units**2).sum())

    found = minimize(cost, np.array([-0.3, 0.3, 0.3]), bounds=((-0.9, 1.0), (0.0, 5.0), (0.0, 5.0)))
    return Pool(*(float(v) for v in np.round(start + found.x * spread, 4)))
