"""Small structures with known answers: unit cells, noisy supercells and clusters, packings.

Everything random is drawn from a seed or a Generator that is passed in, so a test that uses these
gives the same numbers every time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

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
#: Face-centred motif.
FACES = np.array([[0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]])


def _crystal(cell: NDArray[np.float64], scaled: NDArray[np.float64], distance: float) -> Atoms:
    """Crystal scaled so that its nearest neighbours are `distance` apart."""
    atoms = Atoms(f"Cu{len(scaled)}", cell=cell, scaled_positions=scaled, pbc=True)
    block = atoms.repeat((3, 3, 3))
    inside = block.positions - block.positions[13 * len(atoms)]
    nearest = np.sort(np.linalg.norm(inside, axis=1))[1]
    atoms.set_cell(cell * distance / nearest, scale_atoms=True)
    return atoms


def fcc(distance: float = 2.5) -> Atoms:
    """Face-centred cubic conventional cell (4 atoms); `distance` to the nearest neighbour, A."""
    return _crystal(np.eye(3), FACES, distance)


def bcc(distance: float = 2.5) -> Atoms:
    """Body-centred cubic conventional cell (2 atoms)."""
    return bct139(1.0, distance)


def sc(distance: float = 2.5) -> Atoms:
    """Simple cubic cell (1 atom)."""
    return _crystal(np.eye(3), np.zeros((1, 3)), distance)


def diamond(distance: float = 2.5) -> Atoms:
    """Cubic diamond conventional cell (8 atoms)."""
    return _crystal(np.eye(3), np.concatenate([FACES, FACES + 0.25]), distance)


def hcp(c_over_a: float = IDEAL_HCP, distance: float = 2.5) -> Atoms:
    """Hexagonal close-packed cell (2 atoms)."""
    cell = np.array([[1.0, 0, 0], [-0.5, np.sqrt(0.75), 0], [0, 0, c_over_a]])
    return _crystal(cell, np.array([[0, 0, 0], [1 / 3, 2 / 3, 0.5]]), distance)


def bct139(c_over_a: float, distance: float = 2.5) -> Atoms:
    """Body-centred tetragonal cell of space group 139 (2 atoms); 1 is bcc, sqrt(2) is fcc."""
    return _crystal(np.diag([1.0, 1.0, c_over_a]), np.array([[0, 0, 0], [0.5, 0.5, 0.5]]), distance)


def bct141(c_over_a: float, distance: float = 2.5) -> Atoms:
    """Tetragonal cell of space group 141, beta-Sn (4 atoms); sqrt(2) is diamond, Sn 0.5456."""
    scaled = np.array([[0, 0, 0], [0, 0.5, 0.25], [0.5, 0.5, 0.5], [0.5, 0, 0.75]])
    return _crystal(np.diag([1.0, 1.0, c_over_a]), scaled, distance)


#: One cell of every crystal class of the local model, at a typical parameter.
_CELLS: dict[str, Callable[[], Atoms]] = {
    "bct139": lambda: bct139(1.2),
    "bct141": lambda: bct141(0.5456),
    "hex/rh": hcp,
    "sc": sc,
    "fcc": fcc,
    "diam": diamond,
    "bcc": bcc,
}


def unit_cell(name: str) -> Atoms:
    """Cell of a class by its name: bct139, bct141, hex/rh, sc, fcc, diam or bcc.

    Raises
    ------
    InputError
        If the name is none of these.
    """
    if name not in _CELLS:
        raise InputError(f"crystal {name!r} is unknown; expected one of {', '.join(_CELLS)}")
    return _CELLS[name]()


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
    rng = np.random.default_rng(rng)
    edge = (atoms / density) ** (1.0 / 3.0) * distance
    points = rng.random((atoms, 3)) * edge
    for _ in range(200):
        pairs = cKDTree(points, boxsize=edge).query_pairs(distance, output_type="ndarray")
        apart = points[pairs[:, 0]] - points[pairs[:, 1]]
        apart -= edge * np.rint(apart / edge)
        length = np.maximum(np.linalg.norm(apart, axis=1, keepdims=True), 1e-9)
        push = 0.25 * (distance - length) * apart / length
        np.add.at(points, pairs[:, 0], push)
        np.subtract.at(points, pairs[:, 1], push)
        points %= edge
        points[points >= edge] = 0.0  # -1e-17 % edge rounds to edge itself
        if len(pairs) == 0 or float(length.min()) > 0.85 * distance:
            break
    return Atoms(f"Cu{atoms}", positions=points, cell=[edge] * 3, pbc=True)
