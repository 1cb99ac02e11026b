"""Read and write range files of atom probes: .rng (Oak Ridge), .rrng (IVAS, APSuite), .env (Rouen).

There is no standard of any of them; what is accepted here follows M. K. Miller, *Atom Probe
Tomography* (2000), B. Gault et al., *Atom Probe Microscopy* (2012), appendix, and the files that
laboratories publish. The package `ifes-apt-tc-data-modeling` (0.5) is not used for them: it knows
chemical symbols only and one way of writing (of the 17 valid samples of the program 3Depict it
refuses 7 and loses ranges of 2), and it works out the isotopes and charges of every ion, which
takes seconds for a usual file and minutes for a long one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from ase_crystalnet.atom_probe.files.ranges import MOST_ATOMS, Ion, RangeTable, parse_formula
from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import read_plain

__all__ = ["read_ranges"]

_NM3 = 1000.0  # Å^3
#: Bytes; a file of a thousand ranges has a hundredth of it.
_LARGEST = 10_000_000
#: Ions of a file; those of laboratories have dozens.
_MOST_IONS = 1000
_LONGEST_FORMULA = 200
_DIGITS = re.compile(r"[0-9]{1,3}")
_LFS = "version https://git-lfs"


def read_ranges(path: str | Path) -> RangeTable:
    """Read a range file, its format by its suffix: .rng, .rrng or .env, in any case.

    Parameters
    ----------
    path : str or Path
        Decimal commas, DOS line ends and comments are understood.

    Returns
    -------
    RangeTable
        Ions of a .rng file: all that are declared, and molecules made of several. Of a .rrng or
        .env file: all that have a range. A range given twice counts once.

    Raises
    ------
    InputError
        In one line: which line of the file is wrong, and what was expected.
    FileNotFoundError
        If it is not there.
    """
    path = Path(path)
    readers = {".rng": _read_rng, ".rrng": _read_rrng, ".env": _read_env}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(f"{path}: expected a range file (.rng, .rrng, .env)")
    text = read_plain(path, _LARGEST, "a range file").decode("utf-8-sig", errors="replace")
    if text.startswith(_LFS):
        raise InputError(
            f"{path}: is a Git LFS pointer, not the file; fetch it with `git lfs pull`"
        )
    if "\0" in text:
        raise InputError(f"{path}: is binary; expected a text file of ranges")
    lines = [
        _Line(number, line.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise InputError(f"{path}: is empty; expected a {path.suffix.lower()} range file")
    return reader(_File(str(path), lines))


@dataclass(frozen=True)
class _Line:
    number: int
    text: str


@dataclass
class _File:
    """Lines that say something, handed out one by one."""

    path: str
    lines: list[_Line]
    next: int = 0

    @property
    def done(self) -> bool:
        return self.next >= len(self.lines)

    def peek(self) -> str:
        return "" if self.done else self.lines[self.next].text

    def take(self, wanted: str) -> str:
        if self.done:
            raise InputError(f"{self.path}: ends where {wanted} was expected; is it whole?")
        self.next += 1
        return self.lines[self.next - 1].text

    def error(self, wanted: str) -> InputError:
        """About the line taken last."""
        line = self.lines[max(self.next - 1, 0)]
        return InputError(
            f"{self.path}: line {line.number}: expected {wanted}, got {line.text[:80]!r}"
        )

    def floats(self, words: Iterable[str], wanted: str) -> list[float]:
        try:
            return [float(word.replace(",", ".")) for word in words]
        except ValueError:
            raise self.error(wanted) from None

    def counts(self) -> tuple[int, int]:
        words = self.take("the numbers of ions and ranges").split()
        if len(words) != 2 or not all(re.fullmatch(r"[0-9]{1,9}", word) for word in words):
            raise self.error("the numbers of ions and ranges")
        if int(words[0]) > _MOST_IONS:
            raise self.error(f"at most {_MOST_IONS} ions")
        return int(words[0]), int(words[1])


@dataclass
class _Builder:
    """Gathers ions and ranges; an ion is the same by its composition."""

    ions: list[Ion] = field(default_factory=list)
    ranges: dict[tuple[float, float, int], None] = field(default_factory=dict)
    places: dict[object, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for place, ion in enumerate(self.ions):
            self.places.setdefault(ion.key, place)

    def index(self, ion: Ion) -> int:
        place = self.places.setdefault(ion.key, len(self.ions))
        if place == len(self.ions):
            self.ions.append(ion)
        elif not self.ions[place].volume > 0 and ion.volume > 0:
            self.ions[place] = replace(self.ions[place], volume=ion.volume)
        return place

    def add(self, low: float, high: float, ion: int) -> None:
        self.ranges[low, high, ion] = None

    def build(self, path: str) -> RangeTable:
        low, high, ion = zip(*self.ranges, strict=True) if self.ranges else ((), (), ())
        return RangeTable(
            tuple(self.ions), np.array(low, float), np.array(high, float),
            np.array(ion, np.int64), path,
        )  # fmt: skip


# ------------------------------------------------------------------------------------------ .rng
@dataclass(frozen=True)
class _RngBlock:
    """Declared ions, what they are made of in words, and rows (low, high, multiplicities)."""

    ions: list[Ion]
    formulas: list[str]
    rows: list[tuple[float, float, tuple[int, ...]]]


def _read_rng(file: _File) -> RangeTable:
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
    builder = _Builder(list(block.ions))
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
    table = builder.build(file.path)
    if overlap := table.overlap():
        raise InputError(f"{file.path}: the ranges {overlap} overlap; change a bound")
    return table


def _declared(ion: Ion | None) -> tuple[float, float, float]:
    return ion.color if ion is not None else (0.5, 0.5, 0.5)


def _rng_block(file: _File) -> _RngBlock:
    count, ranges = file.counts()
    ions, formulas = [], []
    for _ in range(count):
        file.take("the name of an ion")
        words = file.take("an ion's short name and color").split()
        if len(words) < 4:
            raise file.error("an ion's short name and color: three numbers")
        color = [min(max(c, 0.0), 1.0) for c in file.floats(words[1:4], "a color")]
        ions.append(Ion(words[0], parse_formula(words[0]), (color[0], color[1], color[2])))
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
        words = file.take(f"range {len(rows) + 1} of {ranges}").split()
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
def _read_rrng(file: _File) -> RangeTable:
    builder, section, stated, found = _Builder(), "", 0, 0
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
    return builder.build(file.path)


def _rrng_range(file: _File, value: str, builder: _Builder) -> None:
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
        else:
            number = file.floats([content], wanted)[0]
            if not (number.is_integer() and 1 <= number <= MOST_ATOMS):
                raise file.error(wanted)
            parts.append((key, int(number)))
    if parts:
        ion = replace(Ion.of(parts), color=color, volume=volume)
    elif name:
        ion = Ion(name, parse_formula(name), color, volume)
    else:
        raise file.error(wanted + "; it names no ion")
    builder.add(low, high, builder.index(ion))


def _hex_color(text: str) -> tuple[float, float, float]:
    if not re.fullmatch(r"[0-9A-Fa-f]{6}", text):
        return (0.5, 0.5, 0.5)
    red, green, blue = (int(text[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue


# ------------------------------------------------------------------------------------------ .env
def _read_env(file: _File) -> RangeTable:
    """Environment file of Rouen: a line of two numbers, then that many ions, then ranges."""
    while not file.done and not re.fullmatch(r"\d+\s+\d+", file.peek()):
        file.take("")
    count, ranges = file.counts()
    builder, colors = _Builder(), {}
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
        ion = Ion(name, parse_formula(name), colors[name], volume)
        builder.add(low, high, builder.index(ion))
    return builder.build(file.path)
