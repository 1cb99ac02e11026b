"""A pattern drawn with the lines of its phases and of the cell by indexing under it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import WAVELENGTH
from ase_crystalnet.xrd.phases.library import PhaseLibrary

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ase_crystalnet.xrd.answer.answers import PowderAnswers

__all__ = ["answer_figure", "on_axis"]

#: Okabe and Ito's colours that stay apart for colour-blind eyes.
COLORS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7")
MUTED = "#888888"
#: The ticks of the cell, apart from those of phases.
CELL = "#56b4e9"


def answer_figure(
    scan: Scan, answers: PowderAnswers, i: int, library: PhaseLibrary | None
) -> Figure:
    """The scan, sticks of phases, ticks of the indexed cell, marks on what nothing explains.

    Parameters
    ----------
    scan : Scan
    answers : PowderAnswers
        With reports (`PowderClassifier.classify_scans`).
    i : int
        Which of the answers.
    library : PhaseLibrary or None
        The one the answers came from.
    """
    from ase_crystalnet.plotting.style import INK, new_figure

    report = answers.reports[i]
    phases = report.mixture.phases if report.mixture is not None and library is not None else ()
    cell = report.cell
    rows = len(phases) + (cell is not None)
    figure = new_figure(7.0, 3.2 + 0.25 * rows)
    axes = figure.add_subplot()
    y = np.sqrt(np.maximum(scan.intensity, 0))
    top = float(y.max())
    axes.plot(scan.two_theta, y, color=INK, linewidth=0.6)
    row = 0.09 * top
    for k, phase in enumerate(phases):
        assert library is not None
        places = on_axis(scan, phase.angle)
        inside = (places > scan.two_theta[0]) & (places < scan.two_theta[-1])
        base = -(k + 1) * row
        heights = 0.25 * row + 0.6 * row * np.sqrt(phase.intensity[inside])
        share = f", {100 * phase.share:.0f} %" if len(phases) > 1 else ""
        axes.vlines(
            places[inside], base, base + heights, color=COLORS[k % len(COLORS)], linewidth=0.9,
            label=f"{library.title(phase.entry)} ({library.space_group[phase.entry]}){share}",
        )  # fmt: skip
    if cell is not None:
        places = on_axis(scan, cell.angle)
        inside = (places > scan.two_theta[0]) & (places < scan.two_theta[-1])
        base = -rows * row
        axes.vlines(
            places[inside], base + 0.15 * row, base + 0.6 * row, color=CELL, linewidth=0.7,
            label=f"{cell.lattice} cell by indexing, M{cell.indexed} = {cell.m:.0f}",
        )  # fmt: skip
    marked = False
    if report.mixture is not None:
        open_lines = on_axis(scan, report.mixture.unidentified)
        if len(open_lines):
            heights = np.interp(open_lines, scan.two_theta, y) + 0.05 * top
            axes.plot(
                open_lines, heights, "v", color=MUTED, markersize=4, label="not identified",
                clip_on=False,
            )  # fmt: skip
            marked = True
    if rows or marked:
        axes.legend(frameon=False, fontsize=7, loc="upper right")
    axes.set(
        xlim=(scan.two_theta[0], scan.two_theta[-1]),
        ylim=(-(rows + 0.5) * row, 1.15 * top),
        xlabel=f"2\u03b8 (degrees), {scan.wavelength:g} \u00c5",
        ylabel="square root of the intensity",
    )
    axes.set_title(_title(scan, answers, i), fontsize=9)
    return figure


def _title(scan: Scan, answers: PowderAnswers, i: int) -> str:
    name = scan.name.rpartition("/")[2]
    report = answers.reports[i]
    if report.refusal:
        return f"{name}: {report.findings.verdict}"
    group, certainty = int(answers.probabilities[i].argmax()) + 1, float(answers.certainty[i])
    return f"{name}: space group {group}, {100 * certainty:.0f} % sure"


def on_axis(scan: Scan, angles: ArrayLike) -> NDArray[np.float64]:
    """Angles of Cu K-alpha 1 on the scan's own axis; beyond it where there is no such angle."""
    if scan.is_copper:
        return np.asarray(angles, float)
    sine = np.sin(np.radians(np.asarray(angles, float) / 2)) * scan.wavelength / WAVELENGTH
    return np.where(sine < 1, 2 * np.degrees(np.arcsin(np.minimum(sine, 1.0))), 361.0)
