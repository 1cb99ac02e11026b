"""Files of libraries: one array a field, with a version; read with care, written whole."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.inputs import read_arrays
from ase_crystalnet.io.whole_files import write_whole

__all__ = ["LARGEST", "read_library", "shipped", "write_library"]

#: Bytes that an array of a library may take: thousands of times the shipped ones.
LARGEST = 1_000_000_000


def shipped(name: str) -> Path:
    """Path of a file that the package brings along."""
    return Path(str(files("ase_crystalnet.xrd").joinpath(f"data/{name}")))


def read_library(
    path: Path,
    kind: type[Any],
    version: int,
    problem: Callable[[Mapping[str, NDArray[Any]]], str | None],
    *,
    what: str,
    again: str,
    missing: str,
) -> dict[str, NDArray[Any]]:
    """The arrays of a library, one for each field of a dataclass.

    Parameters
    ----------
    path : Path
    kind : dataclass
    version : int
        That this program reads.
    problem : callable
        Says what is wrong with the arrays.
    what, again, missing : str
        For the errors: what the file should be, and what to do where it is wrong or not there.

    Raises
    ------
    ModelError
        It is not there, damaged, or of another version.
    """
    try:
        found = read_arrays(path, ("version",), LARGEST)["version"]
        if found.shape != () or found.dtype.kind not in "iu":
            raise InputError("its version is no number")
        if int(found) != version:
            raise ModelError(f"{path} is of version {int(found)}, this program reads {version}")
        content = read_arrays(path, [f.name for f in fields(kind)], LARGEST)
    except FileNotFoundError:
        raise ModelError(f"{path} is missing: {missing}") from None
    except InputError as error:
        raise ModelError(f"{path} is no {what} ({error}): {again}") from None
    if trouble := problem(content):
        raise ModelError(f"{path} is damaged ({trouble}): {again}")
    return dict(content)


def write_library(library: Any, path: Path, version: int) -> None:
    """Write as a compressed .npz file, whole or not at all."""
    buffer = io.BytesIO()
    content = {f.name: getattr(library, f.name) for f in fields(library)}
    np.savez_compressed(buffer, version=version, **content)
    write_whole(path, buffer.getvalue())
