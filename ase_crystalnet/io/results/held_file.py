"""A file in the making that is held by its handle, whatever becomes of its name meanwhile."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import kind_of
from ase_crystalnet.io.whole_files import part_of, to_disk

__all__ = [
    "HeldFile",
    "link_target",
    "named",
    "new_part",
    "own_folder",
    "refuse_other_than_file",
    "remove_part",
]

_NO_LINKS = getattr(os, "O_NOFOLLOW", 0)


class HeldFile:
    """A file that is being written, under a name that others could move, delete or replace.

    Room is asked for, what was not used is cut off, and the content is brought to disk by the
    handle: by name, all of that would happen to whatever file has the name by then.

    Parameters
    ----------
    path : path
        A file that is not there. It is made; a symbolic link of that name is not followed.

    Raises
    ------
    OSError
        It is there, or cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._handle: int | None = os.open(
            path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _NO_LINKS, 0o666
        )

    @property
    def handle(self) -> int:
        """The handle, for reading and writing."""
        assert self._handle is not None
        return self._handle

    def reserve(self, size: int, begin: int = 0) -> None:
        """Make sure of room for `size` bytes from `begin` on, before HDF5 writes to the file.

        HDF5 cannot recover from a failed write: it loses the file, and takes the process with it
        when that is closed. So the disk is asked first.

        Raises
        ------
        OSError
            There is no room; the file ends at `begin` then.
        """
        if not hasattr(os, "posix_fallocate"):  # Windows, macOS
            if shutil.disk_usage(self.path.parent).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            return
        try:
            os.posix_fallocate(self.handle, begin, size)
        except OSError as error:
            os.ftruncate(self.handle, begin)
            number = error.errno or errno.EIO
            raise OSError(number, os.strerror(number), str(self.path)) from error

    def cut(self, size: int) -> None:
        """End the file after `size` bytes: what was reserved and not used."""
        os.ftruncate(self.handle, size)

    def check(self) -> None:
        """Make sure that the name still leads to this file.

        Raises
        ------
        OSError
            It was moved, deleted or replaced.
        """
        if not self.is_there():
            raise OSError(
                f"{self.path}: expected the file that is being written, got "
                f"{'another one' if os.path.lexists(self.path) else 'none'} of that name; leave it "
                "in place until the run has ended, and start again"
            )

    def is_there(self) -> bool:
        """Whether the name still leads to this file."""
        if self._handle is None:
            return False
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.lstat(self.path), os.fstat(self._handle))
        return False

    def rename(self, target: Path) -> None:
        """Bring the content to disk and give the file another name, in place of what has it.

        Raises
        ------
        OSError
            The file was moved, deleted or replaced, before or while this was done.
        """
        os.fsync(self.handle)
        self.check()
        with contextlib.suppress(FileNotFoundError):
            shutil.copymode(target, self.path, follow_symlinks=False)
        if os.name == "nt":  # an open file cannot be renamed there, nor could others have done so
            self.close()
            os.replace(self.path, target)
            return
        os.replace(self.path, target)
        self.path = target
        self.check()
        to_disk(target.parent)

    def remove(self) -> None:
        """Delete the file, if the name still leads to it, and close it."""
        there = self.is_there()
        if os.name == "nt":
            self.close()
        if there:
            self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the file; does nothing if it is not held."""
        if self._handle is not None:
            handle, self._handle = self._handle, None
            os.close(handle)


def link_target(path: Path) -> Path:
    """The file that a symbolic link points to, which is what is replaced; other names as given."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def new_part(path: Path) -> HeldFile:
    """A new file under the temporary name, in place of what an earlier run has left there."""
    part = part_of(path)
    if os.path.lexists(part):
        part.unlink()  # a link itself, not what it points to
    return HeldFile(part)


def remove_part(held: HeldFile, path: Path) -> None:
    """Remove a file that has not got its final name."""
    if held.path == path:
        held.close()
    else:
        held.remove()


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Name the file in errors of writing: those of an open file do not."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # a sentence of ours
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


@contextlib.contextmanager
def own_folder(path: Path) -> Iterator[Path]:
    """A folder for making a file in, which nobody else can write to; gone when done.

    Its name follows from the file's, whose lock the caller holds: what a process that was killed
    has left there is cleared away.
    """
    folder = path.with_name(f".{path.name}.new")
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)
    else:
        folder.unlink(missing_ok=True)
    folder.mkdir(mode=0o700)  # fails on whatever has come into being meanwhile
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refuse_other_than_file(path: str | os.PathLike[str], *, links: bool = True) -> None:
    """Refuse what is there and no plain file, before opening it, which may wait for ever.

    Parameters
    ----------
    path : path
    links : bool
        Whether symbolic links to files are accepted.

    Raises
    ------
    FileNotFoundError
        It is not there.
    InputError
        It is a folder, a pipe, a device, a socket, or a link where none is accepted.
    """
    try:
        mode = (os.stat if links else os.lstat)(path).st_mode
    except FileNotFoundError:
        raise FileNotFoundError(f"{path}: no such file") from None
    if stat.S_ISREG(mode):
        return
    raise InputError(f"{path}: expected a file, got {kind_of(mode)}; give the name of a file")
