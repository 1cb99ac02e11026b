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
#: Share of the atoms outside the ellipsoid in the box around them; in a full box it is 0.48.
_OUTSIDE = 0.3


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
    """Whether atoms lie in the corners of the box around them: in a sphere there are none."""
    points = atoms.positions
    if len(points) < _FEWEST or not np.isfinite(points).all():
        return False
    extent = np.ptp(points, axis=0)
    if not (extent > 0).all():
        return False
    place = 2.0 * (points - points.min(axis=0)) / extent - 1.0
    return float(((place**2).sum(axis=1) > 1.0).mean()) > _OUTSIDE
