"""Read range files of atom probes: .rng (Oak Ridge), .rrng (IVAS, APSuite), .env (Rouen), others.

The others (.fig.txt, .xrng, pyccapt's table) are in `range_tables`.

There is no standard of any of them; what is accepted here follows M. K. Miller, *Atom Probe
Tomography* (2000), B. Gault et al., *Atom Probe Microscopy* (2012), appendix, and the files that
laboratories publish. The package `ifes-apt-tc-data-modeling` (0.5) is not used for them: it knows
chemical symbols only and one way of writing (of the 17 valid samples of the program 3Depict it
refuses 7 and loses ranges of 2), and it works out the isotopes and charges of every ion, which
takes seconds for a usual file and minutes for a long one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from ase_crystalnet.atom_probe.files.nexus import is_nexus, read_nexus_ranges
from ase_crystalnet.atom_probe.files.range_lines import Line, RangeBuilder, RangeLines
from ase_crystalnet.atom_probe.files.range_tables import read_fig_txt, read_pyccapt_csv, read_xrng
from ase_crystalnet.atom_probe.files.ranges import (
    MOST_ATOMS,
    Ion,
    RangeTable,
    parse_formula,
    parse_isotope,
)
from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import read_plain

__all__ = ["RANGE_SUFFIXES", "read_ranges"]

#: Ends of the names of range files; a .csv is one only where it is given as ranges.
RANGE_SUFFIXES = (".rrng", ".rng", ".env", ".xrng", ".fig.txt", "_range.csv")
#: Keys of a range that are no element: what programs say of an ion besides its atoms.
_NO_ELEMENTS = frozenset({"charge", "chargestate", "charge_state", "isotope", "isotopes"})

_NM3 = 1000.0  # Å^3
#: Bytes; a file of a thousand ranges has a hundredth of it.
_LARGEST = 10_000_000
_LONGEST_FORMULA = 200
_DIGITS = re.compile(r"[0-9]{1,3}")
_LFS = "version https://git-lfs"


def _holds_nexus(path: Path) -> bool:
    try:
        return is_nexus(path)
    except (InputError, OSError):
        return False


def read_ranges(path: str | Path) -> RangeTable:
    """Read a range file, its format by its suffix, in any case.

    Parameters
    ----------
    path : str or Path
        .rng, .rrng, .env, .fig.txt (Atom Probe Toolbox, Erlangen), .xrng (its XML), the .csv of
        ranges of pyccapt, or .nxs and .h5 of NeXus (NXapm). Decimal commas, DOS line ends and
        comments are understood.

    Returns
    -------
    RangeTable
        Ions of a .rng file: all that are declared, and molecules made of several. Of other
        files: all that have a range. A range given twice counts once. Its `notes` name what is
        declared and has no range.

    Raises
    ------
    InputError
        In one line: which line of the file is wrong, and what was expected.
    FileNotFoundError
        If it is not there.
    """
    path = Path(path)
    name = path.name.lower()
    readers = {
        ".rng": _read_rng, ".rrng": _read_rrng, ".env": _read_env, ".fig.txt": read_fig_txt,
        ".csv": read_pyccapt_csv,
    }  # fmt: skip
    suffix = next((end for end in (*readers, ".xrng") if name.endswith(end)), "")
    if name.endswith(".nxs") or (name.endswith((".h5", ".hdf5")) and _holds_nexus(path)):
        return read_nexus_ranges(path)
    if name.endswith((".h5", ".hdf5")):
        raise InputError(
            f"{path}: ranges of pyccapt in HDF5 hold pickled Python objects, which are not read; "
            "give the _range.csv that it writes beside them"
        )
    if not suffix:
        raise InputError(
            f"{path}: expected a range file (.rng, .rrng, .env), or .xrng, .fig.txt, or the .csv "
            "of ranges of pyccapt"
        )
    text = read_plain(path, _LARGEST, "a range file").decode("utf-8-sig", errors="replace")
    if text.startswith(_LFS):
        raise InputError(
            f"{path}: is a Git LFS pointer, not the file; fetch it with `git lfs pull`"
        )
    if "\0" in text:
        raise InputError(f"{path}: is binary; expected a text file of ranges")
    lines = [
        Line(number, line.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise InputError(f"{path}: is empty; expected a {suffix} range file")
    if suffix == ".xrng":
        return read_xrng(str(path), text)
    return readers[suffix](RangeLines(str(path), lines))


# ------------------------------------------------------------------------------------------ .rng
@dataclass(frozen=True)
class _RngBlock:
    """Declared ions, what they are made of in words, and rows (low, high, multiplicities)."""

    ions: list[Ion]
    formulas: list[str]
    rows: list[tuple[float, float, tuple[int, ...]]]


def _read_rng(file: RangeLines) -> RangeTable:
    """Oak Ridge format, also with the polyatomic extension (a second table at the end)."""
    block = _rng_block(file)
    molecules: dict[tuple[float, float], Ion] = {}
    if not file.done and file.peek().startswith("-") and "polyatomic" in file.peek().lower():
        file.take("")
        extension = _rng_block(file)
        for low, high, row in extension.rows:
            if sum(row) == 1:
                molecules[low, high] = extension.ions[row.index(1)]
    if not file.done:
        file.take("")
        raise file.error(f"no more than the {len(block.rows)} ranges that the first line states")
    builder = RangeBuilder(list(block.ions))
    used = [any(row[i] for _, _, row in block.rows) for i in range(len(block.ions))]
    # An ion whose column is empty is there to name a molecule of the others.
    parts_known = [ion.name for ion, some in zip(block.ions, used, strict=True) if some]
    molecule_of = {
        frozenset(_in_terms_of(formula, parts_known)): i
        for i, formula in reversed(list(enumerate(block.formulas)))
        if not used[i]
    }
    for low, high, row in block.rows:
        if sum(row) == 0:
            continue  # a range of nothing
        if sum(row) == 1:
            builder.add(low, high, row.index(1))
            continue
        parts = [
            (symbol, count * number)
            for ion, count in zip(block.ions, row, strict=True)
            if count
            for symbol, number in (ion.composition or ((ion.name, 1),))
        ]
        ion = replace(Ion.of(parts), color=_declared(molecules.get((low, high))))
        if ion.key in molecule_of:
            builder.add(low, high, molecule_of[ion.key])
        elif all(used) or (low, high) in molecules:
            builder.add(low, high, builder.index(ion))
        else:
            idle = block.ions[used.index(False)].name
            raise InputError(
                f"{file.path}: the range {low:g}-{high:g} is of several ions ({ion.name}), and "
                f"none is declared as that; {idle!r} is declared and has no range. Declare the "
                "molecule, or remove the ion that is not used"
            )
    with_range = {place for _, _, place in builder.ranges}
    builder.note_idle(
        ion.name
        for i, ion in enumerate(block.ions)
        if i not in with_range and not used[i]  # else a part of a molecule
    )
    table = builder.build(file.path)
    if overlap := table.overlap():
        raise InputError(f"{file.path}: the ranges {overlap} overlap; change a bound")
    return table


def _declared(ion: Ion | None) -> tuple[float, float, float]:
    return ion.color if ion is not None else (0.5, 0.5, 0.5)


def _rng_block(file: RangeLines) -> _RngBlock:
    count, ranges = file.counts()
    ions, formulas = [], []
    for _ in range(count):
        file.take("the name of an ion")
        words = file.take("an ion's short name and color").split()
        if len(words) < 4:
            raise file.error("an ion's short name and color: three numbers")
        color = [min(max(c, 0.0), 1.0) for c in file.floats(words[1:4], "a color")]
        parts = parse_isotope(words[0]) or parse_formula(words[0])
        ions.append(Ion(words[0], parts, (color[0], color[1], color[2])))
        alias = re.search(r"\((.*)\)", " ".join(words[4:]))
        formulas.append(alias.group(1) if alias else words[0])
    names = [ion.name for ion in ions]
    header = file.take("a line of dashes")
    if not header.startswith("-"):
        raise file.error(f"a line of dashes after {count} ions")
    columns = header.lstrip("-").split()
    order = list(range(count))
    if sorted(columns) == sorted(names) and len(set(names)) == count:
        place = {name: column for column, name in enumerate(columns)}
        order = [place[name] for name in names]
    rows: list[tuple[float, float, tuple[int, ...]]] = []
    for _ in range(ranges):
        words = [
            word
            for word in file.take(f"range {len(rows) + 1} of {ranges}").split()
            if not _is_no_element(word.partition(":")[0]) or ":" not in word
        ]
        if len(words) == count + 3:
            words = words[1:]  # a dot, or a number
        wanted = f"a range: two masses and {count} multiplicities"
        if len(words) != count + 2:
            raise file.error(wanted)
        low, high, *numbers = file.floats(words, wanted)
        if not all(n.is_integer() and 0 <= n <= MOST_ATOMS for n in numbers):
            raise file.error(wanted)
        rows.append((low, high, tuple(int(numbers[i]) for i in order)))
    return _RngBlock(ions, formulas, rows)


def _is_no_element(key: str) -> bool:
    return key.strip().lower() in _NO_ELEMENTS


def _in_terms_of(text: str, names: list[str]) -> tuple[tuple[str, int], ...]:
    """Read a molecule as declared ions and numbers, longest names first; empty where it is none."""
    if len(text) > _LONGEST_FORMULA:
        return ()
    known, lengths = set(names), sorted({len(name) for name in names if name}, reverse=True)
    # From the end: what can be read from each place on, so that no place is looked at twice.
    rest: dict[int, tuple[tuple[str, int], ...]] = {len(text): ()}
    for start in reversed(range(len(text))):
        for length in lengths:
            name = text[start : start + length]
            if len(name) < length or name not in known:
                continue
            stop = start + length
            digits = _DIGITS.match(text, stop)
            stop += len(digits[0]) if digits else 0
            if stop in rest:
                number = int(digits[0]) if digits else 1
                rest[start] = ((name, number), *rest[stop])
                break
    return Ion.of(rest[0]).composition if text and 0 in rest else ()


# ----------------------------------------------------------------------------------------- .rrng
def _read_rrng(file: RangeLines) -> RangeTable:
    builder, section, stated, found = RangeBuilder(), "", 0, 0
    declared: list[str] = []
    while not file.done:
        line = file.take("")
        if line.startswith("["):
            section = line.strip("[] ").lower()
            continue
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            raise file.error("a line KEY=VALUE or [SECTION]")
        if section == "ranges" and key.lower() == "number":
            number = file.floats([value], "the number of ranges")[0]
            if not number.is_integer():
                raise file.error("the number of ranges")
            stated = int(number)
        elif section == "ions" and re.fullmatch(r"ion\d+", key.lower()):
            declared.append(value)
        elif section == "ranges" and key.lower().startswith("range"):
            found += 1
            _rrng_range(file, value, builder)
    if not found:
        raise InputError(
            f"{file.path}: holds no range; expected a section [Ranges] with Range1=..."
        )
    if stated and found != stated:
        raise InputError(
            f"{file.path}: states {stated} ranges and holds {found}; is the file whole?"
        )
    used = {part for ion in builder.ions for part, _ in ion.composition}
    used |= {ion.name for ion in builder.ions}
    builder.note_idle(
        name
        for name in dict.fromkeys(declared)
        if name
        and not {name, *(s for s, _ in parse_isotope(name))} & used
        and Ion.of(parse_formula(name)).name not in used
    )
    return builder.build(file.path)


def _rrng_range(file: RangeLines, value: str, builder: RangeBuilder) -> None:
    """``5.8962 6.2010 Vol:0.00878 C:1 Color:660033``"""
    words = re.sub(r":\s+", ":", value).split()
    wanted = "a range such as Range1=27.8 28.2 Vol:0.02 Si:1 Color:CCCCCC"
    if len(words) < 3 or any(":" not in word for word in words[2:]):
        raise file.error(wanted)
    low, high = file.floats(words[:2], wanted)
    name, color, volume = "", (0.5, 0.5, 0.5), float("nan")
    parts: list[tuple[str, int]] = []
    for word in words[2:]:
        key, _, content = word.rpartition(":")
        if key.lower() == "name":
            name = content
        elif key.lower() == "vol":
            volume = file.floats([content], wanted)[0] * _NM3
        elif key.lower() == "color":
            color = _hex_color(content)
        elif _is_no_element(key):
            continue
        else:
            number = file.floats([content], wanted)[0]
            if not (number.is_integer() and 1 <= number <= MOST_ATOMS):
                raise file.error(wanted)
            parts += [(symbol, n * int(number)) for symbol, n in parse_isotope(key) or ((key, 1),)]
    if parts:
        ion = replace(Ion.of(parts), color=color, volume=volume)
    elif name:
        ion = Ion(name, parse_isotope(name) or parse_formula(name), color, volume)
    else:
        raise file.error(wanted + "; it names no ion")
    builder.add(low, high, builder.index(ion))


def _hex_color(text: str) -> tuple[float, float, float]:
    if not re.fullmatch(r"[0-9A-Fa-f]{6}", text):
        return (0.5, 0.5, 0.5)
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


# ------------------------------------------------------------------------------------------ .env
def _read_env(file: RangeLines) -> RangeTable:
    """Environment file of Rouen: a line of two numbers, then that many ions, then ranges."""
    while not file.done and not re.fullmatch(r"\d+\s+\d+", file.peek()):
        file.take("")
    count, ranges = file.counts()
    builder, colors, ranged = RangeBuilder(), {}, set[str]()
    for _ in range(count):
        name, *words = file.take("an ion's name and color").split()
        wanted = "an ion's name and color: three numbers"
        if len(words) != 3:
            raise file.error(wanted)
        red, green, blue = (min(max(c, 0.0), 1.0) for c in file.floats(words, wanted))
        colors[name] = (red, green, blue)
    for number in range(ranges):
        wanted = "a range: ion, two masses, volume, multiplicity"
        name, *words = file.take(f"range {number + 1} of {ranges}").split()
        if len(words) != 4 or name not in colors:
            raise file.error(wanted + ", of an ion declared before")
        low, high, volume, _ = file.floats(words, wanted)
        ion = Ion(name, parse_isotope(name) or parse_formula(name), colors[name], volume)
        builder.add(low, high, builder.index(ion))
        ranged.add(name)
    builder.note_idle(name for name in colors if name not in ranged)
    return builder.build(file.path)
