"""Figures of order: where it is, how sure, and the pair correlations of one ordered window."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.atom_probe.order.distribution import spatial_distribution
from ase_crystalnet.atom_probe.results import AtomProbeAnalysis
from ase_crystalnet.atom_probe.windows import IonWindows
from ase_crystalnet.errors import InputError
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_order"]

_NM = 0.1


def plot_order(analysis: AtomProbeAnalysis, windows: IonWindows) -> Figure:
    """Draw S in a side view and a top view, p-values, and z-SDMs of the most significant window.

    Parameters
    ----------
    analysis : AtomProbeAnalysis
        With order.
    windows : IonWindows
        Of the same reconstruction: the ions of one window are cut again.

    Raises
    ------
    InputError
        If the analysis is without order.
    """
    order = analysis.order
    if order is None:
        raise InputError("no order was looked for in this analysis: give a crystal and --order")
    figure = new_figure(9.6, 7.2)
    axes = figure.subplots(2, 2)
    _maps(figure, axes[0], analysis)
    _p_values(axes[1, 0], order.order_p_value[np.isfinite(order.order_p_value)])
    _window(axes[1, 1], analysis, windows)
    name = analysis.settings.get("order", "")
    figure.suptitle(f"order {name} in {analysis.named.crystal if analysis.named else ''}",
                    x=0.01, ha="left", fontsize=9, color=INK)  # fmt: skip
    return figure


def _maps(figure: Figure, panels: NDArray[np.object_], analysis: AtomProbeAnalysis) -> None:
    """Two sections through the largest ordered phase, or the middle."""
    found = analysis.order_map
    if found is None:
        for panel in panels:
            panel.set_axis_off()
        panels[0].text(0.0, 0.5, "no map: positions order, not species", fontsize=8)
        return
    shape = np.array(found.order.shape)
    through = shape // 2
    if found.phases:
        through = np.rint((found.phases[0].center - found.origin) / found.edge).astype(int)
    for panel, normal in zip(panels, (1, 2), strict=True):
        across, up = (axis for axis in range(3) if axis != normal)
        section = np.take(found.order, through[normal], axis=normal).T
        region = np.take(found.region, through[normal], axis=normal).T
        filled = np.argwhere(np.isfinite(section))
        corner = found.origin[[across, up]]
        extent = [
            (corner[0] - found.edge / 2) * _NM,
            (corner[0] + (shape[across] - 0.5) * found.edge) * _NM,
            (corner[1] - found.edge / 2) * _NM,
            (corner[1] + (shape[up] - 0.5) * found.edge) * _NM,
        ]
        drawn = panel.imshow(
            section, origin="lower", extent=extent, vmin=0.0, vmax=1.0, cmap="viridis",
            interpolation="nearest",
        )  # fmt: skip
        if region.any():
            panel.contour(
                (region > 0).astype(float), levels=[0.5], extent=extent, colors="#d55e00",
                linewidths=0.9,
            )  # fmt: skip
        if len(filled):
            low = (corner[::-1] + filled.min(axis=0) * found.edge - 5.0) * _NM
            high = (corner[::-1] + filled.max(axis=0) * found.edge + 5.0) * _NM
            panel.set_xlim(low[1], high[1])
            panel.set_ylim(low[0], high[0])
        panel.set_xlabel(f"{'xyz'[across]} (nm)")
        panel.set_ylabel(f"{'xyz'[up]} (nm)")
        place = (found.origin[normal] + through[normal] * found.edge) * _NM
        panel.set_title(f"S at {'xyz'[normal]} = {place:.1f} nm", loc="left", fontsize=9)
    figure.colorbar(drawn, ax=list(panels), shrink=0.8, pad=0.02).set_label(
        "order S (outlined: ordered phases)", fontsize=8
    )


def _p_values(panel: Axes, p_value: NDArray[np.float64]) -> None:
    """Ordered p-values against even ones: below the line there is more order than by chance."""
    expected = (np.arange(len(p_value)) + 0.5) / max(len(p_value), 1)
    panel.plot([1e-4, 1], [1e-4, 1], color="#8f8f8f", lw=0.8, ls=":")
    panel.plot(expected, np.maximum(np.sort(p_value), 1e-12), ".", ms=3, color="#0072b2")
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xlabel("share of the windows whose planes resolve")
    panel.set_ylabel("p below which they are")
    panel.set_title("p-values; dotted: species at random", loc="left", fontsize=9)


def _window(panel: Axes, analysis: AtomProbeAnalysis, windows: IonWindows) -> None:
    """z-SDMs of the window with the most significant order, along its planes."""
    order, ions = analysis.order, windows.ions
    assert order is not None
    panel.set_title("z-SDM of the most significant window", loc="left", fontsize=9)
    species = analysis.settings.get("order_species", ())
    value = np.where(np.isfinite(order.order_p_value), order.order_p_value, np.inf)
    best = int(value.argmin())
    normal = analysis.findings.normal[best]
    if analysis.named is not None and not np.isfinite(normal).all():
        normal = analysis.named.normals[0]
    if not np.isfinite(value[best]) or not species:
        panel.set_axis_off()
        return
    batch = next(windows.batches(analysis.centers[best : best + 1]))
    index = batch.indices[0][batch.mask[0]]
    points = batch.positions[0][batch.mask[0]]
    chosen = np.array(
        [any(n == i.name or n in dict(i.composition) for n in species) for i in ions.ions] + [False]
    )[ions.species[index]]
    for mask, text, color in (
        (None, "all ions", "#8f8f8f"),
        (chosen, f"{', '.join(species)} about {', '.join(species)}", "#d55e00"),
    ):
        distance, count = spatial_distribution(
            points, normal, around=mask, of=mask, lateral=8.0, depth=10.0, step=0.15
        )
        mean = max(float(count.mean()), 1e-12)
        panel.plot(distance * _NM, count / mean, color=color, lw=1.0, label=text)
    panel.set_xlabel("distance along the planes' normal (nm)")
    panel.set_ylabel("neighbours / mean")
    panel.legend(frameon=False, fontsize=7)
