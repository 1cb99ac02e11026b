"""Figures of texture, by orix: maps in the colours of inverse pole figures, and pole figures.

Each function returns a matplotlib Figure; nothing is shown or saved here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError
from ase_crystalnet.grains.results import Crystal, Crystals
from ase_crystalnet.grains.texture import (
    OrientationMap,
    orix_phase,
    phase_name,
    phases_of,
    quaternions_of,
    require_orix,
)
from ase_crystalnet.plotting.style import INK, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["density", "plot_inverse_pole_figures", "plot_orientation_map", "plot_pole_figures"]

#: Directions across a hemisphere by which sectors of it, and it as a whole, are drawn.
_LEGEND, _DENSITY = 640, 240
#: Phases with a legend of their own.
_LEGENDS = 3
#: Width of a grain in densities, degrees.
WIDTH = 10.0
#: Area of the mark of the largest grain, points squared.
_MARK = 60.0
#: Poles of a pole figure: cubic, hexagonal and trigonal, all others.
_POLES = (
    ((1, 0, 0), (1, 1, 0), (1, 1, 1)),
    ((0, 0, 1), (1, 0, 0), (1, 0, 1)),
    ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
)


def _poles(space_group: int) -> tuple[tuple[int, int, int], ...]:
    if space_group >= 195:
        return _POLES[0]
    return _POLES[1] if space_group >= 143 else _POLES[2]


def _written(pole: tuple[int, int, int], space_group: int) -> str:
    """{100} of cubic crystals, (0001) of hexagonal ones, (100) of the others."""
    h, k, l = pole  # noqa: E741 (the field's name)
    if space_group >= 195:
        return f"{{{h}{k}{l}}}"
    middle = -(h + k)
    third = str(middle) if middle >= 0 else f"\\bar{{{-middle}}}"
    return f"$\\{{{h}{k}{third}{l}\\}}$" if space_group >= 143 else f"{{{h}{k}{l}}}"


def _of_phase(crystals: Crystals, phase: int) -> tuple[Crystal, NDArray[np.int64]]:
    require_orix("figures of texture")
    phases, number = phases_of(crystals)
    if not phases:
        raise InputError("texture: there are no grains")
    if not 0 <= phase < len(phases):
        raise InputError(f"phase is {phase}; expected 0 to {len(phases) - 1}, largest grain first")
    return phases[phase], np.flatnonzero(number == phase)


def _axis(figure: Figure, place: tuple[int, int, int], projection: str, **options: Any) -> Any:
    from orix.plot import register_projections

    register_projections()
    return figure.add_subplot(*place, projection=projection, **options)


def _marks(crystals: Crystals, rows: NDArray[np.int64]) -> Array:
    """Areas of the marks of grains, by their atoms."""
    atoms = np.array([len(crystals[row].atoms) for row in rows], float)
    return np.asarray(_MARK * atoms / atoms.max())


def plot_orientation_map(given: OrientationMap) -> Figure:
    """The grains on a plane in the colours of the inverse pole figure of its normal, with a legend.

    Parameters
    ----------
    given : OrientationMap

    Raises
    ------
    InputError
        orix is not installed, or no grain is on the plane.
    """
    require_orix("maps of orientations")
    from orix.plot import IPFColorKeyTSL
    from orix.quaternion import Orientation
    from orix.vector import Vector3d

    shown = np.unique(given.grains[given.grains > 0])
    if not len(shown):
        raise InputError("map of orientations: no grain is on the plane; choose another height")
    phases, number = phases_of(given.crystals)
    colors = np.ones((len(given.crystals) + 1, 3))
    turns = quaternions_of(given.crystals, given.turn)
    present = np.unique(number[shown - 1])
    for phase in present:
        rows = np.flatnonzero(number == phase)
        symmetry = orix_phase(phases[phase]).point_group.laue
        key = IPFColorKeyTSL(symmetry, direction=Vector3d.zvector())
        colors[rows + 1] = key.orientation2color(Orientation(turns[rows + 1], symmetry=symmetry))
    image = colors[given.grains]
    height, width = given.grains.shape
    # The map above, its legends in a row below.
    figure = new_figure(6.0, min(max(6.0 * height / width, 2.0), 9.0) + 2.2)
    legends = present[:_LEGENDS]
    grid = figure.add_gridspec(2, len(legends), height_ratios=(4, 1.6))
    axes = figure.add_subplot(grid[0, :])
    edge = given.step / 10
    start = given.origin / 10 - edge / 2
    extent = (start[0], start[0] + width * edge, start[1], start[1] + height * edge)
    axes.imshow(image, origin="lower", extent=extent, interpolation="nearest")
    names = "xyz"
    axes.set_xlabel(f"{names[(given.axis + 1) % 3]}, nm")
    axes.set_ylabel(f"{names[(given.axis + 2) % 3]}, nm")
    axes.set_title(
        f"{names[given.axis]} = {given.height / 10:.1f} nm; colours: direction along "
        f"{names[given.axis]}",
        fontsize=9,
        color=INK,
    )
    from orix.plot import register_projections

    register_projections()
    for column, phase in enumerate(legends):
        symmetry = orix_phase(phases[phase]).point_group.laue
        legend = figure.add_subplot(grid[1, column], projection="ipf", symmetry=symmetry)
        _legend(legend, symmetry)
        legend.set_title(phase_name(phases[phase]), fontsize=9, color=INK, pad=14)
    return figure


def _grid(points: int) -> Array:
    """Directions (M, 3) of the upper hemisphere, on a square grid of its stereographic image."""
    edge = np.linspace(-1, 1, points)
    x, y = (each.ravel() for each in np.meshgrid(edge, edge))
    square = x**2 + y**2
    found = np.stack([2 * x, 2 * y, 1 - square], axis=1) / (1 + square)[:, None]
    return np.asarray(found[square <= 1])


def _legend(axes: Any, symmetry: Any) -> None:
    """Colours of directions in the fundamental sector."""
    from orix.plot import DirectionColorKeyTSL
    from orix.vector import Vector3d

    every = Vector3d(_grid(_LEGEND))
    inside = every[every < symmetry.fundamental_sector]
    colors = DirectionColorKeyTSL(symmetry).direction2color(inside)
    axes.scatter(inside, c=colors, s=5, marker="s", edgecolors="none", rasterized=True)


def density(at: Array, directions: Array, weights: Array) -> Array:
    """Density of directions in multiples of that of random ones.

    Parameters
    ----------
    at : (M, 3) array
        Unit vectors where it is asked for.
    directions : (K, 3) array
        Unit vectors; each stands for its opposite too.
    weights : (K,) array

    Returns
    -------
    (M,) float64 array
        Sum of von Mises-Fisher distributions of width `WIDTH`, mean 1 over the sphere.
    """
    sharpness = 1 / np.radians(WIDTH) ** 2
    height = 2 * sharpness / (1 - np.exp(-2 * sharpness))
    result = np.zeros(len(at))
    for start in range(0, len(directions), 256):
        some = slice(start, start + 256)
        cosine = at @ directions[some].T
        both = np.exp(sharpness * (cosine - 1)) + np.exp(sharpness * (-cosine - 1))
        result += both @ weights[some]
    return np.asarray(result * height / (2 * weights.sum()))


def _density(
    figure: Figure, axes: Any, directions: Array, weights: Array, symmetry: Any = None
) -> None:
    """A density with its scale, on the hemisphere or on the fundamental sector."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from orix.vector import Vector3d

    at = Vector3d(_grid(_DENSITY if symmetry is None else _LEGEND))
    if symmetry is not None:
        at = at[at < symmetry.fundamental_sector]
    values = density(at.data, directions, weights)
    most = max(float(values.max()), 1e-9)
    scalar = ScalarMappable(Normalize(0, most), "viridis")
    axes.scatter(
        at, c=scalar.to_rgba(values), s=3 if symmetry is None else 5, marker="s",
        edgecolors="none", rasterized=True, zorder=0,
    )  # fmt: skip
    scale = figure.colorbar(scalar, ax=axes, shrink=0.7, pad=0.1)
    scale.set_label("times random", fontsize=8)
    scale.ax.tick_params(labelsize=8)


