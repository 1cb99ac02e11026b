"""CrystalNet: which crystal is this, how sure are we, how disordered is it?

The public names are imported when they are first used, so that ``import ase_crystalnet`` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.classifier import Classifier, list_models
    from ase_crystalnet.disorder import LindemannTracker
    from ase_crystalnet.errors import CrystalNetError
    from ase_crystalnet.fingerprint import Fingerprint
    from ase_crystalnet.lattice import LatticeFinder, Lattices
    from ase_crystalnet.results import FrameAnalysis, TrajectoryAnalysis
    from ase_crystalnet.windows import Windower

__all__ = [
    "Classifier",
    "CrystalNet",
    "CrystalNetError",
    "Fingerprint",
    "FrameAnalysis",
    "LatticeFinder",
    "Lattices",
    "LindemannTracker",
    "TrajectoryAnalysis",
    "Windower",
    "list_models",
]

__version__ = "0.1.0"

_HOME = {
    "Classifier": "classifier",
    "CrystalNet": "analyzer",
    "CrystalNetError": "errors",
    "Fingerprint": "fingerprint",
    "FrameAnalysis": "results",
    "LatticeFinder": "lattice",
    "Lattices": "lattice",
    "LindemannTracker": "disorder",
    "TrajectoryAnalysis": "results",
    "Windower": "windows",
    "list_models": "classifier",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
