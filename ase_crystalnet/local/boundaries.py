"""Boundaries between crystals and phases: windows whose centre lies outside the crystal they show.

A window that reaches over a boundary shows the crystal that fills more of it, whichever side its
centre is on. The coherence about the centre tells the sides apart (`Lattices.coherence`). Such
windows are tried again with fewer atoms; where that does not settle it, the centre is disordered.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.local.blending import window_weights
from ase_crystalnet.results.table import WindowTable
from ase_crystalnet.windows.windower import PreparedSystem

__all__ = ["COHERENCE_RANGE", "SMALLER_WINDOWS", "outside", "unsettled_atoms", "yield_to_disorder"]

#: Below the first value the centre lies outside the crystal its window shows, above the second
#: inside; 0.5 is the boundary plane. In bulk crystals the coherence stays above 0.65 up to sigma
#: 0.10 (64 atoms) or 0.15 (250 atoms), see tests/lattice/test_finder.py.
COHERENCE_RANGE = (0.35, 0.65)
#: Smaller windows tried in turn about a centre in doubt, as shares of `window_atoms`.
SMALLER_WINDOWS = (0.4,)
#: Certainty below which a window of the grid leaves the atoms around it unsettled.
SETTLED = 0.9


def outside(table: WindowTable, disordered: int) -> NDArray[np.bool_]:
    """Windows (W,) classified as a crystal although their centre is not part of it.

    Parameters
    ----------
    table : WindowTable
    disordered : int
        Number of the class "disordered".
    """
    known = ~table.sparse
    with np.errstate(invalid="ignore"):
        doubtful = (table.coherence < COHERENCE_RANGE[1]) & known
    crystal = np.zeros(len(known), bool)
    crystal[known] = table.probabilities[known].argmax(axis=1) != disordered
    return np.asarray(doubtful & crystal)


def yield_to_disorder(table: WindowTable, disordered: int) -> None:
    """Give a crystal's probability to "disordered" as far as the centre lies outside, in place."""
    rows = np.flatnonzero(outside(table, disordered))
    low, high = COHERENCE_RANGE
    inside = np.clip((table.coherence[rows] - low) / (high - low), 0.0, 1.0)[:, None]
    probabilities = table.probabilities[rows] * inside
    probabilities[:, disordered] += 1 - inside[:, 0]
    table.probabilities[rows] = probabilities


def unsettled_atoms(
    prepared: PreparedSystem, points: NDArray[np.float64], table: WindowTable, disordered: int
) -> NDArray[np.int64]:
    """Atoms for which the windows of a grid do not agree, or are not certain.

    Parameters
    ----------
    prepared : PreparedSystem
    points : (W, 3) array
        Centres of the grid, Angstrom.
    table : WindowTable
        Of these centres.
    disordered : int
        Number of the class "disordered".

    Returns
    -------
    (K,) int array
        Atoms without a window, and those whose nearest windows have different classes, or one that
        is uncertain or shows a crystal to which its centre does not belong.
    """
    weights, windows = window_weights(prepared, points, np.full(len(points), -1), table.sparse)
    probabilities = np.where(table.sparse[:, None], 0.0, table.probabilities)
    labels = probabilities.argmax(axis=1)
    certain = probabilities.max(axis=1, initial=0.0) >= SETTLED
    certain &= ~outside(table, disordered)
    counts = weights > 0
    first = windows[:, 0]
    agree = (labels[windows] == labels[first][:, None]) & certain[windows]
    return np.flatnonzero(~(agree | ~counts).all(axis=1) | ~counts[:, 0])
