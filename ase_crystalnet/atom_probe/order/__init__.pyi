from .distribution import spatial_distribution as spatial_distribution
from .distribution import spatial_distribution_3d as spatial_distribution_3d
from .finder import OrderFinder as OrderFinder
from .finder import OrderFindings as OrderFindings
from .phases import OrderedPhase as OrderedPhase
from .phases import OrderMap as OrderMap
from .phases import map_order as map_order
from .structures import ORDERED as ORDERED
from .structures import Reflections as Reflections
from .structures import reflections_of as reflections_of

__all__ = [
    "ORDERED",
    "OrderFinder",
    "OrderFindings",
    "OrderMap",
    "OrderedPhase",
    "Reflections",
    "map_order",
    "reflections_of",
    "spatial_distribution",
    "spatial_distribution_3d",
]
