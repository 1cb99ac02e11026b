"""The bytes of a pattern's file as text: unpacked, decoded, spreadsheets as lines of cells.

Everything is bounded: what a packed file promises is not trusted, and no more than the limit is
ever unpacked.
"""

from __future__ import annotations

import re
import zlib
from xml.etree import ElementTree

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import read_archive, reason_of

__all__ = ["decoded", "is_spreadsheet", "spreadsheet_text", "unpacked"]

#: Columns of a spreadsheet that are looked at.
_MOST_COLUMNS = 200
_SPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def unpacked(data: bytes, largest: int, name: str) -> bytes:
    """Content of a gzip file; anything else as it is.

    Raises
    ------
    InputError
        It is damaged, or unpacks to more than `largest` bytes.
    """
    if data[:2] != b"\x1f\x8b":
        return data
    out = bytearray()
    rest = data
    try:
        while rest[:2] == b"\x1f\x8b":  # members that were put one after the other
            machine = zlib.decompressobj(wbits=31)
            out += machine.decompress(rest, largest + 1 - len(out))
            if len(out) > largest:
                raise InputError(
                    f"{name}: unpacks to more than {largest / 1e6:g} MB; expected one powder "
                    "pattern"
                )
            if not machine.eof:
                raise InputError(f"{name}: a damaged gzip file (cut short)")
            rest = machine.unused_data
    except zlib.error as error:
        raise InputError(f"{name}: a damaged gzip file ({reason_of(error)})") from None
    return bytes(out)


def decoded(data: bytes) -> str | None:
    """Text with "\\n" at the ends of lines, without byte order mark; None for what is no text."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = data.decode("utf-16", errors="replace")
    else:
        head = data[:2000]
        zeros = head.count(0)
        if (
            zeros > 0.4 * len(head) and not any(head[0::2][i] == 0 for i in range(len(head) // 2))
        ) or (zeros > 0.4 * len(head) and not any(head[1::2])):
            text = data.decode("utf-16-le", errors="replace")
        elif zeros:
            return None
        else:
            try:
                text = data.decode("utf-8-sig")
            except UnicodeDecodeError:
                # What Windows wrote in western Europe; every byte is a letter.
                text = data.decode("latin-1")
    text = text.lstrip("\ufeff").rstrip("\x1a\x00")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def is_spreadsheet(members: dict[str, bytes]) -> bool:
    """Whether these are the members of an .xlsx file."""
    return "xl/workbook.xml" in members


def spreadsheet_text(data: bytes, largest: int, name: str) -> str:
    """Rows of the sheet of an .xlsx file that has most numbers, cells set apart by tabs.

    Raises
    ------
    InputError
        It is damaged, or holds no sheet.
    """
    members = read_archive(data, largest, name)
    try:
        words = _shared_words(members.get("xl/sharedStrings.xml", b""))
        sheets = [
            _rows(content, words)
            for member, content in sorted(members.items())
            if re.fullmatch(r"xl/worksheets/[^/]{1,100}\.xml", member)
        ]
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{name}: a damaged spreadsheet ({reason_of(error)})") from None
    if not sheets:
        raise InputError(f"{name}: a spreadsheet without a sheet")
    return max(
        sheets, key=lambda rows: sum(any(c.isdigit() for c in row) for row in rows.split("\n"))
    )


def _parsed(content: bytes) -> ElementTree.Element:
    if b"<!DOCTYPE" in content[:1000] or b"<!ENTITY" in content:
        raise ValueError("it declares a document type, which no spreadsheet does")
    return ElementTree.fromstring(content)


def _shared_words(content: bytes) -> list[str]:
    if not content:
        return []
    return [
        "".join(part.text or "" for part in item.iter(f"{_SPACE}t"))
        for item in _parsed(content).iter(f"{_SPACE}si")
    ]


def _rows(content: bytes, words: list[str]) -> str:
    lines = []
    for row in _parsed(content).iter(f"{_SPACE}row"):
        cells: dict[int, str] = {}
        for place, cell in enumerate(row.iter(f"{_SPACE}c")):
            column = _column(cell.get("r", ""), place)
            if column >= _MOST_COLUMNS:
                continue
            value = cell.find(f"{_SPACE}v")
            text = (value.text or "") if value is not None else ""
            if cell.get("t") == "s":
                text = words[int(text)]
            elif cell.get("t") == "inlineStr":
                text = "".join(part.text or "" for part in cell.iter(f"{_SPACE}t"))
            cells[column] = " ".join(text.split())
        width = max(cells, default=-1) + 1
        lines.append("\t".join(cells.get(k, "") for k in range(width)))
    return "\n".join(lines)


def _column(reference: str, place: int) -> int:
    """Number of a cell's column, "A1" is 0; `place` where the cell does not say."""
    letters = re.match(r"[A-Z]{1,3}", reference)
    if not letters:
        return place
    number = 0
    for letter in letters.group():
        number = 26 * number + ord(letter) - 64
    return number - 1
