"""The vocabulary of classes: names, what a refused answer is called, colours.

Classes keep one colour everywhere: the hues of OVITO's structure types (fcc green, hcp red, bcc
blue, sc violet, diamond sky blue), in the shades of Okabe and Ito that colour-blind eyes tell
apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError

__all__ = [
    "CLASSES",
    "CLASS_COLORS",
    "DISORDERED",
    "REFUSED",
    "checked_certainty",
    "class_colors",
    "labels_of",
]


CLASSES = ("bct139", "bct141", "hex/rh", "sc", "fcc", "diam", "bcc", "disordered")
"""Classes of the local model: Ziletti et al. 2018, Table 1, and disordered matter."""

DISORDERED = "disordered"
"""Class of matter without a lattice: liquids, glasses, gases."""

REFUSED = "refused"
"""What a refused atom (label -1) is called where a name is needed; never an empty string, which
whitespace-separated formats such as extxyz cannot hold."""

CLASS_COLORS: Mapping[str, str] = {
    "fcc": "#009e73",
    "hex/rh": "#d55e00",
    "bcc": "#0072b2",
    "sc": "#a114ff",
    "diam": "#56b4e9",
    "bct139": "#e6b000",
    "bct141": "#7f4a1e",
    "disordered": "#8f8f8f",
    REFUSED: "#e4e4e4",
}
"""Colour of each class of the local model, and of refused atoms."""


_MORE_COLORS = ("#cc79a7", "#44aa99", "#332288", "#999933", "#882255", "#117733")


def class_colors(classes: Sequence[str]) -> dict[str, str]:
    """Colour of each class, and of ``'refused'``; classes of other models get further colours."""
    spare = iter(_MORE_COLORS * (1 + len(classes) // len(_MORE_COLORS)))
    colors = {name: CLASS_COLORS.get(name) or next(spare) for name in classes}
    return {**colors, REFUSED: CLASS_COLORS[REFUSED]}


def labels_of(
    probabilities: NDArray[np.float32], min_certainty: float | None = None
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Labels and certainty of some answers (Vecsei et al. 2019, Eq. 13).

    Parameters
    ----------
    probabilities : (B, C) array
        nan where nothing is known.
    min_certainty : float, optional
        Answers that are less certain are refused; None refuses none.

    Returns
    -------
    labels : (B,) int16 array
        Most probable class; -1 where refused or nothing is known.
    certainty : (B,) float32 array
        max_i p_i; nan where nothing is known.
    """
    known = np.asarray(np.isfinite(probabilities).all(axis=1))
    safe = np.where(known[:, None], probabilities, 0)
    labels = safe.argmax(axis=1).astype(np.int16)
    certainty = np.where(known, safe.max(axis=1, initial=0), np.nan).astype(np.float32)
    threshold = 0.0 if min_certainty is None else min_certainty
    labels[~known | ~(certainty >= threshold)] = -1
    return labels, certainty


def checked_certainty(min_certainty: float | None) -> float | None:
    """A threshold of certainty that makes sense.

    Raises
    ------
    InputError
        It is not between 0 and 1.
    """
    if min_certainty is not None and not 0.0 <= min_certainty <= 1.0:
        raise InputError(f"min_certainty={min_certainty!r} is not between 0 and 1 (or None)")
    return min_certainty
