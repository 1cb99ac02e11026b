"""Strain about a squeezed place.

Copper with its middle squeezed by a Gaussian field of displacements: change of shape and of volume,
window by window.
"""

import sys

import numpy as np
from ase.build import bulk

from ase_crystalnet import CrystalNet
from ase_crystalnet.plotting import plot_strain

rng = np.random.default_rng(3)
atoms = bulk("Cu", cubic=True).repeat(14)
away = atoms.positions - atoms.cell.array.sum(axis=0) / 2
distance = np.linalg.norm(away, axis=1, keepdims=True)
atoms.positions -= 0.06 * away * np.exp(-((distance / 12.0) ** 2))
atoms.positions += rng.normal(scale=0.08, size=atoms.positions.shape)
plot_strain(CrystalNet().analyze(atoms, centers="grid", spacing=4.0), axis="z").savefig(
    sys.argv[1], dpi=110
)
