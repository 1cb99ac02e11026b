"""Crystals whose powder patterns several tests look at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal

from ase_crystalnet.xrd.simulated.structures import StructureSet, structure_set_of


def quartz() -> Atoms:
    return crystal(
        ["Si", "O"],
        [(0.4697, 0, 0), (0.4135, 0.2669, 0.1191 + 2 / 3)],
        spacegroup=152,
        cellpar=[4.916, 4.916, 5.4054, 90, 90, 120],
    )


def rutile() -> Atoms:
    return crystal(
        ["Ti", "O"],
        [(0, 0, 0), (0.305, 0.305, 0)],
        spacegroup=136,
        cellpar=[4.594, 4.594, 2.959, 90, 90, 90],
    )


def eighty_crystals() -> StructureSet:
    """Cubic crystals of four space groups, each of a composition and type of its own."""
    crystals = {
        f"{kind}{a:.2f}": bulk("Cu", kind, a=a, cubic=True)
        for a in np.linspace(3.2, 5.6, 20)
        for kind in ("fcc", "bcc", "sc", "diamond")
    }
    found = structure_set_of(crystals)
    names = np.array([f"x{i}" for i in range(len(found))])
    return replace(found, elements=names, structure_type=names)
