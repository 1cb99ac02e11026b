"""Maps of an analysed reconstruction: composition, density, planes and classes in slices.

Each function returns a matplotlib Figure; nothing is shown or saved here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.atom_probe.results import RANKS, AtomProbeAnalysis
from ase_crystalnet.classes import REFUSED, class_colors
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["plot_composition", "plot_density", "plot_structure"]

#: Colours of nothing, planes, rods and a lattice.
RANK_COLORS = ("#e4e4e4", "#0072b2", "#d55e00", "#009e73")
_NM = 0.1  # nanometres an Angstrom
_SPECIES_SHOWN = 4


class Slices:
    """Side view (x, z) and top view (x, y) through one window of the grid."""

    def __init__(self, analysis: AtomProbeAnalysis, through: int | None = None) -> None:
        self.index, self.origin, self.step = analysis.grid()
        self.shape = self.index.max(axis=0) + 1
        self.place = self.shape // 2 if through is None else self.index[through]

    def image(self, values: NDArray[Any], normal: int) -> NDArray[np.float64]:
        """Values (W,) in the slice, rows upwards; nan where there is no window."""
        image = np.full(tuple(np.delete(self.shape, normal)), np.nan)
        inside = self.index[:, normal] == self.place[normal]
        image[tuple(np.delete(self.index[inside], normal, axis=1).T)] = values[inside]
        return image.T

    def extent(self, normal: int) -> tuple[float, float, float, float]:
        """Left, right, bottom, top, nm."""
        low = (self.origin - self.step / 2) * _NM
        high = (self.origin + (self.shape - 0.5) * self.step) * _NM
        across, up = (axis for axis in range(3) if axis != normal)
        return low[across], high[across], low[up], high[up]

    def at(self, normal: int) -> str:
        """Where the slice is."""
        return f"{'xyz'[normal]} = {(self.origin + self.place * self.step)[normal] * _NM:.1f} nm"

    def figure(self, columns: int, title: str) -> tuple[Figure, NDArray[Any]]:
        """Side views above, top views below, in the proportions of the specimen."""
        side, top = (self.extent(normal) for normal in (1, 2))
        width = max(side[1] - side[0], 1e-6)
        heights = [(e[3] - e[2]) / width for e in (side, top)]
        scale = 2.3
        figure = new_figure(columns * (scale + 0.95) + 0.3, scale * sum(heights) + 1.5)
        axes = figure.subplots(2, columns, squeeze=False, height_ratios=heights)
        for panel, normal in ((axes[0], 1), (axes[1], 2)):
            panel[0].set_ylabel(f"{'xyz'[3 - normal]} (nm)")
            for each in panel:
                each.set_xlabel("x (nm)")
        figure.suptitle(
            f"{title}; side view at {self.at(1)}, top view at {self.at(2)}",
            x=0.01, ha="left", fontsize=9, color=INK,
        )  # fmt: skip
        return figure, axes


def _draw(
    slices: Slices, axes: NDArray[Any], values: NDArray[Any], title: str, unit: str, **style: Any
) -> None:
    """One quantity in both views, with one scale."""
    low, high = style.pop("range", None) or scale_of(values)
    for panel, normal in ((axes[0], 1), (axes[1], 2)):
        drawn = panel.imshow(
            slices.image(values, normal), origin="lower", extent=slices.extent(normal),
            vmin=low, vmax=high, interpolation="nearest", **style,
        )  # fmt: skip
    axes[0].set_title(title, loc="left", fontsize=9)
    finite = values[np.isfinite(values)]
    above = bool(len(finite) and finite.max() > high)
    bar = axes[0].figure.colorbar(
        drawn, ax=list(axes), shrink=0.6, aspect=30, pad=0.02, extend="max" if above else "neither",
        ticks=_locator(),
    )  # fmt: skip
    bar.set_label(unit, fontsize=8)
    bar.ax.ticklabel_format(useOffset=False)
    bar.ax.tick_params(labelsize=7)


def _locator() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10])


def scale_of(values: NDArray[Any]) -> tuple[float, float]:
    """Ends of a scale that hold 99 % of the values, both at ticks; from zero on if it is near."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(finite, [0.5, 99.5]))
    if 0 <= low < 0.5 * high or low == high:
        low = min(low, 0.0)
    ticks = _locator().tick_values(low, high if high > low else low + 1.0)
    return float(ticks[0]), float(ticks[-1])


