"""What the 3-D view shows: points of some frames, thinned, and what they may be coloured by."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classes import REFUSED, class_colors
from ase_crystalnet.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from ase_crystalnet.grains.tracking import TrackedFrame
    from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["Coloring", "Points", "Scene", "ShownFrame", "scene_of_frames"]

#: Value of a point that is not known; the others are 0 to 254.
NOTHING = 255
#: Grains that have a number of their own in the view.
_MOST_GRAINS = 253


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """A frame of the 3-D view.

    Attributes
    ----------
    row : int
        Its place among the frames of the result.
    analysis : FrameAnalysis
    atoms : ase.Atoms, optional
        The frame itself. Without it the window centres are shown.
    grains : TrackedFrame, optional
        Its crystals; needs `atoms`.
    """

    row: int
    analysis: FrameAnalysis
    atoms: Atoms | None = None
    grains: TrackedFrame | None = None


@dataclass(frozen=True)
class Coloring:
    """What points may be coloured by: classes with names, or a number with a range.

    Attributes
    ----------
    colors : tuple of str
        Of the values 0, 1, ...
    names : tuple of str
        Of the same; empty for a number.
    low, high : float
        What the values 0 and 254 of a number mean.
    unit : str
    """

    colors: tuple[str, ...]
    names: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    unit: str = ""

    @classmethod
    def scale(cls, colormap: str, low: float, high: float, unit: str = "") -> Coloring:
        """A number, by one of Matplotlib's colour maps."""
        from matplotlib import colormaps
        from matplotlib.colors import to_hex

        shades = colormaps[colormap](np.linspace(0, 1, NOTHING))
        return cls(tuple(to_hex(shade) for shade in shades), (), low, high, unit)

    def values(self, given: NDArray[Any]) -> NDArray[np.uint8]:
        """Values of points as bytes; negative classes and nan are not known."""
        if self.names:
            known = (given >= 0) & (given < NOTHING)
            return np.where(known, given, NOTHING).astype(np.uint8)
        width = (self.high - self.low) or 1.0
        place = np.rint(254 * (np.asarray(given, float) - self.low) / width)
        return np.where(np.isfinite(place), np.clip(place, 0, 254), NOTHING).astype(np.uint8)

    def json(self) -> dict[str, Any]:
        """What the script reads."""
        return {
            "colors": self.colors,
            "names": self.names or None,
            "low": self.low,
            "high": self.high,
            "unit": self.unit,
        }


@dataclass(frozen=True, eq=False)
class Points:
    """Points of one frame.

    Attributes
    ----------
    positions : (P, 3) array, Angstrom
    values : dict of str to (P,) array
        By the name of the coloring: class numbers, or numbers.
    numbers : (P,) integer array, optional
        Of the points in their frame, shown to the reader.
    cell : (3, 3) array, optional
        Vectors of the box, Angstrom.
    """

    positions: NDArray[np.float64]
    values: dict[str, NDArray[Any]]
    numbers: NDArray[np.int64] | None = None
    cell: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """Frames of points with what they may be coloured by.

    Parameters
    ----------
    frames : sequence of Points
        One at least, with one point at least.
    colorings : dict of str to Coloring
        The first is shown at first.
    radius : float
        Of the balls, Angstrom.
    what : str
        What a point is called.

    Raises
    ------
    InputError
        There is no point with a finite position.
    """

    frames: Sequence[Points]
    colorings: dict[str, Coloring]
    radius: float
    what: str = "atom"
    low: NDArray[np.float64] = field(init=False)
    high: NDArray[np.float64] = field(init=False)

    def __post_init__(self) -> None:
        everything = np.concatenate([frame.positions for frame in self.frames])
        if not len(everything) or not np.isfinite(everything).all():
            raise InputError("report: expected points with finite positions, got none or others")
        object.__setattr__(self, "low", everything.min(axis=0))
        object.__setattr__(self, "high", everything.max(axis=0))

    def json(self) -> dict[str, Any]:
        """What the script reads: positions in 16 bits between `low` and `high`, values in 8."""
        span = np.where(self.high > self.low, self.high - self.low, 1.0)
        found = []
        for frame in self.frames:
            places = np.rint(65535 * (frame.positions - self.low) / span).astype("<u2")
            values = {
                name: _text(coloring.values(frame.values[name]))
                for name, coloring in self.colorings.items()
            }
            one: dict[str, Any] = {"positions": _text(places), "values": values}
            if frame.numbers is not None:
                one["atoms"] = _text(frame.numbers.astype("<u4"))
            if frame.cell is not None:
                one |= {"corner": [0.0, 0.0, 0.0], "cell": frame.cell.round(4).tolist()}
            found.append(one)
        return {
            "frames": found,
            "colorings": {name: each.json() for name, each in self.colorings.items()},
            "low": self.low.round(5).tolist(),
            # A flat side has the length that its positions are written with.
            "high": (self.low + span).round(5).tolist(),
            "radius": round(self.radius, 4),
            "what": self.what,
        }


def _text(values: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def thinned(count: int, most: int) -> NDArray[np.int64]:
    """Numbers of at most `most` of `count` points, in order, the same for the same `count`.

    Drawn at random: every n-th atom of a file that a program wrote is a pattern, not a sample.
    """
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(count).choice(count, most, replace=False))


