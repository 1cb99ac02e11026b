"""Grains: a crystal grown from a seed, from window to window, as far as its lattice goes.

Overlapping windows cover the frame. The crystal of the best one is handed to its neighbours: each
fits lattice and origin anew to its own atoms and keeps them if its middle lies on the sites, so the
lattice may bend and stretch slowly but not jump. Where no window takes it any more is the boundary.
An atom belongs to the grain in which it and most of its neighbours have sites. Then the best window
that is left is the next seed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError
from ase_crystalnet.geometry.periodic import PeriodicSpace, validated_positions
from ase_crystalnet.grains.motif import Assignment, Motif
from ase_crystalnet.grains.seeds import WINDOWS, seed_motif
from ase_crystalnet.lattice.finder import LatticeFinder

__all__ = ["Grain", "GrainFinder", "Segmentation"]

#: Neighbours of an atom that are asked whether they have sites in the same grain.
NEIGHBORS = 12
#: Atoms nearest to a centre that decide whether a window belongs to a grain, and the share of them
#: and of all its atoms that must have sites.
CORE, LEAST_CORE, LEAST_ALL = 40, 0.6, 0.3
#: Distance from a site, in nearest-neighbour distances, within which an atom is on it.
TOLERANCE = 0.3
#: The same for atoms so many of whose neighbours are on sites.
FARTHEST, SURROUNDED = 0.5, 0.7
#: Atoms to a window, on average, and in it: neighbouring ones share half of their atoms.
ATOMS_TO_A_WINDOW, WINDOW_ATOMS = 16, 150
#: Seeds that fail one after the other before no more are tried.
FAILURES = 24
#: Of these, seeds that are looked at with large windows in any case.
THOROUGH = 3
#: Share of a window's atoms in grains at which it is no seed.
TAKEN = 0.4


@dataclass(frozen=True, eq=False)
class Grain:
    """A grain: its atoms, and where each is in the crystal.

    Attributes
    ----------
    atoms : (n,) integer array
        Indices, ascending.
    motif : Motif
        The crystal at its seed.
    assignment : Assignment
        Cell and site of each atom; offsets are from the lattice near it, Angstrom.
    positions : (n, 3) float64 array
        Of the atoms in open space, Angstrom: the grain in one piece, also across periodic faces.
    gradients : (w, 3, 3) float64 array
        Lattices of the windows of the grain.
    """

    atoms: NDArray[np.int64]
    motif: Motif
    assignment: Assignment
    positions: Array
    gradients: Array


@dataclass(frozen=True, eq=False)
class Segmentation:
    """Grains of N atoms, the largest first.

    Attributes
    ----------
    grain : (N,) int32 array
        Number of the grain of each atom, from 1; 0 for none.
    grains : tuple of Grain
        Grain 1 first.
    neighbors : (N, 12) integer array
        Nearest atoms of each atom, across periodic faces.
    """

    grain: NDArray[np.int32]
    grains: tuple[Grain, ...]
    neighbors: NDArray[np.int64]


@dataclass(frozen=True)
class GrainFinder:
    """Parameters of the search for grains; call it on a frame.

    Parameters
    ----------
    least_atoms : int
        Grains of fewer atoms are none.
    bend : float
        Largest difference of the lattice gradients of neighbouring windows, whose centres are about
        two spacings apart: faster bending is a boundary.
    support : float
        Share of the neighbours of an atom that must be in its grain.

    Raises
    ------
    InputError
        A parameter is out of range.
    """

    least_atoms: int = 60
    bend: float = 0.05
    support: float = 0.5

    def __post_init__(self) -> None:
        if self.least_atoms < 20:
            raise InputError(f"least_atoms is {self.least_atoms}; expected 20 or more")
        if not 0 < self.bend < 0.5:
            raise InputError(f"bend is {self.bend}; expected a gradient between 0 and 0.5")
        if not 0 <= self.support <= 1:
            raise InputError(f"support is {self.support}; expected a share between 0 and 1")

    def __call__(self, atoms: Atoms, *, threads: int | None = None) -> Segmentation:
        """Grains of a frame.

        Parameters
        ----------
        atoms : ase.Atoms
            Any mix of periodic directions.
        threads : int, optional
            Threads for neighbours and lattices; default: all cores.

        Raises
        ------
        InputError
            The structure cannot be used.
        """
        positions = validated_positions(atoms)
        space = PeriodicSpace.of(atoms)
        frame = Windows.of(space, space.wrap(positions), threads)
        if frame is None:
            none = np.zeros((len(atoms), NEIGHBORS), np.int64)
            return Segmentation(np.zeros(len(atoms), np.int32), (), none)
        return self._grains(frame, np.asarray(atoms.numbers), threads)

    def _grains(
        self, frame: Windows, numbers: NDArray[np.int64], threads: int | None
    ) -> Segmentation:
        finder = LatticeFinder()
        mask = np.ones(frame.source.shape, bool)
        lattices = finder(frame.relative.astype(np.float32), mask, threads=threads)
        there = np.asarray(np.isfinite(lattices.lattice).all(axis=(1, 2)))
        promise = np.nan_to_num(lattices.order) + there * np.clip(
            np.nan_to_num(lattices.coherence), 0, 1
        )
        state = _State(len(numbers))
        failures = 0
        for window in np.argsort(-promise, kind="stable"):
            if failures >= FAILURES:
                break
            if state.owner[frame.center[window]] or (
                np.mean(state.owner[frame.source[window]] > 0) > TAKEN
            ):
                continue
            near, source = frame.around(window, max(WINDOWS))
            lattice = lattices.lattice[window] if there[window] else None
            motif = seed_motif(
                near,
                numbers[source],
                lattice=lattice,
                finder=finder,
                thorough=failures < THOROUGH,
            )
            grown = motif is not None and self._grown(frame, int(window), motif, state)
            failures = 0 if grown else failures + 1
        return state.segmentation(frame.neighbors, self.least_atoms)

    def _grown(self, frame: Windows, window: int, motif: Motif, state: _State) -> bool:
        """Grow a crystal; whether it became a grain."""
        from ase_crystalnet.grains._kernels.growth import (  # compiled on first use
            claim,
            grow,
            supports,
        )

        total = len(frame.center)
        tolerance = TOLERANCE * motif.spacing
        sites = np.ascontiguousarray(motif.sites)
        lattices, origins = np.empty((total, 3, 3)), np.empty((total, 3))
        places = np.empty((total, 3))
        limits = (CORE, LEAST_CORE, LEAST_ALL, self.bend)
        order = grow(
            window, np.ascontiguousarray(motif.lattice), np.array(motif.origin, np.float64), sites,
            frame.relative, frame.source, frame.window_of, tolerance, *limits,
            np.zeros(total, np.int64), lattices, origins, places,
        )  # fmt: skip
        if not len(order):
            return False
        state.number += 1
        number = state.number
        reached = claim(
            order, frame.relative, frame.source, sites, lattices, origins, places, tolerance,
            state.stamp, number, state.distance, state.cells, state.site, state.near,
            state.offsets, state.positions,
        )  # fmt: skip
        share = np.empty(len(reached))
        for _ in range(2):
            supports(reached, frame.neighbors, state.stamp, number, state.near, share)
            state.near[reached[share < self.support]] = False
        supports(reached, frame.neighbors, state.stamp, number, state.near, share)
        # Hot atoms in the middle of a grain belong to it as well.
        square = (state.offsets[reached] ** 2).sum(axis=1)
        hot = (square < (FARTHEST * motif.spacing) ** 2) & (share >= SURROUNDED)
        mine = (state.near[reached] | hot) & (share > state.best[reached])
        own = np.sort(reached[mine])
        if len(own) < self.least_atoms:
            return False
        state.best[reached[mine]] = share[mine]
        state.owner[own] = number
        assignment = Assignment(
            state.cells[own], state.site[own], state.offsets[own], np.ones(len(own), bool)
        )
        grain = Grain(own, motif, assignment, state.positions[own], lattices[np.sort(order)])
        state.grains.append((number, grain))
        return True


class _State:
    """What is known of each atom while grains grow."""

    def __init__(self, count: int) -> None:
        self.owner = np.zeros(count, np.int32)
        self.best = np.zeros(count)
        self.number = 0
        self.grains: list[tuple[int, Grain]] = []
        self.stamp = np.zeros(count, np.int64)
        self.distance = np.empty(count)
        self.cells = np.empty((count, 3), np.int64)
        self.site = np.zeros(count, np.int64)
        self.near = np.zeros(count, bool)
        self.offsets = np.empty((count, 3))
        self.positions = np.empty((count, 3))

    def segmentation(self, neighbors: NDArray[np.int64], least: int) -> Segmentation:
        """Grains without the atoms that later ones took, the largest first."""
        kept = []
        for number, grain in self.grains:
            rows = self.owner[grain.atoms] == number
            if rows.sum() >= least:
                kept.append(_rows(grain, rows))
        kept.sort(key=lambda grain: (-len(grain.atoms), int(grain.atoms[0])))
        result = np.zeros(len(self.owner), np.int32)
        for number, grain in enumerate(kept, start=1):
            result[grain.atoms] = number
        return Segmentation(result, tuple(kept), neighbors)


def _rows(grain: Grain, rows: NDArray[np.bool_]) -> Grain:
    given = grain.assignment
    part = Assignment(given.cells[rows], given.site[rows], given.offsets[rows], given.near[rows])
    return replace(grain, atoms=grain.atoms[rows], assignment=part, positions=grain.positions[rows])


@dataclass(frozen=True, eq=False)
class Windows:
    """M windows of W atoms that cover a frame."""

    tree: cKDTree
    images: Array
    image_of: NDArray[np.int64]
    center: NDArray[np.int64]
    window_of: NDArray[np.int64]
    relative: Array
    source: NDArray[np.int64]
    neighbors: NDArray[np.int64]

    @classmethod
    def of(cls, space: PeriodicSpace, positions: Array, threads: int | None) -> Windows | None:
        """Windows about the atoms nearest to the middles of cubes; None of too few atoms."""
        workers = -1 if threads is None else threads
        count = len(positions)
        # Volume an atom: of the cell, or about atoms where there is open space.
        if space.pbc.all():
            volume = abs(float(np.linalg.det(space.basis))) / count
        else:
            if count < WINDOW_ATOMS:
                return None
            some = positions[:: max(count // 512, 1)]
            far = cKDTree(positions).query(some, k=[NEIGHBORS + 1])[0][:, 0]
            volume = 4 / 3 * np.pi * float(np.median(far)) ** 3 / (NEIGHBORS + 1)
        depth = 1.2 * (3 * max(WINDOWS) * volume / (4 * np.pi)) ** (1 / 3)
        if count > 8 * max(WINDOWS):
            # Seeds near a face make do with the images that windows need.
            depth = 1.35 * (3 * WINDOW_ATOMS * volume / (4 * np.pi)) ** (1 / 3)
        images, image_of = space.with_ghosts(positions, depth)
        if len(images) < WINDOW_ATOMS:
            return None
        tree = cKDTree(images, leafsize=16)
        neighbors = image_of[tree.query(positions, k=NEIGHBORS + 1, workers=workers)[1][:, 1:]]
        center = _centers(positions, (ATOMS_TO_A_WINDOW * volume) ** (1 / 3))
        window_of = np.full(count, -1, np.int64)
        window_of[center] = np.arange(len(center))
        found = tree.query(positions[center], k=WINDOW_ATOMS, workers=workers)[1]
        relative = images[found] - positions[center, None]
        return cls(tree, images, image_of, center, window_of, relative, image_of[found], neighbors)

    def around(self, window: int, count: int) -> tuple[Array, NDArray[np.int64]]:
        """Atoms about the centre of a window, relative to it, and which they are."""
        middle = self.images[self.center[window]]
        found = self.tree.query(middle, k=min(count, len(self.images)))[1]
        return self.images[found] - middle, self.image_of[found]


def _centers(positions: Array, edge: float) -> NDArray[np.int64]:
    """Of each cube with atoms, the one nearest to its middle: whatever the order of the atoms."""
    cube = np.floor((positions - positions.min(axis=0)) / edge).astype(np.int64)
    far = ((positions - positions.min(axis=0) - (cube + 0.5) * edge) ** 2).sum(axis=1)
    size = cube.max(axis=0) + 1
    key = (cube[:, 0] * size[1] + cube[:, 1]) * size[2] + cube[:, 2]
    order = np.lexsort((far, key))
    first = np.append(True, np.diff(key[order]) != 0)
    return np.asarray(order[first], np.int64)
