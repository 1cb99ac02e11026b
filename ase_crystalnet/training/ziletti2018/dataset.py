"""Fingerprints that "ziletti2018" is trained on, made in processes and kept in shards."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet.crystals.defects import with_vacancies
from ase_crystalnet.crystals.elements import Element, elemental_structures, prototype_of
from ase_crystalnet.fingerprint.exact import exact_fingerprints
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.io.whole_files import whole_file
from ase_crystalnet.whole.average_cell import AverageCell, average_cell
from ase_crystalnet.whole.average_lattice import NoLatticeError
from ase_crystalnet.whole.cluster import (
    CLUSTER_SIZE,
    cell_cluster,
    cluster_of,
    perfect_supercell,
)

__all__ = [
    "CLASSES",
    "Data",
    "ZilettiPlan",
    "cut_elsewhere",
    "make_shard",
    "pristine_structures",
    "read_or_make",
]

Log = Callable[[str], None]
#: As in the model "local", without "disordered".
CLASSES = ("bct139", "bct141", "hex/rh", "sc", "fcc", "diam", "bcc")


@dataclass(frozen=True)
class ZilettiPlan:
    """How "ziletti2018" is trained; stored in its card.

    Attributes
    ----------
    seed : int
        Of structures, split, weights and the order of the batches.
    shards, shard_size : int
        Structures = about shards x shard_size.
    conventional : float
        Share of structures shown in the setting of their conventional cell. A structure may come
        close to another one of which that is the primitive cell: bcc that loses its body centres
        is looked at in the cell of simple cubic.
    cuts : float
        Share of structures cut from the crystal at another gap between its sites than the widest.
        Where gaps are nearly equal, a little strain decides which is the widest.
    cut_gap : float
        They are cut where the gap is wider than this share of the widest.
    thinned : float
        Share of structures of which there is a second image, from a supercell with vacancies.
    thinned_shown : float
        Share of the settling epochs in which it is shown instead of the first.
    most_vacancies : float
        Largest share of the atoms removed; the share is uniform from 0.
    held_out : float
        Share of the structures not trained on.
    epochs, batch_size : int
        With the learning rate of the paper.
    settling : int
        Further epochs in which the learning rate falls to zero, with the thinned images among the
        others; the paper has none.
    mixed : bool
        Train with bfloat16 arithmetic (weights stay float32): 1.7 times faster on processors that
        have it.
    learning_rate : float
        Adam's.
    """

    seed: int = 2018
    shards: int = 21
    shard_size: int = 500
    conventional: float = 0.15
    cuts: float = 0.3
    cut_gap: float = 0.5
    thinned: float = 0.5
    thinned_shown: float = 0.5
    most_vacancies: float = 0.7
    held_out: float = 0.1
    epochs: int = 5
    batch_size: int = 32
    settling: int = 7
    learning_rate: float = 1e-3
    mixed: bool = True


@dataclass(frozen=True, eq=False)
class Data:
    """Images and labels of all shards.

    Attributes
    ----------
    images : (B, P, P, 3) float16 array
        Of the pristine structures.
    labels : (B,) int array
    thinned : (B, P, P, 3) float16 array
        With vacancies, where `has_thinned`; else the pristine image.
    has_thinned : (B,) bool array
    """

    images: NDArray[np.float16]
    labels: NDArray[np.int64]
    thinned: NDArray[np.float16]
    has_thinned: NDArray[np.bool_]


def pristine_structures(plan: ZilettiPlan, shard: int) -> list[Element]:
    """The structures of one shard, before they are turned."""
    return elemental_structures(np.random.default_rng([plan.seed, shard, 0]), plan.shard_size)


def turned(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    """The structure after three random rotations, about x, y and z."""
    result = atoms.copy()
    for axis in "xyz":
        result.rotate(rng.uniform(0, 360), axis, rotate_cell=True)
    return result


def _conventional(atoms: Atoms) -> AverageCell:
    """The structure in the standard setting of its conventional cell."""
    import spglib

    given: Any = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    cell: Any = answer_of(
        spglib.standardize_cell, given, to_primitive=False, no_idealize=True, symprec=1e-3
    )
    return average_cell(Atoms(cell[2], cell=cell[0], scaled_positions=cell[1], pbc=True), cell[0])


def make_shard(path: Path, plan: ZilettiPlan, shard: int) -> Path:
    """Fingerprints (float16) and labels of one shard, written whole."""
    rng = np.random.default_rng([plan.seed, shard, 1])
    known: dict[tuple[str, bool], NDArray[np.float32]] = {}
    rows, labels, thinned, which = [], [], [], []
    for element in pristine_structures(plan, shard):
        atoms = turned(element.atoms, rng)
        conventional = bool(rng.random() < plan.conventional)
        elsewhere = bool(rng.random() < plan.cuts)
        prototype = prototype_of(element)
        key = (element.prototype, conventional)
        pattern = None if elsewhere else known.get(key)
        if pattern is None:
            cell = _conventional(atoms) if conventional else average_cell(atoms)
            if elsewhere:
                cell = cut_elsewhere(cell, plan.cut_gap, rng)
            positions = cell_cluster(cell, CLUSTER_SIZE).positions / cell.nearest_neighbor_distance
            pattern = exact_fingerprints(Fingerprint(), positions[None], threads=1)[0]
            if prototype is not None and prototype.fixed and not elsewhere:
                known[key] = pattern
        # One species: the form factor is a factor of the whole pattern.
        rows.append(_image(pattern, element))
        labels.append(CLASSES.index(element.label))
        if rng.random() < plan.thinned:
            pattern = _thinned(atoms, rng.uniform(0, plan.most_vacancies), rng)
            if pattern is not None:
                thinned.append(_image(pattern, element))
                which.append(len(rows) - 1)
    with whole_file(path) as part:
        np.savez(
            part,
            images=np.array(rows),
            labels=np.array(labels, np.int64),
            thinned=np.array(thinned).reshape(-1, *rows[0].shape),
            which=np.array(which, np.int64),
        )
    return path


def _image(pattern: NDArray[np.float32], element: Element) -> NDArray[np.float16]:
    """The pattern of bare points with the element's form factor, the brightest pixel 1."""
    image = pattern * _form_factor(int(element.atoms.numbers[0]))[..., None] ** 2
    return (image / image.max()).astype(np.float16)


