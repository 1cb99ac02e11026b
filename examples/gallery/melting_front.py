"""A melting front, cut through.

A slice of the demo's frame 30: two surfaces are liquid, and the certainty falls where a window sees
both.
"""

import sys

from ase.io import read

from ase_crystalnet import CrystalNet
from ase_crystalnet.plotting import plot_slice

atoms = read("examples/demo/heating.extxyz.gz", 30)
frame = CrystalNet().analyze(atoms, centers="adaptive")
plot_slice(frame, axis="y").savefig(sys.argv[1], dpi=110)
