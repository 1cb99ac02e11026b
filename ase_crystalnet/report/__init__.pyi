from .atom_probe import atom_probe_page as atom_probe_page
from .page import Page as Page
from .powder import powder_page as powder_page
from .scene import Scene as Scene
from .scene import ShownFrame as ShownFrame
from .trajectory import trajectory_page as trajectory_page

__all__ = [
    "Page",
    "Scene",
    "ShownFrame",
    "atom_probe_page",
    "powder_page",
    "trajectory_page",
]
