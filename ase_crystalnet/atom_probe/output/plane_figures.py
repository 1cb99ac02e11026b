"""Figures of planes: spectra of the best windows and along depth, and the normals as poles."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from ase_crystalnet.atom_probe.analysis import SPECTRUM_POINTS, cut_all, spectrum_spacings
from ase_crystalnet.atom_probe.results import RANKS, AtomProbeAnalysis
from ase_crystalnet.atom_probe.windows import IonWindows
from ase_crystalnet.classes import VOCABULARY
from ase_crystalnet.lattice.orientation import HEXAGONAL_AXES, conventional_setting
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ase_crystalnet.atom_probe.search.poles import Pole

__all__ = ["plot_best_windows", "plot_depth", "plot_poles"]

_BEST = 6
#: How far an index may be from a whole number.
_INDEX_ERROR = 0.2
_NM = 0.1
#: Poles listed below the figure.
_LISTED = 8


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
    """Draw the plane normals in stereographic projection, z in the middle, poles as rings.

    Poles of windows whose lattice has a class bear their Miller indices.
    """
    from matplotlib.patches import Circle

    findings = analysis.findings
    shown = np.flatnonzero(np.isfinite(findings.normal).all(axis=1))
    figure = new_figure(5.4, 5.0)
    axes = figure.subplots()
    axes.add_patch(Circle((0, 0), 1.0, fill=False, color=INK, lw=0.8))
    for angle in (15, 30, 45, 60, 75):
        radius = np.tan(np.radians(angle) / 2)
        axes.add_patch(Circle((0, 0), radius, fill=False, color="#e4e4e4", lw=0.6, zorder=0))
        axes.annotate(f"{angle}°", (0, -radius), fontsize=6, color="#6b6b6b", ha="center")
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
    for name, place in (("x", (1.06, 0)), ("y", (0, 1.06))):
        axes.annotate(name, place, fontsize=9, color=INK, ha="center", va="center")
    axes.plot(0, 0, "+", ms=6, color="#8f8f8f", zorder=0)
    axes.annotate(
        "z", (0, 0), fontsize=7, color="#6b6b6b", xytext=(4, 3), textcoords="offset points"
    )
    axes.set_xlim(-1.12, 1.12)
    axes.set_ylim(-1.12, 1.12)
    _label_poles(axes, analysis)
    axes.set_aspect("equal")
    axes.set_axis_off()
    axes.set_title(
        f"normals of the strongest planes of {len(shown)} windows; poles: {len(analysis.poles)}",
        loc="left", fontsize=9, color=INK,
    )  # fmt: skip
    return figure


def _label_poles(axes: Axes, analysis: AtomProbeAnalysis) -> None:
    """Rings with a name each, beside it where there is most room, and a list of what they are."""
    from matplotlib.patheffects import withStroke

    if not analysis.poles:
        return
    places = stereographic(np.array([pole.normal for pole in analysis.poles]))
    taken = [*places]
    lines = []
    turns = np.arange(16) * np.pi / 8
    ways = np.column_stack([np.cos(turns), np.sin(turns)])
    for number, (pole, place) in enumerate(zip(analysis.poles, places, strict=True)):
        axes.plot(*place, "o", ms=14, mfc="none", mec="#d55e00")
        name = analysis.named.names[number] if analysis.named is not None else ""
        name = f"{number + 1} {name or indices_of(analysis, pole) or ''}".strip()
        lines.append(f"{number + 1}  {pole.spacing * _NM:.3f} nm, {len(pole.windows)} windows")
        # Names are wider than high; those at the rim stay inside the picture.
        spots = place + ways * np.array([0.16, 0.10])
        room = [
            float(np.linalg.norm((spot - np.array(taken)) * [0.7, 1.0], axis=1).min())
            - max(0.0, 3 * (float(np.linalg.norm(spot * [1.12, 1.0])) - 1.0))
            for spot in spots
        ]
        spot = spots[int(np.argmax(np.round(room, 6)))]
        taken.append(spot)
        axes.annotate(
            name, spot, fontsize=7, color="#b34f00", ha="center", va="center", clip_on=True,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip
    shown = lines[:_LISTED] + ([f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else [])
    axes.set_ylim(-1.16 - 0.085 * len(shown), 1.12)
    axes.annotate(
        "\n".join(shown), (0.0, 0.0), xycoords="axes fraction", fontsize=6.5, color="#b34f00",
        ha="left", va="bottom",
    )  # fmt: skip


def stereographic(normals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vectors (B, 3) of the upper half onto the unit disk (B, 2)."""
    upper = np.where(normals[:, 2:] < 0, -normals, normals)
    return upper[:, :2] / (1.0 + upper[:, 2:])


def indices_of(analysis: AtomProbeAnalysis, pole: Pole) -> str | None:
    """Miller indices of a pole's family of planes, as ``{2 2 0}``, by the lattices of its windows.

    Most of the windows that have a lattice with a class must agree; None where they do not, or
    none has. Of hexagonal crystals all four indices are given.
    """
    classes = analysis.classes
    if classes is None:
        return None
    rows = pole.windows[classes.labels[pole.windows] >= 0]
    setting = conventional_setting(
        classes.lattice[rows], classes.labels[rows], analysis.class_names
    )
    frames = Rotation.from_quat(np.nan_to_num(setting.orientation, nan=0.5)).as_matrix()
    found: Counter[tuple[int, ...]] = Counter()
    for cell, frame, label in zip(setting.cell, frames, classes.labels[rows], strict=True):
        if not np.isfinite(cell).all():
            continue
        bravais = VOCABULARY[analysis.class_names[label]].bravais
        hexagonal, cubic = (any(kind[1] for kind in bravais), not any(kind[2] for kind in bravais))
        axes = np.diag(cell)
        if hexagonal:
            axes = HEXAGONAL_AXES * cell[:, None]
        exact = axes @ (frame.T @ pole.normal) / pole.spacing
        whole = np.rint(exact).astype(int)
        if np.abs(exact - whole).max() > _INDEX_ERROR or not whole.any():
            continue
        found[_family(whole, hexagonal, cubic)] += 1
    if not found:
        return None
    ((family, count),) = found.most_common(1)
    return "{" + " ".join(map(str, family)) + "}" if 2 * count > len(rows) else None


def _family(index: NDArray[np.int64], hexagonal: bool, cubic: bool) -> tuple[int, ...]:
    """One plane that stands for all that the crystal's symmetry makes of it."""
    if hexagonal:
        h, k, third = (int(i) for i in index)
        small, middle, _ = sorted(abs(i) for i in (h, k, h + k))
        return middle, small, -middle - small, abs(third)
    sizes = np.abs(index)
    if cubic:
        return tuple(sorted((int(i) for i in sizes), reverse=True))
    return (*sorted((int(i) for i in sizes[:2]), reverse=True), int(sizes[2]))
