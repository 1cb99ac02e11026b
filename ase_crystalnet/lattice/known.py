"""Crystals that are known already: does a window show one of them?

The search for a lattice in a window, and its image, cost a hundred times what it takes to look at
the reflections of a crystal that a window nearby has shown. Where all of them are as bright as
there, and nothing else is lit where a superlattice would be, the window shows the same crystal.
Lattice, order, displacement and coherence are then the window's own, from these reflections: its
neighbour's lattice is only where two Newton steps begin.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.threads import share
from ase_crystalnet._compute.types import Array
from ase_crystalnet.lattice.finder import LatticeFinder, minkowski_reduce

__all__ = ["KnownCrystals", "KnownFinder", "Shown"]

#: Most reflections of a crystal, the innermost, and how far out they may be, in inverse
#: nearest-neighbour distances: in fcc the second order of planes that can be faulted is among them.
MOST, Q_MOST = 64, 13.0
#: How far out those are that the lattice is fitted to, as in the search for lattices.
Q_FIT = 12.0
#: Points between the reflections that are to be dark: so many of each way to double the cell, the
#: outermost within what the lattice search looks at, which the smallest shifts light up most.
DARK_EACH, Q_DARK = 5, 10.0
#: Multiples of a reduced reciprocal basis that are looked at.
FARTHEST = 6


@dataclass(frozen=True, eq=False)
class KnownCrystals:
    """A crystals, as windows show them.

    Attributes
    ----------
    basis : (A, 3, 3) array
        Reciprocal bases, rows, 1 / Angstrom with the factor 2 pi.
    spacing : (A,) array
        Nearest-neighbour distance, Angstrom.
    density : (A,) array
        Atoms about the centre, 1 / Angstrom^3.
    hkl, number, inner : (A, R, 3), (A,), (A,) integer arrays
        Reflections that are compared, innermost first; how many, and how many of them the lattice
        is fitted to.
    dark, dark_number : (A, D, 3), (A,) integer arrays
        Points that are to be dark, in halves of the basis.
    amplitude : (A, R) array
        Of the reflections, 1 where all atoms scatter in phase.
    factor : (A, R) array
        Squared structure factors of the motif, 1 where all sites scatter in phase.
    brightest : (A,) array
        Largest S at the points that are to be dark.
    """

    basis: Array
    spacing: Array
    density: Array
    hkl: NDArray[np.int16]
    number: NDArray[np.int64]
    inner: NDArray[np.int64]
    dark: NDArray[np.int16]
    dark_number: NDArray[np.int64]
    amplitude: NDArray[np.float32]
    factor: NDArray[np.float32]
    brightest: Array

    def __len__(self) -> int:
        return len(self.basis)

    @classmethod
    def of(
        cls,
        positions: NDArray[np.float32],
        mask: NDArray[np.bool_],
        lattice: Array,
        spacing: Array,
        *,
        threads: int | None = None,
    ) -> KnownCrystals:
        """What windows show whose lattices are known.

        Parameters
        ----------
        positions : (A, N, 3) array
            Angstrom.
        mask : (A, N) bool array
            True for atoms, which come first in each row.
        lattice : (A, 3, 3) array
            Of these windows, rows, Angstrom; every one has a lattice.
        spacing : (A,) array
            Nearest-neighbour distances, Angstrom.
        threads : int, optional
        """
        from ase_crystalnet.lattice._kernels.known import references  # compiled on first use

        total = len(positions)
        positions = np.ascontiguousarray(positions, np.float32)
        counts = np.count_nonzero(mask, axis=1).astype(np.int64)
        # The inverse of a reduced lattice may be far from reduced.
        basis = minkowski_reduce(_reciprocal(lattice))
        hkl, number, inner = _within(basis, spacing)
        dark, dark_number = _between(basis, Q_DARK / spacing)
        crystals = cls(
            basis=basis,
            spacing=spacing,
            density=np.zeros(total),
            hkl=hkl,
            number=number,
            inner=inner,
            dark=dark,
            dark_number=dark_number,
            amplitude=np.zeros((total, MOST), np.float32),
            factor=np.zeros((total, MOST), np.float32),
            brightest=np.zeros(total),
        )
        given = (positions, counts, spacing, basis, hkl, number, dark, dark_number)
        out = (crystals.amplitude, crystals.factor, crystals.density, crystals.brightest)
        share(lambda start, stop: references(*given, start, stop, *out), total, threads)
        return crystals

    def some(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> KnownCrystals:
        """Some of the crystals."""
        return KnownCrystals(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def joined(self, other: KnownCrystals) -> KnownCrystals:
        """These crystals, then the others."""
        return KnownCrystals(
            **{
                f.name: np.concatenate([getattr(self, f.name), getattr(other, f.name)])
                for f in fields(self)
            }
        )

    @classmethod
    def none(cls) -> KnownCrystals:
        """No crystals."""
        return cls(
            np.empty((0, 3, 3)),
            np.empty(0),
            np.empty(0),
            np.empty((0, MOST, 3), np.int16),
            np.empty(0, np.int64),
            np.empty(0, np.int64),
            np.empty((0, 7 * DARK_EACH, 3), np.int16),
            np.empty(0, np.int64),
            np.empty((0, MOST), np.float32),
            np.empty((0, MOST), np.float32),
            np.empty(0),
        )


@dataclass(frozen=True, eq=False)
class Shown:
    """What B windows show of known crystals; every row but `known` is void where that is -1.

    Attributes
    ----------
    known : (B,) integer array
        Crystal that the window shows; -1 where it is none of those compared.
    basis : (B, 3, 3) array
        Its own reciprocal basis, 1 / Angstrom.
    order, coherence, mean_square_displacement : (B,) arrays
        As of `Lattices`.
    density : (B,) array
        Atoms about the centre, 1 / Angstrom^3.
    """

    known: NDArray[np.int64]
    basis: Array
    order: Array
    coherence: Array
    mean_square_displacement: Array
    density: Array

    def lattice(self, rows: NDArray[np.intp]) -> Array:
        """Reduced lattices of some of the windows, vectors in rows, Angstrom."""
        return minkowski_reduce(_reciprocal(self.basis[rows]))


@dataclass(frozen=True)
class KnownFinder:
    """How alike a window and a crystal have to be; call it on windows.

    Parameters
    ----------
    least : float
        Least share of the crystal's amplitude that the window has. Where a boundary leaves it less
        the name is less certain too.
    tolerance : float
        Largest difference of one amplitude from that share, times the root of the number of atoms.
        Noise is 0.7 at most, of the difference of two windows 1.
    darkness : float
        Largest S where the crystal is dark; the lattice search takes a peak for one from 11 on.
    """

    least: float = 0.88
    tolerance: float = 2.2
    darkness: float = 10.0

    def __call__(
        self,
        positions: NDArray[np.float32],
        mask: NDArray[np.bool_],
        candidates: NDArray[np.int64],
        bases: Array,
        roots: NDArray[np.int64],
        crystals: KnownCrystals,
        *,
        threads: int | None = None,
    ) -> Shown:
        """Compare windows with crystals, nearest first, until one is what they show.

        Parameters
        ----------
        positions, mask : (B, N, 3), (B, N) arrays
            Windows, Angstrom, atoms first.
        candidates : (B, K) integer array
            Windows that show a crystal, in the order in which they are tried; -1 after the last.
        bases : (W, 3, 3) array
            Reciprocal bases of those windows.
        roots : (W,) integer array
            Crystal that each shows.
        crystals : KnownCrystals
        threads : int, optional
        """
        from ase_crystalnet.lattice._kernels.known import SEEN, compare  # compiled on first use

        total = len(positions)
        basis = np.zeros((total, 3, 3))
        seen = np.zeros(total, SEEN)
        seen["known"] = -1
        if total and len(crystals):
            given = (
                np.ascontiguousarray(positions, np.float32),
                np.count_nonzero(mask, axis=1).astype(np.int64),
                np.ascontiguousarray(candidates, np.int64),
                bases,
                roots,
                crystals.hkl,
                crystals.number,
                crystals.inner,
                crystals.dark,
                crystals.dark_number,
                crystals.amplitude,
                crystals.factor,
            )
            # Of what rises above a liquid's peaks, as in the search for lattices.
            limits = (self.least, self.tolerance, self.darkness, 18.0, LatticeFinder.least_order)
            share(
                lambda start, stop: compare(*given, *limits, start, stop, basis, seen),
                total,
                threads,
            )
        return Shown(
            seen["known"].copy(),
            basis,
            seen["order"],
            seen["coherence"],
            seen["msd"],
            seen["density"],
        )


def _reciprocal(basis: Array) -> Array:
    """Reciprocal bases (B, 3, 3), with the factor 2 pi."""
    # One layout: each has loops compiled for it.
    return np.ascontiguousarray(2 * np.pi * np.linalg.inv(basis).transpose(0, 2, 1))


def _half_space(multiples: int) -> NDArray[np.int16]:
    """Every index triple but its negative, no zero."""
    steps = range(-multiples, multiples + 1)
    return np.array([h for h in product(steps, steps, steps) if h > (0, 0, 0)], np.int16)


def _within(
    basis: Array, spacing: Array
) -> tuple[NDArray[np.int16], NDArray[np.int64], NDArray[np.int64]]:
    """Reflections (A, `MOST`, 3) of bases, innermost first; how many, and within `Q_FIT`."""
    every = _half_space(FARTHEST)
    length = np.linalg.norm(every @ basis, axis=2) * spacing[:, None]
    first = np.argsort(length, axis=1, kind="stable")[:, :MOST]
    length = np.take_along_axis(length, first, axis=1)
    number, inner = ((length < limit).sum(axis=1).astype(np.int64) for limit in (Q_MOST, Q_FIT))
    return np.ascontiguousarray(every[first]), number, inner


def _between(basis: Array, limit: Array) -> tuple[NDArray[np.int16], NDArray[np.int64]]:
    """Points (A, 7 `DARK_EACH`, 3) in halves of bases, the outermost of each way to double them."""
    every = _half_space(FARTHEST)
    every = every[(every % 2 != 0).any(axis=1)]
    kind = (every % 2) @ np.array([1, 2, 4])
    result, counts = [], []
    for own, reach in zip(basis, limit, strict=True):
        length = np.linalg.norm(every @ (own / 2), axis=1)
        inside = np.flatnonzero(length < reach)
        order = inside[np.argsort(-length[inside], kind="stable")]
        chosen = np.concatenate([order[kind[order] == k][:DARK_EACH] for k in range(1, 8)])
        row = np.zeros((7 * DARK_EACH, 3), np.int16)
        row[: len(chosen)] = every[chosen]
        result.append(row)
        counts.append(len(chosen))
    return np.array(result, np.int16).reshape(-1, 7 * DARK_EACH, 3), np.array(counts, np.int64)
