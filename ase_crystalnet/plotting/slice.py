"""Maps of classes and certainty, and of strain, in a slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classes import REFUSED, class_colors, labels_of
from ase_crystalnet.errors import InputError
from ase_crystalnet.plotting.cut import Cut, draw_discs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["plot_slice", "plot_strain"]


def plot_slice(
    frame: FrameAnalysis,
    axis: str | None = None,
    position: float | None = None,
    thickness: float | None = None,
) -> Figure:
    """Map classes and certainty in a slice through the window centres.

    Windows of atoms are drawn as discs, one each. Those of a grid overlap: between their centres
    the map is their weighted mean, as the labels of atoms are, and not a block a window.

    Parameters
    ----------
    frame : FrameAnalysis
        With centres on atoms or on a grid.
    axis : {"x", "y", "z"}, optional
        Normal of the slice; default: the direction in which the centres reach least far.
    position : float, optional, Angstrom
        Where the slice is cut; default: the middle.
    thickness : float, optional, Angstrom
        Default: 1.2 nearest-neighbour distances, or one grid layer.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the axis is unknown, or the slice is empty.
    """
    cut = Cut.of(frame, axis, position, thickness)
    figure, axes = cut.figure(("class", "certainty"))
    colors = class_colors(frame.classes)
    if cut.on_atoms:
        names = np.array([*frame.classes, REFUSED])[frame.labels[cut.windows]]
        draw_discs(axes[0], cut.places, cut.size, facecolors=[colors[name] for name in names])
        style: dict[str, Any] = {"cmap": "cividis", "clim": (0, 1)}
        certainty: ScalarMappable = draw_discs(axes[1], cut.places, cut.size, **style)
        certainty.set_array(frame.certainty[cut.windows])
    else:
        names, certainty = _draw_raster(axes, cut, colors)
    _name_classes(axes[0], names, colors, frame.classes)
    figure.colorbar(certainty, ax=axes[1], shrink=0.8, pad=0.02).set_label("largest probability")
    return figure


def plot_strain(
    frame: FrameAnalysis,
    axis: str | None = None,
    position: float | None = None,
    thickness: float | None = None,
) -> Figure:
    """Map the equivalent (von Mises) strain and the change of volume in a slice.

    Parameters
    ----------
    frame : FrameAnalysis
        Of structures: names of symmetries have no strain.
    axis, position, thickness
        As of `plot_slice`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If no window has a strain, the axis is unknown, or the slice is empty.
    """
    parts = 100 * np.stack([frame.von_mises_strain, frame.volumetric_strain], axis=1)
    if not np.isfinite(parts).any():
        raise InputError(
            "strain: expected windows with a lattice near an undistorted parent, got none; names "
            "of symmetries (--names symmetry) have no strain"
        )
    cut = Cut.of(frame, axis, position, thickness)
    figure, axes = cut.figure(("von Mises strain", "change of volume against the median"))
    largest = [float(np.nanpercentile(np.abs(parts[:, i]), 99)) or 1.0 for i in range(2)]
    scales: tuple[tuple[str, float, float], ...] = (
        ("viridis", 0.0, largest[0]),
        ("RdBu_r", -largest[1], largest[1]),
    )
    raster = None if cut.on_atoms else cut.pixels(parts)
    for column, (colors, low, high) in enumerate(scales):
        if raster is None:
            drawn: ScalarMappable = draw_discs(
                axes[column], cut.places, cut.size, cmap=colors, clim=(low, high)
            )
            drawn.set_array(np.ma.masked_invalid(parts[cut.windows, column]))
        else:
            drawn = axes[column].imshow(
                raster[..., column], origin="lower", extent=cut.extent, interpolation="nearest",
                aspect="equal", cmap=colors, vmin=low, vmax=high,
            )  # fmt: skip
        label = ("equivalent strain (%)", "volumetric strain (%)")[column]
        figure.colorbar(drawn, ax=axes[column], shrink=0.8, pad=0.02).set_label(label)
    return figure


def _draw_raster(
    axes: NDArray[Any], cut: Cut, colors: Mapping[str, str]
) -> tuple[NDArray[Any], ScalarMappable]:
    """Draw classes and certainty of pixels; the names of those that have a class."""
    from matplotlib.colors import to_rgb

    frame, raster = cut.frame, cut.pixels(cut.frame.probabilities)
    shape = raster.shape[:2]
    labels, certainty = labels_of(raster.reshape(-1, raster.shape[-1]), frame.min_certainty)
    spoken = np.isfinite(certainty)
    names = np.array([*frame.classes, REFUSED])
    rgb = np.array([to_rgb(colors[name]) for name in names])[labels]
    rgb[~spoken] = 1.0
    style: dict[str, Any] = {
        "origin": "lower",
        "extent": cut.extent,
        "interpolation": "nearest",
        "aspect": "equal",
    }
    axes[0].imshow(rgb.reshape(*shape, 3), **style)
    shown = axes[1].imshow(certainty.reshape(shape), cmap="cividis", vmin=0, vmax=1, **style)
    return names[labels[spoken]], shown


def _name_classes(
    axes: Axes, names: NDArray[Any], colors: Mapping[str, str], classes: Sequence[str]
) -> None:
    """Legend above the panel, only of classes that occur, with their share."""
    from matplotlib.lines import Line2D

    present = [name for name in (*classes, REFUSED) if name in names]
    handles = [Line2D([], [], marker="s", ls="", color=colors[name]) for name in present]
    axes.legend(
        handles,
        [f"{name} {100 * np.mean(names == name):.0f} %" for name in present],
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=min(len(handles), 3),
        frameon=False,
        fontsize=8,
        handletextpad=0.1,
        columnspacing=0.9,
        borderaxespad=0.1,
    )
