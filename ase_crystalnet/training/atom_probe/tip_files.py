"""Simulated tips as files: reconstruction, ranges, and what is true of them."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ase_crystalnet.atom_probe.files import Reconstruction, read_ranges, write_pos
from ase_crystalnet.io.whole_files import write_whole
from ase_crystalnet.training.atom_probe.spectra import rrng_text
from ase_crystalnet.training.atom_probe.tips import MATERIALS, SimulatedTip, TipPlan, simulate_tip

__all__ = ["ranged_tip", "write_tip"]


def write_tip(path: Path, plan: TipPlan, seed: int) -> int:
    """Simulate a tip and write it; returns the number of its ions.

    Parameters
    ----------
    path : Path
        Of the .pos file. Ranges go to .rrng, and to .npz for each ion, in the same order: site in
        the specimen (Angstrom), element and precipitate; and the orientation (rows: cubic axes),
        the precipitates' centres, and the plan as JSON.
    plan : TipPlan
    seed : int
    """
    tip = simulate_tip(plan, np.random.default_rng(seed))
    write_pos(path, tip.positions, tip.mass)
    write_whole(path.with_suffix(".rrng"), rrng_text(_elements(plan)).encode())
    truth = io.BytesIO()
    np.savez_compressed(
        truth,
        site=tip.true_positions,
        element=tip.elements,
        precipitate=tip.precipitate,
        orientation=tip.orientation,
        precipitate_centers=tip.precipitate_centers,
        plan=json.dumps({**asdict(plan), "seed": seed}),
    )
    write_whole(path.with_suffix(".npz"), truth.getvalue())
    return len(tip)


def ranged_tip(tip: SimulatedTip, folder: Path) -> Reconstruction:
    """A simulated tip as it is read back, ranged by its own ranges.

    Parameters
    ----------
    tip : SimulatedTip
    folder : Path
        Where the range file is put.
    """
    ranges = folder / "tip.rrng"
    write_whole(ranges, rrng_text(_elements(tip.plan)).encode())
    ions = Reconstruction(tip.positions, tip.mass, np.full(len(tip), -1, np.int16))
    return ions.ranged(read_ranges(ranges))


def _elements(plan: TipPlan) -> set[str]:
    material = MATERIALS[plan.material]
    return {material.solvent, material.solute}
