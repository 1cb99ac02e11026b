"""Files of ions as tables with names: .csv, and .h5 of pyccapt.

`ifes-apt-tc-data-modeling` (0.5) reads both, but takes the first line of any .csv for names and
goes through the file five times in Python, needs PyTables for the .h5, and gives the uncalibrated
masses of those that have both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.atom_probe.files.hdf5_frames import check_size, open_frames
from ase_crystalnet.atom_probe.files.ion_columns import ANGSTROM, IonColumns
from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import bounded_lines, open_plain, reason_of
from ase_crystalnet.io.results.hdf5_reader import damage, member

if TYPE_CHECKING:
    import h5py

__all__ = ["is_csv", "is_pyccapt", "read_csv", "read_pyccapt"]

#: Names of a column of masses, without blanks, best first: pyccapt calibrated ``mc_c`` once.
_MASSES = (
    "mcc", "mc", "m/n", "m/z", "m/q", "m/c", "mn", "mz", "mq", "m", "mass", "da", "amu",
    "masstocharge", "mass/charge", "masstochargeratio", "masstochargestateratio", "m2q",
)  # fmt: skip
#: Angstrom of a unit; pyccapt once wrote cm over its nanometres (its DATA_STRUCTURE.md).
_UNITS = {"nm": 10.0, "cm": 10.0, "a": 1.0, "å": 1.0, "ang": 1.0, "angstrom": 1.0, "ångström": 1.0}
_NAMED_UNIT = re.compile(r"(.*?)[\s_/]*[\(\[](.*?)[\)\]]|(.*?)[_/](nm|a|å|ang|angstrom|da)")
#: Lines before the first row of numbers, and columns.
_MOST_HEAD, _MOST_COLUMNS = 100, 1000
#: Blocks of a frame: one for each kind of number.
_MOST_BLOCKS = 32


def _split_name(text: str) -> tuple[str, str]:
    """Name without blanks, and unit, of the head of a column."""
    text = text.strip().strip("\"'").strip().lower()
    found = _NAMED_UNIT.fullmatch(text)
    name, unit = text, ""
    if found:
        name, unit = (found[1], found[2]) if found[2] is not None else (found[3], found[4])
    return re.sub(r"[\s_\-]", "", name), unit.strip()


def _choose(names: Sequence[str]) -> tuple[list[int], list[int], float | None]:
    """Columns of x, y and z and of masses, best first, and the unit in Angstrom where stated."""
    split = [_split_name(name) for name in names]
    plain = [name for name, _ in split]
    axes = [plain.index(axis) if axis in plain else -1 for axis in "xyz"]
    masses = [plain.index(name) for name in _MASSES if name in plain]
    masses = masses or [i for i, name in enumerate(plain) if name.startswith(("mass", "m/"))][:1]
    units = {_UNITS[split[i][1]] for i in axes if i >= 0 and split[i][1] in _UNITS}
    return axes, masses, units.pop() if len(units) == 1 else None


def _columns(
    path: Path, axes: Sequence[NDArray[Any]], masses: Sequence[NDArray[Any]], unit: float | None,
    notes: tuple[str, ...] = (),
) -> IonColumns:  # fmt: skip
    positions = np.column_stack([np.asarray(axis, np.float32) for axis in axes])
    if len(positions) and not positions.any():
        raise InputError(f"{path}: x, y and z of all ions are 0; reconstruct the measurement first")
    mass = next((mass for mass in masses if mass.any()), masses[0])
    return IonColumns(
        positions, np.asarray(mass, np.float32), notes=notes, scale=unit or ANGSTROM,
        unit_stated=unit is not None,
    )  # fmt: skip


# ------------------------------------------------------------------------------------------ .csv
def is_csv(path: Path) -> bool:
    """Whether a table has columns named x, y, z and a mass."""
    with open_plain(path) as file:
        head, *_ = _table_head(path, bounded_lines(file, str(path)))
    axes, masses, _ = _choose(head)
    return min(axes) >= 0 and bool(masses)


def read_csv(path: Path) -> IonColumns:
    """Read a table of x, y, z and mass over charge number, with names or without.

    Separators are commas, semicolons, tabs or blanks; decimal commas are understood where they
    separate nothing. Without names, or with others, x, y, z and mass are the first four columns.
    """
    with open_plain(path) as file:
        lines = bounded_lines(file, str(path))
        names, mark, first = _table_head(path, lines)
        axes, masses, unit = _choose(names)
        notes: tuple[str, ...] = ()
        width = len(first.split(mark))
        if min(axes) < 0 or not masses:
            if width < 4 or (names and width > 4):
                raise InputError(
                    f"{path}: expected columns x, y, z and m/n; got "
                    f"{reason_of(ValueError(', '.join(names))) if names else f'{width} columns'}"
                )
            axes, masses = [0, 1, 2], [3]
            notes = ("columns 1 to 4 are taken for x, y, z and mass over charge number",)
        text = (line.decode("latin-1") for line in lines)
        rows: Iterator[str] = chain([first], text)
        if mark != ",":
            rows = (row.replace(",", ".") for row in rows)
        try:
            table = np.loadtxt(
                rows, np.float64, delimiter=mark, usecols=[*axes, *masses], ndmin=2, comments="#"
            )
        except (ValueError, IndexError, OverflowError) as error:
            raise InputError(
                f"{path}: expected rows of numbers below its head; {reason_of(error)}"
            ) from None
    axes_read = [table[:, i] for i in range(3)]
    return _columns(path, axes_read, [table[:, i] for i in range(3, table.shape[1])], unit, notes)


def _table_head(path: Path, lines: Iterator[bytes]) -> tuple[list[str], str | None, str]:
    """Names of the columns (none where there are none), what separates them, first row of numbers.

    The lines up to that row are used up.
    """
    names: list[str] = []
    for number, line in enumerate(lines):
        encoding = "utf-8" if number or not line.startswith(b"\xef\xbb\xbf") else "utf-8-sig"
        text = line.decode(encoding, errors="replace").strip()
        if "\0" in text:
            raise InputError(f"{path}: is binary; expected a table")
        if text.startswith("version https://git-lfs"):
            raise InputError(f"{path}: is a Git LFS pointer, not the file; fetch it first")
        if number > _MOST_HEAD:
            break
        if not text:
            continue
        mark = next((mark for mark in ";\t," if mark in text), None)
        if mark == "," and _has_decimal_commas(text):
            mark = None
        cells = text.lstrip("#").strip().split(mark)
        if len(cells) > _MOST_COLUMNS:
            break
        decimal = [cell.strip().replace(",", ".") if mark != "," else cell for cell in cells]
        if not text.startswith("#") and all(_is_number(cell) for cell in decimal):
            return (names if len(names) == len(cells) else []), mark, text
        if len(cells) >= 4:
            names = cells
    raise InputError(f"{path}: expected a table of ions: rows of x, y, z and m/n")


def _has_decimal_commas(text: str) -> bool:
    """Whether blanks separate numbers with commas for points: ``1,5 2,5 3,5 27,0``."""
    cells = text.split()
    return len(cells) >= 4 and all(
        re.fullmatch(r"[-+\d]+(,\d+)?(e[-+]?\d+)?", c, re.I) for c in cells
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text.strip()  # an empty cell beside numbers
    return True


# ------------------------------------------------------------------------------- .h5 of pyccapt
def is_pyccapt(path: Path) -> bool:
    """Whether an HDF5 file is a frame of pyccapt with positions and masses."""
    with open_frames(path) as file, damage(path):
        axes, masses, _ = _choose(list(_places(path, file)[0]))
    return min(axes) >= 0 and bool(masses)


def read_pyccapt(path: Path) -> IonColumns:
    """Read what pyccapt's calibration writes: a frame ``df`` of pandas (fixed), by h5py.

    Objects that pandas pickles are not touched.
    """
    read: list[NDArray[Any]] = []
    with open_frames(path) as file, damage(path):
        places, reason = _places(path, file)
        names = list(places)
        axes, masses, unit = _choose(names)
        if not reason and (min(axes) < 0 or not masses):
            reason = "has the columns " + (", ".join(names)[:200] or "none")
        if not reason:
            read = [_column(path, *places[names[i]]) for i in (*axes, *masses)]
    if reason:
        raise InputError(
            f"{path}: {reason}; expected a frame 'df' with x (nm), y (nm), z (nm) and mc (Da), as "
            "pyccapt saves it"
        )
    if len({len(column) for column in read}) > 1:
        raise InputError(f"{path}: its columns have different lengths")
    return _columns(path, read[:3], read[3:], unit)


def _places(path: Path, file: h5py.File) -> tuple[dict[str, tuple[h5py.Dataset, int]], str]:
    """Block and place in it of each column of numbers; else why there are none."""
    if member(file, "df") is None:
        if member(file, "dld") is not None:
            return {}, "holds raw data of pyccapt, not a reconstruction"
        return {}, "holds no frame of pyccapt"
    if member(file, "df/table") is not None:
        return {}, "was saved as a 'table' of pandas, not as 'fixed'"
    places: dict[str, tuple[h5py.Dataset, int]] = {}
    for block in range(_MOST_BLOCKS):
        items = member(file, f"df/block{block}_items")
        values = member(file, f"df/block{block}_values")
        if items is None or values is None:
            break
        if items.dtype.kind != "S" or values.dtype.kind not in "fiu" or values.ndim != 2:
            continue
        check_size(path, items)
        names = [name.decode("utf-8", errors="replace") for name in items[:_MOST_COLUMNS].ravel()]
        if len(names) != values.shape[1]:
            raise InputError(f"{len(names)} names and {values.shape[1]} columns in a block")
        places.update({name: (values, place) for place, name in enumerate(names)})
    return places, ""


def _column(path: Path, values: h5py.Dataset, place: int) -> NDArray[Any]:
    check_size(path, values)
    return np.asarray(values[:, place])
