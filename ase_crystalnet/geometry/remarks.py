"""Remarks on structures whose windows cannot answer well: molecules, and cells beyond a window.

A window sees all atoms alike. In a molecular crystal the atoms of a molecule blur its lattice, and
a window that is smaller than the cell shows no period.
"""

from __future__ import annotations

import warnings

import numpy as np
from ase import Atoms
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet._compute.types import Array
from ase_crystalnet.geometry.periodic import PeriodicSpace
from ase_crystalnet.geometry.spacing import StructureWarning

__all__ = ["remark_large_cell", "remark_molecules"]

#: Bonds of molecules are shorter than this share of the typical spacing, or of the commonest
#: distance between neighbours of different molecules.
BOND = 0.62
#: No pairs, or this share of the bonds, may be so many times longer than a bond: molecules are
#: told from glasses and hot crystals by the gap between bonds and the rest.
GAP, IN_GAP = (1.12, 1.3), 0.1
#: Share of the atoms that are bonded in molecules, and atoms of a molecule at most.
MOST, LARGEST = 0.6, 60
#: Atoms looked at: a box around one atom, with what it has in a large structure.
SAMPLE = 20_000
#: Fewest bonds an atom in molecules, and atoms of a large structure that are asked first.
LEAST_BONDS, FEW_BONDED = 0.3, 4000
#: Atoms up to which symmetry is asked for, and tolerance of positions, Angstrom.
FEW, SYMPREC = 600, 0.05
#: Cells that a window has to hold to see a period: an atom on each side, roughly.
CELLS = 2.0


def remark_molecules(space: PeriodicSpace, positions: Array, spacing: float, atoms: Atoms) -> bool:
    """Say that a structure is made of molecules, and what to choose of it.

    Parameters
    ----------
    space : PeriodicSpace
    positions : (N, 3) array
        Wrapped into the reduced cell, Angstrom.
    spacing : float
        The typical spacing, Angstrom.
    atoms : ase.Atoms
        For the names of the species.

    Returns
    -------
    bool
        Whether it was said.

    Warns
    -----
    StructureWarning
        Most atoms are bonded to few others, by bonds far shorter than the rest.
    """
    limit = BOND * spacing
    if not limit > 0.0 or len(positions) < 2 or len(positions) > 20 * SAMPLE:
        return False
    images, source = space.with_ghosts(positions, GAP[1] * limit)
    if len(positions) > SAMPLE:
        # Of a large structure a few atoms say that there are no molecules.
        tree = cKDTree(images, leafsize=32, balanced_tree=False, compact_nodes=False)
        some = positions[:: len(positions) // FEW_BONDED]
        bonds_each = (tree.query_ball_point(some, limit, return_length=True) - 1).mean() / 2
        if bonds_each < 0.5 * LEAST_BONDS:
            return False
    pairs = cKDTree(images).query_pairs(GAP[1] * limit, output_type="ndarray")
    pairs = pairs[(pairs < len(positions)).any(axis=1)]
    distance = np.linalg.norm(images[pairs[:, 0]] - images[pairs[:, 1]], axis=1)
    bonds = distance < limit
    if bonds.sum() < LEAST_BONDS * len(positions):
        return False
    longest = float(np.percentile(distance[bonds], 95))
    between = (distance > GAP[0] * longest) & (distance < GAP[1] * longest)
    if between.sum() > IN_GAP * bonds.sum():
        return False
    ends = source[pairs[bonds]]
    count = len(positions)
    graph = coo_matrix((np.ones(len(ends)), ends.T), shape=(count, count))
    _, molecule = connected_components(graph, directed=False)
    sizes = np.bincount(molecule)
    inside = (sizes[molecule] > 1) & (sizes[molecule] <= LARGEST)
    if inside.mean() < MOST:
        return False
    numbers = np.asarray(atoms.numbers)
    choice = _choice(numbers[inside], int((np.bincount(molecule[inside]) > 0).sum()), atoms)
    warnings.warn(
        f"atoms are bonded in molecules (bonds of {longest:.1f} Angstrom, the rest is {spacing:.1f}"
        f" apart): their windows show the molecule, not the crystal; {choice}",
        StructureWarning,
        stacklevel=3,
    )
    return True


def _choice(numbers: Array, molecules: int, atoms: Atoms) -> str:
    """What to choose: an element that each molecule has once, else the commonest heavy one."""
    from ase.data import chemical_symbols

    different, counts = np.unique(numbers, return_counts=True)
    heavy = different > 1
    if not heavy.any() or len(different) == 1:
        return "choose one atom of each molecule (only=... with a mask of atoms)"
    off = np.abs(counts - molecules) + np.where(heavy, 0, len(numbers))
    best = int(different[np.argmin(off)])
    if "type" in atoms.arrays and not atoms.arrays.get("name", np.empty(0)).size:
        kind = int(np.asarray(atoms.arrays["type"])[np.asarray(atoms.numbers) == best][0])
        return f"choose one atom of each, for instance --select 'type {kind}' (only='type {kind}')"
    symbol = chemical_symbols[min(best, 118)]
    return (
        f"choose one atom of each, for instance --select 'element {symbol}' "
        f"(only='element {symbol}')"
    )


def remark_large_cell(atoms: Atoms, window_atoms: int) -> bool:
    """Say that a window does not hold the primitive cell of a structure.

    Only small structures are asked: those of many cells, at a temperature, do not tell.

    Returns
    -------
    bool
        Whether it was said.

    Warns
    -----
    StructureWarning
        A window holds fewer than `CELLS` primitive cells.
    """
    count = len(atoms)
    if not atoms.pbc.all() or count > FEW or count * CELLS <= window_atoms:
        return False
    import spglib

    scaled = atoms.get_scaled_positions()
    cell = (atoms.cell.tolist(), scaled.tolist(), atoms.numbers.tolist())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = answer_of(spglib.get_symmetry_dataset, cell, symprec=SYMPREC)
        except Exception:  # its errors differ from version to version
            found = None
    if found is None or found.number == 1:
        return False
    primitive = len(np.unique(found.mapping_to_primitive))
    if primitive * CELLS <= window_atoms:
        return False
    warnings.warn(
        f"the primitive cell has {primitive} atoms, a window {window_atoms}: it cannot show the "
        "period of this crystal, and its class is that of the order within; take a larger "
        "window_atoms, or choose a sublattice (only=..., --select)",
        StructureWarning,
        stacklevel=3,
    )
    return True
