"""What watching a running simulation costs, by the number of atoms.

    python benchmarks/live.py --results live.json

Seconds from asking for a frame of LAMMPS (``fix imd``) to having its atoms, and seconds of the
analysis of one frame with windows on grids of several spacings. Hot copper (sigma 0.15 Angstrom).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk
from common import write_json

from ase_crystalnet import CrystalNet
from ase_crystalnet.live import LiveSource, Monitor
from ase_crystalnet.training.md.lammps import find_lammps

SCRIPT = """units metal
lattice fcc 5.3
region b block 0 {n} 0 {n} 0 {n}
create_box 1 b
create_atoms 1 box
mass 1 39.948
pair_style lj/cut 6.0
pair_coeff * * 0.010341 3.4
velocity all create 60 1
fix 1 all nve
fix watch all imd {port} version 3 trate 1 velocities off forces off
run {steps}
"""


def transport(n: int, port: int, steps: int = 6) -> float:
    """Median seconds between two frames beyond those of the steps of the simulation."""
    with tempfile.TemporaryDirectory() as folder:
        for watched in (False, True):
            script = SCRIPT.format(n=n, port=port, steps=steps)
            if not watched:
                script = script.replace("fix watch", "#")
            (Path(folder) / "in.lammps").write_text(script)
            with subprocess.Popen(
                [find_lammps(), "-in", "in.lammps"], cwd=folder, stdout=subprocess.DEVNULL
            ) as lammps:
                if watched:
                    with LiveSource(f"localhost:{port}", all_frames=True, patience=60) as source:
                        list(source)
                lammps.wait()
            loop = (Path(folder) / "log.lammps").read_text().split("Loop time of ")[1].split()[0]
            if not watched:
                alone = float(loop)
        return (float(loop) - alone) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[6, 14, 30])
    parser.add_argument("--spacings", type=float, nargs="+", default=[6.0, 9.0, 12.0])
    parser.add_argument("--port", type=int, default=15678)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    net, rows = CrystalNet(faults=False), []
    for n in given.cells:
        atoms = bulk("Cu", cubic=True) * n
        rng = np.random.default_rng(0)
        atoms.positions += rng.normal(scale=0.15, size=atoms.positions.shape)
        row: dict[str, Any] = {"atoms": len(atoms), "transport_s": transport(n, given.port)}
        for spacing in given.spacings:
            monitor = Monitor(net, centers="grid", spacing=spacing)
            monitor(atoms)
            seconds, busy = [], []
            for _ in range(3):
                began, used = time.perf_counter(), time.process_time()
                monitor(atoms)
                seconds.append(time.perf_counter() - began)
                busy.append(time.process_time() - used)
            row[f"grid_{spacing:g}_s"] = float(np.median(seconds))
            row[f"grid_{spacing:g}_processor_s"] = float(np.median(busy))
        rows.append(row)
        print(", ".join(f"{name} {value:.3g}" for name, value in row.items()), flush=True)
    write_json(given.results, {"rows": rows, "threads": os.environ.get("NUMBA_NUM_THREADS")})


if __name__ == "__main__":
    main()
