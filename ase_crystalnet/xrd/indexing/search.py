"""Cells that may explain lines: successive dichotomy, and trial cells where it would take too long.

Cubic, tetragonal, hexagonal (and rhombohedral) and orthorhombic cells are searched by successive
dichotomy (D. Louer and M. Louer, J. Appl. Cryst. 5, 271 (1972); A. Boultif and D. Louer, J. Appl.
Cryst. 24, 987 (1991) and 37, 724 (2004)): boxes of lengths that can explain all lines but a few are
halved until they are smaller than the errors, so that no cell in the range is missed. For
monoclinic and triclinic cells this takes minutes; there lines are taken for low indices and give a
cell, which the others test (P.-E. Werner, L. Eriksson and M. Westdahl, J. Appl. Cryst. 18, 367
(1985)). Every search ends after a fixed number of tries, so that an answer does not depend on the
processor.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.xrd.indexing._kernels import dichotomy as boxes
from ase_crystalnet.xrd.indexing._kernels import monoclinic, polish, trials
from ase_crystalnet.xrd.indexing.lines import IndexLines

__all__ = ["STAGES", "Budget", "Effort", "candidates"]

#: Lines that a search looks at, and of those the first that a trial cell must explain.
SEARCHED, FIRST = 20, 12
#: Lines that no cell need explain: of the lines searched, and of the first of a trial cell.
SPURIOUS, SPURIOUS_FIRST = 2, 3
#: Lengths of cells, Angstrom, the edge of the first boxes, and how often these are halved.
SHORTEST, LONGEST, LONGEST_ORTHORHOMBIC, EDGE, HALVINGS = 1.8, 40.0, 26.0, 0.4, 6
#: Volume up to which cells are searched over the least that has as many reflections as lines.
ROOM, LARGEST = 6.0, 12_000.0
#: Reflections of a general form, by family.
_GENERAL = (48, 16, 24, 8)
#: Most reflections of trial cells up to the first lines, and up to all, for each line.
CROWDED, CROWDED_ALL = 60, 10
#: Reflections (of half of reciprocal space) of a cell that dichotomy found, at most.
MOST_REFLECTIONS = 4000
#: Trial cells that are kept, and candidates of each search that are handed on.
KEPT, HANDED = 300, 12
#: Families that are searched together, one after the other, until a cell settles it.
STAGES = ("ctho", "m", "a")
#: Boxes that are kept at most.
_ROWS = 3000


@dataclass(frozen=True)
class Budget:
    """Most tries of each search of a pattern.

    Attributes
    ----------
    boxes : int
        Of each of the four families that dichotomy searches.
    monoclinic, triclinic : int
        Trial cells of each of the two (three) ways to make them.
    """

    boxes: int = 400_000
    monoclinic: int = 300_000
    triclinic: int = 120_000


@dataclass
class Effort:
    """What a search took.

    Attributes
    ----------
    tries : dict of str to int
        Boxes or trial cells looked at, by family.
    complete : dict of str to bool
        Whether dichotomy looked at all of its range.
    """

    tries: dict[str, int] = field(default_factory=dict)
    complete: dict[str, bool] = field(default_factory=dict)


def candidates(
    lines: IndexLines, family: str, budget: Budget | None = None, effort: Effort | None = None
) -> list[NDArray[np.float64]]:
    """Metrics (6,) of cells of a family that explain most of the lines.

    Parameters
    ----------
    lines : IndexLines
    family : str
        c, t, h, o, m or a.
    budget : Budget, optional
    effort : Effort, optional
        What the search took is noted there.

    Returns
    -------
    list of (6,) arrays
        Reciprocal metrics of primitive or conventional cells, 1/Angstrom^2, best first.
    """
    limits = budget or Budget()
    number = min(SEARCHED, len(lines))
    q, tolerance = lines.squares[:number], lines.tolerance[:number]
    spent = Effort() if effort is None else effort
    if family in "ma":
        return _trials(family, q, tolerance, limits, spent)
    return _dichotomy("ctho".index(family), family, q, tolerance, limits, spent)


def _dichotomy(
    kind: int,
    family: str,
    q: NDArray[np.float64],
    tolerance: NDArray[np.float64],
    limits: Budget,
    effort: Effort,
) -> list[NDArray[np.float64]]:
    number = len(q)
    out = np.empty((_ROWS, 3))
    dimensions = (1, 2, 2, 3)[kind]
    longest = LONGEST_ORTHORHOMBIC if kind == 3 else LONGEST
    largest = min(_GENERAL[kind] * number * ROOM / (4 * np.pi / 3 * q[-1] ** 1.5), LARGEST)
    spurious = SPURIOUS if number >= FIRST else 1
    count, tries, complete = boxes.dichotomy(
        kind, dimensions, SHORTEST, longest, EDGE, HALVINGS, largest, q, tolerance, number,
        spurious, limits.boxes, out,
    )  # fmt: skip
    effort.tries[family], effort.complete[family] = int(tries), bool(complete)
    metrics = np.zeros((count, 6))
    squares = 1 / out[:count, :dimensions] ** 2
    if kind == 0:
        metrics[:, :3] = squares[:, :1]
    elif kind == 3:
        metrics[:, :3] = squares
    else:
        metrics[:, :2] = squares[:, :1] * (4 / 3 if kind == 2 else 1)
        metrics[:, 2] = squares[:, 1]
        metrics[:, 5] = metrics[:, 0] / 2 if kind == 2 else 0.0
    places = np.empty(MOST_REFLECTIONS + 1)
    scores = np.array(
        [trials.trial_score(g, q, tolerance, number, MOST_REFLECTIONS, places)[0] for g in metrics]
    )
    return _shortlist(metrics, scores)


def _trials(
    family: str,
    q: NDArray[np.float64],
    tolerance: NDArray[np.float64],
    limits: Budget,
    effort: Effort,
) -> list[NDArray[np.float64]]:
    number = len(q)
    best, scores = np.zeros((KEPT, 6)), np.full(KEPT, -1e9)
    state = np.zeros(2)
    # Errors of the lines that make a cell grow with the indices of those that test it.
    wide = 1.5 * tolerance
    first = min(FIRST, number)
    tail = (min(SPURIOUS_FIRST, first // 4), CROWDED)

    def most(lines: int) -> int:
        return min(lines, number)

    if family == "m":
        tries = monoclinic.monoclinic_nets(
            q, wide, first, most(10), most(16), *tail, limits.monoclinic, best, scores, state
        )
        tries += monoclinic.monoclinic_trials(
            q, wide, first, number, most(10), 12, *tail, limits.monoclinic, best, scores, state
        )
    else:
        tries = 0
        for base, cross, ways, halves in ((7, 14, 3, 1), (9, 14, 1, 1), (6, 12, 1, 8)):
            tries += trials.triclinic_trials(
                q, wide, first, most(base), most(cross), ways, halves, *tail, limits.triclinic,
                best, scores, state,
            )  # fmt: skip
    effort.tries[family] = int(tries)
    polish.polish(best, scores, q, tolerance, number, CROWDED_ALL * number)
    return _shortlist(best, scores)


def _shortlist(
    metrics: NDArray[np.float64], scores: NDArray[np.float64]
) -> list[NDArray[np.float64]]:
    """The best metrics, each once."""
    kept: list[NDArray[np.float64]] = []
    for i in np.argsort(-scores, kind="stable"):
        if scores[i] < 1.0 or len(kept) >= HANDED:
            break
        near = 0.004 * float(metrics[i, :3].mean())
        if not any(float(np.abs(metrics[i] - other).max()) < near for other in kept):
            kept.append(metrics[i].copy())
    return kept
