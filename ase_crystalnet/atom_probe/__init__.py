"""Atom-probe reconstructions: what one window can show, and no more.

`PlaneFinder` says how many dimensions of order a window shows, with a significance;
`AtomProbeClassifier` names the class of those that show a lattice; `find_poles` gathers plane
normals. Method and numbers: ``docs/atom_probe_method.md``.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
