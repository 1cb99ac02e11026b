"""Diffraction fingerprint of hot iron.

What the network sees of 250 atoms: three channels, one for each axis the window is turned about.
"""

import sys

import numpy as np

from ase_crystalnet.crystals import bcc, random_cluster
from ase_crystalnet.fingerprint import Fingerprint
from ase_crystalnet.lattice import LatticeFinder
from ase_crystalnet.plotting import plot_fingerprint

atoms, _ = random_cluster(bcc(), 12.0, sigma=0.06, rng=np.random.default_rng(1))
places = (atoms.positions - atoms.positions.mean(axis=0)).astype(np.float32)
nearest = np.argsort(np.linalg.norm(places, axis=1))[:250]
positions, mask = places[nearest][None], np.ones((1, 250), bool)
lattices = LatticeFinder()(positions, mask)
image = Fingerprint()(lattices.standardize(positions), mask)[0]
plot_fingerprint(image, "bcc, displaced by 0.06 nearest-neighbour distances").savefig(
    sys.argv[1], dpi=80
)
