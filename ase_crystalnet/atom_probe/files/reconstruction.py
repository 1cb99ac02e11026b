"""Atom-probe reconstructions: read .pos, .epos and .apt, range them, write .pos.

A reconstruction is one position and one mass-to-charge ratio an ion. Ranging gives each ion a
species; an ion whose mass lies in no range stays, unranged: it was an atom of the specimen, in its
place, whatever it was.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.atom_probe.files.range_files import read_ranges
from ase_crystalnet.atom_probe.files.ranges import UNRANGED, Ion, RangeTable
from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import open_plain, reason_of

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["SUFFIXES", "Reconstruction", "is_reconstruction", "read_reconstruction", "write_pos"]

_ANGSTROM = 10.0  # a nanometre
_POS = np.dtype([("position", ">f4", 3), ("mass", ">f4")])
#: B. Gault et al., Atom Probe Microscopy (2012), appendix: extended pos.
_EPOS = np.dtype(
    [
        *_POS.descr,
        ("time_of_flight", ">f4"),
        ("dc_voltage", ">f4"),
        ("pulse_voltage", ">f4"),
        ("detector", ">f4", 2),
        ("pulses_since_last", ">u4"),
        ("ions_in_pulse", ">u4"),
    ]
)
#: Suffixes of reconstructions.
SUFFIXES = (".pos", ".epos", ".apt")
#: Where the header of an .apt file has the number of ions: after mark, two sizes, name and time.
_APT_COUNT = 4 + 4 + 4 + 512 + 8
#: Farther than this from the origin, in nanometres, is no place in a specimen.
_FARTHEST = 1e6
_LFS = b"version https://git-lfs"


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
    """

    positions: NDArray[np.float32]
    mass: NDArray[np.float32]
    species: NDArray[np.int16]
    ranges: RangeTable | None = None
    detector: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    source: str = ""

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
        return atoms


def is_reconstruction(path: str | Path) -> bool:
    """Whether a file can be one, by its first bytes: not text, not empty."""
    try:
        _check_binary(Path(path))
    except (InputError, OSError):
        return False
    return True


