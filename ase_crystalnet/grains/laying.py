"""Lay a known crystal into the windows of a frame, and ask whether they are it.

The two strongest reflections of a window's lattice among those of the crystal give its orientation,
the atoms about the centre on its sites the origin, and a fit of lattice and origin to all atoms how
it fits. What fits is handed to neighbouring windows whose own lattice was not found.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet._compute.threads import share
from ase_crystalnet._compute.types import Array
from ase_crystalnet.grains.references import REFERENCE_SCALING, Reference
from ase_crystalnet.grains.segmentation import TOLERANCE, WINDOW_ATOMS, Windows
from ase_crystalnet.lattice.finder import LatticeFinder, minkowski_reduce

__all__ = ["CORE", "LEAST", "LaidIn", "Prepared", "laid_in", "lattices_of", "prepare"]

#: Strongest reflections of a reference by which it is oriented, up to this times 2 pi over the
#: nearest-neighbour distance, and the least intensity of one in that of the strongest.
REFLECTIONS, REACH, WEAKEST = 80, 2.2, 0.03
#: Displacements by which reflections fade, nearest-neighbour distances.
FADING = 0.06
#: Atoms nearest to the centre that decide, and those whose windows are neighbours.
CORE, NEXT = 64, 40
#: Atoms of a window on one site by which its filling is asked for; of fewer its orbit's is.
ALONE = 20
#: Certainty from which a window hands its lattice on, and below which it tells nothing.
GOOD, LEAST = 0.5, 0.02
#: Limits and widths of doubt. Shares: of the core's atoms on sites (of dhcp three quarters are on
#: sites of hcp), of the sites that are filled, of the emptiest kind of sites in the fullest.
ON_SITES, FILLED, EMPTIEST = (0.80, 0.025), (0.25, 0.03), (0.55, 0.06)
#: Share of the atoms that are off the sites although no boundary explains them: on all sides, or
#: with the crystal again behind them. At sigma 0.12 a tenth are, a quarter of dhcp on those of hcp.
AROUND = (0.16, 0.012)
#: Order of the species on the sites, 0 by chance and 1 perfect; of one species the share of it.
SPECIES, PURE = (0.60, 0.05), (0.82, 0.02)
#: Logarithm of the scaling, norm of the change of shape, mean offset of sites (spacings), and
#: variance in waves of twice the period over the other.
SCALING = (np.log(1 + REFERENCE_SCALING) + 0.006, 0.003)
SHAPE, OFFSET, WAVE = (0.05, 0.006), (0.06, 0.008), (0.45, 0.06)
#: Share of the other windows of a window's atoms that are the reference too: one on its own is what
#: another stacking looks like from one place.
COMPANY = (0.18, 0.03)


@dataclass(frozen=True, eq=False)
class Prepared:
    """A reference as the search needs it; K sites, G reflections."""

    lattice: Array
    sites: Array
    numbers: NDArray[np.int64]
    orbits: NDArray[np.int64]
    spacing: float
    vectors: Array
    starts: NDArray[np.bool_]

    @property
    def tolerance(self) -> float:
        """Distance from a site within which an atom is on it, Angstrom."""
        return TOLERANCE * self.spacing


def prepare(reference: Reference) -> Prepared:
    """Reduced cell, sites by symmetry, and the reflections by which it is oriented."""
    import spglib

    lattice = minkowski_reduce(reference.cell[None])[0]
    sites = reference.positions @ reference.cell @ np.linalg.inv(lattice) % 1.0
    given: Any = (lattice, sites, reference.numbers)
    operations = answer_of(spglib.get_symmetry, given, symprec=1e-2)
    orbits, turns = np.arange(len(sites)), np.eye(3)[None]
    if operations is not None:
        orbits = np.unique(operations["equivalent_atoms"], return_inverse=True)[1]
        # Of columns of fractional coordinates; here rows of Cartesian ones are turned.
        turns = np.unique(operations["rotations"], axis=0).astype(float)
        turns = turns[np.linalg.det(turns) > 0]
        turns = np.linalg.inv(lattice) @ turns.transpose(0, 2, 1) @ lattice
    if len(sites) * ALONE <= WINDOW_ATOMS:
        orbits = np.arange(len(sites))
    spacing = _spacing(lattice, sites)
    basis = 2 * np.pi * np.linalg.inv(lattice).T
    most = REACH * 2 * np.pi / spacing
    reach = [int(most * length / (2 * np.pi)) + 1 for length in np.linalg.norm(lattice, axis=1)]
    axes = [np.arange(-each, each + 1) for each in reach]
    indices = np.array(np.meshgrid(*axes, indexing="ij")).reshape(3, -1).T
    vectors = indices @ basis
    length = np.linalg.norm(vectors, axis=1)
    keep = (length < most) & (length > 2.5 / spacing)
    indices, vectors, length = indices[keep], vectors[keep], length[keep]
    strength = np.abs(np.exp(2j * np.pi * indices @ sites.T).mean(axis=1)) ** 2
    strength *= np.exp(-((FADING * spacing * length) ** 2))
    # Whole orbits come together, whatever the rounding; then by the indices.
    order = np.lexsort((length.round(6), -strength.round(6)))
    order = order[strength[order] > WEAKEST * strength.max()][:REFLECTIONS]
    vectors = np.ascontiguousarray(vectors[order])
    starts = np.ones(len(vectors), bool)
    for row, vector in enumerate(vectors):
        if starts[row]:
            images = vector @ turns
            same = np.linalg.norm(vectors[:, None] - images, axis=2).min(axis=1) < 1e-3
            starts[row + 1 :] &= ~same[row + 1 :]
    return Prepared(
        lattice,
        np.ascontiguousarray(sites),
        reference.numbers,
        orbits.astype(np.int64),
        spacing,
        vectors,
        starts,
    )


def _spacing(lattice: Array, sites: Array) -> float:
    """Least distance of two sites."""
    shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    offsets = (sites[:, None, None] - sites[None, :, None] + shifts) @ lattice
    far = np.linalg.norm(offsets, axis=3)
    return float(far[far > 1e-3].min())


@dataclass(frozen=True, eq=False)
class LaidIn:
    """A crystal laid into M windows.

    Attributes
    ----------
    certainty : (M,) float64 array
        That a window is the crystal.
    lattices : (M, 3, 3) float64 array
        Of the windows, vectors in rows, Angstrom; zero where it was not laid in.
    origins : (M, 3) float64 array
        From the centres of the windows, Angstrom.
    findings : (M, F) float64 array
        How it fits (`_kernels.registration.FINDINGS`).
    """

    certainty: Array
    lattices: Array
    origins: Array
    findings: Array


def lattices_of(frame: Windows, threads: int | None = None) -> tuple[Array, NDArray[np.bool_]]:
    """Reciprocal lattices (M, 3, 3) of windows by themselves, and where they are known (M,)."""
    mask = np.ones(frame.source.shape, bool)
    found = LatticeFinder()(frame.relative.astype(np.float32), mask, threads=threads)
    known = np.asarray(np.isfinite(found.lattice).all(axis=(1, 2)))
    safe = np.where(known[:, None, None], found.lattice, np.eye(3))
    return 2 * np.pi * np.linalg.inv(safe).transpose(0, 2, 1), known


def laid_in(
    frame: Windows,
    numbers: NDArray[np.int64],
    known: Prepared,
    bases: Array,
    has: NDArray[np.bool_],
    threads: int | None = None,
) -> LaidIn:
    """Lay a reference into all windows of a frame.

    Parameters
    ----------
    frame : Windows
    numbers : (N,) integer array
        Atomic numbers.
    known : Prepared
    bases, has
        As of `lattices_of`.
    threads : int, optional
    """
    from ase_crystalnet.grains._kernels.registration import (  # compiled on first use
        FINDINGS,
        register,
        spread,
    )

    total = len(frame.center)
    species = np.unique(known.numbers)
    kind_of = np.searchsorted(species, numbers)
    kind_of = np.where(species[np.minimum(kind_of, len(species) - 1)] == numbers, kind_of, -1)
    kinds = kind_of[frame.source]
    site_kinds = np.searchsorted(species, known.numbers)
    shares = np.bincount(site_kinds) / len(site_kinds)
    lattices, origins = np.zeros((total, 3, 3)), np.zeros((total, 3))
    findings = np.zeros((total, len(FINDINGS)))
    crystal = (known.sites, site_kinds, known.orbits, shares)

    def part(start: int, stop: int) -> None:
        register(
            start, stop, frame.relative, kinds, bases, has, known.lattice, *crystal, known.vectors,
            known.starts, known.spacing, known.tolerance, CORE, lattices, origins, findings,
        )  # fmt: skip

    share(part, total, threads)
    pure = len(species) == 1
    certainty = _certainty(findings, lattices, known.lattice, pure)
    tried = np.zeros(total, np.int64)
    todo = np.flatnonzero(certainty >= GOOD)
    while len(todo):
        changed = spread(
            todo, frame.relative, frame.source, frame.window_of, kinds, *crystal, known.spacing,
            known.tolerance, CORE, NEXT, certainty >= GOOD, lattices, origins, findings, tried,
        )  # fmt: skip
        changed = np.unique(changed)
        certainty[changed] = _certainty(findings[changed], lattices[changed], known.lattice, pure)
        todo = changed[certainty[changed] >= GOOD]
    rows = np.flatnonzero(certainty >= LEAST)
    certainty[rows] *= _company(frame, certainty >= GOOD, rows)
    return LaidIn(certainty, lattices, origins, findings)


def _company(frame: Windows, good: NDArray[np.bool_], rows: NDArray[np.int64]) -> Array:
    """How likely windows (rows) are by those whose centres are among their atoms."""
    result = np.ones(len(rows))
    for start in range(0, len(rows), 4096):
        some = slice(start, start + 4096)
        other = frame.window_of[frame.source[rows[some], 1:]]
        there = other >= 0
        number = there.sum(axis=1)
        share_good = (good[other] & there).sum(axis=1) / np.maximum(number, 1)
        known = _above(share_good - COMPANY[0], COMPANY[1])
        result[some] = np.where(number > 0, known, 1.0)
    return result


def _certainty(findings: Array, lattices: Array, lattice: Array, pure: bool) -> Array:
    """Certainty (M,) that windows are the reference: every question must be answered well."""
    core, _, right, chance, filled, least, offset, wave, _, around = findings.T
    seen = core > 0
    safe = np.where(seen[:, None, None], lattices, lattice)
    gradient = np.linalg.inv(lattice) @ safe
    stretches = np.log(np.maximum(np.linalg.svd(gradient, compute_uv=False), 1e-6))
    mean = stretches.mean(axis=1)
    shape = np.linalg.norm(stretches - mean[:, None], axis=1)
    species = right if pure else (right - chance) / np.maximum(1 - chance, 1e-6)
    result = seen.astype(float)
    for value, (limit, width) in (
        (core, ON_SITES),
        (filled, FILLED),
        (least, EMPTIEST),
        (species, PURE if pure else SPECIES),
    ):
        result = result * _above(value - limit, width)
    for value, (limit, width) in (
        (np.abs(mean), SCALING),
        (shape, SHAPE),
        (offset, OFFSET),
        (around, AROUND),
        (wave, WAVE),
    ):
        result = result * _above(limit - value, width)
    return np.asarray(result)


def _above(difference: Array, width: float) -> Array:
    return np.asarray(0.5 + 0.5 * np.tanh(difference / (2 * width)))
