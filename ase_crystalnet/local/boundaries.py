"""What is looked at twice: windows divided between two crystals or phases, and where they meet."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.local.blending import window_weights
from ase_crystalnet.windows.windower import PreparedSystem

__all__ = ["SMALLER_WINDOWS", "divided", "give_way", "unsettled_atoms"]

#: Coherence (`Lattices.coherence`) of a centre that is no part of the crystal its window shows, and
#: of one that surely is; the middle is the plane that bounds a crystal. In bulk it stays above,
#: at sigma 0.10 in windows of 64 atoms and more, at 0.15 in windows of 250 (tests/test_lattice.py).
COHERENCE_RANGE = (0.35, 0.65)
#: Smaller windows tried in turn, as shares of `window_atoms`, about a centre that is in doubt.
SMALLER_WINDOWS = (0.4,)
#: Certainty below which a window of the grid leaves the atoms around it unsettled.
SETTLED = 0.9

Found = dict[str, NDArray[Any]]


def divided(found: Found, none: int) -> NDArray[np.bool_]:
    """Windows (W,) said to be a crystal whose centre is not part of it; `none` is "disordered"."""
    with np.errstate(invalid="ignore"):
        outside = np.asarray((found["coherence"] < COHERENCE_RANGE[1]) & ~found["sparse"])
    crystal = np.zeros(len(outside), bool)
    there = ~found["sparse"]
    crystal[there] = found["probabilities"][there].argmax(axis=1) != none
    return np.asarray(outside & crystal)


def give_way(found: Found, none: int) -> None:
    """Move the crystal's probability to "disordered" as far as the centre is outside, in place."""
    rows = np.flatnonzero(divided(found, none))
    low, high = COHERENCE_RANGE
    left = np.clip((found["coherence"][rows] - low) / (high - low), 0.0, 1.0)[:, None]
    probabilities = found["probabilities"][rows] * left
    probabilities[:, none] += 1 - left[:, 0]
    found["probabilities"][rows] = probabilities


def unsettled_atoms(
    prepared: PreparedSystem, points: NDArray[np.float64], found: Found, none: int
) -> NDArray[np.int64]:
    """Atoms for which the windows of a grid do not agree, or are not certain.

    Parameters
    ----------
    prepared : PreparedSystem
    points : (W, 3) array
        Centres of the grid, Angstrom.
    found : dict of arrays
        What the windows showed.
    none : int
        Number of the class "disordered".

    Returns
    -------
    (K,) int array
        Atoms that no window speaks for, and those whose nearest windows have different classes, or
        one that is uncertain or shows a crystal which its centre does not belong to.
    """
    sparse = found["sparse"]
    weights, windows = window_weights(prepared, points, np.full(len(points), -1), sparse)
    probabilities = np.where(sparse[:, None], 0.0, found["probabilities"])
    labels = probabilities.argmax(axis=1)
    certain = (probabilities.max(axis=1, initial=0.0) >= SETTLED) & ~divided(found, none)
    speaks = weights > 0
    first = windows[:, 0]
    agree = (labels[windows] == labels[first][:, None]) & certain[windows]
    return np.flatnonzero(~(agree | ~speaks).all(axis=1) | ~speaks[:, 0])
