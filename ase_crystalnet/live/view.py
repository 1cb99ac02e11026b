"""The view of a running simulation in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ase_crystalnet.classes import class_colors
from ase_crystalnet.results.arrays import format_number

if TYPE_CHECKING:
    from rich.console import Group

    from ase_crystalnet.results.trajectory import TrajectoryAnalysis

__all__ = ["line", "screen"]

_BARS = "▁▂▃▄▅▆▇█"
_LEAST = 0.0005  # share of the atoms below which a class is left out


def line(summary: TrajectoryAnalysis) -> str:
    """The last frame in one line."""
    shares = summary.class_fractions[-1]
    order = [i for i in np.argsort(-shares, kind="stable") if shares[i] >= _LEAST]
    classes = " ".join(f"{summary.classes[i]} {100 * shares[i]:.1f} %" for i in order)
    step = summary.step[-1]
    at = f"frame {len(summary)}" if not np.isfinite(step) else f"step {step:.0f}"
    return (
        f"{at}: {classes}; order {format_number(summary.mean_order[-1])}, Lindemann "
        f"{format_number(_lindemann(summary)[-1])}"
    )


def screen(summary: TrajectoryAnalysis | None, state: str, width: int = 40) -> Group:
    """All that is shown: shares of the classes with their course, order and Lindemann.

    Parameters
    ----------
    summary : TrajectoryAnalysis or None
        None before the first frame.
    state : str
        What is going on, in one line.
    width : int
        Characters of a course.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=True, header_style="dim")
    for name, where in (("", "left"), ("now", "right"), ("course", "left")):
        table.add_column(name, justify=where)  # type: ignore[arg-type]
    if summary is not None:
        colors = class_colors(summary.classes)
        shown = np.flatnonzero((summary.class_fractions >= _LEAST).any(axis=0))
        for i in sorted(shown, key=lambda i: -summary.class_fractions[-1, i]):
            course = summary.class_fractions[:, i]
            color = colors[summary.classes[i]]
            table.add_row(
                Text(summary.classes[i], style=color),
                f"{100 * course[-1]:.1f} %",
                Text(sparks(course, 1.0, width), style=color),
            )
        for name, values, top in (
            ("order", summary.mean_order, 1.0),
            ("Lindemann", _lindemann(summary), 0.2),
        ):
            table.add_row(name, format_number(values[-1]), sparks(values, top, width))
    return Group(table, Text(state, style="dim"))


def sparks(values: Any, top: float, width: int) -> str:
    """The course of a quantity as a row of bars, the latest at the right; gaps where unknown."""
    latest = np.asarray(values, float)[-width:]
    levels = np.clip(latest / top, 0, 1) * (len(_BARS) - 1)
    return "".join(" " if np.isnan(x) else _BARS[round(float(x))] for x in levels)


def _lindemann(summary: TrajectoryAnalysis) -> Any:
    """Over the frames where it was asked for, else of each frame alone."""
    over = summary.lindemann_index
    return over if np.isfinite(over).any() else summary.snapshot_lindemann
