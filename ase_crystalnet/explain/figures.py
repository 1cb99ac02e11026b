"""Figures of attentive response maps (Ziletti et al. 2018, Fig. 5)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.classes import class_colors
from ase_crystalnet.errors import InputError
from ase_crystalnet.explain.bragg_spots import BraggSpots
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ase_crystalnet.explain.explainer import Explanation

__all__ = ["plot_explanation", "plot_filter_sums"]

_CHANNELS = (("x", "#ff4040"), ("y", "#30d030"), ("z", "#4070ff"))
_PANEL, _SPACE, _GAP = 0.9, 0.05, 0.2  # inches: a map, between maps, between layers
_LEFT, _HEAD, _FOOT = 0.75, 0.45, 0.1
_CLASS_PANEL = 1.3
_SMALL = 7.5  # points


def plot_explanation(
    explanation: Explanation, title: str = "", spots: BraggSpots | None = None
) -> Figure:
    """Draw the response maps of one fingerprint.

    Above: the fingerprint, the brightest filters of the first, third and last convolution with
    their share of the layer's light, and the sum over the last one's filters, in each colour
    channel and in all three. Every map is scaled to its own brightest value; the fingerprint is
    drawn as its square root. Below: the evidence for each class, summed over the channels, all on
    one scale.

    Parameters
    ----------
    explanation : Explanation
    title : str
        Written above.
    spots : BraggSpots, optional
        Circled, two pixels in radius, on the fingerprint and on the sum.

    Returns
    -------
    matplotlib.figure.Figure
    """
    blocks = 2 + len(explanation.layers)
    columns = 2 + sum(len(layer.filters) for layer in explanation.layers)
    width = _LEFT + columns * (_PANEL + _SPACE) + (blocks - 1) * _GAP + 0.1
    per_row = max(int((width - 1.0) / (_CLASS_PANEL + _SPACE)), 1)
    rows = -(-len(explanation.classes) // per_row)
    upper = _HEAD + 4 * (_PANEL + _SPACE) + _FOOT
    lower = rows * (_CLASS_PANEL + 0.25) + 0.3
    top = 0.25 if title else 0.0
    height = top + upper + lower
    figure = new_figure(width, height)
    figure.set_layout_engine("none")  # every panel has its place, in inches
    _draw_filters(figure, explanation, spots, height - top - _HEAD)
    _draw_classes(figure, explanation, per_row, lower)
    if title:
        _write(figure, 0.1, height - 0.22, title, fontsize=10)
    return figure


def plot_filter_sums(
    classes: Sequence[str], images: ArrayLike, sums: ArrayLike, title: str = ""
) -> Figure:
    """Draw the fingerprint of each class over the sum of the last convolution's response maps.

    Parameters
    ----------
    classes : sequence of str, length C
        What is written above each column.
    images : (C, P, P, 3) array
        Fingerprints, drawn as their square root.
    sums : (C, P, P, 3) array
        `Explainer.filter_sums` of them, each scaled to its own brightest value.
    title : str
        Written above.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        The shapes do not fit.
    """
    images, sums = np.asarray(images, float), np.asarray(sums, float)
    if images.shape != sums.shape or images.ndim != 4 or len(images) != len(classes):
        raise InputError(
            f"response maps: {len(classes)} classes, fingerprints {images.shape}, sums "
            f"{sums.shape}; expected (C, P, P, 3) of both"
        )
    panel = 1.25
    figure = new_figure(panel * len(classes) + 0.5, 2 * panel + (0.75 if title else 0.45))
    axes = figure.subplots(2, len(classes), squeeze=False)
    for column, name in enumerate(classes):
        _show(axes[0, column], np.sqrt(np.clip(images[column], 0, 1)))
        _show(axes[1, column], sums[column])
        axes[0, column].set_title(name, fontsize=9, fontweight="bold", color=INK)
    axes[0, 0].set_ylabel("fingerprint", fontsize=8)
    axes[1, 0].set_ylabel("response", fontsize=8)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK)
    return figure


def _axes(figure: Figure, left: float, bottom: float, size: float) -> Axes:
    """Square axes at a place in inches, without ticks."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left / width, bottom / height, size / width, size / height))
    axes.set_xticks([])
    axes.set_yticks([])
    return axes


def _write(figure: Figure, left: float, bottom: float, text: str, **style: Any) -> None:
    width, height = figure.get_size_inches()
    figure.text(left / width, bottom / height, text, **{"color": INK, **style})