def read_reconstruction(
    path: str | Path, ranges: RangeTable | str | Path | None = None
) -> Reconstruction:
    """Read a reconstruction: .pos, .epos or .apt (APSuite 6), in any case.

    Parameters
    ----------
    path : str or Path
        The file. Its nanometres become Angstrom.
    ranges : RangeTable, str or Path, optional
        Ranges, or their file (.rng, .rrng, .env). Without, all ions are unranged.

    Raises
    ------
    InputError
        In one line, if it is no such file, or cut off; or if a range file cannot be understood.
    FileNotFoundError
        If a file is not there.

    Notes
    -----
    .pos and .epos are records of big-endian numbers, which NumPy reads at once; .apt is read by
    `ifes-apt-tc-data-modeling`, whose authors have the format from its vendor (extra ``apt``).
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: expected a reconstruction ({', '.join(SUFFIXES)})")
    # The ranges first: they fail fast.
    table = read_ranges(ranges) if isinstance(ranges, (str, Path)) else ranges
    _check_binary(path)
    found = {".pos": _read_pos, ".epos": _read_epos, ".apt": _read_apt}[suffix](path)
    bad = ~np.isfinite(found.positions).all(axis=1) | ~np.isfinite(found.mass)
    bad |= np.abs(found.positions).max(axis=1, initial=0.0) > _FARTHEST * _ANGSTROM
    if bad.any():
        i = int(np.argmax(bad))
        raise InputError(
            f"{path}: ion {i} is at {(found.positions[i] / _ANGSTROM).tolist()} nm with "
            f"{float(found.mass[i]):g} Da; is this a {path.suffix.lower()} file, and whole?"
        )
    return found if table is None else found.ranged(table)


def _check_binary(path: Path) -> None:
    """Refuse what is no binary file: a pointer, a table, nothing."""
    with open_plain(path) as file:
        head = file.read(4096)
    if not head:
        raise InputError(f"{path}: is empty")
    if head.startswith(_LFS):
        raise InputError(f"{path}: is a Git LFS pointer, not the file; fetch it with git lfs pull")
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        raise InputError(
            f"{path}: holds text; expected the binary records of a {path.suffix.lower()} file"
        )


def _records(path: Path, kind: np.dtype[Any]) -> NDArray[Any]:
    size = path.stat().st_size
    if size % kind.itemsize:
        raise InputError(
            f"{path}: is {size} bytes long, no multiple of the {kind.itemsize} bytes of an ion in "
            f"a {path.suffix.lower()} file; it is cut off, or another format"
        )
    return np.fromfile(path, kind)


def _reconstruction(
    path: Path, positions: NDArray[Any], mass: NDArray[Any], detector: Mapping[str, Any]
) -> Reconstruction:
    return Reconstruction(
        positions=positions.astype(np.float32) * np.float32(_ANGSTROM),
        mass=mass.astype(np.float32),
        species=np.full(len(mass), UNRANGED, np.int16),
        detector=detector,
        source=str(path),
    )


def _read_pos(path: Path) -> Reconstruction:
    records = _records(path, _POS)
    return _reconstruction(path, records["position"], records["mass"], {})


def _read_epos(path: Path) -> Reconstruction:
    records = _records(path, _EPOS)
    names = [name for name in _EPOS.names or () if name not in (_POS.names or ())]
    native = {name: records[name].astype(_EPOS[name].base.newbyteorder("=")) for name in names}
    return _reconstruction(path, records["position"], records["mass"], native)


def _read_apt(path: Path) -> Reconstruction:
    with open(path, "rb") as file:
        head = file.read(_APT_COUNT + 8)
    if head[:4] != b"APT\0":
        raise InputError(f"{path}: does not begin as an .apt file of APSuite 6 does")
    # The library makes room for so many ions before it looks whether they are there.
    count = int.from_bytes(head[_APT_COUNT:], "little")
    if 4 * count > path.stat().st_size:
        raise InputError(f"{path}: cannot be read as .apt (it names {count} ions); is it whole?")
    with _quiet_library():
        try:
            from ifes_apt_tc_data_modeling.apt.apt6_reader import ReadAptFileFormat
        except ImportError as error:
            raise InputError(
                f"{path}: reading .apt needs a package: pip install ase-crystalnet[apt]"
            ) from error
        try:
            # It knows its files by their suffix, in small letters.
            reader = ReadAptFileFormat(str(path))
            positions = reader.get_reconstructed_positions()
            mass = reader.get_mass_to_charge_state_ratio()
        except (ValueError, TypeError, IndexError, KeyError, OSError, MemoryError) as error:
            raise InputError(
                f"{path}: cannot be read as .apt ({reason_of(error)}); is it whole?"
            ) from error
    if positions is None or mass is None:
        raise InputError(f"{path}: has no positions, or no masses; export it with both")
    found_positions, found_mass = positions.to("nanometer").magnitude, mass.to("dalton").magnitude
    if len(found_positions) != len(found_mass):
        raise InputError(
            f"{path}: has {len(found_positions)} positions and {len(found_mass)} masses"
        )
    return _reconstruction(path, found_positions, found_mass, {})


@contextlib.contextmanager
def _quiet_library() -> Iterator[None]:
    """Keep the library from opening a log file in the working directory, and from talking."""
    root, logger = logging.getLogger(), logging.getLogger("ifes-apt-tc-data-modeling")
    handler, level = logging.NullHandler(), logger.level
    root.addHandler(handler)  # with a handler there, its basicConfig does nothing
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        root.removeHandler(handler)
        logger.setLevel(level)


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
    records = np.empty(len(points), _POS)
    records["position"] = points / _ANGSTROM
    records["mass"] = masses
    write_whole(Path(path), records.tobytes())
