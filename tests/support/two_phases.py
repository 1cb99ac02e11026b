"""Cells that are half crystal and half packed at random, and profiles of such cells."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import bulk

from ase_crystalnet import crystals


def two_phases(
    low: float, high: float, *, cells: int = 5, length: int = 20, sigma: float = 0.15, seed: int = 0
) -> Atoms:
    """Aluminium from `low` to `high` along z (Angstrom, across the face if `low` is larger)."""
    rng = np.random.default_rng(seed)
    a = 4.05
    crystal = bulk("Al", cubic=True, a=a) * (cells, cells, length)
    crystal.positions += rng.normal(scale=sigma, size=crystal.positions.shape)
    box = crystal.cell.lengths()
    melt = _packing(box, len(crystal), rng)
    z = crystal.positions[:, 2] % box[2]
    inside = (z - low) % box[2] < (high - low) % box[2]
    outside = (melt[:, 2] - low) % box[2] >= (high - low) % box[2]
    positions = np.concatenate([crystal.positions[inside], melt[outside]])
    atoms = Atoms(f"Al{len(positions)}", positions=positions, cell=box, pbc=True)
    atoms.wrap()
    return atoms


def _packing(box: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """About as many atoms in a box of whole cubes along z, without a lattice."""
    cubes = round(box[2] / box[0])
    one = crystals.random_packing(round(count / cubes), rng=rng)
    one.set_cell(box[[0, 0, 0]], scale_atoms=True)
    return (one * (1, 1, cubes)).positions
