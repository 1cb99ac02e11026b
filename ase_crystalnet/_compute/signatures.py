"""Types of the arguments with which the package calls its compiled loops.

numba learns them from the first call. What is compiled before any call (`_compute.ahead`) reads
them in ``signatures.txt``, a line a function, which ``python benchmarks/loops.py --write`` writes
from calls. A type is written as NumPy's code of its elements and, of an array in C order, the
number of dimensions: ``f8`` is a float, ``f4:3`` a three-dimensional array of float32, ``i8:2F``
one in Fortran's order, ``(f4:1 f8:2)`` a tuple, and ``FOUND:1`` an array of records whose dtype
the module calls so.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numba import from_dtype, types

__all__ = ["TABLE", "Entry", "read", "types_of", "written"]

#: Module, name of the function, and types of its arguments as they are written.
Entry = tuple[str, str, str]
TABLE = Path(__file__).with_name("signatures.txt")
_WORD = re.compile(r"[()]|[^\s()]+")


def read(path: Path = TABLE) -> list[Entry]:
    """Entries of a table."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            place, _, arguments = line.partition(": ")
            module, _, function = place.rpartition(".")
            found.append((module, function, arguments))
    return found


def _element(code: str, module: Any) -> Any:
    return from_dtype(getattr(module, code) if code.isupper() else np.dtype(code))


def _parsed(words: Iterator[str], module: Any) -> list[Any]:
    found: list[Any] = []
    for word in words:
        if word == ")":
            break
        if word == "(":
            found.append(types.Tuple(_parsed(words, module)))
        elif ":" in word:
            code, _, shape = word.partition(":")
            layout: Any = shape.lstrip("0123456789") or "C"
            dimensions = int(shape.removesuffix(layout))
            found.append(types.Array(_element(code, module), dimensions, layout))
        else:
            found.append(_element(word, module))
    return found


def types_of(entry: Entry) -> tuple[Any, ...]:
    """Numba's types of the arguments of an entry."""
    module, _, arguments = entry
    words = (match.group() for match in _WORD.finditer(arguments))
    return tuple(_parsed(words, importlib.import_module(module)))


def _text(given: Any, module: Any) -> str:
    if isinstance(given, types.BaseTuple):
        inner: Any = given
        return f"({' '.join(_text(one, module) for one in inner)})"
    if isinstance(given, types.Boolean):
        return "b1"
    if isinstance(given, types.Array):
        layout = "" if given.layout == "C" else given.layout
        return f"{_text(given.dtype, module)}:{given.ndim}{layout}"
    if isinstance(given, types.Record):
        return next(
            name
            for name, value in vars(module).items()
            if name.isupper() and isinstance(value, np.dtype) and _element(name, module) == given
        )
    return np.dtype(str(given)).str.lstrip("<>|=")


def written(module: str, function: str, signature: Any) -> Entry:
    """Entry of a function for arguments of numba's types `signature`.

    Raises
    ------
    ValueError
        There is no way to write one of them.
    """
    loaded = importlib.import_module(module)
    entry = (module, function, " ".join(_text(given, loaded) for given in signature))
    if types_of(entry) != tuple(signature):
        raise ValueError(f"{module}.{function}: no way to write the types {tuple(signature)}")
    return entry
