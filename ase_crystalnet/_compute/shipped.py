"""Compiled loops that came with the package, so that a first answer need not wait for a compiler.

A wheel holds, beside the sources of the loops, what numba made of them when the wheel was built:
one archive for each level of processor (``ase_crystalnet/_compiled/x86-64-v3.zip``), written by
`ase_crystalnet._compute.ahead`. The best one that this processor can run is used, if it came from
exactly the present sources, versions of numba and llvmlite, Python and operating system; otherwise,
and for arguments of types that no one thought of, numba compiles as it would without.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import os
import pickle
import platform
import sys
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llvmlite import binding

from ase_crystalnet._compute.compiling import compilation

__all__ = ["ABOUT", "LEVELS", "Level", "best_level", "circumstances", "entry_name", "load"]

#: Where the archives lie in the package, and the entry of an archive that says what it is good for.
FOLDER = "_compiled"
ABOUT = "about.json"
#: The best level that is wanted, or "none": compile here.
LIMIT = "CRYSTALNET_LEVEL"


@dataclass(frozen=True)
class Level:
    """Processors that can run the same compiled code.

    Attributes
    ----------
    name : str
    machine : tuple of str
        As `platform.machine` calls them.
    processor : str
        LLVM's name of it.
    features : tuple of str
        What a processor must have, in LLVM's names.
    """

    name: str
    machine: tuple[str, ...]
    processor: str
    features: tuple[str, ...]


_INTEL = ("x86_64", "AMD64", "x64")
_V2 = ("cx16", "popcnt", "sahf", "sse3", "sse4.1", "sse4.2", "ssse3")
_V3 = (*_V2, "avx", "avx2", "bmi", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave")
_V4 = (*_V3, "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl")
#: Best first. The levels of x86-64 are those of its psABI.
LEVELS = (
    Level("x86-64-v4", _INTEL, "x86-64-v4", _V4),
    Level("x86-64-v3", _INTEL, "x86-64-v3", _V3),
    Level("x86-64-v2", _INTEL, "x86-64-v2", _V2),
    Level("arm64", ("arm64", "aarch64", "ARM64"), "generic", ()),
)


def circumstances(state: str) -> dict[str, str]:
    """What must be the same where loops are compiled and where they run, besides the processor.

    Parameters
    ----------
    state : str
        Of the sources and of numba (`ase_crystalnet._compute.cache.state`).
    """
    return {
        "state": state,
        "python": f"{sys.implementation.cache_tag}{getattr(sys, 'abiflags', '')}",
        "target": binding.get_process_triple(),
    }


def best_level(
    machine: str | None = None,
    features: Mapping[str, bool] | None = None,
    among: Callable[[str], bool] = lambda name: True,
    limit: str = "",
) -> Level | None:
    """The best level that a processor can run.

    Parameters
    ----------
    machine : str, optional
        Default: this one.
    features : mapping of str to bool, optional
        LLVM's names of what the processor has, by the operating system's leave. Default: this one.
    among : callable
        Whether a level of this name is to be had.
    limit : str
        No better level than this one; "none" for none, "" for the best.

    Raises
    ------
    ValueError
        There is no level called `limit`.
    """
    names = [level.name for level in LEVELS]
    if limit == "none":
        return None
    if limit and limit not in names:
        raise ValueError(f"{LIMIT} is {limit!r}; expected {', '.join(names)} or none")
    machine = platform.machine() if machine is None else machine
    features = binding.get_host_cpu_features() if features is None else features
    for level in LEVELS[names.index(limit) if limit else 0 :]:
        suits = all(features.get(name, False) for name in level.features)
        if machine in level.machine and suits and among(level.name):
            return level
    return None


def entry_name(function: Any, signature: Any) -> str:
    """Name in an archive of a function compiled for arguments of these types."""
    types = hashlib.sha256(str(tuple(signature)).encode()).hexdigest()[:16]
    return f"{function.__module__}.{function.__qualname__}-{types}"


@functools.cache
def _archive(folder: Path, state: str) -> zipfile.ZipFile | None:
    """The archive to read from; None if there is none, or none for these circumstances."""
    from numba import config

    if not state or not folder.is_dir():
        return None
    if any(getattr(config, name) is not None for name in ("CPU_NAME", "CPU_FEATURES")):
        return None  # numba is told what to compile for
    limit = os.environ.get(LIMIT, "")
    level = best_level(among=lambda name: (folder / f"{name}.zip").is_file(), limit=limit)
    if level is None:
        return None
    path = folder / f"{level.name}.zip"
    try:
        # In memory: a forked process must not share the place where its parent reads in a file.
        archive = zipfile.ZipFile(io.BytesIO(path.read_bytes()))
        about = json.loads(archive.read(ABOUT))
    except (OSError, zipfile.BadZipFile, KeyError, ValueError) as error:
        _damaged(path.name, error)
        return None
    return archive if about == circumstances(state) else None


def _damaged(name: str, error: Exception) -> None:
    warnings.warn(
        f"compiled loops in {name} cannot be read ({error}); they are compiled here instead."
        " Installing the package again mends it",
        RuntimeWarning,
        stacklevel=2,
    )


def load(
    package: Path, state: str, function: Any, signature: Any, target_context: Any
) -> Any | None:
    """What was compiled of a function for arguments of these types; None if that did not come.

    Parameters
    ----------
    package : Path
        Folder of the package.
    state : str
        Of its sources, as `circumstances` takes it.
    function : callable
        The loop, in Python.
    signature : sequence of numba types
        Of its arguments.
    target_context : numba.core.base.BaseContext
        What the loop is to be called from.

    Returns
    -------
    numba.core.compiler.CompileResult or None
    """
    archive = _archive(package / FOLDER, state)
    if archive is None:
        return None
    name = entry_name(function, signature)
    if name not in archive.NameToInfo:
        return None
    from numba.core.compiler import CompileResult

    try:
        stripped, reduced = pickle.loads(archive.read(name))
    except (zipfile.BadZipFile, pickle.UnpicklingError, ValueError, EOFError) as error:
        _damaged(name, error)
        return None
    if stripped and compilation.under_way:
        return None  # a loop that calls this one is compiled, and wants what it is made of
    return CompileResult._rebuild(target_context, *reduced)
