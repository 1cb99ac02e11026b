"""Windows without a lattice: liquids and glasses of molecular dynamics, packings, gases."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from ase_crystalnet._compute.types import Array
from ase_crystalnet.crystals.sampling import (
    Disorder,
    cut_crystal,
    random_ball,
    sample_crystal,
)

__all__ = ["cut_displaced_crystal", "cut_gas", "random_packing"]


def random_packing(
    density: float, rng: np.random.Generator, *, atoms: int = 1500, sweeps: int = 80
) -> tuple[Array, Array]:
    """Soft spheres of diameter 1 pushed apart in a periodic cube: positions and cell.

    Parameters
    ----------
    density : float
        Spheres per cubed diameter; 1.2 is dense random packing.
    rng : numpy.random.Generator
    atoms, sweeps : int
        Size of the sample; relaxation steps (fewer leave more overlap).
    """
    length = (atoms / density) ** (1 / 3)
    points = rng.random((atoms, 3)) * length
    for _ in range(sweeps):
        pairs = cKDTree(points, boxsize=length).query_pairs(1.0, output_type="ndarray")
        if len(pairs) == 0:
            break
        d = points[pairs[:, 0]] - points[pairs[:, 1]]
        d -= length * np.rint(d / length)
        r = np.linalg.norm(d, axis=1, keepdims=True) + 1e-9
        push = 0.3 * (1 - r) / r * d
        np.add.at(points, pairs[:, 0], push)
        np.add.at(points, pairs[:, 1], -push)
        points %= length
        points[points == length] = 0.0
    return points, np.eye(3) * length


def cut_gas(atoms: int, rng: np.random.Generator) -> Array:
    """A ball of independent random points at density 1."""
    return random_ball(rng.poisson(atoms), (3 * atoms / (4 * np.pi)) ** (1 / 3), rng)


def cut_displaced_crystal(
    atoms: int,
    vacancy_fraction: float,
    rng: np.random.Generator,
    *,
    sigma: tuple[float, float] = (0.3, 0.6),
) -> Array:
    """A crystal displaced so far that no lattice is left to see.

    In open structures the lowest reflection outlives a sigma of 0.3, so sigma grows with the
    spacing of the atoms.
    """
    label = ("bct139", "bct141", "hex/rh", "sc", "fcc", "diam", "bcc")[rng.integers(7)]
    crystal = sample_crystal(label, rng)
    spread = rng.uniform(*sigma) * max(1.0, crystal.density ** (-1 / 3))
    return cut_crystal(
        crystal, atoms, Disorder(sigma=spread, vacancy_fraction=vacancy_fraction), rng
    )
