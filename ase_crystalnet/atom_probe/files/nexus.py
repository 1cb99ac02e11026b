"""NeXus files of atom probes (application definition NXapm), as pynxtools-apm writes them.

Positions and masses are at known places below the entry; HDF5 is asked for these names only, since
it cannot list a damaged file without risk. Ranges are ions ``ion1``, ``ion2``, ... with hashes of
their nuclides, H = Z + 256 N (N neutrons, 0 where they are not known), and mass intervals.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from ase.data import chemical_symbols
from numpy.typing import NDArray

from ase_crystalnet.atom_probe.files.hdf5_frames import check_size, open_frames
from ase_crystalnet.atom_probe.files.ion_columns import ANGSTROM, IonColumns
from ase_crystalnet.atom_probe.files.range_lines import MOST_IONS, RangeBuilder
from ase_crystalnet.atom_probe.files.ranges import Ion, RangeTable
from ase_crystalnet.errors import InputError
from ase_crystalnet.io.results.hdf5_reader import damage, member

__all__ = ["is_nexus", "read_nexus", "read_nexus_ranges"]

_ENTRIES = ("entry1", "entry")
_PROBES = ("atom_probe", "atom_probeID", "atom_probe1", "atomprobe")
_UNITS = {"nm": 10.0, "nanometer": 10.0, "angstrom": 1.0, "å": 1.0, "m": 1e10, "um": 1e4}
#: Atoms of an ion in the definition.
_MOST_ATOMS = 32


def _place(file: Any, tail: str) -> Any:
    """The first of the places at which a dataset may be."""
    for entry in _ENTRIES:
        for probe in ("", *(f"{name}/" for name in _PROBES)):
            found = member(file, f"{entry}/{probe}{tail}")
            if found is not None:
                return found
    return None


def is_nexus(path: Path) -> bool:
    """Whether an HDF5 file holds a reconstruction where NXapm has it."""
    with open_frames(path) as file, damage(path):
        return _place(file, "reconstruction/reconstructed_positions") is not None


def read_nexus(path: Path) -> IonColumns:
    """Read positions and masses of an NXapm file.

    Raises
    ------
    InputError
        If it is none, holds no reconstruction, or its arrays do not fit.
    """
    with open_frames(path) as file, damage(path):
        places = _place(file, "reconstruction/reconstructed_positions")
        masses = _place(file, "mass_to_charge_conversion/mass_to_charge")
        if places is None or masses is None:
            missing = "reconstructed_positions" if places is None else "mass_to_charge"
            raise InputError(
                f"is a NeXus file without {missing}; expected entry1/atom_probe/reconstruction and "
                "mass_to_charge_conversion of NXapm"
            )
        if places.ndim != 2 or places.shape[1] != 3 or masses.shape != places.shape[:1]:
            raise InputError(
                f"expected positions (N, 3) and masses (N,), got {places.shape} and {masses.shape}"
            )
        for data in (places, masses):
            if data.dtype.kind not in "fiu":
                raise InputError(f"{data.name} holds no numbers")
            check_size(path, data)
        unit = _text(places.attrs.get("units"))
        known = _UNITS.get(unit.lower())
        if unit and known is None:
            raise InputError(f"positions are in {unit!r}; expected nm, angstrom, um or m")
        return IonColumns(
            np.asarray(places[()]), np.asarray(masses[()]), scale=known or ANGSTROM,
            unit_stated=known is not None,
        )  # fmt: skip


def read_nexus_ranges(path: Path) -> RangeTable:
    """Read the ranges of an NXapm file.

    Raises
    ------
    InputError
        If it has none, or they cannot be understood.
    """
    builder = RangeBuilder()
    with open_frames(path) as file, damage(path):
        for number in range(MOST_IONS + 1):
            ion = _place(file, f"ranging/peak_identification/ion{number}")
            if ion is None:
                if number > 0:
                    break
                continue
            bounds = member(ion, "mass_to_charge_range")
            if bounds is None:
                continue
            check_size(path, bounds)
            pairs = np.atleast_2d(np.asarray(bounds[()], np.float64))
            if pairs.shape[1] != 2:
                raise InputError(f"ion{number}: expected pairs of masses, got {pairs.shape}")
            kind = _ion(path, ion, number)
            if kind is None:
                continue  # the unknown ion: what is left when all others are ranged
            index = builder.index(kind)
            for low, high in pairs.tolist():
                builder.add(low, high, index)
    if not builder.ranges:
        raise InputError(
            f"{path}: has no ranges (entry1/atom_probe/ranging/peak_identification/ion1); give "
            "another range file"
        )
    return builder.build(str(path))


def _ion(path: Path, group: Any, number: int) -> Ion | None:
    """Species of a range, by its nuclides, or else its name; None for the unknown ion."""
    hashes = member(group, "nuclide_hash")
    parts: list[tuple[str, int]] = []
    if hashes is not None:
        check_size(path, hashes)
        values: NDArray[Any] = np.asarray(hashes[()]).ravel()[:_MOST_ATOMS]
        for value in values.astype(np.int64).tolist():
            protons = value % 256
            if value and not 0 < protons < len(chemical_symbols):
                raise InputError(f"ion{number}: {value} is the hash of no nuclide")
            if value:
                parts.append((chemical_symbols[protons], 1))
    if parts:
        return Ion.of(parts)
    name = member(group, "name")
    text = _text(name[()]) if name is not None else ""
    text = text.replace("+", "").strip()
    return Ion(text) if text and not text.lower().startswith("unknown") else None


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value if isinstance(value, str) else ""
