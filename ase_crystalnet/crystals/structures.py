"""Small structures with known answers: unit cells, noisy supercells and clusters, packings.

Everything random is drawn from a seed or a Generator that is passed in, so a test that uses these
gives the same numbers every time. The prototypes and the packing are those of the training.
"""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from ase_crystalnet.classes import VOCABULARY
from ase_crystalnet.crystals import disordered
from ase_crystalnet.crystals import sampling as crystals
from ase_crystalnet.errors import InputError

__all__ = [
    "bcc",
    "bct139",
    "bct141",
    "diamond",
    "fcc",
    "hcp",
    "random_cluster",
    "random_packing",
    "rotated",
    "sc",
    "supercell",
    "unit_cell",
]

#: c/a of hcp made of touching balls.
IDEAL_HCP = float(np.sqrt(8.0 / 3.0))


def _crystal(name: str, *parameters: float, distance: float) -> Atoms:
    """Prototype of the training whose nearest neighbours are `distance` apart."""
    cell, sites = crystals.prototype(name, *parameters)
    return Atoms(f"Cu{len(sites)}", cell=distance * cell, scaled_positions=sites, pbc=True)


def fcc(distance: float = 2.5) -> Atoms:
    """Face-centred cubic conventional cell (4 atoms); `distance` to the nearest neighbour, A."""
    return _crystal("fcc", distance=distance)


def bcc(distance: float = 2.5) -> Atoms:
    """Body-centred cubic conventional cell (2 atoms)."""
    return _crystal("bcc", distance=distance)


def sc(distance: float = 2.5) -> Atoms:
    """Simple cubic cell (1 atom)."""
    return _crystal("sc", distance=distance)


def diamond(distance: float = 2.5) -> Atoms:
    """Cubic diamond conventional cell (8 atoms)."""
    return _crystal("diam", distance=distance)


def hcp(c_over_a: float = IDEAL_HCP, distance: float = 2.5) -> Atoms:
    """Hexagonal close-packed cell (2 atoms)."""
    return _crystal("hcp", c_over_a, distance=distance)


def bct139(c_over_a: float, distance: float = 2.5) -> Atoms:
    """Body-centred tetragonal cell of space group 139 (2 atoms); 1 is bcc, sqrt(2) is fcc."""
    return _crystal("bct139", c_over_a, distance=distance)


def bct141(c_over_a: float, distance: float = 2.5) -> Atoms:
    """Tetragonal cell of space group 141, beta-Sn (4 atoms); sqrt(2) is diamond, Sn 0.5456."""
    return _crystal("bct141", c_over_a, distance=distance)


def unit_cell(name: str) -> Atoms:
    """Cell of a class by its name: bct139, bct141, hex/rh, sc, fcc, diam or bcc.

    Raises
    ------
    InputError
        If the name is none of these.
    """
    cells = {known: entry.cell for known, entry in VOCABULARY.items()}
    prototype = cells.get(name)
    if prototype is None:
        there = ", ".join(known for known, cell in cells.items() if cell is not None)
        raise InputError(f"crystal {name!r} is unknown; expected one of {there}")
    return _crystal(prototype[0], *prototype[1], distance=2.5)


def nearest_distance(atoms: Atoms) -> float:
    """Smallest distance between two atoms of a crystal or cluster, Angstrom."""
    block = atoms.repeat([3 if periodic else 1 for periodic in atoms.pbc])
    return float(cKDTree(block.positions).query(block.positions, k=[2])[0].min())


def supercell(
    cell: Atoms,
    atoms: int = 2000,
    *,
    sigma: float = 0.0,
    vacancies: float = 0.0,
    rng: np.random.Generator | int = 0,
) -> Atoms:
    """Nearly cubic periodic supercell with Gaussian displacements and random vacancies.

    Parameters
    ----------
    cell : ase.Atoms
        Unit cell.
    atoms : int
        About how many atoms before vacancies; at least one cell.
    sigma : float
        Standard deviation of a displacement per component, in nearest-neighbour distances.
    vacancies : float
        Share of atoms taken away, 0 to 1.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed.
    """
    rng = np.random.default_rng(rng)
    lengths = np.asarray(cell.cell.lengths())
    edge = (atoms / len(cell) * cell.get_volume()) ** (1.0 / 3.0)
    result = cell.repeat(np.maximum(np.rint(edge / lengths).astype(int), 1).tolist())
    result.positions += rng.normal(size=(len(result), 3)) * sigma * nearest_distance(cell)
    return _selected(result, rng.random(len(result)) >= vacancies)


def rotated(atoms: Atoms, rng: np.random.Generator | int = 0) -> tuple[Atoms, Rotation]:
    """Copy turned at random about the origin, with its cell, and the rotation that did it."""
    rotation = Rotation.random(random_state=np.random.default_rng(rng))
    turned = atoms.copy()
    turned.set_cell(rotation.apply(atoms.cell.array))
    turned.positions = rotation.apply(atoms.positions)
    return turned, rotation


def _selected(atoms: Atoms, keep: NDArray[np.bool_]) -> Atoms:
    chosen: Atoms = atoms[keep]
    return chosen


def random_cluster(
    cell: Atoms,
    radius: float,
    *,
    sigma: float = 0.0,
    vacancies: float = 0.0,
    rng: np.random.Generator | int = 0,
) -> tuple[Atoms, Rotation]:
    """Spherical cluster of a crystal about a random point, in random orientation.

    Parameters
    ----------
    cell : ase.Atoms
        Unit cell.
    radius : float
        Angstrom.
    sigma, vacancies, rng
        As for :func:`supercell`.

    Returns
    -------
    cluster : ase.Atoms
        Without cell, centred on the origin.
    rotation : scipy.spatial.transform.Rotation
        From the cell's axes to the cluster's.
    """
    rng = np.random.default_rng(rng)
    heights = 1.0 / np.linalg.norm(cell.cell.reciprocal().array, axis=1)
    repeat = np.ceil(2 * radius / heights).astype(int) + 2
    block = cell.repeat(repeat.tolist())
    centre = (repeat / 2.0 + rng.random(3) - 0.5) @ cell.cell.array
    offset = block.positions - centre
    keep = np.linalg.norm(offset, axis=1) <= radius
    rotation = Rotation.random(random_state=rng)
    positions = rotation.apply(offset[keep])
    positions += rng.normal(size=positions.shape) * sigma * nearest_distance(cell)
    cluster = Atoms(numbers=block.numbers[keep], positions=positions)
    return _selected(cluster, rng.random(len(cluster)) >= vacancies), rotation


def random_packing(
    atoms: int = 2000,
    *,
    density: float = 1.2,
    distance: float = 2.5,
    rng: np.random.Generator | int = 0,
) -> Atoms:
    """Periodic amorphous packing: random points pushed apart until none is much too near.

    Parameters
    ----------
    atoms : int
        Number of atoms.
    density : float
        Atoms in a cube whose edge is `distance`; 1.2 is like a liquid metal, fcc has 1.414.
    distance : float
        Distance below which atoms repel, Angstrom.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed.
    """
    points, cell = disordered.random_packing(
        density, np.random.default_rng(rng), atoms=atoms, sweeps=80
    )
    return Atoms(f"Cu{atoms}", positions=distance * points, cell=distance * cell, pbc=True)
