"""Range files that are tables of other programs: .fig.txt and .xrng of Erlangen, .csv of pyccapt.

* ``.fig.txt``: a line a range, an ion with its isotopes and charge and two masses, as the script
  ``matlab_fig_to_txt.m`` of `ifes-apt-tc-data-modeling` writes it from a figure of P. Felfer's Atom
  Probe Toolbox. That package's own reader (0.5) takes the lines apart and keeps none of them.
* ``.xrng``: XML of the same group; elements as its ``rangesFromXRNG.m`` reads them.
* ``.csv``: what pyccapt writes beside its ranges in HDF5, whose words are pickled objects there.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree

from ase.data import chemical_symbols

from ase_crystalnet.atom_probe.files.range_lines import RangeBuilder, RangeLines
from ase_crystalnet.atom_probe.files.ranges import (
    MOST_ATOMS,
    Ion,
    RangeTable,
    parse_formula,
    parse_isotope,
)
from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import reason_of

__all__ = ["read_fig_txt", "read_pyccapt_csv", "read_xrng"]

_NM3 = 1000.0  # Å^3
#: Words of a line: isotopes, charges and two masses.
_MOST_WORDS = 100
_CLOSED = re.compile(r"</item>\s{0,99}<item>\s{0,99}<item>")
_LEFT_OPEN = re.compile(r"<item>\s{0,99}</ranges>")


def read_fig_txt(file: RangeLines) -> RangeTable:
    """``16O 1H2 + 1.796520e+01 1.808020e+01``: ion, isotopes and charge, and two masses, Da."""
    builder = RangeBuilder()
    wanted = "a range such as 56Fe ++ 27.86 28.28"
    while not file.done:
        words = file.take(wanted).split()
        if not 3 <= len(words) <= _MOST_WORDS:
            raise file.error(wanted)
        low, high = file.floats(words[-2:], wanted)
        names = " ".join(words[:-2]).replace("+", " ").replace("-", " ").split()
        parts = [part for name in names for part in parse_isotope(name) or parse_formula(name)]
        if not names:
            raise file.error(wanted)
        known = all(parse_isotope(name) or parse_formula(name) for name in names)
        ion = Ion.of(parts) if known else Ion(" ".join(names))
        builder.add(low, high, builder.index(ion))
    return builder.build(file.path)


# ----------------------------------------------------------------------------------------- .xrng
def read_xrng(path: str, text: str) -> RangeTable:
    """XML: ``ranges`` of ``item``, each with two masses and ``ions``, those with ``atoms``.

    Where a range has several ions, the first counts, as in the program that writes the file.
    """
    ranges = next((node for node in _tree(path, text).iter() if _tag(node) == "ranges"), None)
    if ranges is None:
        raise InputError(f"{path}: expected an .xrng file, XML with an element <ranges>")
    builder, without, several = RangeBuilder(), 0, 0
    for number, item in enumerate(_items(ranges), 1):
        where = f"{path}: range {number}"
        low = _number(item, "masstochargebegin", where)
        high = _number(item, "masstochargeend", where)
        ions = list(_items(_child(item, "ions")))
        atoms = list(_items(_child(ions[0], "atoms"))) if ions else []
        if not atoms:
            without += 1
            continue
        several += len(ions) > 1
        if len(atoms) > MOST_ATOMS:
            raise InputError(
                f"{where}: an ion of {len(atoms)} atoms; expected {MOST_ATOMS} at most"
            )
        ion = Ion.of((_symbol(atom, where), 1) for atom in atoms)
        if _child(ions[0], "volume") is not None:
            ion = replace(ion, volume=_NM3 * _number(ions[0], "volume", where))
        builder.add(low, high, builder.index(ion))
    if without:
        builder.notes.append(f"{without} ranges name no ion and are left out")
    if several:
        builder.notes.append(f"{several} ranges name several ions; the first of each counts")
    if not builder.ranges:
        raise InputError(f"{path}: holds no range of an ion")
    return builder.build(path)


def _tree(path: str, text: str) -> ElementTree.Element:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(f"{path}: declares a document type, which no .xrng file does")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError):
        # Some programs leave an <item> open; the ranges that are whole can be read all the same.
        mended = _CLOSED.sub("</item><item>", _LEFT_OPEN.sub("</ranges>", text))
    try:
        return ElementTree.fromstring(mended)
    except (ElementTree.ParseError, ValueError) as error:
        raise InputError(f"{path}: is no whole XML ({reason_of(error)})") from None


def _tag(node: ElementTree.Element) -> str:
    return str(node.tag).rpartition("}")[2].lower()


def _child(node: ElementTree.Element | None, name: str) -> ElementTree.Element | None:
    return next((child for child in (() if node is None else node) if _tag(child) == name), None)


def _items(node: ElementTree.Element | None) -> Iterator[ElementTree.Element]:
    return (child for child in (() if node is None else node) if _tag(child) == "item")


def _number(node: ElementTree.Element, name: str, where: str) -> float:
    found = _child(node, name)
    text = "" if found is None else (found.text or "").strip()
    try:
        return float(text.replace(",", "."))
    except ValueError:
        raise InputError(f"{where}: expected a number in <{name}>, got {text[:80]!r}") from None


def _symbol(atom: ElementTree.Element, where: str) -> str:
    number = _number(atom, "atomicnumber", where)
    if not (number.is_integer() and 1 <= number < len(chemical_symbols)):
        raise InputError(f"{where}: expected an atomic number, got {number:g}")
    return str(chemical_symbols[int(number)])


# ------------------------------------------------------------------------------- .csv of pyccapt
def read_pyccapt_csv(file: RangeLines) -> RangeTable:
    """Columns ``mc_low``, ``mc_up``, ``element`` and ``complex`` (lists), semicolons between."""
    head = file.take("a line of names")
    mark = ";" if ";" in head else ","
    names = [name.strip() for name in head.split(mark)]
    wanted = ("mc_low", "mc_up", "element", "complex")
    if missing := [name for name in wanted if name not in names]:
        raise InputError(
            f"{file.path}: expected the ranges of pyccapt with columns {', '.join(wanted)}; "
            f"has no {', '.join(missing)}"
        )
    builder = RangeBuilder()
    while not file.done:
        cells = next(csv.reader([file.take("a range")], delimiter=mark))
        if len(cells) != len(names):
            raise file.error(f"{len(names)} columns")
        row = dict(zip(names, (cell.strip() for cell in cells), strict=True))
        elements = re.findall(r"[A-Za-z]{1,20}", row["element"])
        if elements == ["unranged"]:
            continue
        numbers = [int(word) for word in re.findall(r"\d{1,4}", row["complex"])] or [1]
        if len(elements) != len(numbers) or not all(1 <= n <= MOST_ATOMS for n in numbers):
            raise file.error("as many elements as numbers of atoms")
        low, high = file.floats((row["mc_low"], row["mc_up"]), "two masses")
        ion = Ion.of(zip(elements, numbers, strict=True))
        builder.add(low, high, builder.index(replace(ion, color=_color(row.get("color", "")))))
    return builder.build(file.path)


def _color(text: str) -> tuple[float, float, float]:
    found = re.fullmatch(r"#([0-9A-Fa-f]{6})", text)
    if found is None:
        return (0.5, 0.5, 0.5)
    red, green, blue = (int(found[1][i : i + 2], 16) / 255 for i in (0, 2, 4))
    return red, green, blue
