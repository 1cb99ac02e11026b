from .hdf5_reader import ResultFile as ResultFile
from .hdf5_writer import HDF5Writer as HDF5Writer
from .lock import FileLock as FileLock

__all__ = [
    "FileLock",
    "HDF5Writer",
    "ResultFile",
]
