"""Texts that give the first angle, the step and the last, and then the intensities alone.

FullProf (INSTRM 0 and others), DBWS, ILL, FOX, LHPM, MDI, Sietronics CPI, Philips UDF, Rigaku .dat
and Bruker UXD. The three numbers are believed where they fit how many intensities follow.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.measured.profile import Profile, joined

__all__ = ["read_keyed", "read_steps"]

#: Lines among which the numbers of the scan stand.
_HEAD = 40
#: Fewer intensities are no scan.
_FEWEST = 50
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?", re.ASCII)


def _numbers(line: str) -> list[float]:
    """The numbers of a line that stand by themselves."""
    found = []
    for word in re.split(r"[\s,;]+", line):
        if word and _NUMBER.fullmatch(word):
            found.append(float(word.replace("D", "E").replace("d", "e")))
    return found


def _only_numbers(line: str) -> list[float] | None:
    words = [word for word in re.split(r"[\s,;]+", line) if word]
    if not words or not all(_NUMBER.fullmatch(word) for word in words):
        return None
    return [float(word.replace("D", "E").replace("d", "e")) for word in words]


def read_steps(text: str) -> Profile | None:
    """A text with start, step and stop in one of its first lines; None for another."""
    lines = text.split("\n")
    whole: list[list[float] | None] = [_only_numbers(line) for line in lines]
    counts = np.array([len(row) if row is not None else 0 for row in whole])
    after = np.concatenate([np.cumsum(counts[::-1])[::-1], [0]])
    for number, line in enumerate(lines[:_HEAD]):
        numbers = _numbers(line)
        if len(numbers) < 3:
            numbers = _spread(whole, number)
            skipped = 3
        else:
            skipped = 1
        body = number + skipped
        total = int(after[body]) if body < len(after) else 0
        if len(numbers) < 3 or total < _FEWEST:
            continue
        found = _scan(numbers, total)
        if found is None:
            continue
        start, step, points = found
        values = np.array([v for row in whole[body:] if row is not None for v in row])
        unread = sum(
            row is None and bool(line.strip())
            for row, line in zip(whole[body:], lines[body:], strict=True)
        )
        return _filled(start, step, points, values, unread)
    return None


def _spread(whole: Sequence[list[float] | None], number: int) -> list[float]:
    """Three numbers on three lines of their own."""
    three = whole[number : number + 3]
    if len(three) == 3 and all(row is not None and len(row) == 1 for row in three):
        return [row[0] for row in three if row]
    return []


def _scan(numbers: Sequence[float], total: int) -> tuple[float, float, int] | None:
    """Start, step and number of points, where two of the numbers fit `total` values."""
    start = numbers[0]
    others = numbers[1:8]
    if not -10 <= start <= 180:
        return None
    for i, step in enumerate(others):
        if not 1e-4 <= step <= 1.0:
            continue
        for j, stop in enumerate(others):
            if i == j or not start < stop <= 180:
                continue
            points = (stop - start) / step + 1
            # One more or less by rounding; the last line may be filled up, or the scan ended early.
            if points >= _FEWEST and round(points) - 1 <= total <= round(points) + 10:
                return start, step, round(points)
        if any(other == total and other > _FEWEST for other in others):
            return start, step, total
    return None


def _filled(start: float, step: float, points: int, values: np.ndarray, unread: int) -> Profile:
    notes = []
    # What fills the last line up, or ends a list, is no count.
    while len(values) > _FEWEST and values[-1] < 0 and values[: len(values) // 2].min() >= 0:
        values = values[:-1]
    if len(values) > points:
        values = values[:points]
    elif len(values) < points:
        notes.append(f"{len(values)} intensities where the head promises {points}")
    if unread:
        notes.append(f"{unread} lines between the intensities could not be read and are left out")
    x = start + step * np.arange(len(values))
    return Profile(np.round(x, 8), values, notes=tuple(notes))


# ------------------------------------------------------------------ texts with keys

#: What names the first angle, the step, the counting time.
_KEYS = (
    ("start", re.compile(r"\s{0,8}(?:\*START\b|_START\b|_2THETA\b(?!COUNTS)|DataAngleRange\s{0,8},)"
                         r"[\s=,]{0,20}(-?[\d.]{1,20})", re.IGNORECASE)),
    ("step", re.compile(r"\s{0,8}(?:\*STEP\b|_STEPSIZE\b|ScanStepSize\s{0,8},)"
                        r"[\s=,]{0,20}([\d.]{1,20})", re.IGNORECASE)),
    ("seconds", re.compile(r"\s{0,8}(?:_STEPTIME\b|ScanStepTime\s{0,8},)[\s=,]{0,20}([\d.]{1,20})",
                           re.IGNORECASE)),
)  # fmt: skip
#: What the intensities follow; those of the second kind come with their angles.
_ALONE = re.compile(
    r"\s{0,8}(?:\*COUNT\b|_COUNTS\b|_CPS\b|RawScan\b|ScannedIntensities\b)", re.IGNORECASE
)
_PAIRED = re.compile(r"\s{0,8}_2THETA(?:COUNTS|CPS)\b", re.IGNORECASE)
_MARKS = (
    "*TYPE",
    "_FILEVERSION",
    "_2THETA",
    "_COUNTS",
    "SampleIdent",
    "Title1",
    "; (Data for Range",
)


def read_keyed(text: str) -> Profile | None:
    """Rigaku .dat, Bruker .uxd, Philips .udf and Sietronics .cpi; None for another text.

    Raises
    ------
    InputError
        It is one of these and holds no scan.
    """
    if text.lstrip().upper().startswith("SIETRONICS XRD SCAN"):
        return _sietronics(text)
    head = text[:20000]
    if not any(f"\n{mark}".lower() in f"\n{head}".lower() for mark in _MARKS):
        return None
    if not any(_ALONE.match(line) or _PAIRED.match(line) for line in text.split("\n")):
        return None
    scans: list[Profile] = []
    known: dict[str, float] = {}
    values: list[float] = []
    paired = reading = False
    unread = 0

    def finish() -> None:
        if paired and len(values) >= 2:
            pairs = np.array(values[: len(values) // 2 * 2]).reshape(-1, 2)
            scans.append(Profile(pairs[:, 0], pairs[:, 1], seconds=known.get("seconds")))
        elif values and known.get("step", 0) > 0 and "start" in known:
            x = known["start"] + known["step"] * np.arange(len(values))
            scans.append(Profile(np.round(x, 8), np.array(values), seconds=known.get("seconds")))
        values.clear()

    for line in text.split("\n"):
        if not line.strip() or line.lstrip().startswith((";", "#")):
            continue
        if _ALONE.match(line) or _PAIRED.match(line):
            finish()
            reading, paired = True, bool(_PAIRED.match(line))
            continue
        matched = [(key, match) for key, kind in _KEYS if (match := kind.match(line))]
        if matched or line.lstrip()[:1] in "*_" or not reading:
            finish()
            reading = False
            for key, match in matched:
                # A word of dots is no number.
                known[key] = float(match.group(1)) if match.group(1).count(".") < 2 else 0.0
            continue
        row = _only_numbers(line.rstrip("/ "))
        if row is None:
            unread += 1
        else:
            values += row
    finish()
    if not scans:
        raise InputError("no scan in it: expected the first angle, the step and then counts")
    whole = joined(scans)
    if unread:
        whole = whole.noting(f"{unread} lines of counts could not be read and are left out")
    return whole


def _sietronics(text: str) -> Profile:
    """Start, stop and step on lines of their own, anode, wavelength, ..., SCANDATA, counts."""
    lines = text.split("\n")
    try:
        place = next(i for i, line in enumerate(lines) if line.strip().upper() == "SCANDATA")
        start, stop, step = (float(line) for line in lines[1:4])
    except (StopIteration, ValueError):
        raise InputError("a Sietronics scan without its head or without SCANDATA") from None
    if not 0 < step < stop - start:
        raise InputError(f"a scan from {start:g} to {stop:g} in steps of {step:g}")
    rows = [_only_numbers(line) for line in lines[place + 1 :] if line.strip()]
    values = np.array([value for row in rows if row is not None for value in row])
    return _filled(
        start, step, min(round((stop - start) / step) + 1, 10**7), values, rows.count(None)
    )
