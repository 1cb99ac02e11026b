from .arrays import snapshot_lindemann as snapshot_lindemann
from .faults import FAULT_KINDS as FAULT_KINDS
from .faults import STACKINGS as STACKINGS
from .faults import Fault as Fault
from .frame import FrameAnalysis as FrameAnalysis
from .method import Method as Method
from .method import Progress as Progress
from .table import Quantity as Quantity
from .table import WindowTable as WindowTable
from .trajectory import TrajectoryAnalysis as TrajectoryAnalysis
from .trajectory import TrajectoryBuilder as TrajectoryBuilder

__all__ = [
    "FAULT_KINDS",
    "STACKINGS",
    "Fault",
    "FrameAnalysis",
    "Method",
    "Progress",
    "Quantity",
    "TrajectoryAnalysis",
    "TrajectoryBuilder",
    "WindowTable",
    "snapshot_lindemann",
]
