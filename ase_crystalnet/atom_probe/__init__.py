"""Atom-probe reconstructions: what one window can show, and no more.

`PlaneFinder` says how many dimensions of order a window shows, with a significance;
`AtomProbeClassifier` names the class of those that show a lattice; `find_poles` gathers plane
normals. Method and numbers: ``docs/atom_probe_method.md``.
"""

from __future__ import annotations

from ase_crystalnet.atom_probe.background import Background
from ase_crystalnet.atom_probe.classify import AtomProbeClassifier, ClassFindings
from ase_crystalnet.atom_probe.findings import WindowFindings
from ase_crystalnet.atom_probe.planes import PlaneFinder
from ase_crystalnet.atom_probe.poles import Pole, find_poles
from ase_crystalnet.atom_probe.spectra import burst_ions, jittered, mean_spectrum

__all__ = [
    "AtomProbeClassifier",
    "Background",
    "ClassFindings",
    "PlaneFinder",
    "Pole",
    "WindowFindings",
    "burst_ions",
    "find_poles",
    "jittered",
    "mean_spectrum",
]
