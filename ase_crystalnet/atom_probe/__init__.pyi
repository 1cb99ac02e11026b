from .analysis import AtomProbeOptions as AtomProbeOptions
from .analysis import analyze_windows as analyze_windows
from .classes import AtomProbeClassifier as AtomProbeClassifier
from .classes import ClassFindings as ClassFindings
from .crystal import KnownCrystal as KnownCrystal
from .crystal import NamedPoles as NamedPoles
from .crystal import name_poles as name_poles
from .crystal import read_crystal as read_crystal
from .files import RangeTable as RangeTable
from .files import Reconstruction as Reconstruction
from .files import is_reconstruction as is_reconstruction
from .files import read_ranges as read_ranges
from .files import read_reconstruction as read_reconstruction
from .files import write_pos as write_pos
from .known_crystal import find_order as find_order
from .known_crystal import name_analysis as name_analysis
from .order import OrderFinder as OrderFinder
from .order import OrderFindings as OrderFindings
from .order import OrderMap as OrderMap
from .order import map_order as map_order
from .order import reflections_of as reflections_of
from .order import spatial_distribution as spatial_distribution
from .order import spatial_distribution_3d as spatial_distribution_3d
from .regions import composition as composition
from .regions import frequency_distribution as frequency_distribution
from .regions import nearest_neighbors as nearest_neighbors
from .regions import proximity_histogram as proximity_histogram
from .regions import radial_distribution as radial_distribution
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
    "KnownCrystal",
    "NamedPoles",
    "OrderFinder",
    "OrderFindings",
    "OrderMap",
    "PlaneFinder",
    "Pole",
    "RangeTable",
    "Reconstruction",
    "WindowFindings",
    "analyze_windows",
    "burst_ions",
    "composition",
    "find_order",
    "find_poles",
    "frequency_distribution",
    "is_reconstruction",
    "jittered",
    "map_order",
    "mean_spectrum",
    "name_analysis",
    "name_poles",
    "nearest_neighbors",
    "proximity_histogram",
    "radial_distribution",
    "read_analysis",
    "read_crystal",
    "read_ranges",
    "read_reconstruction",
    "reflections_of",
    "spatial_distribution",
    "spatial_distribution_3d",
    "write_pos",
]
