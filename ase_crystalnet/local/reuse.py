"""Answers taken over after a check: most windows of a crystal show what one nearby has shown.

A few windows all over the structure go the whole way. The others, from coarse to fine, are compared
with the crystals of those around them (`lattice.known`); what shows the same crystal takes over its
class probabilities. Order, lattice, strain, displacement and coherence are its own. It is always
the window which went the whole way that others are compared with, never one that has taken over, so
that nothing drifts; and only windows of coarser levels, so that neither the order of the windows
nor how they are batched matters.

A window of a liquid between windows of it takes over too, once its own search for a lattice has
found none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.classes import DISORDERED, OTHER
from ase_crystalnet.lattice.finder import LatticeFinder, Lattices
from ase_crystalnet.lattice.known import KnownCrystals, KnownFinder, Shown
from ase_crystalnet.lattice.strain import PARENTS, ParentFinder, Strains
from ase_crystalnet.local.evidence import CELL_ATOMS
from ase_crystalnet.local.levels import Level, coarse_to_fine
from ase_crystalnet.results.method import Progress
from ase_crystalnet.results.table import WindowTable
from ase_crystalnet.windows.windower import PreparedSystem, WindowBatch

__all__ = ["Reuse", "Stages"]

Numbers = NDArray[np.int64]

#: Edge of the smallest cubes of which one window goes before the rest, in radii of a window.
EDGE = 0.5
#: Windows that show different crystals, tried in turn.
TRIED = 3
#: First level on which a window may be one of a liquid by those around it, which are two radii
#: apart there, and fewest of these.
FINE, FEWEST_AROUND = 2, 4


@dataclass(frozen=True, eq=False)
class Stages:
    """The whole way of a window, as `LocalAnalysis` has it.

    Attributes
    ----------
    look : callable
        Of a batch, the numbers of some of its windows, a table, the rows of these windows and what
        the finder found in them or None: fills the rows; returns the strains taken out.
    classes : tuple of str
        Names of the classes.
    finder : LatticeFinder
    parents : ParentFinder
        Of the strains.
    batch_size : int
        Windows worked on at a time.
    """

    look: Callable[
        [WindowBatch, NDArray[np.intp], WindowTable, NDArray[np.intp], Lattices | None],
        Strains | None,
    ]
    classes: tuple[str, ...]
    finder: LatticeFinder
    parents: ParentFinder
    batch_size: int


@dataclass(frozen=True)
class Reuse:
    """When a window takes over what another was found to be.

    Parameters
    ----------
    certainty : float
        Least certainty of the window that is taken from. Below it a fault may be in that window.
    inside : float
        Least coherence about the centre of that window.
    coherence : float
        Least coherence about the centre of the window that takes over; below 0.65 boundaries are
        looked for.
    known : KnownFinder
        How alike they have to be.
    calm : float
        Largest S (`Lattices.order` times atoms) of a window of a liquid that takes over.
    excess, change : float
        Most atoms in the cell of a structure that is named, over the number that it has; largest
        relative change of that number in crystals of no name.
    margin : float
        Least certainty that the parent lattice is the right one (`Strains.margin`).
    """

    certainty: float = 0.99
    inside: float = 0.8
    coherence: float = 0.68
    known: KnownFinder = field(default_factory=KnownFinder)
    calm: float = 20.0
    excess: float = 1.08
    change: float = 0.1
    margin: float = 0.98

    def measured(
        self,
        stages: Stages,
        prepared: PreparedSystem,
        points: Array,
        progress: Progress | None = None,
        before: int = 0,
    ) -> WindowTable:
        """The table of all windows.

        Parameters
        ----------
        stages : Stages
            The whole way.
        prepared : PreparedSystem
        points : (W, 3) array
            Centres, Angstrom.
        progress : callable, optional
        before : int
            Windows done earlier in the same frame.
        """
        total = len(points)
        table = WindowTable.empty(total, len(stages.classes))
        quiet = prepared.with_windows_of(prepared.windower.window_atoms)  # sparse ones: at the end
        edge = EDGE * float(np.median(prepared.radii(points))) if total else 1.0
        work = _Work(self, stages, table)
        size = stages.batch_size
        levels = coarse_to_fine(prepared.space, points, edge)
        done = 0
        for number, level in enumerate(levels):
            around = work.around(level)
            liquid = work.liquid_around(level) if number >= FINE else np.full(len(around), -1)
            last = number == len(levels) - 1
            for start in range(0, len(level.rows), size):
                rows = slice(start, start + size)
                for batch in quiet.batches(points[level.rows[rows]], size):
                    work.batch(batch, level.rows[rows], around[rows], liquid[rows], last)
                    done += len(batch)
                if progress is not None:
                    progress(before + done, before + total)
        prepared.warn_of_sparse(int(table.sparse.sum()), total)
        return table


@dataclass(eq=False)
class _Work:
    """What is known of the windows of a frame on the way; filled in place."""

    reuse: Reuse
    stages: Stages
    table: WindowTable

    def __post_init__(self) -> None:
        total = len(self.table.sparse)
        classes = self.stages.classes
        #: Crystals that windows may be compared with, and the windows that showed them first.
        self.crystals = KnownCrystals.none()
        self.source = np.empty(0, np.int64)
        self.parent = np.empty(0, np.int8)
        #: Reciprocal basis of each window that shows one of them, and which.
        self.basis = np.zeros((total, 3, 3))
        self.root = np.full(total, -1, np.int64)
        #: Windows that show a liquid.
        self.liquid = np.zeros(total, bool)
        self.sites = np.array([float(CELL_ATOMS.get(name, np.inf)) for name in classes])
        self.other = np.array([name == OTHER for name in classes])
        self.disordered = np.array([name == DISORDERED for name in classes])
        self.rivals = np.array([name in PARENTS for name in classes])

    def around(self, level: Level) -> Numbers:
        """Windows (K, `TRIED`) around those of a level that show crystals, each another one."""
        near = level.near
        roots = np.where(near >= 0, self.root[near], -1)
        fresh = roots >= 0
        for later in range(1, near.shape[1]):
            fresh[:, later] &= ~(roots[:, :later] == roots[:, later : later + 1]).any(axis=1)
        order = np.argsort(~fresh, axis=1, kind="stable")[:, :TRIED]
        taken = np.take_along_axis(near, order, axis=1)
        return np.where(np.take_along_axis(fresh, order, axis=1), taken, -1)

    def liquid_around(self, level: Level) -> Numbers:
        """The nearest window (K,) to those of a level that have liquid all around; else -1."""
        there = level.near >= 0
        inside = (self.liquid[level.near] | ~there).all(axis=1)
        inside &= there.sum(axis=1) >= FEWEST_AROUND
        return np.where(inside, level.near[:, 0], -1)

    def batch(
        self, batch: WindowBatch, rows: Numbers, around: Numbers, liquid: Numbers, last: bool
    ) -> None:
        """Windows of a batch, in these rows of the table."""
        self.table.set_rows(rows, sparse=batch.sparse, radius=batch.radius)
        left = ~batch.sparse
        if (around >= 0).any():
            near = np.where(left[:, None], around, -1)
            shown = self.reuse.known(
                batch.positions, batch.mask, near, self.basis, self.root, self.crystals
            )
            left[self._taken_over(shown, rows)] = False
        still = np.flatnonzero(left & (liquid >= 0))
        if len(still):
            still, found = self._still(batch, rows, still, liquid)
            left[np.flatnonzero(left & (liquid >= 0))] = False
            self._look(batch, still, rows, found, last)
        self._look(batch, np.flatnonzero(left), rows, None, last)

    def _look(
        self,
        batch: WindowBatch,
        which: NDArray[np.intp],
        rows: Numbers,
        found: Lattices | None,
        last: bool,
    ) -> None:
        """Have windows of a batch go the whole way."""
        if len(which) == 0:
            return
        mine = rows[which]
        strains = self.stages.look(batch, which, self.table, mine, found)
        if strains is not None and not last:
            self._keep(batch, which, mine, strains)
        probabilities = self.table.probabilities[mine]
        sure = probabilities.max(axis=1) >= self.reuse.certainty
        sure &= self.disordered[probabilities.argmax(axis=1)]
        self.liquid[mine] = sure & (self.table.rank[mine] == 0)

    def _still(
        self, batch: WindowBatch, rows: Numbers, which: NDArray[np.intp], liquid: Numbers
    ) -> tuple[NDArray[np.intp], Lattices]:
        """Fill the rows of windows in a liquid that show one; the others, and what was found."""
        mask = batch.mask[which]
        found = self.stages.finder(batch.positions[which], mask)
        calm = (found.rank == 0) & (found.order * mask.sum(axis=1) <= self.reuse.calm)
        taken = rows[which[calm]]
        source = liquid[which[calm]]
        probabilities = self.table.probabilities[source]
        self.table.set_rows(taken, found.some(calm), probabilities=probabilities)
        self.liquid[taken] = True
        return which[~calm], found.some(~calm)

    def _taken_over(self, shown: Shown, rows: Numbers) -> NDArray[np.intp]:
        """Fill the rows of windows that show known crystals; which of the batch these are."""
        reuse, table = self.reuse, self.table
        which = np.flatnonzero((shown.known >= 0) & (shown.coherence >= reuse.coherence))
        if len(which) == 0:
            return which
        lattice = shown.lattice(which)
        root = shown.known[which]
        source = self.source[root]
        strains = self.stages.parents(lattice)
        label = table.probabilities[source].argmax(axis=1)
        volume = np.abs(np.linalg.det(lattice))
        atoms = shown.density[which] * volume
        there = np.abs(np.linalg.det(table.lattice[source]))
        ratio = atoms / (self.crystals.density[root] * there)
        same = strains.parent == self.parent[root]
        same &= (strains.margin >= reuse.margin) | ~self.rivals[label]
        same &= (atoms <= reuse.excess * self.sites[label]) | ~np.isfinite(self.sites[label])
        same &= (np.abs(ratio - 1) < reuse.change) | ~self.other[label]
        which, root, source = which[same], root[same], source[same]
        mine = rows[which]
        self.basis[mine] = shown.basis[which]
        self.root[mine] = root
        apart = self.crystals.spacing[root] * np.cbrt(volume[same] / there[same])
        table.set_rows(
            mine,
            probabilities=table.probabilities[source],
            order=shown.order[which],
            lattice=lattice[same],
            rank=np.full(len(mine), 3, np.int8),
            mean_square_displacement=shown.mean_square_displacement[which],
            nearest_neighbor_distance=apart,
            coherence=shown.coherence[which],
            strain=strains.strain[same],
            superlattice=table.superlattice[source],
        )
        return which

    def _keep(
        self, batch: WindowBatch, whole: NDArray[np.intp], rows: Numbers, strains: Strains
    ) -> None:
        """Have finer levels compared with those of the windows that are certain."""
        table = self.table
        probabilities = table.probabilities[rows]
        label = probabilities.argmax(axis=1)
        with np.errstate(invalid="ignore"):
            good = table.coherence[rows] >= self.reuse.inside
        good &= probabilities.max(axis=1) >= self.reuse.certainty
        # What is left of a crystal without its weak peaks is not what the window shows.
        good &= (table.rank[rows] == 3) & (table.superlattice[rows] <= 1)
        good &= ~self.disordered[label]
        good &= (strains.parent >= 0) | self.other[label]
        kept = np.flatnonzero(good)
        if len(kept) == 0:
            return
        chosen = whole[kept]
        crystals = KnownCrystals.of(
            batch.positions[chosen],
            batch.mask[chosen],
            table.lattice[rows[kept]],
            table.nearest_neighbor_distance[rows[kept]].astype(np.float64),
        )
        dark = np.flatnonzero(crystals.brightest < self.reuse.known.darkness)
        kept, crystals = kept[dark], crystals.some(dark)
        self.basis[rows[kept]] = crystals.basis
        self.root[rows[kept]] = len(self.source) + np.arange(len(kept))
        self.crystals = self.crystals.joined(crystals)
        self.source = np.append(self.source, rows[kept])
        self.parent = np.append(self.parent, strains.parent[kept])
