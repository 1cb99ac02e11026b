from .centers import CENTERS_EXPECTED as CENTERS_EXPECTED
from .windower import PreparedSystem as PreparedSystem
from .windower import SparseWindowWarning as SparseWindowWarning
from .windower import WindowBatch as WindowBatch
from .windower import Windower as Windower

__all__ = [
    "CENTERS_EXPECTED",
    "PreparedSystem",
    "SparseWindowWarning",
    "WindowBatch",
    "Windower",
]
