"""Fit how library and network are combined, on measured and held-out patterns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.training.powder.plan import plan_of
from ase_crystalnet.xrd.answer.classifier import evidence
from ase_crystalnet.xrd.answer.combination import Combination
from ase_crystalnet.xrd.answer.library import Matches, PatternLibrary
from ase_crystalnet.xrd.answer.network import PowderNetwork, default_network, write_combination
from ase_crystalnet.xrd.measured.readers import measured_patterns
from ase_crystalnet.xrd.measured.scan import subtract_background

__all__ = ["SIMULATED", "SIMULATED_SHARE", "calibrate", "held_out_evidence"]


#: Simulated patterns in a calibration that has them, and their share in it: half of the samples are
#: taken to be minerals, as the library is.
SIMULATED = 400


SIMULATED_SHARE = 0.5


def calibrate(path: Path, *, model: str | None, structures: Path | None = None) -> str:
    """Fit and store the combination; returns what was done, in words."""
    patterns, groups, even = measured_patterns(path)
    network = default_network(model)
    library = PatternLibrary.load()
    said, matches = evidence(network, library, patterns[even])
    truth = groups[even]
    weights = np.ones(len(truth))
    note = f"{len(truth)} measured patterns with even id of {path.name}"
    if structures is not None:
        more, likeness, label = held_out_evidence(network, library, structures)
        said = np.concatenate([said, more])
        matches = matches.joined(likeness)
        truth = np.concatenate([truth, label])
        share = SIMULATED_SHARE / (1 - SIMULATED_SHARE) * len(weights) / len(label)
        weights = np.concatenate([weights, np.full(len(label), share)])
        note += f", and {len(label)} simulated patterns of held-out compositions"
    found = Combination.fit(said, matches, truth, weights)
    place = write_combination(network, found, note)
    return f"wrote {place}: {found} from {note}"


def held_out_evidence(
    network: PowderNetwork | None, library: PatternLibrary, path: Path
) -> tuple[NDArray[np.float32], Matches, NDArray[np.int64]]:
    """Evidence on patterns of compositions that were not trained on and are not in the library."""
    from ase_crystalnet.training.powder.loop import held_out_patterns, split_of
    from ase_crystalnet.xrd.simulated.patterns import MEASURED
    from ase_crystalnet.xrd.simulated.structures import StructureSet

    plan = plan_of(network)
    structures = StructureSet.load(path)
    structures = structures.subset(~np.isin(structures.source, plan.leave_out))
    split = split_of(structures, plan)
    x, groups = held_out_patterns(structures, split, "composition", MEASURED, "dense", SIMULATED)
    known = library.subset(
        ~np.isin(library.identifier, structures.identifier[split == "composition"])
    )
    return *evidence(network, known, subtract_background(x).astype(np.float32)), groups
