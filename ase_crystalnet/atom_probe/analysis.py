"""Analysis of a reconstruction from end to end: windows, planes, classes, poles, spectra."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.atom_probe.results import RANKS, AtomProbeAnalysis, DepthSpectra
from ase_crystalnet.atom_probe.windows import IonWindows, WindowMeasures
from ase_crystalnet.errors import InputError

if TYPE_CHECKING:
    from ase_crystalnet.atom_probe.classes.classifier import AtomProbeClassifier

__all__ = [
    "AtomProbeOptions",
    "analyze_windows",
    "classify_windows",
    "cut_all",
    "spectrum_spacings",
]

#: Windows from which the background spectrum is taken; fewest and most of a layer for its spectra.
REFERENCE_WINDOWS = 400
FEWEST_LAYER_WINDOWS, LAYER_WINDOWS = 8, 48
#: Interplanar spacings at which spectra are taken: how many, evenly in 1 / spacing, where a peak is
#: as wide everywhere.
SPECTRUM_POINTS = 160
#: Windows cut at once.
BATCH = 256

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class AtomProbeOptions:
    """What is asked of the windows of a reconstruction.

    Parameters
    ----------
    false_alarm : float
        Chance that a window without planes shows some; with `family_wise`, that any of them does.
    family_wise : bool
        Hold `false_alarm` over all windows of the file together.
    atomic_volume : float, optional
        Volume of an ion in the material, Angstrom^3, for the efficiency; default: the range
        file's, else that of the elements.
    seed : int
        Of the choice of windows for the background spectrum.
    """

    false_alarm: float = 0.01
    family_wise: bool = False
    atomic_volume: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.false_alarm < 0.5:
            raise InputError(f"false_alarm={self.false_alarm!r} is not between 0 and 0.5")
        if self.atomic_volume is not None and not 0.0 < self.atomic_volume < np.inf:
            raise InputError(f"atomic_volume={self.atomic_volume!r} is not a volume in Angstrom^3")


def analyze_windows(
    windows: IonWindows,
    options: AtomProbeOptions | None = None,
    progress: Progress | None = None,
) -> AtomProbeAnalysis:
    """Look for planes, rods and lattices in every window of a reconstruction.

    Parameters
    ----------
    windows : IonWindows
        From `IonWindower.prepare`.
    options : AtomProbeOptions, optional
        Defaults otherwise.
    progress : callable, optional
        Given the name of the step, the windows done and those there are.

    Returns
    -------
    AtomProbeAnalysis

    Raises
    ------
    InputError
        If no window holds enough ions.
    """
    from ase_crystalnet.atom_probe.search.findings import WindowFindings
    from ase_crystalnet.atom_probe.search.planes import PlaneFinder
    from ase_crystalnet.atom_probe.search.poles import find_poles

    options = options or AtomProbeOptions()
    say = progress or (lambda step, done, total: None)
    ions = windows.ions
    centers, measures, refused = _usable(windows, options, say)
    finder = PlaneFinder(false_alarm=options.false_alarm)
    if options.family_wise:
        finder = finder.for_windows(len(centers))
    rng = np.random.default_rng(options.seed)
    sample = rng.permutation(np.flatnonzero(~measures.surface))[:REFERENCE_WINDOWS]
    reference = None
    if len(sample):
        reference = finder.reference(*cut_all(windows, centers[np.sort(sample)]))
    found = []
    for batch in windows.batches(centers, BATCH):
        found.append(finder(batch.positions, batch.mask, reference=reference))
        say("planes", sum(len(part.rank) for part in found), len(centers))
    findings = WindowFindings.concatenate(found)
    poles = tuple(
        pole
        for pole in find_poles(centers, findings, finder=finder, apart=2.0 * windows.radius)
        if pole.p_value <= options.false_alarm
    )
    best = int(np.argmin(findings.p_value))
    directions = [np.array([0.0, 0.0, 1.0])]
    if poles:
        directions.append(poles[0].normal)
    elif findings.rank[best] > 0:
        directions.append(findings.normal[best])
    return AtomProbeAnalysis(
        source=ions.source,
        ranges=ions.ranges.source if ions.ranges is not None else "",
        species=tuple(ion.name for ion in ions.ions),
        species_counts=np.append(ions.counts, ions.unranged),
        composition=ions.composition(),
        radius=windows.radius,
        spacing=windows.spacing,
        density=windows.density,
        centers=centers,
        refused=refused,
        measures=measures,
        findings=findings,
        poles=poles,
        depth=tuple(
            _depth_spectra(windows, centers, measures, direction, say) for direction in directions
        ),
        settings=asdict(options),
    )


def classify_windows(
    analysis: AtomProbeAnalysis,
    windows: IonWindows,
    classifier: AtomProbeClassifier,
    progress: Progress | None = None,
) -> AtomProbeAnalysis:
    """Add the classes of the windows that show a lattice.

    Parameters
    ----------
    analysis : AtomProbeAnalysis
        Of these windows.
    windows : IonWindows
        They are cut again.
    classifier : AtomProbeClassifier
        Its network is loaded only if a window shows a lattice.
    progress : callable, optional
        As of `analyze_windows`.
    """
    from ase_crystalnet.atom_probe.classes.classifier import ClassFindings

    say = progress or (lambda step, done, total: None)
    count, names = len(analysis), classifier.classes
    found = ClassFindings(
        labels=np.full(count, -1, np.int64),
        certainty=np.full(count, np.nan),
        probabilities=np.full((count, len(names)), np.nan, np.float32),
        lattice=np.full((count, 3, 3), np.nan),
        orientation=np.full((count, 4), np.nan),
    )
    rows = np.flatnonzero(analysis.findings.rank == RANKS.index("lattice"))
    for start in range(0, len(rows), BATCH):
        some = rows[start : start + BATCH]
        positions, mask = cut_all(windows, analysis.centers[some])
        part = classifier(positions, mask, _rows(analysis.findings, some))
        for item in fields(part):
            getattr(found, item.name)[some] = getattr(part, item.name)
        say("classes", min(start + BATCH, len(rows)), len(rows))
    return replace(analysis, classes=found, class_names=tuple(names))


def _usable(
    windows: IonWindows, options: AtomProbeOptions, say: Progress
) -> tuple[NDArray[np.float64], WindowMeasures, int]:
    """Centres of windows with enough ions, their measures, and the number of the others."""
    parts, done = [], 0
    for batch in windows.batches():
        parts.append(windows.measure(batch, options.atomic_volume))
        done += len(batch)
        say("windows", done, len(windows))
    measures = _joined(parts) if parts else None
    if measures is None or measures.sparse.all():
        raise InputError(
            f"{windows.ions.source or 'reconstruction'}: no window of radius "
            f"{windows.radius:.1f} Angstrom holds enough ions; give a larger radius"
        )
    keep = np.flatnonzero(~measures.sparse)
    return windows.centers[keep], _rows(measures, keep), len(windows) - len(keep)


def _joined(parts: list[Any]) -> Any:
    """One dataclass of arrays out of those of the batches."""
    return type(parts[0])(
        **{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(parts[0])}
    )


def _rows(arrays: Any, chosen: NDArray[np.int64]) -> Any:
    """Some rows of a dataclass of arrays."""
    return type(arrays)(**{f.name: getattr(arrays, f.name)[chosen] for f in fields(arrays)})


def cut_all(
    windows: IonWindows, centers: NDArray[np.float64]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Positions (B, N, 3) and mask (B, N) of the windows at some centres, as one batch."""
    batch = next(windows.batches(centers, max(len(centers), 1)))
    return batch.positions, batch.mask


