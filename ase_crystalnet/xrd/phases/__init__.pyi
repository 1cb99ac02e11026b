from .library import PhaseLibrary as PhaseLibrary
from .mixture import Mixture as Mixture
from .mixture import Phase as Phase
from .mixture import decompose as decompose
from .search import PhaseIndex as PhaseIndex

__all__ = ["Mixture", "Phase", "PhaseIndex", "PhaseLibrary", "decompose"]
