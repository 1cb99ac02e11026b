"""Atom lines of extended XYZ by NumPy's text reader: to the bit what ASE reads, but sooner.

Cell, boundaries and whatever else stands in the head of a frame are ASE's, read from the frame's
head with its first atom; so are the names and types of the arrays. NumPy reads the rest. A frame
that holds more than plain arrays (forces, momenta, constraints ...) is left to ASE. LAMMPS dumps
are read by NumPy in ASE itself. `benchmarks/reading.py` compares, OVITO's reader included.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Column", "NotPlain", "read_table"]

#: Name, kind (R real, I integer, S string, L logical) and number of columns of a property.
Column = tuple[str, str, int]

_TYPES = {"R": np.float64, "I": np.int64, "S": "S3"}  # chemical symbols have two letters at most


class NotPlain(Exception):
    """ASE has to read this frame; says why."""


def read_table(lines: list[str], columns: list[Column], one: Atoms) -> Atoms:
    """Atoms of a frame.

    Parameters
    ----------
    lines : list of str
        The atom lines.
    columns : list of Column
        What they hold.
    one : ase.Atoms
        What ASE makes of the frame's head and its first atom line.

    Raises
    ------
    NotPlain
        If ASE would, or might, make something else of it, an error included.
    """
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    _check_columns(columns, one)
    table = _table(lines, columns)
    names = [name for name, _, _ in columns]
    frame = Atoms(
        numbers=_numbers(table["species"]) if "species" in names else table["numbers"],
        positions=table["pos"],
        cell=one.cell,
        pbc=one.pbc,
        celldisp=one.get_celldisp(),
        info=one.info,
    )
    for name, array in one.arrays.items():
        if name not in frame.arrays:
            frame.new_array(name, table[name], array.dtype)
        if name in names and not np.array_equal(frame.arrays[name], table[name], equal_nan=True):
            raise NotPlain(f"{name} holds numbers that ASE's type of it does not")
    if one.calc is not None:
        # Nothing in it belongs to an atom: a column that does was refused.
        frame.calc = SinglePointCalculator(frame, **one.calc.results)
    return frame


def _check_columns(columns: list[Column], one: Atoms) -> None:
    """Each column must be an array of its own name to ASE, and no array come from elsewhere."""
    names = [name for name, _, _ in columns]
    whole = "pos" in names and len({"species", "numbers"} & set(names)) == 1
    if not whole or len(set(names)) < len(names):
        raise NotPlain("a column is missing or there twice")
    for name, kind, width in columns:
        if (name, kind, width) in (("pos", "R", 3), ("species", "S", 1)):
            continue
        array = one.arrays.get(name)
        if kind not in "RI" or array is None or array[0].size != width:
            raise NotPlain(f"ASE makes something else of the column {name}")
    if set(one.arrays) - set(names) != {"positions", "numbers"} - set(names) or one.constraints:
        raise NotPlain("ASE adds something of its own")


def _table(lines: list[str], columns: list[Column]) -> NDArray[Any]:
    """A structured array of the columns."""
    dtype = [(name, _TYPES[kind], (width,) if width > 1 else ()) for name, kind, width in columns]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of an integer written as 1.0
            return np.loadtxt(lines, dtype=dtype, comments=None, ndmin=1)
    except (ValueError, Warning) as error:
        raise NotPlain(str(error)) from error


def _numbers(names: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """Atomic numbers of chemical symbols."""
    from ase.data import atomic_numbers

    numbers = np.zeros(len(names), np.int64)
    for name in set(names.tolist()):
        if name.decode() not in atomic_numbers:
            raise NotPlain(f"{name.decode()} is no chemical symbol")
        numbers[names == name] = atomic_numbers[name.decode()]
    return numbers
