"""Maps of classes and certainty in a slice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, AffineDeltaTransform
from numpy.typing import NDArray

from ase_crystalnet.classes import REFUSED, class_colors, labels_of
from ase_crystalnet.errors import InputError
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable
    from matplotlib.figure import Figure

    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["draw_discs", "plot_slice"]

#: Pixels from one grid point to the next, and along an edge at most.
_PIXELS, _MOST_PIXELS = 8, 1500
#: Windows that speak for a pixel, and how far they do, in radii: as for atoms (`local.blending`).
_NEIGHBORS, _REACH = 8, 0.75


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
    size = np.full(2, spacing)
    places = points[inside][:, [across, up]]
    if not _on_atoms(frame):
        size = _cell_size(places, spacing)
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
    if _on_atoms(frame):
        # The upper atoms are drawn last, as one sees them.
        chosen = np.flatnonzero(inside)[np.argsort(heights[inside], kind="stable")]
        places = points[chosen][:, [across, up]]
        names = np.array([*frame.classes, REFUSED])[frame.labels[chosen]]
        draw_discs(axes[0], places, size, facecolors=[colors[name] for name in names])
        certainty: ScalarMappable = draw_discs(axes[1], places, size, cmap="cividis", clim=(0, 1))
        certainty.set_array(frame.certainty[chosen])
    else:
        raster = _raster(frame, low, high, float(size.min()) / _PIXELS, normal, position)
        names, certainty = _draw_raster(axes, raster, frame, colors, (low, high))
    _name_classes(axes[0], names, colors, frame.classes)
    figure.colorbar(certainty, ax=axes[1], shrink=0.8, pad=0.02).set_label("largest probability")
    figure.suptitle(
        f"slice at {axis} = {position:.1f} Å, {thickness:.1f} Å thick, {int(inside.sum())} windows",
        x=0.01,
        ha="left",
        fontsize=9,
        color=INK,
    )
    return figure


def _raster(
    frame: FrameAnalysis,
    low: NDArray[Any],
    high: NDArray[Any],
    step: float,
    normal: int,
    position: float,
) -> NDArray[np.float32]:
    """Class probabilities (rows, columns, C) of the pixels of a plane; nan where no window is near.

    Each pixel is spoken for by its nearest windows with a Gaussian as wide as centres are from
    pixels, as atoms are that have no window of their own.
    """
    from scipy.spatial import cKDTree

    count = np.clip(np.rint((high - low) / step).astype(int), 1, _MOST_PIXELS)
    across, up = (
        low[i] + (np.arange(count[i]) + 0.5) * (high[i] - low[i]) / count[i] for i in range(2)
    )
    pixels = np.empty((count[1], count[0], 3))
    pixels[..., [i for i in range(3) if i != normal]] = np.stack(np.meshgrid(across, up), axis=-1)
    pixels[..., normal] = position
    usable = np.flatnonzero(~frame.sparse & np.isfinite(frame.probabilities).all(axis=1))
    out = np.full((*pixels.shape[:2], len(frame.classes)), np.nan, np.float32)
    if not len(usable):
        return out
    neighbors = min(_NEIGHBORS, len(usable))
    distance, nearest = cKDTree(frame.centers[usable]).query(pixels.reshape(-1, 3), k=neighbors)
    distance, nearest = distance.reshape(-1, neighbors), usable[nearest.reshape(-1, neighbors)]
    near = distance <= _REACH * np.maximum(frame.radius[nearest], _spacing(frame))
    width = max(float(np.median(distance[:, 0])), 1e-6)
    weights = np.where(near, np.exp(-0.5 * (distance**2 - distance[:, :1] ** 2) / width**2), 0.0)
    spoken = near.any(axis=1)
    weights[spoken] /= weights[spoken].sum(axis=1, keepdims=True)
    mixed = np.einsum("pk,pkc->pc", weights[spoken], frame.probabilities[nearest[spoken]])
    out.reshape(-1, out.shape[-1])[spoken] = mixed
    return out


def _draw_raster(
    axes: Sequence[Axes],
    raster: NDArray[np.float32],
    frame: FrameAnalysis,
    colors: Mapping[str, str],
    extent: tuple[NDArray[Any], NDArray[Any]],
) -> tuple[NDArray[Any], ScalarMappable]:
    """Draw classes and certainty of pixels; the names of those that have a class."""
    from matplotlib.colors import to_rgb

    shape = raster.shape[:2]
    labels, certainty = labels_of(raster.reshape(-1, raster.shape[-1]), frame.min_certainty)
    spoken = np.isfinite(certainty)
    names = np.array([*frame.classes, REFUSED])
    rgb = np.array([to_rgb(colors[name]) for name in names])[labels]
    rgb[~spoken] = 1.0
    low, high = extent
    style: dict[str, Any] = {
        "origin": "lower",
        "extent": (low[0], high[0], low[1], high[1]),
        "interpolation": "nearest",
        "aspect": "equal",
    }
    axes[0].imshow(rgb.reshape(*shape, 3), **style)
    shown = axes[1].imshow(certainty.reshape(shape), cmap="cividis", vmin=0, vmax=1, **style)
    return names[labels[spoken]], shown


def draw_discs(
    axes: Axes, places: NDArray[Any], size: NDArray[Any], **style: Any
) -> PathCollection:
    """Draw discs at many places, their size in the units of the axes."""
    shape = Path.unit_circle()
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
    """Whether every window is that of an atom; else some are those of a grid."""
    return bool((frame.center_indices >= 0).all())


def _spacing(frame: FrameAnalysis) -> float:
    """Distance from a window centre to the next, Angstrom."""
    from scipy.spatial import cKDTree

    if frame.number_of_windows > 1:
        distances, _ = cKDTree(frame.centers).query(frame.centers, k=2)
        positive = distances[:, 1][distances[:, 1] > 0]
        if len(positive):
            return float(np.median(positive))
    return float(np.nanmax([1.0, *frame.nearest_neighbor_distance]))
