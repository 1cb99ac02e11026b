"""One small file of every format that is read, and the table of docs/formats.md.

    python -m tests.support.formats > table.md

Files are made by the libraries that write them, or by hand as the programs write them. All hold the
same copper, so that reading them has one right answer: `tests/io/trajectories/test_formats.py`.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ase.build import bulk

FRAMES = 3
#: Copper that is 7.2 by 7.2 by 10.8 Angstrom, so that axes cannot be exchanged.
COPPER = bulk("Cu", "fcc", a=3.6, cubic=True) * (2, 2, 3)
Maker = Callable[[Path], None]


@dataclass(frozen=True)
class Kind:
    """A row of the table: what writes such files, a name, how one is made and read."""

    program: str
    name: str
    make: Maker
    frames: int = 1
    how: dict[str, Any] = field(default_factory=dict)
    cell: bool = True


def by_ase(format: str, many: bool = False, **options: Any) -> Maker:
    """Have ASE write it."""

    def make(path: Path) -> None:
        from ase.io import write

        write(path, [COPPER] * FRAMES if many else COPPER, format=format, **options)

    return make


def text(content: str | Callable[[], str], pack: Callable[[bytes], bytes] | None = None) -> Maker:
    """Write a text, packed or not."""

    def make(path: Path) -> None:
        data = (content if isinstance(content, str) else content()).encode()
        path.write_bytes(data if pack is None else pack(data))

    return make


def rows(form: str) -> str:
    """A line an atom; `form` is filled with i, x, y, z and the scaled a, b, c."""
    scaled = COPPER.get_scaled_positions()
    return "\n".join(
        form.format(i=i + 1, x=x, y=y, z=z, a=a, b=b, c=c)
        for i, ((x, y, z), (a, b, c)) in enumerate(zip(COPPER.positions, scaled, strict=True))
    )


BOUNDS = "0 7.2\n0 7.2\n0 10.8\n"


def dump(titles: str, form: str, first: str = "", each: str = "", flags: str = " pp pp pp") -> str:
    """A LAMMPS dump of three frames."""
    frame = f"ITEM: NUMBER OF ATOMS\n48\nITEM: BOX BOUNDS{flags}\n{BOUNDS}ITEM: ATOMS {titles}\n"
    return first + "".join(
        f"{each}ITEM: TIMESTEP\n{100 * step}\n{frame}{rows(form)}\n" for step in range(FRAMES)
    )


def yaml() -> str:
    """A LAMMPS YAML dump."""
    box = "".join(f"  - [ {line.replace(' ', ', ')} ]\n" for line in BOUNDS.splitlines())
    return "".join(
        f"---\ncreator: LAMMPS\ntimestep: {step}\nunits: metal\nnatoms: 48\n"
        f"boundary: [ p, p, p, p, p, p, ]\nbox:\n{box}keywords: [ id, type, x, y, z,  ]\ndata:\n"
        f"{rows('  - [ {i} , 1 , {x} , {y} , {z}, ]')}\n...\n"
        for step in range(FRAMES)
    )


def data(form: str, hint: str = "", more: str = "") -> str:
    """A LAMMPS data file."""
    box = "0 7.2 xlo xhi\n0 7.2 ylo yhi\n0 10.8 zlo zhi\n"
    masses = "Masses\n\n1 63.546  # Cu\n"
    return f"made\n\n48 atoms\n1 atom types\n\n{box}\n{more}{masses}\nAtoms{hint}\n\n{rows(form)}\n"


def xyz(comment: str, form: str = "Cu {x} {y} {z}") -> str:
    """An XYZ file of three frames."""
    return f"48\n{comment}\n{rows(form)}\n" * FRAMES


def imd() -> str:
    """A configuration of IMD."""
    head = "#F A 1 1 1 3 0 0\n#C number type mass x y z\n#X 7.2 0 0\n#Y 0 7.2 0\n#Z 0 0 10.8\n#E\n"
    return head + rows("{i} 0 63.546 {x} {y} {z}") + "\n"


def atomeye() -> str:
    """An extended configuration of AtomEye, as LAMMPS writes it."""
    head = "Number of particles = 48\nA = 1.0 Angstrom (basic length-scale)\n"
    for row, vector in enumerate(COPPER.cell, 1):
        for column, value in enumerate(vector, 1):
            head += f"H0({row},{column}) = {value} A\n"
    return head + ".NO_VELOCITY.\nentry_count = 3\n63.546\nCu\n" + rows("{a} {b} {c}") + "\n"


def outcar() -> str:
    """What is read of VASP's OUTCAR."""
    force = rows("{x:12.5f} {y:12.5f} {z:12.5f} 0.0 0.0 0.0")
    cell = "\n".join(
        " ".join(f"{value:13.9f}" for value in (*vector, *vector)) for vector in COPPER.cell
    )
    step = (
        "  in kB       0.0 0.0 0.0 0.0 0.0 0.0\n"
        "      direct lattice vectors                 reciprocal lattice vectors\n"
        f"{cell}\n\n POSITION                                       TOTAL-FORCE (eV/Angst)\n"
        f" {'-' * 80}\n{force}\n {'-' * 80}\n"
        "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)\n  --------\n"
        "  free  energy   TOTEN  =      -170.0 eV\n\n"
        "  energy  without entropy=     -170.0  energy(sigma->0) =     -170.0\n"
    )
    head = (
        " vasp.5.4.4\n POTCAR:    PAW_PBE Cu 22Jun2005\n POTCAR:    PAW_PBE Cu 22Jun2005\n"
        "   ions per type =              48\n   NIONS =     48\n"
    )
    return head + "".join(f"--- Iteration {i}(   1)  ---\n{step}" for i in range(1, FRAMES + 1))


