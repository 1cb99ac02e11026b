"""One scan looked at whole: are there lines, which known phases, how far that decides the answer.

The order is that of a laboratory: first whether anything stands out of noise and background, then
whether known phases explain the lines, and only then what network and library of minerals say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.answer.answers import PowderAnswers
from ase_crystalnet.xrd.answer.cells import DECIDED, cell_evidence, pooled, with_cells
from ase_crystalnet.xrd.answer.library import Matches
from ase_crystalnet.xrd.answer.scan_report import ScanReport
from ase_crystalnet.xrd.answer.trust import Trust, features_of, mirrored, near_groups
from ase_crystalnet.xrd.measured.lines import findings
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import ANODES
from ase_crystalnet.xrd.phases.mixture import Mixture, decompose
from ase_crystalnet.xrd.phases.search import PhaseIndex

__all__ = ["examined", "no_matches", "with_phases"]

#: Another anode is named if the nearest entry correlates so far, and by so much more than with the
#: wavelength that was taken.
OTHER_ANODE, BETTER_BY = 0.75, 0.2
#: Lines that nothing explains ask for another phase from this share of the strongest on.
NOTABLE = 0.03


def examined(scan: Scan, index: PhaseIndex | None) -> ScanReport:
    """Lines and phases of a scan; trust and prediction set are not yet in it."""
    found = findings(scan)
    none = np.empty(0, np.int64)
    notes: list[str] = []
    if found.spikes:
        many = "point stands" if found.spikes == 1 else "points stand"
        notes.append(f"{found.spikes} single {many} far above the neighbours: taken for no line")
    if not found.usable:
        return ScanReport(found, None, 0.0, found.said, none, tuple(notes))
    if index is None:
        return ScanReport(found, None, 0.0, "", none, tuple(notes))
    try:
        mixture = decompose(scan, found, index)
    except InputError as error:
        return ScanReport(found, None, 0.0, str(error), none, tuple(notes))
    if scan.assumed and (anode := _other_anode(scan, mixture, index)):
        notes.append(
            f"with the radiation of {anode} known phases fit far better: is it copper? "
            f"(--wavelength {anode})"
        )
    return ScanReport(found, mixture, 0.0, "", none, (*notes, *_notes(mixture, index)))


def _notes(mixture: Mixture, index: PhaseIndex) -> list[str]:
    notes = []
    if mixture.phases:
        group = int(index.library.space_group[mixture.phases[0].entry])
        partner = mirrored(group)
        if partner is not None:
            notes.append(
                f"space groups {group} and {partner} are those of mirror images: no powder pattern "
                "tells them apart"
            )
    if len(mixture.phases) > 1:
        notes.append("more than one phase: the space group is the first one's")
    for ghost in mixture.ghosts:
        notes.append(f"weak lines are those of {ghost} radiation")
    strong = mixture.positions.height[mixture.unexplained] > NOTABLE
    if mixture.phases and strong.sum() >= 2:
        places = ", ".join(f"{angle:.2f}" for angle in mixture.unidentified[strong][:8])
        notes.append(f"unidentified lines at {places} degrees: another phase, or another cell")
    return notes


def _other_anode(scan: Scan, mixture: Mixture, index: PhaseIndex) -> str | None:
    """The anode with which the library fits clearly better than with copper."""
    if mixture.phases and mixture.phases[0].correlation > OTHER_ANODE:
        return None
    here = float(index.search(scan.on_grid(), scan.covered, 1)[2][0])
    best, name = here, None
    for anode, wavelength in ANODES.items():
        if anode == "Cu":
            continue
        try:
            moved = replace(scan, wavelength=wavelength, notes=(), assumed=False)
            value = float(index.search(moved.on_grid(), moved.covered, 1)[2][0])
        except InputError:  # too little of the range is left at that wavelength
            continue
        if value > best:
            best, name = value, anode
    return name if best > OTHER_ANODE and best > here + BETTER_BY else None


def no_matches(number: int) -> Matches:
    """Stands for the matches of patterns that cannot be compared."""
    empty = np.zeros((number, 1))
    return Matches(
        empty.astype(np.int64), empty.astype(np.float32), empty.astype(np.float32),
        np.full((number, 230), -1, np.float32),
    )  # fmt: skip


def with_phases(
    answers: PowderAnswers,
    scans: Sequence[Scan],
    reports: Sequence[ScanReport],
    index: PhaseIndex | None,
    trust: Trust,
) -> PowderAnswers:
    """The answers with what phases say mixed in, by their trust; refusals are kept.

    Where no phase decides, the lines are indexed, and cells and network are pooled.
    """
    probabilities = np.asarray(answers.probabilities, np.float64).copy()
    weights = np.zeros(len(reports))
    complete = []
    for i, (scan, found) in enumerate(zip(scans, reports, strict=True)):
        report = found
        if report.mixture is not None and index is not None:
            features = features_of(report.mixture, index.library)
            weights[i] = float(trust.of(features)[0])
        if not report.refusal and weights[i] < DECIDED:
            report = with_cells(scan, report, weights[i])
            evidence = cell_evidence(scan, report)
            probabilities[i] = pooled(probabilities[i], evidence, trust.pool)
        if report.mixture is not None and index is not None:
            near = near_groups(report.mixture, index.library)
            probabilities[i] = weights[i] * near + (1 - weights[i]) * probabilities[i]
        groups = np.empty(0, np.int64)
        if not report.refusal:
            groups = trust.prediction_set(probabilities[i], weights[i])
        complete.append(replace(report, trust=float(weights[i]), prediction_set=groups))
    keep = np.array([not report.refusal for report in reports], bool)
    return replace(
        answers, probabilities=np.asarray(probabilities, np.float32), reports=tuple(complete),
        answered=answers.answered & keep,
    )  # fmt: skip
