"""Structures of other programs where Atoms are expected: pymatgen, MDAnalysis, OVITO.

Nothing of them is imported: an object tells by its type where it comes from, and has then brought
its package with it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms

from ase_crystalnet.errors import InputError
from ase_crystalnet.io.trajectories.species import NAME, numbers_of

__all__ = ["as_atoms"]


def as_atoms(structure: Any) -> Atoms:
    """Atoms of a structure, whoever made it.

    Parameters
    ----------
    structure : ase.Atoms, or of pymatgen, MDAnalysis or OVITO
        ``Structure`` and ``Molecule``, ``AtomGroup`` and ``Universe`` (the present frame),
        ``DataCollection`` and ``Pipeline`` (its first frame); rows of ASE's databases.

    Returns
    -------
    ase.Atoms
        The same object if it is one.

    Raises
    ------
    InputError
        It is none of these.
    """
    if isinstance(structure, Atoms):
        return structure
    packages = {each.__module__.partition(".")[0] for each in type(structure).__mro__}
    if "ovito" in packages:
        return _of_ovito(structure)
    if "MDAnalysis" in packages:
        return _of_mdanalysis(structure)
    if hasattr(structure, "cart_coords") and hasattr(structure, "species_and_occu"):
        return _of_pymatgen(structure)
    if hasattr(structure, "toatoms"):
        row: Atoms = structure.toatoms()
        return row
    if hasattr(structure, "positions") and hasattr(structure, "dimensions"):
        return _of_mdanalysis(structure)
    raise InputError(
        f"expected ase.Atoms, a Structure of pymatgen, an AtomGroup of MDAnalysis or a "
        f"DataCollection of OVITO, got {type(structure).__name__}; files are read by net.run(...)"
    )


def _of_pymatgen(structure: Any) -> Atoms:
    """Sites with their most frequent element; a deuterium or a dummy by its first letters."""
    names = []
    for occupation in structure.species_and_occu:
        shares = dict(occupation.items())
        names.append(str(getattr(max(shares, key=shares.__getitem__), "symbol", "X")))
    lattice = getattr(structure, "lattice", None)
    atoms = Atoms(
        numbers=numbers_of(names)[0],
        positions=np.asarray(structure.cart_coords, float).reshape(-1, 3),
        cell=None if lattice is None else np.asarray(lattice.matrix, float),
        pbc=False if lattice is None else getattr(lattice, "pbc", True),
    )
    return atoms


def _of_mdanalysis(group: Any) -> Atoms:
    from ase.cell import Cell

    group = getattr(group, "atoms", group)
    dimensions = getattr(group, "dimensions", None)
    names = None
    for key in ("elements", "names", "types"):
        # Of a universe without that attribute, asking for it is an error.
        values = getattr(group, key, None)
        if values is not None and all(str(value) for value in values):
            names = [str(value) for value in values]
            break
    positions = np.array(group.positions, float)
    atoms = Atoms(
        numbers=np.ones(len(positions), int) if names is None else numbers_of(names)[0],
        positions=positions,
    )
    if dimensions is not None and np.all(np.asarray(dimensions)[:3] > 0):
        atoms.cell = Cell.new(np.asarray(dimensions, float))
        atoms.pbc = True
    named = getattr(group, "names", None)
    if named is not None:
        atoms.arrays[NAME] = np.asarray([str(name) for name in named])
    return atoms


def _of_ovito(data: Any) -> Atoms:
    if hasattr(data, "compute") and not hasattr(data, "particles"):
        data = data.compute()
    particles = getattr(data, "particles", None)
    if particles is None or particles.positions is None:
        raise InputError("expected a DataCollection of OVITO with particles, got one without")
    types = particles.particle_types
    numbers, names = np.ones(particles.count, int), None
    if types is not None:
        ids = np.asarray(types)
        named = {each.id: each.name or str(each.id) for each in types.types}
        names = [named.get(kind, str(kind)) for kind in ids.tolist()]
        numbers = numbers_of(names)[0]
    atoms = Atoms(numbers=numbers, positions=np.array(particles.positions, float))
    if data.cell is not None:
        matrix = np.array(data.cell[...], float)
        atoms.cell = matrix[:, :3].T
        atoms.pbc = list(data.cell.pbc)
        atoms.set_celldisp(matrix[:, 3])
    if types is not None and names is not None:
        atoms.arrays["type"] = np.array(types)
        atoms.arrays[NAME] = np.asarray(names)
    return atoms