def plot_pole_figures(crystals: Crystals, phase: int = 0) -> Figure:
    """Poles of the grains of a phase: marks by the atoms of each grain, and densities below.

    Stereographic, upper hemisphere, z of the frame in the middle; densities in multiples of a
    random texture's, grains weighted by their atoms and 10 degrees wide.

    Parameters
    ----------
    crystals : Crystals
    phase : int
        Which one (`texture.phases_of`): 0 is that of the largest grain.

    Raises
    ------
    InputError
        orix is not installed, or there is no such phase.
    """
    one, rows = _of_phase(crystals, phase)
    from orix.quaternion import Rotation
    from orix.vector import Miller, Vector3d

    from ase_crystalnet.grains.colors import grain_color

    known = orix_phase(one)
    back = ~Rotation(quaternions_of(crystals, None)[rows + 1])
    atoms = np.array([len(crystals[row].atoms) for row in rows], float)
    poles = _poles(one.space_group)
    figure = new_figure(3.1 * len(poles), 6.2)
    colors = np.array([grain_color(crystals[row].number) for row in rows])
    for column, pole in enumerate(poles):
        family = Miller(hkl=np.array([pole]), phase=known).symmetrise(unique=True).unit
        directions = back.outer(Vector3d(family.data))
        count = directions.shape[-1]
        flat = Vector3d(directions.data.reshape(-1, 3))
        upper = flat.z.ravel() >= 0
        above = _axis(figure, (2, len(poles), column + 1), "stereographic")
        above.scatter(
            flat[upper],
            s=np.repeat(_marks(crystals, rows), count)[upper],
            c=np.repeat(colors, count, axis=0)[upper],
            alpha=0.8,
        )
        above.set_labels("x", "y", None)
        above.set_title(_written(pole, one.space_group), fontsize=10, color=INK)
        below = _axis(figure, (2, len(poles), len(poles) + column + 1), "stereographic")
        _density(figure, below, flat.data, np.repeat(atoms, count))
        below.set_labels("x", "y", None)
    figure.suptitle(f"{phase_name(one)}, {len(rows)} grains", fontsize=10, color=INK)
    return figure