def spectrum_spacings(density: float, points: int = SPECTRUM_POINTS) -> NDArray[np.float64]:
    """Interplanar spacings for spectra, Angstrom: those that `PlaneFinder` searches by default.

    Parameters
    ----------
    density : float
        Ions in a cubic Angstrom.
    points : int
        How many.
    """
    from ase_crystalnet.atom_probe.search.planes import SPACING_RANGE

    low, high = np.array(SPACING_RANGE) / np.cbrt(density)
    return 1.0 / np.linspace(1.0 / high, 1.0 / low, points)


def _depth_spectra(
    windows: IonWindows,
    centers: NDArray[np.float64],
    measures: WindowMeasures,
    direction: NDArray[np.float64],
    say: Progress,
) -> DepthSpectra:
    """Mean spectrum along a direction of the windows inside the specimen, layer by layer."""
    from ase_crystalnet.atom_probe.search.spectra import mean_spectrum

    spacings = spectrum_spacings(windows.density)
    layers = np.unique(centers[:, 2].round(6))
    mean = np.full((len(layers), SPECTRUM_POINTS), np.nan)
    error = mean.copy()
    for i, layer in enumerate(layers):
        inside = np.flatnonzero((np.abs(centers[:, 2] - layer) < 1e-3) & ~measures.surface)
        # Evenly over the layer, not those of one corner.
        inside = inside[
            np.linspace(0, len(inside) - 1, min(LAYER_WINDOWS, len(inside))).astype(int)
        ]
        if len(inside) >= FEWEST_LAYER_WINDOWS:
            positions, mask = cut_all(windows, centers[inside])
            mean[i], error[i] = mean_spectrum(positions, mask, axis=direction, spacings=spacings)
        say("spectra along depth", i + 1, len(layers))
    return DepthSpectra(np.asarray(direction, np.float64), layers, spacings, mean, error)
