from .answers import PowderAnswers as PowderAnswers
from .classifier import PowderClassifier as PowderClassifier
from .combination import Combination as Combination
from .library import CLOSE as CLOSE
from .library import PatternLibrary as PatternLibrary
from .library import build_library as build_library
from .network import PowderNetwork as PowderNetwork
from .network import default_network as default_network

__all__ = [
    "CLOSE",
    "Combination",
    "PatternLibrary",
    "PowderAnswers",
    "PowderClassifier",
    "PowderNetwork",
    "build_library",
    "default_network",
]
