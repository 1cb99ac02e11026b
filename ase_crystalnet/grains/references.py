"""Which known crystal is it: average cells matched to reference cells, by where neighbours are.

Two descriptions of one crystal may differ by cell, origin, axes and setting, and by a uniform
scaling. What does not is the environment of each site: the distances of its nearest atoms of each
kind, in cube roots of the volume of an atom. Sites of one crystal are paired with those of the
other, and the root mean square difference of their distances is the distance of the crystals.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import permutations, product
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError
from ase_crystalnet.grains.average_crystal import AverageCrystal
from ase_crystalnet.io.trajectories.stream import iter_frames

__all__ = ["Reference", "ReferenceMatch", "find_prototype", "find_reference", "load_references"]

#: Neighbours of a site that are compared; fcc and hcp differ from the nineteenth on.
NEIGHBORS = 48
#: Largest distance of a grain from the user's cell: fcc and hcp are 0.05 apart; and the largest
#: difference of lengths, as by thermal expansion.
REFERENCE_DISTANCE, REFERENCE_SCALING = 0.03, 0.05
#: Largest distance from a prototype of the same space group: its axes and free coordinates are its
#: own.
PROTOTYPE_DISTANCE = 0.1
#: Sites of a cell, repeated until both crystals have the same number, and kinds that are permuted.
MOST_SITES, MOST_KINDS = 400, 5
#: Crystals that are mirror images of each other have these pairs of groups.
ENANTIOMORPHS = {
    76: 78, 91: 95, 92: 96, 144: 145, 151: 153, 152: 154, 169: 170, 171: 172, 178: 179, 180: 181,
    212: 213,
}  # fmt: skip
#: Frames whose species are 1 to so many may be of numbered types, not of elements.
MOST_TYPES = 8


@dataclass(frozen=True, eq=False)
class Reference:
    """A known crystal of n sites.

    Attributes
    ----------
    name : str
        What grains that match it are called.
    cell : (3, 3) float64 array
        Primitive vectors in rows, Angstrom.
    positions : (n, 3) float64 array
        Fractional.
    numbers : (n,) integer array
        Atomic numbers.
    space_group : int
    label : str
        AFLOW's label of the prototype, such as ``AB_cF8_225_a_b``; '' for a cell of the user.
    source : str
        Where it is from.
    """

    name: str
    cell: Array
    positions: Array
    numbers: NDArray[np.int64]
    space_group: int = 0
    label: str = ""
    source: str = ""


@dataclass(frozen=True, eq=False)
class ReferenceMatch:
    """A crystal's reference, and how near it is.

    Attributes
    ----------
    reference : Reference
    distance : float
        Root mean square difference of the distances of neighbours, in cube roots of the volume of
        an atom.
    scaling : float
        Lengths of the crystal in those of the reference.
    """

    reference: Reference
    distance: float
    scaling: float


# ---------------------------------------------------------------------- references of the user
def load_references(given: Sequence[Atoms | str | Path | Reference]) -> tuple[Reference, ...]:
    """References from structures and files.

    Parameters
    ----------
    given : sequence of ase.Atoms, str, Path or Reference
        Periodic cells. Files are anything that ASE reads; the reference carries the name of the
        file without its suffix, an ``Atoms`` its ``info["name"]`` or else its formula.

    Raises
    ------
    InputError
        A file cannot be read, or a structure is no crystal.
    """
    result = []
    for each in [given] if isinstance(given, Atoms | str | Path | Reference) else given:
        if isinstance(each, Reference):
            result.append(each)
            continue
        if isinstance(each, Atoms):
            atoms, source = each, ""
            name = str(each.info.get("name") or each.get_chemical_formula(empirical=True))
        else:
            source = str(each)
            atoms, name = next(iter_frames(Path(source), 0, 1)).atoms, Path(source).stem
        result.append(_reference(atoms, name, source))
    return tuple(result)


def _reference(atoms: Atoms, name: str, source: str) -> Reference:
    import spglib

    if not len(atoms) or abs(np.linalg.det(atoms.cell.array)) < 1e-3:
        raise InputError(
            f"reference {name}: expected a crystal with three cell vectors, found "
            f"{len(atoms)} atoms in a cell of volume {abs(np.linalg.det(atoms.cell.array)):.3g}"
        )
    numbers = np.asarray(atoms.numbers, np.int64)
    given: Any = (atoms.cell.array, atoms.get_scaled_positions(), numbers)
    primitive = answer_of(spglib.find_primitive, given, symprec=1e-2)
    if primitive is not None:
        given = (primitive[0], primitive[1], np.asarray(primitive[2], np.int64))
    dataset = answer_of(spglib.get_symmetry_dataset, given, symprec=1e-2)
    if len(given[2]) > MOST_SITES:
        raise InputError(
            f"reference {name}: its primitive cell has {len(given[2])} atoms; expected a crystal "
            f"of at most {MOST_SITES}"
        )
    return Reference(
        name,
        given[0],
        given[1] % 1.0,
        given[2],
        0 if dataset is None else dataset.number,
        "",
        source,
    )


def find_reference(
    crystal: AverageCrystal, references: Sequence[Reference]
) -> ReferenceMatch | None:
    """The reference that a crystal is, with its species and at nearly its size; None if it is none.

    Frames whose species are numbers of types (1, 2, ..., as of a file without elements) match with
    any of the reference's species in their place.
    """
    best = None
    for reference in references:
        for relabelled in _relabelled(crystal, reference):
            found = _match(crystal, reference, relabelled)
            if found is None or abs(np.log(found.scaling)) > np.log(1 + REFERENCE_SCALING):
                continue
            if found.distance <= REFERENCE_DISTANCE and (
                best is None or found.distance < best.distance
            ):
                best = found
    return best


def _relabelled(
    crystal: AverageCrystal, reference: Reference
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Kinds of the sites of both, in every way in which they may be the same."""
    own, known = np.unique(crystal.numbers), np.unique(reference.numbers)
    if len(own) != len(known):
        return []
    if np.array_equal(own, known):
        return [(crystal.numbers, reference.numbers)]
    species = np.unique(crystal.species)
    if (
        len(own) > MOST_KINDS
        or species.max() > MOST_TYPES
        or (not np.array_equal(species, np.arange(1, len(species) + 1)))
    ):
        return []
    return _permuted(crystal.numbers, reference.numbers)


