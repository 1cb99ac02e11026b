"""A lock on an output file: two processes never write the same one."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from ase_crystalnet.errors import OutputLockedError

__all__ = ["FileLock"]


class FileLock:
    """Exclusive lock beside a file, held by the process: the system drops it when that dies.

    A lock that consisted in the mere presence of a file would survive ``kill -9`` and keep the
    output closed for ever.

    Parameters
    ----------
    path : path
        The file to guard; the lock is ``.<name>.lock`` in the same folder while it is held.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.target = Path(path)
        self.path = self.target.with_name(f".{self.target.name}.lock")
        self._handle: int | None = None

    def acquire(self) -> None:
        """Take the lock.

        Raises
        ------
        OutputLockedError
            If another process (or another writer of this one) holds it.
        FileNotFoundError
            If the folder is not there.
        """
        if not self.target.parent.is_dir():
            raise FileNotFoundError(f"{self.target}: the folder {self.target.parent} is not there")
        while True:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
            handle = os.open(self.path, flags, 0o666)
            try:
                _lock(handle)
            except OSError as error:
                os.close(handle)
                raise OutputLockedError(
                    f"{self.target}: another process is writing it; wait for it or use another name"
                ) from error
            # Between opening and locking, the holder before may have removed this very file.
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), os.stat(self.path)):
                    self._handle = handle
                    return
            os.close(handle)

    def release(self) -> None:
        """Give the lock back; does nothing if it is not held."""
        if self._handle is None:
            return
        handle, self._handle = self._handle, None
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(handle)
            with contextlib.suppress(OSError):
                os.unlink(self.path)
            return
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        os.close(handle)


def _lock(handle: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
