"""Where a slice of a frame is cut, its page, and what its windows say between their centres."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, AffineDeltaTransform
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["Cut", "draw_discs"]

#: Pixels from one grid point to the next, and along an edge at most.
_PIXELS, _MOST_PIXELS = 8, 1500
#: Windows that speak for a pixel, and how far they do, in radii: as for atoms (`local.blending`).
_NEIGHBORS, _REACH = 8, 0.75


@dataclass(frozen=True, eq=False)
class Cut:
    """A slice through the window centres of a frame.

    Attributes
    ----------
    frame : FrameAnalysis
    normal : int
        Axis 0, 1 or 2.
    position, thickness : float
        Angstrom.
    inside : (W,) bool array
        Windows in it.
    low, high : (2,) array
        Ends of the picture, across and up, Angstrom.
    size : (2,) array
        Of a window in the picture.
    """

    frame: FrameAnalysis
    normal: int
    position: float
    thickness: float
    inside: NDArray[np.bool_]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    size: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        frame: FrameAnalysis,
        axis: str | None = None,
        position: float | None = None,
        thickness: float | None = None,
    ) -> Cut:
        """Cut a frame; for the parameters see `plotting.plot_slice`.

        Raises
        ------
        InputError
            If the axis is unknown, or the slice is empty.
        """
        spacing = _spacing(frame)
        if axis is None:
            # Rounded, so that equal edges give z, the view from above.
            reach = np.ptp(frame.centers, axis=0).round(-int(np.floor(np.log10(spacing))))
            axis = "zyx"[int(np.argmin(reach[::-1]))]
        if axis not in ("x", "y", "z"):
            raise InputError(f"slice: expected axis x, y or z, got {axis!r}")
        normal = "xyz".index(axis)
        heights = frame.centers[:, normal]
        if position is None:
            middle = (heights.min() + heights.max()) / 2
            # On a grid the middle may fall between two layers.
            position = float(heights[np.argmin(np.abs(heights - middle))])
        if thickness is None:
            thickness = 1.2 * spacing if _on_atoms(frame) else 0.9 * spacing
        inside = np.abs(heights - position) <= thickness / 2
        if not inside.any():
            raise InputError(
                f"slice: no window centre within {thickness:.2f} Angstrom at {axis} = "
                f"{position:.2f}; they reach from {heights.min():.2f} to {heights.max():.2f}"
            )
        places = np.delete(frame.centers[inside], normal, axis=1)
        size = np.full(2, spacing) if _on_atoms(frame) else _cell_size(places, spacing)
        low, high = places.min(axis=0) - size / 2, places.max(axis=0) + size / 2
        return cls(frame, normal, position, thickness, inside, low, high, size)

    @property
    def on_atoms(self) -> bool:
        """Whether every window is that of an atom: each is a disc then; else pixels are drawn."""
        return _on_atoms(self.frame)

    @property
    def windows(self) -> NDArray[np.int64]:
        """Windows in it, the upper ones last, as one sees them."""
        heights = self.frame.centers[self.inside, self.normal]
        return np.flatnonzero(self.inside)[np.argsort(heights, kind="stable")]

    @property
    def places(self) -> NDArray[np.float64]:
        """Where these are in the picture, (n, 2), Angstrom."""
        return np.delete(self.frame.centers[self.windows], self.normal, axis=1)

    @property
    def extent(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top, Angstrom."""
        return self.low[0], self.high[0], self.low[1], self.high[1]

    def figure(self, titles: tuple[str, str]) -> tuple[Figure, NDArray[Any]]:
        """A page with two panels."""
        across, up = (i for i in range(3) if i != self.normal)
        edges = self.high - self.low
        aspect = float(np.clip(edges[1] / edges[0], 0.3, 2.5))
        figure = new_figure(9.6, 4.1 * aspect + 0.95)
        axes = figure.subplots(1, 2, sharex=True, sharey=True)
        for panel, title in zip(axes, titles, strict=True):
            panel.set_aspect("equal")
            panel.set_xlim(self.low[0], self.high[0])
            panel.set_ylim(self.low[1], self.high[1])
            panel.set_xlabel(f"{'xyz'[across]} (Å)")
            panel.set_title(title, loc="left")
        axes[0].set_ylabel(f"{'xyz'[up]} (Å)")
        figure.suptitle(
            f"slice at {'xyz'[self.normal]} = {self.position:.1f} Å, {self.thickness:.1f} Å thick, "
            f"{int(self.inside.sum())} windows",
            x=0.01, ha="left", fontsize=9, color=INK,
        )  # fmt: skip
        return figure, axes

    def pixels(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Values (W, C) of windows at the pixels (rows, columns, C); nan where no window is near.

        Each pixel is spoken for by its nearest windows that have values, with a Gaussian as wide
        as centres are from pixels, as atoms are that have no window of their own.
        """
        from scipy.spatial import cKDTree

        step = float(self.size.min()) / _PIXELS
        count = np.clip(np.rint((self.high - self.low) / step).astype(int), 1, _MOST_PIXELS)
        across, up = (
            self.low[i] + (np.arange(count[i]) + 0.5) * (self.high[i] - self.low[i]) / count[i]
            for i in range(2)
        )
        points = np.empty((count[1], count[0], 3))
        others = [i for i in range(3) if i != self.normal]
        points[..., others] = np.stack(np.meshgrid(across, up), axis=-1)
        points[..., self.normal] = self.position
        usable = np.flatnonzero(~self.frame.sparse & np.isfinite(values).all(axis=1))
        out = np.full((*points.shape[:2], values.shape[1]), np.nan, np.float32)
        if not len(usable):
            return out
        neighbors = min(_NEIGHBORS, len(usable))
        tree = cKDTree(self.frame.centers[usable])
        distance, nearest = tree.query(points.reshape(-1, 3), k=neighbors)
        distance, nearest = distance.reshape(-1, neighbors), usable[nearest.reshape(-1, neighbors)]
        near = distance <= _REACH * np.maximum(self.frame.radius[nearest], _spacing(self.frame))
        width = max(float(np.median(distance[:, 0])), 1e-6)
        excess = distance**2 - distance[:, :1] ** 2
        weights = np.where(near, np.exp(-0.5 * excess / width**2), 0.0)
        spoken = near.any(axis=1)
        weights[spoken] /= weights[spoken].sum(axis=1, keepdims=True)
        mixed = np.einsum("pk,pkc->pc", weights[spoken], values[nearest[spoken]])
        out.reshape(-1, out.shape[-1])[spoken] = mixed
        return out


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
