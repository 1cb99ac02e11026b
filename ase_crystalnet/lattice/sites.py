"""Whether the atoms of a cell lie where a structure has them, and where none are.

The peaks of a window span its lattice; the atoms in the cell can then be folded into it, and their
mean places are known to the displacements over the root of the number of cells: 0.01 spacings in
250 atoms at sigma 0.1. That tells structures apart that look alike to a network which has seen few
of the one: alpha uranium, whose lattice is a strained hexagonal one, from hcp, and buckled layers
from flat ones. Species count alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.threads import share
from ase_crystalnet._compute.types import Array
from ase_crystalnet.lattice.finder import Lattices
from ase_crystalnet.lattice.orientation import CENTRING, conventional_setting

__all__ = ["site_misfit", "vacancy_avoidance"]

_ONE = ((0.0, 0.0, 0.0),)
#: Sites of the structures by centring, in their conventional basis. Sites on the axis of a
#: rhombohedral crystal may lie at any height.
_SITES: dict[tuple[str, str], tuple[tuple[float, float, float], ...]] = {
    ("fcc", "F"): _ONE,
    ("bcc", "I"): _ONE,
    ("sc", "P"): _ONE,
    ("bct139", "I"): _ONE,
    ("rh", "R"): _ONE,
    ("diam", "F"): (*_ONE, (1 / 4, 1 / 4, 1 / 4)),
    ("hcp", "P"): (*_ONE, (1 / 3, 2 / 3, 1 / 2)),
    ("bct141", "I"): (*_ONE, (0, 1 / 2, 1 / 4)),
    ("dhcp", "P"): (*_ONE, (1 / 3, 2 / 3, 1 / 4), (0, 0, 1 / 2), (2 / 3, 1 / 3, 3 / 4)),
    ("hexdiam", "P"): (*_ONE, (0, 0, 3 / 8), (1 / 3, 2 / 3, 1 / 2), (1 / 3, 2 / 3, 7 / 8)),
    ("graphite", "P"): (*_ONE, (0, 0, 1 / 2), (1 / 3, 2 / 3, 0), (2 / 3, 1 / 3, 1 / 2)),
    ("graphite", "R"): (*_ONE, (0, 0, 1 / 3)),
}
_MOST_SITES = max(map(len, _SITES.values()))
#: Structures that are lattices, of one atom each; and those with sites of free height.
_LATTICES = ("fcc", "bcc", "sc", "bct139")
_FREE = "rh"


def site_misfit(
    positions: NDArray[np.float32],
    mask: NDArray[np.bool_],
    found: Lattices,
    parent: Array,
    labels: NDArray[np.integer],
    classes: tuple[str, ...],
    *,
    threads: int | None = None,
) -> tuple[Array, Array]:
    """Root mean square distance of mean sites from those of the structures of the windows' names.

    Parameters
    ----------
    positions : (B, N, 3) array
        About the centres of the windows, Angstrom.
    mask : (B, N) bool array
        True for atoms, which come first in each row.
    found : Lattices
        Of these windows; their cells hold the sites.
    parent : (B, 3, 3) array
        Lattices that the structures have: the found ones, or those behind a superlattice.
    labels : (B,) integer array
        Index into `classes`: the structures to compare with.
    classes : tuple of str
    threads : int, optional
        Threads to share the windows; default: numba's number (``NUMBA_NUM_THREADS``).

    Returns
    -------
    misfit, noise : (B,) float64 arrays
        In nearest-neighbour distances: the distance, with what the displacements make of it on
        average taken off, and that part. 0 of windows whose sites are given by the lattice, and of
        those whose sites are not as many as the structure's or not those of one crystal; nan
        without a lattice and where the class has no sites of its own.
    """
    from ase_crystalnet.lattice._kernels.misfit import misfit_batch  # compiled on first use

    result = np.full((2, len(positions)), np.nan)
    names = np.array(classes)[labels]
    volumes = np.abs(np.linalg.det(np.nan_to_num(np.stack([found.lattice, parent]))))
    there = np.isin(names, sorted({name for name, _ in _SITES})) & (volumes > 0).all(axis=0)
    result[:, there] = 0.0
    # One site in the cell of the parent itself is where it should be.
    several = ~np.isin(names, _LATTICES) | (volumes[0] > 1.5 * volumes[1])
    rows = np.flatnonzero(there & several)
    setting = conventional_setting(parent[rows], labels[rows], classes)
    sites = [
        np.array(_SITES[name, centring]) @ vectors
        for name, centring, vectors in zip(
            names[rows], setting.centring, setting.vectors, strict=True
        )
    ]
    amount = np.array([len(own) for own in sites], np.int64)
    ideal = np.zeros((len(rows), _MOST_SITES, 3))
    for place, own in enumerate(sites):
        ideal[place, : len(own)] = own
    lattice = np.array(parent[rows], np.float64)
    axis = np.zeros((len(rows), 3))
    free = np.flatnonzero(names[rows] == _FREE)
    axis[free], lattice[free] = _lines(setting.vectors[free])
    given = (
        np.ascontiguousarray(positions[rows], np.float64),
        np.count_nonzero(mask[rows], axis=1),
        found.lattice[rows],
        lattice,
        axis,
        found.nearest_neighbor_distance[rows],
        np.nan_to_num(found.mean_square_displacement[rows]),
        ideal,
        amount,
        np.where(names[rows] == _FREE, 0, np.rint(volumes[0, rows] / volumes[1, rows])).astype(int),
    )
    misfit, noise = np.zeros(len(rows)), np.zeros(len(rows))

    def part(start: int, stop: int) -> None:
        misfit_batch(*given, start, stop, misfit, noise)

    share(part, len(rows), threads)
    result[:, rows] = misfit, noise
    return result[0], result[1]


def vacancy_avoidance(
    positions: NDArray[np.float32],
    mask: NDArray[np.bool_],
    lattice: Array,
    spacing: Array,
    *,
    threads: int | None = None,
) -> Array:
    """How far empty sites avoid each other: fewer empty pairs of near sites than chance makes.

    In Ni2Al3 every third site of one kind is empty, none of them next to another. The peaks are
    those of bcc with weak ones between, which a parent lattice leaves out; atoms taken out at
    random give the same density. Vacancies that gather (a pore, a surface) do not count.

    Parameters
    ----------
    positions : (B, N, 3) float array
        About the centres of the windows, Angstrom.
    mask : (B, N) bool array
        True for atoms, which come first in each row.
    lattice : (B, 3, 3) float64 array
        Lattices that are looked for empty sites; none of them nan.
    spacing : (B,) float64 array
        Nearest-neighbour distances, Angstrom.
    threads : int, optional
        Threads to share the windows; default: numba's number (``NUMBA_NUM_THREADS``).

    Returns
    -------
    (B,) float64 array
        (seen - expected) / sqrt(expected) of the pairs, the least of all ranges of distance;
        0 where none is short of pairs. Of empty sites at random it is above -4.
    """
    from ase_crystalnet.lattice._kernels.vacancies import avoidance_batch  # compiled on first use

    result = np.zeros(len(positions))
    given = (
        np.ascontiguousarray(positions, np.float64),
        np.count_nonzero(mask, axis=1),
        np.ascontiguousarray(lattice),
        np.ascontiguousarray(spacing),
    )

    def part(start: int, stop: int) -> None:
        avoidance_batch(*given, start, stop, result)

    share(part, len(result), threads)
    return result


def _lines(vectors: Array) -> tuple[Array, Array]:
    """Axes (B, 3) of rhombohedral crystals, and lattices whose points are alike along them.

    Through the points of the lattice go lines along the axis; the places of these in the plane
    normal to it make a lattice of their own.
    """
    axis = vectors[:, 2] / np.linalg.norm(vectors[:, 2], axis=1, keepdims=True)
    plane = CENTRING["R"][:2, :2] @ vectors[:, :2]
    plane -= np.einsum("bki,bi->bk", plane, axis)[..., None] * axis[:, None]
    return axis, np.concatenate([plane, vectors[:, 2:]], axis=1)