def by_gsd(path: Path) -> None:
    """HOOMD's format."""
    import gsd.hoomd

    with gsd.hoomd.open(str(path), "w") as file:
        for step in range(FRAMES):
            frame = gsd.hoomd.Frame()
            frame.configuration.step = step
            frame.configuration.box = [7.2, 7.2, 10.8, 0, 0, 0]
            frame.particles.N = len(COPPER)
            frame.particles.position = COPPER.positions - [3.6, 3.6, 5.4]
            frame.particles.types, frame.particles.typeid = ["Cu"], [0] * len(COPPER)
            file.append(frame)


def by_chemfiles(path: Path) -> None:
    """DCD, XTC and TRR."""
    import chemfiles

    with chemfiles.Trajectory(str(path), "w") as file:
        for _ in range(FRAMES):
            frame = chemfiles.Frame()
            for position in COPPER.positions.tolist():
                frame.add_atom(chemfiles.Atom("Cu"), position)
            frame.cell = chemfiles.UnitCell(COPPER.cell.lengths().tolist())
            file.write(frame)


def netcdf(kind: str) -> Maker:
    """AMBER's convention, in a version of NetCDF."""

    def make(path: Path) -> None:
        import netCDF4

        with netCDF4.Dataset(path, "w", format=kind) as file:
            file.Conventions = "AMBER"
            for name, size in {"frame": None, "atom": 48, "spatial": 3}.items():
                file.createDimension(name, size)
            where = file.createVariable("coordinates", "f4", ("frame", "atom", "spatial"))
            lengths = file.createVariable("cell_lengths", "f8", ("frame", "spatial"))
            for number in range(FRAMES):
                where[number], lengths[number] = COPPER.positions, COPPER.cell.lengths()

    return make


def zst(content: bytes) -> bytes:
    """Pack as Zstandard."""
    import zstandard

    packed: bytes = zstandard.compress(content)
    return packed


