"""NetCDF trajectories in AMBER's convention, as AMBER, LAMMPS and ASE write them.

Files of NetCDF 3 are read by SciPy; those of NetCDF 4 and of 64-bit data, which LAMMPS writes, by
the package netCDF4 (extra ``files``).
"""

from __future__ import annotations

import contextlib
import importlib
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import check_plain, open_plain
from ase_crystalnet.io.trajectories.formats import FrameError
from ase_crystalnet.io.trajectories.molecular import Names

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["NetcdfTrajectory"]

_COORDINATES = ("coordinates", "unwrapped_coordinates")
_PICOSECONDS = {"femtosecond": 1e-3, "fs": 1e-3, "picosecond": 1.0, "ps": 1.0, "nanosecond": 1e3}
_ANGSTROM = {"nanometer": 10.0, "nm": 10.0, "bohr": 0.529177210903}


class NetcdfTrajectory:
    """An open file: its number of frames, and frames by their number.

    Parameters
    ----------
    source : str
    names : Names, optional
        Of the atoms, from a topology; by default what the file has of types.

    Raises
    ------
    InputError
        The package netCDF4 is wanted and not installed; for a frame, the topology does not fit.
    FrameError
        It is no trajectory in AMBER's convention, or damaged.
    """

    def __init__(self, source: str, names: Names | None = None) -> None:
        self.source, self.size = source, check_plain(source)
        self._names = names
        with open_plain(source) as file:
            head = file.read(4)
        self._file = _by_scipy(source) if head in (b"CDF\x01", b"CDF\x02") else _by_netcdf4(source)
        variables = self._file.variables
        found = [name for name in _COORDINATES if name in variables]
        if not found:
            self.close()
            raise FrameError("expected a trajectory in AMBER's convention, it has no coordinates")
        self._coordinates = variables[found[0]]
        shape = self._coordinates.shape
        if len(shape) not in (2, 3) or shape[-1] != 3:
            self.close()
            raise FrameError(f"expected coordinates (frame, atom, 3), got the shape {shape}")
        self._moving = len(shape) == 3
        if self._moving and 4 * 3 * shape[1] > self.size:
            self.close()
            raise FrameError("damaged, it states more than the file holds")

    def __len__(self) -> int:
        return int(self._coordinates.shape[0]) if self._moving else 1

    def __getitem__(self, number: int) -> Atoms:
        from ase import Atoms
        from ase.cell import Cell

        positions = self._frame(self._coordinates, number)
        if positions.ndim != 2 or len(positions) == 0:
            raise FrameError("cut short, it has no coordinates")
        positions = positions * _factor(self._coordinates, _ANGSTROM)
        lengths = self._of("cell_lengths", number, (3,), _ANGSTROM)
        angles = self._of("cell_angles", number, (3,), {})
        cell = None
        if lengths is not None and np.isfinite(lengths).all() and (lengths > 0).all():
            right = angles is None or not np.isfinite(angles).all()
            cell = Cell.new(np.concatenate([lengths, [90.0] * 3 if right else angles]))
        types = self._types(number, len(positions))
        atoms = Atoms(
            numbers=np.clip(types, 1, 118), positions=positions, cell=cell, pbc=cell is not None
        )
        atoms.arrays["type"] = types
        origin = self._of("cell_origin", number, (3,), _ANGSTROM)
        if origin is not None and np.isfinite(origin).all():
            atoms.set_celldisp(origin)
        if self._names is not None:
            self._names.give(atoms, self.source)
        time = self._of("time", number, (), _PICOSECONDS)
        if time is not None and np.isfinite(time):
            atoms.info["time_ps"] = float(time)
        ids = self._of("id", number, (len(atoms),), {})
        if ids is not None and self._names is None and len(np.unique(ids)) == len(atoms):
            info, shift = atoms.info, atoms.get_celldisp()
            atoms = atoms[np.argsort(ids)]
            atoms.info = info
            atoms.set_celldisp(shift)
        return atoms

    def close(self) -> None:
        """Close the file."""
        with warnings.catch_warnings(), contextlib.suppress(Exception):
            warnings.simplefilter("ignore")  # SciPy warns of arrays that are still in use
            self._file.close()

    def _frame(self, variable: Any, number: int) -> Any:
        """One frame of a variable, or all of one that has no frames."""
        dimensions = getattr(variable, "dimensions", ())
        data = variable[number] if "frame" in dimensions else variable[:]
        return np.array(np.ma.filled(np.ma.asarray(data, dtype=float), np.nan))

    def _of(
        self, name: str, number: int, shape: tuple[int, ...], units: dict[str, float]
    ) -> Any | None:
        """A quantity of a frame, in our units; None if the file has none of that shape."""
        variable = self._file.variables.get(name)
        if variable is None:
            return None
        try:
            values = self._frame(variable, number)
        except (IndexError, TypeError, ValueError):
            return None
        return values * _factor(variable, units) if values.shape == shape else None

    def _types(self, number: int, count: int) -> Any:
        for name in ("Z", "element", "type", "atom_types"):
            values = self._of(name, number, (count,), {})
            if values is not None and np.isfinite(values).all() and (np.abs(values) < 1e9).all():
                return values.astype(int)
        return np.ones(count, int)


def _factor(variable: Any, units: dict[str, float]) -> float:
    """What values are multiplied by: the factor in the file, unless the reader applies it; unit."""
    unit = getattr(variable, "units", b"")
    unit = unit.decode("latin-1") if isinstance(unit, bytes) else str(unit)
    factor = 1.0
    if not hasattr(variable, "set_auto_scale"):  # netCDF4 applies it
        stored = np.ravel(getattr(variable, "scale_factor", 1.0))
        factor = float(stored[0]) if len(stored) and np.isfinite(stored[0]) else 1.0
    return factor * units.get(unit.lower().rstrip("s"), units.get(unit.lower(), 1.0))


def _by_scipy(source: str) -> Any:
    from scipy.io import netcdf_file

    return netcdf_file(source, "r", mmap=True)


def _by_netcdf4(source: str) -> Any:
    try:
        package = importlib.import_module("netCDF4")
    except ImportError as error:
        raise InputError(
            f"{source}: NetCDF files of this kind need the package netCDF4 (pip install netCDF4, "
            "or the extra files)"
        ) from error
    return package.Dataset(source, "r")
