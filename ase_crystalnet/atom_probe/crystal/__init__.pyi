from .known import KnownCrystal as KnownCrystal
from .known import read_crystal as read_crystal
from .naming import NamedPoles as NamedPoles
from .naming import name_poles as name_poles

__all__ = ["KnownCrystal", "NamedPoles", "name_poles", "read_crystal"]
