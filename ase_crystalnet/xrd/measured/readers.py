"""Files of powder patterns: angles and intensities by geddes, the wavelength from the header.

geddes (MIT) reads text, PANalytical, Bruker, Rigaku, GSAS and powder-CIF files and gives back
two-theta and intensity; the wavelength, which it leaves alone, is looked up here.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import read_archive, read_arrays, read_plain, reason_of
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import POINTS, WAVELENGTH

__all__ = ["SUFFIXES", "read_scan", "stated_wavelength"]

#: Formats, by what their files are usually called.
SUFFIXES = ".xy, .xye, .dat, .csv, .txt, .xrdml, .raw, .cif, .ras, .rasx, .brml, .uxd, .chi, .gsas"
#: Larger files hold no powder pattern, bytes.
_LARGEST = 200_000_000
#: Bytes of an array of measured patterns.
_LARGEST_SET = 2_000_000_000
#: The same for what is in a zipped one, all members together.
_LARGEST_UNPACKED = 200_000_000
#: All that is repeated has a bound: a search takes a time in proportion to the text, whatever is in
#: it.
_NUMBER = r"([0-9]{0,20}\.?[0-9]{1,20})"
_ATTRIBUTES = r"[^>]{0,300}"
#: Where text formats state the wavelength, in Angstrom, the most exact statement first.
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
        rf"(?:wavelength|lambda)\b[^0-9\n]{{0,40}}{_NUMBER}",  # comments, also RRUFF's
    )
)
_LOOPED = "_diffrn_radiation_wavelength"
#: Columns of a CIF loop; longer ones are no loop over wavelengths.
_MOST_COLUMNS = 100
_PLAUSIBLE = (0.1, 5.0)


def read_scan(path: str | Path, wavelength: float | None = None) -> Scan:
    """Read one powder pattern.

    Parameters
    ----------
    path : str or Path
        Text (.xy, .xye, .dat, .csv, .txt), .xrdml, .raw (Bruker, version 3 and 4), .brml, .uxd,
        .ras, .rasx, .chi, GSAS, or CIF with a measured profile. The first scan of several.
    wavelength : float, optional
        Angstrom; by default what the file says, else Cu K-alpha.

    Raises
    ------
    InputError
        The file is no powder pattern: one line says why.
    FileNotFoundError, IsADirectoryError, PermissionError
        From the system.
    """
    path = Path(path)
    data = read_plain(path, _LARGEST, "one powder pattern, not images")
    if not data:
        raise InputError(f"{path}: the file is empty; expected two columns, angle and intensity")
    if data[:2] == b"PK":
        data = _repacked(path, data)
    x, y = _profile(path, data)
    if wavelength is None:
        wavelength = stated_wavelength(data) or WAVELENGTH
    return Scan(x, y, wavelength, str(path))


def measured_patterns(
    path: Path,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
    """Measured patterns of a .npz file: X scaled to 1, space groups, and whether the id is even.

    Raises
    ------
    InputError
        The file holds something else.
    """
    try:
        found = read_arrays(path, ("X", "space_group", "ids"), _LARGEST_SET)
    except InputError as error:
        raise InputError(
            f"{path}: expected a .npz file with X, space_group and ids ({error})"
        ) from None
    x, groups, ids = found["X"], found["space_group"], found["ids"]
    if x.dtype.kind not in "fiu" or groups.dtype.kind not in "iu" or ids.dtype.kind not in "iu":
        raise InputError(f"{path}: expected numbers in X and whole ones in space_group and ids")
    if groups.ndim != 1 or ids.ndim != 1:
        raise InputError(f"{path}: expected one space group and one id for each pattern")
    if x.ndim != 2 or x.shape[1] != POINTS or len(groups) != len(x) or len(ids) != len(x):
        raise InputError(f"{path}: X has shape {x.shape}; expected (B, {POINTS}) and B labels, ids")
    x = np.asarray(x, np.float32)
    return x / x.max(axis=1, keepdims=True), groups.astype(np.int64), ids % 2 == 0


def _repacked(path: Path, data: bytes) -> bytes:
    """A zipped file (.brml, .rasx) with the same members, whose sizes are now known."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in read_archive(data, _LARGEST_UNPACKED, str(path)).items():
            archive.writestr(name, content)
    return packed.getvalue()


