"""Speed from Atoms to probabilities, stage by stage, and the memory of a large frame.

    python benchmarks/speed.py [--atoms 4000] [--large 100000] [--json FILE]

The floor of a stage is its operations and bytes at the rates that this machine reaches
(`operations.py`). PTM with orientation runs beside it where OVITO is installed.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import operations
from common import markdown, show, write_json
from operations import Rates, timed

from ase_crystalnet import CrystalNet, crystals


def memory_now() -> float:
    """Resident memory of this process now, MB (Linux)."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def copper(atoms: int) -> Any:
    """A hot copper crystal of about `atoms` atoms (sigma 0.08 of the neighbour distance)."""
    rng = np.random.default_rng(0)
    repeat = max(1, round((atoms / 4) ** (1 / 3)))
    crystal = crystals.fcc(2.56).repeat(repeat)
    crystal.positions += rng.normal(scale=0.08 * 2.56, size=crystal.positions.shape)
    return crystal


def stages(net: CrystalNet, atoms: int, rates: Rates) -> list[dict[str, Any]]:
    """Each stage: operations and bytes of a window, the time they imply, the time it takes."""
    crystal = copper(atoms)
    method = net.of_windows()
    finder = method.images.finder
    prepared = method.windower.prepare(crystal)
    centers, _ = prepared.centers("atoms")
    centers = centers[:2048]
    count = len(centers)
    batches = list(prepared.batches(centers, method.batch_size))
    lattices = [finder(b.positions, b.mask) for b in batches]
    standard = [lat.standardize(b.positions) for lat, b in zip(lattices, batches, strict=True)]
    images = [net.fingerprint(s, b.mask) for s, b in zip(standard, batches, strict=True)]
    net.classifier.predict(images[0])
    work: dict[str, Callable[[], object]] = {
        "windows": lambda: list(prepared.batches(centers, method.batch_size)),
        "lattice": lambda: [finder(b.positions, b.mask).standardize(b.positions) for b in batches],
        "fingerprint": lambda: [
            net.fingerprint(s, b.mask) for s, b in zip(standard, batches, strict=True)
        ],
        "network": lambda: [net.classifier.predict(i) for i in images],
    }
    mean = float(np.mean([b.mask.sum(axis=1).mean() for b in batches]))
    rows = []
    for name, needs in operations.count(net, mean).items():
        rows.append(
            {
                "stage": name,
                "Mflop": needs["operations"] / 1e6,
                "kB": needs["bytes"] / 1e3,
                "floor_us": rates.seconds(needs["operations"], needs["bytes"]) * 1e6,
                "us": timed(work[name], 5) / count * 1e6,
                "parts_Mflop": {
                    k: v / 1e6 for k, v in needs.items() if k not in ("operations", "bytes")
                },
            }
        )
    return rows


def large_frame(model: str, atoms: int) -> dict[str, float]:
    """Seconds and memory of one grid-mode frame, in a process of its own."""
    code = (
        "import sys, time; sys.path.insert(0, 'benchmarks');"
        "from common import peak_memory; from speed import copper, memory_now, load;"
        f"net = load({model!r}); net.classifier.predict(__import__('numpy').zeros((1,64,64,3)));"
        "before = memory_now();"
        f"a = copper({atoms}); t = time.perf_counter(); f = net.analyze(a, centers='grid');"
        "print(len(a), f.number_of_windows, time.perf_counter() - t, before, peak_memory())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    n, windows, seconds, before, after = done.stdout.split()[-5:]
    return {
        "atoms": float(n),
        "windows": float(windows),
        "seconds": float(seconds),
        "MB before": float(before),
        "MB at most": float(after),
    }


def load(model: str) -> CrystalNet:
    """Analyzer of a model name or folder."""
    return CrystalNet(Path(model) if Path(model).is_dir() else model)


def ptm_seconds(atoms: Any) -> float | None:
    """Time of polyhedral template matching with orientations; None without OVITO."""
    try:
        from ovito.io.ase import ase_to_ovito
        from ovito.modifiers import PolyhedralTemplateMatchingModifier
    except ImportError:
        return None
    data = ase_to_ovito(atoms)
    return timed(
        lambda: data.clone().apply(PolyhedralTemplateMatchingModifier(output_orientation=True))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="local", help="name or folder of a model")
    parser.add_argument("--atoms", type=int, default=4000)
    parser.add_argument("--large", type=int, default=100_000, help="atoms of the grid-mode frame")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    given = parser.parse_args()
    net = load(given.model)
    crystal = copper(given.atoms)
    net.analyze(crystal, centers="grid")
    rates = Rates()
    show(str(rates))
    rows = stages(net, given.atoms, rates)
    show(
        markdown(
            ("stage", "Mflop", "kB", "floor, us a window", "reached, us a window"),
            [
                (
                    row["stage"],
                    f"{row['Mflop']:.2f}",
                    f"{row['kB']:.0f}",
                    f"{row['floor_us']:.1f}",
                    f"{row['us']:.0f}",
                )
                for row in rows
            ],
        )
    )
    for row in rows:
        if row["parts_Mflop"]:
            parts = ", ".join(f"{k} {v:.2f}" for k, v in row["parts_Mflop"].items())
            show(f"{row['stage']}, Mflop: {parts}")
    every = timed(lambda: net.analyze(crystal, centers="atoms"), 2)
    ptm = ptm_seconds(crystal)
    total = sum(row["us"] for row in rows)
    show(f"\nstages together: {total:.0f} us a window, {1e6 / total:.0f} windows a second")
    show(f"every atom of {len(crystal)}: {len(crystal) / every:.0f} windows a second")
    if ptm is not None:
        show(f"PTM with orientation: {len(crystal) / ptm:.0f} atoms a second")
    large = large_frame(given.model, given.large)
    show(
        f"{large['atoms']:.0f} atoms, grid of {large['windows']:.0f} windows: "
        f"{large['seconds']:.1f} s, {large['MB at most'] - large['MB before']:.0f} MB above the "
        f"{large['MB before']:.0f} MB of the interpreter with the network"
    )
    write_json(
        given.json,
        {
            "rates": vars(rates),
            "stages": {row["stage"]: row for row in rows},
            "windows_a_second": len(crystal) / every,
            "ptm_atoms_a_second": None if ptm is None else len(crystal) / ptm,
            "large": large,
        },
    )


if __name__ == "__main__":
    main()
