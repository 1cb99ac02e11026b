"""Stacking of single atoms, fcc or hcp, with the crystal known from windows.

A window of 250 atoms cannot see one layer, but it knows the lattice, how it lies and how large the
displacements are. With these, the six neighbours above and below a close-packed plane have two
places each to be in, and the squared distances to both, over twice the variance of a bond, are a
log likelihood ratio. All atoms of a plane share the stacking above it and below it, so both are
averaged over the neighbours in the plane before they are compared: the same on both sides is fcc,
different is hcp. Distances are capped, so that a vacancy says nothing and a free surface neither.

The double layers of diamond are the same with the second neighbours: these are placed like the
first ones of fcc or hcp, staggered or eclipsed bonds between them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ase_crystalnet._compute.threads import share
from ase_crystalnet.local.close_packed import DOWN, PLACES, RING, SLACK, UP, Crystals
from ase_crystalnet.local.twins import twins_of
from ase_crystalnet.windows.windower import PreparedSystem

__all__ = ["FCC", "HCP", "MISFIT", "Stacking", "stacking_of"]

#: States of an atom beside 0, nothing known.
FCC, HCP = 1, 2
#: Largest squared distance that counts, in squared spacings. The places of the two stackings are
#: 0.58 apart.
CAP = 0.25
#: Mean squared distance of the twelve neighbours from a crystal's places at which no other crystal
#: is tried, if it is below so many times three variances of a bond, too.
CONTENT, CONTENT_NOISE = 0.06, 1.5
#: What three neighbours in the other stacking cost in the choice of the crystal: an atom beside a
#: twin plane belongs to the twin on its side.
PENALTY = 0.15
#: Mean squared distance, over an atom and its neighbours in the plane, beyond which it is not of
#: the crystal: up to 0.10 at sigma 0.12, 0.12 with 10 % vacancies too.
MISFIT = 0.135
#: What both sides of a plane must say at least, in units of what three neighbours in place do.
CLEAR = 0.04
#: Fewest atoms, itself included, whose mean is taken in a plane, and the fewest neighbours there
#: that agree with an hcp atom.
LEAST_RING, LEAST_ALIKE = 4, 2
#: Noise (see `Crystals`) up to which an atom's own neighbours say enough: sigma 0.05.
QUIET = 0.007
#: Noise (see `Crystals`) above which the means are taken a second time: from sigma 0.09 on.
LOUD = (0.018,)
#: Crystals tried for an atom, those of the nearest windows, within so many radii of a window.
CANDIDATES, REACH = 6, 2.0
#: Share of atoms stacked like hcp, within so many spacings, about a window that shows hcp, dhcp.
LEAST_HCP, LEAST_DOUBLE, AROUND, ROOM_AROUND = 0.5, 0.45, 3.0, 400
#: Crystals of other kinds (cubic, hcp, dhcp) to one of its own that make it a wrong one; cosines
#: of the largest angles between parallel planes and, three times it, between directions.
MANY, PARALLEL, ALIGNED = 2.0, 0.96, 0.5
#: Neighbours are looked for up to so many spacings, and so many are kept; more in diamond.
NEAR, ROOM, ROOM_DIAMOND = 1.55, 40, 80
#: Fewest atoms inside of a twin that no window shows, and least share of atoms whose stacking is
#: known, within so many spacings of its centre, one and a half layers beyond the twin plane.
FEWEST_TWIN, LEAST_KNOWN, INSIDE = 4, 0.5, 1.8
#: Noise over that of a crystal's own atoms above which it is another's, and how many must say so.
TOO_LOUD, FEWEST_OWN = 3.0, 8
#: Times that twins are looked for: of twenty tetrahedra the farthest is the fifth twin of a twin.
GENERATIONS = 8
#: Atoms worked on at a time.
BATCH = 65536
#: Squared distance between that of first neighbours of diamond (0.61) and of second ones, 1.
BOUND = 0.64


@dataclass(frozen=True, eq=False)
class Stacking:
    """Stacking of N atoms.

    Attributes
    ----------
    crystals : Crystals
    state : (N,) int8 array
        0 not known, `FCC` or `HCP`.
    ratio : (N,) float32 array
        Log likelihood ratio of hcp to fcc on the likeliest plane, mean over the atom and its
        neighbours in the plane; nan where there is no crystal.
    reference : (N,) int64 array
        Crystal that the atom belongs to; -1 where none.
    plane : (N,) int8 array
        Of its planes, that of the hcp stacking or the likeliest one.
    alike : (N, 6) int64 array
        Neighbours in that plane of the same state, for atoms that depart from their crystal; -1
        after the last.
    """

    crystals: Crystals
    state: NDArray[np.int8]
    ratio: NDArray[np.float32]
    reference: NDArray[np.int64]
    plane: NDArray[np.int8]
    alike: NDArray[np.int64]

    @property
    def departs(self) -> NDArray[np.bool_]:
        """Atoms (N,) that are stacked otherwise than their crystal: hcp in fcc, fcc in hcp.

        In dhcp, which has both, none is.
        """
        hexagonal = np.append(self.crystals.hexagonal, False)[self.reference]
        double = np.append(self.crystals.double, False)[self.reference]
        return np.asarray((self.state == np.where(hexagonal, FCC, HCP)) & ~double)


def stacking_of(
    prepared: PreparedSystem,
    crystals: Crystals,
    allowed: NDArray[np.float32] | None = None,
    solid: NDArray[np.bool_] | None = None,
) -> Stacking:
    """Stacking of every atom for which a window with such a crystal is near.

    Parameters
    ----------
    prepared : PreparedSystem
    crystals : Crystals
        Of its windows.
    allowed : (N,) float32 array, optional
        Mean squared distance of the neighbours from their places, in squared spacings, up to which
        an atom is of the crystal; by default `MISFIT`.
    solid : (N,) bool array, optional
        Atoms that may be of a twin which no window shows; by default all.
    """
    atoms = _Atoms.of(len(prepared.given))
    result = atoms.stacking(crystals)
    if len(crystals) == 0:
        return result
    if allowed is None:
        allowed = np.full(len(prepared.given), MISFIT, np.float32)
    everywhere = np.arange(len(prepared.given))
    atoms.compare(prepared, crystals, np.ones(len(crystals), bool), everywhere)
    crystals = atoms.quieter(crystals)
    atoms.judge(prepared, crystals, allowed)
    if solid is None:
        solid = np.ones(len(prepared.given), bool)
    crystals = _with_twins(prepared, crystals, atoms, allowed, solid)
    # A window about a twin plane may show a hexagonal lattice, which has no such layers around.
    kept = _real(prepared, crystals, atoms.state) & _not_alone(prepared, crystals)
    if not kept.all():
        again = np.flatnonzero((atoms.reference >= 0) & ~kept[atoms.reference])
        atoms.reference[again] = -1
        atoms.compare(prepared, crystals, kept, again)
        atoms.judge(prepared, crystals, allowed)
    return atoms.settled(crystals)


def _with_twins(
    prepared: PreparedSystem,
    crystals: Crystals,
    atoms: _Atoms,
    allowed: NDArray[np.float32],
    solid: NDArray[np.bool_],
) -> Crystals:
    """The crystals, and twins of them that no window showed; `atoms` have been given to these."""
    kept = np.ones(len(crystals), bool)
    tried = np.zeros((len(crystals), 4), bool)
    for _ in range(GENERATIONS):
        unknown = (atoms.state == 0) & solid
        found = (atoms.reference, atoms.plane, atoms.state == HCP, unknown)
        twins = twins_of(prepared, crystals, tried, *found)
        if len(twins) == 0:
            break
        crystals = crystals.joined(twins)
        kept = np.append(kept, np.ones(len(twins), bool))
        tried = np.concatenate([tried, np.zeros((len(twins), 4), bool)])
        atoms.compare(prepared, crystals, kept, np.flatnonzero(unknown))
        crystals = atoms.quieter(crystals)
        atoms.judge(prepared, crystals, allowed)
        # In a melt beside a crystal some atoms are stacked upon it as well, but few inside.
        near = prepared.neighbors(twins.centers, INSIDE * twins.spacing, ROOM)[1]
        state = np.where(near >= 0, atoms.state[near], 0)
        inside, known = (state == FCC).sum(axis=1), (state > 0).sum(axis=1)
        real = (inside >= FEWEST_TWIN) & (known >= LEAST_KNOWN * (near >= 0).sum(axis=1))
        kept[len(kept) - len(twins) :] = real
        again = np.flatnonzero(np.append(~kept, False)[atoms.reference])
        if len(again):
            atoms.reference[again] = -1
            atoms.compare(prepared, crystals, kept, again)
            atoms.judge(prepared, crystals, allowed)
    number = np.append(np.cumsum(kept) - 1, -1)
    atoms.reference[:] = number[atoms.reference]
    return crystals.some(np.flatnonzero(kept))


def _real(
    prepared: PreparedSystem, crystals: Crystals, state: NDArray[np.int8]
) -> NDArray[np.bool_]:
    """Crystals (M,) that are what they say: about hexagonal ones atoms are stacked like hcp."""
    kept = np.ones(len(crystals), bool)
    rows = np.flatnonzero(crystals.hexagonal)
    if len(rows) == 0:
        return kept
    near = np.minimum(AROUND * crystals.spacing[rows], prepared.radii(crystals.centers[rows]))
    found = prepared.neighbors(crystals.centers[rows], near, ROOM_AROUND)[1]
    around = np.where(found >= 0, state[found], 0)
    known = np.maximum((around > 0).sum(axis=1), 1)
    share = (around == HCP).sum(axis=1) / known
    kept[rows] = share >= np.where(crystals.double[rows], LEAST_DOUBLE, LEAST_HCP)
    return kept


def _not_alone(prepared: PreparedSystem, crystals: Crystals) -> NDArray[np.bool_]:
    """Crystals (M,) but for the few whose plane continues in many of the other kind.

    Some windows about a fault in hcp show fcc, some about one in fcc hcp: they are of one crystal
    with those around them.
    """
    kept = np.ones(len(crystals), bool)
    kind = crystals.hexagonal.astype(np.int64) + crystals.double
    if len(np.unique(kind)) == 1:
        return kept
    reach = REACH * float(prepared.radii(crystals.centers).max())
    centers = prepared.space.wrap(crystals.centers)
    images, source = prepared.space.with_ghosts(centers, reach)
    pairs = cKDTree(images).query_pairs(reach, output_type="ndarray")
    pairs = np.concatenate([pairs, pairs[:, ::-1]])
    pairs = pairs[pairs[:, 0] < len(crystals)]
    one, other = pairs[:, 0], source[pairs[:, 1]]
    normals, towards = crystals.normals, crystals.towards
    # Of one crystal: a plane in common (of cubic crystals the first of four stands for all), and
    # in it the same directions, but for a turn by 60 degrees.
    turned = crystals.hexagonal[one] < crystals.hexagonal[other]
    first, second = np.where(turned, other, one), np.where(turned, one, other)
    cosine = np.einsum("pi,pqi->pq", normals[first, 0], normals[second])
    cosine[crystals.hexagonal[second], 1:] = 0.0
    plane = np.abs(cosine).argmax(axis=1)
    row = np.arange(len(plane))
    parallel = np.abs(cosine[row, plane]) > PARALLEL
    inner = np.einsum("pi,pi->p", towards[first, 0], towards[second, plane])
    parallel &= np.abs(np.cos(3 * np.arccos(np.clip(inner, -1, 1)))) > ALIGNED
    alike = kind[one] == kind[other]
    same = 1 + np.bincount(one[parallel & alike], minlength=len(crystals))
    others = np.bincount(one[parallel & ~alike], minlength=len(crystals))
    return np.asarray(others < MANY * same)


@dataclass(eq=False)
class _Atoms:
    """What is worked out for N atoms on the way to `Stacking`; filled in place."""

    reference: NDArray[np.int64]
    favour: NDArray[np.float32]
    neighbours: NDArray[np.int64]
    cost: NDArray[np.float32]
    state: NDArray[np.int8]
    plane: NDArray[np.int8]
    ratio: NDArray[np.float32]

    @classmethod
    def of(cls, total: int) -> _Atoms:
        """Of atoms of which nothing is known."""
        return cls(
            reference=np.full(total, -1, np.int64),
            favour=np.zeros((total, 4, 2), np.float32),
            neighbours=np.full((total, 12), -1, np.int64),
            cost=np.zeros((total, 4), np.float32),
            state=np.zeros(total, np.int8),
            plane=np.zeros(total, np.int8),
            ratio=np.full(total, np.nan, np.float32),
        )

    def stacking(self, crystals: Crystals) -> Stacking:
        """The result, with no neighbours yet."""
        alike = np.full((len(self.state), 6), -1, np.int64)
        return Stacking(crystals, self.state, self.ratio, self.reference, self.plane, alike)

    def compare(
        self,
        prepared: PreparedSystem,
        crystals: Crystals,
        kept: NDArray[np.bool_],
        atoms: NDArray[np.int64],
    ) -> None:
        """Weigh both stackings for some atoms, by the nearest of the crystals that are kept."""
        from ase_crystalnet.local._stacking_kernel import evidence  # compiled on first use

        use = np.flatnonzero(kept)
        if len(use) == 0 or len(atoms) == 0:
            return
        centers = crystals.centers[use]
        reach = REACH * float(prepared.radii(centers).max())
        nearest = prepared.nearest_centers(centers, min(CANDIDATES, len(use)), reach)[0]
        nearest = nearest[atoms]
        candidates = np.where(nearest >= 0, use[nearest], -1)
        to_ideal = np.linalg.inv(crystals.matrix).astype(np.float32)
        planes, noise = crystals.planes, crystals.noise.astype(np.float32)
        constants = (
            PLACES.astype(np.float32),
            UP,
            DOWN,
            *(np.float32(value) for value in (CAP, BOUND, CONTENT, CONTENT_NOISE, PENALTY)),
        )
        room = ROOM_DIAMOND if crystals.diamond.any() else ROOM
        some = np.flatnonzero(candidates[:, 0] >= 0)
        for begin in range(0, len(some), BATCH):
            part = some[begin : begin + BATCH]
            rows = atoms[part]
            near = NEAR * crystals.spacing[candidates[part, 0]]
            found = prepared.neighbors(prepared.given[rows], near, room)
            wanted: list[NDArray[Any]]
            wanted = [self.reference, self.favour, self.neighbours, self.cost]
            pieces: list[NDArray[Any]] = [array[rows] for array in wanted]
            given = (
                *found,
                candidates[part],
                to_ideal,
                planes,
                noise,
                crystals.diamond,
                *constants,
            )

            def work(start: int, stop: int, given: Any = given, pieces: Any = pieces) -> None:
                evidence(*given, start, stop, *pieces)

            share(work, len(rows), prepared.threads)
            for array, piece in zip(wanted, pieces, strict=True):
                array[rows] = piece

    def quieter(self, crystals: Crystals) -> Crystals:
        """The crystals, without the noise that is not in the atoms which belong to them.

        A window that holds several crystals shows the difference between them as displacements.
        """
        rows = np.flatnonzero(self.reference >= 0)
        own = self.cost[rows].min(axis=1)
        order = np.lexsort((own, self.reference[rows]))
        numbers, begin, count = np.unique(
            self.reference[rows[order]], return_index=True, return_counts=True
        )
        # Medians over the atoms of each; three components of each of the twelve distances.
        middle = own[order[begin + (count - 1) // 2]] + own[order[begin + count // 2]]
        measured = middle / 6 + SLACK**2
        loud = (count >= FEWEST_OWN) & (crystals.noise[numbers] > TOO_LOUD * measured)
        noise = crystals.noise.copy()
        noise[numbers[loud]] = measured[loud]
        return replace(crystals, noise=noise)

    def judge(
        self, prepared: PreparedSystem, crystals: Crystals, allowed: NDArray[np.float32]
    ) -> None:
        """States and ratios from means over neighbours in the planes."""
        from ase_crystalnet.local._stacking_kernel import averaged, judged

        noise = crystals.noise.astype(np.float32)
        frames = (
            crystals.planes,
            noise,
            crystals.normals,
            crystals.towards,
            RING,
            LEAST_RING,
            QUIET,
        )
        favour, cost = self.favour, self.cost
        for loudness in (0.0, *LOUD):
            if not (noise > loudness).any():
                break
            given = (self.reference, favour, self.neighbours, cost, *frames, loudness)
            out = (np.full_like(favour, np.nan), np.full_like(cost, np.nan))

            def work(start: int, stop: int, given: Any = given, out: Any = out) -> None:
                averaged(*given, start, stop, *out)

            share(work, len(self.state), prepared.threads)
            favour, cost = out
        told = (self.reference, favour, cost, crystals.planes, noise, CLEAR, allowed)
        written = (self.state, self.plane, self.ratio)
        share(
            lambda start, stop: judged(*told, start, stop, *written),
            len(self.state),
            prepared.threads,
        )

    def settled(self, crystals: Crystals) -> Stacking:
        """The result, without atoms that depart from their crystal alone."""
        from ase_crystalnet.local._stacking_kernel import in_plane

        result = self.stacking(crystals)
        departs = result.departs
        frames = (crystals.planes, crystals.normals, crystals.towards, RING)
        for chosen in (FCC, HCP):
            marked = np.where(departs, self.state, 0).astype(np.int8)
            found = np.full((len(marked), 6), -1, np.int64)
            given = (self.reference, self.neighbours, *frames, marked, self.plane)
            in_plane(*given, chosen, 0, len(marked), found)
            lonely = (marked == chosen) & ((found >= 0).sum(axis=1) < LEAST_ALIKE)
            self.state[lonely] = 0
            kept = (marked == chosen) & ~lonely
            result.alike[kept] = found[kept]
        # Neighbours that have been dropped.
        result.alike[(result.alike >= 0) & (self.state[result.alike] == 0)] = -1
        return result
