from .arrays import snapshot_lindemann as snapshot_lindemann
from .frame import FrameAnalysis as FrameAnalysis
from .trajectory import TrajectoryAnalysis as TrajectoryAnalysis
from .trajectory import TrajectoryBuilder as TrajectoryBuilder

__all__ = [
    "FrameAnalysis",
    "TrajectoryAnalysis",
    "TrajectoryBuilder",
    "snapshot_lindemann",
]
