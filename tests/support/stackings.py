"""Crystals with stacking faults at known places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet import crystals
from ase_crystalnet.crystals.stackings import close_packed, letters_of

__all__ = ["FCC_WITH", "HCP_WITH", "stacked"]

#: Shifts of the layers of fcc with one fault, or with the two twin planes that a cell must have.
FCC_WITH = {
    "twin": (1,) * 9 + (-1,) * 9,
    "intrinsic": (1,) * 9 + (-1,) + (1,) * 10,
    "extrinsic": (1,) * 9 + (-1, -1) + (1,) * 11,
}
#: The same of hcp, with two faults.
HCP_WITH = {
    "I1": (1, -1) * 5 + (-1, 1) * 5,
    "I2": (1, -1) * 5 + (1, 1, 1) + (-1, 1) * 5 + (-1, -1, -1),
    "E": (1, -1) * 5 + (1,) * 4 + (-1, 1) * 5 + (-1,) * 4,
}


def stacked(
    word: Sequence[int],
    size: int = 10,
    *,
    sigma: float = 0.0,
    diamond: bool = False,
    gradient: NDArray[np.float64] | None = None,
    seed: int = 0,
) -> tuple[Atoms, NDArray[np.bool_]]:
    """A crystal of a word of shifts, strained, displaced and turned; which atoms are hcp.

    Parameters
    ----------
    word : sequence of int
        Shift of each layer, +1 or -1.
    size : int
        Atoms along the two edges of a layer.
    sigma : float
        Displacements, in nearest-neighbour distances.
    diamond : bool
        Of double layers.
    gradient : (3, 3) array, optional
        Deformation gradient, for row vectors.
    seed : int
    """
    rng = np.random.default_rng(seed)
    spacing = 3.84 if diamond else 2.55
    cell, sites = close_packed(tuple(word), (2 / 3) ** 0.5)
    letters = letters_of(tuple(word))
    hcp = np.roll(letters, 1) == np.roll(letters, -1)
    if diamond:
        sites = np.vstack([sites, sites + np.array([0, 0, 0.75 / len(sites)])])
        hcp = np.tile(hcp, 2)
    layers = Atoms("Cu" * len(sites), cell=cell, scaled_positions=sites, pbc=True)
    atoms = layers.repeat((size, size, 1))
    pull = np.eye(3) if gradient is None else gradient
    atoms.set_cell(spacing * atoms.cell.array @ pull, scale_atoms=True)
    bond = spacing * ((3 / 8) ** 0.5 if diamond else 1.0)
    atoms.positions += rng.normal(scale=sigma * bond, size=atoms.positions.shape)
    return crystals.rotated(atoms, rng)[0], np.tile(hcp, size * size)
