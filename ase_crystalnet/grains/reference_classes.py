"""Known crystals as classes: which windows and atoms of a frame are a reference, how surely.

Nothing is trained. A reference is laid into each of some windows that cover the frame: the two
strongest reflections of the window's lattice among those of the reference give its orientation, the
atoms about the centre on its sites the origin, and a fit of lattice and origin to all atoms how it
fits. What fits is handed to neighbouring windows whose own lattice was not found. That a window is
the reference is then asked of everything in which crystals can differ, each with a limit and the
width of the doubt about it: atoms on sites, sites filled, species, lengths, shape of the cell,
places of the sites, and waves of twice the period.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet._compute.threads import share
from ase_crystalnet._compute.types import Array
from ase_crystalnet.classes import labels_of
from ase_crystalnet.errors import InputError
from ase_crystalnet.geometry.periodic import PeriodicSpace, validated_positions
from ase_crystalnet.grains.references import MOST_TYPES, REFERENCE_SCALING, Reference
from ase_crystalnet.grains.segmentation import TOLERANCE, WINDOW_ATOMS, Windows
from ase_crystalnet.lattice.finder import LatticeFinder, minkowski_reduce
from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["ReferenceAnswer", "check_names", "recognise", "with_references"]

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
#: Types of a frame without elements whose meanings are tried.
PERMUTED = 4


@dataclass(frozen=True, eq=False)
class ReferenceAnswer:
    """What a frame of N atoms shows of R references.

    Attributes
    ----------
    names : tuple of str
        Of the references.
    certainty : (N, R) float32 array
        That an atom is part of each of them.
    """

    names: tuple[str, ...]
    certainty: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class _Prepared:
    """A reference as the search needs it; K sites, G reflections."""

    lattice: Array
    sites: Array
    numbers: NDArray[np.int64]
    orbits: NDArray[np.int64]
    spacing: float
    vectors: Array
    starts: NDArray[np.bool_]


def check_names(references: Sequence[Reference], classes: Sequence[str]) -> tuple[Reference, ...]:
    """References under names that tables of words can hold.

    Raises
    ------
    InputError
        Two have one name, or one has that of a class.
    """
    taken = set(classes)
    result = []
    for each in references:
        name = "_".join(each.name.split()) or "reference"
        if name in taken:
            kind = "a class of the model" if name in classes else "another reference"
            raise InputError(
                f"reference {name!r} has the name of {kind}; give it another one (the name of the "
                "file, or info['name'] of ase.Atoms)"
            )
        taken.add(name)
        result.append(replace(each, name=name))
    return tuple(result)


def with_references(
    frame: FrameAnalysis,
    atoms: Atoms,
    references: Sequence[Reference],
    *,
    threads: int | None = None,
) -> FrameAnalysis:
    """The analysis of a frame with the references as further classes.

    Windows and atoms give the certainty that they are a reference to it, and keep the rest for the
    classes of the model.

    Parameters
    ----------
    frame : FrameAnalysis
    atoms : ase.Atoms
        That were analysed.
    references : sequence of Reference
        Whose names are no classes of the frame (`check_names`).
    threads : int, optional
        Default: all cores.
    """
    answer = recognise(atoms, references, threads=threads)
    windows = answer.certainty[_nearest_atoms(frame, atoms)]

    def joined(old: NDArray[np.float32], new: NDArray[np.float32]) -> NDArray[np.float32]:
        rest = (1 - new.sum(axis=1, keepdims=True)).astype(np.float32)
        return np.concatenate([old * rest, np.where(np.isfinite(old[:, :1]), new, np.nan)], axis=1)

    probabilities = joined(frame.probabilities, windows)
    atom_probabilities = joined(frame.atom_probabilities, answer.certainty)
    # Where the network had nothing to go by, as in windows of too few atoms, it stays so.
    labels, certainty = labels_of(probabilities, frame.min_certainty)
    atom_labels, atom_certainty = labels_of(atom_probabilities, frame.min_certainty)
    known = [f"{each.name}={each.source}" if each.source else each.name for each in references]
    return replace(
        frame,
        classes=(*frame.classes, *answer.names),
        probabilities=probabilities,
        labels=labels,
        certainty=certainty,
        atom_probabilities=atom_probabilities,
        atom_labels=atom_labels,
        atom_certainty=atom_certainty,
        metadata={**frame.metadata, "references": "; ".join(known)},
    )


def _nearest_atoms(frame: FrameAnalysis, atoms: Atoms) -> NDArray[np.int64]:
    """Atom nearest to the centre of each window."""
    at = frame.center_indices.copy()
    rows = np.flatnonzero(at < 0)
    if len(rows):
        from scipy.spatial import cKDTree

        space = PeriodicSpace.of(atoms)
        positions = space.wrap(validated_positions(atoms))
        images, image_of = space.with_ghosts(positions, float(frame.radius.max(initial=0.0)))
        found = cKDTree(images).query(space.wrap(frame.centers[rows]))[1]
        at[rows] = image_of[found]
    return at


def recognise(
    atoms: Atoms, references: Sequence[Reference], *, threads: int | None = None
) -> ReferenceAnswer:
    """Which atoms are part of which of some known crystals.

    Parameters
    ----------
    atoms : ase.Atoms
        Any mix of periodic directions. Species that are numbers of types (1, 2, ..., as of a file
        without elements) are taken for those of the reference in the order that fits best.
    references : sequence of Reference
    threads : int, optional
        Default: all cores.
    """
    result = np.zeros((len(atoms), len(references)), np.float32)
    positions = validated_positions(atoms)
    space = PeriodicSpace.of(atoms)
    frame = Windows.of(space, space.wrap(positions), threads)
    if frame is not None and references:
        mask = np.ones(frame.source.shape, bool)
        found = LatticeFinder()(frame.relative.astype(np.float32), mask, threads=threads)
        known = np.asarray(np.isfinite(found.lattice).all(axis=(1, 2)))
        safe = np.where(known[:, None, None], found.lattice, np.eye(3))
        bases = 2 * np.pi * np.linalg.inv(safe).transpose(0, 2, 1)
        likely = np.empty((len(atoms), len(references)))
        for column, each in enumerate(references):
            prepared = _prepared(each)
            answers = [
                _recognised(frame, numbers, prepared, bases, known, threads)
                for numbers in _meanings(np.asarray(atoms.numbers, np.int64), prepared.numbers)
            ]
            best = max(answers, key=lambda answer: float(answer[0].sum()))
            result[:, column], likely[:, column] = best
        _shared(result, likely)
    return ReferenceAnswer(tuple(each.name for each in references), result)


def _shared(certainty: NDArray[np.float32], likely: Array) -> None:
    """Share the certainty of atoms that several references fit by their likelihoods, in place."""
    largest = certainty.max(axis=1, keepdims=True)
    likely = np.where(certainty > 0, likely, -np.inf)
    with np.errstate(invalid="ignore"):
        weight = certainty * np.exp(likely - likely.max(axis=1, keepdims=True))
    weight = np.nan_to_num(weight)
    total = weight.sum(axis=1, keepdims=True)
    certainty[:] = np.where(total > 0, largest * weight / np.maximum(total, 1e-300), 0.0)


def _meanings(numbers: NDArray[np.int64], wanted: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Atomic numbers of the atoms; of numbered types in every way in which they may be meant."""
    types, kinds = np.unique(numbers), np.unique(wanted)
    if np.isin(kinds, types).all():
        return [numbers]
    numbered = types.max(initial=0) <= MOST_TYPES and np.array_equal(
        types, np.arange(1, len(types) + 1)
    )
    if not numbered or len(types) > PERMUTED or len(kinds) > len(types):
        return [numbers]
    result = []
    for chosen in permutations(types, len(kinds)):
        meant = np.full(types.max() + 1, -1, np.int64)
        meant[list(chosen)] = kinds
        result.append(meant[numbers])
    return result


