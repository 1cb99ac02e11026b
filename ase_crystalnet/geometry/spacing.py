"""Is a structure in Angstrom, and each of its atoms there once?

Nothing later notices: a window, its lattice and its fingerprint look alike in metres, and atoms
given twice make a crystal with the right symmetry and half the volume an atom.
"""

from __future__ import annotations

import warnings

import numpy as np
from scipy.spatial import cKDTree

from ase_crystalnet._compute.threads import thread_number
from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError
from ase_crystalnet.geometry.neighbors import CellList
from ase_crystalnet.geometry.periodic import SHORTEST, PeriodicSpace

__all__ = ["StructureWarning", "check_pairs", "typical_spacing"]

#: Typical spacings in Angstrom that are taken: nothing that is known is denser or thinner.
SPACINGS = (SHORTEST, 100.0)
#: Below this it may be Angstrom (reduced units), but not of any solid: hydrogen at 500 GPa has 1.0.
LIKE_NANOMETRES = 0.6
#: The typical spacing is the distance of this neighbour: noise moves it less than the first, in a
#: molecular crystal it is another molecule's, and a structure may hold each atom up to four times.
NEIGHBOR = 4
#: Atoms that tell the typical spacing.
SAMPLE = 4096
#: Atoms up to which those at the faces are many, so that images are needed for the spacing.
FEW = 20_000
#: A pair is too near below this share of the typical spacing, and only below this many Angstrom:
#: the bond of hydrogen, 0.74 A, is 0.2 of the distance of its molecules, and less in a gas.
NEAR, NEAR_ANGSTROM = 0.3, 0.65
#: A pair nearer than this share is one atom given twice.
SAME = 0.1
#: Largest share of atoms in pairs that are too near, and in pairs that are the same. Atoms thrown
#: at random have 11 % and 0.4 %; a crystal at sigma 0.15 has less than 1 % and 0.01 %.
MOST_NEAR, MOST_SAME = 0.25, 0.03


class StructureWarning(UserWarning):
    """A structure is analysed, but something about it is probably not as it was meant."""


def typical_spacing(space: PeriodicSpace, positions: Array, workers: int = -1) -> float:
    """Median distance of the fourth neighbour, Angstrom; nan for a lone atom.

    Parameters
    ----------
    space : PeriodicSpace
        The cell.
    positions : (N, 3) float array
        Positions wrapped into the reduced cell, Angstrom.
    workers : int
        Threads of the neighbour search.

    Raises
    ------
    InputError
        If it is no spacing of atoms in Angstrom: more than four atoms at one place, or lengths in
        another unit.
    """
    some = np.arange(0, len(positions), max(len(positions) // SAMPLE, 1))
    images = positions
    if space.pbc.any() and len(positions) < FEW:
        images, _ = space.with_ghosts(positions, _depth(space, len(positions)))
    count = min(NEIGHBOR, len(images) - 1)
    if count == 0:
        return float("nan")
    # Built like this, many points at one place do not slow it.
    tree = cKDTree(images, leafsize=32, balanced_tree=False, compact_nodes=False)
    distance = tree.query(positions[some], k=[count + 1], workers=workers)[0][:, 0]
    crowded = distance == 0.0
    if crowded.any():
        first = int(some[np.argmax(crowded)])
        raise InputError(
            f"at least {count + 1} atoms are at one place, that of atom {first}; expected each "
            "atom once: remove duplicates, for instance with ase.geometry.get_duplicate_atoms"
        )
    spacing = float(np.median(distance))
    low, high = SPACINGS
    if not low <= spacing <= high:
        raise InputError(
            f"expected atoms {low:g} to {high:g} Angstrom apart, got a typical spacing of "
            f"{spacing:.3g}; {_unit(spacing)}"
        )
    if spacing < LIKE_NANOMETRES:
        warnings.warn(
            f"atoms are typically {spacing:.3g} Angstrom apart, nearer than in any solid; if the "
            "lengths are in nanometres, multiply positions and cell by 10",
            StructureWarning,
            stacklevel=4,
        )
    return spacing


def check_pairs(space: PeriodicSpace, positions: Array, spacing: float, workers: int = -1) -> None:
    """Refuse a structure that holds many atoms twice; warn of a few.

    Parameters
    ----------
    space, positions, workers
        As for `typical_spacing`.
    spacing : float
        The typical spacing, Angstrom; nan for a lone atom.

    Raises
    ------
    InputError
        If more than a quarter of the atoms have another nearer than `NEAR` of the spacing, or more
        than `MOST_SAME` of them one nearer than `SAME`. Two of them are named.

    Warns
    -----
    StructureWarning
        If any atom has another nearer than `SAME` of the spacing.
    """
    limit = min(NEAR * spacing, NEAR_ANGSTROM)
    if not limit > 0.0:
        return
    images, source = space.with_ghosts(positions, limit)
    cells = CellList(images, limit, threads=thread_number(workers))
    # The first is the atom itself, or one at the same place.
    found, distances = cells.nearest(positions, 2, limit)
    distance = distances[:, 1]
    near, same = distance < limit, distance <= SAME * spacing
    if not same.any() and near.mean() <= MOST_NEAR:
        return
    one = int(np.argmin(distance))
    other = int(next(k for k in source[found[one]] if k != one))
    pair = f"atoms {min(one, other)} and {max(one, other)} are {distance[one]:.3g} Angstrom apart"
    if near.mean() > MOST_NEAR or same.mean() > MOST_SAME:
        many = near if near.mean() > MOST_NEAR else same
        raise InputError(
            f"{int(many.sum())} of {len(positions)} atoms are there twice: {pair}, at a typical "
            f"spacing of {spacing:.3g}; expected each atom once: remove duplicates, for instance "
            "with ase.geometry.get_duplicate_atoms"
        )
    warnings.warn(
        f"{int(same.sum())} of {len(positions)} atoms have another at nearly the same place "
        f"({pair}, at a typical spacing of {spacing:.3g}); check for atoms that are there twice",
        StructureWarning,
        stacklevel=3,
    )


def _depth(space: PeriodicSpace, count: int) -> float:
    """How far from the cell the fourth neighbour of an atom may be, Angstrom."""
    lengths = np.linalg.norm(space.reduced[space.pbc], axis=1)
    images = 2.0 * float(lengths.min()) * (1 + 1e-9)  # an atom's own images, two on each side
    if not space.pbc.all():
        return images
    volume = abs(float(np.linalg.det(space.reduced))) / count
    return min(images, float((3.0 * NEIGHBOR * volume) ** (1.0 / 3.0)))


def _unit(spacing: float) -> str:
    """What the lengths are probably in, and what to do."""
    for name, angstrom in (("metres", 1e10), ("centimetres", 1e8), ("nanometres", 10.0)):
        if spacing < 1.0 and 0.7 <= spacing * angstrom <= 10.0:
            return f"the lengths look like {name}: multiply positions and cell by {angstrom:g}"
    if 70.0 <= spacing <= 1000.0:
        return "if the lengths are in picometres, multiply positions and cell by 0.01"
    return "convert positions and cell to Angstrom"
