from .average_crystal import AverageCrystal as AverageCrystal
from .average_crystal import Fluctuations as Fluctuations
from .average_crystal import average_crystal as average_crystal
from .motif import Motif as Motif
from .seeds import seed_motif as seed_motif
from .space_group import SpaceGroup as SpaceGroup
from .space_group import find_space_group as find_space_group

__all__ = [
    "AverageCrystal",
    "Fluctuations",
    "Motif",
    "SpaceGroup",
    "average_crystal",
    "find_space_group",
    "seed_motif",
]
