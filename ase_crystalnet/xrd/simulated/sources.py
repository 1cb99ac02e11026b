"""One structure from each kind of source: arrays, asymmetric units of minerals, CIF files.

The American Mineralogist Crystal Structure Database comes as asymmetric units with a table of
space-group settings beside it; everything else as arrays or as `ase.Atoms`, whose symmetry spglib
finds.
"""

from __future__ import annotations

import gzip
import json
import re
import warnings
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet.errors import InputError
from ase_crystalnet.inputs import bounded_lines, open_plain, reason_of
from ase_crystalnet.xrd.simulated.reflections import sites_of

if TYPE_CHECKING:
    from ase import Atoms

__all__ = [
    "ODDITIES",
    "SETTINGS",
    "SYMPREC",
    "Crystal",
    "from_amcsd",
    "from_arrays",
    "from_atoms",
    "parse_operation",
    "read_cif",
    "read_lines",
    "record_of",
    "site_element",
    "strain_projector",
    "translations",
]

#: Tolerance of the space-group labels, Angstrom (spglib).
SYMPREC = 0.01
#: Table of the settings of space groups that goes with a list of asymmetric units.
SETTINGS = "amcsd_spacegroup_settings.json.gz"
_LARGEST_SETTINGS = 100_000_000
_SIX = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


@dataclass(frozen=True)
class Crystal:
    """One structure as its source gives it, with the rotations of its space group.

    Attributes
    ----------
    lattice : (3, 3) array
        Lattice vectors in rows, Angstrom.
    numbers, fractional, occupancies : (N,), (N, 3), (N,) arrays
        Atoms that share a site stand each in a row.
    rotations : (R, 3, 3) array
        Of the space group, on fractional coordinates.
    orbits : tuple of int
        Sizes of the orbits of occupied positions in the primitive cell, ascending.
    space_group : int
    identifier, mineral : str
    """

    lattice: NDArray[np.float64]
    numbers: NDArray[np.int64]
    fractional: NDArray[np.float64]
    occupancies: NDArray[np.float64]
    rotations: NDArray[np.float64]
    orbits: tuple[int, ...]
    space_group: int
    identifier: str
    mineral: str = ""