def plot_inverse_pole_figures(crystals: Crystals, phase: int = 0) -> Figure:
    """Which directions of the crystals lie along x, y and z of the frame, with their densities.

    Parameters and errors as of `plot_pole_figures`.
    """
    one, rows = _of_phase(crystals, phase)
    from orix.quaternion import Rotation
    from orix.vector import Vector3d

    symmetry = orix_phase(one).point_group.laue
    turns = Rotation(quaternions_of(crystals, None)[rows + 1])
    atoms = np.array([len(crystals[row].atoms) for row in rows], float)
    figure = new_figure(9.3, 3.6)
    for column, axis in enumerate(np.eye(3)):
        directions = (turns * Vector3d(axis)).in_fundamental_sector(symmetry)
        axes = _axis(figure, (1, 3, column + 1), "ipf", symmetry=symmetry)
        every = symmetry.outer(directions)
        _density(figure, axes, every.data.reshape(-1, 3), np.tile(atoms, len(every.data)), symmetry)
        axes.scatter(directions, s=_marks(crystals, rows), c="none", edgecolors="white")
        axes.set_title(f"along {'xyz'[column]}", fontsize=10, color=INK, pad=16)
    figure.suptitle(f"{phase_name(one)}, {len(rows)} grains", fontsize=10, color=INK)
    return figure
