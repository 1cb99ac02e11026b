from .analysis import crystal_of as crystal_of
from .analysis import find_crystals as find_crystals
from .average_crystal import AverageCrystal as AverageCrystal
from .average_crystal import Fluctuations as Fluctuations
from .average_crystal import average_crystal as average_crystal
from .boundaries import Boundary as Boundary
from .figures import plot_grain_sizes as plot_grain_sizes
from .motif import Motif as Motif
from .order import ChemicalOrder as ChemicalOrder
from .reference_classes import ReferenceAnswer as ReferenceAnswer
from .reference_classes import recognise as recognise
from .references import Reference as Reference
from .references import ReferenceMatch as ReferenceMatch
from .references import load_references as load_references
from .results import Crystal as Crystal
from .results import Crystals as Crystals
from .seeds import seed_motif as seed_motif
from .segmentation import GrainFinder as GrainFinder
from .segmentation import Segmentation as Segmentation
from .short_range import ShortRangeOrder as ShortRangeOrder
from .short_range import short_range_order as short_range_order
from .space_group import SpaceGroup as SpaceGroup
from .space_group import find_space_group as find_space_group
from .strain_fields import StrainField as StrainField
from .strain_fields import strain_field as strain_field
from .strains import deformation as deformation
from .tracking import GrainHistory as GrainHistory
from .tracking import GrainTracker as GrainTracker
from .tracking import track_grains as track_grains

__all__ = [
    "AverageCrystal",
    "Boundary",
    "ChemicalOrder",
    "Crystal",
    "Crystals",
    "Fluctuations",
    "GrainFinder",
    "GrainHistory",
    "GrainTracker",
    "Motif",
    "Reference",
    "ReferenceAnswer",
    "ReferenceMatch",
    "Segmentation",
    "ShortRangeOrder",
    "SpaceGroup",
    "StrainField",
    "average_crystal",
    "crystal_of",
    "deformation",
    "find_crystals",
    "find_space_group",
    "load_references",
    "plot_grain_sizes",
    "recognise",
    "seed_motif",
    "short_range_order",
    "strain_field",
    "track_grains",
]
