"""How files are to be read: format, options of the reader, names of species, the atoms that count.

One object goes from the user's call to whoever reads a frame, in this process or another one.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import check_plain
from ase_crystalnet.io.trajectories.selection import Only, chosen_atoms
from ase_crystalnet.io.trajectories.species import named_species, species_map

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Reading", "option_values"]


@dataclass(frozen=True, eq=False)
class Reading:
    """What the user says of files beyond their names.

    Attributes
    ----------
    format : str, optional
        ASE's name of the format, or one of ours (``xtc``, ``trr``, ``dcd``, ``tng``, ``imd`` ...).
    topology : str, optional
        File with the names of the atoms of a trajectory that has none, absolute.
    atom_style : str, optional
        Of LAMMPS data files.
    species : tuple of (str, str)
        Element of a type number or name.
    cell : tuple of float, optional
        Cell of files that have none: 3 lengths, 3 lengths and 3 angles, or 9 components; Angstrom.
    options : tuple of (str, object)
        Handed to ASE's reader of the format.
    only : str, callable or mask, optional
        The atoms that are kept, see `chosen_atoms`.
    """

    format: str | None = None
    topology: str | None = None
    atom_style: str | None = None
    species: tuple[tuple[str, str], ...] = ()
    cell: tuple[float, ...] | None = None
    options: tuple[tuple[str, Any], ...] = ()
    only: Only = None

    @classmethod
    def of(
        cls,
        format: str | None = None,
        reader: Mapping[str, Any] | None = None,
        only: Only = None,
    ) -> Reading:
        """Take apart what was given as ``reader={...}``.

        Parameters
        ----------
        format : str, optional
        reader : mapping, optional
            ``topology``, ``atom_style``, ``species`` ("1=Cu,2=Zr" or a mapping) and ``cell`` are
            ours; others go to ASE's reader.
        only : str, callable or mask, optional

        Raises
        ------
        InputError
            A value is not what it should be.
        FileNotFoundError, IsADirectoryError, PermissionError
            The topology cannot be opened.
        """
        given = dict(reader or {})
        topology = given.pop("topology", None)
        style = given.pop("atom_style", None)
        if topology is not None:
            check_plain(topology)
        species, cell = given.pop("species", None), given.pop("cell", None)
        return cls(
            format=format,
            topology=None if topology is None else os.path.abspath(os.fspath(topology)),
            atom_style=None if style is None else str(style),
            species=species_map(species),
            cell=_numbers_of_cell(cell),
            options=tuple(sorted(given.items())),
            only=only,
        )

    @property
    def keywords(self) -> dict[str, Any]:
        """Options for ASE's reader."""
        return dict(self.options)

    def applied(self, atoms: Atoms) -> Atoms:
        """A frame as it was read, with the names, the cell and the atoms that were asked for.

        Raises
        ------
        InputError
            The choice of atoms does not fit, or leaves none.
        """
        if self.cell is not None and atoms.cell.rank < 3:
            from ase.cell import Cell

            size = 3 if len(self.cell) == 9 else None
            values = np.reshape(self.cell, (3, 3)) if size else self.cell
            atoms.cell = Cell.new(values)
            atoms.pbc = True
        if self.species:
            named_species(atoms, self.species)
        if self.only is not None:
            atoms = chosen_atoms(atoms, self.only)
        return atoms


def _numbers_of_cell(cell: Any) -> tuple[float, ...] | None:
    if cell is None:
        return None
    if isinstance(cell, str):
        cell = cell.replace(",", " ").split()
    try:
        values = tuple(float(value) for value in np.ravel(np.asarray(cell)).tolist())
    except (TypeError, ValueError):
        values = ()
    if len(values) not in (3, 6, 9) or not np.isfinite(values).all():
        raise InputError(
            f"cell: expected 3 lengths, 3 lengths and 3 angles, or 9 numbers, got {cell!r}"
        )
    return values


def option_values(texts: list[str]) -> dict[str, Any]:
    """Options of a reader from ``key=value`` texts; numbers, lists and mappings as Python has them.

    Raises
    ------
    InputError
        One has no key or no value.
    """
    found: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign or not key.strip().isidentifier() or not value.strip():
            raise InputError(f"--reader: expected key=value such as atom_style=full, got {text!r}")
        try:
            found[key.strip()] = ast.literal_eval(value.strip())
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            found[key.strip()] = value.strip()
    return found
