"""Files of ions as binary records: .pos, .epos, .ato and .apt."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.atom_probe.files.ion_columns import IonColumns, plausible_share
from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import open_plain, reason_of

__all__ = ["POS", "check_binary", "read_apt", "read_ato", "read_epos", "read_pos"]

#: x, y, z (nm) and mass over charge number (Da).
POS = np.dtype([("position", ">f4", 3), ("mass", ">f4")])
#: B. Gault et al., Atom Probe Microscopy (2012), appendix: extended pos.
_EPOS = np.dtype(
    [
        *POS.descr,
        ("time_of_flight", ">f4"),
        ("dc_voltage", ">f4"),
        ("pulse_voltage", ">f4"),
        ("detector", ">f4", 2),
        ("pulses_since_last", ">u4"),
        ("ions_in_pulse", ">u4"),
    ]
)
#: Versions of .ato: bytes of the head, a record, and nanometres of the units of x and y and of z.
#: Version 3 (LAWATAP) as D. J. Larson et al., Local Electrode Atom Probe Tomography (2013),
#: appendix, and the program 3Depict have it, 5 (GPM Rouen) as `ifes-apt-tc-data-modeling` does.
_ATO: dict[int, tuple[int, np.dtype[Any], float, float]] = {
    3: (8, np.dtype([("xy", "<f4", 2), ("z", "<f4"), ("mass", "<f4"), ("", "V40")]), 0.1, 0.1),
    5: (5000, np.dtype([("xy", "<i2", 2), ("z", "<f4"), ("mass", "<f4"), ("", "V28")]), 0.01, 0.1),
}
#: Where the header of an .apt file has the number of ions: after mark, two sizes, name and time.
_APT_COUNT = 4 + 4 + 4 + 512 + 8
#: Shares of ions that can be ions, as the bytes stand and turned round, for which they are turned.
_WRONG, _RIGHT = 0.1, 0.9
_LFS = b"version https://git-lfs"


def check_binary(path: Path) -> None:
    """Refuse what is no binary file: a pointer, a table, nothing."""
    with open_plain(path) as file:
        head = file.read(4096)
    if not head:
        raise InputError(f"{path}: is empty")
    if head.startswith(_LFS):
        raise InputError(f"{path}: is a Git LFS pointer, not the file; fetch it with git lfs pull")
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        raise InputError(
            f"{path}: holds text; expected the binary records of a {path.suffix.lower()} file"
        )


def _records(path: Path, kind: np.dtype[Any], head: int = 0) -> NDArray[Any]:
    size = path.stat().st_size - head
    if size < 0 or size % kind.itemsize:
        before = f" after a head of {head}" if head else ""
        raise InputError(
            f"{path}: is {size + head} bytes long, no multiple of the {kind.itemsize} bytes of an "
            f"ion in a {path.suffix.lower()} file{before}; it is cut off, or another format"
        )
    return np.fromfile(path, kind, offset=head)


def _turned(records: NDArray[Any], columns: Any) -> tuple[NDArray[Any], bool]:
    """Records in the byte order in which they are ions, and whether it is not the format's.

    Parameters
    ----------
    records : (N,) structured array
    columns : callable
        Positions (nm) and masses of records.
    """
    share = plausible_share(*columns(records))
    if not share < _WRONG:
        return records, False
    turned = records.view(records.dtype.newbyteorder())
    if plausible_share(*columns(turned)) > _RIGHT:
        return turned, True
    return records, False


def _position_mass(records: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    return records["position"], records["mass"]


def read_pos(path: Path) -> IonColumns:
    """Read .pos; a little-endian one is noticed."""
    return _read_big_endian(path, POS)


def read_epos(path: Path) -> IonColumns:
    """Read .epos; a little-endian one is noticed."""
    return _read_big_endian(path, _EPOS)


def _read_big_endian(path: Path, kind: np.dtype[Any]) -> IonColumns:
    check_binary(path)
    records, little = _turned(_records(path, kind), _position_mass)
    names = [name for name in kind.names or () if name not in (POS.names or ())]
    native = {name: records[name].astype(kind[name].base.newbyteorder("=")) for name in names}
    note = f"its numbers are little-endian, those of {path.suffix.lower()} files big-endian"
    notes = (f"{note}; read as little-endian",) if little else ()
    return IonColumns(*_position_mass(records), detector=native, notes=notes)


# ------------------------------------------------------------------------------------------ .ato
def read_ato(path: Path) -> IonColumns:
    """Read .ato of version 3 or 5, in either byte order; x and y of 5 are in steps of 0.01 nm."""
    check_binary(path)
    with open_plain(path) as file:
        head = file.read(8)
    versions = {int.from_bytes(head[4:], "little"), int.from_bytes(head[4:], "big")}
    known = sorted(versions & _ATO.keys())
    if len(head) < 8 or not known:
        raise InputError(
            f"{path}: is an .ato file of version {min(versions)}, or none; expected version 3 or "
            "5. Convert it to .pos"
        )
    offset, kind, plane, depth = _ATO[known[0]]

    def columns(records: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        place = np.empty((len(records), 3), np.float64)
        with np.errstate(all="ignore"):
            place[:, :2] = records["xy"]
            place[:, 2] = records["z"]
            return place * [plane, plane, depth], records["mass"]

    records, big = _turned(_records(path, kind, offset), columns)
    notes = ("its numbers are big-endian; read as such",) if big else ()
    return IonColumns(*columns(records), notes=notes, unit_stated=True)


# ------------------------------------------------------------------------------------------ .apt
def read_apt(path: Path) -> IonColumns:
    """Read .apt of APSuite 6 by `ifes-apt-tc-data-modeling` (extra ``apt``)."""
    check_binary(path)
    with open(path, "rb") as file:
        head = file.read(_APT_COUNT + 8)
    if head[:4] != b"APT\0":
        raise InputError(f"{path}: does not begin as an .apt file of APSuite 6 does")
    # The library makes room for so many ions before it looks whether they are there.
    count = int.from_bytes(head[_APT_COUNT:], "little")
    if 4 * count > path.stat().st_size:
        raise InputError(f"{path}: cannot be read as .apt (it names {count} ions); is it whole?")
    with _quiet_library():
        try:
            from ifes_apt_tc_data_modeling.apt.apt6_reader import ReadAptFileFormat
        except ImportError as error:
            raise InputError(
                f"{path}: reading .apt needs a package: pip install ase-crystalnet[apt]"
            ) from error
        try:
            # It knows its files by their suffix, in small letters.
            reader = ReadAptFileFormat(str(path))
            positions = reader.get_reconstructed_positions()
            mass = reader.get_mass_to_charge_state_ratio()
        except (ValueError, TypeError, IndexError, KeyError, OSError, MemoryError) as error:
            raise InputError(
                f"{path}: cannot be read as .apt ({reason_of(error)}); is it whole?"
            ) from error
    if positions is None or mass is None:
        raise InputError(f"{path}: has no positions, or no masses; export it with both")
    found_positions, found_mass = positions.to("nanometer").magnitude, mass.to("dalton").magnitude
    if len(found_positions) != len(found_mass):
        raise InputError(
            f"{path}: has {len(found_positions)} positions and {len(found_mass)} masses"
        )
    return IonColumns(found_positions, found_mass, unit_stated=True)


@contextlib.contextmanager
def _quiet_library() -> Iterator[None]:
    """Keep the library from opening a log file in the working directory, and from talking."""
    root, logger = logging.getLogger(), logging.getLogger("ifes-apt-tc-data-modeling")
    handler, level = logging.NullHandler(), logger.level
    root.addHandler(handler)  # with a handler there, its basicConfig does nothing
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.removeHandler(handler)
        logger.setLevel(level)
