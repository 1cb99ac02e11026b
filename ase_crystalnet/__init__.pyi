from .analyzer import CrystalNet as CrystalNet
from .classifier import Classifier as Classifier
from .classifier import list_models as list_models
from .errors import CrystalNetError as CrystalNetError
from .fingerprint import Fingerprint as Fingerprint
from .frames import LindemannTracker as LindemannTracker
from .lattice import LatticeFinder as LatticeFinder
from .lattice import Lattices as Lattices
from .results import FrameAnalysis as FrameAnalysis
from .results import TrajectoryAnalysis as TrajectoryAnalysis
from .windows import Windower as Windower

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

__version__: str
