"""Random crystals in every one of the 230 space groups, so that training needs no database.

Schopmans et al., Digital Discovery 2, 1414 (2023), found that networks trained on such crystals
recognize structure types that no database told them of. Here a crystal is drawn in this order:
space group, elements, number of atoms, cell, and positions orbit by orbit; cations take any
Wyckoff position, anions mostly the general one, and an orbit whose atoms come too near to others
is drawn again. Wyckoff positions are those of pyxtal; atoms are placed here, because training wants
tens of thousands of crystals and asks little of their chemistry. spglib must find the wanted
space group: what was drawn may have more symmetry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.pattern import CRYSTAL_SYSTEMS, system_of
from ase_crystalnet.xrd.simulated.sources import SYMPREC
from ase_crystalnet.xrd.simulated.structures import StructureSet, structure_set_of

if TYPE_CHECKING:
    from ase import Atoms

__all__ = [
    "SYNTHETIC",
    "RandomCrystals",
    "random_crystal",
    "space_group_frequencies",
    "synthetic_set",
]

#: `StructureSet.source` of random crystals.
SYNTHETIC = "synthetic"
Range = tuple[float, float]


@dataclass(frozen=True)
class RandomCrystals:
    """What random crystals are drawn from; stored in the model's card with the plan.

    Attributes
    ----------
    seed : int
        Of the crystals that a training makes.
    system_shares : tuple of float
        Share of each of `CRYSTAL_SYSTEMS` among the crystals of `synthetic_set`: most compounds
        with many atoms are monoclinic or triclinic, while databases of small cells hold few of
        these.
    frequency_offset, frequency_power : float
        Within a system a space group is as frequent as this power of its number of known
        structures and the offset (see `space_group_frequencies`).
    cations, anions : tuple of str
        Elements beside oxygen, cations roughly as often as minerals hold them: the chance falls
        with the place in the list to the power `cation_power`.
    cation_power : float
    most_cations : int
        1 to so many different ones are drawn.
    oxygen_share : float
        Share of crystals whose anion is oxygen.
    cation_share : tuple of float
        Share of the atoms that are cations.
    atoms : tuple of float
        Median and logarithmic deviation of the number of atoms in the primitive cell.
    volume : tuple of float
        The same of the volume of an atom, Angstrom^3.
    lengths : float
        Logarithmic deviation of the lengths of cell vectors that symmetry does not tie.
    long_axis : float
        Times as much for c/a, which is large in the hexagonal axes of a rhombohedral lattice.
    angles : float
        Standard deviation of free angles, degrees.
    most_monoclinic, most_triclinic : float
        Largest deviation of an angle from 90 degrees.
    nearest_unlike, nearest_cations, nearest_anions : float
        Least distances, Angstrom: of cation and anion, of two cations, of two anions.
    orbits, tries : int
        Orbits drawn before the place of one is left empty, and crystals before a group is given
        up.
    """

    seed: int = 230
    system_shares: tuple[float, ...] = (0.16, 0.34, 0.2, 0.1, 0.08, 0.06, 0.06)
    frequency_offset: float = 2.0
    frequency_power: float = 0.75
    cations: tuple[str, ...] = (
        "Si", "Al", "Ca", "Mg", "Fe", "Na", "K", "Mn", "Ti", "Zn", "Cu", "Pb", "Ba", "Sr", "Li",
        "Zr", "Ni", "Co", "Cr", "V", "P", "B", "Y", "La", "Nb", "Mo", "W", "Sn", "Ag", "Bi", "Sb",
    )  # fmt: skip
    anions: tuple[str, ...] = ("S", "F", "Cl", "N", "Se", "Br", "As", "Te")
    cation_power: float = 0.7
    most_cations: int = 3
    oxygen_share: float = 0.7
    cation_share: Range = (0.2, 0.5)
    atoms: Range = (28.0, 0.8)
    volume: Range = (13.0, 0.28)
    lengths: float = 0.38
    long_axis: float = 1.3
    angles: float = 13.0
    most_monoclinic: float = 40.0
    most_triclinic: float = 30.0
    nearest_unlike: float = 1.55
    nearest_cations: float = 2.5
    nearest_anions: float = 2.0
    orbits: int = 12
    tries: int = 60

    def __post_init__(self) -> None:
        if len(self.system_shares) != len(CRYSTAL_SYSTEMS):
            raise InputError(
                f"system_shares has {len(self.system_shares)} numbers; expected one for each of "
                f"{', '.join(CRYSTAL_SYSTEMS)}"
            )


def random_crystal(
    group: int,
    rng: np.random.Generator,
    *,
    most_atoms: int = 400,
    kind: RandomCrystals | None = None,
) -> Atoms:
    """A random crystal whose space group is the wanted one.

    Parameters
    ----------
    group : int
        Space group, 1 to 230.
    rng : numpy.random.Generator
    most_atoms : int
        In the conventional cell.
    kind : RandomCrystals, optional

    Raises
    ------
    InputError
        There is no such group, pyxtal is not installed, or all crystals tried had another symmetry.
    """
    if not 1 <= group <= 230:
        raise InputError(f"space group {group} does not exist; expected 1 to 230")
    import spglib

    kind = kind or RandomCrystals()
    for _ in range(kind.tries):
        atoms = _draw(group, rng, most_atoms, kind)
        if atoms is None:
            continue
        cell = (atoms.cell.array.tolist(), atoms.get_scaled_positions().tolist(), atoms.numbers)
        found = answer_of(spglib.get_symmetry_dataset, cell, symprec=SYMPREC)
        if found is not None and found.number == group:
            return atoms
    raise InputError(
        f"no crystal of space group {group} with at most {most_atoms} atoms in {kind.tries} tries: "
        "allow more atoms"
    )


def space_group_frequencies(
    groups: NDArray[np.integer] | None = None, kind: RandomCrystals | None = None
) -> NDArray[np.float64]:
    """How often `synthetic_set` draws each space group.

    Parameters
    ----------
    groups : (S,) array of int, optional
        Space groups of known structures: within a crystal system the frequencies follow a power of
        theirs, and none is left out.
    kind : RandomCrystals, optional

    Returns
    -------
    (230,) array
        Of the crystal systems `RandomCrystals.system_shares`; within one, equal if no structures
        are given.
    """
    kind = kind or RandomCrystals()
    counts = np.zeros(231) if groups is None else np.bincount(groups, minlength=231)
    weights = (counts[1:] + kind.frequency_offset) ** kind.frequency_power
    system = system_of(np.arange(1, 231))
    shares = np.array(kind.system_shares)
    return np.asarray(shares[system] * weights / np.bincount(system, weights)[system])


def synthetic_set(
    number: int,
    rng: np.random.Generator,
    *,
    frequencies: NDArray[np.float64] | None = None,
    kind: RandomCrystals | None = None,
    log: Callable[[str], None] = lambda text: None,
) -> StructureSet:
    """Reflections of random crystals.

    Parameters
    ----------
    number : int
    rng : numpy.random.Generator
    frequencies : (230,) array, optional
        Of the space groups; `space_group_frequencies` by default. Crystals that cannot be found
        are left out.
    kind : RandomCrystals, optional
    log : callable
        Takes one line of progress.

    Raises
    ------
    InputError
        See `random_crystal`; or no crystal was found at all.
    """
    if number < 1:
        raise InputError(f"{number} random crystals; expected 1 or more")
    chances = space_group_frequencies(kind=kind) if frequencies is None else frequencies
    groups = 1 + rng.choice(230, number, p=chances / chances.sum())
    parts: list[StructureSet] = []
    for i, group in enumerate(groups.tolist()):
        name = f"synthetic{i}"
        try:
            parts.append(structure_set_of({name: random_crystal(group, rng, kind=kind)}))
        except InputError as error:
            if "pyxtal" in str(error):
                raise
            log(f"left out: {error}")
        if (i + 1) % 1000 == 0:
            log(f"synthetic crystals: {i + 1} of {number}")
    if not parts:
        raise InputError("no synthetic crystal was found in any of the space groups")
    found = StructureSet.concatenate(parts)
    return replace(found, source=np.full(len(found), SYNTHETIC))


@cache
def _wyckoff(group: int) -> list[NDArray[np.float64]]:
    """Operations (m, 3, 4) of each Wyckoff position, the general one first."""
    try:
        from pyxtal.symmetry import Group
    except ImportError:
        raise InputError(
            "synthetic crystals need pyxtal: pip install ase-crystalnet[train]"
        ) from None
    return [
        np.array([op.affine_matrix[:3] for op in position.ops])
        for position in Group(group).Wyckoff_positions
    ]


def _draw(
    group: int, rng: np.random.Generator, most_atoms: int, kind: RandomCrystals
) -> Atoms | None:
    """One crystal, whatever its symmetry turns out to be; None if hardly an atom found a place."""
    from ase import Atoms

    positions = _wyckoff(group)
    # Conventional cells of centred lattices hold 2 to 4 primitive ones.
    general = positions[0]
    centring = int((np.abs(general[:, :, :3] - np.eye(3)).max(axis=(1, 2)) < 1e-9).sum())
    wanted = centring * kind.atoms[0] * np.exp(kind.atoms[1] * rng.standard_normal())
    # Half a general position at least: atoms on special ones alone have more symmetry.
    wanted = int(np.clip(wanted, len(general) / 2, most_atoms))
    volume = wanted * kind.volume[0] * np.exp(kind.volume[1] * rng.standard_normal())
    cell = _cell(group, volume, rng, kind)
    cations, anion = _elements(rng, kind)
    # Shares of the atoms: cations first, so that they find room on special positions.
    cation_share = rng.uniform(*kind.cation_share)
    targets = [wanted * cation_share / len(cations)] * len(cations)
    placed: list[NDArray[np.float64]] = []
    symbols: list[str] = []
    is_cation: list[bool] = []
    taken: set[int] = set()  # positions without freedom are occupied once
    for symbol, target in [*zip(cations, targets, strict=True), (anion, wanted)]:
        cation = symbol != anion
        have = 0 if cation else len(symbols)
        failures = 0
        while have < target and failures < kind.orbits:
            fitting = [
                k
                for k, operations in enumerate(positions)
                if len(operations) <= max(target - have, len(positions[-1])) * 1.3
                and k not in taken
            ]
            if not fitting:
                break
            # Anions sit where nothing but their number decides.
            chance = np.array([float(len(positions[k])) for k in fitting])
            chance **= 0.5 if cation else 1.0
            k = int(rng.choice(fitting, p=chance / chance.sum()))
            operations = positions[k]
            orbit = (operations[:, :, :3] @ rng.random(3) + operations[:, :, 3]) % 1.0
            others = np.concatenate(placed) if placed else np.empty((0, 3))
            if not _fits(orbit, others, cation, np.array(is_cation, bool), cell, kind):
                failures += 1
                continue
            placed.append(orbit)
            symbols += [symbol] * len(orbit)
            is_cation += [cation] * len(orbit)
            have += len(orbit)
            if not np.abs(operations[:, :, :3]).any():
                taken.add(k)
    if len(symbols) < max(0.5 * wanted, 1):
        return None
    return Atoms(symbols, scaled_positions=np.concatenate(placed), cell=cell, pbc=True)


def _fits(
    orbit: NDArray[np.float64],
    others: NDArray[np.float64],
    cation: bool,
    others_cation: NDArray[np.bool_],
    cell: NDArray[np.float64],
    kind: RandomCrystals,
) -> bool:
    """Whether no atom of an orbit is too near to another one of it or of those placed before.

    Differences are folded into the cell; in a very oblique one the nearest image may lie
    elsewhere, and an atom too near passes. For a random crystal that is of no consequence.
    """
    first = orbit[0]
    same = kind.nearest_cations if cation else kind.nearest_anions
    # By symmetry the surroundings of one atom are those of all.
    apart = orbit[1:] - first
    apart = (apart - np.round(apart)) @ cell
    if len(apart) and (apart**2).sum(axis=1).min() < same**2:
        return False
    if not len(others):
        return True
    apart = others - first
    apart = (apart - np.round(apart)) @ cell
    least = np.where(others_cation == cation, same, kind.nearest_unlike)
    return bool(((apart**2).sum(axis=1) > least**2).all())


def _cell(
    group: int, volume: float, rng: np.random.Generator, kind: RandomCrystals
) -> NDArray[np.float64]:
    """Lattice vectors (rows) of the conventional cell of a space group."""
    from ase.geometry import cellpar_to_cell

    system = CRYSTAL_SYSTEMS[int(system_of(group))]
    a, b, c = np.exp(kind.lengths * rng.standard_normal(3))
    angles = [90.0, 90.0, 90.0]
    if system == "cubic":
        b = c = a
    elif system in ("tetragonal", "trigonal", "hexagonal"):
        b = a
        # The hexagonal axes of a rhombohedral lattice are long along c.
        c = a * np.exp(kind.long_axis * kind.lengths * rng.standard_normal())
        if system != "tetragonal":
            angles[2] = 120.0
    elif system == "monoclinic":
        angles[1] = 90 + min(abs(kind.angles * rng.standard_normal()), kind.most_monoclinic)
    elif system == "triclinic":
        most = kind.most_triclinic
        angles = (90 + np.clip(kind.angles * rng.standard_normal(3), -most, most)).tolist()
    cell = np.asarray(cellpar_to_cell([a, b, c, *angles]))
    return np.asarray(cell * (volume / abs(np.linalg.det(cell))) ** (1 / 3))


def _elements(rng: np.random.Generator, kind: RandomCrystals) -> tuple[list[str], str]:
    """Some cations, and one anion."""
    weight = 1 / np.arange(1, len(kind.cations) + 1) ** kind.cation_power
    number = int(rng.integers(1, kind.most_cations + 1))
    cations = rng.choice(kind.cations, number, replace=False, p=weight / weight.sum())
    anion = "O" if rng.random() < kind.oxygen_share else str(rng.choice(kind.anions))
    return [*map(str, cations)], anion
