"""LAMMPS data files of every atom style, with or without a hint which one it is.

The lines of atoms are rewritten as style "atomic", which ASE's reader takes; masses, type labels
and velocities are handed on, and what only a simulation needs is left out.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.io.trajectories.formats import FrameError
from ase_crystalnet.io.trajectories.species import NAME, numbers_of

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["STYLES", "build_data"]


@dataclass(frozen=True)
class _Style:
    """Columns of an atom line, from 0: the id is the first."""

    type: int
    x: int
    width: int


def _style(columns: str) -> _Style:
    names = columns.split()
    return _Style(names.index("type"), names.index("x"), len(names))


#: Atom styles of LAMMPS and their columns (docs.lammps.org/read_data.html), the likeliest first.
STYLES = {
    "atomic": _style("id type x y z"),
    "full": _style("id mol type q x y z"),
    "charge": _style("id type q x y z"),
    "molecular": _style("id mol type x y z"),
    "bond": _style("id mol type x y z"),
    "angle": _style("id mol type x y z"),
    "sphere": _style("id type diameter density x y z"),
    "bpm/sphere": _style("id mol type diameter density x y z"),
    "spin": _style("id type x y z spx spy spz sp"),
    "dipole": _style("id type q x y z mux muy muz"),
    "ellipsoid": _style("id type flag density x y z"),
    "body": _style("id type flag mass x y z"),
    "line": _style("id mol type flag density x y z"),
    "tri": _style("id mol type flag density x y z"),
    "electron": _style("id type q spin radius x y z"),
    "dpd": _style("id type theta x y z"),
    "mdpd": _style("id type rho x y z"),
    "edpd": _style("id type temp cv x y z"),
    "peri": _style("id type volume density x y z"),
    "sph": _style("id type rho esph cv x y z"),
    "rheo": _style("id type status rho x y z"),
    "dielectric": _style("id type q x y z mux muy muz area ed em epsilon curvature"),
    "oxdna": _style("id type x y z"),
    "amoeba": _style("id mol type q x y z"),
    "wavepacket": _style("id type q spin radius etag cs_re cs_im x y z"),
    "smd": _style("id type mol volume mass kradius cradius x0 y0 z0 x y z"),
    "template": _style("id type mol index atom x y z"),
    "hybrid": _style("id type x y z"),
}
#: Styles that are looked for where nothing names one: of equal columns the likeliest.
_GUESSED = ("atomic", "full", "charge", "molecular", "sphere", "spin", "dipole", "bpm/sphere",
            "electron", "sph")  # fmt: skip
_SECTIONS = ("Atoms", "Masses", "Velocities", "Atom Type Labels")
#: Lines that are looked at to tell the style.
_SAMPLE = 2000


def build_data(text: str, style: str | None = None, options: dict[str, Any] | None = None) -> Atoms:
    """Atoms of a LAMMPS data file.

    Parameters
    ----------
    text : str
        The file.
    style : str, optional
        Its atom style; by default what stands behind ``Atoms #``, or what fits the columns.
    options : dict, optional
        Of `ase.io.lammpsdata.read_lammps_data`: units, Z_of_type, sort_by_id, read_image_flags.

    Raises
    ------
    InputError
        The style is unknown.
    FrameError
        The file is cut short, or no style fits its columns.
    """
    from ase.io import read

    head, sections = _divided(text)
    if "Atoms" not in sections:
        raise FrameError("has no section Atoms")
    hint, lines = sections["Atoms"]
    rows = [line.split() for line in lines]
    stated = re.search(r"^\s*(\d{1,18})\s+atoms\b", head, re.M)
    count = int(stated[1]) if stated else len(rows)
    if len(rows) < count:
        raise FrameError(f"cut short, {len(rows)} of {count} atom lines are there")
    rows = rows[:count]
    if not rows:
        raise FrameError("states no atoms")
    columns = _columns(style, hint, rows, head)
    if any(len(row) < columns.width for row in rows):
        raise FrameError(f"an atom line has fewer than {columns.width} columns")
    types, names = _types([row[columns.type] for row in rows], sections)
    atomic = "\n".join(
        " ".join([row[0], kind, *row[columns.x : columns.x + 3], *_images(row, columns)])
        for row, kind in zip(rows, types, strict=True)
    )
    parts = [head, "Atoms # atomic", "", atomic, ""]
    for name in ("Masses", "Velocities"):
        if name in sections:
            kept = [line for line in sections[name][1] if line.split()[0].isdigit()]
            if kept:
                parts += [name, "", *kept, ""]
    keywords = {"atom_style": "atomic", **(options or {})}
    atoms = read(io.StringIO("\n".join(parts) + "\n"), format="lammps-data", **keywords)
    assert not isinstance(atoms, list)
    atoms.info["comment"] = text.partition("\n")[0].strip()
    if names is not None:
        order = np.argsort([int(row[0]) for row in rows], kind="stable")
        listed = np.asarray(names)
        atoms.arrays[NAME] = listed[order] if keywords.get("sort_by_id", True) else listed
        if "Masses" not in sections and "Z_of_type" not in keywords:
            atoms.numbers = numbers_of(atoms.arrays[NAME])[0]
    return atoms


def _divided(text: str) -> tuple[str, dict[str, tuple[str, list[str]]]]:
    """Head, and sections that are needed: what stands behind # in their titles, and their lines."""
    first, _, rest = text.replace("\r\n", "\n").partition("\n")
    head, found = ["#"], {}
    lines: list[str] | None = head
    del first  # a title, whatever it looks like
    for line in rest.split("\n"):
        bare, _, comment = line.partition("#")
        bare = bare.strip()
        if not bare:
            continue
        if bare[0].isalpha() and not re.match(r"\w+\s+\w+\s+[-+.\d]", bare):
            name = " ".join(bare.split())
            lines = None
            if name in _SECTIONS and name not in found:
                lines = []
                found[name] = comment.strip(), lines
            continue
        if lines is not None:
            lines.append(bare)
    return "\n".join(head) + "\n", found


