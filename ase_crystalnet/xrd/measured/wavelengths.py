"""The wavelength that a file states: in its instrument's own way, in a comment, or by the anode.

A number counts with its exponent and unit, and the 1 of "K-alpha1" is none. An energy is converted.
Where only the anode is named ("Anode: Mo", "CuKa"), its K-alpha 1 is taken.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import read_archive
from ase_crystalnet.xrd.measured.content import decoded
from ase_crystalnet.xrd.pattern import ANODES

__all__ = ["Source", "source_of", "stated_wavelength"]

#: The same for what is in a zipped one, all members together.
LARGEST_UNPACKED = 200_000_000
#: Of a wavelength, Angstrom.
_PLAUSIBLE = (0.1, 5.0)
#: h c, keV Angstrom (CODATA 2018).
_ENERGY = 12.398419843
#: All that is repeated has a bound: a search takes a time in proportion to the text, whatever is in
#: it.
_NUMBER = r"([0-9]{0,20}\.?[0-9]{1,20})"
_ATTRIBUTES = r"[^>]{0,300}"
#: Where formats state the wavelength, in Angstrom, the most exact statement first.
_STATEMENTS = tuple(
    re.compile(pattern, re.IGNORECASE | re.MULTILINE)
    for pattern in (
        rf"<kAlpha1{_ATTRIBUTES}>\s{{0,40}}{_NUMBER}",  # XRDML
        rf"WaveLengthAlpha1{_ATTRIBUTES}Value=\"{_NUMBER}",  # BRML
        rf"<WavelengthKalpha1{_ATTRIBUTES}>\s{{0,40}}{_NUMBER}",  # RASX
        rf"^\*\S{{0,40}}WAVE_LENGTH_ALPHA1\s{{1,40}}\"?{_NUMBER}",  # RAS
        rf"^_WL1\s{{0,40}}=\s{{0,40}}{_NUMBER}",  # UXD
        # CIF, one wavelength; on a line of its own it may be the first column of a loop's row.
        rf"^[ \t]{{0,40}}_(?:diffrn|pd)_\w{{0,40}}wavelength[ \t]{{1,40}}['\"]?{_NUMBER}",
    )
)
#: A line of words that speaks of a wavelength, an energy, an anode; what follows is looked at.
_SPOKEN = re.compile(
    r"(?:wave[ _-]{0,2}length|lambda|\u03bb|\bLA(?=\s{0,4}=))(.{0,120})", re.IGNORECASE
)
_ENERGIES = re.compile(r"(?:photon|beam|x-?ray)?[ _]{0,2}energy(.{0,60})", re.IGNORECASE)
_K_NAMES = re.compile(
    r"k[\s_\-]{0,3}\\?(?:alpha|\u03b1|a(?![a-z]))[\s_\-]{0,3}(?P<alpha>[12]?)(?:\s{0,2}[/+,]\s{0,2}2)?"
    r"|k[\s_\-]{0,3}\\?(?:beta|\u03b2|b(?![a-z]))[\s_\-]{0,3}[13]?|alpha[\s_\-]{0,3}(?P<named>[12])",
    re.IGNORECASE,
)  # fmt: skip
_VALUE = re.compile(
    r"(?<![\w.])((?:[0-9]{1,12}(?:[.,][0-9]{1,20})?|\.[0-9]{1,20})(?:[eE][+-]?[0-9]{1,3})?)"
    r"[\s_\"\],;)]{0,3}[\[(]?\s{0,2}(keV|kev|eV|nm|pm|m\b|\u00e5|\u212b|A\b|Ang)?",
)
_ANODE = re.compile(
    r"(?:anode|target|x-?ray[ _]{0,2}(?:tube|source)|radiation|tube)[^\n]{0,40}?"
    r"\b(Cu|Mo|Co|Cr|Fe|Ag)(?![a-z])",
    re.IGNORECASE,
)
_ANODE_LINE = re.compile(
    r"(?<![A-Za-z])(Cu|Mo|Co|Cr|Fe|Ag)[\s_\-]{0,3}(?:K[\s_\-]{0,3}\\?(?:alpha|\u03b1|a)(?![a-z])[\s_\-]{0,2}[12]?)",
    re.IGNORECASE,
)
_IN_ANGSTROM = {"nm": 10.0, "pm": 0.01, "m": 1e10}
_LOOPED = "_diffrn_radiation_wavelength"
#: Columns of a CIF loop; longer ones are no loop over wavelengths.
_MOST_COLUMNS = 100
#: Lines of words at the head of a text that are looked at for what they say.
_MOST_LINES = 2000


@dataclass(frozen=True)
class Source:
    """Radiation of a scan by its file.

    Attributes
    ----------
    wavelength : float
        Angstrom.
    stated : str
        "wavelength", "energy", or "anode" where only that is named.
    anode : str
        Symbol of the anode that is named, or "".
    """

    wavelength: float
    stated: str
    anode: str = ""


def stated_wavelength(data: bytes) -> float | None:
    """Wavelength (Angstrom) that the content of a file states, None where it states none.

    K-alpha 1 where K-alpha 1 and 2 are given, or where only the anode is named.
    """
    found = source_of(data)
    return found.wavelength if found else None


def source_of(data: bytes) -> Source | None:
    """Radiation that the content of a file states, None where it states none."""
    if data[:7] in (b"RAW1.01", b"RAW4.00"):
        found = _bruker_wavelength(data)
        return Source(found, "wavelength") if found and _possible(found) else None
    for text in _texts(data):
        for statement in _STATEMENTS:
            match = statement.search(text)
            if match and _possible(float(match.group(1))):
                return Source(float(match.group(1)), "wavelength")
        looped = _cif_loop_wavelength(text)
        if looped:
            return Source(looped, "wavelength")
        spoken = _in_words(text)
        if spoken:
            return spoken
    return None


def _possible(wavelength: float) -> bool:
    return _PLAUSIBLE[0] <= wavelength <= _PLAUSIBLE[1]


def _in_words(text: str) -> Source | None:
    """What the head of a text says in words: a wavelength before an energy before an anode."""
    energy = anode = None
    second = None
    looked = 0
    for line in text.split("\n"):
        if not any(letter.isalpha() for letter in line[:200]):
            continue
        looked += 1
        if looked > _MOST_LINES:
            break
        line = line[:1000]
        for match in _SPOKEN.finditer(line):
            said = _wavelength_in(match.group(1), line)
            if said is not None:
                value, is_second = said
                if not is_second:
                    return Source(value, "wavelength")
                second = second or Source(value, "wavelength")
        if energy is None and (told := _ENERGIES.search(line)):
            energy = _energy_in(told.group(1))
        if anode is None and (named := _ANODE.search(line) or _ANODE_LINE.search(line)):
            anode = named.group(1).capitalize()
    if second is not None:
        return second
    if energy is not None:
        return Source(energy, "energy")
    return Source(ANODES[anode], "anode", anode) if anode else None


def _wavelength_in(words: str, line: str) -> tuple[float, bool] | None:
    """Number in Angstrom of what follows "wavelength", and whether it is K-alpha 2's or beta's."""
    before = line[: line.find(words)] if words else line
    names = [*_K_NAMES.finditer(before), *_K_NAMES.finditer(words)]
    second = False
    if names:
        first = names[0]
        second = "2" in (first.group("alpha") or first.group("named") or "") or "b" in first.group(
            0
        ).lower().replace("number", "")
    # Without the names, the 1 of "K-alpha1" is gone.
    for match in _VALUE.finditer(_K_NAMES.sub(" ", words)):
        number = match.group(1).replace(",", ".")
        value = float(number)
        unit = match.group(2) or ""
        if unit.lower() in ("kev", "ev"):
            value = _ENERGY / value if value > 0 else 0.0
            value *= 1000 if unit.lower() == "ev" else 1
        elif unit in _IN_ANGSTROM:
            value *= _IN_ANGSTROM[unit]
        elif value < 1e-8:  # metres, whether that is said or not
            value *= 1e10
        elif value < _PLAUSIBLE[0] and unit == "":  # nanometres: 0.0709, 0.015406
            value = 0.0
        if _possible(value):
            return round(value, 10), second
    return None


def _energy_in(words: str) -> float | None:
    for match in _VALUE.finditer(words):
        number, unit = match.group(1).replace(",", "."), (match.group(2) or "").lower()
        if unit not in ("kev", "ev") or not float(number) > 0:
            continue
        value = _ENERGY / float(number) * (1000 if unit == "ev" else 1)
        if _possible(value):
            return round(value, 7)
    return None


def _texts(data: bytes) -> Iterator[str]:
    """The text of a file, or of the small XML members of a zipped one (.brml, .rasx)."""
    if data[:2] != b"PK":
        text = decoded(data)
        yield data.decode("latin-1") if text is None else text
        return
    try:
        members = read_archive(data, LARGEST_UNPACKED, "")
    except InputError:
        return
    for name, content in members.items():
        if name.lower().endswith(".xml") and len(content) < 20_000_000:
            yield content.decode("utf-8", errors="replace")


def _cif_loop_wavelength(text: str) -> float | None:
    """First row of a CIF loop over wavelengths (K-alpha 1 and 2 with their weights)."""
    columns: list[str] | None = None
    quoted = False
    for line in text.splitlines():
        if line.startswith(";"):  # a field of text begins or ends: no loop is in it
            quoted, columns = not quoted, None
            continue
        words = line.split(maxsplit=_MOST_COLUMNS) if not quoted else []
        if not words or words[0].startswith("#"):
            continue
        if words[0].lower() == "loop_":
            columns, words = [], words[1:]
        elif columns is None and len(words) == 1 and words[0].startswith("_"):
            columns = []  # its value is on the next line, as of a loop with one column
        if columns is None:
            continue
        while words and words[0].startswith("_"):
            columns.append(words.pop(0).lower())
        if words:
            if _LOOPED in columns and (column := columns.index(_LOOPED)) < len(words):
                number = re.match(_NUMBER, words[column].strip("'\""))
                if number and _possible(float(number.group(1))):
                    return float(number.group(1))
            columns = None
    return None


def _bruker_wavelength(data: bytes) -> float | None:
    """K-alpha 1 in the header of Bruker's RAW files of version 3 ("RAW1.01") and 4 ("RAW4.00").

    Version 3 has it at byte 624 of the file header; version 4 in a segment of kind 30, 80 bytes
    from its start, in a chain of segments (kind, length: two uint32) from byte 61 on.
    """
    try:
        if data[:7] == b"RAW1.01":
            return float(struct.unpack_from("<d", data, 624)[0])
        place = 61
        while True:
            kind, length = struct.unpack_from("<II", data, place)
            if kind in (0, 160):  # the first range begins: there was no source
                return None
            if kind == 30:
                return float(struct.unpack_from("<d", data, place + 80)[0])
            place += max(length, 8)
    except struct.error:
        return None
