"""Class of the windows that show a lattice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.atom_probe.classes.fingerprints import AveragedFingerprint
from ase_crystalnet.atom_probe.search.findings import WindowFindings
from ase_crystalnet.classes import flat_below
from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.errors import InputError
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.lattice.finder import LatticeFinder
from ase_crystalnet.lattice.orientation import conventional_setting
from ase_crystalnet.local.images import ImageMaker

__all__ = ["MIN_CERTAINTY", "AtomProbeClassifier", "ClassFindings", "ion_images"]

#: Certainty from which a class is given. With it at most 0.5 % of the windows of any cell of the
#: accuracy table (docs/atom_probe_method.md) are given a wrong class.
MIN_CERTAINTY = 0.99
#: Share of a reciprocal lattice vector within which a significant peak is on the lattice.
INDEX_TOLERANCE = 0.2


@dataclass(frozen=True, eq=False)
class ClassFindings:
    """Classes of B windows. Quantities: see docs/glossary.md.

    Attributes
    ----------
    labels : (B,) int64 array
        Index into the classifier's classes; -1 where refused, without a lattice as well.
    certainty : (B,) float64 array
        Largest probability; nan without a lattice.
    probabilities : (B, C) float32 array
        nan without a lattice.
    lattice : (B, 3, 3) float64 array
        Reduced lattice, rows, Angstrom; nan without.
    orientation : (B, 4) float64 array
        Unit quaternion (x, y, z, w) from crystal axes to sample axes; nan where refused.
    """

    labels: NDArray[np.int64]
    certainty: Array
    probabilities: NDArray[np.float32]
    lattice: Array
    orientation: Array

    def __len__(self) -> int:
        return len(self.labels)


class AtomProbeClassifier:
    """Class, certainty and orientation of windows that show a lattice.

    A class is given if the significant peaks span three dimensions, lie on one lattice, and the
    network is certain. Everything else is refused, not guessed.

    Parameters
    ----------
    model : str or Path
        Name of a shipped model, or a model folder.
    min_certainty : float
        Certainty below which the class is refused.
    engine : {'onnx', 'tensorflow'}, optional
        What runs the network (`ase_crystalnet.classifier.Classifier`).

    Raises
    ------
    ModelError
        The model is unknown or damaged.
    InputError
        `min_certainty` is out of range, or there is no such engine.
    """

    def __init__(
        self,
        model: str | Path = "atomprobe",
        *,
        min_certainty: float = MIN_CERTAINTY,
        engine: str | None = None,
    ) -> None:
        if not 0.0 <= min_certainty <= 1.0:
            raise InputError(f"min_certainty={min_certainty!r} is not between 0 and 1")
        self.classifier = Classifier(model, engine=engine)
        self.min_certainty = min_certainty
        self.images = ion_images(Fingerprint(**self.classifier.card.fingerprint))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.classifier.classes

    def __call__(
        self,
        positions: NDArray[np.float32],
        mask: NDArray[np.bool_],
        found: WindowFindings,
        *,
        threads: int | None = None,
    ) -> ClassFindings:
        """Classify the windows of rank 3.

        Parameters
        ----------
        positions : (B, N, 3) array
            Angstrom.
        mask : (B, N) bool array
            True for ions, which come first in each row.
        found : WindowFindings
            Of these windows.
        threads : int, optional
            Threads to share the windows.

        Raises
        ------
        InputError
            The findings are of other windows.
        """
        total = len(positions)
        if len(found) != total:
            raise InputError(f"findings of {len(found)} windows were given with {total} windows")
        labels = np.full(total, -1, np.int64)
        certainty = np.full(total, np.nan)
        probabilities = np.full((total, len(self.classes)), np.nan, np.float32)
        lattice = np.full((total, 3, 3), np.nan)
        rows = np.flatnonzero(found.rank == 3)
        if len(rows):
            width = int(np.count_nonzero(mask[rows], axis=1).max())
            chosen = np.ascontiguousarray(positions[rows, :width], np.float32)
            chosen -= chosen.sum(axis=1, keepdims=True) / mask[rows].sum(axis=1)[:, None, None]
            chosen[~mask[rows, :width]] = 0
            inside = mask[rows, :width]
            seen = self.images(chosen, inside, threads=threads)
            lattices = seen.lattices
            probabilities[rows] = self.classifier.predict(seen.images)
            on_lattice = indexes(lattices.lattice, found.wave_vectors[rows])
            certainty[rows] = probabilities[rows].max(axis=1)
            lattice[rows] = np.where(on_lattice[:, None, None], lattices.lattice, np.nan)
            best = probabilities[rows].argmax(axis=1)
            least = max(self.min_certainty, flat_below(len(self.classes)))
            good = on_lattice & (certainty[rows] >= least)
            if "disordered" in self.classes:
                good &= best != self.classes.index("disordered")
            labels[rows] = np.where(good, best, -1)
        return ClassFindings(
            labels=labels,
            certainty=certainty,
            probabilities=probabilities,
            lattice=lattice,
            orientation=conventional_setting(lattice, labels, self.classes).orientation,
        )


def ion_images(fingerprint: Fingerprint) -> ImageMaker:
    """How windows of ions become images, in training and in use.

    Their significance is tested before: no lattice is held back for its low order.
    """
    return ImageMaker(
        LatticeFinder(least_order=0.0, shaped_order=2.0), AveragedFingerprint(fingerprint)
    )


def indexes(lattice: Array, wave_vectors: Array) -> NDArray[np.bool_]:
    """Whether all wave vectors (B, K, 3), nan where unused, index with the lattices (B, 3, 3)."""
    index = np.einsum("bki,bji->bkj", wave_vectors, lattice) / (2 * np.pi)
    off = np.abs(index - np.rint(index)).max(axis=-1)
    used = np.isfinite(wave_vectors[..., 0])
    good = np.where(used, off < INDEX_TOLERANCE, True).all(axis=1)
    return np.asarray(good & np.isfinite(lattice).all(axis=(1, 2)))
