from .stream import TruncatedTrajectoryError as TruncatedTrajectoryError
from .stream import count_frames as count_frames
from .stream import iter_frames as iter_frames

__all__ = [
    "TruncatedTrajectoryError",
    "count_frames",
    "iter_frames",
]
