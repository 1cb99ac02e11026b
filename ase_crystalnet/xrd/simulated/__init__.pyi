from .patterns import MEASURED as MEASURED
from .patterns import PAPER as PAPER
from .patterns import Recipe as Recipe
from .patterns import draw_patterns as draw_patterns
from .reflections import Reflections as Reflections
from .reflections import peaks as peaks
from .reflections import reflections_of as reflections_of
from .structures import StructureSet as StructureSet
from .structures import build_structure_set as build_structure_set

__all__ = [
    "MEASURED",
    "PAPER",
    "Recipe",
    "Reflections",
    "StructureSet",
    "build_structure_set",
    "draw_patterns",
    "peaks",
    "reflections_of",
]
