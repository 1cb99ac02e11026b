"""Atom lines of one frame by NumPy's text reader: to the bit what ASE reads, several times sooner.

Cell, boundaries and whatever else stands in the head of a frame are ASE's, read from the frame's
head with its first atom; so are the names and types of the arrays. NumPy reads the rest. A frame
that holds more than plain arrays (forces, velocities, constraints ...) is left to ASE.

OVITO's reader is no quicker than this one once its input is checked (both 0.4 us an atom, ASE 1.7
for dumps, 3.6 for extended XYZ) and rounds numbers of more than 15 digits in another way.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Column", "NotPlain", "read_table"]

#: Name, kind and number of columns of a property, as in extended XYZ: R real, I integer, S string;
#: "-" is passed over. "pos", "scaled_positions", "species" and "id" mean what they say.
Column = tuple[str, str, int]

_TYPES = {"R": np.float64, "I": np.int64, "S": "S3", "-": "S1"}  # symbols have two letters at most


class NotPlain(Exception):
    """ASE has to read this frame; says why."""


def read_table(lines: list[str], columns: list[Column], one: Atoms, *, sort: bool = False) -> Atoms:
    """Atoms of a frame.

    Parameters
    ----------
    lines : list of str
        The atom lines.
    columns : list of Column
        What they hold.
    one : ase.Atoms
        What ASE makes of the frame's head and its first atom line.
    sort : bool
        Bring the atoms into the order of "id", as ASE does with dumps.

    Raises
    ------
    NotPlain
        If ASE would, or might, make something else of it, an error included.
    """
    from ase import Atoms
    from ase.calculators.singlepoint import SinglePointCalculator

    names = {name for name, _, _ in columns}
    own = {"pos", "scaled_positions", "species"} | ({"id"} if sort else set())
    _check_columns(columns, own, one)
    table = _table(lines, columns)
    order: Any = slice(None)
    if sort:
        order = np.argsort(table["id"])
        if not np.all(np.diff(table["id"][order]) > 0):
            raise NotPlain("ids come twice")
    if "species" in names:
        numbers = _numbers(table["species"])
    else:
        numbers = table["numbers" if "numbers" in names else "type"]
    given = "pos" if "pos" in names else "scaled_positions"
    frame = Atoms(
        numbers=numbers[order],
        **{"positions" if given == "pos" else given: table[given][order]},
        cell=one.cell,
        pbc=one.pbc,
        celldisp=one.get_celldisp(),
        info=one.info,
    )
    for name, array in one.arrays.items():
        if name not in frame.arrays:
            frame.new_array(name, table[name][order], array.dtype)
    if one.calc is not None:
        # Nothing in it belongs to an atom: a column that does was refused.
        frame.calc = SinglePointCalculator(frame, **one.calc.results)
    return frame


def _check_columns(columns: list[Column], own: set[str], one: Atoms) -> None:
    """Each column must be an array of its own name to ASE, and no array come from elsewhere."""
    names = [name for name, _, _ in columns]
    if len(set(names)) < len(names) or not {"pos", "scaled_positions"} & set(names):
        raise NotPlain("a column is missing or there twice")
    if not {"species", "numbers", "type"} & set(names):
        raise NotPlain("nothing says which atoms these are")
    for name, kind, width in columns:
        if kind == "-" or name in own:
            continue
        array = one.arrays.get(name)
        if kind not in "RI" or array is None or array[0].size != width:
            raise NotPlain(f"ASE makes something else of the column {name}")
    if set(one.arrays) - set(names) - {"positions", "numbers"} or one.constraints:
        raise NotPlain("ASE adds something of its own")


def _table(lines: list[str], columns: list[Column]) -> NDArray[Any]:
    """A structured array of the columns."""
    dtype = [
        # A name may stand in front of another column's; those passed over are told apart by place.
        (f"-{place}" if kind == "-" else name, _TYPES[kind], (width,) if width > 1 else ())
        for place, (name, kind, width) in enumerate(columns)
    ]
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
