"""The parent lattice behind weak superlattice peaks and the fringes of a film.

Order of species or small shifts of sites put weak peaks between the strong ones, and so does the
thickness of a film of few layers. The lattice search counts them, as it must: in graphite or dhcp
such peaks are the structure. Where they are weak, the finer lattice that the strong peaks alone
span is what the crystal is called by, and what was dropped is a finding of its own.

How weak is weak depends on what they are. A perfect lattice cut to the window's shape has fringes
that follow from the shape alone, so these are dropped also where they are brighter. What the shape
does not explain is order or a shift of sites: an ordered alloy where the parent is fcc or bcc, but
a structure of its own where it is an open lattice, for bismuth is simple cubic but for shifts of
0.06 spacings.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.threads import share
from ase_crystalnet.errors import InputError
from ase_crystalnet.lattice.finder import Lattices

__all__ = ["SuperlatticeFinder", "Superlattices"]

Array = NDArray[np.float64]

#: Largest index of a superlattice in its parent.
LARGEST_INDEX = 6
#: Volume of a cell, in cubed nearest-neighbour distances, below which it has no parent. Twice the
#: densest packing has 1.41, twice bcc 1.24 where displacements join its two shells; the lattices of
#: fcc, bcc and sc have 0.71, 0.77 and 1.
LEAST_VOLUME = 1.1


@dataclass(frozen=True, eq=False)
class Superlattices:
    """Parent lattices of B windows, and how strong what distinguishes the found ones is.

    Attributes
    ----------
    index : (B,) int8 array
        Volume of the found cell in that of the parent's; 1 where the found lattice is its own
        parent, 0 where there is no lattice.
    lattice : (B, 3, 3) float64 array
        Parent lattice, reduced, in rows, right-handed, Angstrom; nan without a lattice.
    strength : (B,) float64 array
        Mean S - 1 of the dropped reflections over that of the kept ones, S = |sum|^2 / N; nan where
        nothing was dropped. Below zero by chance.
    significance : (B,) float64 array
        Sum of S over the dropped reflections less what the window's shape, its vacancies and its
        displacements make of a perfect parent lattice there, in standard deviations of that: a
        film's fringes are within 3 of 0, order of species or shifted sites above. nan where nothing
        was dropped. It is for parents of one atom a cell; others add their own motif.
    """

    index: NDArray[np.int8]
    lattice: Array
    strength: Array
    significance: Array

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class SuperlatticeFinder:
    """Parameters of the search for parent lattices; call it on windows and their lattices.

    Parameters
    ----------
    limit : float
        Strength below which reflections are dropped that the shape of the window explains, 0 to 1.
    order_limit : float
        The same for those that it does not explain, where the parent is dense (one atom in less
        than 0.92 cubed spacings: fcc, bcc).
    open_limit : float
        The same where the parent is open.
    chance : float
        Significance up to which the shape explains them, standard deviations.
    q_max : float
        Reflections looked at, in units of 1 / nearest-neighbour distance.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    limit: float = 0.16
    order_limit: float = 0.12
    open_limit: float = 0.04
    chance: float = 4.0
    q_max: float = 10.5

    def __post_init__(self) -> None:
        if not 0 <= self.open_limit <= self.order_limit <= self.limit < 1:
            raise InputError(
                f"limits are {self.limit}, {self.order_limit} (order), {self.open_limit} (open); "
                "expected strengths below 1, none above the one before it"
            )
        if not self.chance >= 0:
            raise InputError(f"chance is {self.chance}; expected a significance of 0 or more")
        if not 5.0 <= self.q_max <= 20.0:
            raise InputError(f"q_max is {self.q_max}; expected 5 to 20 inverse spacings")

    def __call__(
        self,
        positions: NDArray[np.float32],
        mask: NDArray[np.bool_],
        lattices: Lattices,
        *,
        threads: int | None = None,
    ) -> Superlattices:
        """Parent lattice of each window.

        Parameters
        ----------
        positions : (B, N, 3) array
            Angstrom.
        mask : (B, N) bool array
            True for atoms, which come first in each row.
        lattices : Lattices
            What `LatticeFinder` found in these windows.
        threads : int, optional
            Threads to share the windows; default: numba's number (``NUMBA_NUM_THREADS``).

        Raises
        ------
        InputError
            The shapes do not fit.
        """
        from ase_crystalnet.lattice._kernels.parent import parent_batch  # compiled on first use

        positions = np.ascontiguousarray(positions, np.float32)
        total = len(positions)
        if mask.shape != positions.shape[:2] or len(lattices) != total:
            raise InputError(
                f"mask has shape {mask.shape} for {len(lattices)} lattices; expected "
                f"{positions.shape[:2]} and {total}"
            )
        counts = np.count_nonzero(mask, axis=1).astype(np.int64)
        index = np.zeros(total, np.int8)
        parent = np.full((total, 3, 3), np.nan)
        strength = np.full(total, np.nan)
        significance = np.full(total, np.nan)
        given = (
            positions,
            counts,
            np.ascontiguousarray(lattices.lattice),
            lattices.nearest_neighbor_distance,
            lattices.mean_square_displacement,
        )
        limits = (self.limit, self.order_limit, self.open_limit, self.chance)
        constants = (self.q_max, *limits, LEAST_VOLUME, *_parents())
        results = (index, parent, strength, significance)

        def part(start: int, stop: int) -> None:
            parent_batch(*given, start, stop, *constants, *results)

        share(part, total, threads)
        there = index > 0
        parent[there & (np.linalg.det(np.where(there[:, None, None], parent, 1.0)) < 0)] *= -1
        return Superlattices(index, parent, strength, significance)


@cache
def _parents() -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.int64]]:
    """Every parent of index 2 to 6 of a lattice with reflections hkl, by Hermite normal forms.

    Which reflections it keeps, by their residue class modulo the index, (K, 216); a basis of them
    (K, 3, 3); indices (K,), ascending.
    """
    kept, bases, indices = [], [], []
    for index in range(2, LARGEST_INDEX + 1):
        classes = np.array(list(product(range(index), repeat=3)))
        for form in _hermite_forms(index):
            # Rows of the form are a basis of the kept reflections: hkl = integers . form.
            numbers = classes @ np.rint(index * np.linalg.inv(form)).astype(np.int64)
            row = np.zeros(LARGEST_INDEX**3, bool)
            row[: index**3] = (numbers % index == 0).all(axis=1)
            kept.append(row)
            bases.append(form)
            indices.append(index)
    return np.array(kept), np.array(bases), np.array(indices)


def _hermite_forms(index: int) -> list[NDArray[np.int64]]:
    return [
        np.array([[a, i, j], [0, b, k], [0, 0, c]])
        for a in range(1, index + 1)
        if index % a == 0
        for b in range(1, index // a + 1)
        if index // a % b == 0
        for c in [index // a // b]
        for i in range(b)
        for j in range(c)
        for k in range(c)
    ]
