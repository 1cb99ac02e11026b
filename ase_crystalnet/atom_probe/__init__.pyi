from .analysis import AtomProbeOptions as AtomProbeOptions
from .analysis import analyze_windows as analyze_windows
from .classes import AtomProbeClassifier as AtomProbeClassifier
from .classes import ClassFindings as ClassFindings
from .files import RangeTable as RangeTable
from .files import Reconstruction as Reconstruction
from .files import is_reconstruction as is_reconstruction
from .files import read_ranges as read_ranges
from .files import read_reconstruction as read_reconstruction
from .files import write_pos as write_pos
from .results import AtomProbeAnalysis as AtomProbeAnalysis
from .results import read_analysis as read_analysis
from .search import Background as Background
from .search import PlaneFinder as PlaneFinder
from .search import Pole as Pole
from .search import WindowFindings as WindowFindings
from .search import burst_ions as burst_ions
from .search import find_poles as find_poles
from .search import jittered as jittered
from .search import mean_spectrum as mean_spectrum
from .windows import IonWindower as IonWindower
from .windows import IonWindows as IonWindows

__all__ = [
    "AtomProbeAnalysis",
    "AtomProbeClassifier",
    "AtomProbeOptions",
    "Background",
    "ClassFindings",
    "IonWindower",
    "IonWindows",
    "PlaneFinder",
    "Pole",
    "RangeTable",
    "Reconstruction",
    "WindowFindings",
    "analyze_windows",
    "burst_ions",
    "find_poles",
    "is_reconstruction",
    "jittered",
    "mean_spectrum",
    "read_analysis",
    "read_ranges",
    "read_reconstruction",
    "write_pos",
]
