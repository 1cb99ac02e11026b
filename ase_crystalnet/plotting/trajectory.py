"""Figures of results. Each function returns a matplotlib Figure; nothing is shown or saved here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.classes import REFUSED, class_colors
from ase_crystalnet.errors import InputError
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ase_crystalnet.results.trajectory import TrajectoryAnalysis

__all__ = ["abscissa", "plot_fingerprint", "plot_trajectory"]

_MELTING = (0.1, 0.2)  # Lindemann parameter at which crystals melt
_LABEL_SHARE = 0.04  # a band is named if it reaches this share somewhere


def plot_trajectory(
    trajectory: TrajectoryAnalysis, x: ArrayLike | None = None, x_label: str | None = None
) -> Figure:
    """Draw phase fractions, certainty and order, and the Lindemann index against the frame.

    Parameters
    ----------
    trajectory : TrajectoryAnalysis
        At least one frame.
    x : array, shape (F,), optional
        What to draw against. Default: the time of the frames where the trajectory states it, a
        temperature that rises from frame to frame, else the number of the frame.
    x_label : str, optional
        Its name and unit.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If there is no frame, or `x` has another length.
    """
    if len(trajectory) == 0:
        raise InputError("plot: the trajectory holds no frames")
    values, label = abscissa(trajectory, x, x_label)
    has_lindemann = bool(
        np.isfinite(trajectory.lindemann_index).any()
        or np.isfinite(trajectory.snapshot_lindemann).any()
    )
    ratios = [2.2, 1.2, 1.2] if has_lindemann else [2.2, 1.2]
    figure = new_figure(7.2, 1.7 * sum(ratios))
    axes = figure.subplots(len(ratios), 1, sharex=True, height_ratios=ratios)
    _draw_fractions(axes[0], values, trajectory)
    _draw_lines(
        axes[1],
        values,
        {
            "certainty": (trajectory.mean_certainty, "#222222", "-"),
            "Bragg order": (trajectory.mean_order, "#0072b2", "--"),
        },
    )
    axes[1].set_ylim(0, 1.02)
    axes[1].set_ylabel("mean over atoms (0 to 1)")
    if has_lindemann:
        axes[2].axhspan(*_MELTING, color="#f3e3cf", lw=0, zorder=0)
        _draw_lines(
            axes[2],
            values,
            {
                "trajectory": (trajectory.lindemann_index, "#222222", "-"),
                "single frame": (trajectory.snapshot_lindemann, "#0072b2", "--"),
            },
        )
        axes[2].set_ylim(0, max(axes[2].get_ylim()[1], 1.15 * _MELTING[1]))
        axes[2].annotate(
            "melting, 0.1 to 0.2",
            (0.012, np.mean(_MELTING)),
            xycoords=("axes fraction", "data"),
            va="center",
            fontsize=8,
            color="#8a6a3c",
        )
        axes[2].set_ylabel("Lindemann index")
    axes[-1].set_xlabel(label)
    figure.align_ylabels(list(axes))
    return figure


def plot_fingerprint(image: ArrayLike, title: str = "", pixel: float = 0.503) -> Figure:
    """Draw a diffraction fingerprint: the three channels, and the three as one colour image.

    Parameters
    ----------
    image : array, shape (P, P, 3)
        Fingerprint D_F between 0 and 1.
    title : str
        Written above.
    pixel : float, 1/Angstrom
        Width of a pixel in q, for positions scaled to a length of 1 Angstrom.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    InputError
        If the shape is another.
    """
    from matplotlib.colors import LinearSegmentedColormap

    values = np.asarray(image, dtype=np.float64)
    if values.ndim != 3 or values.shape[0] != values.shape[1] or values.shape[2] != 3:
        raise InputError(f"fingerprint: expected shape (P, P, 3), got {values.shape}")
    values = np.sqrt(np.clip(values, 0, 1)).transpose(1, 0, 2)  # keeps weak spots visible
    reach = values.shape[0] / 2 * pixel
    figure = new_figure(11.0, 3.55 if title else 3.3)
    axes = figure.subplots(1, 4, sharey=True)
    style: dict[str, Any] = {
        "origin": "lower",
        "extent": (-reach, reach, -reach, reach),
        "interpolation": "nearest",
    }
    for channel, (axis, color) in enumerate(
        zip("xyz", ("#ff4040", "#30d030", "#4070ff"), strict=True)
    ):
        ramp = LinearSegmentedColormap.from_list(axis, ["black", color, "white"])
        axes[channel].imshow(values[:, :, channel], cmap=ramp, vmin=0, vmax=1, **style)
        axes[channel].set_title(f"turned about {axis}", loc="left")
    axes[3].imshow(values, **style)
    axes[3].set_title("all three", loc="left")
    for panel in axes:
        panel.set_xlabel(r"$q_x$ (1/scaled Å)")
    axes[0].set_ylabel(r"$q_y$ (1/scaled Å)")
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=INK)
    return figure


def abscissa(
    trajectory: TrajectoryAnalysis, x: ArrayLike | None, x_label: str | None
) -> tuple[NDArray[Any], str]:
    """What frames are drawn against, (F,), and its name: as of `plot_trajectory`."""
    if x is not None:
        values = np.asarray(x, dtype=np.float64)
        if values.shape != (len(trajectory),):
            raise InputError(f"plot: x expected shape ({len(trajectory)},), got {values.shape}")
        return values, x_label or ""
    for values, name in ((trajectory.time, "time (ps)"), (trajectory.temperature, "T (K)")):
        if len(values) > 1 and np.all(np.diff(values) > 0):
            return values, x_label or name
    if np.all(np.diff(trajectory.frames) > 0):
        return trajectory.frames, x_label or "frame"
    # Several files: their frame numbers start again.
    return np.arange(len(trajectory)), x_label or "analysed frame, all files"


def _draw_fractions(axes: Axes, x: NDArray[Any], trajectory: TrajectoryAnalysis) -> None:
    """Stack the shares, refused on top, each band named where it is widest."""
    colors = class_colors(trajectory.classes)
    shares = {
        name: 100 * trajectory.class_fractions[:, index]
        for index, name in enumerate(trajectory.classes)
    }
    shares[REFUSED] = 100 * trajectory.refused_fraction
    shown = {name: share for name, share in shares.items() if np.any(share > 0)}
    if len(x) == 1:
        # One frame has no width to fill.
        x, shown = x + np.array([-0.5, 0.5]), {n: np.repeat(s, 2) for n, s in shown.items()}
        axes.set_xticks([float(x.mean())])
    axes.stackplot(x, *shown.values(), colors=[colors[name] for name in shown], linewidth=0)
    base = np.zeros(len(x))
    for name, share in shown.items():
        if share.max() >= 100 * _LABEL_SHARE:
            _label_band(axes, x, base, share, name, colors[name])
        base = base + share
    axes.set_xlim(x.min(), x.max())
    axes.set_ylim(0, 100)
    axes.set_ylabel("atoms (%)")
    axes.spines[["top", "right"]].set_visible(False)


def _label_band(
    axes: Axes, x: NDArray[Any], base: NDArray[Any], share: NDArray[Any], name: str, color: str
) -> None:
    # Smoothed over a tenth of the frames: the widest place, not the widest single frame.
    window = max(1, len(x) // 10)
    smooth = np.convolve(share, np.ones(window) / window, mode="same")
    smooth *= np.clip(np.minimum(np.arange(len(x)), np.arange(len(x))[::-1]) / window, 0.3, 1)
    best = int(np.argmax(smooth))
    at = (float(x.mean()) if np.ptp(share) == 0 else x[best], base[best] + share[best] / 2)
    from matplotlib.patheffects import withStroke

    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
    dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.6
    place = (at[0] - x.min()) / max(np.ptp(x), 1e-12)
    side = "left" if place < 0.08 else "right" if place > 0.92 else "center"
    axes.annotate(
        name,
        at,
        xytext=({"left": 5, "right": -5, "center": 0}[side], 0),
        textcoords="offset points",
        ha=side,
        va="center",
        color="white" if dark else INK,
        fontweight="bold",
        fontsize=9,
        # A name wider than its band stays readable on its neighbours.
        path_effects=[withStroke(linewidth=2.5, foreground=color)],
    )


def _draw_lines(
    axes: Axes, x: NDArray[Any], lines: Mapping[str, tuple[NDArray[Any], str, str]]
) -> None:
    """Draw lines, each named at its right end, the names kept apart."""
    ends = {}
    for name, (values, color, style) in lines.items():
        good = np.isfinite(values)
        if good.any():
            marker = "o" if good.sum() < 40 else ""
            axes.plot(x, values, style, color=color, lw=1.5, marker=marker, ms=2.5)
            ends[name] = (float(x[good][-1]), float(values[good][-1]), color)
    # One name above its line and the other below, so that they never meet.
    for place, (name, (last, value, color)) in enumerate(
        sorted(ends.items(), key=lambda end: -end[1][1])
    ):
        axes.annotate(
            name,
            (last, value),
            xytext=(6, 0 if len(ends) == 1 else 5 - 10 * place),
            textcoords="offset points",
            va="center",
            color=color,
            fontsize=9,
            annotation_clip=False,
        )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e8e8e8", lw=0.6)
    axes.set_axisbelow(True)
