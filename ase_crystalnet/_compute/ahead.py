"""Compile the loops before anybody calls them, in several processes.

    python -m ase_crystalnet._compute.ahead [--jobs N] [--only NAME]
    python -m ase_crystalnet._compute.ahead FOLDER [--levels host|all|NAME,...] [--jobs N]

The first form keeps the code where a first call would keep it: for those who work in a checkout.
The second writes archives for `ase_crystalnet._compute.shipped`: the build of a wheel calls it.
NumPy, numba and lazy-loader are all that is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import json
import multiprocessing
import os
import platform
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from llvmlite import binding

from ase_crystalnet._compute import cache, shipped, signatures
from ase_crystalnet._compute.shipped import LEVELS, Level
from ase_crystalnet._compute.signatures import Entry

__all__ = ["compile_here", "main", "write_archive"]

#: Of what is written into archives: builds of the same sources give the same file.
_TIME = (1980, 1, 1, 0, 0, 0)


@functools.cache
def _loops() -> dict[int, Any]:
    """All compiled loops of the package by their identity."""
    from numba.core.dispatcher import Dispatcher

    found = {}
    for path in cache.kernel_sources(cache.PACKAGE):
        if "@njit" in path.read_text(encoding="utf-8"):
            place = path.relative_to(cache.PACKAGE.parent).with_suffix("")
            module = importlib.import_module(".".join(place.parts))
            found.update({id(v): v for v in vars(module).values() if isinstance(v, Dispatcher)})
    return found


def _callees(loop: Any) -> list[Any]:
    """Loops that one calls."""
    function = loop.py_func
    named = (function.__globals__.get(name) for name in function.__code__.co_names)
    return [value for value in named if id(value) in _loops() and value is not loop]


def _size(loop: Any) -> int:
    """Instructions of a loop and of all that it calls: about what compiling it takes."""
    seen, waiting, total = {id(loop)}, [loop], 0
    while waiting:
        one = waiting.pop()
        total += len(one.py_func.__code__.co_code)
        for callee in _callees(one):
            if id(callee) not in seen:
                seen.add(id(callee))
                waiting.append(callee)
    return total


def _loop(entry: Entry) -> Any:
    return getattr(importlib.import_module(entry[0]), entry[1])


def _compiled(entry: Entry) -> str:
    """Compile one entry, in a process of its own, which keeps it; returns its name."""
    loop = _loop(entry)
    loop.compile(signatures.types_of(entry))
    return entry[1]


def _kept(entry: Entry, strip: bool) -> tuple[str, bytes]:
    """Compile one entry; its name in an archive, and what numba keeps of it.

    Parameters
    ----------
    entry : tuple of str
    strip : bool
        Leave out what other loops would need to be compiled with it.
    """
    from numba.core.serialize import dumps

    types = signatures.types_of(entry)
    loop = _loop(entry)
    loop.compile(types)
    (library, kind, (code, source)), described, *rest = cache.kept(loop, types)
    rest[4] = ""  # the types of its variables, for people
    if strip:
        source = _names_alone(described)
    name = shipped.entry_name(loop.py_func, types)
    return name, dumps((strip, ((library, kind, (code, source)), described, *rest)))


def _names_alone(described: Any) -> bytes:
    """LLVM's bitcode with no more than the names by which numba finds what it has loaded.

    As variables, not functions: LLVM refuses to make a call of one.
    """
    names = (
        described.llvm_func_name,
        described.llvm_cpython_wrapper_name,
        described.llvm_cfunc_wrapper_name,
    )
    text = "".join(f'@"{name}" = constant i8 0\n' for name in dict.fromkeys(names))
    return bytes(binding.parse_assembly(text).as_bitcode())


@contextlib.contextmanager
def _pool(jobs: int, environment: dict[str, str]) -> Iterator[ProcessPoolExecutor]:
    """Processes that begin with these variables."""
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
            yield pool
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _ordered(entries: Iterable[Entry]) -> list[Entry]:
    """Those that take longest first."""
    return sorted(entries, key=lambda entry: -_size(_loop(entry)))


def compile_here(jobs: int, only: Iterable[str] = ()) -> int:
    """Compile for this processor and keep it where first calls would.

    Parameters
    ----------
    jobs : int
        Processes.
    only : iterable of str
        Only functions of modules whose names begin so; all if there are none.

    Returns
    -------
    int
        Functions that are called from Python.
    """
    wanted = tuple(only) or ("",)
    entries = _ordered(entry for entry in signatures.read() if entry[0].startswith(wanted))
    with _pool(jobs, {}) as pool:
        return len(list(pool.map(_compiled, entries)))


def write_archive(folder: Path, level: Level, jobs: int) -> Path:
    """Compile everything for processors of one level.

    Parameters
    ----------
    folder : Path
        Where ``NAME.zip`` is written.
    level : Level
    jobs : int
        Processes.

    Returns
    -------
    Path
        The archive.
    """
    entries = _ordered(signatures.read())
    called = {id(one) for loop in _loops().values() for one in _callees(loop)}
    strip = [id(_loop(entry)) not in called for entry in entries]
    with tempfile.TemporaryDirectory() as place:
        environment = {
            "NUMBA_CACHE_DIR": place,
            "NUMBA_CPU_NAME": level.processor,
            "NUMBA_CPU_FEATURES": ",".join(f"+{name}" for name in level.features),
            "NUMBA_DISABLE_INTEL_SVML": "1",  # a library that other machines need not have
            shipped.LIMIT: "none",
        }
        with _pool(jobs, environment) as pool:
            found = dict(pool.map(_kept, entries, strip))
    found[shipped.ABOUT] = json.dumps(shipped.circumstances(cache.STATE)).encode()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{level.name}.zip"
    unfinished = path.with_suffix(".part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(found):
            info = zipfile.ZipInfo(name, _TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, found[name])
    unfinished.replace(path)
    return path


def _levels(given: str) -> list[Level]:
    """Levels by their names: "host" for the best of this processor, "all" for this machine's."""
    if given == "host":
        best = shipped.best_level()
        return [] if best is None else [best]
    if given == "all":
        # Those without AVX2 are older than 2013: they compile for themselves.
        here = platform.machine()
        return [one for one in LEVELS if here in one.machine and one.name != "x86-64-v2"]
    known = {level.name: level for level in LEVELS}
    unknown = [name for name in given.split(",") if name not in known]
    if unknown:
        raise SystemExit(
            f"levels: {', '.join(unknown)}; expected host, all or of {', '.join(known)}"
        )
    return [known[name] for name in given.split(",")]


def main(arguments: list[str] | None = None) -> None:
    """Compile what the command line asks for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="of archives; none: keep it here")
    parser.add_argument("--levels", default="host", help="host, all, or names with commas")
    parser.add_argument("--jobs", type=int, help="processes (default: one a core)")
    parser.add_argument("--only", action="append", default=[], help="modules that begin so")
    given = parser.parse_args(arguments)
    jobs = given.jobs or os.cpu_count() or 1
    if given.folder is None:
        number = compile_here(jobs, given.only)
        sys.stdout.write(f"{number} functions are compiled\n")
        return
    for level in _levels(given.levels):
        path = write_archive(given.folder, level, jobs)
        sys.stdout.write(f"{path}: {path.stat().st_size / 2**20:.2f} MB\n")


if __name__ == "__main__":
    main()
