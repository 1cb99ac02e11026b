"""Atoms a second against the number of atoms, and frames a second against the number of workers.

    python benchmarks/scaling.py [--atoms 10000 100000 1000000 10000000] [--json FILE]

Each number of atoms is a hot copper crystal (`speed.copper`: displaced by 0.08 of the neighbour
distance, as copper at 0.8 of its melting point), analysed in grid mode by a process of its own, so
that its largest memory is that frame's. PTM with orientations and adaptive common neighbour
analysis run on the same crystals where OVITO is installed; it uses all cores, as CrystalNet does.
Times are from a structure in memory to labels, certainty, order and orientation of every atom.

With --reuse N, instead, structures of about N atoms (hot copper, copper and its melt, 6 nm grains,
twin planes, stacking faults) are analysed in grid mode with answers taken over, with every window
computed (`reuse=False`) and by PTM with orientations, one after the other in one process: wall and
processor time an atom, the speed in PTM's, and the percent of atoms with the same label.

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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from common import markdown, peak_memory, show, write_json
from scipy.spatial import cKDTree
from speed import copper, load

from ase_crystalnet import CrystalNet, crystals
from ase_crystalnet.crystals.stackings import close_packed

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


def melting(atoms: int) -> Any:
    """Hot copper between two faces of a random packing of its atoms, half of each."""
    rng = np.random.default_rng(2)
    cell = crystals.fcc(2.56)
    liquid = crystals.random_packing(2000, rng=rng)
    repeat = max(1, round((atoms / 2 / len(liquid)) ** (1 / 3)))
    volume = 1.05 * cell.get_volume() / len(cell) * len(liquid)
    across = max(1, round(volume ** (1 / 3) / cell.cell[0, 0]))
    edge = across * cell.cell[0, 0]
    liquid.set_cell([edge, edge, volume / edge**2], scale_atoms=True)
    liquid = liquid.repeat(repeat)
    layers = round(liquid.cell[2, 2] / cell.cell[2, 2])
    solid = cell.repeat((across * repeat, across * repeat, layers))
    solid.positions += rng.normal(scale=0.07 * 2.56, size=solid.positions.shape)
    liquid.positions[:, 2] += solid.cell[2, 2]
    box = [*solid.cell.lengths()[:2], solid.cell[2, 2] + liquid.cell[2, 2]]
    for part in (solid, liquid):
        part.set_cell(box)
        # Rounding may leave a place on the far face, which is the near one.
        part.positions = np.mod(part.positions, box) % box
    gap = cKDTree(solid.positions, boxsize=box).query(liquid.positions)[0]
    return solid + liquid[gap > 0.75 * 2.56]


def grains(atoms: int) -> Any:
    """Copper of grains of 6 nm in the mean, displaced by 0.06 of the neighbour distance."""
    number = max(2, round(atoms * 11.86 / 60.0**3))
    return crystals.polycrystal(crystals.fcc(2.56), atoms, number, sigma=0.06, rng=1)[0]


def faulted(atoms: int, word: tuple[int, ...]) -> Any:
    """Close-packed layers with faults, displaced by 0.05."""
    cell, sites = close_packed(word, (2 / 3) ** 0.5)
    layer = Atoms(f"Cu{len(sites)}", cell=cell * 2.56, scaled_positions=sites, pbc=True)
    across = max(4, round((atoms / len(sites)) ** 0.5))
    crystal = layer.repeat((across, across, 1))
    rng = np.random.default_rng(3)
    crystal.positions += rng.normal(scale=0.05 * 2.56, size=crystal.positions.shape)
    return crystal


#: Structures of the comparison with every window computed, by the number of atoms.
STRUCTURES: dict[str, Callable[[int], Any]] = {
    "hot copper": copper,
    "solid and liquid": melting,
    "6 nm polycrystal": grains,
    "twin planes": lambda atoms: faulted(atoms, (1,) * 30 + (-1,) * 30),
    "stacking faults": lambda atoms: faulted(atoms, ((1,) * 29 + (-1,)) * 3),
}


def taken_over(name: str, model: str, atoms: int, every: bool) -> dict[str, Any]:
    """One structure by both and by PTM, in this process; all windows only where `every` is."""
    structure = STRUCTURES[name](atoms)
    row: dict[str, Any] = {"structure": name, "atoms": len(structure)}
    labels = {}
    for reuse in (True, False) if every else (True,):
        net = CrystalNet(model, reuse=reuse)
        net.analyze(copper(4000), centers="grid")
        wall, cpu = time.perf_counter(), time.process_time()
        frame = net.analyze(structure, centers="grid")
        key = "reuse" if reuse else "every window"
        row[f"{key}, us"] = 1e6 * (time.perf_counter() - wall) / len(structure)
        row[f"{key}, CPU us"] = 1e6 * (time.process_time() - cpu) / len(structure)
        labels[reuse] = frame.atom_labels
    if every:
        row["same label, %"] = 100 * float(np.mean(labels[True] == labels[False]))
    try:
        work = neighbours("PTM")
        next(work)
        work.send(copper(2000))
        wall, cpu = time.perf_counter(), time.process_time()
        work.send(structure)
        row["PTM, us"] = 1e6 * (time.perf_counter() - wall) / len(structure)
        row["PTM, CPU us"] = 1e6 * (time.process_time() - cpu) / len(structure)
    except ImportError:
        show("OVITO is not installed: no PTM beside it")
    return row


def reuse_table(given: argparse.Namespace) -> list[dict[str, Any]]:
    """One row a structure, each in a process of its own."""
    rows = []
    for name in given.structures:
        row: dict[str, Any] = child(
            "reuse", name, given.model, given.reuse, int(given.reuse <= given.full)
        )
        rows.append(row)
        show(f"{name}: {row['reuse, us']:.1f} us an atom")
    lines = []
    for row in rows:
        ratio = [
            row[f"PTM{c} us"] / row[f"reuse{c} us"] if "PTM, us" in row else None
            for c in (",", ", CPU")
        ]
        numbers = [
            row.get(key)
            for key in (
                "every window, us",
                "every window, CPU us",
                "reuse, us",
                "reuse, CPU us",
                "PTM, us",
                "PTM, CPU us",
            )
        ]
        shown = [("-" if n is None else f"{n:.1f}") for n in numbers]
        shown += ["-" if r is None else f"{r:.2f}" for r in ratio]
        same = row.get("same label, %")
        lines.append(
            (row["structure"], str(row["atoms"]), *shown, "-" if same is None else f"{same:.3f}")
        )
    header = (
        "structure",
        "atoms",
        "every window, us",
        "CPU",
        "reuse, us",
        "CPU",
        "PTM, us",
        "CPU",
        "speed in PTM's",
        "by CPU",
        "same label, %",
    )
    show("\n" + markdown(header, lines))
    return rows


def run_child(words: list[str]) -> None:
    """What `child` asks for."""
    if words[0] == "frame":
        method, model, atoms, centers = words[1:]
        numbers = measure(method, model, int(atoms), centers)
    elif words[0] == "reuse":
        name, model, atoms, every = words[1:]
        numbers = taken_over(name, model, int(atoms), every == "1")
    else:
        path, model, workers, centers = words[1:]
        numbers = trajectory(path, model, int(workers) or None, centers)
    show(json.dumps(numbers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="structure", help="name or folder of a model")
    parser.add_argument("--atoms", type=int, nargs="*", default=SIZES)
    parser.add_argument("--centers", default="grid", help="mode of the large frames")
    parser.add_argument("--frames", type=int, default=40, help="of the trajectory; 0 leaves it out")
    parser.add_argument("--frame-atoms", type=int, default=4000)
    parser.add_argument("--reuse", type=int, metavar="N", help="answers taken over, N atoms")
    parser.add_argument("--structures", nargs="*", default=list(STRUCTURES), choices=STRUCTURES)
    parser.add_argument(
        "--full", type=int, default=250_000, help="most atoms of which every window is computed"
    )
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    parser.add_argument("--child", nargs="*", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        run_child(given.child)
        return
    if given.frames and given.frames <= 2 * FIRST:
        parser.error(f"--frames: wanted 0 or more than {2 * FIRST}, given {given.frames}")
    if given.reuse:
        write_json(given.json, {"reuse": reuse_table(given)})
        return
    frames = frames_table(given)
    workers = workers_table(given) if given.frames else []
    report(frames, workers)
    write_json(given.json, {"frames": frames, "workers": workers})


if __name__ == "__main__":
    main()
