"""Remarks on frames that were read: what a file lacks that decides what is found in it."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from ase_crystalnet.errors import FileWarning

if TYPE_CHECKING:
    from ase import Atoms

    from ase_crystalnet.io.trajectories.addresses import FrameAddress

__all__ = ["remark_missing_cell"]

#: Atoms below which nobody can tell a box from a molecule.
_FEWEST = 27
#: Share of the mean density that each corner of the bounding box must have to call it full.
_FULL = 0.5


def remark_missing_cell(address: FrameAddress, atoms: Atoms) -> None:
    """Say that a file has no cell where its atoms fill a box, as those of a periodic one do.

    Warns
    -----
    FileWarning
        It has none and they do; once a file.
    """
    if address.number or atoms.cell.rank > 0 or not _fills_a_box(atoms):
        return
    warnings.warn(
        f"{address.source}: has no cell, so its atoms are taken for a piece with free surfaces; if "
        "they are periodic, give the cell: reader option cell=a,b,c (Angstrom)",
        FileWarning,
        stacklevel=4,
    )


def _fills_a_box(atoms: Atoms) -> bool:
    """Whether the corners of the box around the atoms are as full as its middle."""
    points = atoms.positions
    if len(points) < _FEWEST or not np.isfinite(points).all():
        return False
    low, extent = points.min(axis=0), np.ptp(points, axis=0)
    if extent.min() <= 0.2 * extent.max():
        return False
    place = (points - low) / extent
    corner = ((place < 0.25) | (place > 0.75)).all(axis=1)
    octant = (place[corner] > 0.5) @ np.array([1, 2, 4])
    counts = np.bincount(octant, minlength=8)
    return bool(counts.min() >= _FULL * len(points) / 64 and counts.min() > 0)