def cut_elsewhere(cell: AverageCell, share: float, rng: np.random.Generator) -> AverageCell:
    """The cell with its faces in gaps between the sites, wider than a share of the widest."""
    shift = np.zeros(3)
    for axis, coordinate in enumerate(cell.sites.T):
        ordered = np.sort(coordinate % 1.0)
        gaps = np.diff(np.append(ordered, ordered[0] + 1.0))
        wide = rng.choice(np.flatnonzero(gaps > share * gaps.max()))
        shift[axis] = ordered[wide] + gaps[wide] / 2
    return replace(cell, sites=(cell.sites - shift) % 1.0, origin=(cell.origin + shift) % 1.0)


def _thinned(atoms: Atoms, share: float, rng: np.random.Generator) -> NDArray[np.float32] | None:
    """Pattern of a supercell without a share of its atoms, its cell found; None without one."""
    spoilt = with_vacancies(turned(perfect_supercell(atoms), rng), share, rng)
    try:
        cell = average_cell(spoilt)
    except NoLatticeError:
        return None
    positions = cluster_of(spoilt, cell).positions / cell.nearest_neighbor_distance
    if len(positions) == 0:
        return None
    return exact_fingerprints(Fingerprint(), positions[None], threads=1)[0]


@cache
def _form_factor(z: int) -> NDArray[np.float64]:
    """Form factor of Z + 2 at every pixel, (64, 64)."""
    return Fingerprint().detector.form_factors((z,))[0]


def read_or_make(plan: ZilettiPlan, work: Path, processes: int, log: Log) -> Data:
    """All shards of a plan; those that are not in the folder are made."""
    paths = [work / f"pristine-{shard:03d}.npz" for shard in range(plan.shards)]
    missing = [shard for shard, path in enumerate(paths) if not path.is_file()]
    if missing:
        with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
            jobs = [pool.submit(make_shard, paths[s], plan, s) for s in missing]
            for done, job in enumerate(jobs, 1):
                job.result()
                log(f"structures: {len(paths) - len(missing) + done} of {len(paths)} shards")
    shards = [np.load(path) for path in paths]
    images = np.concatenate([s["images"] for s in shards])
    labels = np.concatenate([s["labels"] for s in shards])
    begins = np.cumsum([0, *(len(s["labels"]) for s in shards)])
    which = np.concatenate([begin + s["which"] for begin, s in zip(begins, shards, strict=False)])
    thinned = images.copy()
    thinned[which] = np.concatenate([s["thinned"] for s in shards])
    has_thinned = np.zeros(len(images), bool)
    has_thinned[which] = True
    return Data(images, labels, thinned, has_thinned)
