from .background import Background as Background
from .findings import WindowFindings as WindowFindings
from .planes import PlaneFinder as PlaneFinder
from .poles import Pole as Pole
from .poles import find_poles as find_poles
from .spectra import burst_ions as burst_ions
from .spectra import jittered as jittered
from .spectra import mean_spectrum as mean_spectrum

__all__ = [
    "Background",
    "PlaneFinder",
    "Pole",
    "WindowFindings",
    "burst_ions",
    "find_poles",
    "jittered",
    "mean_spectrum",
]
