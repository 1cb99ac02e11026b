"""Molecular crystals made on the spot."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.neighborlist import neighbor_list
from ase.spacegroup import crystal

__all__ = ["ice"]


def ice(size: tuple[int, int, int] = (3, 3, 2)) -> Atoms:
    """Hexagonal ice: each oxygen has four others, and two hydrogens or nearly so."""
    cell = [4.51, 4.51, 7.35, 90, 90, 120]
    oxygen = crystal("O", [(1 / 3, 2 / 3, 0.0625)], spacegroup=194, cellpar=cell) * size
    hydrogens, given = [], np.zeros(len(oxygen), int)
    for i, j, vector in zip(*neighbor_list("ijD", oxygen, 3.0), strict=True):
        if i < j:
            owner, toward = (i, vector) if given[i] <= given[j] else (j, -vector)
            given[owner] += 1
            hydrogens.append(oxygen.positions[owner] + 0.98 * toward / np.linalg.norm(toward))
    return oxygen + Atoms(f"H{len(hydrogens)}", hydrogens)