def plot_composition(analysis: AtomProbeAnalysis) -> Figure:
    """Draw the contents of the windows in the commonest species, and of unranged ions."""
    counts = analysis.measures.species_counts
    total = np.maximum(counts.sum(axis=1), 1)
    order = np.argsort(-analysis.species_counts[:-1], kind="stable")[:_SPECIES_SHOWN]
    chosen = [(int(i), analysis.species[i]) for i in order if analysis.species_counts[i]]
    chosen.append((len(analysis.species), "unranged"))
    slices = Slices(analysis)
    figure, axes = slices.figure(len(chosen), "share of the ions")
    for column, (i, name) in enumerate(chosen):
        share = 100.0 * counts[:, i] / total
        _draw(slices, axes[:, column], share, name, "% of ions", cmap="viridis")
    return figure


def plot_density(analysis: AtomProbeAnalysis) -> Figure:
    """Draw density, and the efficiency where volumes are known."""
    measures = analysis.measures
    slices = Slices(analysis)
    known = bool(np.isfinite(measures.efficiency).any())
    figure, axes = slices.figure(1 + known, "windows inside the specimen")
    _draw(slices, axes[:, 0], 1000 * measures.density, "density", "ions/nm³", cmap="viridis")
    if known:
        _draw(
            slices, axes[:, 1], 100 * measures.efficiency, "share of the material", "%",
            cmap="viridis",
        )  # fmt: skip
    return figure


def plot_structure(analysis: AtomProbeAnalysis) -> Figure:
    """Draw rank, significance and class in slices through the most significant window."""
    from matplotlib.colors import ListedColormap

    findings = analysis.findings
    slices = Slices(analysis, int(np.argmin(findings.p_value)) if len(analysis) else None)
    classes = analysis.classes if analysis.class_counts else None
    figure, axes = slices.figure(2 + (classes is not None), "what the windows show")
    _draw_kinds(
        slices, axes[:, 0], findings.rank.astype(float), "rank",
        [f"{name} {100 * share:.1f} %" for name, share in analysis.rank_shares.items()],
        ListedColormap(RANK_COLORS), len(RANKS),
    )  # fmt: skip
    evidence = -np.log10(np.maximum(findings.p_value, 1e-12))
    _draw(
        slices, axes[:, 1], evidence, "evidence for planes", "−log₁₀ p", cmap="cividis",
        range=(0.0, max(4.0, float(np.nanmax(evidence, initial=0.0)))),
    )  # fmt: skip
    if classes is not None:
        colors = class_colors(analysis.class_names)
        names = [*analysis.class_names, REFUSED]
        lattice = findings.rank == RANKS.index("lattice")
        labels = np.where(classes.labels < 0, len(names) - 1, classes.labels)
        labels = np.where(lattice, labels, len(names))
        texts = [f"{name} {count}" for name, count in analysis.class_counts.items()]
        kinds = ListedColormap([*(colors[name] for name in names), "#ffffff"])
        _draw_kinds(
            slices, axes[:, 2], labels.astype(float), "class of the lattices",
            texts, kinds, len(names) + 1,
            shown=[names.index(name) for name in analysis.class_counts],
        )  # fmt: skip
    return figure


def _draw_kinds(
    slices: Slices,
    axes: NDArray[Any],
    values: NDArray[Any],
    title: str,
    texts: list[str],
    colors: Callable[[Any], Any],
    count: int,
    shown: list[int] | None = None,
) -> None:
    """Whole numbers below `count`, each with a colour and a name below the panel."""
    from matplotlib.patches import Patch

    for panel, normal in ((axes[0], 1), (axes[1], 2)):
        panel.imshow(
            slices.image(values, normal), origin="lower", extent=slices.extent(normal),
            vmin=-0.5, vmax=count - 0.5, interpolation="nearest", cmap=colors,
        )  # fmt: skip
    axes[0].set_title(title, loc="left", fontsize=9)
    numbers = list(range(len(texts))) if shown is None else shown
    handles = [
        Patch(color=colors(number), label=text) for number, text in zip(numbers, texts, strict=True)
    ]
    legend: Axes = axes[1]
    legend.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.0, -0.22), frameon=False, fontsize=7,
        handlelength=1.0, borderaxespad=0.0,
    )  # fmt: skip
