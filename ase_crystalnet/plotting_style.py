"""Colours and page of the figures.

Classes keep one colour everywhere: the hues of OVITO's structure types (fcc green, hcp red, bcc
blue, sc violet, diamond sky blue), in the shades of Okabe and Ito that colour-blind eyes tell
apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ase_crystalnet.summary import REFUSED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["CLASS_COLORS", "INK", "class_colors", "new_figure"]

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
INK = "#333333"
_RESOLUTION = 200  # dots per inch


def class_colors(classes: Sequence[str]) -> dict[str, str]:
    """Colour of each class, and of ``'refused'``; classes of other models get further colours."""
    spare = iter(_MORE_COLORS * (1 + len(classes) // len(_MORE_COLORS)))
    colors = {name: CLASS_COLORS.get(name) or next(spare) for name in classes}
    return {**colors, REFUSED: CLASS_COLORS[REFUSED]}


def new_figure(width: float, height: float) -> Figure:
    """A figure of its own, outside pyplot's state, so that a library call leaks nothing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_RESOLUTION, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
