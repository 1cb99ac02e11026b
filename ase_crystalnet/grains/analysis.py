"""All of it for one frame: grains, average crystals, space groups, order, boundaries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial.transform import Rotation

from ase_crystalnet._compute.types import Array
from ase_crystalnet.geometry.periodic import PeriodicSpace, validated_positions
from ase_crystalnet.grains.average_crystal import AverageCrystal, average_crystal
from ase_crystalnet.grains.boundaries import Boundary, coincidence, contacts, disorientation
from ase_crystalnet.grains.motif import Motif, reduced, refined, regression
from ase_crystalnet.grains.order import chemical_order, kinds_of_orbits
from ase_crystalnet.grains.prototypes import structure_type
from ase_crystalnet.grains.references import (
    Reference,
    find_prototype,
    find_reference,
    load_references,
)
from ase_crystalnet.grains.results import Crystal, Crystals
from ase_crystalnet.grains.seeds import seed_motif
from ase_crystalnet.grains.segmentation import Grain, GrainFinder
from ase_crystalnet.grains.short_range import short_range_order
from ase_crystalnet.grains.space_group import ELASTIC_STRAIN, SpaceGroup, find_space_group
from ase_crystalnet.grains.superlattice import divided, enlarged, ordered
from ase_crystalnet.results.frame import FrameAnalysis

__all__ = ["crystal_of", "find_crystals", "names_by_windows"]

#: Atoms of a grain, nearest to its middle, in which weak superlattices are looked for: their
#: amplitude over the noise grows with the root of the number, and the work with the number.
SUPERLATTICE_ATOMS = 10_000
#: Fragments in contact whose lattices differ by less, degrees, are one grain: a stacking fault or
#: an antiphase boundary displaces the lattice and turns nothing.
ONE_GRAIN = 2.0
#: Periodic cells of fewer atoms are repeated.
FEW_ATOMS = 512
#: Windows of a grain that say what class it is.
NAMING_WINDOWS = 24
#: A regression whose cell has so small a share of the volume of the motif's has no third vector.
FLAT = 1e-3
#: A cell is doubtful if its least filled site holds a smaller share of the atoms of the fullest,
#: the atoms of one are so many times as far from their mean as those of the median, or a smaller
#: share of the atoms is on sites; and if the displacements on a site are so uneven (largest
#: variance along a direction over the median of all) where species share a site: sites of a cell
#: that is too small hold atoms of several. Probability that a cell of more than so many sites, and
#: its group, are right without and with doubt: of AFLOW's prototypes (benchmarks/crystals.py, part
#: aflow). What is wrong without doubt are distortions below their errors.
FILLED, WIDE, ON_SITES = 0.8, 2.0, 0.97
UNEVEN, SHARED = 2.2, 0.05
SIMPLE, CELL_PROBABILITY = 4, (0.97, 0.45)
#: Share of the neighbours of an atom that are in one grain, if it is shut in by it.
SHUT_IN = 0.8
#: The same of an atom whose species is counted. At the border of a grain atoms of its neighbour lie
#: near sites by chance, more on some than on others.
INNER = 0.9
#: Neighbours within this many nearest-neighbour distances are bonded.
BOND = 1.15


def find_crystals(
    atoms: Atoms,
    *,
    finder: GrainFinder | None = None,
    elastic_strain: float | None = None,
    references: Sequence[Atoms | str | Path | Reference] = (),
    threads: int | None = None,
) -> Crystals:
    """Crystals of a frame; empty where there are none, as in a liquid or a glass.

    Parameters
    ----------
    atoms : ase.Atoms
        Any mix of periodic directions.
    finder : GrainFinder, optional
        Parameters of the search for grains.
    elastic_strain : float, optional
        Root mean square of the components of a strain that is no change of symmetry; 0 takes
        lattices as they are. By default the lattice of a crystal on its own tells, and grains
        among others may be strained by 0.005.
    references : sequence of ase.Atoms, str, Path or Reference
        Known crystals, as cells or files of cells: grains that are one of them carry its name, and
        their strain against it.
    threads : int, optional
        Default: all cores.

    Raises
    ------
    InputError
        The structure or a reference cannot be used.
    """
    known = load_references(references)
    finder = GrainFinder() if finder is None else finder
    given = len(validated_positions(atoms))
    atoms = _repeated(atoms)
    found = finder(atoms, threads=threads)
    numbers = np.asarray(atoms.numbers)
    grains = found.grain.copy()
    crystals: list[Crystal] = []
    if elastic_strain is None and len(found.grains) > 1:
        elastic_strain = ELASTIC_STRAIN
    enclosed = _enclosed(grains, found.neighbors)
    inner = (grains[found.neighbors] == grains[:, None]).mean(axis=1) >= INNER
    for number, grain in enumerate(found.grains, start=1):
        on_sites = len(grain.atoms) / (len(grain.atoms) + enclosed.get(number, 0))
        crystal = _crystal(number, grain, numbers, elastic_strain, known, on_sites, inner)
        if crystal is None:
            grains[grain.atoms] = 0
        else:
            crystals.append(crystal)
    grains, crystals = _joined(grains, crystals, found.neighbors)
    boundaries = _boundaries(grains, crystals, found.neighbors)
    if len(atoms) > given:
        # Copies of a small cell follow one another: what is handed back is the first.
        grains = grains[:given]
        crystals = [replace(one, atoms=one.atoms[one.atoms < given]) for one in crystals]
    return Crystals(grains, tuple(crystals), boundaries)


def names_by_windows(
    crystals: Crystals, analyze: Callable[[NDArray[np.int64]], FrameAnalysis]
) -> dict[int, str]:
    """Class of most of some windows of each crystal; none where all of them are refused.

    Parameters
    ----------
    crystals : Crystals
    analyze : callable
        Classifies windows about atoms, given by their indices.
    """
    chosen = []
    for one in crystals:
        step = max(len(one.atoms) // NAMING_WINDOWS, 1)
        chosen.append(one.atoms[step // 2 :: step][:NAMING_WINDOWS])
    frame = analyze(np.concatenate(chosen))
    owner = np.repeat([one.number for one in crystals], [len(each) for each in chosen])
    names = {}
    for one in crystals:
        labels = frame.labels[(owner == one.number) & (frame.labels >= 0)]
        if len(labels):
            names[one.number] = frame.classes[int(np.bincount(labels).argmax())]
    return names


def _repeated(atoms: Atoms) -> Atoms:
    """A small periodic cell repeated to enough atoms for windows and regressions."""
    if len(atoms) >= FEW_ATOMS or not atoms.pbc.any():
        return atoms
    space = PeriodicSpace.of(atoms)
    heights, free = space.heights(reduced=False), ~np.asarray(atoms.pbc)
    copies = np.ones(3, int)
    while len(atoms) * copies.prod() < FEW_ATOMS:
        copies[np.argmin(np.where(free, np.inf, copies * heights))] += 1
    bare = Atoms(atoms.numbers, positions=atoms.positions, cell=space.basis, pbc=atoms.pbc)
    return bare.repeat(copies.tolist())


def crystal_of(
    positions: Array,
    numbers: NDArray[np.int64],
    *,
    elastic_strain: float | None = None,
    references: Sequence[Atoms | str | Path | Reference] = (),
) -> Crystal | None:
    """The crystal of one region, such as a ball or a window; None where there is none.

    Parameters
    ----------
    positions : (N, 3) array
        In open space, Angstrom; the crystal is sought about their middle.
    numbers : (N,) integer array
        Atomic numbers.
    elastic_strain, references
        As of `find_crystals`.
    """
    middle = (positions.min(axis=0) + positions.max(axis=0)) / 2
    motif = seed_motif(positions - middle, numbers)
    if motif is None:
        return None
    atoms = np.arange(len(positions))
    known = load_references(references)
    return _described(1, atoms, motif, positions - middle, numbers, 0.0, elastic_strain, known)


def _crystal(
    number: int,
    grain: Grain,
    numbers: NDArray[np.int64],
    elastic_strain: float | None,
    references: Sequence[Reference],
    on_sites: float,
    inner: NDArray[np.bool_],
) -> Crystal | None:
    """The crystal of a grain, unbent; `inner` (N,) tells atoms of the frame inside their grains."""
    given = grain.assignment
    used, site = np.unique(given.site, return_inverse=True)
    middle = grain.positions.mean(axis=0)
    positions = grain.positions - middle
    lattice, places, _ = regression(given.cells, site, positions, len(used))
    # Atoms of one layer or one chain leave a vector of the lattice open.
    if abs(np.linalg.det(lattice)) < FLAT * abs(np.linalg.det(grain.motif.lattice)):
        return None
    rest = positions - given.cells @ lattice - places[site]
    # Where the lattice bends, an atom is where it would be in the mean one.
    if (rest**2).mean() > 1.1 * (given.offsets**2).mean():
        positions = given.cells @ lattice + places[site] + given.offsets
        positions = positions - positions.mean(axis=0)
    motif = Motif(lattice, places @ np.linalg.inv(lattice), np.zeros(3), grain.motif.spacing)
    gradients = np.linalg.inv(grain.motif.lattice) @ grain.gradients
    spread = _spread(gradients)
    known = numbers[grain.atoms]
    return _described(
        number, grain.atoms, motif, positions, known, spread, elastic_strain, references, on_sites,
        inner[grain.atoms],
    )  # fmt: skip


def _enclosed(grains: NDArray[np.int32], neighbors: NDArray[np.int64]) -> dict[int, int]:
    """Atoms of no grain that each grain shuts in, counted: a whole cell has sites for them."""
    free = np.flatnonzero(grains == 0)
    around = np.sort(grains[neighbors[free]], axis=1)
    # The middle one is that of most, if most are of one.
    most = around[:, around.shape[1] // 2]
    shut = (most > 0) & ((around == most[:, None]).mean(axis=1) >= SHUT_IN)
    numbers, counts = np.unique(most[shut], return_counts=True)
    return {int(number): int(count) for number, count in zip(numbers, counts, strict=True)}


def _spread(gradients: Array) -> float:
    """Root mean square angle of the rotations of lattices about their mean, degrees."""
    u, _, vt = np.linalg.svd(gradients)
    turns = Rotation.from_matrix(u @ vt)
    angles = (turns.mean().inv() * turns).magnitude()
    return float(np.degrees(np.sqrt((angles**2).mean())))


def _described(
    number: int,
    atoms: NDArray[np.int64],
    motif: Motif,
    positions: Array,
    numbers: NDArray[np.int64],
    spread: float,
    elastic_strain: float | None,
    references: Sequence[Reference],
    on_sites: float = 1.0,
    inside: NDArray[np.bool_] | None = None,
) -> Crystal | None:
    near = np.argsort((positions**2).sum(axis=1), kind="stable")[:SUPERLATTICE_ATOMS]
    inner, known = positions[near], numbers[near]
    motif = divided(enlarged(motif, inner, known), inner, known)
    motif = ordered(motif, inner, known)
    motif = refined(reduced(motif), positions, 2)
    found = motif.assign(positions)
    # A site that no atom of this region is near is none.
    used = np.flatnonzero(np.bincount(found.site[found.near], minlength=len(motif.sites)))
    if len(used) < len(motif.sites):
        motif = replace(motif, sites=motif.sites[used])
        found = motif.assign(positions)
    if found.near.sum() < 3 * len(motif.sites) + 9:
        return None
    lattice, _, _ = regression(
        found.cells[found.near], found.site[found.near], positions[found.near], len(motif.sites)
    )
    # Atoms of one layer or one chain leave a vector of the lattice open.
    if abs(np.linalg.det(lattice)) < FLAT * abs(np.linalg.det(motif.lattice)):
        return None
    average = average_crystal(motif, found, positions, numbers, inner=inside)
    group = find_space_group(average, elastic_strain)
    if group is None:
        return None
    orbits = group.orbits
    match = find_prototype(average, group.number, kinds_of_orbits(average, orbits))
    prototype = _prototype(average, group, orbits)
    if prototype is None and match is not None:
        prototype = match.reference.name
    return Crystal(
        number=number,
        atoms=atoms,
        average=average,
        group=group,
        prototype=prototype,
        structure=None,
        order=chemical_order(average, orbits),
        short_range=short_range_order(motif, found, numbers),
        spread=spread,
        library=match,
        reference=find_reference(average, references),
        cell_probability=_cell_probability(average, on_sites * float(found.near.mean())),
    )


def _cell_probability(average: AverageCrystal, on_sites: float) -> float:
    """Probability that the cell is the right one, from what wrong ones have.

    Of a cell that is too small or otherwise wrong some sites are half empty, or hold atoms that lie
    in two places, of several species, or atoms lie on none.
    """
    width = np.trace(average.displacement, axis1=1, axis2=2)
    wide = width.max() > WIDE**2 * np.median(width)
    most = np.linalg.eigvalsh(average.displacement)
    uneven = most[:, -1].max() > UNEVEN * np.median(most)
    shares = average.counts / np.maximum(average.counts.sum(axis=1, keepdims=True), 1)
    shared = shares.max(axis=1).min() < 1 - SHARED
    doubtful = average.filling.min() < FILLED or wide or on_sites < ON_SITES
    if doubtful or (uneven and shared):
        return CELL_PROBABILITY[1]
    return CELL_PROBABILITY[0] if len(average.sites) > SIMPLE else 1.0


def _prototype(average: AverageCrystal, group: SpaceGroup, orbits: NDArray[np.int64]) -> str | None:
    kinds = kinds_of_orbits(average, orbits)
    sizes: dict[int, list[int]] = {}
    for orbit in np.unique(orbits[group.parent_site]):
        size = int((orbits[group.parent_site] == orbit).sum())
        sizes.setdefault(int(kinds[orbits == orbit][0]), []).append(size)
    cell = Atoms(
        numbers=np.ones(len(group.positions), int),
        cell=group.cell,
        scaled_positions=group.positions,
        pbc=True,
    )
    block = cell.repeat(3)
    middle = slice(13 * len(cell), 14 * len(cell))
    offset = block.positions[middle, None] - block.positions
    length = np.linalg.norm(offset, axis=2)
    length[length < 1e-6] = np.inf
    bonds = float((length < BOND * length.min(axis=1, keepdims=True)).sum(axis=1).mean())
    found = structure_type(group.number, tuple(sizes.values()), bonds)
    return None if found is None else found.name


def _same_crystal(first: Crystal, second: Crystal) -> bool:
    if first.space_group != second.space_group or first.prototype != second.prototype:
        return False
    if first.known_as != second.known_as:
        return False
    volumes = [abs(np.linalg.det(one.group.primitive)) for one in (first, second)]
    sizes = [len(one.average.sites) for one in (first, second)]
    return bool(sizes[0] == sizes[1] and abs(np.log(volumes[0] / volumes[1])) < 0.1)


def _joined(
    grains: NDArray[np.int32], crystals: list[Crystal], neighbors: NDArray[np.int64]
) -> tuple[NDArray[np.int32], list[Crystal]]:
    """Fragments of one orientation made one grain, and grains numbered by size."""
    index = {one.number: row for row, one in enumerate(crystals)}
    edges = []
    for first, second in contacts(grains, neighbors):
        one, other = crystals[index[first]], crystals[index[second]]
        if _same_crystal(one, other):
            angle, _ = disorientation(
                one.group.orientation, other.group.orientation, one.group.rotations
            )
            if angle < ONE_GRAIN:
                edges.append((index[first], index[second]))
    total = len(crystals)
    pairs = np.array(edges, int).reshape(-1, 2)
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (total, total))
    _, part = connected_components(graph, directed=False)
    merged = []
    for number in np.unique(part):
        members = [crystals[row] for row in np.flatnonzero(part == number)]
        largest = max(members, key=lambda one: len(one.atoms))
        its = np.sort(np.concatenate([one.atoms for one in members]))
        merged.append(replace(largest, atoms=its))
    merged.sort(key=lambda one: (-len(one.atoms), int(one.atoms[0])))
    result = np.zeros(len(grains), np.int32)
    numbered = []
    for number, one in enumerate(merged, start=1):
        result[one.atoms] = number
        numbered.append(replace(one, number=number))
    return result, numbered


def _boundaries(
    grains: NDArray[np.int32], crystals: list[Crystal], neighbors: NDArray[np.int64]
) -> tuple[Boundary, ...]:
    result = []
    for (first, second), pairs in contacts(grains, neighbors).items():
        one, other = crystals[first - 1], crystals[second - 1]
        if not _same_crystal(one, other):
            unknown = (float("nan"),) * 3
            result.append(Boundary((first, second), pairs, float("nan"), unknown, 0, float("nan")))
            continue
        turns = one.group.orientation, other.group.orientation
        angle, axis = disorientation(*turns, one.group.rotations)
        cubic = one.space_group >= 195
        sigma, deviation = coincidence(*turns) if cubic else (0, float("nan"))
        x, y, z = (float(value) for value in axis)
        result.append(Boundary((first, second), pairs, angle, (x, y, z), sigma, deviation))
    result.sort(key=lambda each: (-each.pairs, each.grains))
    return tuple(result)
