"""Tables of text: which column is the axis, which the intensity, and what the numbers are.

Columns are chosen by their names where there are any (two-theta, q, d; counts, intensity), else by
what stands in them. Decimal commas, thousands marks, quotes, units and a column of numbers of rows
are understood. Rows that cannot be read are counted, and said.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.measured.profile import Profile

__all__ = ["number_of", "read_table", "role_of"]

#: Rows that decide what the columns are.
_SAMPLE = 400
#: Rows from which on another table may follow.
_ENOUGH = 50
#: Rows that may follow in another table of the same width.
_FEW_ROWS = 20
#: More rows than this share that cannot be read: the table is not understood.
_MOST_UNREAD = 0.2
#: A table of numbers and nothing else; words for what is none are numbers, too.
_NUMERIC = re.compile(
    r"(?:[\s\d.,;|'\u2019\"+\-eEdD()\u00a0\u2009\u202f\u2212]|nan|NaN|NAN|inf|Inf)+", re.ASCII
)
_GROUPED = {
    ",": re.compile(r"[+-]?\d{1,3}(?:,\d{3}){1,6}(?:\.\d*)?$", re.ASCII),
    ".": re.compile(r"[+-]?\d{1,3}(?:\.\d{3}){1,6}(?:,\d*)?$", re.ASCII),
}
_COMMENT = ("#", "!", "%", "//", "*")
_UNCERTAINTY = re.compile(r"\(\d{1,9}\)$", re.ASCII)


def number_of(word: str, comma: bool = False) -> float | None:
    """The number that a word of a table is; None where it is none.

    Parameters
    ----------
    word : str
        Such as "1'039", "20,02", "1.039,5", "1.5D+02", "100(3)".
    comma : bool
        Whether the table's decimal mark is a comma, which decides what "1,039" is.
    """
    try:
        if not (comma and "." in word):
            return float(word)
    except ValueError:
        pass
    text = word.strip().strip('"').strip()
    for mark in "'\u2019\u00a0\u2009\u202f ":
        text = text.replace(mark, "")
    text = text.replace("\u2212", "-").replace("D", "E").replace("d", "e")
    text = _UNCERTAINTY.sub("", text)
    mark, other = (",", ".") if comma else (".", ",")
    if other in text and _GROUPED[other].match(text):
        text = text.replace(other, "")
    text = text.replace(",", ".")
    try:
        return float(text) if text.count(".") < 2 and "_" not in text else None
    except ValueError:
        return None


@dataclass(frozen=True)
class _Format:
    """How a row is taken apart."""

    separator: str | None
    comma: bool
    quoted: bool

    def words(self, line: str) -> list[str]:
        """Cells of a row; the empty ones, too, where there is a separator."""
        line = line.strip(" \n") if self.separator == "\t" else line.strip()
        if self.quoted:
            return [word.strip() for word in re.findall(r'"[^"]*"|[^",]+|(?<=,)(?=,)', line)]
        if self.separator is None:
            return [word.rstrip(",") or word for word in line.split()]
        if line.endswith(self.separator):
            line = line[:-1]
        return line.split(self.separator)


def _format_of(rows: Sequence[str]) -> _Format:
    """By what most rows of numbers have."""
    most = 0.8 * len(rows)
    text = "\n".join(rows)
    separator: str | None = None
    quoted = False
    for mark in "\t;|":
        if sum(mark in row.strip() for row in rows) > most:
            separator = mark
            break
    else:
        if sum("," in row for row in rows) > most:
            quoted = sum('"' in row for row in rows) > most
            spaced = sum(len(row.split()) > 1 for row in rows) > most
            followed = sum(", " in row or " ," in row for row in rows) > most
            if quoted or followed or not spaced:
                separator = ","
    inner = text if separator != "," or quoted else text.replace(",", " ")
    if separator == "," and not quoted:
        # "20,00, 100": the comma that a blank follows sets apart, the other is decimal.
        both = sum(bool(re.search(r"\d,\d", row)) and ", " in row for row in rows)
        if both > most:
            return _Format(None, True, False)
    commas = bool(re.search(r"\d,\d", inner))
    points = len(re.findall(r"\d\.(?!\d{3}(?!\d))", inner, re.ASCII))
    return _Format(separator, commas and not points, quoted)


# ------------------------------------------------------------------ names of columns

_ROLES: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (role, re.compile(pattern, re.IGNORECASE))
    for role, pattern in (
        ("index", r"(?:index|idx|no|nr|n|id|point|points|row|#|)\.?$"),
        ("sigma", r".{0,20}(?:esd|std|err|sigma|uncert|\bsd\b)|e$|s$|di$"),
        ("time", r".{0,20}(?:time|second|\bsec\b)"),
        ("other", r"(?:y|i)?_?(?:calc|cal|bkg|back|background|diff|fit|weight|wt|mon|monitor)|"
                  r"(?:omega|chi|phi|temp|attenuator|h|k|l|hkl|fwhm|rel)\b"),
        ("two_theta", r".{0,12}(?:2|two|t|\u00b2)[\s_\-*.]{0,3}(?:theta|th|\u03b8|\u0398|tht)|"
                      r".{0,12}\btth|tt$|x$|pos\b|position|angles?\b|winkel|.{0,8}\u00b02"),
        ("q", r"(?:q|s)(?:[\s_/(\[]|$)|scattering vector|momentum transfer"),
        ("d", r"d(?:[\s_\-(\[/]|$)|d.?spacing|d.?value|d.?wert"),
        ("theta", r"(?:theta|th|\u03b8)\b"),
        ("intensity", r".{0,30}(?:int|count|cps|cts|c/s|impuls|imp\b|yobs|iobs|obs|signal|det|psd|"
                      r"lin\b|lin\s*\(|amplitude)|i(?:[\s_(\[]|$)|y(?:[\s_(\[]|$)"),
    )
)  # fmt: skip


def role_of(name: str) -> str:
    """What a column is by its name: two_theta, q, d, theta, intensity, sigma, time, index, ""."""
    plain = " ".join(name.strip().strip("\"'#").split())[:60]
    for role, pattern in _ROLES:
        if pattern.match(plain):
            return role
    return ""


def _per_nanometre(name: str) -> bool | None:
    plain = name.lower().replace(" ", "")
    if "nm" in plain or "nanom" in plain:
        return True
    if any(mark in plain for mark in ("\u00e5", "\u212b", "_a", "(a", "/a", "[a", "ang", "1/a")):
        return False
    return None


def _names(header: Sequence[str], shape: _Format, width: int) -> list[str]:
    """Names of the columns from the lines above the table, or none."""
    for line in reversed(header[-4:]):
        bare = line.strip().lstrip("#!%*;/").strip()
        for words in (
            [word.strip() for word in _Format(shape.separator, False, '"' in bare).words(bare)]
            if shape.separator and not (shape.quoted and '"' not in bare)
            else [],
            [word.strip() for word in re.split(r"\t+|\s{2,}", bare)],
            [word.strip() for word in bare.split(",")],
            bare.split(),
        ):
            if len(words) == width and sum(bool(role_of(word)) for word in words) >= 2:
                roles = [role_of(word) for word in words]
                if any(role in ("two_theta", "q", "d", "theta") for role in roles):
                    return words
    return []


# ------------------------------------------------------------------ the table


@dataclass(frozen=True)
class _Choice:
    x: int
    y: int
    axis: str
    per_nm: bool = False
    d: int | None = None
    time: int | None = None
    notes: tuple[str, ...] = ()


def _by_name(names: Sequence[str]) -> _Choice | None:
    roles = [role_of(name) for name in names]
    for axis in ("two_theta", "q", "d", "theta"):
        if axis in roles:
            break
    else:
        return None
    x = roles.index(axis)
    seen = [i for i, role in enumerate(roles) if role == "intensity" and i != x]
    # Counts before counts per second, observed before anything derived.
    raw = [i for i in seen if re.search(r"count|cts|obs", names[i], re.IGNORECASE)]
    left = [i for i, role in enumerate(roles) if role == "" and i != x]
    y = (raw or seen or left or [-1])[0]
    if y < 0:
        return None
    notes = []
    per_nm = False
    if axis == "q":
        stated = _per_nanometre(names[x])
        per_nm = bool(stated)
        if stated is None:
            notes.append(f"the unit of column {names[x]!r} is not stated")
    if axis == "theta":
        notes.append(f"column {names[x]!r} is taken as two-theta")
        axis = "two_theta"
    d = roles.index("d") if axis == "two_theta" and "d" in roles else None
    time = roles.index("time") if "time" in roles else None
    return _Choice(x, y, axis, per_nm, d, time, tuple(notes))


def _rises(values: NDArray[np.float64]) -> bool:
    steps = np.diff(values[np.isfinite(values)])
    return len(steps) > 2 and float((steps > 0).mean()) > 0.97


def _by_place(sample: NDArray[np.float64]) -> _Choice:
    """By what stands in the columns of the first rows (n, C)."""
    width = sample.shape[1]
    first = sample[:, 0]
    if width > 2 and len(first) > 10 and (np.diff(first) == 1).all() and first[0] in (0, 1):
        steps = np.diff(sample[:, 1])
        if _rises(sample[:, 1]) and sample[0, 1] >= 0 and np.ptp(steps) < 0.5 * steps.mean():
            return _Choice(1, 2, "two_theta")
    if not _rises(first) and not _rises(-first):
        for k in range(1, width):
            if _rises(sample[:, k]):
                note = f"the first column does not rise: column {k + 1} is taken as two-theta"
                return _Choice(k, 0, "two_theta", notes=(note,))
    if width > 2:
        second, half = sample[:, 1], np.radians(first / 2)
        with np.errstate(all="ignore"):
            for derived in (second / first, second * np.sin(half)):
                if np.isfinite(derived).all() and np.ptp(derived) < 2e-3 * abs(derived.mean()):
                    is_d = derived is not None and bool(_rises(-second))
                    return _Choice(0, 2, "two_theta", d=1 if is_d else None)
    return _Choice(0, 1, "two_theta")


def read_table(text: str) -> Profile | None:
    """The curve in a table of text; None where there is no table.

    Raises
    ------
    InputError
        Most of what looks like a table cannot be read.
    """
    lines = text.split("\n")
    rows: list[str] = []
    for line in lines:
        if _NUMERIC.fullmatch(line) and any(letter.isdigit() for letter in line):
            rows.append(line)
    if len(rows) < 10:
        return None
    shape = _format_of(rows)
    sizes = Counter(len(shape.words(row)) for row in rows[: 10 * _SAMPLE])
    width, number = sizes.most_common(1)[0]
    if width < 2 or number < 8:
        return None
    start = _first_row(lines, shape, width)
    if start is None:
        return None
    sample = _sample(lines[start:], shape, width)
    names = _names(
        [line for line in lines[max(start - 30, 0) : start] if line.strip()], shape, width
    )
    choice = _by_name(names) if names else None
    if choice is None:
        choice = _labelled(lines[:start], _by_place(sample))
    return _table(lines, start, shape, width, choice, sample)


def _first_row(lines: Sequence[str], shape: _Format, width: int) -> int | None:
    """Where five rows of numbers of the usual width begin."""
    seen: list[int] = []
    for number, line in enumerate(lines):
        if not line.strip():
            continue
        words = shape.words(line) if _NUMERIC.fullmatch(line) else []
        if len(words) == width and number_of(words[0], shape.comma) is not None:
            seen.append(number)
            if len(seen) == 5:
                return seen[0]
        else:
            seen = []
    return None


def _sample(lines: Sequence[str], shape: _Format, width: int) -> NDArray[np.float64]:
    found = []
    for line in lines:
        words = shape.words(line)
        if len(words) == width:
            numbers = [number_of(word, shape.comma) for word in words]
            found.append([np.nan if value is None else value for value in numbers])
            if len(found) == _SAMPLE:
                break
    return np.array(found, np.float64)


def _labelled(header: Sequence[str], choice: _Choice) -> _Choice:
    """Axis of a table without names from labels on lines of their own, as .chi files have them."""
    for line in header[:8]:
        bare = line.strip().lstrip("#").strip()
        if len(bare) < 60 and role_of(bare) == "q" and re.match(r"(?i)q\b|scattering", bare):
            return _Choice(choice.x, choice.y, "q", bool(_per_nanometre(bare)), notes=choice.notes)
    return choice


def _table(
    lines: Sequence[str],
    start: int,
    shape: _Format,
    width: int,
    choice: _Choice,
    sample: NDArray[np.float64],
) -> Profile:
    wanted = [choice.x, choice.y] + ([choice.time] if choice.time is not None else [])
    found: list[list[float]] = []
    unread: list[int] = []
    alike = np.array([_is_row(line, shape, width) for line in lines], bool)
    #: Rows of the table's shape from each line on.
    left = np.concatenate([np.cumsum(alike[::-1])[::-1], np.zeros(6, np.int64)])
    notes = list(choice.notes)
    for number in range(start, len(lines)):
        line = lines[number]
        if not line.strip() or line.lstrip().startswith(_COMMENT):
            continue
        words = shape.words(line)
        row = [number_of(words[k], shape.comma) if k < len(words) else None for k in wanted]
        numbers = [value for value in row if value is not None]
        if len(numbers) == len(wanted):
            found.append(numbers)
            continue
        if len(found) >= _ENOUGH and _ends(lines[number], left[number], left[number + 6]):
            rest = sum(bool(line.strip()) for line in lines[number:])
            notes.append(f"{rest} lines from line {number + 1} on are no part of the table")
            break
        unread.append(number)
    if unread:
        if len(unread) > _MOST_UNREAD * (len(found) + len(unread)):
            raise InputError(
                f"{len(unread)} of {len(found) + len(unread)} rows cannot be read (the first is "
                f"line {unread[0] + 1}); expected columns of numbers, angle and intensity"
            )
        said = " ".join(lines[unread[0]].split())[:40]
        said = "".join(letter if letter.isprintable() else "?" for letter in said)
        many = "row" if len(unread) == 1 else "rows"
        notes.append(
            f"{len(unread)} {many} of {len(found) + len(unread)} could not be read and left out "
            f"(the first is line {unread[0] + 1}: {said!r})"
        )
    values = np.array(found, np.float64).reshape(len(found), len(wanted))
    x, y = values[:, 0], values[:, 1]
    if choice.time is not None:
        y = _per_time(y, values[:, 2])
    if choice.per_nm:
        x = x / 10
    return Profile(x, y, choice.axis, _implied(choice, sample), notes=tuple(notes))


def _is_row(line: str, shape: _Format, width: int) -> bool:
    return bool(_NUMERIC.fullmatch(line)) and len(shape.words(line)) == width


def _ends(line: str, left: int, after_five: int) -> bool:
    """Whether another part of the file begins at a line that is no row: few rows are left."""
    return any(letter.isalpha() for letter in line) and left == after_five and left < _FEW_ROWS


def _per_time(y: NDArray[np.float64], time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Counts as if every point had been counted equally long (variable counting time)."""
    if not (np.isfinite(time).all() and (time > 0).all()) or np.ptp(time) < 0.01 * time.max():
        return y
    steps = np.diff(time)
    if (steps > 0).all():  # a clock, not a counting time
        return y
    return np.asarray(y * (time.mean() / time))


def _implied(choice: _Choice, sample: NDArray[np.float64]) -> float | None:
    """Wavelength from columns of two-theta and d: 2 d sin(theta)."""
    if choice.d is None or not len(sample):
        return None
    with np.errstate(all="ignore"):
        each = 2 * sample[:, choice.d] * np.sin(np.radians(sample[:, choice.x] / 2))
    each = each[np.isfinite(each)]
    if len(each) < 10 or np.ptp(each) > 2e-3 * abs(each.mean()):
        return None
    return round(float(np.median(each)), 4)
