"""Fit how far phases and cells are trusted, and how many groups a prediction set takes.

Three kinds of patterns count: measured ones (even id); simulated ones of entries of the library;
and the same with every entry of the sample's elements left out, so that what is found is another's.
Half of the simulated are everyday phases. The last kind is what keeps a likeness from being taken
for the sample.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.xrd.answer.cells import (
    DECIDED,
    CellEvidence,
    Pool,
    cell_evidence,
    fit_pool,
    pooled,
    with_cells,
)
from ase_crystalnet.xrd.answer.classifier import PowderClassifier
from ase_crystalnet.xrd.answer.network import default_network
from ase_crystalnet.xrd.answer.scan_report import ScanReport
from ase_crystalnet.xrd.answer.trust import Trust, features_of, mirrored, near_groups
from ase_crystalnet.xrd.measured.lines import findings
from ase_crystalnet.xrd.measured.readers import measured_patterns
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import TWO_THETA
from ase_crystalnet.xrd.phases import _kernels as kernels
from ase_crystalnet.xrd.phases.library import PhaseLibrary
from ase_crystalnet.xrd.phases.mixture import decompose

__all__ = ["calibrate_phases", "elements_of", "simulated_scan"]

#: Simulated samples that the library has, and that it has not; share of measured ones in the fit.
SIMULATED = 170
MEASURED_SHARE = 0.5
DOUBLET = 0.002484
#: Patterns of samples that the library has not whose lines are indexed, besides measured ones.
INDEXED = 40
#: Fewer patterns without a phase that decides fit no weights of cells.
FEWEST_POOLED = 30
#: Share of the right ones that a prediction set holds.
HELD = 0.9


def elements_of(formula: str) -> frozenset[str]:
    """Symbols of a formula, however it is written."""
    return frozenset(re.findall(r"[A-Z][a-z]?", formula))


def simulated_scan(library: PhaseLibrary, entry: int, rng: np.random.Generator) -> Scan:
    """A scan of an entry as a laboratory would measure it: any width, range, texture, noise."""
    angle, intensity = library.lines(entry)
    fwhm = float(np.exp(rng.uniform(np.log(0.06), np.log(0.6))))
    low, high = float(rng.uniform(5, 20)), float(rng.uniform(60, 90))
    x = np.arange(low, high, float(rng.choice([0.01, 0.02, 0.03])))
    sine = np.sin(np.radians(angle / 2)) * (1 + rng.normal(0, 0.004))
    inside = sine < 0.99
    places = 2 * np.degrees(np.arcsin(sine[inside]))
    places = places + rng.normal(0, 0.03) * np.cos(np.radians(places / 2))
    height = intensity[inside] * np.exp(rng.normal(0, rng.uniform(0.05, 0.5), inside.sum()))
    y = np.zeros(len(x))
    kernels.render(
        y, places, height, float(x[0]), float(x[1] - x[0]), fwhm, rng.uniform(0.2, 0.8), DOUBLET
    )
    counts = 10 ** rng.uniform(2.7, 4.5)
    ground = counts * rng.uniform(0.01, 0.1) * (1 + 2 * np.exp(-(x - x[0]) / 8))
    drawn = rng.poisson(counts * y / max(y.max(), 1e-9) + ground)
    angles: NDArray[np.float64] = np.array(x, dtype=np.float64)
    return Scan(angles, drawn.astype(np.float64))


def calibrate_phases(
    path: Path, *, model: str | None = None, log: Callable[[str], None] = lambda text: None
) -> str:
    """Fit and store trust and prediction sets; returns what was done, in words.

    Parameters
    ----------
    path : Path
        Measured patterns, as of `calibrate.calibrate`; those with odd id are not looked at.
    model : str, optional
        Network, "none" for none.
    log : callable
        Takes one line of progress.
    """
    classifier = PowderClassifier(default_network(model))
    index = classifier.phases
    assert index is not None
    library = index.library
    patterns, groups, even = measured_patterns(path)
    rng = np.random.default_rng(20)
    grid: NDArray[np.float64] = np.array(TWO_THETA, dtype=np.float64)
    scans = [Scan(grid, row.astype(float)) for row in patterns[even]]
    truth = groups[even].tolist()
    without: list[NDArray[np.bool_] | None] = [None] * len(scans)
    weights = [MEASURED_SHARE / len(scans)] * len(scans)
    sets = [elements_of(str(formula)) for formula in library.formula]
    for known in (True, False):
        # Half of what a laboratory measures is met every day.
        often = np.flatnonzero(np.char.startswith(library.identifier, "everyday"))
        chosen = [rng.choice(often, SIMULATED // 2), rng.choice(len(library), SIMULATED // 2)]
        for entry in np.concatenate(chosen).tolist():
            scan = simulated_scan(library, entry, rng)
            if not findings(scan).usable:
                continue
            scans.append(scan)
            truth.append(int(library.space_group[entry]))
            own = None if known else np.array([each == sets[entry] for each in sets])
            without.append(own)
            weights.append((1 - MEASURED_SHARE) / (2 * SIMULATED))
    features, near, reports = [], [], []
    for number, (scan, left_out) in enumerate(zip(scans, without, strict=True)):
        found = findings(scan)
        mixture = decompose(scan, found, index, left_out)
        features.append(features_of(mixture, library))
        near.append(near_groups(mixture, library))
        reports.append(ScanReport(found, mixture, 0.0, "", np.empty(0, np.int64)))
        if number % 100 == 99:
            log(f"{number + 1} of {len(scans)} patterns")
    x, right = (
        np.array(features),
        np.array([n[t - 1] > 0 for n, t in zip(near, truth, strict=True)]),
    )
    some = x[:, 0] > 0
    fitted = Trust.fit(x[some], right[some], np.array(weights)[some])
    note = (
        f"{int(even.sum())} measured patterns with even id of {path.name}, {SIMULATED} simulated "
        f"ones of entries of the library and {SIMULATED} of entries that were left out, half of "
        "both everyday phases"
    )
    trust = Trust(fitted, {"match": HELD, "network": HELD}, note)
    said = classifier.classify(
        np.array([scan.on_grid() for scan in scans]), covered=[scan.covered for scan in scans]
    )
    weight = trust.of(x)
    # Indexing takes a second each: of the simulated ones a part is enough.
    asked = np.flatnonzero(weight < DECIDED)
    unknown = np.array([out is not None for out in without])
    measured = asked < int(even.sum())
    others = ~measured & unknown[asked]
    asked = asked[measured | (others & (np.cumsum(others) <= INDEXED))]
    evidence: dict[int, CellEvidence] = {}
    for number, i in enumerate(asked.tolist()):
        report = with_cells(scans[i], reports[i], float(weight[i]))
        evidence[i] = cell_evidence(scans[i], report)
        if number % 20 == 19:
            log(f"{number + 1} of {len(asked)} patterns indexed")
    pool = Pool()
    network = np.asarray(said.probabilities, np.float64)
    if len(asked) >= FEWEST_POOLED:
        cells = [evidence[i] for i in asked.tolist()]
        pool = fit_pool(network[asked], cells, np.array(truth)[asked], np.array(weights)[asked])
        network[asked] = [pooled(network[i], evidence[i], pool) for i in asked.tolist()]
    mixed = weight[:, None] * np.array(near) + (1 - weight[:, None]) * network
    # Where no phase decides, sets are those of answers with cells.
    counted = weight >= DECIDED
    counted[asked] = True
    masses = {
        name: _mass(mixed[part], np.array(truth)[part], np.array(weights)[part])
        for name, part in (("match", weight >= 0.5), ("network", (weight < 0.5) & counted))
    }
    note += f"; cells by indexing on {len(asked)} of them that no phase decides"
    trust = replace(trust, set_mass=masses, pool=pool, fitted_on=note)
    place = Path(str(files("ase_crystalnet.xrd").joinpath("data/trust.json")))
    trust.save(place)
    return f"wrote {place}: weights {fitted}, masses {masses}, {pool} from {note}"


def _mass(
    probabilities: NDArray[np.float64], truth: NDArray[np.int64], weights: NDArray[np.float64]
) -> float:
    """Probability that sets must hold so that nine of ten hold the right group."""
    needed = []
    for row, right in zip(probabilities, truth, strict=True):
        order = np.argsort(-row, kind="stable")
        partner = mirrored(int(right))
        places = [int(np.flatnonzero(order == right - 1)[0])]
        if partner is not None:
            places.append(int(np.flatnonzero(order == partner - 1)[0]))
        # The set is cut where the mass is reached: up to the groups before the right one.
        needed.append(float(row[order[: min(places)]].sum()))
    rank = np.argsort(needed)
    share = np.cumsum(weights[rank]) / weights.sum()
    place = min(int(np.searchsorted(share, HELD)), len(rank) - 1)
    return round(min(float(np.array(needed)[rank][place]) + 1e-4, 0.9999), 4)