def strain_projector(
    lattice: NDArray[np.float64], rotations: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(6, 6) projector of strains (Mandel's notation) on those that a point group keeps.

    Parameters
    ----------
    lattice : (3, 3) array
        Lattice vectors in rows.
    rotations : (R, 3, 3) array
        Rotations of the space group on fractional coordinates (columns).
    """
    basis = np.zeros((6, 3, 3))
    for i, (a, b) in enumerate(_SIX):
        basis[i, a, b] = basis[i, b, a] = 1.0 if a == b else np.sqrt(0.5)
    cartesian = lattice.T @ rotations @ np.linalg.inv(lattice.T)
    turned = np.einsum("rab,ibc,rdc->riad", cartesian, basis, cartesian)
    return np.einsum("riad,jad->ij", turned, basis) / len(rotations)


def from_arrays(record: dict[str, Any]) -> Crystal:
    """Of a record with ``lattice``, ``Z``, ``frac``, ``id`` and the label ``sg``, which stands."""
    lattice = np.array(record["lattice"], float)
    numbers = np.array(record["Z"], np.int64)
    fractional = np.array(record["frac"], float)
    name = str(record["id"])
    rotations, orbits, _ = _symmetry(lattice, fractional, numbers, name)
    return Crystal(
        lattice, numbers, fractional, np.ones(len(numbers)), rotations, orbits,
        int(record["sg"]), name,
    )  # fmt: skip


#: What structures that are at odds with themselves make the arithmetic of their reading raise.
ODDITIES = (
    KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError, ZeroDivisionError,
    RecursionError,
)  # fmt: skip


def read_lines(path: Path) -> Iterator[str]:
    """Lines of a ``.gz`` list of structures.

    Raises
    ------
    InputError
        The file is damaged, or a line has no end in sight.
    """
    try:
        with gzip.open(open_plain(path)) as file:
            for line in bounded_lines(cast(IO[bytes], file), str(path)):
                yield line.decode("utf-8", errors="replace")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: damaged, it cannot be unpacked ({reason_of(error)})") from None


def record_of(row: str) -> dict[str, Any]:
    """A line of a list; empty where it holds no record."""
    try:
        record = json.loads(row)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def read_cif(path: Path) -> Atoms:
    """First structure of a CIF, or one clear error."""
    from ase_crystalnet.io.trajectories.stream import TruncatedTrajectoryError, iter_frames

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return next(iter_frames(path, 0, 1, format="cif")).atoms
        except TruncatedTrajectoryError as error:
            # Without the file's name: these are counted by their reason.
            raise InputError(f"unreadable CIF ({error.reason.split(':')[0]})") from error
        except (StopIteration, InputError) as error:
            raise InputError(f"unreadable CIF ({type(error).__name__})") from error


def from_atoms(atoms: Atoms, identifier: str) -> Crystal:
    """Of ASE's atoms; sites that hold other elements or other shares of them are different."""
    numbers, positions, shares = sites_of(atoms)
    lattice = np.asarray(atoms.cell.array)
    held: dict[tuple[float, ...], list[tuple[int, float]]] = {}
    for number, position, share in zip(numbers, positions, shares, strict=True):
        held.setdefault(tuple(position), []).append((int(number), round(float(share), 4)))
    contents = [tuple(sorted(held[tuple(p)])) for p in atoms.get_scaled_positions(wrap=False)]
    known = sorted(set(contents))
    kinds = np.array([known.index(content) + 1 for content in contents])
    rotations, orbits, group = _symmetry(lattice, atoms.get_scaled_positions(), kinds, identifier)
    return Crystal(lattice, numbers, positions, shares, rotations, orbits, group, identifier)


def _symmetry(
    lattice: NDArray[np.float64],
    fractional: NDArray[np.float64],
    kinds: NDArray[np.int64],
    identifier: str,
) -> tuple[NDArray[np.float64], tuple[int, ...], int]:
    """Rotations, sizes of the orbits in the primitive cell and space group, by spglib."""
    import spglib

    cell = (lattice.tolist(), fractional.tolist(), kinds.tolist())
    found = answer_of(spglib.get_symmetry_dataset, cell, symprec=SYMPREC)
    if found is None:
        raise InputError(f"{identifier}: spglib finds no symmetry")
    sizes = np.unique(found.equivalent_atoms, return_counts=True)[1]
    sizes = np.sort(sizes // translations(found.rotations))
    return found.rotations.astype(float), tuple(sizes.tolist()), int(found.number)


def translations(rotations: NDArray[Any]) -> int:
    """Lattice points in the cell: operations without rotation."""
    return int((np.abs(rotations - np.eye(3)).max(axis=(1, 2)) < 1e-9).sum())


def parse_operation(text: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Rotation (3, 3) and translation (3,) of an operation such as "1/2+x,-y,z"."""
    rotation, translation = np.zeros((3, 3)), np.zeros(3)
    for row, part in enumerate(text.replace(" ", "").lower().split(",")):
        for sign, number, axis in re.findall(r"([+-]?)(\d+(?:/\d+)?|\d*\.\d+)?([xyz])?", part):
            if not number and not axis:
                continue
            top, _, bottom = number.partition("/")
            value = (float(top) if top else 1.0) / float(bottom or 1) * (-1 if sign == "-" else 1)
            if axis:
                rotation[row, "xyz".index(axis)] += value
            else:
                translation[row] += value
    return rotation, translation


@cache
def _setting(folder: Path, number: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    operations = [parse_operation(text) for text in _settings(folder)[number]["symops"]]
    return np.array([r for r, _ in operations]), np.array([t for _, t in operations])


@cache
def _settings(folder: Path) -> dict[str, Any]:
    try:
        with gzip.open(open_plain(folder / SETTINGS)) as file:
            content = file.read(_LARGEST_SETTINGS)
        return dict(json.loads(content))
    except (EOFError, gzip.BadGzipFile, zlib.error, TypeError, ValueError) as error:
        raise InputError(f"{folder / SETTINGS}: damaged ({reason_of(error)})") from None


def site_element(site: str, elements: set[str]) -> int:
    """Atomic number of a site label such as "CaM2", "O1", "Wat" or "OH3".

    Parameters
    ----------
    site : str
    elements : set of str
        Symbols in the formula, which decide what "CO2" begins with.

    Raises
    ------
    InputError
        The label begins with no element.
    """
    from ase.data import atomic_numbers

    label = site.strip()
    if label.startswith(("Wat", "Ow", "OW")):
        return 8
    if label.startswith("D") and not label.startswith("Dy"):
        return 1
    match = re.match(r"[A-Z][a-z]?", label)
    for pool in (elements, set(atomic_numbers)):
        for symbol in (match.group(), match.group()[0]) if match else ():
            if symbol in pool and symbol in atomic_numbers and symbol != "X":
                return int(atomic_numbers[symbol])
    raise InputError(f"site label {site!r} begins with no element")


def from_amcsd(record: dict[str, Any], folder: Path) -> Crystal:
    """Of an asymmetric unit; the folder holds the table of settings."""
    from ase.geometry import cellpar_to_cell

    rotations, shifts = _setting(folder, str(record["sgid"]))
    lattice = np.asarray(cellpar_to_cell(record["cell"]))
    elements = set(re.findall(r"[A-Z][a-z]?", record["formula"]))
    occupancy = record["occ"] or [1.0] * len(record["sites"])
    pure = translations(rotations)
    numbers: list[int] = []
    positions: list[NDArray[np.float64]] = []
    shares: list[float] = []
    firsts: list[NDArray[np.float64]] = []
    orbits: list[int] = []
    for site, *xyz, share in zip(
        record["sites"], record["x"], record["y"], record["z"], occupancy, strict=True
    ):
        image = (rotations @ np.array(xyz, float) + shifts) % 1.0
        difference = image[:, None] - image[None]
        distance = np.linalg.norm((difference - np.round(difference)) @ lattice, axis=-1)
        keep: list[int] = []
        for i in range(len(image)):
            if all(distance[i, j] > 0.1 for j in keep):
                keep.append(i)
        if not any(_same_site(image[keep], first, lattice) for first in firsts):
            firsts.append(image[0])
            orbits.append(max(len(keep) // pure, 1))
        numbers += [site_element(site, elements)] * len(keep)
        positions.extend(image[keep])
        shares += [1.0 if share is None else float(share)] * len(keep)
    return Crystal(
        lattice,
        np.array(numbers),
        np.array(positions),
        np.array(shares),
        rotations,
        tuple(sorted(orbits)),
        int(record["sg"]),
        f"amcsd{record['amcsd_id']}",
        "" if record["mineral"] == "<missing>" else str(record["mineral"]),
    )


def _same_site(
    positions: NDArray[np.float64], other: NDArray[np.float64], lattice: NDArray[np.float64]
) -> bool:
    """Whether a position is one of an orbit, to 0.3 Angstrom (split and mixed sites are one)."""
    difference = positions - other
    away = np.linalg.norm((difference - np.round(difference)) @ lattice, axis=1)
    return bool(away.min() < 0.3)
