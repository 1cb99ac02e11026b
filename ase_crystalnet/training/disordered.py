"""Windows without a lattice: liquids and glasses of molecular dynamics, packings, gases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ase_crystalnet.training.crystals import Disorder, cut_crystal, random_ball, sample_crystal

__all__ = ["Pool", "cut_displaced_crystal", "cut_gas", "load_pools", "random_packing"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pool:
    """A periodic sample, repeated so that any window fits, from which windows are cut.

    Attributes
    ----------
    name : str
    tree : cKDTree
        27 copies of the sample.
    points : (27 N, 3) array
    inner : (N,) int array
        The middle copy.
    density : float
        Atoms per volume.
    """

    name: str
    tree: cKDTree
    points: Array
    inner: NDArray[np.intp]
    density: float

    @classmethod
    def of(cls, name: str, positions: Array, cell: Array) -> Pool:
        """Pool of a periodic sample; positions (N, 3) and cell (3, 3) in any unit of length."""
        shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3, indexing="ij"), -1).reshape(-1, 3) @ cell
        points = (positions + shifts[:, None]).reshape(-1, 3)
        inner = np.arange(len(positions)) + 13 * len(positions)
        density = len(positions) / abs(np.linalg.det(cell))
        return cls(name, cKDTree(points), points, inner, density)

    def cut(
        self, atoms: int, vacancy_fraction: float, rng: np.random.Generator, *, on_atom: bool
    ) -> Array:
        """A window (n, 3) of about `atoms` atoms after a share of them is removed."""
        radius = (3 * atoms / (4 * np.pi * self.density * (1 - vacancy_fraction))) ** (1 / 3)
        centre = self.points[rng.choice(self.inner)]
        if not on_atom:
            centre = centre + rng.normal(scale=0.5 * self.density ** (-1 / 3), size=3)
        found = np.sort(self.tree.query_ball_point(centre, radius))
        window = self.points[found] - centre
        result: Array = window[rng.random(len(window)) >= vacancy_fraction]
        return result


def load_pools(files: Sequence[Path]) -> list[Pool]:
    """Pools of every frame of molecular dynamics files (`ase_crystalnet.training.md`)."""
    from ase_crystalnet.training.md import load_frames

    return [
        Pool.of(path.stem, frame.positions, frame.cell.array)
        for path in files
        for frame in load_frames(path)
    ]


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


def cut_displaced_crystal(atoms: int, vacancy_fraction: float, rng: np.random.Generator) -> Array:
    """A crystal displaced so far (sigma 0.3 to 0.6) that no lattice is left to see.

    In open structures the lowest reflection outlives a sigma of 0.3, so sigma grows with the
    spacing of the atoms.
    """
    label = ("bct139", "bct141", "hex/rh", "sc", "fcc", "diam", "bcc")[rng.integers(7)]
    crystal = sample_crystal(label, rng)
    sigma = rng.uniform(0.3, 0.6) * max(1.0, crystal.density ** (-1 / 3))
    return cut_crystal(
        crystal, atoms, Disorder(sigma=sigma, vacancy_fraction=vacancy_fraction), rng
    )
