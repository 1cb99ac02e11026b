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

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.classes import labels_of
from ase_crystalnet.errors import InputError
from ase_crystalnet.geometry.periodic import PeriodicSpace, validated_positions
from ase_crystalnet.grains.laying import (
    CORE,
    LEAST,
    LaidIn,
    Prepared,
    laid_in,
    lattices_of,
    prepare,
)
from ase_crystalnet.grains.references import MOST_TYPES, Reference
from ase_crystalnet.grains.segmentation import Windows
from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["ReferenceAnswer", "check_names", "recognise", "with_references"]

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
        bases, known = lattices_of(frame, threads)
        likely = np.empty((len(atoms), len(references)))
        for column, each in enumerate(references):
            prepared = prepare(each)
            answers = [
                _recognised(
                    frame,
                    prepared,
                    laid_in(frame, numbers, prepared, bases, known, threads),
                    len(atoms),
                )
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


def _recognised(
    frame: Windows, known: Prepared, laid: LaidIn, count: int
) -> tuple[NDArray[np.float32], Array]:
    """Certainty (N,) that atoms are part of one reference, and log likelihood of its windows."""
    from ase_crystalnet.grains._kernels.registration import cover  # compiled on first use

    best, window = np.zeros(count), np.full(count, -1, np.int64)
    stamp, on = np.full(count, -1, np.int64), np.zeros(count, bool)
    rows = np.flatnonzero(laid.certainty >= LEAST)
    cover(
        rows, laid.certainty, frame.relative, frame.source, frame.neighbors, laid.lattices,
        laid.origins, known.sites, known.tolerance, CORE, stamp, on, best, window,
    )  # fmt: skip
    inside = window >= 0
    likely = np.full(count, -np.inf)
    likely[inside] = _likelihood(laid.findings)[window[inside]]
    return best.astype(np.float32), likely


def _likelihood(findings: Array) -> Array:
    """Log likelihood (M,) of the core's atoms in the crystal as it was laid."""
    core, _, right, _, _, _, _, _, variance, _ = findings.T
    spread = np.log(np.maximum(variance, 1e-4))
    # Atoms off the sites are anywhere in the cell.
    each = core * (-1.5 * (spread + np.log(2 * np.pi) + 1) + right * np.log(0.95))
    each += core * (1 - right) * np.log(0.05)
    return np.asarray(CORE * each)
