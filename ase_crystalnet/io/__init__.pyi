from .results import FileLock as FileLock
from .results import HDF5Writer as HDF5Writer
from .results import ResultFile as ResultFile
from .trajectories import TruncatedTrajectoryError as TruncatedTrajectoryError
from .trajectories import count_frames as count_frames
from .trajectories import iter_frames as iter_frames
from .whole_files import whole_file as whole_file
from .whole_files import write_whole as write_whole

__all__ = [
    "FileLock",
    "HDF5Writer",
    "ResultFile",
    "TruncatedTrajectoryError",
    "count_frames",
    "iter_frames",
    "whole_file",
    "write_whole",
]
