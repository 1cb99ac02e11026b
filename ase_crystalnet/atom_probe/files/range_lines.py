"""Lines of a range file, handed out one by one, and the table that is built of them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from ase_crystalnet.atom_probe.files.ranges import Ion, RangeTable
from ase_crystalnet.errors import InputError

__all__ = ["MOST_IONS", "Line", "RangeBuilder", "RangeLines"]

#: Ions of a file; those of laboratories have dozens.
MOST_IONS = 1000
#: Ions that a remark names.
_NAMED = 8


@dataclass(frozen=True)
class Line:
    number: int
    text: str


@dataclass
class RangeLines:
    """Lines that say something, handed out one by one."""

    path: str
    lines: list[Line]
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
        if int(words[0]) > MOST_IONS:
            raise self.error(f"at most {MOST_IONS} ions")
        return int(words[0]), int(words[1])


@dataclass
class RangeBuilder:
    """Gathers ions and ranges; an ion is the same by its composition."""

    ions: list[Ion] = field(default_factory=list)
    ranges: dict[tuple[float, float, int], None] = field(default_factory=dict)
    places: dict[object, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

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

    def note_idle(self, names: Iterable[str]) -> None:
        """Remember ions that are declared and have no range."""
        if idle := list(names):
            more = f" and {len(idle) - _NAMED} more" if len(idle) > _NAMED else ""
            self.notes.append(f"declared without any range: {', '.join(idle[:_NAMED])}{more}")

    def build(self, path: str) -> RangeTable:
        if len(self.ions) > MOST_IONS:
            raise InputError(f"{path}: {len(self.ions)} ions; expected at most {MOST_IONS}")
        low, high, ion = zip(*self.ranges, strict=True) if self.ranges else ((), (), ())
        return RangeTable(
            tuple(self.ions), np.array(low, float), np.array(high, float),
            np.array(ion, np.int64), path, tuple(self.notes),
        )  # fmt: skip
