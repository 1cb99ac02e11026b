"""Stored frames of liquids and crystals, from which windows are cut."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ase_crystalnet._compute.types import Array

__all__ = ["Pool", "load_frames", "load_pools"]


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
    return [
        Pool.of(path.stem, frame.positions, frame.cell.array)
        for path in files
        for frame in load_frames(path)
    ]


def load_frames(path: Path) -> list[Atoms]:
    """Read frames of one run (`ase_crystalnet.training.md.run.save_frames` writes them)."""
    with np.load(path, allow_pickle=False) as data:
        infos = json.loads(str(data["info"]))
        positions: NDArray[np.float32] = data["positions"]
        frames = [
            Atoms(data["numbers"], positions[k], cell=data["cell"][k], pbc=data["pbc"][k])
            for k in range(len(positions))
        ]
    for frame, info in zip(frames, infos, strict=True):
        frame.info.update(info)
    return frames
