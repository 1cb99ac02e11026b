from .neighbors import CellList as CellList
from .periodic import PeriodicSpace as PeriodicSpace

__all__ = [
    "CellList",
    "PeriodicSpace",
]
