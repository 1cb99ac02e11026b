"""Configurations of IMD (``.imd``, ``.chkpt``): ASCII, one frame a file, columns named in the head.

``#F A`` format, ``#C`` columns, ``#X``, ``#Y``, ``#Z`` vectors of the box, ``#E`` end of the head.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np

from ase_crystalnet.io.trajectories.formats import FrameError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["build_imd"]


def build_imd(text: str) -> Atoms:
    """Atoms of a file.

    Raises
    ------
    FrameError
        It is binary, cut short, or its head lacks a column or a vector.
    """
    from ase import Atoms

    head, end, body = text.replace("\r\n", "\n").partition("\n#E")
    if not end:
        raise FrameError("cut short, its head has no end (#E)")
    if not re.match(r"#F\s+A\b", head):
        raise FrameError("a binary IMD file; expected the ASCII form (#F A)")
    lines = dict(re.findall(r"^#([CXYZ])[ \t]+([^\n]*)$", head, re.M))
    names = lines.get("C", "number type mass x y z").split()
    try:
        cell = np.array([lines[axis].split()[:3] for axis in "XYZ"], float)
    except (KeyError, ValueError) as error:
        raise FrameError("expected the vectors of the box (#X, #Y, #Z) in its head") from error
    missing = [name for name in ("x", "y", "z") if name not in names]
    if missing or cell.shape != (3, 3):
        raise FrameError(f"its head names no column {(missing or ['x'])[0]}")
    rows = np.loadtxt(io.StringIO(body.partition("\n")[2]), ndmin=2, comments="#")
    if rows.shape[1] < len(names):
        raise FrameError(f"atom lines have {rows.shape[1]} of {len(names)} columns")
    columns = {name: rows[:, place] for place, name in enumerate(names)}
    types = columns.get("type", np.zeros(len(rows))).astype(int)
    atoms = Atoms(
        numbers=np.clip(types + 1, 1, 118),
        positions=np.column_stack([columns[axis] for axis in "xyz"]),
        cell=cell,
        pbc=True,
    )
    atoms.arrays["type"] = types
    if time := re.search(r"^## .*?\btime[ =:]+([-+.\deE]+)", head, re.M):
        atoms.info["time"] = float(time[1])
    return atoms
