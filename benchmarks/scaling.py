"""Atoms a second against the number of atoms, and frames a second against the number of workers.

    python benchmarks/scaling.py [--atoms 10000 100000 1000000 10000000] [--json FILE]

Each number of atoms is a hot copper crystal (`speed.copper`: displaced by 0.08 of the neighbour
distance, as copper at 0.8 of its melting point), analysed in grid mode by a process of its own, so
that its largest memory is that frame's. PTM with orientations and adaptive common neighbour
analysis run on the same crystals where OVITO is installed; it uses all cores, as CrystalNet does.
Times are from a structure in memory to labels, certainty, order and orientation of every atom.

The trajectory is analysed in this process with all cores, by one worker with one core and by two
with one core each, starting from nothing: imports, reading and all.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import markdown, peak_memory, show, write_json
from speed import copper, load

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
METHODS = ("CrystalNet", "PTM", "a-CNA")
#: Frames left out of the rate in the steady state, in which processes start.
FIRST = 4


def measure(method: str, model: str, atoms: int, centers: str) -> dict[str, float]:
    """Time and memory of one frame, in this process."""
    work = crystalnet(model, centers) if method == "CrystalNet" else neighbours(method)
    next(work)
    work.send(copper(2000))  # compiles, starts threads
    crystal = copper(atoms)
    before = time.perf_counter()
    fcc, windows = work.send(crystal)
    return {
        "atoms": len(crystal),
        "seconds": time.perf_counter() - before,
        "windows": windows,
        "percent fcc": 100 * fcc,
        "MB at most": peak_memory(),
    }


def crystalnet(model: str, centers: str) -> Iterator[Any]:
    """Coroutine: a structure in, share of fcc atoms and number of windows out."""
    net = load(model)
    atoms = yield
    while True:
        frame = net.analyze(atoms, centers=centers)
        label = frame.classes.index("fcc")
        atoms = yield float(np.mean(frame.atom_labels == label)), frame.number_of_windows


def neighbours(method: str) -> Iterator[Any]:
    """The same by OVITO; a window is an atom there. Conversion to OVITO's data is timed, too."""
    from ovito.io.ase import ase_to_ovito
    from ovito.modifiers import CommonNeighborAnalysisModifier, PolyhedralTemplateMatchingModifier

    if method == "PTM":
        modifier = PolyhedralTemplateMatchingModifier(output_orientation=True)
    else:
        modifier = CommonNeighborAnalysisModifier()
    atoms = yield
    while True:
        data = ase_to_ovito(atoms)
        data.apply(modifier)
        found = np.asarray(data.particles["Structure Type"])
        atoms = yield float(np.mean(found == int(modifier.Type.FCC))), len(atoms)


def trajectory(path: str, model: str, workers: int | None, centers: str) -> dict[str, float]:
    """Time of a trajectory, in this process or by workers."""
    begin = time.perf_counter()
    net = load(model)
    times = [time.perf_counter() - begin for _ in net.run(path, centers=centers, workers=workers)]
    return {
        "frames": len(times),
        "seconds": times[-1],
        "frames a second": (len(times) - FIRST) / (times[-1] - times[FIRST - 1]),
    }


def write_trajectory(path: Path, frames: int, atoms: int) -> None:
    """Hot copper, each frame displaced anew."""
    from ase.io import write

    rng = np.random.default_rng(1)
    crystal = copper(atoms)
    with open(path, "w") as file:
        for _ in range(frames):
            frame = crystal.copy()
            frame.positions += rng.normal(scale=0.05, size=frame.positions.shape)
            write(file, frame, format="extxyz")


def child(*words: object, cores: int | None = None) -> dict[str, float]:
    """Run a part of this script in a process of its own."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if cores is not None:
        environment["NUMBA_NUM_THREADS"] = str(cores)
    done = subprocess.run(
        [sys.executable, __file__, "--child", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"scaling: {' '.join(map(str, words))} failed:\n{done.stderr}")
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def frames_table(given: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a method and number of atoms."""
    try:
        import ovito  # noqa: F401

        methods = METHODS
    except ImportError:
        methods = METHODS[:1]
    rows = []
    for atoms in given.atoms:
        for method in methods:
            row = child("frame", method, given.model, atoms, given.centers)
            rows.append({"method": method, **row})
            show(f"{method}, {row['atoms']:.0f} atoms: {row['seconds']:.2f} s")
    return rows


def workers_table(given: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a way of analysing the trajectory."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "md.extxyz"
        write_trajectory(path, given.frames, given.frame_atoms)
        for workers in (0, 1, 2):
            cores = workers or None
            row = child("trajectory", path, given.model, workers, "atoms", cores=cores)
            rows.append({"workers": workers, "cores": cores or os.cpu_count(), **row})
            show(f"{workers or 'no'} workers: {row['seconds']:.1f} s")
    return rows


def report(frames: list[dict[str, Any]], workers: list[dict[str, Any]]) -> None:
    """Both tables as markdown."""
    lines = []
    for row in frames:
        rate = row["atoms"] / row["seconds"]
        lines.append(
            (
                f"{row['atoms']:.0f}",
                row["method"],
                f"{row['windows']:.0f}",
                f"{row['seconds']:.2f}",
                f"{rate:.0f}",
                f"{row['MB at most']:.0f}",
                f"{row['percent fcc']:.2f}",
            )
        )
    header = ("atoms", "method", "windows", "seconds", "atoms a second", "MB", "% fcc")
    show("\n" + markdown(header, lines))
    if workers:
        show(
            "\n"
            + markdown(
                ("workers", "cores", "frames", "seconds from nothing", "frames a second after"),
                [
                    (
                        row["workers"] or "none",
                        row["cores"],
                        f"{row['frames']:.0f}",
                        f"{row['seconds']:.1f}",
                        f"{row['frames a second']:.3f}",
                    )
                    for row in workers
                ],
            )
        )
        one, two = workers[1], workers[2]
        show(
            f"\ntwo workers against one: {one['seconds'] / two['seconds']:.2f} from nothing, "
            f"{two['frames a second'] / one['frames a second']:.2f} after the first {FIRST} frames"
        )


def run_child(words: list[str]) -> None:
    """What `child` asks for."""
    if words[0] == "frame":
        method, model, atoms, centers = words[1:]
        numbers = measure(method, model, int(atoms), centers)
    else:
        path, model, workers, centers = words[1:]
        numbers = trajectory(path, model, int(workers) or None, centers)
    show(json.dumps(numbers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="local", help="name or folder of a model")
    parser.add_argument("--atoms", type=int, nargs="*", default=SIZES)
    parser.add_argument("--centers", default="grid", help="mode of the large frames")
    parser.add_argument("--frames", type=int, default=40, help="of the trajectory; 0 leaves it out")
    parser.add_argument("--frame-atoms", type=int, default=4000)
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    parser.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        run_child(given.child)
        return
    if given.frames and given.frames <= 2 * FIRST:
        parser.error(f"--frames: wanted 0 or more than {2 * FIRST}, given {given.frames}")
    frames = frames_table(given)
    workers = workers_table(given) if given.frames else []
    report(frames, workers)
    write_json(given.json, {"frames": frames, "workers": workers})


if __name__ == "__main__":
    main()
