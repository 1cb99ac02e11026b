"""The inner loops one by one, on one core; and what compiling them costs.

    python benchmarks/kernels.py [--first-call] [--json FILE]
    NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES=+avx,+avx2,+fma python benchmarks/kernels.py

The second form compiles for a processor without AVX-512. A part is called as often as a window
needs it; its floor is its operations at the rate of a product in registers. ``--first-call`` also
analyses a small crystal in a process that finds no compiled code.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import markdown, show, write_json
from operations import FILTER, HALF, PAIRS, PIXELS, SINCOS, VIEWS, Rates

from ase_crystalnet import crystals

ATOMS = 250
CALLS = 200

FIRST_CALL = """
import time
from ase_crystalnet import crystals
from ase_crystalnet import Fingerprint
from ase_crystalnet import LatticeFinder
from ase_crystalnet import Windower
atoms = crystals.supercell(crystals.fcc(), 500, sigma=0.05, rng=1)
begin = time.perf_counter(), time.process_time()
prepared = Windower().prepare(atoms)
batch = next(prepared.batches(prepared.centers("grid")[0], 512))
lattices = LatticeFinder()(batch.positions, batch.mask)
Fingerprint()(lattices.standardize(batch.positions), batch.mask)
print(time.perf_counter() - begin[0], time.process_time() - begin[1])
"""


def fingerprint_parts(positions: np.ndarray) -> Iterator[tuple[str, float, Any]]:
    """Name, operations a window and a call, for one view of the fingerprint."""
    from ase_crystalnet import Fingerprint
    from ase_crystalnet._compute.tiles import product
    from ase_crystalnet.fingerprint._kernels import fast as kernel
    from ase_crystalnet.fingerprint.fingerprint import kernel_tables

    tables = kernel_tables(Fingerprint(), ())
    views, q, q_axial = tables.rotations, tables.axis, tables.axial
    taps, window = tables.taps, tables.window
    atoms = np.vstack([positions.T, np.ones(ATOMS)]).astype(np.float32)
    width = 2 * q.size
    work = np.empty((5, kernel.CHUNK, width), np.float32)
    left, right = np.empty((2, 3, ATOMS, width), np.float32)
    products = np.ones((3, width, width), np.float32)
    extents = np.full(width // 4, width // 16)
    rows = np.empty((4, q.size), np.float32)
    across = PIXELS + 2 * kernel.TAP_REACH
    size = PIXELS * across
    flat = np.zeros((2, (PIXELS + 2 * kernel.TAP_REACH + 1) * across), np.float32)
    middle = np.zeros(size + kernel.TAPS, np.float32)
    moved, total = np.empty((2, size), np.float32)
    channels = np.ones((3, size), np.float32)
    image = np.empty((PIXELS, PIXELS, 3), np.float32)
    start = kernel.TAP_REACH * (across + 1)

    def multiply() -> None:
        for k in range(3):
            product(left[k], right[k], 0, ATOMS, extents, products[k])

    def detect() -> None:
        for part in range(2):
            inner = middle[kernel.TAP_REACH : kernel.TAP_REACH + size]
            kernel.filtered(flat[part], across, taps[0], inner)
            kernel.filtered(middle, 1, taps[1], moved)
            kernel.add_square(moved, total)

    yield (
        "fingerprint: tables",
        VIEWS * ATOMS * (2 * PIXELS * SINCOS + 12 * PIXELS),
        lambda: kernel.fill_tables(atoms, ATOMS, views[0], q, q_axial, work, left, right),
    )
    yield "fingerprint: products", VIEWS * 6 * PIXELS**2 * ATOMS, multiply
    yield (
        "fingerprint: four signs",
        VIEWS * 14 * PIXELS**2,
        lambda: kernel.amplitude(products, q.size, q.size, rows, flat[0], flat[1], start, across),
    )
    yield "fingerprint: onto the detector", VIEWS * 8 * FILTER, detect
    yield (
        "fingerprint: image",
        9 * PIXELS**2,
        lambda: kernel.finish(channels, across, window, True, moved, image),
    )


def lattice_parts(positions: np.ndarray) -> Iterator[tuple[str, float, Any]]:
    """The same for the lattice."""
    from ase_crystalnet._compute.structure_factor import MAX_AXIS, map_work, structure_map
    from ase_crystalnet.lattice._kernels.first_shell import BINS, first_shell

    x, y, z = (np.ascontiguousarray(positions[:, c], np.float32) for c in range(3))
    ones, row, close = np.ones((3, ATOMS), np.float32)
    hist, smooth = np.empty((2, BINS))
    work = map_work(ATOMS, MAX_AXIS)
    s_map = np.zeros((MAX_AXIS, 2 * MAX_AXIS, 2 * MAX_AXIS), np.float32)
    yield (
        "lattice: first shell",
        8 * ATOMS**2,
        lambda: first_shell(x, y, z, ATOMS, row, close, hist, smooth),
    )
    yield (
        "lattice: S(q) map",
        3 * 16 * ATOMS * SINCOS + 2 * PAIRS * 2 * (4 * HALF + 12) * ATOMS,
        lambda: structure_map(x, y, z, ones, ones, ATOMS, np.float32(1.0), HALF, work, s_map),
    )


def microseconds(call: Any) -> float:
    """Of one call, the least of seven runs."""
    call()
    times = []
    for _ in range(7):
        begin = time.perf_counter()
        for _ in range(CALLS):
            call()
        times.append((time.perf_counter() - begin) / CALLS * 1e6)
    return min(times)


def first_call() -> tuple[float, float]:
    """Seconds and processor seconds of a first analysis, without TensorFlow."""
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", FIRST_CALL],
            env={**os.environ, "NUMBA_CACHE_DIR": folder},
            capture_output=True,
            text=True,
            check=True,
        )
    wall, processor = done.stdout.split()
    return float(wall), float(processor)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first-call", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    cluster, _ = crystals.random_cluster(crystals.fcc(1.0), 6.0, sigma=0.06, rng=0)
    apart = np.linalg.norm(cluster.positions, axis=1)
    positions = cluster.positions[np.argsort(apart)[:ATOMS]]
    rates = Rates()
    show(str(rates))
    rows = []
    for parts, calls in ((fingerprint_parts(positions), VIEWS), (lattice_parts(positions), 1)):
        for name, operations, call in parts:
            times = 1 if name.endswith("image") else calls
            rows.append(
                {
                    "part": name,
                    "Mflop": operations / 1e6,
                    "floor, us": operations / rates.operations_one * 1e6,
                    "reached, us": times * microseconds(call),
                }
            )
    cells = [[f"{v:.2f}" if isinstance(v, float) else v for v in row.values()] for row in rows]
    show(markdown(list(rows[0]), cells))
    result: dict[str, Any] = {"rates": vars(rates), "parts": rows}
    if given.first_call:
        wall, processor = first_call()
        show(f"first call: {wall:.1f} s, {processor:.1f} processor seconds, mostly compiling")
        result["first_call"] = {"seconds": wall, "processor_seconds": processor}
    write_json(given.json, result)


if __name__ == "__main__":
    main()
