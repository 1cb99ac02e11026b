"""A disk that is full from a certain write on, as Python code meets it."""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
from collections.abc import Callable
from typing import Any

_BY_HANDLE = ("write", "fsync", "posix_fallocate")
_BY_NAME = ("mkdir", "replace", "rename")


class FullDisk:
    """Counts what is written below the current folder, and refuses it from a certain time on.

    Parameters
    ----------
    at : int, optional
        Number of the first write that fails; None only counts. Files and folders that are made,
        renamed, filled, closed or brought to disk, and room that is asked for, are writes. (HDF5
        writes by itself: there, asking for room stands for it.)
    again : bool
        Whether all later ones fail as well.
    """

    def __init__(self, at: int | None, again: bool = False) -> None:
        self.at, self.again, self.count = at, again, 0
        self.folder = os.getcwd() + os.sep

    def install(self) -> None:
        """Put it into this process, which ends with it."""
        for name in _BY_HANDLE:
            if hasattr(os, name):
                setattr(os, name, self._hooked(getattr(os, name)))
        for name in _BY_NAME:
            setattr(os, name, self._hooked(getattr(os, name)))
        opened, made = io.open, os.open

        def open_file(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            if not set(mode) & set("wax+") or not self._ours(file):
                return opened(file, mode, *arguments, **options)
            self._write()
            return _Written(opened(file, mode, *arguments, **options), self._write)

        def open_handle(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
            if flags & os.O_CREAT and self._ours(path):
                self._write()
            return made(path, flags, *arguments, **options)

        builtins.open = io.open = open_file  # type: ignore[assignment]
        os.open = open_handle  # type: ignore[assignment]

    def _hooked(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def hooked(place: Any, *arguments: Any, **options: Any) -> Any:
            if self._ours(place):
                self._write()
            return function(place, *arguments, **options)

        return hooked

    def _ours(self, place: Any) -> bool:
        if isinstance(place, int):
            try:
                place = os.readlink(f"/proc/self/fd/{place}")
            except OSError:
                return False
            if not os.path.isabs(place):  # a pipe
                return False
        name = os.path.abspath(os.fsdecode(place))
        return name.startswith(self.folder) and os.path.basename(name) != "messages"

    def _write(self) -> None:
        number, self.count = self.count, self.count + 1
        if self.at is not None and (number == self.at or (self.again and number > self.at)):
            self.refuse()

    def refuse(self) -> None:
        """What a write meets that cannot be made."""
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class PulledPlug(FullDisk):
    """Kills this process before a write, as a power cut would between any two of them."""

    def refuse(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class _Written:
    """A file whose writing and closing are counted."""

    def __init__(self, file: Any, write: Callable[[], None]) -> None:
        self._file, self._count = file, write

    def write(self, content: Any) -> Any:
        self._count()
        return self._file.write(content)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def close(self) -> None:
        closed = self._file.closed
        self._file.close()
        if not closed:
            self._count()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _Written:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Any:
        return iter(self._file)
