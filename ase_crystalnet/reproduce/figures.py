"""Figures of the reproduced papers. Each function returns a matplotlib Figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classes import class_colors
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["accuracy_lines", "defect_images", "fingerprint_grid", "probability_lines"]


def fingerprint_grid(images: NDArray[Any], names: Sequence[str], columns: int = 4) -> Figure:
    """Fingerprints (B, P, P, 3) in colour, named, `columns` in a row (the paper's Fig. 2)."""
    rows = -(-len(images) // columns)
    figure = new_figure(2.1 * columns, 2.3 * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel in panels:
        panel.axis("off")
    for panel, image, name in zip(panels, images, names, strict=False):
        _show(panel, image)
        panel.set_title(name, fontsize=9, color=INK)
    return figure


def defect_images(images: NDArray[Any], names: Sequence[str]) -> Figure:
    """The first fingerprint, and each further one beside its difference from it.

    Parameters
    ----------
    images : (B, P, P, 3) array
        Pristine, then defective.
    names : sequence of str
    """
    figure = new_figure(2.1 * len(images), 4.5)
    panels = figure.subplots(2, len(images))
    for column, (image, name) in enumerate(zip(images, names, strict=True)):
        _show(panels[0, column], image)
        panels[0, column].set_title(name, fontsize=9, color=INK)
        panels[1, column].axis("off")
    differences = [(image - images[0]).mean(axis=-1) for image in images[1:]]
    reach = max(float(np.abs(d).max()) for d in differences)
    shown = None
    for panel, difference in zip(panels[1, 1:], differences, strict=True):
        shown = panel.imshow(difference.T, origin="lower", cmap="RdBu_r", vmin=-reach, vmax=reach)
        panel.set_title(f"difference, at most {np.abs(difference).max():.3f}", fontsize=8)
    if shown is not None:
        place = panels[1, 0].inset_axes((0.55, 0.1, 0.1, 0.8))
        bar = figure.colorbar(shown, cax=place)
        bar.set_label("mean of the channels", fontsize=8)
        bar.ax.tick_params(labelsize=7)
    return figure


def probability_lines(
    x: NDArray[Any],
    probabilities: NDArray[Any],
    classes: Sequence[str],
    x_label: str,
    *,
    marks: Mapping[float, str] | None = None,
    band: tuple[float, float] | None = None,
    titles: Sequence[str] = ("",),
    top: tuple[float, str] | None = None,
) -> Figure:
    """Class probabilities along a path (the paper's Fig. 4 and Supplementary Fig. 1).

    Parameters
    ----------
    x : (X,) array
    probabilities : (X, C) array, or (panels, X, C)
    classes : sequence of str
    x_label : str
    marks : mapping, optional
        Places on the path, with their names.
    band : (float, float), optional
        Shaded range of x.
    titles : sequence of str
        One for each panel.
    top : (float, str), optional
        Second axis at the top: how many times x it is, and its label.
    """
    values = np.asarray(probabilities, float)
    values = values[None] if values.ndim == 2 else values
    colors = class_colors(classes)
    figure = new_figure(7.0, 2.4 * len(values) + 0.5)
    panels = figure.subplots(len(values), 1, sharex=True, squeeze=False)[:, 0]
    used = [c for c in range(len(classes)) if values[..., c].max() > 0.02]
    for panel, rows, title in zip(panels, values, titles, strict=True):
        if band is not None:
            panel.axvspan(*band, color="#f3e3cf", lw=0, zorder=0)
        for c in used:
            marker = "o" if len(x) < 40 else ""
            panel.plot(
                x, rows[:, c], color=colors[classes[c]], lw=1.6, marker=marker, ms=3,
                label=classes[c],
            )  # fmt: skip
        for place, name in (marks or {}).items():
            panel.axvline(place, color="#999999", lw=0.8, ls=":")
            panel.annotate(
                name, (place, 1.03), xycoords=("data", "axes fraction"), ha="center", fontsize=8,
                color=INK,
            )  # fmt: skip
        panel.set_ylim(-0.02, 1.04)
        panel.set_xlim(float(np.min(x)), float(np.max(x)))
        panel.set_ylabel("probability")
        panel.spines[["top", "right"]].set_visible(False)
        if title:
            panel.annotate(title, (0.01, 0.5), xycoords="axes fraction", fontsize=9)
    panels[0].legend(fontsize=8, frameon=False, ncols=1, loc="center left", bbox_to_anchor=(1, 0.5))
    panels[-1].set_xlabel(x_label)
    if top is not None:
        factor, label = top
        second = panels[0].secondary_xaxis(
            "top", functions=(lambda v: v * factor, lambda v: v / factor)
        )
        second.set_xlabel(label)
    return figure


def accuracy_lines(
    x: Sequence[float], lines: Mapping[str, Sequence[float | None]], x_label: str
) -> Figure:
    """Percent right against the size of a defect, one named line a method."""
    figure = new_figure(7.0, 3.2)
    axes = figure.subplots()
    styles = ["-", "--", "-.", ":"]
    palette = ["#222222", "#d55e00", "#0072b2", "#009e73", "#cc79a7", "#8f8f8f"]
    for number, (name, values) in enumerate(lines.items()):
        known = [(a, v) for a, v in zip(x, values, strict=True) if v is not None]
        if known:
            axes.plot(
                *zip(*known, strict=True), styles[number % 4], color=palette[number % 6], lw=1.6,
                marker="o", ms=3, label=name,
            )  # fmt: skip
    axes.set_ylim(-3, 103)
    axes.set_xlabel(x_label)
    axes.set_ylabel("right (%)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _show(panel: Axes, image: NDArray[Any]) -> None:
    # The square root keeps weak spots visible; the detector's x to the right, y up.
    panel.imshow(
        np.sqrt(np.clip(image, 0, 1)).transpose(1, 0, 2), origin="lower", interpolation="nearest"
    )
    panel.axis("off")
