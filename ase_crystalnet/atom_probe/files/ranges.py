"""Mass ranges of an atom-probe measurement: which mass-to-charge ratio is which ion.

:class:`RangeTable` holds them, whatever file they came from; `range_files` reads the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase.data import atomic_numbers, reference_states
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError

__all__ = ["MOST_ATOMS", "UNRANGED", "Ion", "RangeTable", "parse_formula", "parse_isotope"]

#: Index of the ion of a mass that lies in no range.
UNRANGED = -1
#: Atoms of one element in an ion; more are no ion, but would be as many atoms.
MOST_ATOMS = 1000
_FORMULA = re.compile(r"([A-Z][a-z]?)(\d*)")
#: ``56Fe``, ``16O2``, ``Fe-56``, ``Fe56``.
_ISOTOPE = re.compile(r"(\d{1,3})([A-Z][a-z]?)(\d{0,3})|([A-Z][a-z]?)(-?)(\d{1,3})")

#: Mass number over atomic number of the heaviest nuclides, less one for hydrogen's three.
_HEAVIEST = 2.65


def parse_formula(text: str) -> tuple[tuple[str, int], ...]:
    """Elements and numbers of a formula such as ``Mn2O``; empty where it is no formula."""
    parts = _FORMULA.findall(text)
    if "".join(symbol + number for symbol, number in parts) != text:
        return ()
    if not all(_is_element(symbol) and number != "0" for symbol, number in parts):
        return ()
    if any(len(number) > 9 or int(number or 1) > MOST_ATOMS for _, number in parts):
        return ()
    return _merged((symbol, int(number or 1)) for symbol, number in parts)


def parse_isotope(text: str) -> tuple[tuple[str, int], ...]:
    """Element and number of an isotope such as ``56Fe``, ``16O2`` or ``Fe-56``; else empty.

    ``Fe56`` is one where the number can be a mass number of the element, which `_HEAVIEST` times
    the atomic number bounds (``C60`` and ``H4`` are none).
    """
    found = _ISOTOPE.fullmatch(text)
    if found is None:
        return ()
    mass, symbol, number, other, hyphen, other_mass = found.groups()
    lightest = 1.0
    if other is not None:
        mass, symbol, number = other_mass, other, ""
        lightest = 1.0 if hyphen else 1.5
    if not _is_element(symbol) or (number and int(number) == 0):
        return ()
    protons = atomic_numbers[symbol]
    if not lightest * protons <= int(mass) <= _HEAVIEST * protons + 1:
        return ()
    if other is not None and not hyphen and int(mass) < 4:
        return ()
    return ((symbol, int(number or 1)),)


def _merged(parts: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    total: dict[str, int] = {}
    for symbol, number in parts:
        total[symbol] = total.get(symbol, 0) + number
    return tuple(total.items())


def _is_element(symbol: str) -> bool:
    return atomic_numbers.get(symbol, 0) > 0


@dataclass(frozen=True)
class Ion:
    """A species of ion.

    Attributes
    ----------
    name : str
        Formula (``Si``, ``CrO2``), or the name in the range file where that is no formula.
    composition : tuple of (str, int)
        Elements and their numbers; empty for an ion known by name only.
    color : tuple of float
        Red, green, blue, 0 to 1, of the range file.
    volume : float
        Volume of the ion in the material, Å^3, of the range file; nan where it gives none.
    """

    name: str
    composition: tuple[tuple[str, int], ...] = ()
    color: tuple[float, float, float] = (0.5, 0.5, 0.5)
    volume: float = float("nan")

    @classmethod
    def of(cls, composition: Iterable[tuple[str, int]]) -> Ion:
        """Ion of a composition, named by its formula."""
        merged = _merged(composition)
        return cls("".join(symbol + (str(n) if n > 1 else "") for symbol, n in merged), merged)

    @property
    def key(self) -> object:
        """What makes two ions the same: their atoms, or their name where those are not known."""
        return frozenset(self.composition) if self.composition else self.name

    @property
    def is_chemical(self) -> bool:
        """Whether all its parts are chemical elements."""
        return bool(self.composition) and all(_is_element(s) for s, _ in self.composition)

    @property
    def atoms(self) -> int:
        """Number of atoms; 1 for an ion known by name only."""
        return sum(number for _, number in self.composition) or 1

    @property
    def number(self) -> int:
        """Atomic number of an ion of one atom; 0 for a molecule or an unknown."""
        return atomic_numbers[self.composition[0][0]] if self.atoms == 1 and self.is_chemical else 0

    @property
    def numbers(self) -> tuple[int, ...]:
        """Atomic numbers of its atoms; (0,) where they are not known."""
        if not self.is_chemical:
            return (0,)
        return tuple(atomic_numbers[s] for s, number in self.composition for _ in range(number))

    @property
    def material_volume(self) -> float:
        """Volume in the material, Å^3: the range file's, else that of its elements' crystals.

        nan where neither is known; hydrogen and other gases have no volume of their own in a
        metal, so that theirs is unknown too.
        """
        if self.volume > 0:
            return self.volume
        if not self.is_chemical:
            return float("nan")
        return sum(number * _element_volume(symbol) for symbol, number in self.composition)


def _element_volume(symbol: str) -> float:
    """Å^3 an atom in the element's reference crystal (ASE's table); nan where it is none."""
    state: dict[str, Any] = reference_states[atomic_numbers[symbol]] or {}
    atoms = {"fcc": 4, "bcc": 2, "sc": 1, "diamond": 8}
    if state.get("symmetry") in atoms:
        return float(state["a"]) ** 3 / atoms[state["symmetry"]]
    if state.get("symmetry") == "hcp":
        ratio = state["c/a"] if "c/a" in state else state["c"] / state["a"]
        return float(np.sqrt(3.0) / 4.0 * state["a"] ** 3 * ratio)
    return float("nan")


@dataclass(frozen=True, eq=False)
class RangeTable:
    """Mass ranges and the ions they stand for.

    Attributes
    ----------
    ions : tuple of Ion
        Species, each once.
    low, high : (R,) float64 array
        Bounds of each range, Da (mass over charge number); both belong to it.
    ion : (R,) int64 array
        Index into `ions`.
    source : str
        File, for messages.
    notes : tuple of str
        What was noticed when it was read, in words.

    Raises
    ------
    InputError
        If a range is empty or not finite, or ranges of different ions overlap.
    """

    ions: tuple[Ion, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    ion: NDArray[np.int64]
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bad = ~(np.isfinite(self.low) & np.isfinite(self.high) & (self.low < self.high))
        where = f"{self.source}: " if self.source else ""
        if bad.any():
            i = int(np.argmax(bad))
            raise InputError(
                f"{where}range {i + 1} is from {self.low[i]:g} to {self.high[i]:g} Da; expected a "
                "lower bound below the upper"
            )
        first, second = self._first_overlap(different=True)
        if first >= 0:
            raise InputError(
                f"{where}the ranges {self._describe(first)} and {self._describe(second)} overlap, "
                "so that a mass between would be two ions; change a bound"
            )

    def __len__(self) -> int:
        return len(self.low)

    def overlap(self) -> str:
        """First two overlapping ranges of one ion, in words; empty where there are none."""
        first, second = self._first_overlap(different=False)
        return f"{self._describe(first)} and {self._describe(second)}" if first >= 0 else ""

    def assign(self, mass: ArrayLike) -> NDArray[np.int16]:
        """Index into `ions` of each mass (N,) in Da; -1 where no range holds it."""
        values = np.asarray(mass, np.float32)
        if len(self) == 0:
            return np.full(values.shape, UNRANGED, np.int16)
        low, high, ion = self._disjoint()
        # Bounds as the measured masses are, so that a mass written as a bound is in the range.
        place = np.searchsorted(low.astype(np.float32), values, side="right") - 1
        inside = (place >= 0) & (values <= high.astype(np.float32)[place])
        return np.where(inside, ion[place], UNRANGED).astype(np.int16)

    def _disjoint(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
        """Ranges in order; those of one ion that overlap are one."""
        order = np.lexsort((self.high, self.low))
        low, high, ion = self.low[order], self.high[order], self.ion[order]
        reach = np.maximum.accumulate(high)
        joined = np.zeros(len(low), bool)
        joined[1:] = low[1:] < reach[:-1]  # of one ion: __post_init__ has seen to that
        first = np.flatnonzero(~joined)
        return low[first], np.maximum.reduceat(high, first), ion[first]

    def _first_overlap(self, *, different: bool) -> tuple[int, int]:
        order = np.lexsort((self.high, self.low))
        longest = -1  # of those so far, the range that reaches farthest
        for i in order:
            if longest >= 0 and self.low[i] < self.high[longest]:
                same = self.ion[i] == self.ion[longest]
                if same != different:
                    return longest, int(i)
            if longest < 0 or self.high[i] > self.high[longest]:
                longest = int(i)
        return -1, -1

    def _describe(self, i: int) -> str:
        return f"{self.low[i]:g}-{self.high[i]:g} ({self.ions[self.ion[i]].name})"
