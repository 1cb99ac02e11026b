"""XRDML of PANalytical and RAS and RASX of Rigaku: every scan of a file, attenuators undone."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.measured.profile import Profile, joined

__all__ = ["read_ras", "read_rasx", "read_xrdml"]

_ELEMENT = r"<{0}(?:\s[^<>]{{0,300}})?>([^<]*)</{0}\s{{0,10}}>"
_POSITIONS = re.compile(
    r"<positions\s[^<>]{0,200}axis=\"2Theta\"[^<>]{0,200}>(.{0,400}?)</positions>", re.DOTALL
)
#: Scans over other axes (rocking curves, phi) are no powder patterns.
_AXES = (
    "gonio", "2theta", "2theta-omega", "omega-2theta", "2-theta/theta", "two-theta/theta",
    "2-theta", "twotheta/theta", "twotheta", "twothetatheta", "",
)  # fmt: skip


def _found(name: str, text: str) -> str | None:
    match = re.search(_ELEMENT.format(name), text)
    return match.group(1) if match else None


def _floats(text: str) -> np.ndarray:
    try:
        return np.array(text.split(), np.float64)
    except ValueError:
        raise InputError("its list of numbers holds words") from None


def read_xrdml(text: str) -> Profile:
    """Scans of an XRDML file, joined.

    Raises
    ------
    InputError
        There is no scan over two-theta, or lists of different lengths.
    """
    scans = []
    others = 0
    parts = re.split(r"<scan(?=[\s>])", text)
    for part in parts[1:]:
        part = part.partition("</scan>")[0]
        axis = re.match(r"[^<>]{0,500}?scanAxis=\"([^\"]{0,40})\"", part)
        if axis and axis.group(1).lower() not in _AXES:
            others += 1
            continue
        scan = _xrdml_scan(part)
        if scan is not None:
            scans.append(scan)
    if not scans:
        if others:
            raise InputError(f"{others} scans, none of them over two-theta")
        raise InputError("XRDML without a scan")
    whole = joined(scans)
    if others:
        whole = whole.noting(f"{others} scans over other axes than two-theta are not used")
    return whole


def _xrdml_scan(part: str) -> Profile | None:
    counts = _found("intensities", part)
    raw = counts is None
    if counts is None:
        counts = _found("counts", part)
    # The list of angles may be as long as that of counts, and is looked for by itself.
    listed = re.search(
        r"axis=\"2Theta\"[^<>]{0,200}>\s{0,50}<listPositions(?:\s[^<>]{0,100})?>([^<]*)<", part
    )
    if counts is None:
        return None
    y = _floats(counts)
    if len(y) == 0:
        return None
    if raw:
        factors = _found("beamAttenuationFactors", part)
        if factors is not None:
            y = _scaled(y, _floats(factors))
    if listed:
        x = _floats(listed.group(1))
    else:
        ends = _POSITIONS.search(part)
        start = _found("startPosition", ends.group(1)) if ends else None
        stop = _found("endPosition", ends.group(1)) if ends else None
        if start is None or stop is None:
            raise InputError("a scan without the angles it began and ended at")
        ends_at = _floats(f"{start} {stop}")
        if len(ends_at) != 2:
            raise InputError("a scan whose first or last angle is no number")
        x = np.linspace(ends_at[0], ends_at[1], len(y))
    if len(x) != len(y):
        raise InputError(f"a scan of {len(x)} angles and {len(y)} intensities")
    time = _found("commonCountingTime", part)
    times = _floats(time) if time else np.empty(0)
    listed_times = _found("countingTimes", part)
    if listed_times is not None:
        each = _floats(listed_times)
        if len(each) == len(y) and (each > 0).all() and np.ptp(each) > 0.01 * each.max():
            y = y * (each.mean() / each)
    return Profile(x, y, seconds=float(times[0]) if len(times) else None)


def _scaled(y: np.ndarray, factors: np.ndarray) -> np.ndarray:
    if len(factors) != len(y):
        raise InputError(f"{len(y)} counts and {len(factors)} attenuation factors")
    return np.asarray(y * factors)


def read_ras(text: str) -> Profile:
    """Scans of a RAS file, joined: angle, intensity and the factor of the attenuator.

    Raises
    ------
    InputError
        There is no list of intensities, or no scan over two-theta.
    """
    scans, others, unread = [], 0, 0
    for part in re.split(r"\*RAS_HEADER_START", text):
        head, mark, rest = part.partition("*RAS_INT_START")
        if not mark:
            continue
        axis = re.search(r"\*MEAS_SCAN_AXIS_X\s{1,20}\"?([^\"\n]{0,40})", head)
        if axis and axis.group(1).strip().lower() not in _AXES:
            others += 1
            continue
        scan, bad = _ras_rows(rest.partition("*RAS_INT_END")[0])
        unread += bad
        if len(scan.x):
            scans.append(scan)
    if not scans:
        if others:
            raise InputError(f"{others} scans, none of them over two-theta")
        raise InputError("RAS without a list of intensities")
    whole = joined(scans)
    if others:
        whole = whole.noting(f"{others} scans over other axes than two-theta are not used")
    if unread:
        whole = whole.noting(f"{unread} rows could not be read and are left out")
    return whole


def _ras_rows(text: str) -> tuple[Profile, int]:
    rows, unread = [], 0
    for line in text.split("\n"):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            angle, count = float(words[0]), float(words[1])
            factor = float(words[2]) if len(words) > 2 else 1.0
        except (ValueError, IndexError):
            unread += 1
            continue
        rows.append((angle, count * (factor if factor > 0 else 1.0)))
    table = np.array(rows, np.float64).reshape(-1, 2)
    return Profile(table[:, 0], table[:, 1]), unread


def read_rasx(members: Mapping[str, bytes]) -> Profile:
    """Scans of a RASX file by the members of its archive, joined.

    Raises
    ------
    InputError
        It holds no profile.
    """
    scans, unread = [], 0
    for name in sorted(members):
        if re.fullmatch(r"(?:.{0,100}/)?Profile\d{1,4}\.txt", name):
            text = members[name].decode("utf-8-sig", errors="replace").replace("\r", "\n")
            scan, bad = _ras_rows(text)
            unread += bad
            if len(scan.x):
                scans.append(scan)
    if not scans:
        raise InputError("RASX without a profile")
    whole = joined(scans)
    return whole.noting(f"{unread} rows could not be read and are left out") if unread else whole
