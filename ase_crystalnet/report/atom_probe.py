"""The report on a reconstruction that `crystalnet apt` analysed."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.atom_probe.output.report import report
from ase_crystalnet.atom_probe.results import RANKS, AtomProbeAnalysis
from ase_crystalnet.classes import class_colors
from ase_crystalnet.report.page import Page, facts, picture, table
from ase_crystalnet.report.scene import Coloring, Points, Scene, thinned

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["atom_probe_page"]

_NM = 0.1
_RANK_COLORS = ("#b9c0c6", "#e69f00", "#0072b2", "#009e73")


def atom_probe_page(analysis: AtomProbeAnalysis, source: str, points: int = 8000) -> Page:
    """Make the page.

    Parameters
    ----------
    analysis : AtomProbeAnalysis
    source : str
        The file it is from, shown to the reader.
    points : int
        Windows of the 3-D view, at most.

    Raises
    ------
    InputError
        It holds no window.
    """
    page = Page(f"Atom probe: {analysis.source}", "CrystalNet: planes, rods and lattices of ions")
    page.section("In short", f"<pre class='wide'>{escape(report(analysis))}</pre>")
    pick = thinned(len(analysis), points)
    page.scene(
        "Windows in space",
        _scene(analysis, pick),
        f"{len(pick):,} of {len(analysis):,} windows of radius {analysis.radius * _NM:.2f} nm, "
        "each a ball at its centre.",
    )
    rows = [(name, f"{100 * share:.2f} %") for name, share in analysis.composition.items()]
    if rows:
        page.section("Composition, of the atoms of ranged ions", table(("element", "share"), rows))
    if analysis.poles:
        columns = ("windows", "spacing (nm)", "normal", "p")
        poles = [
            (
                len(pole.windows), pole.spacing * _NM,
                ", ".join(f"{round(float(n), 3) + 0.0:.3f}" for n in pole.normal),
                f"{pole.p_value:.1e}",
            )
            for pole in analysis.poles
        ]  # fmt: skip
        page.section("Poles: plane normals that many windows share", table(columns, poles))
    page.section("Maps and spectra", *(picture(*each) for each in _figures(analysis)))
    came_from: dict[str, Any] = {
        "result": source, "reconstruction": analysis.source, "ranges": analysis.ranges or "none",
    }  # fmt: skip
    page.section("Where it came from", facts({**came_from, **analysis.settings}))
    return page


def _figures(analysis: AtomProbeAnalysis) -> list[tuple[Figure, str]]:
    from ase_crystalnet.atom_probe.output.maps import plot_density, plot_structure
    from ase_crystalnet.atom_probe.output.plane_figures import plot_depth, plot_poles

    found = [
        (plot_density(analysis), "map of the density of ions"),
        (plot_structure(analysis), "map of what the windows show"),
    ]
    if analysis.depth:
        found.append((plot_depth(analysis), "spectra of plane spacings against depth"))
    if analysis.poles:
        found.append((plot_poles(analysis), "directions of the plane normals"))
    return found


def _scene(analysis: AtomProbeAnalysis, pick: NDArray[np.int64]) -> Scene:
    findings, measures = analysis.findings, analysis.measures
    with np.errstate(divide="ignore", invalid="ignore"):
        significance = -np.log10(np.maximum(findings.p_value, 1e-12))
    values: dict[str, NDArray[Any]] = {
        "shows": findings.rank.astype(np.int64),
        "significance": significance,
        "contrast": findings.contrast,
        "density": 1000 * measures.density,
    }
    colorings = {"shows": Coloring(_RANK_COLORS, RANKS)}
    for name, colormap, unit in (
        ("significance", "magma", "(-log10 p)"),
        ("contrast", "viridis", ""),
        ("density", "cividis", "ions/nm³"),
    ):
        finite = values[name][np.isfinite(values[name])]
        if not len(finite):
            del values[name]
            continue
        low = float(np.percentile(finite, 1)) if name == "density" else 0.0
        high = float(np.percentile(finite, 99))
        colorings[name] = Coloring.scale(colormap, low, high if high > low else low + 1, unit)
    if analysis.classes is not None and analysis.class_names:
        colors = class_colors(analysis.class_names)
        of_lattice = findings.rank == RANKS.index("lattice")
        values["class"] = np.where(of_lattice, analysis.classes.labels, -1).astype(np.int64)
        colorings["class"] = Coloring(
            tuple(colors[name] for name in analysis.class_names), tuple(analysis.class_names)
        )
    points = Points(analysis.centers[pick], {n: v[pick] for n, v in values.items()}, pick)
    return Scene([points], colorings, 0.45 * analysis.spacing, "window")
