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
