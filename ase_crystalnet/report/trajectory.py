"""The report on an analysed trajectory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from ase_crystalnet.classes import REFUSED, class_colors
from ase_crystalnet.plotting.trajectory import abscissa
from ase_crystalnet.report.charts import Axis, curves, fractions
from ase_crystalnet.report.page import Page, facts, table
from ase_crystalnet.report.scene import ShownFrame, scene_of_frames
from ase_crystalnet.results.faults import FAULT_KINDS
from ase_crystalnet.results.trajectory import CONDITIONS, TrajectoryAnalysis

__all__ = ["chosen_rows", "trajectory_page"]

#: Classes with less than this share of every frame are in the table only.
_LEAST = 5e-4
#: Rows of a table of crystals.
_MOST_CRYSTALS = 40
_CRYSTALS = (
    "grain", "atoms", "space group", "probability", "prototype", "a (Å)", "b (Å)", "c (Å)",
    "angles (°)", "± (%)", "order", "spread (°)",
)  # fmt: skip


def chosen_rows(frames: int, most: int) -> list[int]:
    """At most `most` of the numbers 0 to `frames` - 1, evenly, the first and the last among them.

    Of a single one, the last.
    """
    if most == 1:
        return [frames - 1]
    return sorted({int(row) for row in np.linspace(0, frames - 1, min(most, frames)).round()})


def trajectory_page(
    trajectory: TrajectoryAnalysis,
    shown: Sequence[ShownFrame],
    came_from: Mapping[str, Any],
    title: str,
    points: int = 4000,
) -> Page:
    """Make the page.

    Parameters
    ----------
    trajectory : TrajectoryAnalysis
        All frames of the result; one at least.
    shown : sequence of ShownFrame
        Those of the 3-D view, one at least, in order.
    came_from : mapping
        Files and settings, by name.
    title : str
    points : int
        Points of the 3-D view in each frame, at most.

    Raises
    ------
    InputError
        There is no frame.
    """
    x, label = abscissa(trajectory, None, None)
    x = np.asarray(x, float)
    axis = Axis(float(x.min()), float(x.max()), label)
    page = Page(title, _lead(trajectory))
    colors = class_colors(trajectory.classes)
    shares = {n: trajectory.class_fractions[:, i] for i, n in enumerate(trajectory.classes)}
    shares[REFUSED] = trajectory.refused_fraction
    drawn = {name: share for name, share in shares.items() if np.any(share > _LEAST)}
    parts = [fractions(axis, x, drawn, colors)]
    if len(shown) > 1:
        parts.append(
            f'<div class="frames controls"><button id="play" type="button">Play</button>'
            f'<input id="frame" type="range" min="0" max="{len(shown) - 1}" '
            f'value="{len(shown) - 1}" aria-label="frame"></div>'
        )
    parts += [_of_frame(i, len(shown), _phases(trajectory, one)) for i, one in enumerate(shown)]
    page.section("Share of each structure in the atoms", *parts)
    scene, words = scene_of_frames(shown, points)
    page.scene("In space", scene, words + ".")
    page.data["cursor"] = [round(float(v), 2) for v in axis(x[[one.row for one in shown]])]
    if any(one.grains is not None for one in shown):
        page.section(
            "Crystals",
            *(_of_frame(i, len(shown), _crystals(one)) for i, one in enumerate(shown)),
        )
    order = {"certainty": trajectory.mean_certainty, "Bragg order": trajectory.mean_order}
    page.section("Certainty and order, mean over atoms", curves(axis, x, order, 1.02))
    lindemann = {
        "trajectory": trajectory.lindemann_index,
        "single frame": trajectory.snapshot_lindemann,
    }
    if any(np.isfinite(values).any() for values in lindemann.values()):
        page.section(
            "Lindemann parameter (crystals melt at 0.1 to 0.2)", curves(axis, x, lindemann)
        )
    strain = {"equivalent (%)": 100 * trajectory.mean_von_mises_strain}
    if np.isfinite(strain["equivalent (%)"]).any():
        page.section("Strain, mean over atoms", curves(axis, x, strain))
    page.section("Where it came from", facts(came_from))
    return page


def _of_frame(number: int, count: int, html: str) -> str:
    """A part that the slider shows; without a script, and on paper before, that of the last."""
    hidden = "" if number == count - 1 else " hidden"
    return f'<div data-frame="{number}"{hidden}>{html}</div>'


def _lead(trajectory: TrajectoryAnalysis) -> str:
    atoms = np.unique(trajectory.atoms)
    many = f"{atoms[0]:,}" if len(atoms) == 1 else f"{atoms[0]:,} to {atoms[-1]:,}"
    frames = f"{len(trajectory):,} frame{'s' if len(trajectory) > 1 else ''}"
    model = trajectory.metadata.get("model")
    return f"CrystalNet: {frames} of {many} atoms" + (f", model {model}" if model else "")


def _phases(trajectory: TrajectoryAnalysis, one: ShownFrame) -> str:
    said = [f"Frame {trajectory.frames[one.row]} of {trajectory.sources[one.row]}"]
    for name, unit in CONDITIONS.items():
        value = getattr(trajectory, name)[one.row]
        if np.isfinite(value):
            said.append(f"{name} {value:g} {unit}".strip())
    rows = [
        (name, count, f"{100 * share:.2f} %", certainty, order)
        for name, count, share, certainty, order in one.analysis.phases()
    ]
    kinds = zip(FAULT_KINDS, one.analysis.fault_counts, strict=True)
    faults = ", ".join(f"{count} {kind}" for kind, count in kinds if count)
    colors = class_colors(one.analysis.classes)
    columns = ("structure", "atoms", "share", "certainty", "Bragg order")
    after = f"<p>Planar faults: {faults}.</p>" if faults else ""
    return f"<p>{escape(', '.join(said))}</p>{table(columns, rows, colors)}{after}"


def _crystals(one: ShownFrame) -> str:
    rows = [] if one.grains is None else one.grains.rows
    if not rows:
        return "<p>No crystal was found in this frame.</p>"
    shown = [
        (
            f"grain\u00a0{row['grain']}", row["atoms"], f"{row['symbol']} ({row['space_group']})",
            row["probability"], row["reference"] or row["prototype"] or row["pearson"],
            *(f"{row[name]:.4f}" for name in ("a", "b", "c")),
            ", ".join(f"{row[name]:.2f}" for name in ("alpha", "beta", "gamma")),
            100 * float(str(row["relative_error"])), row["order"], row["spread"],
        )
        for row in rows[:_MOST_CRYSTALS]
    ]  # fmt: skip
    more = len(rows) - len(shown)
    after = f"<p>And {more} smaller ones.</p>" if more else ""
    return table(_CRYSTALS, shown, _grain_colors(rows)) + after


def _grain_colors(rows: Sequence[Mapping[str, object]]) -> dict[str, str]:
    from matplotlib.colors import to_hex

    from ase_crystalnet.grains.colors import grain_color

    numbers = [int(str(row["grain"])) for row in rows]
    return {f"grain\u00a0{number}": to_hex(grain_color(number)) for number in numbers}
