"""Files of powder patterns: what kind a file is, and from its curve to a scan.

Text, XRDML, RAS, RASX, UXD, Bruker RAW 1 to 3, STOE raw and spreadsheets are read here; Bruker
RAW 4 and BRML, GSAS and powder-CIF by geddes (MIT), which gives back two-theta and intensity.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import read_archive, read_arrays, read_plain, reason_of
from ase_crystalnet.xrd.measured.binary import read_bruker, read_stoe
from ase_crystalnet.xrd.measured.columns import read_table
from ase_crystalnet.xrd.measured.content import (
    decoded,
    is_spreadsheet,
    spreadsheet_text,
    unpacked,
)
from ase_crystalnet.xrd.measured.instruments import read_ras, read_rasx, read_xrdml
from ase_crystalnet.xrd.measured.profile import Profile, joined, ordered
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.measured.steps import read_keyed, read_steps
from ase_crystalnet.xrd.measured.wavelengths import Source, source_of, stated_wavelength
from ase_crystalnet.xrd.pattern import POINTS, WAVELENGTH

__all__ = ["SUFFIXES", "read_scan", "stated_wavelength"]

#: Formats, by what their files are usually called.
SUFFIXES = (
    ".xy, .xye, .dat, .csv, .txt, .xlsx, .xrdml, .raw, .cif, .ras, .rasx, .brml, .uxd, .udf, .cpi, "
    ".chi, .gsas"
)
#: Larger files hold no powder pattern, bytes.
_LARGEST = 200_000_000
#: Bytes of an array of measured patterns.
_LARGEST_SET = 2_000_000_000
#: The same for what is in a zipped one, all members together.
_LARGEST_UNPACKED = 200_000_000
#: Scans that geddes is asked for one after the other.
_MOST_SCANS = 16


def read_scan(path: str | Path, wavelength: float | None = None) -> Scan:
    """Read one powder pattern.

    Parameters
    ----------
    path : str or Path
        Text: columns (.xy, .xye, .dat, .csv, .txt, .chi) of two-theta, q or d and intensity, or
        start, step and stop before the intensities (FullProf, DBWS, ILL, FOX, MDI); .xlsx; .xrdml;
        .raw (Bruker 1 to 4, STOE), .brml, .uxd; .ras, .rasx, Rigaku .dat; .udf, .cpi; GSAS; CIF
        with a measured profile; any of these packed by gzip. Ranges of one file are joined.
    wavelength : float, optional
        Angstrom; by default what the file says, else Cu K-alpha is assumed, and said.

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
    data = unpacked(data, _LARGEST, str(path))
    try:
        profile = ordered(_profile(path, data))
    except InputError as error:
        said = str(error)
        raise InputError(said if said.startswith(str(path)) else f"{path}: {said}") from None
    return _scan(profile, source_of(data), wavelength, str(path))


def _scan(profile: Profile, source: Source | None, wavelength: float | None, name: str) -> Scan:
    """On an axis of angles, by the wavelength that is given, stated, implied or assumed."""
    notes = list(profile.notes)
    assumed = False
    if wavelength is None:
        if source is not None and source.stated != "anode":
            wavelength = source.wavelength
        elif profile.wavelength is not None:
            wavelength = profile.wavelength
        elif source is not None:
            wavelength = source.wavelength
            notes.append(f"the anode {source.anode} is stated: {wavelength:g} Angstrom (K-alpha 1)")
        else:
            wavelength, assumed = WAVELENGTH, True
            notes.append(
                f"no wavelength is stated: Cu K-alpha ({WAVELENGTH:g} Angstrom) is assumed"
            )
    x, y = profile.x, profile.y
    if profile.axis != "two_theta":
        x, y, said = _angles(x, y, profile.axis, wavelength)
        notes += said
    return Scan(x, y, wavelength, name, notes=tuple(notes), assumed=assumed)


