from .finder import LatticeFinder as LatticeFinder
from .finder import Lattices as Lattices
from .finder import minkowski_reduce as minkowski_reduce
from .orientation import conventional_setting as conventional_setting
from .orientation import misorientation as misorientation
from .orientation import symmetry_rotations as symmetry_rotations

__all__ = [
    "LatticeFinder",
    "Lattices",
    "conventional_setting",
    "minkowski_reduce",
    "misorientation",
    "symmetry_rotations",
]
