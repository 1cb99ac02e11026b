"""Cells that stand in the comment of an XYZ frame: i-PI, cpptraj, and programs that write numbers.

The comment of a plain XYZ file is prose; what looks like a cell is taken only if it can hold the
atoms.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["take_cell"]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][-+]?\d+)?"
_WORD = re.compile(
    r"(?:unit[ _]?cell|lattice(?:[ _]vectors)?|supercell|cell|box|pbc|abc)"
    r"[ _]*(?:\((abcABC|GENH|H)\))?[^-+.\d\n]{0,12}",
    re.IGNORECASE,
)
#: Angstrom of one bohr.
_BOHR = 0.529177210903
_UNITS = {"atomic_unit": _BOHR, "bohr": _BOHR, "angstrom": 1.0, "nanometer": 10.0, "nm": 10.0}
#: Letters between numbers: "X: 20.0 Y: 20.0", "a=3.6 b=3.6".
_LABEL = re.compile(r"[\s,;|\"'\[\](){}]*(?:[A-Za-z]{1,5}[ ]*[:=])?[\s,;|\"'\[\](){}]*")
#: Range of the volume of an atom that is believed, cubic Angstrom.
_VOLUMES = (1.0, 1e6)


def take_cell(atoms: Atoms, comment: str) -> bool:
    """Give atoms without a cell the one that their comment names, periodic in all directions.

    Parameters
    ----------
    atoms : ase.Atoms
        Changed in place where there is a cell.
    comment : str

    Returns
    -------
    bool
        Whether there was one.
    """
    for values, style, sure in _candidates(comment):
        cell = _cell(values, style)
        if cell is not None and _holds(cell, atoms, sure):
            lengths = _unit(comment, "cell")
            positions = _unit(comment, "positions")
            atoms.positions *= positions
            atoms.cell = cell * lengths
            atoms.pbc = True
            return True
    return False


def _candidates(comment: str) -> list[tuple[list[float], str, bool]]:
    """Numbers that may be a cell, how they are to be read, and whether a word says so."""
    found = []
    for word in _WORD.finditer(comment):
        numbers = _numbers(comment[word.end() :])
        style = word[1] or ""
        sizes = (6,) if style.lower() == "abcabc" else (9,) if style else (9, 6, 3)
        found += [(numbers[:size], style, True) for size in sizes if len(numbers) >= size]
    bare = re.sub(r"^\s*(?:#|XYZ\b)", "", comment)
    if re.fullmatch(rf"\s*(?:{_NUMBER}[\s,]*){{3,9}}", bare):
        numbers = _numbers(bare)
        if len(numbers) in (3, 6, 9):
            found.append((numbers, "", False))
    return found


def _numbers(text: str) -> list[float]:
    """Numbers that follow each other, with labels of few letters between them at most."""
    values: list[float] = []
    place = 0
    number = re.compile(_NUMBER)
    while len(values) < 9:
        gap = _LABEL.match(text, place)
        found = number.match(text, gap.end() if gap else place)
        if found is None:
            break
        values.append(float(found[0].replace("d", "e").replace("D", "e")))
        place = found.end()
    return values


def _cell(values: list[float], style: str) -> Any:
    """Vectors as rows; None if the numbers are no cell."""
    from ase.cell import Cell

    if not np.isfinite(values).all():
        return None
    if len(values) == 9:
        # i-PI writes vectors in columns.
        rows = np.reshape(values, (3, 3))
        return rows.T if style.upper() in ("H", "GENH") else rows
    if min(values) <= 0 or (len(values) == 6 and not all(10 < v < 170 for v in values[3:])):
        return None
    try:
        return np.array(Cell.new(values)[:])
    except (AssertionError, ValueError, FloatingPointError):
        return None


def _holds(cell: Any, atoms: Atoms, sure: bool) -> bool:
    """Whether a cell can be that of the atoms."""
    with np.errstate(all="ignore"):
        volume = abs(float(np.linalg.det(cell)))
        if not _VOLUMES[0] <= volume / max(len(atoms), 1) <= _VOLUMES[1]:
            return False
        if sure:
            return True
        extent = np.ptp(atoms.positions @ np.linalg.inv(cell), axis=0)
    return bool(((extent <= 1.05) & (extent >= 0.4)).all())


def _unit(comment: str, of: str) -> float:
    """Angstrom of the unit that i-PI names: ``cell{atomic_unit}``."""
    found = re.search(rf"\b{of}\{{(\w+)\}}", comment)
    return _UNITS.get(found[1].lower(), 1.0) if found else 1.0
