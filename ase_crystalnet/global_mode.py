"""Global mode: one class for a whole structure, as in Ziletti et al. 2018.

structure -> average cell in the standard setting (`average_cell`) -> cluster of about 250 atoms ->
scaled by the average nearest-neighbour distance -> exact fingerprint with the form factors of
Z + 2 -> network. The cell is found, not taken from the input, so the answer does not depend on the
supercell, the orientation or the order of the atoms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet._fingerprint_batch import AtomBatch
from ase_crystalnet._threads import share
from ase_crystalnet.average_cell import AverageCell, NoLatticeError, average_cell
from ase_crystalnet.classifier import Classifier, labels_of
from ase_crystalnet.errors import InputError
from ase_crystalnet.fingerprint import Fingerprint
from ase_crystalnet.orientation import conventional_setting
from ase_crystalnet.results import FrameAnalysis

if TYPE_CHECKING:
    from ase_crystalnet.analyzer import CrystalNet

__all__ = [
    "CLUSTER_SIZE",
    "analyze",
    "cell_cluster",
    "cluster_of",
    "exact_fingerprints",
    "global_fingerprints",
    "global_probabilities",
    "padded",
    "perfect_supercell",
    "repetitions",
    "scaled_clusters",
    "standard_cluster",
    "standard_conventional_cell",
]

#: Sites of a cluster (Ziletti et al., Methods).
CLUSTER_SIZE = 250

Array = NDArray[np.float64]


def standard_conventional_cell(atoms: Atoms) -> Atoms:
    """Standard cell of the average crystal: triclinic convention, nothing symmetrised.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in all directions, or finite; any supercell, orientation and order of atoms.

    Returns
    -------
    ase.Atoms
        The reduced primitive cell, a along x, b in the xy plane. Defects are averaged out: each
        site is at its mean position with its commonest species.

    Raises
    ------
    NoLatticeError
        No lattice is found.
    InputError
        The structure is periodic in one or two directions only.
    """
    cell = average_cell(atoms)
    return Atoms(cell.numbers, cell=cell.lattice, scaled_positions=cell.sites, pbc=True)


def perfect_supercell(atoms: Atoms, size: int = CLUSTER_SIZE) -> Atoms:
    """Periodic supercell of about `size` sites: the standard cell, repeated compactly."""
    cell = average_cell(atoms)
    unit = Atoms(cell.numbers, cell=cell.lattice, scaled_positions=cell.sites, pbc=True)
    return unit.repeat(repetitions(cell, size).tolist())


def standard_cluster(atoms: Atoms, size: int = CLUSTER_SIZE) -> Atoms:
    """Cluster of the structure's own atoms, in the standard setting.

    Parameters
    ----------
    atoms : ase.Atoms
        As for `standard_conventional_cell`.
    size : int
        Sites; the block of standard cells is compact, and as near this as possible. Vacancies are
        not made up for.

    Returns
    -------
    ase.Atoms
        Without cell, defects included, Angstrom, the block centred at the origin.
    """
    return cluster_of(atoms, average_cell(atoms), size)


def repetitions(cell: AverageCell, size: int) -> NDArray[np.int64]:
    """Numbers (3,) of cells along its vectors: a compact block of about `size` sites."""
    lengths = np.linalg.norm(cell.lattice, axis=1)
    sites = len(cell.sites)
    edge = (size / sites * np.prod(lengths)) ** (1 / 3)
    ranges = [np.arange(max(1, int(edge / a) - 2), int(edge / a) + 4) for a in lengths]
    n = np.stack(np.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 3)
    sides = np.log(n * lengths)
    cost = 4 * np.log(np.prod(n, axis=1) * sites / size) ** 2 + 3 * sides.var(axis=1)
    # Equal choices, as along the equal vectors of a relaxed cubic cell, differ by little.
    result: NDArray[np.int64] = n[np.flatnonzero(cost < cost.min() + 1e-4)[0]]
    return result


def cluster_of(atoms: Atoms, cell: AverageCell, size: int = CLUSTER_SIZE) -> Atoms:
    """`standard_cluster` of a structure whose average cell is known."""
    n = repetitions(cell, size)
    inverse = np.linalg.inv(cell.lattice)
    turned = atoms.positions @ cell.frame.T
    periodic = bool(atoms.pbc.all())
    middle = atoms.cell.array.sum(axis=0) / 2 if periodic else atoms.positions.mean(axis=0)
    # The block begins at the corner of a cell, so that its faces keep away from the sites.
    low = np.rint(cell.frame @ middle @ inverse - cell.origin - n / 2) + cell.origin
    points = turned @ inverse
    numbers = atoms.numbers
    if periodic:
        # Moved into the supercell that begins at the block's corner, then repeated.
        steps = atoms.cell.array @ cell.frame.T @ inverse
        points = low + ((points - low) @ np.linalg.inv(steps) % 1.0) @ steps
        corners = np.array(list(product(*((0.0, float(k)) for k in n)))) @ np.linalg.inv(steps)
        first = np.floor(corners.min(axis=0) - 1 - 1e-9).astype(int)
        last = np.ceil(corners.max(axis=0) + 1e-9).astype(int)
        ranges = (range(a, b + 1) for a, b in zip(first, last, strict=True))
        images = np.array(list(product(*ranges)))
        numbers = np.tile(numbers, len(images))
        points = ((images @ steps)[:, None] + points).reshape(-1, 3)
    inside = ((points >= low) & (points < low + n)).all(axis=1)
    positions = (points[inside] - low - n / 2) @ cell.lattice
    return Atoms(numbers[inside], positions)


def cell_cluster(cell: AverageCell, size: int = CLUSTER_SIZE) -> Atoms:
    """The cluster of the average crystal itself, without defects."""
    unit = Atoms(cell.numbers, cell=cell.lattice, scaled_positions=cell.sites, pbc=True)
    n = repetitions(cell, size)
    block = unit.repeat(n.tolist())
    return Atoms(block.numbers, block.positions - n / 2 @ cell.lattice)


def scaled_clusters(
    structures: Sequence[Atoms], size: int = CLUSTER_SIZE
) -> tuple[Array, NDArray[np.bool_], NDArray[np.int64]]:
    """Clusters in nearest-neighbour distances, padded to one length.

    A structure in which no lattice is found has no atoms in its row.

    Returns
    -------
    positions : (B, N, 3) float64 array
    mask : (B, N) bool array
        True for atoms.
    numbers : (B, N) int array
        Atomic numbers, 0 where there is no atom.
    """
    clusters = []
    for atoms in structures:
        try:
            cell = average_cell(atoms)
        except NoLatticeError:
            clusters.append((np.empty((0, 3)), np.empty(0, np.int64)))
            continue
        cluster = cluster_of(atoms, cell, size)
        clusters.append((cluster.positions / cell.nearest_neighbor_distance, cluster.numbers))
    return padded(clusters)


def padded(
    clusters: Sequence[tuple[Array, NDArray[np.int64]]],
) -> tuple[Array, NDArray[np.bool_], NDArray[np.int64]]:
    """Positions (B, N, 3), mask (B, N) and numbers (B, N) of clusters of different sizes."""
    longest = max((len(numbers) for _, numbers in clusters), default=0)
    positions = np.zeros((len(clusters), longest, 3))
    numbers = np.zeros((len(clusters), longest), np.int64)
    for row, (points, species) in enumerate(clusters):
        positions[row, : len(points)] = points
        numbers[row, : len(points)] = species
    return positions, numbers > 0, numbers


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


def exact_fingerprints(
    fingerprint: Fingerprint,
    positions: Any,
    mask: Any = None,
    numbers: Any = None,
    *,
    threads: int | None = None,
) -> NDArray[np.float32]:
    """`Fingerprint.exact` on the detector, compiled, in float32: 2e-5 of the brightest pixel apart.

    The fast form takes atoms within five scale lengths of the centre; a block of cells is longer.
    Parameters are those of `Fingerprint.exact`; returns (B, P, P, 3) float32.
    """
    from ase_crystalnet._kernels.exact import diffract_exact  # compiled on first use

    batch = AtomBatch(positions, mask, None, numbers)
    size = fingerprint.pixels
    tables = _exact_tables(fingerprint, batch.elements)
    atoms = (
        np.require(batch.positions, np.float32, ["C", "W"]),
        np.require(batch.weights, np.float32, ["C", "W"]),
        batch.species,
    )
    out = np.empty((batch.windows, size, size, 3), np.float32)

    def part(start: int, stop: int) -> None:
        chosen = slice(start, stop)
        diffract_exact(*(array[chosen] for array in atoms), *tables, out[chosen])

    share(part, batch.windows, threads)
    return out


@lru_cache(maxsize=256)
def _exact_tables(fingerprint: Fingerprint, elements: tuple[int, ...]) -> tuple[Any, ...]:
    """What the kernel needs besides the atoms, in its order of arguments."""
    rotations = fingerprint._rotations()
    views = [(channel, rotation) for channel in range(3) for rotation in rotations[channel]]
    quarter_turn = fingerprint.angle == 45.0
    if quarter_turn:
        del views[4]
    window = fingerprint._window()
    lit = np.argwhere(window > 0)
    q = fingerprint.wave_vectors("detector")
    forms = fingerprint._form_factors(elements, q)
    if not elements:
        forms = np.ones((1, *window.shape))
    return (
        np.array([rotation for _, rotation in views], np.float32),
        np.array([channel for channel, _ in views]),
        quarter_turn,
        np.ascontiguousarray(q[window > 0], np.float32),
        np.ascontiguousarray(forms[:, window > 0], np.float32),
        window[window > 0].astype(np.float32),
        lit,
    )


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