def _permuted(
    first: NDArray[np.int64], second: NDArray[np.int64]
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Kinds of both such that they have the same shares of the sites."""
    names, kinds, counts = np.unique(first, return_inverse=True, return_counts=True)
    _, others, found = np.unique(second, return_inverse=True, return_counts=True)
    if len(names) != len(found) or len(names) > MOST_KINDS:
        return []
    shares = found / found.sum()
    return [
        (np.array(order)[kinds], others.astype(np.int64))
        for order in permutations(range(len(names)))
        if np.allclose(counts / counts.sum(), shares[list(order)], atol=1e-6)
    ]


# ---------------------------------------------------------------------- library
@cache
def library() -> tuple[Reference, ...]:
    """Prototypes that ship with the package (data/prototypes.json.gz), each with its source."""
    path = files("ase_crystalnet.grains") / "data" / "prototypes.json.gz"
    with path.open("rb") as raw, gzip.open(raw) as file:
        entries = json.load(file)
    result = []
    for each in entries:
        name = ", ".join(part for part in (each["name"], each["formula"]) if part)
        if each["name"] == each["formula"]:
            name = each["name"]
        if each["strukturbericht"]:
            name = f"{each['strukturbericht']}, {name}"
        result.append(
            Reference(
                name=name,
                cell=np.array(each["cell"]),
                positions=np.array(each["positions"]),
                numbers=np.array(each["numbers"], np.int64),
                space_group=each["space_group"],
                label=each["label"],
                source=each["source"],
            )
        )
    return tuple(result)


def find_prototype(
    crystal: AverageCrystal, space_group: int, kinds: NDArray[np.int64]
) -> ReferenceMatch | None:
    """The prototype of the library that a crystal is nearest to; None if it is none of them.

    Parameters
    ----------
    crystal : AverageCrystal
        K sites.
    space_group : int
    kinds : (K,) integer array
        Kind of the content of each site.
    """
    groups = {space_group, ENANTIOMORPHS.get(space_group, 0)}
    groups |= {one for one, other in ENANTIOMORPHS.items() if other == space_group}
    best = None
    for reference in library():
        if reference.space_group not in groups:
            continue
        for relabelled in _permuted(kinds, reference.numbers):
            found = _match(crystal, reference, relabelled)
            if (
                found is not None
                and found.distance <= PROTOTYPE_DISTANCE
                and (best is None or found.distance < best.distance)
            ):
                best = found
    return best


# ---------------------------------------------------------------------- distance
def _match(
    crystal: AverageCrystal,
    reference: Reference,
    kinds: tuple[NDArray[np.int64], NDArray[np.int64]],
) -> ReferenceMatch | None:
    first, second = len(crystal.sites), len(reference.positions)
    common = int(np.lcm(first, second))
    if common > MOST_SITES:
        return None
    share = {k: (kinds[1] == k).mean() for k in np.unique(kinds[1])}
    if any(abs((kinds[0] == k).mean() - value) > 1e-6 for k, value in share.items()):
        return None
    names = sorted(share)
    number = [max(round(NEIGHBORS * share[k]), 4) for k in names]
    own = _environments(crystal.lattice, crystal.sites, kinds[0], names, number)
    known = _environments(reference.cell, reference.positions, kinds[1], names, number)
    cost = ((own[:, None] - known) ** 2).mean(axis=2)
    cost[kinds[0][:, None] != kinds[1]] = 1e6
    cost = np.repeat(np.repeat(cost, common // first, axis=0), common // second, axis=1)
    rows, columns = linear_sum_assignment(cost)
    volumes = [abs(float(np.linalg.det(each))) for each in (crystal.lattice, reference.cell)]
    scaling = (volumes[0] / first / (volumes[1] / second)) ** (1 / 3)
    return ReferenceMatch(reference, float(np.sqrt(cost[rows, columns].mean())), scaling)


def _environments(
    lattice: Array,
    sites: Array,
    kinds: NDArray[np.int64],
    names: Sequence[int],
    number: Sequence[int],
) -> Array:
    """Distances (K, sum of number) of the nearest atoms of each kind, in units of the volume."""
    unit = (abs(float(np.linalg.det(lattice))) / len(sites)) ** (1 / 3)
    lattice = lattice / unit
    heights = 1 / np.linalg.norm(np.linalg.inv(lattice), axis=0)
    radius = (3 * 2 * sum(number) / (4 * np.pi)) ** (1 / 3)
    while True:
        reach = [range(-int(np.ceil(radius / h)), int(np.ceil(radius / h)) + 1) for h in heights]
        shifts = np.array(list(product(*reach)), np.float64) @ lattice
        result = []
        for place in sites @ lattice:
            row = []
            for name, count in zip(names, number, strict=True):
                others = sites[kinds == name] @ lattice
                far = np.linalg.norm((others - place)[:, None] + shifts, axis=2).reshape(-1)
                near = np.sort(far[(far < radius) & (far > 1e-6)])[:count]
                if len(near) < count:
                    break
                row.append(near)
            else:
                result.append(np.concatenate(row))
                continue
            break
        if len(result) == len(sites):
            return np.array(result)
        radius *= 1.3


def described(match: ReferenceMatch) -> str:
    """Name and label: ``B1, Halite, NaCl, AB_cF8_225_a_b``."""
    parts = (match.reference.name, match.reference.label)
    return ", ".join(part for part in parts if part)
