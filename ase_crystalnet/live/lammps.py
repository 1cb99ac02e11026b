"""LAMMPS run from Python: it calls the analysis every so many steps, nothing goes through a disk.

Two of its fixes call Python: ``fix external ... pf/callback``, which every build has, and
``fix python/invoke``, which needs the package PYTHON.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from ase.data import atomic_masses

from ase_crystalnet.errors import InputError
from ase_crystalnet.live.monitor import Callback, Monitor

if TYPE_CHECKING:
    from ase_crystalnet.frames.lindemann import LindemannWindow
    from ase_crystalnet.results.method import Method

__all__ = ["LammpsHook", "atoms_of_lammps", "lammps_hook"]

#: Picoseconds of LAMMPS' unit of time, Angstrom of its unit of length.
_UNITS = {"metal": (1.0, 1.0), "real": (1e-3, 1.0), "electron": (1e-3, 0.529177210903),
          "si": (1e12, 1e10), "cgs": (1e12, 1e8), "micro": (1e6, 1e4), "nano": (1e3, 10.0),
          "lj": (float("nan"), 1.0)}  # fmt: skip


class LammpsHook:
    """Analyses a LAMMPS instance whenever LAMMPS calls it; made by `lammps_hook`.

    Parameters
    ----------
    lammps : lammps.lammps
        The instance.
    monitor : Monitor
        What is done with each frame. With several MPI ranks, that of rank 0 counts.
    every : int
        Steps between two analyses.
    species : sequence of str, optional
        Element of each atom type; by default as masses tell.
    """

    def __init__(
        self, lammps: Any, monitor: Monitor | None, every: int, species: Any = None
    ) -> None:
        if every < 1:
            raise InputError(f"every: expected a number of steps from 1 on, got {every}")
        self.lammps, self.monitor, self.every, self.species = lammps, monitor, every, species
        self._error: BaseException | None = None

    def __call__(
        self, caller: Any, step: int, nlocal: int, ids: Any, positions: Any, forces: Any
    ) -> None:
        """What ``fix external`` calls; it adds no forces."""
        forces[:] = 0.0
        try:
            self.analyze(int(step))
        except BaseException as error:  # would be swallowed on its way through LAMMPS
            self._error = error
            self.lammps.force_timeout()

    def analyze(self, step: int | None = None) -> None:
        """Analyse the present state, if its step is one of those asked for.

        For ``fix python/invoke``, whose function gets a pointer to the instance, call it there.
        """
        now = int(self.lammps.extract_global("ntimestep") if step is None else step)
        if now % self.every:
            return
        # Every rank takes part in gathering; one analyses.
        atoms = atoms_of_lammps(self.lammps, self.species, step=now)
        if self.monitor is None:
            return
        self.monitor(atoms)
        if self.monitor.stopped:
            self.lammps.force_timeout()

    def close(self) -> None:
        """Close the file; LAMMPS is left as it is.

        Raises
        ------
        Exception
            What ended a run of LAMMPS: Ctrl-C, or with ``strict`` what went wrong in a frame.
        """
        if self.monitor is not None:
            self.monitor.close()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def __enter__(self) -> LammpsHook:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def lammps_hook(
    lammps: Any,
    analyzer: Method | None = None,
    path: str | os.PathLike[str] | None = None,
    *,
    every: int = 100,
    on: Callback | None = None,
    lindemann: LindemannWindow = None,
    centers: Any = "grid",
    spacing: float | None = None,
    species: Any = None,
    overwrite: bool = False,
    resume: bool = False,
    strict: bool = False,
    fix: str | None = "crystalnet",
) -> LammpsHook:
    """Have LAMMPS call the analysis every so many steps of its runs.

    Parameters
    ----------
    lammps : lammps.lammps
        An instance of LAMMPS' Python module with its box and atoms.
    analyzer, path, on, lindemann, spacing, overwrite, resume, strict
        As of `Monitor`. If `on` returns something true, the run at hand ends at the next step, as
        by ``timer timeout``: LAMMPS writes its restart files and goes on with the script.
    every : int
        Steps from one analysis to the next.
    centers
        As in `CrystalNet.analyze`; by default a grid, which is quick enough to wait for.
    species : sequence of str, optional
        Element of each atom type; by default as masses tell.
    fix : str or None
        Name of the ``fix external`` that is made; None makes none: call `LammpsHook.analyze`
        where you want it.

    Returns
    -------
    LammpsHook
        Close it, or use it as a context manager, when the runs are done.

    Raises
    ------
    OutputExistsError, OutputLockedError, InputError
        As of `Monitor`.

    Examples
    --------
    >>> with lammps_hook(lmp, path="run.h5", every=1000) as hook:       # doctest: +SKIP
    ...     lmp.command("run 100000")
    """
    first = int(lammps.extract_setting("world_rank")) == 0
    monitor = None
    if first:
        monitor = Monitor(
            analyzer,
            path,
            on=on,
            lindemann=lindemann,
            centers=centers,
            spacing=spacing,
            overwrite=overwrite,
            resume=resume,
            strict=strict,
            source="LAMMPS",
        )
    hook = LammpsHook(lammps, monitor, every, species)
    if fix is not None:
        lammps.command(f"fix {fix} all external pf/callback {every} {every}")
        lammps.set_fix_external_callback(fix, hook, None)
    return hook


def atoms_of_lammps(lammps: Any, species: Any = None, *, step: int | None = None) -> Atoms:
    """The present state of a LAMMPS instance, in the order of the ids; every MPI rank must call it.

    Parameters
    ----------
    lammps : lammps.lammps
    species : sequence of str, optional
        Element of each atom type; by default the one of nearest mass (within 0.5 u).
    step : int, optional
        Of the state.

    Returns
    -------
    ase.Atoms
        Angstrom; step and time (ps) in ``info``, types in ``arrays["type"]``.

    Raises
    ------
    InputError
        There are no atoms, or fewer species than types.
    """
    count = int(lammps.get_natoms())
    if count == 0:
        raise InputError("LAMMPS: there are no atoms yet; make the box and its atoms first")
    units = str(lammps.extract_global("units"))
    to_ps, to_angstrom = _UNITS.get(units, (float("nan"), 1.0))
    positions = np.ctypeslib.as_array(_gathered(lammps, "x", 1, 3), shape=(3 * count,))
    types = np.ctypeslib.as_array(_gathered(lammps, "type", 0, 1), shape=(count,))
    low, high, xy, yz, xz, periodic, _ = lammps.extract_box()
    edges = np.subtract(high, low)
    cell = np.array([[edges[0], 0, 0], [xy, edges[1], 0], [xz, yz, edges[2]]])
    atoms = Atoms(
        numbers=_numbers(lammps, types, species),
        positions=(positions.reshape(-1, 3) - low) * to_angstrom,
        cell=cell * to_angstrom,
        pbc=np.array(periodic, bool),
    )
    atoms.arrays["type"] = types.astype(np.int64)
    now = int(lammps.extract_global("ntimestep") if step is None else step)
    atoms.info["step"] = now
    if np.isfinite(to_ps):
        since = int(lammps.extract_global("atimestep"))
        elapsed = float(lammps.extract_global("atime"))
        atoms.info["time"] = (elapsed + (now - since) * float(lammps.extract_global("dt"))) * to_ps
    return atoms


def _gathered(lammps: Any, name: str, kind: int, columns: int) -> ctypes.Array[Any]:
    gathered: ctypes.Array[Any] = lammps.gather_atoms(name, kind, columns)
    return gathered


def _numbers(lammps: Any, types: Any, species: Any) -> Any:
    """Atomic numbers of the atoms; 0 where neither species nor masses tell."""
    kinds = int(lammps.extract_global("ntypes"))
    if species is not None:
        from ase.data import atomic_numbers

        if len(species) < kinds:
            raise InputError(f"species: expected {kinds}, one for each type, got {len(species)}")
        return np.array([0, *(atomic_numbers[name] for name in species)])[types]
    table = np.zeros(kinds + 1, int)
    masses = lammps.extract_atom("mass")
    for kind in range(1, kinds + 1):
        if masses and masses[kind] > 0:
            nearest = int(np.abs(atomic_masses[1:] - masses[kind]).argmin()) + 1
            if abs(atomic_masses[nearest] - masses[kind]) < 0.5:
                table[kind] = nearest
    return table[types]
