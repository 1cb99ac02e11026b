"""Atom-probe files as formats of ase.io: ``ase.io.read("x.pos", ranges="x.rrng")``.

ASE imports this module whenever it is imported itself, so nothing is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ase.utils.plugins import ExternalIOFormat

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["APT", "EPOS", "POS", "read_apt", "read_epos", "read_pos", "write_pos"]

POS = ExternalIOFormat("Atom-probe reconstruction", "1S", __name__, ext="pos")
EPOS = ExternalIOFormat("Atom-probe reconstruction, extended", "1S", __name__, ext="epos")
APT = ExternalIOFormat(
    "Atom-probe reconstruction of APSuite 6", "1S", __name__, ext="apt", magic=b"APT\0"
)


def read_pos(
    filename: str, ranges: Any = None, molecular: str = "keep", unranged: bool = True
) -> Atoms:
    """Read a reconstruction as Atoms.

    Parameters
    ----------
    filename : str
        .pos, .epos or .apt.
    ranges : str, Path or RangeTable, optional
        Range file (.rng, .rrng, .env). Without, all atomic numbers are 0.
    molecular, unranged
        See `ase_crystalnet.atom_probe.files.reconstruction.Reconstruction.to_atoms`.

    Raises
    ------
    InputError
        In one line, if a file is not what its name says.
    """
    from ase_crystalnet.atom_probe.files.reconstruction import read_reconstruction

    return read_reconstruction(filename, ranges).to_atoms(molecular, unranged)


read_epos = read_apt = read_pos


def write_pos(filename: str, atoms: Atoms) -> None:
    """Write Atoms as .pos; masses from the array ``mass_to_charge``, else of ions charged once."""
    from ase_crystalnet.atom_probe.files.reconstruction import write_pos as write

    mass = atoms.arrays.get("mass_to_charge")
    write(filename, atoms.positions, atoms.get_masses() if mass is None else mass)
