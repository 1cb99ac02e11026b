"""Maps of classes and certainty in a slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, AffineDeltaTransform
from numpy.typing import NDArray

from ase_crystalnet.classes import REFUSED, class_colors
from ase_crystalnet.errors import InputError
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["plot_slice"]


def plot_slice(
    frame: FrameAnalysis,
    axis: str | None = None,
    position: float | None = None,
    thickness: float | None = None,
) -> Figure:
    """Map classes and certainty in a slice through the window centres.

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
    if axis is None:
        # Rounded, so that equal edges give z, the view from above.
        reach = np.ptp(frame.centers, axis=0).round(-int(np.floor(np.log10(_spacing(frame)))))
        axis = "zyx"[int(np.argmin(reach[::-1]))]
    if axis not in ("x", "y", "z"):
        raise InputError(f"slice: expected axis x, y or z, got {axis!r}")
    normal, points, spacing = "xyz".index(axis), frame.centers, _spacing(frame)
    across, up = (i for i in range(3) if i != normal)
    heights = points[:, normal]
    if position is None:
        middle = (heights.min() + heights.max()) / 2
        # On a grid the middle may fall between two layers.
        position = float(heights[np.argmin(np.abs(heights - middle))])
    if thickness is None:
        thickness = 1.2 * spacing if _on_atoms(frame) else 0.9 * spacing
    inside = np.abs(heights - position) <= thickness / 2
    if not inside.any():
        raise InputError(
            f"slice: no window centre within {thickness:.2f} Angstrom at {axis} = {position:.2f}; "
            f"they reach from {heights.min():.2f} to {heights.max():.2f}"
        )
    # The upper atoms are drawn last, as one sees them.
    chosen = np.flatnonzero(inside)[np.argsort(heights[inside], kind="stable")]
    places = points[chosen][:, [across, up]]
    size = np.full(2, spacing) if _on_atoms(frame) else _cell_size(places, spacing)
    low, high = places.min(axis=0) - size / 2, places.max(axis=0) + size / 2
    aspect = float(np.clip((high - low)[1] / (high - low)[0], 0.3, 2.5))
    figure = new_figure(9.6, 4.1 * aspect + 0.95)
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    for panel in axes:
        panel.set_aspect("equal")
        panel.set_xlim(low[0], high[0])
        panel.set_ylim(low[1], high[1])
        panel.set_xlabel(f"{'xyz'[across]} (Å)")
    axes[0].set_ylabel(f"{'xyz'[up]} (Å)")
    axes[0].set_title("class", loc="left")
    axes[1].set_title("certainty", loc="left")
    colors = class_colors(frame.classes)
    names = np.array([*frame.classes, REFUSED])[frame.labels[chosen]]
    shape = Path.unit_circle() if _on_atoms(frame) else Path.unit_rectangle()
    _draw(axes[0], shape, places, size, facecolors=[colors[name] for name in names])
    certainty = _draw(axes[1], shape, places, size, cmap="cividis", clim=(0, 1))
    certainty.set_array(frame.certainty[chosen])
    _name_classes(axes[0], names, colors, frame.classes)
    figure.colorbar(certainty, ax=axes[1], shrink=0.8, pad=0.02)
    figure.suptitle(
        f"slice at {axis} = {position:.1f} Å, {thickness:.1f} Å thick, {len(chosen)} windows",
        x=0.01,
        ha="left",
        fontsize=9,
        color=INK,
    )
    return figure


def _draw(
    axes: Axes, shape: Path, places: NDArray[Any], size: NDArray[Any], **style: Any
) -> PathCollection:
    """Draw one shape at many places, its size in the units of the axes."""
    extent = shape.get_extents()
    turn = Affine2D().translate(-(extent.x0 + extent.x1) / 2, -(extent.y0 + extent.y1) / 2)
    turn = turn.scale(size[0] / extent.width, size[1] / extent.height)
    scale: Any = axes.transData  # linear axes: an affine transform, whatever its type says
    drawn = PathCollection(
        [shape.transformed(turn)],
        offsets=places,
        offset_transform=axes.transData,
        transform=AffineDeltaTransform(scale),
        linewidths=0,
        **style,
    )
    axes.add_collection(drawn, autolim=False)
    return drawn


def _cell_size(places: NDArray[Any], spacing: float) -> NDArray[np.float64]:
    """Distance between neighbouring columns and rows of a grid, (2,)."""
    size = np.full(2, spacing)
    for axis in range(2):
        steps = np.diff(np.unique(places[:, axis].round(3)))
        steps = steps[steps > 0.4 * spacing]
        if len(steps):
            size[axis] = np.median(steps)
    return size


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


def _on_atoms(frame: FrameAnalysis) -> bool:
    return bool((frame.center_indices >= 0).any())


def _spacing(frame: FrameAnalysis) -> float:
    """Distance from a window centre to the next, Angstrom."""
    from scipy.spatial import cKDTree

    if frame.number_of_windows > 1:
        distances, _ = cKDTree(frame.centers).query(frame.centers, k=2)
        positive = distances[:, 1][distances[:, 1] > 0]
        if len(positive):
            return float(np.median(positive))
    return float(np.nanmax([1.0, *frame.nearest_neighbor_distance]))
