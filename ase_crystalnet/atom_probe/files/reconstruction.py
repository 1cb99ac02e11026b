"""Atom-probe reconstructions: read them, range them, write .pos.

A reconstruction is one position and one mass-to-charge ratio an ion. Ranging gives each ion a
species; an ion whose mass lies in no range stays, unranged: it was an atom of the specimen, in its
place, whatever it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.atom_probe.files.hdf5_frames import open_frames
from ase_crystalnet.atom_probe.files.ion_columns import ANGSTROM, IonColumns, remark_on_units
from ase_crystalnet.atom_probe.files.ion_records import (
    POS,
    check_binary,
    read_apt,
    read_ato,
    read_epos,
    read_pos,
)
from ase_crystalnet.atom_probe.files.ion_tables import is_csv, is_pyccapt, read_csv, read_pyccapt
from ase_crystalnet.atom_probe.files.nexus import is_nexus, read_nexus
from ase_crystalnet.atom_probe.files.range_files import read_ranges
from ase_crystalnet.atom_probe.files.ranges import UNRANGED, Ion, RangeTable
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.results.hdf5_reader import damage, member

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["SUFFIXES", "Reconstruction", "is_reconstruction", "read_reconstruction", "write_pos"]


def _read_hdf5(path: Path) -> IonColumns:
    """Of an .h5 file what it is: NeXus, or a frame of pyccapt."""
    return read_nexus(path) if _names_entry(path) else read_pyccapt(path)


def _is_hdf5(path: Path) -> bool:
    return is_nexus(path) if _names_entry(path) else is_pyccapt(path)


def _names_entry(path: Path) -> bool:
    with open_frames(path) as file, damage(path):
        return any(member(file, name) is not None for name in ("entry1", "entry"))


#: Readers, by suffix.
_READERS: dict[str, Callable[[Path], IonColumns]] = {
    ".pos": read_pos, ".epos": read_epos, ".apt": read_apt, ".ato": read_ato, ".csv": read_csv,
    ".h5": _read_hdf5, ".hdf5": _read_hdf5, ".nxs": read_nexus,
}  # fmt: skip
#: Suffixes of reconstructions.
SUFFIXES = tuple(_READERS)
#: Farther than this from the origin, in nanometres, is no place in a specimen.
_FARTHEST = 1e6
_UNITS = {"nm": ANGSTROM, "angstrom": 1.0}
#: Share of the ions that may lie in no range before it is remarked.
_MOST_UNRANGED = 0.5


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Ions of an atom-probe measurement.

    Attributes
    ----------
    positions : (N, 3) float32 array
        Angstrom.
    mass : (N,) float32 array
        Mass over charge number, Da.
    species : (N,) int16 array
        Index into `ions`; -1 for an unranged ion.
    ranges : RangeTable, optional
        What the species were assigned by.
    detector : mapping of str to (N, ...) array
        Other columns of an .epos file: ``time_of_flight`` (ns), ``dc_voltage``, ``pulse_voltage``
        (V), ``detector`` (N, 2) (mm), ``pulses_since_last``, ``ions_in_pulse``.
    source : str
        File.
    notes : tuple of str
        What was noticed when it was read, in words; part of `remarks`.
    """

    positions: NDArray[np.float32]
    mass: NDArray[np.float32]
    species: NDArray[np.int16]
    ranges: RangeTable | None = None
    detector: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    source: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.mass)

    @property
    def ions(self) -> tuple[Ion, ...]:
        """Species, in the order of the range file; empty without one."""
        return self.ranges.ions if self.ranges is not None else ()

    @property
    def counts(self) -> NDArray[np.int64]:
        """Ions of each species, (S,)."""
        return np.bincount(self.species[self.species >= 0], minlength=len(self.ions))

    @property
    def unranged(self) -> int:
        """Number of ions whose mass lies in no range."""
        return int(np.count_nonzero(self.species < 0))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What a reader should know of the file and its ranges, in words."""
        if self.ranges is None:
            return self.notes
        found = [*self.notes, *(f"ranges: {note}" for note in self.ranges.notes)]
        if len(self) and self.unranged > _MOST_UNRANGED * len(self):
            share = "none" if self.unranged == len(self) else f"{1 - self.unranged / len(self):.1%}"
            found.append(
                f"{share} of the ions lies in a range of {self.ranges.source or 'the table'}; are "
                "they the ranges of this measurement?"
            )
        return tuple(found)

    def composition(self) -> dict[str, float]:
        """Share of each element among the atoms of the ranged ions, molecules split, 0 to 1.

        Parts that are no chemical elements are counted under the names they have.
        """
        atoms: dict[str, float] = {}
        for ion, count in zip(self.ions, self.counts.tolist(), strict=True):
            for symbol, number in ion.composition or ((ion.name, 1),):
                atoms[symbol] = atoms.get(symbol, 0.0) + number * count
        total = sum(atoms.values())
        shares = {symbol: count / total for symbol, count in atoms.items() if count}
        return dict(sorted(shares.items(), key=lambda item: -item[1]))

    def ranged(self, ranges: RangeTable | str | Path) -> Reconstruction:
        """The same ions with other ranges."""
        table = ranges if isinstance(ranges, RangeTable) else read_ranges(ranges)
        return replace(self, ranges=table, species=table.assign(self.mass))

    def take(self, chosen: NDArray[Any]) -> Reconstruction:
        """Some of the ions, by index or mask."""
        return replace(
            self,
            positions=self.positions[chosen],
            mass=self.mass[chosen],
            species=self.species[chosen],
            detector={name: column[chosen] for name, column in self.detector.items()},
        )

    def select(self, species: Sequence[str]) -> Reconstruction:
        """Ions that are, or contain, one of some species.

        Parameters
        ----------
        species : sequence of str
            Elements (``Cr`` takes CrO as well), ions by name (``CrO``), or ``unranged``.

        Raises
        ------
        InputError
            If a name is none of the species, or no ion is left.
        """
        chosen = np.zeros(len(self), bool)
        for name in species:
            if name.lower() == "unranged":
                chosen |= self.species == UNRANGED
                continue
            found = [
                i
                for i, ion in enumerate(self.ions)
                if name == ion.name or name in (symbol for symbol, _ in ion.composition)
            ]
            if not found:
                known = ", ".join(ion.name for ion in self.ions) or "none: give ranges"
                raise InputError(f"species: expected one of {known}, or unranged; got {name!r}")
            chosen |= np.isin(self.species, found)
        if not chosen.any():
            raise InputError(f"species: no ion of {', '.join(species)} in {self.source or 'it'}")
        return self.take(chosen)

    def to_atoms(self, molecular: str = "keep", unranged: bool = True) -> Atoms:
        """Ions as a finite structure.

        Parameters
        ----------
        molecular : {'keep', 'split'}
            A molecular ion is one site of atomic number 0, or as many atoms in one place as it has.
        unranged : bool
            Whether unranged ions (atomic number 0) are among them.

        Returns
        -------
        ase.Atoms
            With arrays ``mass_to_charge`` (Da), ``ion`` (index into ``info['ions']``, -1 unranged)
            and, if split, ``ion_index`` (which ion an atom is of).

        Raises
        ------
        InputError
            If `molecular` is neither.
        """
        from ase import Atoms

        if molecular not in ("keep", "split"):
            raise InputError(f"molecular: expected 'keep' or 'split', got {molecular!r}")
        chosen = np.arange(len(self)) if unranged else np.flatnonzero(self.species >= 0)
        species = self.species[chosen]
        if molecular == "keep":
            numbers = np.array([*(ion.number for ion in self.ions), 0])[species]
        else:
            parts = [*(ion.numbers for ion in self.ions), (0,)]
            length = np.array([len(part) for part in parts])[species]
            table = np.zeros((len(parts), max(map(len, parts))), np.int64)
            for i, part in enumerate(parts):
                table[i, : len(part)] = part
            index = np.repeat(np.arange(len(chosen)), length)
            within = np.arange(len(index)) - np.repeat(np.cumsum(length) - length, length)
            numbers = table[species[index], within]
            chosen, species = chosen[index], species[index]
        atoms = Atoms(numbers=numbers, positions=self.positions[chosen].astype(np.float64))
        atoms.set_array("mass_to_charge", self.mass[chosen])
        atoms.set_array("ion", species.astype(np.int32))
        if molecular == "split":
            atoms.set_array("ion_index", chosen)
        if self.ions:
            atoms.info["ions"] = [ion.name for ion in self.ions]
        if self.source:
            atoms.info["source"] = self.source
        if self.remarks:
            atoms.info["remarks"] = "; ".join(self.remarks)
        return atoms


def is_reconstruction(path: str | Path) -> bool:
    """Whether a file can be one, by its suffix and content: records, or columns with their names.

    Parameters
    ----------
    path : str or Path
        Of any suffix; other than .csv and .h5 it is one if it is neither text nor empty.
    """
    path = Path(path)
    tables = {".csv": is_csv, ".h5": _is_hdf5, ".hdf5": _is_hdf5, ".nxs": is_nexus}
    try:
        if named := tables.get(path.suffix.lower()):
            return named(path)
        check_binary(path)
    except (InputError, OSError):
        return False
    return True


def read_reconstruction(
    path: str | Path,
    ranges: RangeTable | str | Path | None = None,
    *,
    units: Literal["nm", "angstrom"] | None = None,
) -> Reconstruction:
    """Read a reconstruction, its format by its suffix, in any case.

    Parameters
    ----------
    path : str or Path
        .pos, .epos, .ato, .apt (APSuite 6), .csv with x, y, z and m/n, .h5 (pyccapt, NXapm) or
        .nxs (NXapm). Its
        nanometres become Angstrom.
    ranges : RangeTable, str or Path, optional
        Ranges, or their file (`read_ranges`). Without, all ions are unranged.
    units : {'nm', 'angstrom'}, optional
        Of the positions, where they are in another unit than the format has.

    Returns
    -------
    Reconstruction
        Its `remarks` tell what is odd: bytes in the other order, positions that seem to be in
        Angstrom, ions that are declared without any range, ranges that hold few ions.

    Raises
    ------
    InputError
        In one line, if it is no such file, or cut off; or if a range file cannot be understood.
    FileNotFoundError
        If a file is not there.

    Notes
    -----
    .pos, .epos and .ato are records of numbers, which NumPy reads at once, as it does tables; .apt
    is read by `ifes-apt-tc-data-modeling`, whose authors have the format from its vendor (extra
    ``apt``).
    """
    path = Path(path)
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{path}: expected a reconstruction (.pos, .epos, .apt), or one in .ato, .csv, .h5, "
            ".nxs"
        )
    if units is not None and units not in _UNITS:
        raise InputError(f"units: expected 'nm' or 'angstrom', got {units!r}")
    # The ranges first: they fail fast.
    table = read_ranges(ranges) if isinstance(ranges, (str, Path)) else ranges
    columns = reader(path)
    scale = columns.scale if units is None else _UNITS[units]
    with np.errstate(all="ignore"):  # what is no number is refused below
        positions = columns.positions.astype(np.float32) * np.float32(scale)
        mass = columns.mass.astype(np.float32)
    bad = ~np.isfinite(positions).all(axis=1) | ~np.isfinite(mass)
    bad |= np.abs(positions).max(axis=1, initial=0.0) > _FARTHEST * ANGSTROM
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(
            f"{path}: ion {i} is at {(positions[i] / ANGSTROM).tolist()} nm with "
            f"{float(mass[i]):g} Da; is this a {path.suffix.lower()} file, and whole?"
        )
    notes = columns.notes
    if units is None and not columns.unit_stated:
        notes += remark_on_units(columns.positions)
    found = Reconstruction(
        positions=positions,
        mass=mass,
        species=np.full(len(mass), UNRANGED, np.int16),
        detector=columns.detector,
        source=str(path),
        notes=notes,
    )
    return found if table is None else found.ranged(table)


def write_pos(path: str | Path, positions: ArrayLike, mass: ArrayLike) -> None:
    """Write a .pos file: big-endian float32 x, y, z (nm) and mass over charge number (Da).

    Parameters
    ----------
    path : str or Path
        Replaced if it exists.
    positions : (N, 3) array
        Angstrom.
    mass : (N,) array
        Da.

    Raises
    ------
    InputError
        If the shapes do not fit.
    """
    from ase_crystalnet.io.whole_files import write_whole

    points, masses = np.asarray(positions), np.asarray(mass)
    if points.ndim != 2 or points.shape[1] != 3 or masses.shape != points.shape[:1]:
        raise InputError(
            f"write_pos: expected positions (N, 3) and masses (N,), got {points.shape} and "
            f"{masses.shape}"
        )
    records = np.empty(len(points), POS)
    records["position"] = points / ANGSTROM
    records["mass"] = masses
    write_whole(Path(path), records.tobytes())
