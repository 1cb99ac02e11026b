"""Global mode: one class for a whole structure, as in Ziletti et al. 2018.

structure -> average cell in the standard setting (`average_cell`) -> cluster of about 250 atoms ->
scaled by the average nearest-neighbour distance -> exact fingerprint with the form factors of
Z + 2 -> network. The cell is found, not taken from the input, so the answer does not depend on the
supercell, the orientation or the order of the atoms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet.classifier.classifier import Classifier, labels_of
from ase_crystalnet.errors import InputError
from ase_crystalnet.fingerprint.exact import exact_fingerprints
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.lattice.orientation import conventional_setting
from ase_crystalnet.results.frame import FrameAnalysis
from ase_crystalnet.whole.average_cell import AverageCell, average_cell
from ase_crystalnet.whole.average_lattice import NoLatticeError
from ase_crystalnet.whole.cluster import (
    CLUSTER_SIZE,
    cluster_of,
    padded,
    repetitions,
    scaled_clusters,
)

if TYPE_CHECKING:
    from ase_crystalnet.analyzer import CrystalNet

__all__ = ["analyze", "global_fingerprints", "global_probabilities"]


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
    model: CrystalNet | Classifier,
    structures: Sequence[Atoms],
    *,
    batch: int = 256,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Class probabilities (B, C) of many whole structures.

    Parameters
    ----------
    model : CrystalNet or Classifier
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
    classifier = model if isinstance(model, Classifier) else model.classifier
    fingerprint = Fingerprint(**classifier.card.data["fingerprint"])
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


def analyze(net: CrystalNet, atoms: Atoms, centers: Any = "atoms") -> FrameAnalysis:
    """Analyse a structure as a whole: one window; every atom is given its values.

    ``CrystalNet(mode="global").analyze`` calls this.

    Raises
    ------
    NoLatticeError
        No lattice is found.
    InputError
        The structure is periodic in one or two directions only.
    """
    if not isinstance(centers, str) or centers != "atoms":
        raise InputError(
            f"model {net.classifier.card.name!r} classifies structures as a whole: centers do not "
            "apply; leave them out, or use a model of windows"
        )
    cell = average_cell(atoms)
    distance = cell.nearest_neighbor_distance
    cluster = cluster_of(atoms, cell)
    if len(cluster) == 0:
        raise NoLatticeError("the block of cells in the middle of the structure holds no atoms")
    positions, mask, numbers = padded([(cluster.positions / distance, cluster.numbers)])
    probabilities = net.classifier.predict(
        exact_fingerprints(net.fingerprint, positions, mask, numbers)
    )
    labels, certainty = labels_of(probabilities, net.min_certainty)
    lattice = (cell.lattice @ cell.frame)[None]
    setting = conventional_setting(lattice, labels, net.classes)
    order, displacement = _order(cluster, cell)
    count = len(atoms)

    def everywhere(values: NDArray[Any]) -> NDArray[Any]:
        return np.repeat(values, count, axis=0)

    orders = np.array([order], np.float32)
    return FrameAnalysis(
        classes=net.classes,
        centers=atoms.positions.mean(axis=0)[None],
        center_indices=np.array([-1]),
        probabilities=probabilities,
        labels=labels,
        certainty=certainty,
        order=orders,
        lattice=lattice,
        orientation=setting.orientation,
        rank=np.array([3], np.int8),
        mean_square_displacement=np.array([displacement], np.float32),
        nearest_neighbor_distance=np.array([distance], np.float32),
        sparse=np.zeros(1, bool),
        radius=np.array([np.linalg.norm(cluster.positions, axis=1).max()]),
        atom_probabilities=everywhere(probabilities),
        atom_labels=everywhere(labels),
        atom_certainty=everywhere(certainty),
        atom_order=everywhere(orders),
        atom_orientation=everywhere(setting.orientation),
        min_certainty=net.min_certainty,
        metadata={
            "model": net.classifier.card.name,
            "model_sha256": str(net.classifier.card.data["sha256"]),
            "window_atoms": CLUSTER_SIZE,
            "centers": "global",
            "species": "form-factor",
        },
    )


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
