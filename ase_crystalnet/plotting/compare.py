"""Labels of several methods on one frame, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.classes import REFUSED, class_colors
from ase_crystalnet.errors import InputError
from ase_crystalnet.plotting.cut import draw_discs
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_comparison"]

#: Thickness of the slab that is shown, in distances of neighbours.
_LAYERS = 2.0


def plot_comparison(
    positions: ArrayLike,
    labels: Mapping[str, NDArray[np.integer]],
    classes: Sequence[str],
    axis: str | None = None,
    position: float | None = None,
) -> Figure:
    """Draw the atoms of a slab once for each method, coloured by its labels.

    Parameters
    ----------
    positions : (N, 3) array, Angstrom
    labels : mapping of str to (N,) integer array
        By the name of the method; indices into `classes`, -1 where refused.
    classes : sequence of str
    axis : {"x", "y", "z"}, optional
        Normal of the slab; default: the direction in which the atoms reach least far.
    position : float, optional, Angstrom
        Its middle; default: the middle of the structure.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        The axis is unknown, there are no atoms in the slab, or no method.
    """
    from matplotlib.lines import Line2D
    from scipy.spatial import cKDTree

    points = np.asarray(positions, np.float64).reshape(-1, 3)
    if not labels or not len(points):
        raise InputError("compare: expected atoms and at least one method, got none")
    if axis not in (None, "x", "y", "z"):
        raise InputError(f"compare: expected axis x, y or z, got {axis!r}")
    reach = np.ptp(points, axis=0)
    # Of edges that are equal, z: the view from above.
    normal = "xyz".index(axis) if axis else 2 - int(np.argmin(reach.round(1)[::-1]))
    across, up = (i for i in range(3) if i != normal)
    heights = points[:, normal]
    spacing = 2.5
    if len(points) > 1:
        spacing = float(np.median(cKDTree(points).query(points, k=2)[0][:, 1])) or spacing
    middle = (heights.min() + heights.max()) / 2 if position is None else position
    inside = np.abs(heights - middle) <= _LAYERS * spacing / 2
    if not inside.any():
        raise InputError(
            f"compare: no atom within {_LAYERS * spacing:.2f} Angstrom at "
            f"{'xyz'[normal]} = {middle:.2f}; they reach from {heights.min():.2f} to "
            f"{heights.max():.2f}"
        )
    shown = np.flatnonzero(inside)[np.argsort(heights[inside], kind="stable")]
    places = points[shown][:, [across, up]]
    low, high = places.min(axis=0) - spacing / 2, places.max(axis=0) + spacing / 2
    aspect = float(np.clip((high - low)[1] / (high - low)[0], 0.3, 3.0))
    count = len(labels)
    columns = count if aspect > 0.6 or count < 3 else (count + 1) // 2
    rows = -(-count // columns)
    width = 11.0 / columns
    figure = new_figure(11.0, rows * (width * aspect + 0.45) + 0.8)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    colors = class_colors(classes)
    names = np.array([*classes, REFUSED])
    for panel in panels.ravel()[count:]:
        panel.set_axis_off()
    for panel, (method, numbers) in zip(panels.ravel(), labels.items(), strict=False):
        found = names[np.asarray(numbers)[shown]]
        draw_discs(panel, places, np.full(2, spacing), facecolors=[colors[n] for n in found])
        panel.set_aspect("equal")
        panel.set_xlim(low[0], high[0])
        panel.set_ylim(low[1], high[1])
        panel.set_title(method, loc="left", fontsize=9)
    for panel in panels[-1]:
        panel.set_xlabel(f"{'xyz'[across]} (Å)")
    for panel in panels[:, 0]:
        panel.set_ylabel(f"{'xyz'[up]} (Å)")
    present = {str(name) for each in labels.values() for name in names[np.asarray(each)[shown]]}
    handles = [
        Line2D([], [], marker="o", ls="", color=colors[name], label=name)
        for name in (*classes, REFUSED)
        if name in present
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False,
                  fontsize=8, handletextpad=0.1)  # fmt: skip
    figure.suptitle(
        f"slab at {'xyz'[normal]} = {middle:.1f} Å, {_LAYERS * spacing:.1f} Å thick, "
        f"{len(shown)} of {len(points)} atoms",
        x=0.01, ha="left", fontsize=9, color=INK,
    )  # fmt: skip
    return figure
