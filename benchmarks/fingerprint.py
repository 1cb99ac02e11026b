"""Speed of the fingerprint beside its floor, and how far its fast form is from the exact one.

    python benchmarks/fingerprint.py [--output benchmarks/results/fingerprint.json]

The floor is the time the matrix products alone would take at the rate this machine reaches in
them: five complex products of (64 x N) by (N x 64) a window, three real products each.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("NUMBA_NUM_THREADS", str(os.cpu_count() or 1))

import numpy as np
from numba import njit

from ase_crystalnet import Fingerprint
from ase_crystalnet._compute.tiles import product

WINDOWS = 400
PRODUCTS = 15
# Structure: edge of the cubic cell of primitive volume 1, and its atoms in units of that edge.
FCC = [(0, 0, 0), (0, 0.5, 0.5), (0.5, 0, 0.5), (0.5, 0.5, 0)]
CRYSTALS = {
    "sc": (1.0, [(0, 0, 0)]),
    "bcc": (2 ** (1 / 3), [(0, 0, 0), (0.5, 0.5, 0.5)]),
    "fcc": (4 ** (1 / 3), FCC),
    "diam": (4 ** (1 / 3), [*FCC, *(tuple(np.add(site, 0.25)) for site in FCC)]),
}


def best(work: Callable[[], object], repeats: int = 7) -> float:
    """Shortest of several timings, seconds."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


@njit(nogil=True)
def products(left, right, out, repeats):
    """The kernel's matrix product, many times."""
    for _ in range(repeats):
        product(left, right, left.shape[0], out)


def product_seconds(atoms: int, rng: np.random.Generator) -> float:
    """Time of one real (64 x atoms) by (atoms x 64) product."""
    atoms = -(-atoms // 4) * 4
    left, right = rng.random((2, atoms, 64), dtype=np.float32)
    out = np.empty((64, 64), np.float32)
    products(left, right, out, 1)
    return best(lambda: products(left, right, out, 300)) / 300


def window(
    name: str, atoms: int, sigma: float, vacancies: float, rng: np.random.Generator
) -> np.ndarray:
    """Atoms of a crystal in random orientation about a random centre, (1, atoms, 3)."""
    edge, basis = CRYSTALS[name]
    cells = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3), -1).reshape(-1, 1, 3)
    points = ((cells + np.array(basis)) * edge).reshape(-1, 3) - rng.random(3) * edge
    points = points @ np.linalg.qr(rng.normal(size=(3, 3)))[0].T
    points = points + sigma * rng.normal(size=points.shape)
    points = points[rng.random(len(points)) >= vacancies]
    return points[np.argsort(np.linalg.norm(points, axis=1))[:atoms]][None]


def packing(atoms: int, rng: np.random.Generator) -> np.ndarray:
    """Random sequential packing of density 1, no pair closer than 0.85, (1, atoms, 3)."""
    radius = (3 * atoms / (4 * np.pi)) ** (1 / 3)
    points = np.empty((0, 3))
    while len(points) < atoms:
        point = rng.uniform(-radius, radius, 3)
        if point @ point < radius**2 and (((points - point) ** 2).sum(1) > 0.85**2).all():
            points = np.vstack([points, point])
    return points[None]


def speed(rng: np.random.Generator) -> list[dict[str, float | str | int]]:
    """Microseconds a window for both grids, several sizes and numbers of threads."""
    rows: list[dict[str, float | str | int]] = []
    for atoms in (64, 120, 250, 500):
        points = rng.uniform(-3, 3, (WINDOWS, atoms, 3)).astype(np.float32)
        one = product_seconds(atoms, rng)
        for grid in ("detector", "separable"):
            fingerprint = Fingerprint(grid=grid)
            fingerprint(points[:1])
            for threads in (1, 2):
                taken = best(lambda f=fingerprint, p=points, t=threads: f(p, threads=t), 5)
                rows.append(
                    {
                        "atoms": atoms,
                        "grid": grid,
                        "threads": threads,
                        "us_per_window": 1e6 * taken / WINDOWS,
                        "floor_us": 1e6 * PRODUCTS * one / min(threads, os.cpu_count() or 1),
                        "gflops_of_product": 2e-9 * 64 * 64 * atoms / one,
                    }
                )
    return rows


def agreement(windows: int, rng: np.random.Generator) -> list[dict[str, float | str | int]]:
    """Largest difference from the exact form, in units of the brightest pixel."""
    detector, separable = Fingerprint(), Fingerprint(grid="separable")
    cases: dict[str, Callable[[], np.ndarray]] = {
        f"{name}, {label}": lambda n=name, a=arguments: window(n, *a, rng)
        for name in CRYSTALS
        for label, arguments in {
            "250 atoms": (250, 0.0, 0.0),
            "500 atoms": (500, 0.0, 0.0),
            "sigma 0.1, vacancies 60 %": (250, 0.1, 0.6),
        }.items()
    }
    cases["random packing, 250 atoms"] = lambda: packing(250, rng)
    rows: list[dict[str, float | str | int]] = []
    for case, make in cases.items():
        differences = []
        for _ in range(windows):
            points = make()
            flat = detector.exact(points)
            nodes = separable.exact(points)
            pairs = ((detector(points), flat), (separable(points), nodes), (nodes, flat))
            differences.append([float(np.abs(a - b).max()) for a, b in pairs])
        median, largest = np.median(differences, axis=0), np.max(differences, axis=0)
        rows.append(
            {
                "case": case,
                "windows": windows,
                "detector_median": float(median[0]),
                "detector_max": float(largest[0]),
                "separable_max": float(largest[1]),
                "between_grids_median": float(median[2]),
                "between_grids_max": float(largest[2]),
            }
        )
    return rows


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/fingerprint.json"))
    parser.add_argument("--windows", type=int, default=8, help="windows per row of the agreement")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    start = time.perf_counter()
    Fingerprint()(np.zeros((1, 4, 3), np.float32))
    first = time.perf_counter() - start
    print(f"first call (compiling, or loading what was compiled): {first:.2f} s\n")
    print("atoms  grid       threads  us/window  floor us")
    timings = speed(rng)
    for row in timings:
        print(
            f"{row['atoms']:5d}  {row['grid']:9s}  {row['threads']:7d}  "
            f"{row['us_per_window']:9.0f}  {row['floor_us']:8.0f}"
        )
    print(
        "\nlargest difference / brightest pixel    fast - exact      fast - exact   flat detector"
    )
    print("                                        flat detector     separable      - separable")
    differences = agreement(options.windows, rng)
    for row in differences:
        print(
            f"{row['case']:38s}  {row['detector_median']:.1e} {row['detector_max']:.1e}   "
            f"{row['separable_max']:.1e}        {row['between_grids_median']:.3f}"
        )
    options.output.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "first_call_s": first,
        "speed": timings,
        "agreement": differences,
    }
    options.output.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\nwritten to {options.output}")


if __name__ == "__main__":
    main()
