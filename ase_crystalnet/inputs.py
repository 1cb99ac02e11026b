"""Files that users hand in, opened within bounds: plain files, sizes, lines, archives, arrays.

An input file is not trusted. It may be a pipe that nobody writes to, a line of gigabytes in an
archive of megabytes, or a table whose head promises more than follows. What is refused here is
refused in one line, before anything is allocated for it. Nothing here knows what a file means.
"""

from __future__ import annotations

import io
import math
import os
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError

__all__ = [
    "LONGEST_LINE",
    "bounded_lines",
    "check_plain",
    "kind_of",
    "open_plain",
    "read_archive",
    "read_arrays",
    "read_plain",
    "reason_of",
]

#: Bytes of a line of text; the longest that programs write are heads of extended XYZ.
LONGEST_LINE = 2**20
#: Members of an archive; a diffractometer's has a few dozen.
MOST_MEMBERS = 10_000

Name = str | os.PathLike[str]

#: What damaged archives make Python's readers raise, NumPy's included.
_DAMAGE = (
    OSError, ValueError, KeyError, EOFError, TypeError, IndexError, RuntimeError, SyntaxError,
    OverflowError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def reason_of(error: BaseException, longest: int = 200) -> str:
    """What an error of a library says, in one line that is not too long."""
    text = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def kind_of(mode: int) -> str:
    """What a name stands for, by the mode that `os.stat` gives, in words."""
    kinds = {
        stat.S_IFREG: "a plain file",
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFLNK: "a symbolic link",
    }
    return kinds.get(stat.S_IFMT(mode), "a device")


def check_plain(path: Name) -> int:
    """Size in bytes of a plain file.

    Raises
    ------
    InputError
        It is a pipe, a device or a socket, which may never end, or never begin.
    FileNotFoundError, IsADirectoryError, PermissionError
        It is not there, is a folder, or lies where one may not look.
    """
    try:
        state = os.stat(path)
    except ValueError as error:  # a zero byte in the name
        raise InputError(f"{os.fspath(path)!r} is no name of a file ({error})") from None
    return _size_of(path, state)


def _size_of(path: Name, state: os.stat_result) -> int:
    if stat.S_ISDIR(state.st_mode):
        raise IsADirectoryError(f"{os.fspath(path)}: is a directory, expected a file")
    if not stat.S_ISREG(state.st_mode):
        raise InputError(
            f"{os.fspath(path)}: is {kind_of(state.st_mode)}, expected a plain file; write the "
            "data into one first"
        )
    return state.st_size


def open_plain(path: Name) -> IO[bytes]:
    """Open a plain file for reading bytes; errors are those of `check_plain`."""
    check_plain(path)
    # What the name stands for may have changed by now: without O_NONBLOCK a pipe would hang here.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags)
    try:
        _size_of(path, os.fstat(handle))
        return open(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read_plain(path: Name, largest: int, wanted: str) -> bytes:
    """Content of a plain file.

    Parameters
    ----------
    path : path
    largest : int
        Bytes it may have.
    wanted : str
        What was expected, for the message.

    Raises
    ------
    InputError
        It is larger, or no plain file.
    OSError
        As `check_plain`.
    """
    with open_plain(path) as file:
        content = file.read(largest + 1)
        if len(content) > largest:
            size = os.fstat(file.fileno()).st_size
            raise InputError(
                f"{os.fspath(path)}: {size / 1e6:.0f} MB; expected {wanted}, at most "
                f"{largest / 1e6:g} MB"
            )
    return content


def bounded_lines(file: IO[bytes], name: str) -> Iterator[bytes]:
    """Lines of an open file, with their ends, one at a time.

    Raises
    ------
    InputError
        A line is longer than `LONGEST_LINE`.
    """
    number = 0
    while line := file.readline(LONGEST_LINE + 1):
        number += 1
        if len(line) > LONGEST_LINE:
            raise InputError(
                f"{name}: line {number} is longer than {LONGEST_LINE} bytes; expected a text file"
            )
        yield line


def read_archive(data: bytes, largest: int, name: str) -> dict[str, bytes]:
    """Members of a zip archive, unpacked.

    Parameters
    ----------
    data : bytes
        The archive.
    largest : int
        Bytes that all members together may have. What the archive says of itself is not trusted:
        no more than that is unpacked.
    name : str
        Of the file, for messages.

    Raises
    ------
    InputError
        The archive is damaged, encrypted, or holds more.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            size = sum(member.file_size for member in members)
            if len(members) > MOST_MEMBERS or size > largest:
                raise InputError(
                    f"{name}: unpacks to {len(members)} files of {size / 1e6:.0f} MB; expected at "
                    f"most {MOST_MEMBERS} of {largest / 1e6:g} MB"
                )
            content = {}
            for member in members:
                # Python reads what the table of contents promises, and no more.
                with archive.open(member) as file:
                    content[member.filename] = file.read(member.file_size)
            return content
    except InputError:
        raise
    except (*_DAMAGE, NotImplementedError) as error:
        raise InputError(f"{name}: a damaged zip archive ({reason_of(error)})") from None


def read_arrays(path: Name, names: Iterable[str], largest: int) -> dict[str, NDArray[Any]]:
    """Arrays of a ``.npz`` file, without pickled objects.

    Parameters
    ----------
    path : path
    names : iterable of str
        The wanted arrays; others are left alone.
    largest : int
        Bytes that each of them may take.

    Raises
    ------
    InputError
        The file is damaged, lacks one of them, or one is larger or holds objects. The message does
        not name the file.
    OSError
        As `check_plain`.
    """
    with open_plain(path) as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return {name: _read_array(archive, name, largest) for name in names}
        except InputError:
            raise
        except (*_DAMAGE, NotImplementedError) as error:
            raise InputError(reason_of(error)) from None


def _read_array(archive: zipfile.ZipFile, name: str, largest: int) -> NDArray[Any]:
    member = f"{name}.npy"
    if member not in archive.namelist():
        raise InputError(f"holds no array {name!r}")
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        head = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if head is None:
            raise InputError(f"the array {name!r} is of an unknown version {version}")
        shape, fortran, kind = head(file)
        size = math.prod(shape) * kind.itemsize
        if kind.hasobject:
            raise InputError(f"the array {name!r} holds Python objects, which are not read")
        if size > largest or any(length < 0 for length in shape):
            raise InputError(f"the array {name!r} has {size} bytes; expected at most {largest}")
        content = file.read(size)
        if len(content) < size or file.read(1):
            raise InputError(f"the array {name!r} is cut short")
    array = np.frombuffer(content, kind, count=math.prod(shape)) if size else np.empty(0, kind)
    return array.reshape(shape, order="F" if fortran else "C").copy()
