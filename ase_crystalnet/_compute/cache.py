"""Compiled loops kept from process to process, valid for exactly the sources they came from.

numba holds kept code to be good as long as the file of the function itself is unchanged. Here loops
call loops of other files, which are compiled into them: after an update of the callee alone the
caller's old code would go on running with the old callee in it, and give wrong answers without a
word. What is kept therefore carries in its name the state of all sources of compiled loops.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, NullCache
from numba.core.registry import cpu_target

from ase_crystalnet._compute import shipped

__all__ = ["cache_is_possible", "kept", "kernel_sources", "njit", "state"]

#: Folders and files that hold compiled loops and what they import, by their names: reading these
#: takes 1 ms, searching all of the package for them five times that.
FOLDERS = ("_compute", "_kernels")
FILES = ("_kernel.py", "_kernels.py")
#: Python's version, as numba writes it into the names of its files.
PYTHON = f".py{sys.version_info[0]}{sys.version_info[1]}{getattr(sys, 'abiflags', '')}"


def kernel_sources(package: Path) -> list[Path]:
    """Sources of compiled loops and of what is compiled into them.

    Parameters
    ----------
    package : Path
        Folder of the package.

    Returns
    -------
    list of Path
        Sorted; empty where the package is no folder of sources (in a zip file, frozen).
    """
    found = []
    for folder, _, names in os.walk(package):
        if os.path.basename(folder) in FOLDERS:
            found += [Path(folder, name) for name in names if name.endswith(".py")]
        else:
            found += [Path(folder, name) for name in names if name.endswith(FILES)]
    return sorted(found)


def state(package: Path) -> str:
    """What compiled loops depend on besides their own file, as 16 hexadecimal digits.

    Parameters
    ----------
    package : Path
        Folder of the package.

    Returns
    -------
    str
        Digest (SHA-256, cut) of the names and contents of `kernel_sources` and of the versions of
        numba and llvmlite; empty if there are no sources.
    """
    sources = kernel_sources(package)
    if not sources:
        return ""
    digest = hashlib.sha256(f"numba {numba.__version__} llvmlite {llvmlite.__version__}".encode())
    for path in sources:
        content = path.read_bytes()
        digest.update(f"\n{path.relative_to(package).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


PACKAGE = Path(__file__).parents[1]
#: Of this installation, as it is when the process starts.
STATE = state(PACKAGE)


class _Place(CompileResultCacheImpl):
    """Names of the files of one function: numba's, with the state of the sources."""

    def get_filename_base(self, fullname: str, abiflags: str) -> str:
        return f"{super().get_filename_base(fullname, abiflags)}-{STATE}"


class _Cache(FunctionCache):
    """numba's cache of one function. Files of other states are never read, only removed.

    Processes that start at once, also with different sources, write files of different names or
    of the same content; one whose files are removed compiles again.
    """

    _impl_class = _Place

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """What came with the package or, if that did not, what was kept here."""
        found = _shipped(self._py_func, sig, target_context)
        return super().load_overload(sig, target_context) if found is None else found

    def kept(self, sig: Any) -> tuple[Any, ...]:
        """What is kept of a function for arguments of these types, as numba writes it."""
        key = self._index_key(sig, cpu_target.target_context.codegen())
        kept: tuple[Any, ...] | None = self._cache_file.load(key)
        if kept is None:
            raise RuntimeError(f"{self._name} is compiled, but not kept in {self.cache_path}")
        return kept

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep what has been compiled, in place of what was kept of former sources."""
        if state(PACKAGE) != STATE:
            return  # updated under a running process, which may hold files of both versions
        super().save_overload(sig, data)
        name, _, _ = self._impl.filename_base.partition("-")
        former = re.compile(
            rf"{re.escape(name)}-[^.]+{re.escape(PYTHON)}(?!-{STATE})(-[0-9a-f]+)?(\.\d+)?\.nb[ic]"
        )
        # A folder that is gone, a file that another process has removed or that Windows holds.
        with contextlib.suppress(OSError):
            for entry in os.listdir(self.cache_path):
                if former.fullmatch(entry):
                    with contextlib.suppress(OSError):
                        os.unlink(os.path.join(self.cache_path, entry))


class _ReadOnly(NullCache):
    """Where nothing can be kept: only what came with the package."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        return _shipped(self._function, sig, target_context)


def _shipped(function: Callable[..., Any], sig: Any, target_context: Any) -> Any:
    target_context.refresh()  # as numba's own cache does, so that it knows the types of NumPy
    return shipped.load(PACKAGE, STATE, function, sig, target_context)


def kept(loop: Any, sig: Any) -> tuple[Any, ...]:
    """What the cache holds of a compiled loop for arguments of these types.

    Raises
    ------
    RuntimeError
        Nothing.
    """
    held: tuple[Any, ...] = loop._cache.kept(sig)
    return held


def njit(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """As `numba.njit`; with ``cache=True`` what is kept is good for the present sources only.

    Parameters
    ----------
    **options
        Of `numba.njit`.

    Returns
    -------
    callable
        Decorator of a function.

    Raises
    ------
    RuntimeError
        From the decorator: there is no place for a cache.
    """
    keep = options.pop("cache", False)
    decorate = numba.njit(**options)

    def decorated(function: Callable[..., Any]) -> Any:
        loop = decorate(function)
        if loop is not function:  # the same one where NUMBA_DISABLE_JIT is set
            # As its enable_caching() does with numba's.
            loop._cache = _Cache(function) if keep else _ReadOnly(function)
        return loop

    return decorated


def cache_is_possible() -> bool:
    """Whether compiled code can be kept: beside the package, in ~/.cache or $NUMBA_CACHE_DIR.

    Where none of them can be written numba refuses to compile anything that asks for its cache.
    Without sources nothing says whether kept code is still good.
    """
    if not STATE:
        return False
    try:
        njit(cache=True)(cache_is_possible)  # looks for the place, compiles nothing
    except (RuntimeError, OSError):
        return False
    return True
