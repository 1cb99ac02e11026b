"""The crystal that a specimen is known to be: its planes, their spacings and names."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["KnownCrystal", "read_crystal"]

#: Structure factor, over that of all atoms in phase, below which a plane is extinct.
_EXTINCT = 0.05
#: Crystal systems that a constant can be given for without an element.
_LATTICES = ("fcc", "bcc", "sc", "diamond")
#: Shortest and longest edge of a cell that is taken for one, Angstrom.
_SHORTEST, _LONGEST = 1.5, 100.0


@dataclass(frozen=True, eq=False)
class KnownCrystal:
    """A crystal by its conventional cell.

    Attributes
    ----------
    name : str
    cell : (3, 3) array
        Rows: edges, Angstrom.
    sites : (n, 3) array
        Fractional.
    numbers : (n,) int array
        Atomic numbers.
    """

    name: str
    cell: Array
    sites: Array
    numbers: NDArray[np.int64]

    @classmethod
    def of(cls, atoms: Atoms, name: str = "") -> KnownCrystal:
        """The crystal of a structure, in its conventional setting.

        Raises
        ------
        InputError
            If it is not periodic in three directions, or its symmetry cannot be found.
        """
        import spglib

        if not atoms.pbc.all() or abs(atoms.cell.volume) < 1.0:
            raise InputError(f"{name or 'crystal'}: expected a cell, periodic in three directions")
        given = (atoms.cell[:], atoms.get_scaled_positions(), atoms.numbers)
        found = answer_of(spglib.standardize_cell, given, to_primitive=False, symprec=1e-2)
        if found is None:
            raise InputError(f"{name or 'crystal'}: its symmetry cannot be found; are atoms apart?")
        cell, sites, numbers = (np.asarray(part) for part in found)
        return cls(name or atoms.get_chemical_formula(), cell, sites, numbers.astype(np.int64))

    @property
    def reciprocal(self) -> Array:
        """Rows: reciprocal edges without 2 pi, Angstrom^-1."""
        return np.asarray(np.linalg.inv(self.cell).T)

    @cached_property
    def rotations(self) -> NDArray[np.int64]:
        """Point group with inversion (n, 3, 3), acting on columns of Miller indices."""
        import spglib

        given: Any = (self.cell, self.sites, self.numbers)
        data = answer_of(spglib.get_symmetry, given, symprec=1e-2)
        assert data is not None
        turns = np.unique(data["rotations"], axis=0)
        on_planes = np.rint(np.linalg.inv(turns).transpose(0, 2, 1)).astype(np.int64)
        return np.unique(np.concatenate([on_planes, -on_planes]), axis=0)

    @property
    def hexagonal(self) -> bool:
        """Whether a and b are at 120 degrees, so that planes have four indices."""
        a, b = self.cell[0], self.cell[1]
        cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
        return bool(abs(cosine + 0.5) < 1e-3)

    def planes(self, least: float) -> tuple[NDArray[np.int64], Array]:
        """Planes of spacing `least` or more that scatter, all but opposite ones.

        Parameters
        ----------
        least : float
            Angstrom.

        Returns
        -------
        indices : (M, 3) int array
        share : (M,) array
            Structure factor of the atoms counted alike, over their number.
        """
        reach = np.linalg.norm(self.cell, axis=1) / least
        grid = np.stack(
            np.meshgrid(*(np.arange(-int(n) - 1, int(n) + 2) for n in reach), indexing="ij"), -1
        ).reshape(-1, 3)
        upper = (grid[:, 2] > 0) | ((grid[:, 2] == 0) & (grid[:, 1] > 0))
        upper |= (grid[:, 2] == 0) & (grid[:, 1] == 0) & (grid[:, 0] > 0)
        grid = grid[upper]
        length = np.linalg.norm(grid @ self.reciprocal, axis=1)
        grid = grid[length <= 1 / least]
        phase = np.exp(2j * np.pi * grid @ self.sites.T)
        share = np.abs(phase.sum(axis=1)) / len(self.sites)
        lit = share > _EXTINCT
        return grid[lit], share[lit]

    def vectors(self, indices: NDArray[np.int64]) -> Array:
        """Normals over spacings (M, 3) of planes, in the frame of `cell`, Angstrom^-1."""
        return np.asarray(indices @ self.reciprocal)

    def family(self, index: NDArray[np.int64]) -> tuple[int, ...]:
        """The one plane that stands for all that the crystal's symmetry makes of it."""
        alike = (self.rotations @ np.asarray(index)).tolist()
        h, k, m = max(alike, key=lambda i: (min(i) >= 0, sum(x >= 0 for x in i), i))
        return (h, k, -h - k, m) if self.hexagonal else (h, k, m)

    def label(self, index: NDArray[np.int64]) -> str:
        """Name of a family of planes, as ``{2 2 0}``."""
        return "{" + " ".join(map(str, self.family(index))) + "}"


def read_crystal(text: str | Path | Atoms) -> KnownCrystal:
    """The crystal that a user names.

    Parameters
    ----------
    text : str, Path or ase.Atoms
        An element (``Al``), an element or lattice (fcc, bcc, sc, diamond) with its constant in
        Angstrom (``Ni:3.56``, ``fcc:3.56``), or a file with a cell, as CIF.

    Raises
    ------
    InputError
        If it is none of these.
    FileNotFoundError
        If a file is not there.
    """
    from ase import Atoms
    from ase.build import bulk
    from ase.data import atomic_numbers

    if isinstance(text, Atoms):
        return KnownCrystal.of(text)
    word, _, length = str(text).partition(":")
    constant = None
    if isinstance(text, str) and length:
        try:
            constant = float(length)
        except ValueError:
            constant = np.nan
        if not _SHORTEST < constant < _LONGEST:
            raise InputError(f"crystal: expected a constant in Angstrom after {word}:, got {text}")
    if isinstance(text, str) and word in _LATTICES and constant is not None:
        return KnownCrystal.of(bulk("X", word, a=constant, cubic=True), str(text))
    if isinstance(text, str) and word in atomic_numbers and word != "X":
        try:
            return KnownCrystal.of(bulk(word, a=constant), word)
        except (ValueError, RuntimeError, NotImplementedError, KeyError) as error:
            raise InputError(
                f"crystal: no crystal of {word} is known; give a file with its cell"
            ) from error
    path = Path(text)
    if not path.exists():
        raise InputError(
            f"crystal: expected an element (Al), a lattice with its constant in Angstrom "
            f"(fcc:3.56) or a file with a cell; got {text}"
        )
    from ase.io import read

    try:
        atoms = read(path)
    except InputError:
        raise
    except Exception as error:  # every format of ASE has its own
        raise InputError(f"{path}: cannot be read as a structure with a cell") from error
    assert isinstance(atoms, Atoms)
    return KnownCrystal.of(atoms, path.stem)
