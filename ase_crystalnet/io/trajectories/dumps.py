"""Frames of LAMMPS dumps, text and YAML, brought into the form that ASE's reader takes.

ASE wants element or type of each atom, each column once, and chemical symbols; LAMMPS writes what
it is asked to. Only frames that differ are rewritten.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from ase_crystalnet.inputs import LONGEST_LINE
from ase_crystalnet.io.trajectories.formats import FrameError
from ase_crystalnet.io.trajectories.species import NAME, numbers_of

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["build_dump", "build_yaml", "scan_yaml", "units_of"]

#: Picoseconds of LAMMPS' units of time.
PICOSECONDS = {
    "real": 1e-3, "metal": 1.0, "si": 1e12, "cgs": 1e12, "electron": 1e-3,
    "micro": 1e6, "nano": 1e3,
}  # fmt: skip
#: Units of pressure and of energy in GPa and eV, of the units that are usual for crystals.
THERMO = {"metal": (1e-4, 1.0), "real": (1.01325e-4, 0.0433641153)}
#: Columns that hold names of species.
_NAMES = ("element", "typelabel")
_ITEM = re.compile(r"ITEM: (UNITS|TIME)[ \t]*\n([^\n]*)\n")


def build_dump(data: bytes, options: dict[str, Any] | None = None) -> Atoms:
    """Atoms of one frame of a LAMMPS text dump.

    Parameters
    ----------
    data : bytes
        The frame.
    options : dict, optional
        Of `ase.io.lammpsrun.read_lammps_dump_text`: units, specorder, order.

    Raises
    ------
    FrameError
        If its first or last line is cut short.
    """
    text = data.decode().replace("\r\n", "\n")
    head, section, rest = text.partition("ITEM: ATOMS")
    titles, _, body = rest.partition("\n")
    if re.search(r"\n\s*\n", body):  # ASE counts blank lines as atoms
        body = re.sub(r"\n\s*\n", "\n", body)
    body = body.strip() + "\n"
    wanted = len(titles.split())
    for line in (body.partition("\n")[0], body[:-1].rpartition("\n")[2]):
        if (found := len(line.split())) not in (0, wanted):
            raise FrameError(f"an atom line has {found} of {wanted} columns")
    # LAMMPS before 2010 wrote no boundary flags; its readers take such a box as periodic.
    head = re.sub(r"^ITEM: BOX BOUNDS *\n", "ITEM: BOX BOUNDS pp pp pp\n", head, flags=re.M)
    said = {name: value.strip() for name, value in _ITEM.findall(head)}
    head = _ITEM.sub("", head)
    columns, body, names = _plain_columns(titles.split(), body)
    chosen = dict(options or {})
    units = chosen.setdefault("units", units_of(text) or "metal")
    atoms = _read(f"{head}{section} {' '.join(columns)}\n{body}", chosen)
    if names is not None:
        order = slice(None)
        if "id" in columns and chosen.get("order", True):
            ids = [int(line.split()[columns.index("id")]) for line in body.splitlines()]
            order = np.argsort(ids)  # type: ignore[assignment]
        atoms.numbers = numbers_of(names)[0][order]
        atoms.arrays[NAME] = np.asarray(names)[order]
    if "TIME" in said and units in PICOSECONDS:
        atoms.info["time_ps"] = float(said["TIME"]) * PICOSECONDS[units]
    return atoms


def units_of(head: str) -> str | None:
    """Units that a dump states, where ASE can convert them; reduced units stay as they are."""
    found = re.match(r"ITEM: UNITS[ \t]*\r?\n[ \t]*(\w+)", head)
    return found[1] if found and found[1] in PICOSECONDS else None


def _plain_columns(titles: list[str], body: str) -> tuple[list[str], str, list[str] | None]:
    """Columns once each, all numbers but the element, with a type; and names that are no symbols.

    Returns
    -------
    columns : list of str
    body : str
        The atom lines of these columns.
    names : list of str or None
        Of the atoms in the order of the lines, where they are no chemical symbols.
    """
    first = body.partition("\n")[0].split()
    kept = [place for place, title in enumerate(titles) if titles.index(title) == place]
    text = [place for place in kept if place < len(first) and not _is_number(first[place])]
    labels = [
        place
        for place in kept
        if titles[place] in _NAMES or (place in text and titles[place] == "type")
    ]
    typed = any(titles[place] in ("type", "element", "mass") for place in kept)
    names: list[str] | None = None
    rows: list[list[str]] | None = None
    if labels:
        rows = [line.split() for line in body.splitlines()]
        place = labels[0]
        names = [row[place] if place < len(row) else "" for row in rows]
        _, plain = numbers_of(names)
        if plain and titles[place] == "element" and len(labels) == 1:
            names, labels = None, []
    drop = {*labels, *(place for place in text if names is not None or titles[place] != "element")}
    kept = [place for place in kept if place not in drop]
    left = [titles[place] for place in kept]
    if left == titles and typed:
        return titles, body, names
    rows = rows or [line.split() for line in body.splitlines()]
    if any(len(row) < len(titles) for row in rows):
        raise FrameError(f"an atom line has fewer than {len(titles)} columns")
    more = "" if any(title in ("type", "element", "mass") for title in left) else " 1"
    lines = [" ".join([row[place] for place in kept]) + more for row in rows]
    return [*left, *more.replace("1", "type").split()], "\n".join(lines) + "\n", names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read(text: str, options: dict[str, Any]) -> Atoms:
    import io

    from ase.io import read

    atoms = read(io.StringIO(text), index=0, format="lammps-dump-text", **options)
    assert not isinstance(atoms, list)
    return atoms


def scan_yaml(file: IO[bytes]) -> Iterator[tuple[int, int]]:
    """Yield first byte and number of bytes of each frame of a LAMMPS YAML dump.

    Raises
    ------
    FrameError
        If a frame has no end (``...``) or a line has no end in sight.
    """
    offset = size = 0
    open_frame = False
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise FrameError(f"a line is longer than {LONGEST_LINE} bytes; expected a text file")
        if line.startswith(b"---"):
            if open_frame:
                raise FrameError("cut short, a frame does not end in '...'")
            offset, size, open_frame = offset + size, 0, True
        size += len(line)
        if line.startswith(b"...") and open_frame:
            yield offset, size
            offset, size, open_frame = offset + size, 0, False
    if open_frame:
        raise FrameError("cut short, the last frame does not end in '...'")


def build_yaml(data: bytes, options: dict[str, Any] | None = None) -> Atoms:
    """Atoms of one frame of a LAMMPS YAML dump; parameters and errors as of `build_dump`.

    LAMMPS writes one list a line, always; the frame is written anew as a text dump.
    """
    head, _, body = data.decode().replace("\r\n", "\n").partition("\ndata:")
    values = dict(re.findall(r"^([a-z]+):[ \t]*([^\n]+)$", head, re.M))
    missing = [name for name in ("timestep", "natoms", "keywords") if name not in values]
    box = re.search(r"^box:[ \t]*\n((?:[ \t]*-[^\n]*\n?){3,4})", head, re.M)
    if missing or box is None:
        raise FrameError(
            f"expected a frame of a LAMMPS YAML dump, it has no {[*missing, 'box'][0]}"
        )
    rows = [_listed(line) for line in box[1].splitlines()]
    flags = " ".join(low + high for low, high in _pairs(_listed(values.get("boundary", ""))))
    if len(rows) == 4:
        # As in a text dump: the bounds around the tilted box, and each tilt behind its row.
        rows = [[*row, tilt] for row, tilt in zip(rows[:3], rows[3], strict=True)]
        flags = f"xy xz yz {flags}"
    lines = [" ".join(_listed(line)) for line in body.splitlines() if line.lstrip().startswith("-")]
    wanted = int(values["natoms"])
    if len(lines) != wanted:
        raise FrameError(f"cut short, {len(lines)} of {wanted} atom lines are there")
    text = "".join(
        f"ITEM: {name.upper()}\n{values[name]}\n" for name in ("units", "time") if name in values
    )
    text += f"ITEM: TIMESTEP\n{values['timestep']}\nITEM: NUMBER OF ATOMS\n{wanted}\n"
    text += f"ITEM: BOX BOUNDS {flags}\n" + "\n".join(" ".join(row) for row in rows[:3])
    text += f"\nITEM: ATOMS {' '.join(_listed(values['keywords']))}\n" + "\n".join(lines) + "\n"
    atoms = build_dump(text.encode(), options)
    thermo = re.search(r"- keywords:[^\n\[]*(\[[^\n]*)\n[ \t]*- data:[^\n\[]*(\[[^\n]*)", head)
    if thermo:
        said = dict(zip(_listed(thermo[1]), _listed(thermo[2]), strict=False))
        bar, energy = THERMO.get(values.get("units", "").strip(), (None, None))
        for key, name, factor in (
            ("Temp", "temperature", 1.0),
            ("Press", "pressure", bar),
            ("TotEng", "energy", energy),
            ("PotEng", "energy", energy),
        ):
            if key in said and factor is not None and _is_number(said[key]):
                atoms.info[name] = float(said[key]) * factor
    return atoms


def _pairs(flags: list[str]) -> Iterator[tuple[str, str]]:
    """Lower and upper boundary of each direction; one letter stands for both."""
    if len(flags) == 6:
        yield from zip(flags[::2], flags[1::2], strict=True)
    else:
        yield from ((flag[0], flag[-1]) for flag in flags if flag)


def _listed(text: str) -> list[str]:
    """Words of a list in brackets."""
    return text.partition("[")[2].partition("]")[0].replace(",", " ").split()
