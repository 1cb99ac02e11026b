"""Global mode: one class for a whole structure, as in Ziletti et al. 2018.

structure -> average cell in the standard setting (`average_cell`) -> cluster of about 250 atoms ->
scaled by the average nearest-neighbour distance -> exact fingerprint with the form factors of
Z + 2 -> network. The cell is found, not taken from the input, so the answer does not depend on the
supercell, the orientation or the order of the atoms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet.classes import checked_certainty, labels_of
from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.errors import InputError
from ase_crystalnet.fingerprint.exact import exact_fingerprints
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.lattice.orientation import conventional_setting
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.results.method import Progress
from ase_crystalnet.results.table import WindowTable
from ase_crystalnet.whole.average_cell import AverageCell, average_cell
from ase_crystalnet.whole.average_lattice import NoLatticeError
from ase_crystalnet.whole.cluster import (
    CLUSTER_SIZE,
    cluster_of,
    padded,
    repetitions,
    scaled_clusters,
)

__all__ = ["WholeAnalysis", "global_fingerprints", "global_probabilities"]


def global_fingerprints(
    structures: Sequence[Atoms],
    fingerprint: Fingerprint | None = None,
    size: int = CLUSTER_SIZE,
    *,
    threads: int | None = None,
) -> NDArray[np.float32]:
    """Diffraction fingerprints (B, 64, 64, 3) of whole structures.

    Parameters
    ----------
    structures : sequence of ase.Atoms
    fingerprint : Fingerprint, optional
        Constants; by default the paper's.
    size : int
        Sites of the cluster.
    threads : int, optional
        Default: numba's number (``NUMBA_NUM_THREADS``).

    Returns
    -------
    (B, 64, 64, 3) float32 array
        Zero everywhere where no lattice is found.
    """
    given = Fingerprint() if fingerprint is None else fingerprint
    positions, mask, numbers = scaled_clusters(structures, size)
    return exact_fingerprints(given, positions, mask, numbers, threads=threads)


def global_probabilities(
    classifier: Classifier,
    structures: Sequence[Atoms],
    *,
    batch: int = 256,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Class probabilities (B, C) of many whole structures.

    Parameters
    ----------
    classifier : Classifier
        Of a model of whole structures.
    structures : sequence of ase.Atoms
    batch : int
        Structures worked on at a time.
    threads : int, optional
        For the fingerprints.
    progress : callable, optional
        Called with the number of structures done and in all.

    Returns
    -------
    (B, C) float32 array
        nan in rows of structures without a lattice.
    """
    fingerprint = Fingerprint(**classifier.card.fingerprint)
    out = np.empty((len(structures), len(classifier.classes)), np.float32)
    for start in range(0, len(structures), batch):
        part = structures[start : start + batch]
        images = global_fingerprints(part, fingerprint, threads=threads)
        dark = ~images.any(axis=(1, 2, 3))
        out[start : start + len(part)] = classifier.predict(images)
        out[start : start + len(part)][dark] = np.nan
        if progress is not None:
            progress(start + len(part), len(structures))
    return out


@dataclass(frozen=True, eq=False)
class WholeAnalysis:
    """Method 2: a structure as a whole is one window; every atom is given its values.

    Parameters
    ----------
    classifier : Classifier
        Of a model of whole structures.
    fingerprint : Fingerprint
        With the constants of its card.
    min_certainty : float, optional
        A label with a smaller certainty is refused (-1).

    Raises
    ------
    InputError
        The threshold is out of range.
    """

    classifier: Classifier
    fingerprint: Fingerprint
    min_certainty: float | None = None

    def __post_init__(self) -> None:
        checked_certainty(self.min_certainty)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.classifier.classes

    def analyze(
        self,
        atoms: Atoms,
        centers: Any = "atoms",
        spacing: float | None = None,
        progress: Progress | None = None,
    ) -> FrameAnalysis:
        """Analyse one structure.

        Parameters
        ----------
        atoms : ase.Atoms
            Periodic in all directions, or finite.
        centers, spacing
            Have no meaning for a structure as a whole; only the defaults are accepted.
        progress : callable, optional
            Called with 1 of 1 when done.

        Raises
        ------
        NoLatticeError
            No lattice is found.
        InputError
            The structure is periodic in one or two directions only, or an option was given that
            does not apply.
        """
        for name, applies in (
            ("centers", isinstance(centers, str) and centers == "atoms"),
            ("spacing", spacing is None),
        ):
            if not applies:
                raise InputError(
                    f"model {self.classifier.card.name!r} classifies structures as a whole: "
                    f"{name} do{'es' if name == 'spacing' else ''} not apply; leave "
                    f"{'it' if name == 'spacing' else 'them'} out, or use a model of windows"
                )
        cell = average_cell(atoms)
        distance = cell.nearest_neighbor_distance
        cluster = cluster_of(atoms, cell)
        if len(cluster) == 0:
            raise NoLatticeError("the block of cells in the middle of the structure holds no atoms")
        positions, mask, numbers = padded([(cluster.positions / distance, cluster.numbers)])
        probabilities = self.classifier.predict(
            exact_fingerprints(self.fingerprint, positions, mask, numbers)
        )
        labels, certainty = labels_of(probabilities)
        lattice = (cell.lattice @ cell.frame)[None]
        setting = conventional_setting(lattice, labels, self.classes)
        order, displacement = _order(cluster, cell)
        table = WindowTable.empty(1, len(self.classes))
        table.set_rows(
            slice(None),
            probabilities=probabilities,
            order=np.array([order]),
            lattice=lattice,
            rank=np.array([3]),
            mean_square_displacement=np.array([displacement]),
            nearest_neighbor_distance=np.array([distance]),
            radius=np.array([np.linalg.norm(cluster.positions, axis=1).max()]),
        )

        def everywhere(values: NDArray[Any]) -> NDArray[Any]:
            return np.repeat(values, len(atoms), axis=0)

        frame = FrameAnalysis(
            classes=self.classes,
            centers=atoms.positions.mean(axis=0)[None],
            center_indices=np.array([-1]),
            labels=labels,
            certainty=certainty,
            orientation=setting.orientation,
            atom_probabilities=everywhere(probabilities),
            atom_labels=everywhere(labels),
            atom_certainty=everywhere(certainty),
            atom_order=everywhere(table.order),
            atom_orientation=everywhere(setting.orientation),
            metadata={
                "model": self.classifier.card.name,
                "model_sha256": self.classifier.card.sha256,
                "window_atoms": CLUSTER_SIZE,
                "centers": "global",
                "species": "form-factor",
            },
            **table.columns(),
        )
        if progress is not None:
            progress(1, 1)
        return frame if self.min_certainty is None else frame.with_min_certainty(self.min_certainty)


def _order(cluster: Atoms, cell: AverageCell) -> tuple[float, float]:
    """Bragg order S_max / N over low reflections, and mean square displacement, Angstrom^2.

    The displacement is that of the atoms from the nearest mean sites, per component.
    """
    hkl = np.array([h for h in product(range(-3, 4), repeat=3) if h > (0, 0, 0)])
    points = cluster.positions @ np.linalg.inv(cell.lattice)
    amplitude = np.abs(np.exp(2j * np.pi * (hkl @ points.T)).sum(axis=1))
    repeats = repetitions(cell, CLUSTER_SIZE)
    offset = (points + repeats / 2)[:, None] - cell.sites
    offset = (offset - np.rint(offset)) @ cell.lattice
    nearest = (offset**2).sum(axis=-1).min(axis=1)
    return float((amplitude.max() / len(points)) ** 2), float(nearest.mean() / 3)
