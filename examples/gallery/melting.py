"""Shares of structures while copper melts.

Names by windows on a grid, every third frame of the demo; Lindemann parameter over three of these
frames, and of each alone.
"""

import sys

from ase_crystalnet import CrystalNet
from ase_crystalnet.plotting import plot_trajectory
from ase_crystalnet.results import TrajectoryBuilder

net = CrystalNet()
frames = net.run("examples/demo/heating.extxyz.gz", step=3, centers="grid", lindemann=3)
summary = None
for frame in frames:
    summary = summary or TrajectoryBuilder(frame.classes)
    summary.append(frame, frame.metadata["frame"], frame.metadata["source"])
plot_trajectory(summary.build()).savefig(sys.argv[1], dpi=110)