CUSTOM = dump("id type x y z", "{i} 1 {x} {y} {z}")
EXTENDED = xyz('Lattice="7.2 0 0 0 7.2 0 0 0 10.8" Properties=species:S:1:pos:R:3')
KINDS: tuple[Kind, ...] = (
    Kind("ASE, OVITO, QUIP: extended XYZ", "x.extxyz", by_ase("extxyz", True), FRAMES),
    Kind("the same, .gz", "x.extxyz.gz", text(EXTENDED, gzip.compress), FRAMES),
    Kind("the same, .bz2", "x.extxyz.bz2", text(EXTENDED, bz2.compress), FRAMES),
    Kind("the same, .xz", "x.extxyz.xz", text(EXTENDED, lzma.compress), FRAMES),
    Kind("the same, .zst", "x.extxyz.zst", text(EXTENDED, zst), FRAMES),
    Kind("XYZ without a cell", "plain.xyz", by_ase("xyz", True), FRAMES, cell=False),
    Kind("XYZ, cell by an option", "cell.xyz", by_ase("xyz", True), FRAMES,
         {"reader": {"cell": "7.2,7.2,10.8"}}),
    Kind("LAMMPS xyz, numbers for names", "numeric.xyz",
         text(xyz("Atoms. Timestep: 0", "1 {x} {y} {z}")), FRAMES, cell=False),
    Kind("i-PI", "ipi.xyz", text(xyz("# CELL(abcABC): 7.2 7.2 10.8 90.0 90.0 90.0 Step: 0 "
         "Bead: 0 positions{angstrom} cell{angstrom}")), FRAMES),
    Kind("XYZ, box in the comment", "box.xyz", text(xyz("Box 7.2 7.2 10.8")), FRAMES),
    Kind("XYZ, names of a force field", "names.xyz",
         text(xyz("cell 7.2 7.2 10.8", "Cu_3+2 {x} {y} {z}")), FRAMES),
    Kind("LAMMPS dump custom", "x.dump", text(CUSTOM), FRAMES),
    Kind("the same, .gz", "x.dump.gz", text(CUSTOM, gzip.compress), FRAMES),
    Kind("the same, .zst", "x.dump.zst", text(CUSTOM, zst), FRAMES),
    Kind("LAMMPS dump atom (scaled)", "x.lammpstrj",
         text(dump("id type xs ys zs", "{i} 1 {a} {b} {c}")), FRAMES),
    Kind("LAMMPS dump, unwrapped", "unwrapped.dump",
         text(dump("id type xu yu zu", "{i} 1 {x} {y} {z}")), FRAMES),
    Kind("LAMMPS dump, units and time", "units.dump", text(dump("id type x y z",
         "{i} 1 {x} {y} {z}", "ITEM: UNITS\nmetal\n", "ITEM: TIME\n0.1\n")), FRAMES),
    Kind("LAMMPS dump without types", "typeless.dump",
         text(dump("id x y z", "{i} {x} {y} {z}")), FRAMES),
    Kind("LAMMPS dump, a column twice (VoroTop)", "twice.dump",
         text(dump("id type x y z type", "{i} 1 {x} {y} {z} 1")), FRAMES),
    Kind("LAMMPS dump, names of a force field", "element.dump",
         text(dump("id element x y z", "{i} C_3 {x} {y} {z}")), FRAMES),
    Kind("LAMMPS dump, labels of types", "labels.dump",
         text(dump("id typelabel x y z", "{i} Cu+ {x} {y} {z}")), FRAMES),
    Kind("LAMMPS dump before 2010", "old.dump",
         text(dump("id type x y z", "{i} 1 {x} {y} {z}", flags="")), FRAMES),
    Kind("LAMMPS dump yaml", "x.yaml", text(yaml()), FRAMES),
    *(Kind(f"LAMMPS data, style {style}{', no hint' if not hint else ''}",
           f"{style.replace('/', '-')}{'-nohint' if not hint else ''}.data",
           text(data(form, f" # {style}" if hint else "  # my crystal")))
      for style, form in {
          "atomic": "{i} 1 {x} {y} {z}", "charge": "{i} 1 0.5 {x} {y} {z}",
          "molecular": "{i} {i} 1 {x} {y} {z}", "full": "{i} {i} 1 -0.82 {x} {y} {z}",
          "sphere": "{i} 1 2.5 8.9 {x} {y} {z}", "dipole": "{i} 1 0.5 {x} {y} {z} 0 0 1.5",
          "spin": "{i} 1 {x} {y} {z} 0 0 1.0 2.2"}.items() for hint in (True, False)),
    Kind("LAMMPS data, image flags", "flags.data", text(data("{i} 1 {x} {y} {z} 0 0 1"))),
    Kind("LAMMPS data, labels of types", "labels.data",
         text(data("{i} Cu+ {x} {y} {z}", " # atomic", "Atom Type Labels\n\n1 Cu+\n\n"))),
    Kind("LAMMPS data, .gz", "x.data.gz", text(data("{i} 1 {x} {y} {z}"), gzip.compress)),
    Kind("VASP POSCAR", "POSCAR", by_ase("vasp")),
    Kind("VASP POSCAR, direct", "x.vasp", by_ase("vasp", direct=True)),
    Kind("VASP XDATCAR", "XDATCAR", by_ase("vasp-xdatcar", True), FRAMES),
    Kind("VASP OUTCAR", "OUTCAR", text(outcar()), FRAMES),
    Kind("CIF", "x.cif", by_ase("cif")),
    Kind("PDB", "x.pdb", by_ase("proteindatabank")),
    Kind("GROMACS .gro", "x.gro", by_ase("gromacs")),
    Kind("GROMACS .xtc", "x.xtc", by_chemfiles, FRAMES),
    Kind("GROMACS .trr", "x.trr", by_chemfiles, FRAMES),
    Kind("NAMD, CHARMM, LAMMPS .dcd", "x.dcd", by_chemfiles, FRAMES),
    Kind("AMBER NetCDF, classic", "x.nc", netcdf("NETCDF3_CLASSIC"), FRAMES),
    Kind("AMBER NetCDF, 64-bit offset", "x.ncdf", netcdf("NETCDF3_64BIT_OFFSET"), FRAMES),
    Kind("LAMMPS NetCDF, 64-bit data", "x.netcdf", netcdf("NETCDF3_64BIT_DATA"), FRAMES),
    Kind("NetCDF 4", "four.nc", netcdf("NETCDF4"), FRAMES),
    Kind("HOOMD GSD", "x.gsd", by_gsd, FRAMES),
    Kind("IMD", "x.imd", text(imd())),
    Kind("AtomEye .cfg", "x.cfg", text(atomeye())),
    Kind("ASE .traj", "x.traj", by_ase("traj", True), FRAMES),
    Kind("ASE .json", "x.json", by_ase("json")),
    Kind("ASE .db", "x.db", by_ase("db")),
    Kind("XCrySDen .xsf", "x.xsf", by_ase("xsf")),
    Kind("Quantum ESPRESSO input", "x.pwi", by_ase("espresso-in",
         pseudopotentials={"Cu": "Cu.UPF"})),
    Kind("CASTEP .cell", "x.cell", by_ase("castep-cell")),
    Kind("FHI-aims", "geometry.in", by_ase("aims")),
    Kind("DFTB+ .gen", "x.gen", by_ase("gen")),
    Kind("SHELX .res", "x.res", by_ase("res")),
    Kind("Gaussian cube", "x.cube", by_ase("cube")),
    Kind("DL_POLY CONFIG", "x.config", by_ase("dlp4"), how={"format": "dlp4"}),
)  # fmt: skip


