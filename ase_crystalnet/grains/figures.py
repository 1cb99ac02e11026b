"""Figures of grains. Each function returns a matplotlib Figure; nothing is shown or saved here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.grains.colors import grain_color
from ase_crystalnet.grains.tracking import GrainHistory
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["plot_grain_sizes"]

#: Grains with a line of their own; the others are drawn thin and not named.
NAMED = 12


def plot_grain_sizes(history: GrainHistory) -> Figure:
    """Sizes of grains and their number against time, or the frame where times are unknown.

    Parameters
    ----------
    history : GrainHistory

    Raises
    ------
    InputError
        There is no frame.
    """
    if not len(history):
        raise InputError("plot: the history of grains holds no frames")
    times = history.times
    timed = bool(np.isfinite(times).all()) and len(np.unique(times)) == len(times)
    x = times if timed else np.array([frame.frame for frame in history], float)
    sizes, numbers = history.sizes, history.numbers
    figure = new_figure(7.2, 5.0)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    largest = set(np.argsort(-sizes.max(axis=0, initial=0), kind="stable")[:NAMED].tolist())
    for column, number in enumerate(numbers):
        its = np.where(sizes[:, column] > 0, sizes[:, column].astype(float), np.nan)
        named = column in largest
        above.plot(
            x,
            its,
            color=grain_color(int(number)),
            lw=1.6 if named else 0.7,
            marker="o",
            ms=3 if named else 1.5,
            label=f"grain {number}" if named else None,
        )
    total = max(len(history[0].grains), 1)
    above.set_ylabel("atoms of the grain")
    above.set_ylim(bottom=0)
    if len(numbers):
        above.legend(frameon=False, fontsize=7, ncols=2, loc="center left", bbox_to_anchor=(1, 0.5))
    counts = (sizes > 0).sum(axis=1)
    below.step(x, counts, where="mid", color=INK, lw=1.2)
    below.set_ylabel("grains")
    below.set_ylim(0, max(int(counts.max(initial=0)) + 1, 2))
    below.yaxis.get_major_locator().set_params(integer=True)
    share = below.twinx()
    share.plot(x, 100 * sizes.sum(axis=1) / total, color="#0072b2", lw=1.2, ls="--")
    share.set_ylabel("atoms in grains, %", color="#0072b2")
    share.set_ylim(0, 102)
    below.set_xlabel("time, ps" if timed else "frame")
    for axis in (above, below):
        axis.spines[["top", "right"]].set_visible(False)
    return figure