def _prepared(reference: Reference) -> _Prepared:
    """Reduced cell, sites by symmetry, and the reflections by which it is oriented."""
    import spglib

    lattice = minkowski_reduce(reference.cell[None])[0]
    sites = reference.positions @ reference.cell @ np.linalg.inv(lattice) % 1.0
    given: Any = (lattice, sites, reference.numbers)
    operations = spglib.get_symmetry(given, symprec=1e-2)
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
    return _Prepared(
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


def _recognised(
    frame: Windows,
    numbers: NDArray[np.int64],
    known: _Prepared,
    bases: Array,
    has: NDArray[np.bool_],
    threads: int | None,
) -> tuple[NDArray[np.float32], Array]:
    """Certainty (N,) that atoms are part of one reference, and log likelihood of its windows."""
    from ase_crystalnet.grains._kernels.registration import (  # compiled on first use
        FINDINGS,
        cover,
        register,
        spread,
    )

    count, total = len(numbers), len(frame.center)
    species = np.unique(known.numbers)
    kind_of = np.searchsorted(species, numbers)
    kind_of = np.where(species[np.minimum(kind_of, len(species) - 1)] == numbers, kind_of, -1)
    kinds = kind_of[frame.source]
    site_kinds = np.searchsorted(species, known.numbers)
    shares = np.bincount(site_kinds) / len(site_kinds)
    lattices, origins = np.zeros((total, 3, 3)), np.zeros((total, 3))
    findings = np.zeros((total, len(FINDINGS)))
    tolerance = TOLERANCE * known.spacing
    crystal = (known.sites, site_kinds, known.orbits, shares)

    def part(start: int, stop: int) -> None:
        register(
            start, stop, frame.relative, kinds, bases, has, known.lattice, *crystal, known.vectors,
            known.starts, known.spacing, tolerance, CORE, lattices, origins, findings,
        )  # fmt: skip

    share(part, total, threads)
    pure = len(species) == 1
    certainty = _certainty(findings, lattices, known.lattice, pure)
    tried = np.zeros(total, np.int64)
    todo = np.flatnonzero(certainty >= GOOD)
    while len(todo):
        changed = spread(
            todo, frame.relative, frame.source, frame.window_of, kinds, *crystal, known.spacing,
            tolerance, CORE, NEXT, certainty >= GOOD, lattices, origins, findings, tried,
        )  # fmt: skip
        changed = np.unique(changed)
        certainty[changed] = _certainty(findings[changed], lattices[changed], known.lattice, pure)
        todo = changed[certainty[changed] >= GOOD]
    best, window = np.zeros(count), np.full(count, -1, np.int64)
    stamp, on = np.full(count, -1, np.int64), np.zeros(count, bool)
    rows = np.flatnonzero(certainty >= LEAST)
    certainty[rows] *= _company(frame, certainty >= GOOD, rows)
    cover(
        rows, certainty, frame.relative, frame.source, frame.neighbors, lattices, origins,
        known.sites, tolerance, CORE, stamp, on, best, window,
    )  # fmt: skip
    inside = window >= 0
    likely = np.full(count, -np.inf)
    likely[inside] = _likelihood(findings)[window[inside]]
    return best.astype(np.float32), likely


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


def _likelihood(findings: Array) -> Array:
    """Log likelihood (M,) of the core's atoms in the crystal as it was laid."""
    core, _, right, _, _, _, _, _, variance, _ = findings.T
    spread = np.log(np.maximum(variance, 1e-4))
    # Atoms off the sites are anywhere in the cell.
    each = core * (-1.5 * (spread + np.log(2 * np.pi) + 1) + right * np.log(0.95))
    each += core * (1 - right) * np.log(0.05)
    return np.asarray(CORE * each)
