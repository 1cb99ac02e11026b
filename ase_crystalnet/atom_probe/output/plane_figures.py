"""Figures of planes: spectra of the best windows and along depth, and the normals as poles."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.atom_probe.analysis import SPECTRUM_POINTS, cut_all, spectrum_spacings
from ase_crystalnet.atom_probe.results import RANKS, AtomProbeAnalysis
from ase_crystalnet.atom_probe.windows import IonWindows
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_best_windows", "plot_depth", "plot_poles"]

_BEST = 6
_NM = 0.1


def plot_best_windows(analysis: AtomProbeAnalysis, windows: IonWindows) -> Figure:
    """Draw S along the strongest direction of the most significant windows.

    Parameters
    ----------
    analysis : AtomProbeAnalysis
    windows : IonWindows
        Of the same reconstruction: the ions are cut again.
    """
    from ase_crystalnet.atom_probe.search.spectra import mean_spectrum

    findings = analysis.findings
    best = np.argsort(findings.p_value, kind="stable")[:_BEST]
    positions, mask = cut_all(windows, analysis.centers[best])
    spacing = spectrum_spacings(analysis.density, 4 * SPECTRUM_POINTS)
    figure = new_figure(9.6, 4.6)
    axes = figure.subplots(2, 3, sharex=True).ravel()
    for panel in axes[len(best) :]:
        panel.set_axis_off()
    for panel, window, row, ions in zip(axes, best, positions, mask, strict=False):
        direction = _strongest(findings.normal[window], findings.wave_vectors[window])
        if direction is None:
            panel.text(0.5, 0.5, "nothing significant", ha="center", transform=panel.transAxes)
            _label(panel, analysis, int(window))
            continue
        value, _ = mean_spectrum(row[None], ions[None], axis=direction, spacings=spacing)
        panel.plot(spacing * _NM, value, color=INK, lw=0.8)
        panel.axhline(1.0, color="#8f8f8f", lw=0.8, ls=":")
        if np.isfinite(findings.spacing[window]):
            panel.axvline(findings.spacing[window] * _NM, color="#d55e00", lw=0.8, zorder=0)
        _label(panel, analysis, int(window))
    for panel in axes[3:]:
        panel.set_xlabel("interplanar spacing (nm)")
    for panel in axes[::3]:
        panel.set_ylabel("S (1 = no planes)")
    figure.suptitle(
        "S along the strongest direction of the most significant windows",
        x=0.01, ha="left", fontsize=9, color=INK,
    )  # fmt: skip
    return figure


def _strongest(
    normal: NDArray[np.float64], vectors: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    if np.isfinite(normal).all():
        return normal
    length = float(np.linalg.norm(vectors[0]))
    return vectors[0] / length if np.isfinite(length) and length > 0 else None


def _label(panel: Axes, analysis: AtomProbeAnalysis, window: int) -> None:
    place = ", ".join(f"{x * _NM:.0f}" for x in analysis.centers[window])
    rank = RANKS[analysis.findings.rank[window]]
    panel.set_title(
        f"({place}) nm: {rank}, p = {analysis.findings.p_value[window]:.1e}",
        loc="left", fontsize=8,
    )  # fmt: skip


def plot_depth(analysis: AtomProbeAnalysis) -> Figure:
    """Draw the mean spectra layer by layer, along z and along the strongest planes' normal."""
    figure = new_figure(4.6 * max(len(analysis.depth), 1), 4.6)
    axes = figure.subplots(1, max(len(analysis.depth), 1), squeeze=False)[0]
    for panel, part in zip(axes, analysis.depth, strict=True):
        largest = max(2.0, float(np.nanmax(part.spectrum, initial=0.0)))
        drawn = panel.pcolormesh(
            part.spacing * _NM, part.depth * _NM, part.spectrum, cmap="magma", vmin=0.0,
            vmax=largest, shading="nearest", rasterized=True,
        )  # fmt: skip
        angle = np.degrees(np.arccos(np.clip(part.direction[2], -1, 1)))
        text = "along z" if angle < 0.5 else f"normal to the strongest planes, {angle:.0f}° from z"
        panel.set_title(text, loc="left", fontsize=9)
        panel.set_xlabel("interplanar spacing (nm)")
        figure.colorbar(drawn, ax=panel, pad=0.02).set_label("mean S (1 = no planes)", fontsize=8)
    axes[0].set_ylabel("z (nm)")
    return figure


def plot_poles(analysis: AtomProbeAnalysis) -> Figure:
    """Draw the plane normals in stereographic projection, z in the middle, poles as rings."""
    from matplotlib.patches import Circle

    findings = analysis.findings
    shown = np.flatnonzero(np.isfinite(findings.normal).all(axis=1))
    figure = new_figure(5.4, 5.0)
    axes = figure.subplots()
    axes.add_patch(Circle((0, 0), 1.0, fill=False, color=INK, lw=0.8))
    for angle in (15, 30, 45, 60, 75):
        radius = np.tan(np.radians(angle) / 2)
        axes.add_patch(Circle((0, 0), radius, fill=False, color="#e4e4e4", lw=0.6, zorder=0))
        axes.annotate(f"{angle}°", (0, -radius), fontsize=6, color="#8f8f8f", ha="center")
    places = stereographic(findings.normal[shown])
    dots = axes.scatter(
        places[:, 0],
        places[:, 1],
        c=findings.spacing[shown] * _NM,
        s=12,
        cmap="viridis",
        lw=0,
        alpha=0.8,
    )
    if len(shown):
        figure.colorbar(dots, ax=axes, shrink=0.7, pad=0.02).set_label(
            "interplanar spacing (nm)", fontsize=8
        )
    for pole in analysis.poles:
        ((x, y),) = stereographic(np.asarray(pole.normal)[None])
        axes.plot(x, y, "o", ms=14, mfc="none", mec="#d55e00")
        axes.annotate(
            f"{pole.spacing * _NM:.3f} nm\n{len(pole.windows)} windows", (x, y), fontsize=7,
            xytext=(9, 6), textcoords="offset points", color="#d55e00",
        )  # fmt: skip
    axes.set_xlim(-1.05, 1.05)
    axes.set_ylim(-1.05, 1.05)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(
        f"normals of the strongest planes of {len(shown)} windows; poles: {len(analysis.poles)}",
        loc="left", fontsize=9, color=INK,
    )  # fmt: skip
    return figure


def stereographic(normals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors (B, 3) of the upper half onto the unit disk (B, 2)."""
    upper = np.where(normals[:, 2:] < 0, -normals, normals)
    return upper[:, :2] / (1.0 + upper[:, 2:])
