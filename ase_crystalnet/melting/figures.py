"""Figures of fronts: position against time, velocity against temperature."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.melting.fronts import FrontMotion, MeltingPoint
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_fronts"]


def plot_fronts(motions: Sequence[FrontMotion], point: MeltingPoint | None = None) -> Figure:
    """Draw how thick the crystal is over time in each run, and the velocity of its fronts.

    Parameters
    ----------
    motions : sequence of FrontMotion
    point : MeltingPoint, optional
        Drawn with its line.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        There are no runs.
    """
    from matplotlib import colormaps

    if not motions:
        raise InputError("fronts: there are no runs to draw")
    figure = new_figure(7.2, 3.2)
    left, right = figure.subplots(1, 2)
    ordered = sorted(motions, key=lambda motion: motion.temperature)
    colors = colormaps["plasma"](np.linspace(0.0, 0.85, len(ordered)))
    for motion, color in zip(ordered, colors, strict=True):
        used = motion.used
        left.errorbar(
            motion.time[used],
            motion.thickness[used],
            motion.thickness_error[used],
            color=color,
            lw=1.0,
            elinewidth=0.5,
            label=f"{motion.temperature:.0f} K",
        )
        right.errorbar(
            motion.temperature, motion.velocity, motion.velocity_error,
            color=color, fmt="o", ms=4, capsize=2,
        )  # fmt: skip
    left.set_xlabel("time (ps)")
    left.set_ylabel("thickness of the crystal (Å)")
    left.legend(frameon=False, fontsize=8)
    _line(right, ordered, point)
    right.axhline(0.0, color=INK, lw=0.6)
    right.set_xlabel("temperature (K)")
    right.set_ylabel("velocity of a front (m/s)")
    return figure


def _line(axes: Axes, motions: Sequence[FrontMotion], point: MeltingPoint | None) -> None:
    if point is None:
        return
    ends = [motion.temperature for motion in motions] + [point.temperature]
    x = np.array([min(ends), max(ends)])
    axes.plot(x, -point.slope * (x - point.temperature), color=INK, lw=1.0)
    low, high = point.temperature - point.error, point.temperature + point.error
    axes.axvspan(low, high, color="#d9d9d9", lw=0, zorder=0)
    axes.set_title(f"{point.temperature:.1f} ± {point.error:.1f} K", fontsize=9)
