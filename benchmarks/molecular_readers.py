"""chemfiles and MDAnalysis on DCD, XTC and TRR: frames a second, and what damaged files do to them.

    python benchmarks/molecular_readers.py [--damaged N] [--json FILE]

Both packages have to be installed (chemfiles writes the files). Damaged files are read in processes
of their own, which may end in frames, in an error, or by a signal.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import chemfiles
import numpy as np
from ase.build import bulk
from common import markdown, show, write_json

SUFFIXES = ("dcd", "xtc", "trr")
READ = {
    "chemfiles": """
import chemfiles, numpy, sys
chemfiles.set_warnings_callback(lambda message: None)
try:
    file = chemfiles.Trajectory(sys.argv[1])
    for number in range(file.nsteps):
        numpy.array(file.read_step(number).positions)
except (Exception, chemfiles.ChemfilesError):
    sys.exit(3)
""",
    "MDAnalysis": """
import MDAnalysis, sys, warnings
warnings.simplefilter("ignore")
try:
    universe = MDAnalysis.Universe(sys.argv[2], sys.argv[1])
    for _ in universe.trajectory:
        universe.atoms.positions
except Exception:
    sys.exit(3)
""",
}
OUTCOMES = {0: "frames", 3: "error"}


def write(path: Path, cells: int, frames: int) -> None:
    """Copper, shaken anew in each frame."""
    rng = np.random.default_rng(0)
    atoms = bulk("Cu", cubic=True) * (cells, cells, cells)
    with chemfiles.Trajectory(str(path), "w") as file:
        for _ in range(frames):
            frame = chemfiles.Frame()
            for position in atoms.positions + rng.normal(scale=0.05, size=(len(atoms), 3)):
                frame.add_atom(chemfiles.Atom("Cu"), position.tolist())
            frame.cell = chemfiles.UnitCell(atoms.cell.lengths().tolist())
            file.write(frame)


def damaged(content: bytes, number: int) -> bytes:
    """Cut, bits flipped, the head overwritten, or a number made huge."""
    rng = np.random.default_rng(number)
    data = bytearray(content)
    if number % 4 == 0:
        del data[int(rng.integers(1, len(data))) :]
    elif number % 4 == 1:
        for place in rng.integers(0, min(len(data), 400), 5):
            data[place] ^= 1 << int(rng.integers(8))
    elif number % 4 == 2:
        place = int(rng.integers(0, min(len(data), 300)))
        data[place : place + 4] = rng.bytes(4)
    else:
        place = int(rng.integers(0, len(data) - 20))
        data[place : place + 8] = b"\x7f" + b"\xff" * 7
    return bytes(data)


def speed(reader: str, path: Path, topology: Path) -> float:
    """Frames a second."""
    loop: Callable[[], int]
    if reader == "chemfiles":

        def loop() -> int:
            file = chemfiles.Trajectory(str(path))
            for number in range(file.nsteps):
                np.array(file.read_step(number).positions)
            return int(file.nsteps)
    else:
        import MDAnalysis

        universe: Any = MDAnalysis.Universe(str(topology), str(path))

        def loop() -> int:
            return sum(len(universe.atoms.positions) > 0 for _ in universe.trajectory)

    loop()
    begun = time.perf_counter()
    return loop() / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--damaged", type=int, default=24, help="files of each format")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows, found = [], {}
    with TemporaryDirectory() as place:
        for suffix in SUFFIXES:
            large, small = Path(place) / f"large.{suffix}", Path(place) / f"small.{suffix}"
            write(large, 16, 20)
            write(small, 2, 3)
            write(Path(place) / "large.gro", 16, 1)
            write(Path(place) / "small.gro", 2, 1)
            for reader, code in READ.items():
                counts: Counter[str] = Counter()
                for number in range(options.damaged):
                    bad = Path(place) / f"bad.{suffix}"
                    bad.write_bytes(damaged(small.read_bytes(), number))
                    command = [sys.executable, "-c", code, str(bad), f"{place}/small.gro"]
                    done = subprocess.run(command, capture_output=True, timeout=120)
                    counts[OUTCOMES.get(done.returncode, "ended by a signal")] += 1
                rate = speed(reader, large, Path(place) / "large.gro")
                found[f"{suffix} {reader}"] = {"frames/s": rate, **counts}
                outcomes = [str(counts[name]) for name in ("frames", "error", "ended by a signal")]
                rows.append([suffix, reader, f"{rate:.0f}", *outcomes])
    head = ["format", "reader", "frames/s", "frames", "error", "ended by a signal"]
    show(markdown(head, rows))
    write_json(options.json, found)


if __name__ == "__main__":
    main()
