"""Trajectory files made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.fakes import frames


def lammps_dump(path: Path, count: int = 3) -> Path:
    """A dump as LAMMPS writes it, atoms in no order."""
    rng = np.random.default_rng(0)
    text = ""
    for step, atoms in enumerate(frames(count)):
        length = atoms.cell.lengths()
        text += f"ITEM: TIMESTEP\n{100 * step}\nITEM: NUMBER OF ATOMS\n{len(atoms)}\n"
        text += "ITEM: BOX BOUNDS pp pp pp\n" + "".join(f"0 {value}\n" for value in length)
        text += "ITEM: ATOMS id type x y z\n"
        for index in rng.permutation(len(atoms)):
            x, y, z = atoms.positions[index]
            text += f"{index + 1} 1 {x:.6f} {y:.6f} {z:.6f}\n"
    path.write_text(text)
    return path
