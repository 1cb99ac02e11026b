"""Atom-probe files as formats of ase.io: ``ase.io.read("x.pos", ranges="x.rrng")``.

ASE imports this module whenever it is imported itself, so nothing is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ase.utils.plugins import ExternalIOFormat

if TYPE_CHECKING:
    from ase import Atoms

__all__ = [
    "APT",
    "ATO",
    "EPOS",
    "POS",
    "read_apt",
    "read_ato",
    "read_epos",
    "read_pos",
    "write_pos",
]

POS = ExternalIOFormat("Atom-probe reconstruction", "1S", __name__, ext="pos")
EPOS = ExternalIOFormat("Atom-probe reconstruction, extended", "1S", __name__, ext="epos")
APT = ExternalIOFormat(
    "Atom-probe reconstruction of APSuite 6", "1S", __name__, ext="apt", magic=b"APT\0"
)
ATO = ExternalIOFormat("Atom-probe reconstruction of Rouen", "1S", __name__, ext="ato")


def read_pos(
    filename: str,
    ranges: Any = None,
    molecular: str = "keep",
    unranged: bool = True,
    units: Any = None,
) -> Atoms:
    """Read a reconstruction as Atoms.

    Parameters
    ----------
    filename : str
        .pos, .epos, .ato or .apt; by `format="pos"` also .csv and .h5.
    ranges : str, Path or RangeTable, optional
        Range file, see `read_ranges`. Without, all atomic numbers are 0.
    molecular, unranged
        See `ase_crystalnet.atom_probe.files.reconstruction.Reconstruction.to_atoms`.
    units : {'nm', 'angstrom'}, optional
        Of the positions, if not the format's.

    Raises
    ------
    InputError
        In one line, if a file is not what its name says.
    """
    from ase_crystalnet.atom_probe.files.reconstruction import read_reconstruction

    return read_reconstruction(filename, ranges, units=units).to_atoms(molecular, unranged)


read_epos = read_apt = read_ato = read_pos


def write_pos(filename: str, atoms: Atoms) -> None:
    """Write Atoms as .pos; masses from the array ``mass_to_charge``, else of ions charged once."""
    from ase_crystalnet.atom_probe.files.reconstruction import write_pos as write

    mass = atoms.arrays.get("mass_to_charge")
    write(filename, atoms.positions, atoms.get_masses() if mass is None else mass)
