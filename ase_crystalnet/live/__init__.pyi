from .lammps import LammpsHook as LammpsHook
from .lammps import lammps_hook as lammps_hook
from .monitor import Monitor as Monitor
from .source import LiveFrame as LiveFrame
from .source import LiveSource as LiveSource
from .watched import WatchedCalculator as WatchedCalculator

__all__ = [
    "LammpsHook",
    "LiveFrame",
    "LiveSource",
    "Monitor",
    "WatchedCalculator",
    "lammps_hook",
]
