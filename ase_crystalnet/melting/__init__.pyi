from .fronts import FrontMotion as FrontMotion
from .fronts import MeltingPoint as MeltingPoint
from .fronts import front_motion as front_motion
from .fronts import melting_point as melting_point
from .interfaces import Interfaces as Interfaces
from .interfaces import find_interfaces as find_interfaces
from .interfaces import fit_interfaces as fit_interfaces
from .verdict import Verdict as Verdict
from .verdict import is_solid as is_solid
from .verdict import verdict as verdict

__all__ = [
    "FrontMotion",
    "Interfaces",
    "MeltingPoint",
    "Verdict",
    "find_interfaces",
    "fit_interfaces",
    "front_motion",
    "is_solid",
    "melting_point",
    "verdict",
]