def _columns(style: str | None, hint: str, rows: list[list[str]], head: str) -> _Style:
    """Where type and coordinates stand."""
    if style is not None:
        word = (style.split() or [""])[0]
        if word not in STYLES:
            raise InputError(f"atom_style: expected one of {', '.join(STYLES)}, got {style!r}")
        return STYLES[word]
    word = (hint.split() or [""])[0]
    if word in STYLES and _fits(STYLES[word], rows[:1]):
        return STYLES[word]
    return _guessed(rows, head)


def _fits(columns: _Style, rows: list[list[str]]) -> bool:
    """Whether lines have as many columns, with or without the three image flags."""
    return all(len(row) >= columns.width for row in rows)


def _images(row: list[str], columns: _Style) -> list[str]:
    """Image flags: three whole numbers that end a line."""
    if len(row) == columns.width + 3 and all(re.fullmatch(r"[-+]?\d{1,9}", v) for v in row[-3:]):
        return row[-3:]
    return ["0", "0", "0"]


def _guessed(rows: list[list[str]], head: str) -> _Style:
    """The likeliest style by the number of columns, whole numbers, and the box.

    Raises
    ------
    FrameError
        None fits.
    """
    some = rows[:: max(len(rows) // _SAMPLE, 1)]
    width = len(some[0])
    if any(len(row) != width for row in some):
        raise FrameError("its atom lines differ in their number of columns")
    stated = re.search(r"^\s*(\d{1,9})\s+atom types\b", head, re.M)
    kinds = int(stated[1]) if stated else None
    low, high = _box(head)
    best: tuple[float, int] | None = None
    for place, name in enumerate(_GUESSED):
        columns = STYLES[name]
        if columns.width != width and columns.width + 3 != width:
            continue
        if columns.width + 3 == width and not all(
            _images(row, columns) is not None
            and all(re.fullmatch(r"[-+]?\d{1,9}", value) for value in row[-3:])
            for row in some
        ):
            continue
        if not all(_is_type(row[columns.type], kinds) for row in some):
            continue
        # A molecule's number is whole; a charge that is written without a point is of few values.
        between = range(1, columns.type)
        if not all(re.fullmatch(r"-?\d+", row[column]) for row in some for column in between):
            continue
        try:
            points = np.array([row[columns.x : columns.x + 3] for row in some], float)
        except ValueError:
            continue
        share = _share_inside(points, low, high)
        if best is None or share > best[0] + 0.05:
            best = share, place
    if best is None:
        raise FrameError(
            f"no atom style fits its lines of {width} columns; say which it is, for instance "
            "atom_style=full"
        )
    return STYLES[_GUESSED[best[1]]]


def _is_type(word: str, kinds: int | None) -> bool:
    if re.fullmatch(r"\d{1,9}", word):
        return 1 <= int(word) <= (kinds or 10**9)
    return word[0].isalpha() and word.lower() not in ("nan", "inf")


def _box(head: str) -> tuple[Any, Any]:
    """Bounds of the box; without end for a general triclinic one."""
    low, high = np.full(3, -np.inf), np.full(3, np.inf)
    number = r"\s*([-+.\deE]+)\s+([-+.\deE]+)\s+"
    for axis, name in enumerate("xyz"):
        if found := re.search(rf"^{number}{name}lo\s+{name}hi", head, re.M):
            try:
                low[axis], high[axis] = float(found[1]), float(found[2])
            except ValueError as error:
                raise FrameError(f"its box is no numbers: {found[0].strip()[:40]}") from error
    return low, high


def _share_inside(points: Any, low: Any, high: Any) -> float:
    """How well coordinates fill a box: share inside, and how much of each edge they span."""
    length = np.where(np.isfinite(high - low), high - low, 1.0)
    length = np.where(length > 0, length, 1.0)
    inside = (points >= low - 0.5 * length) & (points <= high + 0.5 * length)
    if not np.isfinite(low).all():
        return 1.0
    span = np.minimum((points.max(axis=0) - points.min(axis=0)) / length, 1.0)
    return float(inside.all(axis=1).mean() * (0.5 + 0.5 * span.min()))


def _types(
    words: list[str], sections: dict[str, tuple[str, list[str]]]
) -> tuple[list[str], list[str] | None]:
    """Numbers of types, and their names where there are any."""
    labels = {}
    for line in sections.get("Atom Type Labels", ("", []))[1]:
        parts = line.split()
        if len(parts) > 1 and parts[0].isdigit():
            labels[parts[1]] = parts[0]
    if all(word.isdigit() for word in words):
        names = {number: name for name, number in labels.items()}
        return words, [names.get(word, word) for word in words] if names else None
    known = {name: labels.get(name) for name in words}
    if any(number is None and not name.isdigit() for name, number in known.items()):
        places = {name: str(place) for place, name in enumerate(sorted(set(words)), 1)}
        return [places[word] for word in words], words
    return [labels.get(word, word) for word in words], words
