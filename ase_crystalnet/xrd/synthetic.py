"""Random crystals in every one of the 230 space groups, so that training needs no database.

Positions, cell and occupied Wyckoff positions are random (pyxtal), distances are those of the
elements' radii, and spglib must find the wanted space group: a random crystal may have more
symmetry than it was given. About a third are of a chemistry without oxygen.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.sources import SYMPREC
from ase_crystalnet.xrd.structures import StructureSet, structure_set_of

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["random_crystal", "synthetic_set"]

#: Elements that are drawn, roughly as often as minerals hold them.
CATIONS = (
    "Si", "Al", "Ca", "Mg", "Fe", "Na", "K", "Mn", "Ti", "Zn", "Cu", "Pb", "Ba", "Sr", "Li", "Zr",
    "Ni", "Co", "Cr", "V", "P", "B", "Y", "La", "Nb", "Mo", "W", "Sn", "Ag", "Bi", "Sb",
)  # fmt: skip
ANIONS = ("S", "F", "Cl", "N", "Se", "Br", "As", "Te")
OXYGEN_SHARE = 0.65
#: Crystals drawn before a space group is given up.
TRIES = 40


def random_crystal(group: int, rng: np.random.Generator, *, most_atoms: int = 120) -> Atoms:
    """A random crystal whose space group is the wanted one.

    Parameters
    ----------
    group : int
        Space group, 1 to 230.
    rng : numpy.random.Generator
    most_atoms : int
        In the conventional cell; where the group's general position has more, two of its special
        positions may be all that fits.

    Raises
    ------
    InputError
        There is no such group, pyxtal is not installed, or 40 crystals all had another symmetry.
    """
    if not 1 <= group <= 230:
        raise InputError(f"space group {group} does not exist; expected 1 to 230")
    try:
        from pyxtal import pyxtal
        from pyxtal.symmetry import Group
    except ImportError:
        raise InputError(
            "synthetic crystals need pyxtal: pip install ase-crystalnet[train]"
        ) from None
    import spglib

    # Half of the positions at least are general or nearly so: those carry the symmetry.
    sizes = sorted({w.multiplicity for w in Group(group).Wyckoff_positions}, reverse=True)
    fitting = [size for size in sizes if size <= most_atoms] or sizes[-1:]
    for _ in range(TRIES):
        species = _species(rng)
        counts = [int(rng.choice(fitting[: 3 + k])) for k in range(len(species))]
        if sum(counts) > 2 * most_atoms:
            continue
        crystal = pyxtal()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                crystal.from_random(3, group, species[::-1], counts[::-1], random_state=rng)
            except Exception:
                # pyxtal raises what it likes where the positions cannot hold the atoms.
                continue
            if not crystal.valid:
                continue
            atoms = crystal.to_ase()
            cell = (
                atoms.cell.array.tolist(),
                atoms.get_scaled_positions().tolist(),
                atoms.numbers.tolist(),
            )
            found = spglib.get_symmetry_dataset(cell, symprec=SYMPREC)
        if found is not None and found.number == group:
            return atoms
    raise InputError(
        f"no crystal of space group {group} with at most {most_atoms} atoms in {TRIES} tries: "
        "allow more atoms"
    )


def _species(rng: np.random.Generator) -> list[str]:
    """One to three cations and one anion."""
    weight = 1 / np.arange(1, len(CATIONS) + 1) ** 0.7
    number = int(rng.integers(1, 4))
    cations = rng.choice(CATIONS, number, replace=False, p=weight / weight.sum())
    anion = "O" if rng.random() < OXYGEN_SHARE else str(rng.choice(ANIONS))
    return [*map(str, cations), anion]


def synthetic_set(
    per_group: int,
    rng: np.random.Generator,
    *,
    groups: Sequence[int] = range(1, 231),
    log: Callable[[str], None] = lambda text: None,
) -> StructureSet:
    """Reflections of random crystals, equally many of each space group.

    Parameters
    ----------
    per_group : int
    rng : numpy.random.Generator
    groups : sequence of int
        Space groups; all by default. Those for which no crystal is found are left out.
    log : callable
        Takes one line of progress.

    Raises
    ------
    InputError
        See `random_crystal`; or no crystal was found at all.
    """
    if per_group < 1:
        raise InputError(f"{per_group} crystals a space group; expected 1 or more")
    parts: list[StructureSet] = []
    for group in groups:
        for number in range(per_group):
            name = f"synthetic{group}.{number}"
            try:
                parts.append(structure_set_of({name: random_crystal(group, rng)}))
            except InputError as error:
                if "tries" not in str(error):
                    raise
                log(str(error))
                break
        if group % 10 == 0:
            log(f"synthetic crystals: space group {group}")
    if not parts:
        raise InputError("no synthetic crystal was found in any of the space groups")
    found = StructureSet.concatenate(parts)
    return replace(found, source=np.full(len(found), "synthetic"))
