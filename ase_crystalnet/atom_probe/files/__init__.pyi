from .range_files import RANGE_SUFFIXES as RANGE_SUFFIXES
from .range_files import read_ranges as read_ranges
from .ranges import RangeTable as RangeTable
from .reconstruction import SUFFIXES as SUFFIXES
from .reconstruction import Reconstruction as Reconstruction
from .reconstruction import is_reconstruction as is_reconstruction
from .reconstruction import read_reconstruction as read_reconstruction
from .reconstruction import write_pos as write_pos

__all__ = [
    "RANGE_SUFFIXES",
    "SUFFIXES",
    "RangeTable",
    "Reconstruction",
    "is_reconstruction",
    "read_ranges",
    "read_reconstruction",
    "write_pos",
]
