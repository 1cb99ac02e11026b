"""Files that are whole or absent: written under a temporary name, then renamed."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["part_of", "to_disk", "whole_file", "write_whole"]


def part_of(path: Path) -> Path:
    """Name of the file of a run that can be resumed, while it is being made."""
    return path.with_name(path.name + ".part")


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary file that takes the place of another when all went well.

    The temporary file has the name of the wanted one, so that writers that look at the suffix
    choose the same format, and lies in a new folder beside it that nobody else can write to. After
    an exception nothing is left of it, and a file that was there before is untouched. After a
    crash, of the machine also, the file is the old one or the new one.

    Parameters
    ----------
    path : str or Path
        The wanted file; its folder is made if needed. Of a symbolic link, the file that it points
        to is replaced. A file that is replaced hands on its permissions.

    Yields
    ------
    Path
        The file to write.

    Raises
    ------
    OSError
        The file cannot be written, `path` is a folder or a device, or nothing was written.

    Examples
    --------
    >>> with whole_file("table.npz") as part:  # doctest: +SKIP
    ...     np.savez(part, table=table)
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise OSError(
            errno.EINVAL, "expected the name of a file, got a folder or a device", str(path)
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    # Not mkstemp: a file it makes is readable by its owner alone, and has to be opened again by
    # name. In a folder of one's own, names cannot be guessed nor links be put in the way.
    folder = Path(tempfile.mkdtemp(prefix=".writing-", dir=target.parent))
    part = folder / target.name
    try:
        yield part
        if target.exists():
            shutil.copymode(target, part)
        to_disk(part)
        os.replace(part, target)
        to_disk(target.parent)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_whole(path: str | Path, content: str | bytes) -> None:
    """Write a file so that it is whole or not there; its folder is made (see `whole_file`)."""
    with whole_file(path) as part:
        part.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)


def to_disk(path: Path) -> None:
    """Have the operating system write what it keeps of a file, or the names in a folder, to disk.

    A rename may otherwise reach the disk before the content does.
    """
    if path.is_dir() and os.name != "posix":
        return  # only there can a folder be opened
    # Windows lets nothing be flushed that is open for reading alone.
    file = os.open(path, os.O_RDONLY if os.name == "posix" else os.O_RDWR)
    try:
        os.fsync(file)
    except OSError as error:
        # Some file systems (of networks) cannot: the rename is as safe there as it can be.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(file)