def scene_of_frames(shown: Sequence[ShownFrame], most: int) -> tuple[Scene, str]:
    """The scene of frames of a result, and what it shows in words.

    Parameters
    ----------
    shown : sequence of ShownFrame
        One at least.
    most : int
        Points of a frame at most.
    """
    of_atoms = all(one.atoms is not None or _all_atoms(one.analysis) for one in shown)
    what = "atom" if of_atoms else "window"
    given = [_quantities(one, of_atoms) for one in shown]
    names = [name for name in given[0] if any(_known(each[name]) for each in given)]
    colorings = {name: _coloring(name, shown, [each[name] for each in given]) for name in names}
    frames, whole = [], []
    for one, values in zip(shown, given, strict=True):
        positions, cell = _places(one, of_atoms)
        inside = np.flatnonzero(np.isfinite(positions).all(axis=1))
        pick = inside[thinned(len(inside), most)]
        whole.append(len(positions))
        frames.append(Points(positions[pick], {n: values[n][pick] for n in names}, pick, cell))
    share = max(whole[-1], 1) / max(len(frames[-1].positions), 1)
    distance = shown[-1].analysis.typical_distance
    if not of_atoms or not np.isfinite(distance):
        distance = _spacing(frames[-1].positions) / share ** (1 / 3)
    # The balls of a thinned frame fill the space of all of them.
    scene = Scene(frames, colorings, 0.5 * distance * share ** (1 / 3), what)
    shown_words = f"{len(frames[-1].positions):,} of {whole[-1]:,} {what}s"
    if whole[-1] == len(frames[-1].positions):
        shown_words = f"All {whole[-1]:,} {what}s"
    if not of_atoms:
        shown_words += " (the trajectory was not at hand: centres of windows, not atoms)"
    return scene, shown_words


def _all_atoms(analysis: FrameAnalysis) -> bool:
    """Whether every atom is the centre of its own window: then the result holds the positions."""
    count = analysis.number_of_atoms
    return len(analysis.center_indices) == count and bool(
        (np.sort(analysis.center_indices) == np.arange(count)).all()
    )


def _places(one: ShownFrame, of_atoms: bool) -> tuple[NDArray[np.float64], Any]:
    if one.atoms is not None and of_atoms:
        boxed = bool(one.atoms.cell.rank == 3)
        wrapped = boxed and bool(one.atoms.pbc.any())
        cell = one.atoms.cell.array if boxed else None
        return one.atoms.get_positions(wrap=wrapped), cell
    centers = one.analysis.centers
    if of_atoms:
        return centers[np.argsort(one.analysis.center_indices)], None
    return centers, None if one.atoms is None else one.atoms.cell.array


_SCALES: dict[str, tuple[str, str]] = {
    "certainty": ("cividis", ""),
    "Bragg order": ("viridis", ""),
    "equivalent strain": ("magma", "%"),
    "volumetric strain": ("RdBu_r", "%"),
    "Lindemann": ("inferno", ""),
}


def _quantities(one: ShownFrame, of_atoms: bool) -> dict[str, NDArray[Any]]:
    """What may colour the points, in the order in which it is offered."""
    analysis = one.analysis
    count = analysis.number_of_atoms if of_atoms else analysis.number_of_windows

    def pick(atom: str, window: str) -> NDArray[Any]:
        return np.asarray(getattr(analysis, atom if of_atoms else window))

    labels = pick("atom_labels", "labels").astype(np.int64)
    # The refused are a class of their own here: one can hide them.
    found: dict[str, NDArray[Any]] = {
        "structure": np.where(labels < 0, len(analysis.classes), labels),
        "certainty": pick("atom_certainty", "certainty"),
        "Bragg order": pick("atom_order", "order"),
        "equivalent strain": 100 * pick("atom_von_mises_strain", "von_mises_strain"),
        "volumetric strain": 100 * pick("atom_volumetric_strain", "volumetric_strain"),
        "Lindemann": np.full(count, np.nan),
        "grain": np.full(count, -1),
    }
    if of_atoms and analysis.lindemann is not None:
        found["Lindemann"] = analysis.lindemann
    elif not of_atoms:
        found["Lindemann"] = analysis.snapshot_lindemann
    if of_atoms and one.grains is not None:
        found["grain"] = np.minimum(one.grains.grains, _MOST_GRAINS + 1)
    return found


def _known(values: NDArray[Any]) -> bool:
    if values.dtype.kind == "f":
        return bool(np.isfinite(values).any())
    return bool((values >= 0).any())


def _coloring(name: str, shown: Sequence[ShownFrame], values: list[NDArray[Any]]) -> Coloring:
    if name == "structure":
        classes = shown[0].analysis.classes
        colors = class_colors(classes)
        return Coloring(tuple(colors.values()), (*classes, REFUSED))
    if name == "grain":
        from matplotlib.colors import to_hex

        from ase_crystalnet.grains.colors import grain_color

        count = int(max(each.max(initial=0) for each in values)) + 1
        names = ["in no grain", *(f"grain {i}" for i in range(1, count))]
        if count > _MOST_GRAINS + 1:
            names[-1] = "further grains"
        return Coloring(tuple(to_hex(grain_color(i)) for i in range(count)), tuple(names))
    colormap, unit = _SCALES[name]
    finite = np.concatenate([each[np.isfinite(each)] for each in values])
    low, high = 0.0, 1.0
    if name not in ("certainty", "Bragg order"):
        # One atom far off would leave one colour for all others.
        high = float(np.percentile(np.abs(finite), 99)) or 1.0
        low = -high if name == "volumetric strain" else 0.0
    return Coloring.scale(colormap, low, high, unit)


def _spacing(places: NDArray[np.float64]) -> float:
    """Typical distance of a point from its nearest, Angstrom."""
    from scipy.spatial import cKDTree

    if len(places) < 2:
        return 3.0
    distance = cKDTree(places).query(places, k=2)[0][:, 1]
    return float(np.median(distance)) or 1.0
