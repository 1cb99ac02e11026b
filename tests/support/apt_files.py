"""Files of APSuite 6 made on the spot."""

from __future__ import annotations

import struct

import numpy as np


def write_apt(path, positions_nm, mass, *, sections=("Mass", "Position")):
    """Write an .apt file of APSuite 6: a header, then sections with headers of their own.

    Layout as published with the reader of the IFES APT TC: little-endian, names in UTF-16.
    """
    count = len(mass)

    def text(name, length):
        return name.encode("utf-16-le").ljust(2 * length, b"\0")

    content = b"APT\0" + struct.pack("<ii", 540, 2) + text(path.name, 256)
    content += struct.pack("<QQ", 0, count)
    box = np.column_stack([positions_nm.min(axis=0), positions_nm.max(axis=0)]).ravel()
    payload = {
        "Mass": ("Da", mass.astype("<f4"), b""),
        "Position": ("nm", positions_nm.astype("<f4"), box.astype("<f4").tobytes()),
    }
    for name in sections:
        unit, values, extra = payload[name]
        content += b"SEC\0" + struct.pack("<ii", 148 + len(extra), 2) + text(name, 32)
        # version, one-to-one relation, fixed size, floats of 32 bits, bytes an ion
        width = values.nbytes // count
        content += struct.pack("<iIIIii", 1, 1, 1, 3, 32, width) + text(unit, 16)
        content += struct.pack("<QQ", count, values.nbytes) + extra + values.tobytes()
    path.write_bytes(content)


def write_ato(path, positions_nm, mass, *, version=3, order="<"):
    """Write an .ato file: of LAWATAP (3), Angstrom, or GPM Rouen (5), 0.01 nm across."""
    if version == 3:
        records = np.zeros((len(mass), 14), f"{order}f4")
        records[:, :3], records[:, 3] = 10 * positions_nm, mass
        path.write_bytes(struct.pack(f"{order}II", 0, 3) + records.tobytes())
        return
    kind = [("xy", "i2", 2), ("z", "f4"), ("mass", "f4"), ("rest", "V28")]
    records = np.zeros(len(mass), np.dtype(kind).newbyteorder(order))
    records["xy"] = np.rint(100 * positions_nm[:, :2])
    records["z"], records["mass"] = 10 * positions_nm[:, 2], mass
    head = struct.pack(f"{order}II", 0, version).ljust(5000, b"\0")
    path.write_bytes(head + records.tobytes())


def write_pyccapt(path, columns):
    """Write columns as pyccapt's calibration does: a frame of pandas, format 'fixed'."""
    import h5py

    with h5py.File(path, "w") as file:
        frame = file.create_group("df")
        frame["axis0"] = np.array([name.encode() for name in columns])
        frame["axis1"] = np.arange(len(next(iter(columns.values()))))
        kinds = {}
        for name, column in columns.items():
            kinds.setdefault(column.dtype.str, []).append(name)
        for block, names in enumerate(kinds.values()):
            frame[f"block{block}_items"] = np.array([name.encode() for name in names])
            frame[f"block{block}_values"] = np.column_stack([columns[name] for name in names])
