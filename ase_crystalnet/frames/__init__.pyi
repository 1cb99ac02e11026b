from .job import FrameJob as FrameJob
from .lindemann import LindemannTracker as LindemannTracker
from .observer import Observer as Observer
from .processes import WorkerPool as WorkerPool
from .run import analyze_frames as analyze_frames

__all__ = [
    "FrameJob",
    "LindemannTracker",
    "Observer",
    "WorkerPool",
    "analyze_frames",
]
