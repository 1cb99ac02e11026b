from .library import PhaseLibrary as PhaseLibrary

__all__ = ["PhaseLibrary"]
