"""Ordered structures and their superlattice reflections, from the places of their atoms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.atom_probe.crystal.known import KnownCrystal
from ase_crystalnet.errors import InputError

__all__ = ["ORDERED", "OrderedStructure", "Reflections", "reflections_of"]

#: Amplitude below which a reflection is none; structure factor above which it is the parent's too.
_DARK = 1e-3


@dataclass(frozen=True, eq=False)
class OrderedStructure:
    """A superlattice of a parent lattice.

    Attributes
    ----------
    name, parent : str
    cell : (3, 3) array
        Rows: its edges in those of the parent's conventional cell.
    sites : (n, 3) array
        Fractional, in its own cell.
    chosen : (n,) bool array
        Sites of the species that orders; all, where it is the positions that differ (omega).
    """

    name: str
    parent: str
    cell: Array
    sites: Array
    chosen: NDArray[np.bool_]

    @property
    def chemical(self) -> bool:
        """Whether species order, and not positions."""
        return not bool(self.chosen.all())


_FCC = np.array([(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])
_BCC = np.array([(0, 0, 0), (0.5, 0.5, 0.5)])
#: The two layers of hcp, four sites each in a cell twice as large across: Ni3Sn.
_D019 = np.array(
    [
        ((x + i) / 2, (y + j) / 2, z)
        for x, y, z in ((2 / 3, 1 / 3, 0.25), (1 / 3, 2 / 3, 0.75))
        for i, j in ((0, 0), (1, 0), (0, 1), (1, 1))
    ]
)
_OMEGA = np.array([(0, 0, 0), (1 / 3, 2 / 3, 0.5), (2 / 3, 1 / 3, 0.5)])

#: Ordered structures by name.
ORDERED = {
    s.name: s
    for s in (
        OrderedStructure("L1_2", "fcc", np.eye(3), _FCC, np.arange(4) == 0),
        OrderedStructure("L1_0", "fcc", np.eye(3), _FCC, np.arange(4) < 2),
        OrderedStructure("B2", "bcc", np.eye(3), _BCC, np.arange(2) == 0),
        OrderedStructure(
            "D0_19", "hcp", np.diag([2.0, 2.0, 1.0]), _D019, np.isin(np.arange(8), (2, 5))
        ),
        OrderedStructure(
            "omega", "bcc", np.array([(1, -1, 0), (0, 1, -1), (0.5, 0.5, 0.5)]), _OMEGA,
            np.ones(3, bool),
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Reflections:
    """Reflections of an ordered structure and of its parent, for a crystal.

    Attributes
    ----------
    structure : str
    chemical : bool
        Whether they are of species (or of all ions).
    variants : tuple of (K, 3) arrays
        Superlattice points, one array for each orientation that the structure can have in its
        parent; frame of the parent's cell, without 2 pi, Angstrom^-1.
    amplitudes : tuple of (K,) arrays
        Amplitude of each over the number of ions, for perfect order.
    fundamental : (M, 3) array
        Points of the parent.
    """

    structure: str
    chemical: bool
    variants: tuple[Array, ...]
    amplitudes: tuple[Array, ...]
    fundamental: Array


def reflections_of(name: str, crystal: KnownCrystal, least: float = 1.0) -> Reflections:
    """Reflections of an ordered structure in a crystal that is its parent.

    Parameters
    ----------
    name : str
        A key of `ORDERED`; ``L12`` is L1_2.
    crystal : KnownCrystal
        The parent; an ordered crystal of the same lattice does as well.
    least : float
        Smallest spacing of planes, Angstrom.

    Raises
    ------
    InputError
        If there is no such structure, or it is none of this crystal's lattice.
    """
    known = {key.replace("_", "").lower(): key for key in ORDERED}
    key = known.get(name.replace("_", "").lower())
    if key is None:
        raise InputError(f"order: expected one of {', '.join(ORDERED)}, got {name!r}")
    structure = ORDERED[key]
    if _lattice(crystal) != structure.parent:
        raise InputError(
            f"order: {key} is a superlattice of {structure.parent}, and {crystal.name} is "
            f"{_lattice(crystal) or 'another crystal'}"
        )
    own = np.linalg.inv(structure.cell).T @ crystal.reciprocal
    size = int(np.ceil(np.linalg.norm(structure.cell @ crystal.cell, axis=1).max() / least)) + 1
    grid = np.stack(np.meshgrid(*[np.arange(-size, size + 1)] * 3, indexing="ij"), -1)
    index = grid.reshape(-1, 3)
    points = index @ own
    length = np.linalg.norm(points, axis=1)
    good = (length > 1e-6) & (length <= 1 / least)
    index, points = index[good], points[good]
    phase = np.exp(-2j * np.pi * index @ structure.sites.T)
    amplitude = np.abs(phase @ structure.chosen) / len(structure.sites)
    parent, _ = crystal.planes(least)
    fundamental = crystal.vectors(parent)
    both = np.concatenate([fundamental, -fundamental])
    on_parent = (np.linalg.norm(points[:, None] - both, axis=2) < 1e-6).any(axis=1)
    lit = (amplitude > _DARK) & ~on_parent
    variants, amplitudes = _variants(points[lit], amplitude[lit], crystal)
    return Reflections(key, structure.chemical, variants, amplitudes, fundamental)


def _lattice(crystal: KnownCrystal) -> str:
    """fcc, bcc or hcp, of the places of its atoms without their species; else empty."""
    edges, sites = np.linalg.norm(crystal.cell, axis=1), crystal.sites
    if crystal.hexagonal:
        return "hcp" if len(sites) == 2 and abs(edges[2] / edges[0] - 1.6) < 0.35 else ""
    cubic = (
        np.ptp(edges) < 0.02 * edges[0]
        and np.abs(crystal.cell @ crystal.cell.T - np.diag(edges**2)).max() < 0.02 * edges[0] ** 2
    )
    for name, count, wanted in (("fcc", 4, _FCC), ("bcc", 2, _BCC)):
        if cubic and len(sites) == count:
            off = (sites - sites[0])[:, None] - wanted
            if (np.abs(off - np.rint(off)).max(axis=2).min(axis=0) < 0.02).all():
                return name
    return ""


def _variants(
    points: Array, amplitude: Array, crystal: KnownCrystal
) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
    """Sets of points that the parent's symmetry makes of one, each different set once."""
    cartesian = crystal.reciprocal.T @ crystal.rotations @ np.linalg.inv(crystal.reciprocal.T)
    seen: set[frozenset[tuple[float, ...]]] = set()
    variants, amplitudes = [], []
    for turn in cartesian:
        turned = points @ turn.T
        upper = np.array([_upper(p) for p in turned])
        turned = np.where(upper[:, None], turned, -turned)
        turned, first = np.unique((turned / 1e-6).round(), axis=0, return_index=True)
        key = frozenset(map(tuple, turned.tolist()))
        if key not in seen:
            seen.add(key)
            variants.append(turned * 1e-6)
            amplitudes.append(amplitude[first])
    return tuple(variants), tuple(amplitudes)


def _upper(point: Array) -> bool:
    """Which of a point and its opposite stands for both."""
    for x in point[::-1]:
        if abs(x) > 1e-6:
            return bool(x > 0)
    return True