def _profile(path: Path, data: bytes) -> tuple[np.ndarray, np.ndarray]:
    import geddes

    try:
        try:
            pattern = geddes.read_bytes(data, path.name)
        except ValueError:
            changed = _decimal_points(data)
            if changed is None:
                raise
            pattern = geddes.read_bytes(changed, path.name)
    except ValueError as error:
        raise InputError(f"{path}: {_in_our_words(reason_of(error), path, data)}") from None
    return np.array(pattern.x, np.float64), np.array(pattern.y, np.float64)


def _decimal_points(data: bytes) -> bytes | None:
    """Semicolon-separated columns with decimal commas, as German spreadsheets write them."""
    if b"\0" in data[:1000] or b";" not in data:
        return None
    return data.replace(b",", b".").replace(b";", b" ")


def _in_our_words(said: str, path: Path, data: bytes) -> str:
    """One line of what was found, what was expected and what to do."""
    picture = _picture(data)
    if picture:
        return f"this is {picture}, not a powder pattern; expected two columns, angle and intensity"
    if "increasing" in said:
        return (
            "angles do not rise from point to point; expected one scan with two-theta ascending, "
            "every angle once"
        )
    if "non-finite" in said:
        return "some values are not numbers (nan or inf); remove those points"
    if path.suffix.lower() == ".cif" and "pdCIF" in said:
        return (
            "the CIF holds no measured profile, only a structure; `crystalnet xrd simulate` makes "
            "its powder pattern"
        )
    if "versions 1 and 2" in said:
        return "Bruker RAW of version 1 or 2 is not read; export it as RAW4, UXD or XY"
    reason = said.removeprefix("Parse error: ")
    return (
        f"no powder pattern in it ({reason}); expected two columns, two-theta in degrees and "
        f"intensity, or one of {SUFFIXES}"
    )


def _picture(data: bytes) -> str:
    for magic, name in (
        (b"\x89PNG", "a PNG picture"),
        (b"\xff\xd8\xff", "a JPEG picture"),
        (b"GIF8", "a GIF picture"),
        (b"II*\0", "a TIFF picture"),
        (b"MM\0*", "a TIFF picture"),
        (b"BM", "a BMP picture"),
        (b"%PDF", "a PDF document"),
        (b"\x89HDF", "an HDF5 file"),
    ):
        if data.startswith(magic):
            return name
    return ""


def stated_wavelength(data: bytes) -> float | None:
    """Wavelength (Angstrom) that the content of a file states, None where it states none.

    K-alpha 1 where K-alpha 1 and 2 are given.
    """
    if data[:7] in (b"RAW1.01", b"RAW4.00"):
        found = _bruker_wavelength(data)
        return found if found and _PLAUSIBLE[0] <= found <= _PLAUSIBLE[1] else None
    for text in _texts(data):
        for statement in _STATEMENTS:
            match = statement.search(text)
            if match and _PLAUSIBLE[0] <= float(match.group(1)) <= _PLAUSIBLE[1]:
                return float(match.group(1))
        looped = _cif_loop_wavelength(text)
        if looped:
            return looped
    return None


def _texts(data: bytes) -> Iterator[str]:
    """The text of a file, or of the small XML members of a zipped one (.brml, .rasx)."""
    if data[:2] != b"PK":
        encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
        yield data.decode(encoding, errors="replace")
        return
    try:
        members = read_archive(data, _LARGEST_UNPACKED, "")
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
                if number and _PLAUSIBLE[0] <= float(number.group(1)) <= _PLAUSIBLE[1]:
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
