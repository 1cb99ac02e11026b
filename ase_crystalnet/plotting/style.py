"""Page of the figures; the colours of classes are in `classes`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["INK", "new_figure"]


INK = "#333333"
_RESOLUTION = 200  # dots per inch


def new_figure(width: float, height: float) -> Figure:
    """A figure of its own, outside pyplot's state, so that a library call leaks nothing."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_RESOLUTION, layout="constrained")
    FigureCanvasAgg(figure)
    return figure
