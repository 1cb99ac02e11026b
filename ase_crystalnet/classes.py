"""The vocabulary of classes: names, what a refused answer is called, colours.

Classes keep one colour everywhere: the hues of OVITO's structure types (fcc green, hcp red, bcc
blue, sc violet, diamond sky blue), in the shades of Okabe and Ito that colour-blind eyes tell
apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

__all__ = ["CLASSES", "CLASS_COLORS", "REFUSED", "class_colors"]


CLASSES = ("bct139", "bct141", "hex/rh", "sc", "fcc", "diam", "bcc", "disordered")
"""Classes of the local model: Ziletti et al. 2018, Table 1, and disordered matter."""

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
