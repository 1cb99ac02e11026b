"""Periodic polycrystals with known grains."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ase_crystalnet.crystals.structures import nearest_distance
from ase_crystalnet.errors import InputError

__all__ = ["polycrystal"]

#: Atoms nearer to each other than this share of the nearest-neighbour distance, where grains meet,
#: are one too many.
TOO_NEAR = 0.75


def polycrystal(
    cell: Atoms,
    atoms: int = 20_000,
    grains: int = 8,
    *,
    sigma: float = 0.0,
    rng: np.random.Generator | int = 0,
    rotations: Rotation | None = None,
) -> tuple[Atoms, NDArray[np.int64], Rotation]:
    """Voronoi polycrystal in a periodic cube.

    Parameters
    ----------
    cell : ase.Atoms
        Unit cell.
    atoms : int
        About how many.
    grains : int
        Number of grains, 1 or more; their seeds are drawn uniformly.
    sigma : float
        Standard deviation of a displacement per component, in nearest-neighbour distances.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed.
    rotations : Rotation, optional
        Of the grains, from the axes of the cell to those of the sample; drawn by default.

    Returns
    -------
    atoms : ase.Atoms
    grain : (N,) int64 array
        The grain of each atom, from 0.
    rotations : Rotation

    Raises
    ------
    InputError
        There is no grain.
    """
    if grains < 1:
        raise InputError(f"grains is {grains}; expected 1 or more")
    rng = np.random.default_rng(rng)
    edge = float((atoms / len(cell) * cell.get_volume()) ** (1 / 3))
    seeds = rng.random((grains, 3)) * edge
    rotations = Rotation.random(grains, random_state=rng) if rotations is None else rotations
    tree = cKDTree(seeds, boxsize=edge)
    distance = nearest_distance(cell)
    reach = edge * np.sqrt(0.75)
    heights = 1.0 / np.linalg.norm(cell.cell.reciprocal().array, axis=1)
    repeat = (2 * np.ceil(reach / heights) + 1).astype(int)
    block = cell.repeat(repeat.tolist())
    middle = block.cell.array.sum(axis=0) / 2
    kept, owner, numbers = [], [], []
    for number in range(grains):
        shift = rng.random(3) @ cell.cell.array
        points = rotations[number].apply(block.positions - middle + shift) + seeds[number]
        # Of all images of the seed its own, within half an edge of it, so that none comes twice.
        mine = tree.query(points % edge)[1] == number
        mine &= (np.abs(points - seeds[number]) <= edge / 2).all(axis=1)
        kept.append(points[mine] % edge)
        owner.append(np.full(int(mine.sum()), number))
        numbers.append(block.numbers[mine])
    positions, grain = np.concatenate(kept), np.concatenate(owner)
    near = cKDTree(positions, boxsize=edge).query_pairs(TOO_NEAR * distance, output_type="ndarray")
    keep = np.ones(len(positions), bool)
    keep[near[grain[near[:, 0]] != grain[near[:, 1]], 1]] = False
    result = Atoms(
        numbers=np.concatenate(numbers)[keep],
        positions=positions[keep],
        cell=[edge] * 3,
        pbc=True,
    )
    result.positions += rng.normal(size=(len(result), 3)) * sigma * distance
    return result, grain[keep], rotations
