"""CrystalNet as an analysis of MDAnalysis: ``CrystalNetAnalysis(u.select_atoms("all")).run()``."""

import numpy as np
from MDAnalysis.analysis.base import AnalysisBase

from ase_crystalnet import CrystalNet


class CrystalNetAnalysis(AnalysisBase):
    """Class fractions, order and certainty of an atom group over a trajectory.

    ``results`` has ``classes`` (C,), ``class_fractions`` (F, C), ``order``, ``certainty`` (F,).
    """

    def __init__(self, atomgroup, net=None, centers="grid", **kwargs):
        super().__init__(atomgroup.universe.trajectory, **kwargs)
        self.atomgroup, self.net, self.centers = atomgroup, net or CrystalNet(), centers

    def _prepare(self):
        self.results.classes, self._rows = self.net.classes, []

    def _single_frame(self):
        frame = self.net.analyze(self.atomgroup, centers=self.centers)
        self._rows.append((frame.class_fractions, frame.mean_order, frame.mean_certainty))

    def _conclude(self):
        fractions, order, certainty = zip(*self._rows, strict=True)
        self.results.class_fractions = np.array(fractions)
        self.results.order, self.results.certainty = np.array(order), np.array(certainty)