def _angles(
    x: NDArray[np.float64], y: NDArray[np.float64], axis: str, wavelength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Two-theta of an axis of q or d."""
    with np.errstate(all="ignore"):
        sine = x * wavelength / (4 * np.pi) if axis == "q" else wavelength / (2 * x)
    reached = np.isfinite(sine) & (sine > 0) & (sine < 1)
    if axis == "d" and len(x) > 1 and x[-1] > x[0]:
        reached, sine, y = reached[::-1], sine[::-1], y[::-1]
    unit = "q (1/Angstrom)" if axis == "q" else "d (Angstrom)"
    said = [f"the axis is {unit}: converted to two-theta at {wavelength:g} Angstrom"]
    if not reached.all():
        said.append(
            f"{int((~reached).sum())} points beyond 180 degrees at that wavelength are not used"
        )
    return 2 * np.degrees(np.arcsin(sine[reached])), y[reached], said


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


def _profile(path: Path, data: bytes) -> Profile:
    """The curve of a file, by the reader of its kind."""
    picture = _picture(data)
    if picture:
        raise InputError(
            f"this is {picture}, not a powder pattern; expected two columns, angle and intensity"
        )
    if data[:14] == b"RAW_1.06Powdat":
        return read_stoe(data)
    if data[:4] in (b"RAW ", b"RAW2") or data[:7] == b"RAW1.01":
        return read_bruker(data)
    if data[:2] == b"PK":
        members = read_archive(data, _LARGEST_UNPACKED, str(path))
        if is_spreadsheet(members):
            found = read_table(spreadsheet_text(data, _LARGEST_UNPACKED, str(path)))
            if found is None:
                raise InputError(_no_pattern("a spreadsheet without two columns of numbers"))
            return found
        if any(name.rpartition("/")[2].startswith("Profile") for name in members):
            return read_rasx(members)
        return _by_geddes(path, _repacked(members))
    text = decoded(data)
    if text is None:
        return _by_geddes(path, data)
    return _of_text(path, data, text)


def _of_text(path: Path, data: bytes, text: str) -> Profile:
    """The curve of a text: formats that say what they are, then start-step-stop, then columns."""
    head = text[:4000]
    if "<xrdMeasurement" in head:
        return read_xrdml(text)
    if "*RAS_" in head:
        return read_ras(text)
    suffix = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if suffix == "cif" or "\n_pd_" in text[:200_000] or "\nBANK " in f"\n{text[:20_000]}":
        return _by_geddes(path, text.encode())
    for reader in (read_keyed, read_steps, read_table):
        found = reader(text)
        if found is not None:
            return found
    return _by_geddes(path, data)


def _repacked(members: dict[str, bytes]) -> bytes:
    """A zipped file (.brml) with the same members, whose sizes are now known."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def _by_geddes(path: Path, data: bytes) -> Profile:
    """What geddes reads: its first scan, and those that follow it, if any."""
    import geddes

    name = path.name[:-3] if path.name.lower().endswith(".gz") else path.name
    scans: list[Profile] = []
    for number in range(_MOST_SCANS):
        try:
            pattern = geddes.read_bytes(data, name, index=number)
        except (ValueError, IndexError) as error:
            if not scans:
                raise InputError(_in_our_words(reason_of(error), path, data)) from None
            break
        scan = Profile(np.array(pattern.x, np.float64), np.array(pattern.y, np.float64))
        if scans and np.array_equal(scan.x, scans[-1].x) and np.array_equal(scan.y, scans[-1].y):
            break
        scans.append(scan)
    return joined(scans)


def _no_pattern(reason: str) -> str:
    return (
        f"no powder pattern in it ({reason}); expected two columns, two-theta in degrees and "
        f"intensity, or one of {SUFFIXES}"
    )


def _in_our_words(said: str, path: Path, data: bytes) -> str:
    """One line of what was found, what was expected and what to do."""
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
    return _no_pattern(said.removeprefix("Parse error: "))


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
