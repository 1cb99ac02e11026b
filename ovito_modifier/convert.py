"""From the particles of a pipeline to `ase.Atoms`."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError

__all__ = ["selected", "to_atoms"]


def selected(data: Any, only_selected: bool) -> NDArray[np.intp]:
    """Indices of the particles that take part.

    Raises
    ------
    InputError
        If `only_selected` and nothing was ever selected (OVITO's own modifiers refuse that, too;
        an empty selection is no error).
    """
    if data.particles is None:
        raise InputError(
            "CrystalNet: the pipeline holds no particles; put the modifier into a pipeline whose "
            "source has some"
        )
    if not only_selected:
        return np.arange(data.particles.count)
    if data.particles.selection is None:
        raise InputError(
            "CrystalNet: only_selected is on, but there is no selection; put a selection modifier "
            "before it, or switch only_selected off"
        )
    return np.flatnonzero(np.asarray(data.particles.selection))


def to_atoms(data: Any, indices: NDArray[np.intp] | None = None) -> Atoms:
    """Structure of some particles of a pipeline's data (all of them by default).

    The origin of OVITO's cell becomes the origin. The third direction of a two-dimensional cell
    repeats nothing, as in OVITO. Particles without a cell are a finite structure. Types whose
    name is no chemical symbol become element 0 ("X"). Particle identifiers become the array "id".
    """
    particles = data.particles
    chosen = np.arange(particles.count) if indices is None else indices
    positions = np.array(particles.positions, dtype=np.float64)[chosen]
    cell, pbc = np.zeros((3, 3)), np.zeros(3, bool)
    if data.cell is not None:
        matrix = np.asarray(data.cell, dtype=np.float64)
        cell, pbc = matrix[:, :3].T.copy(), np.array(data.cell.pbc, dtype=bool)
        positions -= matrix[:, 3]
        if data.cell.is2D:
            pbc[2] = False
    atoms = Atoms(numbers=_numbers(particles)[chosen], positions=positions, cell=cell, pbc=pbc)
    if particles.identifiers is not None:
        atoms.set_array("id", np.array(particles.identifiers, dtype=np.int64)[chosen])
    return atoms


def _numbers(particles: Any) -> NDArray[np.int64]:
    types = particles.particle_types
    if types is None:
        return np.zeros(particles.count, dtype=np.int64)
    given = np.asarray(types)
    known = {entry.id: atomic_numbers.get(entry.name, 0) for entry in types.types}
    values, inverse = np.unique(given, return_inverse=True)
    table = np.array([known.get(int(value), 0) for value in values], dtype=np.int64)
    return table[inverse]
