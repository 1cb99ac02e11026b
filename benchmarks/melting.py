"""Melting point by two-phase runs of LAMMPS, and the time of a verdict on one configuration.

    python benchmarks/melting.py --potentials FOLDER --results melting.json

makes a crystal of EAM aluminium (Mendelev et al. 2008, ``Al1.eam.fs``; 926 K by its authors), melts
one half of it, lets it grow or shrink at several temperatures, and asks where the fronts stand
still. Random speeds have fixed seeds; other processors give other runs.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase.build import bulk
from common import write_json

from ase_crystalnet import CrystalNet
from ase_crystalnet.melting import melting_point, verdict
from ase_crystalnet.melting.figures import plot_fronts
from ase_crystalnet.melting.runs import TwoPhaseRun, analyze_run
from ase_crystalnet.training.md.lammps import find_lammps, find_potential

LITERATURE = 926.0  # K, of the potential
SCRIPT = """units metal
lattice fcc 4.045
region all block 0 {side} 0 {side} 0 {length}
create_box 1 all
create_atoms 1 box
pair_style eam/fs
pair_coeff * * {potential} Al
timestep 0.002
thermo 1000
velocity all create {double} {seed} dist gaussian
fix 1 all npt temp {T} {T} 0.1 iso 0 0 1.0
run 3000
unfix 1
variable middle equal zlo+0.5*lz
region upper block INF INF INF INF {middle} INF units box
group upper region upper
group lower subtract all upper
velocity upper create 3000 {seed} dist gaussian
fix 1 upper nvt temp 2500 2000 0.1
run 3000
unfix 1
fix 1 upper nvt temp 2000 {T} 0.1
run 1000
unfix 1
velocity all create {T} {seed} dist gaussian
velocity all zero linear
fix 1 all npt temp {T} {T} 0.1 z 0 0 1.0
run 1000
reset_timestep 0
dump 1 all custom {every} run.dump id type x y z
run {steps}
"""


def two_phase(folder: Path, temperature: float, given: argparse.Namespace) -> Path:
    """Run LAMMPS, unless its dump is there."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "done").exists():
        return folder / "run.dump"
    script = SCRIPT.format(
        potential=find_potential("Al1.eam.fs", given.potentials),
        T=temperature,
        double=2 * temperature,
        seed=1000 + round(temperature),
        side=given.side,
        length=given.length,
        steps=given.steps,
        every=given.steps // given.frames,
        middle="${middle}",
    )
    (folder / "in.lammps").write_text(script)
    subprocess.run(
        [find_lammps(), "-in", "in.lammps"], cwd=folder, check=True, stdout=subprocess.DEVNULL
    )
    (folder / "done").touch()
    return folder / "run.dump"


def verdict_times(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Seconds of one verdict, warm: the median of seven."""
    rows = []
    net = CrystalNet(faults=False)
    for repeat in (5, 6, 8):
        atoms = bulk("Al", cubic=True) * (repeat, repeat, repeat)
        atoms.positions += rng.normal(scale=0.2, size=atoms.positions.shape)
        verdict(atoms, net)
        seconds, busy = [], []
        for _ in range(7):
            began, used = time.perf_counter(), time.process_time()
            answer = verdict(atoms, net)
            seconds.append(time.perf_counter() - began)
            busy.append(time.process_time() - used)
        rows.append(
            {
                "atoms": len(atoms),
                "windows": answer.windows,
                "milliseconds": 1e3 * float(np.median(seconds)),
                "milliseconds_of_processor": 1e3 * float(np.median(busy)),
                "solid_fraction": answer.solid_fraction,
            }
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--potentials", type=Path, help="folder of Al1.eam.fs")
    parser.add_argument("--temperatures", type=float, nargs="+", default=[860, 890, 920, 950, 980])
    parser.add_argument("--side", type=int, default=6, help="cells across (6)")
    parser.add_argument("--length", type=int, default=24, help="cells along the normal (24)")
    parser.add_argument("--steps", type=int, default=20000, help="of 2 fs (20000)")
    parser.add_argument("--frames", type=int, default=20, help="of each run (20)")
    parser.add_argument("--runs", type=Path, default=Path("benchmark-data/melting"))
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--results", type=Path)
    given = parser.parse_args()
    net = CrystalNet(window_atoms=128, divide=False, faults=False)
    motions = []
    for temperature in given.temperatures:
        dump = two_phase(given.runs / f"{temperature:g}", temperature, given)
        motion = analyze_run(TwoPhaseRun(dump, temperature), net, timestep=0.002)
        motions.append(motion)
        print(
            f"{temperature:g} K: {motion.velocity:.2f} +- {motion.velocity_error:.2f} m/s, "
            f"solid {motion.solid_fraction[0]:.2f} to {motion.solid_fraction[-1]:.2f}",
            flush=True,
        )
    point = melting_point(
        given.temperatures, [m.velocity for m in motions], [m.velocity_error for m in motions]
    )
    print(f"{point!r}; {LITERATURE:.0f} K by the authors of the potential")
    times = verdict_times(np.random.default_rng(0))
    for row in times:
        print(f"{row['atoms']} atoms, {row['windows']} windows: {row['milliseconds']:.0f} ms")
    if given.figure is not None:
        plot_fronts(motions, point).savefig(given.figure)
    if given.results is not None:
        runs = [
            {
                "temperature_K": m.temperature,
                "velocity_m_s": m.velocity,
                "error_m_s": m.velocity_error,
                "frames": int(m.used.sum()),
            }
            for m in motions
        ]
        answer = {
            "atoms": 4 * given.side**2 * given.length,
            "literature_K": LITERATURE,
            "melting_point_K": point.temperature,
            "error_K": point.error,
            "runs": runs,
            "verdicts": times,
        }
        write_json(given.results, answer)


if __name__ == "__main__":
    main()
