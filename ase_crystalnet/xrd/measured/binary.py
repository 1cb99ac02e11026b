"""Binary scans that geddes does not read, or reads only in part: Bruker RAW 1 to 3, STOE raw.

The layouts follow the manuals of DIFFRAC-AT and DIFFRAC plus (appendices on raw data files) and,
for STOE, what is known of WinXPOW's files; nothing is read that does not lie within the file.
"""

from __future__ import annotations

import struct

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.measured.profile import Profile, joined

__all__ = ["read_bruker", "read_stoe"]

_MOST_RANGES = 1000
_BLOCK = 512


def _counts(data: bytes, place: int, points: int, kind: str = "<f4") -> np.ndarray:
    size = np.dtype(kind).itemsize
    if points < 1 or place < 0 or place + size * points > len(data):
        raise InputError(f"a range of {points} points, and the file ends before")
    return np.frombuffer(data, kind, points, place).astype(np.float64)


def _range(start: float, step: float, y: np.ndarray, seconds: float | None) -> Profile:
    if not (np.isfinite([start, step]).all() and 0 < step < 10 and -180 <= start <= 180):
        raise InputError(f"a range from {start:g} in steps of {step:g} degrees")
    time = seconds if seconds and np.isfinite(seconds) and seconds > 0 else None
    return Profile(np.round(start + step * np.arange(len(y)), 7), y, seconds=time)


def read_bruker(data: bytes) -> Profile:
    """Ranges of a RAW file of version 1 ("RAW "), 2 ("RAW2") or 3 ("RAW1.01"), joined.

    Raises
    ------
    InputError
        The file is cut short or says what cannot be.
    """
    try:
        if data[:4] == b"RAW2":
            version, scans, wavelength = "version 1 or 2", *_version_2(data)
        elif data[:4] == b"RAW ":
            version, scans, wavelength = "version 1 or 2", *_version_1(data)
        else:
            version, scans, wavelength = "version 3", *_version_3(data)
    except struct.error:
        raise InputError("Bruker RAW that ends within its head") from None
    if not scans:
        raise InputError(f"Bruker RAW of {version} without a range in it")
    whole = joined(scans)
    plausible = np.isfinite(wavelength) and 0.1 <= wavelength <= 5
    return Profile(
        whole.x, whole.y, wavelength=round(float(wavelength), 6) if plausible else None,
        notes=whole.notes,
    )  # fmt: skip


def _version_1(data: bytes) -> tuple[list[Profile], float]:
    """A head of 156 bytes before the counts of each range, "RAW " again or not."""
    scans: list[Profile] = []
    place, wavelength = 0, 0.0
    while len(scans) < _MOST_RANGES:
        if data[place : place + 4] == b"RAW ":
            place += 4
        points, seconds, step = struct.unpack_from("<Iff", data, place)
        (start,) = struct.unpack_from("<f", data, place + 20)
        wavelength, _ = struct.unpack_from("<ff", data, place + 68)
        (more,) = struct.unpack_from("<I", data, place + 148)
        y = _counts(data, place + 152, points)
        scans.append(_range(float(f"{start:.7g}"), float(f"{step:.7g}"), y, seconds))
        place += 152 + 4 * points
        if not more:
            break
    return scans, wavelength


def _version_2(data: bytes) -> tuple[list[Profile], float]:
    """A head of 256 bytes; each range has its own, whose length it gives."""
    (number,) = struct.unpack_from("<H", data, 4)
    (wavelength,) = struct.unpack_from("<f", data, 190)
    scans, place = [], 256
    for _ in range(min(number, _MOST_RANGES)):
        length, points = struct.unpack_from("<HH", data, place)
        seconds, step, start = struct.unpack_from("<fff", data, place + 8)
        if length < 48:
            raise InputError(f"a range of version 1 or 2 with a head of {length} bytes")
        y = _counts(data, place + length, points)
        scans.append(_range(float(f"{start:.7g}"), float(f"{step:.7g}"), y, seconds))
        place += length + 4 * points
    return scans, wavelength


def _version_3(data: bytes) -> tuple[list[Profile], float]:
    """A head of 712 bytes; 304 for each range and what supplements it."""
    (number,) = struct.unpack_from("<I", data, 12)
    (wavelength,) = struct.unpack_from("<d", data, 624)
    scans, place = [], 712
    for _ in range(min(number, _MOST_RANGES)):
        length, points = struct.unpack_from("<II", data, place)
        (start,) = struct.unpack_from("<d", data, place + 16)
        (step,) = struct.unpack_from("<d", data, place + 176)
        (seconds,) = struct.unpack_from("<f", data, place + 192)
        (more,) = struct.unpack_from("<I", data, place + 256)
        if length < 304 or more > len(data):
            raise InputError(f"a range of version 3 with a head of {length} bytes")
        y = _counts(data, place + length + more, points)
        scans.append(_range(start, step, y, seconds))
        place += length + more + 4 * points
    return scans, wavelength


def read_stoe(data: bytes) -> Profile:
    """The range of a STOE file ("RAW_1.06Powdat").

    The counts begin at a block of 512 bytes that the head's numbers of blocks give; the block
    before it holds the number of points, first and last angle, step, and the least and largest
    count, which must agree.

    Raises
    ------
    InputError
        There is no range that agrees with its own head.
    """
    try:
        (wavelength,) = struct.unpack_from("<f", data, 0x142)
        blocks, total = struct.unpack_from("<HH", data, 0x1DA)
    except struct.error:
        raise InputError("a STOE file that ends within its head") from None
    places = [(total - blocks) * _BLOCK] if 0 < blocks < total else []
    places += range(_BLOCK, min(len(data), 4096 * _BLOCK), _BLOCK)
    for place in places:
        scan = _stoe_range(data, place)
        if scan is not None:
            plausible = 0.1 <= wavelength <= 5
            known = round(float(wavelength), 6) if plausible else None
            return Profile(scan.x, scan.y, wavelength=known)
    raise InputError("a STOE file without a range that agrees with its head")


def _stoe_range(data: bytes, place: int) -> Profile | None:
    if place < _BLOCK or place >= len(data):
        return None
    (points,) = struct.unpack_from("<H", data, place - 0x1DE)
    start, _, stop, _, step = struct.unpack_from("<5f", data, place - 0x1D4)
    if points < 10 or place + 4 * points > len(data):
        return None
    if not (
        np.isfinite([start, stop, step]).all() and 0 < step < 10 and -180 <= start < stop <= 180
    ):
        return None
    if abs(round((stop - start) / step) + 1 - points) > 1:
        return None
    y = np.frombuffer(data, "<u4", points, place)
    least, largest = struct.unpack_from("<II", data, place - 0x188)
    if largest and (int(y.min()) != least or int(y.max()) != largest):
        return None
    x = float(f"{start:.7g}") + float(f"{step:.7g}") * np.arange(points)
    return Profile(np.round(x, 7), y.astype(np.float64))
