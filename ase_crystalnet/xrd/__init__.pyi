from .answer import Combination as Combination
from .answer import PatternLibrary as PatternLibrary
from .answer import PowderAnswers as PowderAnswers
from .answer import PowderClassifier as PowderClassifier
from .answer import PowderNetwork as PowderNetwork
from .answer import default_network as default_network
from .measured import Findings as Findings
from .measured import Scan as Scan
from .measured import findings as findings
from .measured import measured_patterns as measured_patterns
from .measured import read_scan as read_scan
from .measured import subtract_background as subtract_background
from .pattern import TWO_THETA as TWO_THETA
from .pattern import broaden as broaden
from .pattern import system_of as system_of
from .phases import PhaseIndex as PhaseIndex
from .phases import PhaseLibrary as PhaseLibrary
from .phases import decompose as decompose
from .simulated import MEASURED as MEASURED
from .simulated import PAPER as PAPER
from .simulated import Recipe as Recipe
from .simulated import StructureSet as StructureSet
from .simulated import draw_patterns as draw_patterns
from .simulated import peaks as peaks
from .simulated import reflections_of as reflections_of
from .subgroups import neighbors as neighbors
from .subgroups import subgroup_distance as subgroup_distance
from .subgroups import subgroup_distances as subgroup_distances

__all__ = [
    "MEASURED",
    "PAPER",
    "TWO_THETA",
    "Combination",
    "Findings",
    "PatternLibrary",
    "PhaseIndex",
    "PhaseLibrary",
    "PowderAnswers",
    "PowderClassifier",
    "PowderNetwork",
    "Recipe",
    "Scan",
    "StructureSet",
    "broaden",
    "decompose",
    "default_network",
    "draw_patterns",
    "findings",
    "measured_patterns",
    "neighbors",
    "peaks",
    "read_scan",
    "reflections_of",
    "subgroup_distance",
    "subgroup_distances",
    "subtract_background",
    "system_of",
]
