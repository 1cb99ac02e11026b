"""How long reading a frame takes: this package's reader, ASE's and OVITO's, and whether they agree.

    python benchmarks/reading.py [--atoms 200000] [--json FILE]

A hot copper crystal is written as extended XYZ (8 decimals, as ASE writes) and as a LAMMPS dump in
random order of ids (6 digits, as LAMMPS writes; and 17 digits). Times are the best of three, in
microseconds an atom; a cross marks positions that are not to the bit those of ASE.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase.io import read, write
from common import markdown, show, write_json
from numpy.typing import NDArray
from speed import copper

from ase_crystalnet.io import iter_frames

Positions = NDArray[np.float64]


def write_dump(path: Path, atoms: Any, digits: int) -> None:
    """A frame as LAMMPS writes it."""
    order = np.random.default_rng(0).permutation(len(atoms))
    with open(path, "w") as file:
        file.write(f"ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n{len(atoms)}\n")
        file.write("ITEM: BOX BOUNDS pp pp pp\n")
        file.writelines(f"0 {length!r}\n" for length in atoms.cell.lengths().tolist())
        file.write("ITEM: ATOMS id type x y z\n")
        for index in order.tolist():
            x, y, z = (f"{value:.{digits}g}" for value in atoms.positions[index])
            file.write(f"{index + 1} 1 {x} {y} {z}\n")


def by_ovito(path: Path) -> Positions:
    """Positions by OVITO, in the order of ids where there are any."""
    from ovito.io import import_file

    sort = {} if path.suffix == ".extxyz" else {"sort_particles": True}
    return np.array(import_file(str(path), **sort).compute().particles["Position"])


def readers() -> dict[str, Callable[[Path], Positions]]:
    """What is compared; OVITO where it is installed."""
    found: dict[str, Callable[[Path], Positions]] = {
        "ASE": lambda path: read(path, index=0).positions,
        "CrystalNet": lambda path: next(iter_frames(path)).atoms.positions,
    }
    try:
        import ovito  # noqa: F401
    except ImportError:
        return found
    return {**found, "OVITO": by_ovito}


def timed(work: Callable[[Path], Positions], path: Path) -> tuple[float, Positions]:
    """Best of three timings, and what was read."""
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        positions = work(path)
        times.append(time.perf_counter() - begin)
    return min(times), positions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--atoms", type=int, default=200_000)
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    given = parser.parse_args()
    atoms = copper(given.atoms)
    names = {"extended XYZ": "md.extxyz", "dump, 6 digits": "6.dump", "dump, 17 digits": "17.dump"}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        paths = {kind: Path(folder) / name for kind, name in names.items()}
        write(paths["extended XYZ"], atoms)
        write_dump(paths["dump, 6 digits"], atoms, 6)
        write_dump(paths["dump, 17 digits"], atoms, 17)
        for kind, path in paths.items():
            expected: Positions | None = None
            for name, work in readers().items():
                seconds, positions = timed(work, path)
                expected = positions if expected is None else expected
                same = bool(np.array_equal(positions, expected))
                micro = seconds / len(atoms) * 1e6
                rows.append({"format": kind, "reader": name, "us an atom": micro, "same": same})
    table = [
        (row["format"], row["reader"], f"{row['us an atom']:.2f}{'' if row['same'] else ' ✗'}")
        for row in rows
    ]
    show(markdown(("format", "reader", "us an atom"), table))
    write_json(given.json, {"atoms": len(atoms), "reading": rows})


if __name__ == "__main__":
    main()
