"""Trajectory files made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.support.fakes import frames


def lammps_dump(path: Path, count: int = 3) -> Path:
    """A dump as LAMMPS writes it, atoms in no order."""
    rng = np.random.default_rng(0)
    text = ""
    for step, atoms in enumerate(frames(count)):
        length = atoms.cell.lengths()
        text += f"ITEM: TIMESTEP\n{100 * step}\nITEM: NUMBER OF ATOMS\n{len(atoms)}\n"
        text += "ITEM: BOX BOUNDS pp pp pp\n" + "".join(f"0 {value}\n" for value in length)
        text += "ITEM: ATOMS id type x y z\n"
        for index in rng.permutation(len(atoms)):
            x, y, z = atoms.positions[index]
            text += f"{index + 1} 1 {x:.6f} {y:.6f} {z:.6f}\n"
    path.write_text(text)
    return path


def molecular_file(path: Path, count: int = 3) -> Path:
    """Frames half a picosecond apart as DCD, XTC or TRR (chemfiles), or NetCDF of three kinds.

    The NetCDF files are "classic", "offset" (64-bit) and "hdf5" (version 4), by the name.
    """
    if path.suffix in (".nc", ".ncdf"):
        return _netcdf(path, count)
    import chemfiles

    with chemfiles.Trajectory(str(path), "w") as file:
        for number, atoms in enumerate(frames(count)):
            frame = chemfiles.Frame()
            for position in atoms.positions:
                frame.add_atom(chemfiles.Atom("Cu"), position.tolist())
            frame.cell = chemfiles.UnitCell(atoms.cell.lengths().tolist())
            frame.step = number
            frame["time"] = 0.5 * number
            file.write(frame)
    return path


def _netcdf(path: Path, count: int) -> Path:
    import netCDF4

    kind = {"classic": "NETCDF3_CLASSIC", "offset": "NETCDF3_64BIT_OFFSET", "hdf5": "NETCDF4"}
    some = frames(count)
    with netCDF4.Dataset(path, "w", format=kind.get(path.stem, "NETCDF3_64BIT_OFFSET")) as file:
        file.Conventions, file.ConventionVersion, file.program = "AMBER", "1.0", "test"
        sizes = {"frame": None, "atom": len(some[0]), "spatial": 3, "cell_spatial": 3}
        for name, size in {**sizes, "cell_angular": 3}.items():
            file.createDimension(name, size)
        time = file.createVariable("time", "f4", ("frame",))
        time.units = "picosecond"
        where = file.createVariable("coordinates", "f4", ("frame", "atom", "spatial"))
        where.units = "angstrom"
        lengths = file.createVariable("cell_lengths", "f8", ("frame", "cell_spatial"))
        angles = file.createVariable("cell_angles", "f8", ("frame", "cell_angular"))
        for number, atoms in enumerate(some):
            time[number], where[number] = 0.5 * number, atoms.positions
            lengths[number], angles[number] = atoms.cell.lengths(), atoms.cell.angles()
    return path