def _draw_filters(
    figure: Figure, explanation: Explanation, spots: BraggSpots | None, top: float
) -> None:
    """Columns: fingerprint, filters of each layer, sum; rows: the three channels, and all."""
    names = [*(f"turned\nabout {axis}" for axis, _ in _CHANNELS), "all three"]
    for row, name in enumerate(names):
        middle = top - row * (_PANEL + _SPACE) - _PANEL / 2
        style = {"ha": "right", "va": "center", "fontsize": _SMALL}
        _write(figure, _LEFT - 0.08, middle, name, **style)

    def column(left: float, image: NDArray[Any], heading: str, marked: bool = False) -> float:
        whole = _scaled(image)
        for row in range(4):
            axes = _axes(figure, left, top - _PANEL - row * (_PANEL + _SPACE), _PANEL)
            if row == 3:
                _show(axes, whole)
            else:
                _show_channel(axes, whole[:, :, row], row)
            if row < 3 and marked and spots is not None:
                _circle(axes, spots.pixel[spots.channel == row])
        style = {"ha": "center", "fontsize": _SMALL}
        _write(figure, left + _PANEL / 2, top + 0.05, heading, **style)
        return left + _PANEL + _SPACE

    left = column(_LEFT, np.sqrt(np.clip(explanation.image, 0, 1)), "fingerprint", marked=True)
    label = explanation.label
    which = "brightest" if label is None else f"evidence for {explanation.classes[label]}"
    for layer in explanation.layers:
        left += _GAP
        last = " (the last)" if layer is explanation.layers[-1] else ""
        heading = f"convolution {layer.number}{last}: {which}"
        _write(figure, left, top + 0.24, heading, fontsize=9, fontweight="bold")
        for number, share, image in zip(layer.filters, layer.shares, layer.maps, strict=True):
            left = column(left, image, f"filter {number}: {100 * share:.0f} %")
    column(left + _GAP, explanation.filter_sum, "all its filters", marked=True)


def _draw_classes(figure: Figure, explanation: Explanation, per_row: int, height: float) -> None:
    """Evidence for and against each class, its probability beside its name."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    classes = explanation.classes
    colors = class_colors(classes)
    maps = explanation.class_maps.sum(axis=-1)
    largest = float(np.abs(maps).max(initial=0)) or 1.0
    scale = ScalarMappable(Normalize(-largest, largest), "RdBu_r")
    _write(figure, 0.1, height - 0.17, "evidence for each class", fontsize=9, fontweight="bold")
    best = int(np.argmax(explanation.probabilities))
    for label, name in enumerate(classes):
        row, column = divmod(label, per_row)
        left = 0.1 + column * (_CLASS_PANEL + _SPACE)
        bottom = height - 0.3 - (row + 1) * (_CLASS_PANEL + 0.25) + 0.05
        panel = _axes(figure, left, bottom + 0.02, _CLASS_PANEL)
        panel.imshow(scale.to_rgba(maps[label].T)[..., :3], origin="lower", interpolation="nearest")
        for side in panel.spines.values():
            side.set_color(colors[name])
            side.set_linewidth(2.4 if label == best else 1.2)
        panel.set_title(
            f"{name}  {explanation.probabilities[label]:.3f}",
            fontsize=8,
            color=INK,
            pad=3,
            fontweight="bold" if label == best else "normal",
        )
    width, total = figure.get_size_inches()
    left = 0.2 + min(per_row, len(classes)) * (_CLASS_PANEL + _SPACE)
    bar = figure.add_axes(
        (left / width, (height - 0.5 - _CLASS_PANEL + 0.02) / total, 0.1 / width,
         _CLASS_PANEL / total)
    )  # fmt: skip
    figure.colorbar(scale, cax=bar, ticks=[-largest, 0, largest])
    bar.set_yticklabels(["against", "0", "for"], fontsize=_SMALL)


def _scaled(image: NDArray[Any]) -> NDArray[np.float64]:
    """Between 0 and 1, the largest of all three channels being 1; dark where it is dark."""
    values = np.asarray(image, np.float64)
    top = values.max(initial=0)
    return values / top if top > 0 else values


def _show(axes: Axes, image: NDArray[Any]) -> None:
    """All three channels as one colour image, the detector's x to the right and y up."""
    axes.imshow(_scaled(image).transpose(1, 0, 2), origin="lower", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _show_channel(axes: Axes, values: NDArray[Any], channel: int) -> None:
    from matplotlib.colors import LinearSegmentedColormap

    name, color = _CHANNELS[channel]
    ramp = LinearSegmentedColormap.from_list(name, ["black", color, "white"])
    axes.imshow(values.T, cmap=ramp, vmin=0, vmax=1, origin="lower", interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])


def _circle(axes: Axes, places: NDArray[Any]) -> None:
    from matplotlib.patches import Circle

    for place in places:
        axes.add_patch(Circle((place[0], place[1]), 2.0, fill=False, lw=0.3, ec="#ffffffb0"))