def reader_named(path: Path, kind: Kind) -> str:
    """Who reads a file."""
    from ase_crystalnet.io.trajectories.formats import format_of, reader_of

    name = format_of(str(path), kind.how.get("format"))
    words = {
        "xyz": "ASE, rows by NumPy", "dump": "ASE", "yaml": "ASE, rewritten", "gsd": "gsd",
        "traj": "ASE", "molecular": "chemfiles", "netcdf": "SciPy, netCDF4", "ase": "ASE",
    }  # fmt: skip
    own = {"imd": "own", "lammps-data": "ASE, rewritten"}
    return own.get(name) or words[reader_of(name)]


def main() -> None:
    from ase_crystalnet.io.trajectories.stream import iter_frames

    print("| files of | example | frames | read by | frames/s |\n|---|---|---|---|---|")
    with TemporaryDirectory() as place, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in KINDS:
            path = Path(place) / kind.name
            kind.make(path)
            list(iter_frames(path, **kind.how))  # the first time loads the reader
            begun, count = time.perf_counter(), 0
            while (spent := time.perf_counter() - begun) < 0.1:
                count += len(list(iter_frames(path, **kind.how)))
            rate = f"{count / spent:.0f}"
            print(f"| {kind.program} | `{kind.name}` | {kind.frames} | "
                  f"{reader_named(path, kind)} | {rate} |")  # fmt: skip


if __name__ == "__main__":
    main()
