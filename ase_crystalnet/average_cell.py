"""Average crystal of a whole structure: its primitive lattice, its sites, its standard setting.

Three sources of the lattice, in this order:

1. A periodic cell whose atoms have symmetry (spglib): the primitive lattice of its translations.
2. Any other periodic cell, such as a supercell with vacancies or displaced atoms: the lattice,
   commensurate with the cell, whose Bragg peaks hold the scattering. In a periodic cell S(q)
   lives on the cell's own reciprocal lattice, so its average lattice is a set of integers.
3. Finite or large structures: the average lattice of a window in the middle (`lattice`).

The standard setting is the triclinic convention on the reduced cell: a along x, b in the xy plane,
right-handed. Nothing is symmetrised.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from ase_crystalnet.errors import InputError
from ase_crystalnet.lattice import LatticeFinder, minkowski_reduce
from ase_crystalnet.periodic import PeriodicSpace, validated_positions

__all__ = ["AverageCell", "NoLatticeError", "average_cell", "standard_bases"]

Array = NDArray[np.float64]
#: Sum of S over the reflections of a reciprocal lattice, their number, and its basis (rows).
Candidate = tuple[float, int, Array]

#: Distance within which spglib takes atoms for equivalent, Angstrom.
SYMPREC = 0.01
#: A random arrangement of atoms in a cell has at most inversion: fewer operations are no symmetry.
LEAST_OPERATIONS = 4
#: Largest cells, in atoms, searched for symmetry, and for commensurate lattices.
SYMMETRY_ATOMS, COMMENSURATE_ATOMS = 512, 4096
#: Weight S that a reflection predicted by a lattice must repay on average (see `LatticeFinder`). In
#: a periodic cell the diffuse scattering of vacancies repeats from zone to zone, so one strong
#: fluctuation is seen many times over.
PENALTIES = (5.0, 1.5)
#: Symmetric cells of so few atoms are primitive beyond doubt; cells of fewer have no average.
FEW_SITES, LEAST_ATOMS = 4, 24
#: Larger cells are looked at by their scattering before their symmetry.
MANY_ATOMS = 64
#: Least share of the scattering that is Bragg peaks, for a cell to be a supercell.
LEAST_BRAGG = 0.1
#: Candidates for the lattice whose sites are looked at, and the largest divisor of a cell's vector.
CANDIDATES, LARGEST_DIVISOR = 24, 10
#: Reflections above this S, or this share of N, are peaks; so much of them a lattice must explain.
PEAK, PEAK_SHARE, EXPLAINED, WHOLLY = 12.0, 0.03, 0.8, 0.99
#: A symmetric structure has no noise but that of a few defects.
SYMMETRIC_PEAK = 1.0
#: Sites nearer to each other than this share of the nearest-neighbour distance are no sites.
LEAST_APART = 0.75
#: Places with a smaller share of a site's atoms are its tail, if they are nearer than a site is.
FEW = 0.35
#: Largest share of the atoms that may lie in such places.
MOST_MERGED = 0.1
#: Reflections looked at have |q| below this, per nearest-neighbour distance; about this many, if it
#: is the smaller number.
REACH, REFLECTIONS = 11.0, 8000
#: Vectors this much longer than the shortest count as equally short.
EQUAL_LENGTH = 0.02
#: Atoms belong to a site within this share of the nearest-neighbour distance.
SITE_RADIUS = 0.33


class NoLatticeError(InputError):
    """There is no lattice in the structure."""


@dataclass(frozen=True, eq=False)
class AverageCell:
    """Primitive cell of the average crystal in the standard setting.

    Attributes
    ----------
    lattice : (3, 3) array
        Vectors in rows, Angstrom: the first along x, the second in the xy plane, right-handed.
    frame : (3, 3) array
        Rotation into the standard setting: ``positions @ frame.T``.
    sites : (n, 3) array
        Mean positions, fractional, in the half-open cell that begins at 0; the faces of the cell
        are as far from the sites as they can be.
    numbers : (n,) int array
        Commonest species of each site.
    atoms : (n,) int array
        Atoms of the structure on each site.
    origin : (3,) array
        Of the cell, fractional, in the frame of the structure turned by `frame`.
    """

    lattice: Array
    frame: Array
    sites: Array
    numbers: NDArray[np.int64]
    atoms: NDArray[np.int64]
    origin: Array

    @property
    def nearest_neighbor_distance(self) -> float:
        """Average nearest-neighbour distance of the average crystal, Angstrom.

        The mean over atoms of the distance to the nearest neighbour, expected when the sites are
        occupied at random by their relative occupancies. Unlike the mean over the displaced atoms
        it is not shortened by noise, nor lengthened by vacancies that all sites share.
        """
        # Sites with too few atoms by no more than chance are as full as the others.
        counts = self.atoms + 2 * np.sqrt(self.atoms)
        occupancies = np.minimum(counts / self.atoms.max(), 1.0)
        steps = np.array(list(product((-2, -1, 0, 1, 2), repeat=3)))
        total = weight = 0.0
        for site, occupancy in zip(self.sites, occupancies, strict=True):
            difference = (self.sites - site)[:, None] + steps
            lengths = np.linalg.norm(difference @ self.lattice, axis=-1).ravel()
            chance = np.repeat(occupancies, len(steps))
            order = np.argsort(lengths, kind="stable")[1:65]  # the first is the site itself
            lengths, chance = lengths[order], chance[order]
            first = chance * np.concatenate([[1.0], np.cumprod(1 - chance)[:-1]])
            total += occupancy * float((first * lengths).sum() / first.sum())
            weight += occupancy
        return total / weight


def average_cell(atoms: Atoms, lattice: Array | None = None) -> AverageCell:
    """Average crystal of a structure.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic in all directions, or finite. Defects are averaged out.
    lattice : (3, 3) array, optional
        Lattice of the cell wanted, rows, Angstrom; by default the primitive one is found.

    Raises
    ------
    NoLatticeError
        No lattice is found (finite and large structures only).
    InputError
        The structure is periodic in one or two directions only.
    """
    positions = validated_positions(atoms)
    bases = standard_bases(_lattice(atoms, positions) if lattice is None else lattice)
    if atoms.pbc.all():
        # Of equal settings the one along the vectors given: a supercell is then a block of cells.
        whole = np.abs(atoms.cell.array @ np.linalg.inv(bases))
        bases = bases[
            np.argsort(whole.sum(axis=(1, 2)) - np.trace(whole, axis1=1, axis2=2), kind="stable")
        ]
    return _settle(positions, atoms.numbers, bases, _typical_distance(atoms, positions))


# ---------------------------------------------------------------------- lattice
def _lattice(atoms: Atoms, positions: Array) -> Array:
    if not atoms.pbc.all():
        if atoms.pbc.any():
            raise InputError(
                f"pbc is {atoms.pbc.tolist()}: a whole structure is classified when it is "
                "periodic in all directions or in none; use a model of windows for slabs and wires"
            )
        return _by_window(atoms, positions)
    cell = PeriodicSpace.of(atoms).basis
    count = len(atoms)
    fractional = positions @ np.linalg.inv(cell)
    if count > COMMENSURATE_ATOMS:
        return _by_window(atoms, positions)
    distance = _typical_distance(atoms, positions)
    average: Array | None = None
    if count >= MANY_ATOMS:
        average, complete = _by_scattering(cell, fractional, distance, PEAK)
        if average is not None and complete:
            return average
    primitive = None
    if count <= SYMMETRY_ATOMS:
        primitive = _by_symmetry(cell, fractional, atoms.numbers)
    if primitive is None:
        if average is None and count >= LEAST_ATOMS:
            average, _ = _by_scattering(cell, fractional, distance, PEAK)
        return cell if average is None else average
    primitive = _commensurate(primitive, cell)
    if _sites_of(primitive, cell, count) <= FEW_SITES or count < LEAST_ATOMS:
        return primitive
    average, _ = _by_scattering(cell, fractional, distance, SYMMETRIC_PEAK)
    if average is None:
        return primitive
    # A few vacancies in a supercell may lie symmetrically; its average lattice is much finer.
    ratio = _sites_of(primitive, cell, count) / _sites_of(average, cell, count)
    return average if ratio > 3 else primitive


def _sites_of(lattice: Array, cell: Array, count: int) -> float:
    """Mean number of atoms in a cell of the lattice."""
    return float(count * abs(np.linalg.det(lattice) / np.linalg.det(cell)))


def _by_symmetry(cell: Array, fractional: Array, numbers: NDArray[np.int64]) -> Array | None:
    """Primitive lattice by spglib, or None where there is no symmetry to speak of."""
    import spglib

    given: Any = (cell, fractional, numbers)
    try:
        found = spglib.get_symmetry(given, symprec=SYMPREC)
        if found is None:
            return None
        # Centring translations multiply the operations; what is left is the point group's order.
        identity = (found["rotations"] == np.eye(3, dtype=int)).all(axis=(1, 2))
        centrings = max(int(identity.sum()), 1)
        if len(identity) // centrings < LEAST_OPERATIONS:
            return None
        if centrings == 1:
            return cell
        primitive = spglib.standardize_cell(
            given, to_primitive=True, no_idealize=True, symprec=SYMPREC
        )
    except Exception:  # spglib's own errors differ from version to version; all mean "none found"
        return None
    return None if primitive is None else np.array(primitive[0], float)


def _commensurate(lattice: Array, cell: Array) -> Array:
    """The lattice strained a little, so that the cell's vectors are whole numbers of its own."""
    whole = np.rint(cell @ np.linalg.inv(lattice))
    if abs(np.linalg.det(whole)) < 0.5:
        return lattice
    return np.asarray(np.linalg.solve(whole, cell), np.float64)


def _by_scattering(
    cell: Array, fractional: Array, distance: float, noise: float
) -> tuple[Array | None, bool]:
    """Average lattice, commensurate with the cell, from S(q) on its reciprocal lattice.

    Of the lattices whose sites keep their distance, the one whose reflections hold the most; None
    if there is none. Also whether it leaves nothing that stands out of the mean of the noise.
    """
    reduced = minkowski_reduce(cell[None])[0]
    whole = np.rint(reduced @ np.linalg.inv(cell))
    points = fractional @ np.linalg.inv(whole)
    volume = abs(np.linalg.det(cell))
    # Vacancies and open structures make the density a poor measure of how far peaks reach.
    most = (12 * np.pi**2 * REFLECTIONS / volume) ** (1 / 3)
    reach = max(REACH * (len(points) / volume) ** (1 / 3), min(REACH / distance, most))
    hkl, strength, length = _reflections(reduced, points, reach)
    candidates = _grown(hkl, strength, length) + _divided(hkl, strength, whole)
    # What stands out of the noise, and of the diffuse scattering of phonons in large cells.
    peaks = np.maximum(strength - max(noise, PEAK_SHARE * len(points)), 0.0)
    # A cell of many sites spreads its scattering over many reflections: it repays little on each,
    # and is asked for less when no other is found.
    for penalty in PENALTIES:
        candidates.sort(key=lambda item: item[0] - penalty * item[1], reverse=True)
        found = _first_valid(candidates, penalty, points @ reduced, reduced, distance, hkl, peaks)
        if found is not None:
            left = np.maximum(strength - SYMMETRIC_PEAK, 0.0)
            lit = _on_lattice(hkl, found[1])
            complete = bool(left[lit].sum() >= EXPLAINED * left.sum())
            return found[0], complete
    return None, False


def _first_valid(
    candidates: list[Candidate],
    penalty: float,
    positions: Array,
    reduced: Array,
    distance: float,
    hkl: NDArray[np.int64],
    peaks: Array,
) -> tuple[Array, NDArray[np.int64]] | None:
    """The first lattice that leaves no peaks unexplained and whose sites keep apart."""
    seen: set[bytes] = set()
    for total, count, basis in candidates:
        if total <= penalty * count or len(seen) >= CANDIDATES:
            break
        # Reciprocal lattice vectors are basis @ inv(reduced).T; the direct lattice is dual to it.
        lattice = minkowski_reduce((np.linalg.inv(basis).T @ reduced)[None])[0]
        key = np.rint(np.sort(np.linalg.norm(lattice, axis=1)) * 1e4).tobytes()
        if key in seen:
            continue
        seen.add(key)
        whole = np.rint(basis).astype(np.int64)
        explained = peaks[_on_lattice(hkl, whole)].sum()
        if explained < EXPLAINED * peaks.sum():
            continue
        # Hot crystals: their sites are blurred, but their peaks leave no doubt.
        if explained > WHOLLY * peaks.sum() > 0 and penalty == max(PENALTIES):
            return lattice, whole
        if _sites_keep_apart(positions @ np.linalg.inv(lattice), lattice, distance):
            return lattice, whole
    return None


def _grown(hkl: NDArray[np.int64], strength: Array, length: Array) -> list[Candidate]:
    """Reciprocal lattices spanned by more and more of the strongest reflections."""
    # The strongest may all be equal and in one plane: among equals the shortest come first.
    order = np.argsort(-strength * (1 - 0.5 * (length / length.max()) ** 2), kind="stable")[:512]
    found = []
    basis = np.zeros((3, 3), np.int64)
    for index in order:
        trial = _extended(basis, hkl[index])
        if trial is None:
            continue
        basis = trial
        determinant = round(abs(float(np.linalg.det(basis))))
        if determinant > 0:
            lit = _on_lattice(hkl, basis)
            found.append((float(strength[lit].sum()), int(lit.sum()), basis.astype(float)))
            if determinant == 1:
                break
    return found


def _divided(hkl: NDArray[np.int64], strength: Array, whole: Array) -> list[Candidate]:
    """Reciprocal lattices of the given cell's vectors divided by whole numbers."""
    given = np.rint(hkl @ np.linalg.inv(whole).T).astype(np.int64)
    multiple: list[list[tuple[int, NDArray[np.bool_]]]] = []
    for axis in range(3):
        kept = []
        for n in range(1, LARGEST_DIVISOR + 1):
            lit = given[:, axis] % n == 0
            # The mean over all reflections is 1; Bragg peaks are n times as dense on these.
            if n == 1 or (lit.any() and strength[lit].mean() > 1 + LEAST_BRAGG * (n - 1)):
                kept.append((n, lit))
        multiple.append(kept)
    found = []
    for (i, first), (j, second), (k, third) in product(*multiple):
        lit = first & second & third
        total, count = float(strength[lit].sum()), int(lit.sum())
        if i * j * k > 1 and total > min(PENALTIES) * count:
            # Rows: n_i times the reciprocal vectors of the given cell, in reduced indices.
            found.append((total, count, np.diag([i, j, k]).astype(float) @ whole.T))
    return found


def _sites_keep_apart(folded: Array, lattice: Array, distance: float) -> bool:
    """Whether the atoms fold onto sites, and not onto places too near to be sites of their own."""
    per_cell = abs(np.linalg.det(lattice)) / distance**3
    _, site, merged = _sites(folded, lattice, distance, most=int(2 * per_cell) + 8)
    return len(site) > 0 and merged <= MOST_MERGED


def _reflections(
    cell: Array, points: Array, reach: float
) -> tuple[NDArray[np.int64], Array, Array]:
    """Indices (M, 3) of a half space of reflections within `reach`, S(q) and |q| of each."""
    from ase_crystalnet._kernels.exact import scattering  # compiled on first use

    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    limit = np.floor(reach * np.linalg.norm(cell, axis=1) / (2 * np.pi)).astype(int)
    first = np.arange(0, limit[0] + 1)
    others = (np.arange(-n, n + 1) for n in limit[1:])
    hkl = np.stack(np.meshgrid(first, *others, indexing="ij"), -1).reshape(-1, 3)
    length = np.linalg.norm(hkl @ reciprocal, axis=1)
    h, k, m = hkl.T
    half = (h > 0) | ((h == 0) & ((k > 0) | ((k == 0) & (m > 0))))
    chosen = (length < reach) & half
    hkl = np.ascontiguousarray(hkl[chosen])
    phases = 2 * np.pi * (points - np.floor(points))
    strength = scattering(hkl.astype(np.float32), np.require(phases.T, np.float32, ["C"]))
    return hkl, strength.astype(np.float64), length[chosen]


def _extended(basis: NDArray[np.int64], vector: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Basis (echelon form, rows) of the integer lattice that also holds `vector`; None if it did.

    Euclid's algorithm on rows.
    """
    rows = basis.copy()
    vector = vector.copy()
    changed = False
    for column in range(3):
        while vector[column]:
            if rows[column, column] == 0:
                rows[column] = vector
                return rows
            vector = vector - (vector[column] // rows[column, column]) * rows[column]
            if vector[column]:
                rows[column], vector = vector.copy(), rows[column].copy()
                changed = True
    return rows if changed else None


def _on_lattice(hkl: NDArray[np.int64], basis: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which reflections are whole numbers of the basis (rows)."""
    determinant = round(abs(float(np.linalg.det(basis))))
    adjugate = np.rint(np.linalg.inv(basis.astype(float)) * determinant).astype(np.int64)
    result: NDArray[np.bool_] = ((hkl @ adjugate) % determinant == 0).all(axis=1)
    return result


def _by_window(atoms: Atoms, positions: Array) -> Array:
    from ase_crystalnet.windows import Windower

    prepared = Windower(on_sparse="refuse").prepare(atoms)
    middle = 0.5 * (positions.min(axis=0) + positions.max(axis=0))
    if atoms.pbc.all():
        middle = atoms.cell.array.sum(axis=0) / 2
    batch = next(iter(prepared.batches(middle[None], 1)))
    found = LatticeFinder()(batch.positions, batch.mask)
    if batch.sparse[0] or found.rank[0] < 3:
        raise NoLatticeError(
            f"no lattice was found in the middle of the structure ({len(atoms)} atoms); a whole "
            "structure is classified by its lattice, use windows (mode='local') instead"
        )
    return found.lattice[0]


# ---------------------------------------------------------------------- standard setting
def standard_bases(lattice: Array) -> Array:
    """Reduced bases (K, 3, 3) of a lattice that the triclinic convention cannot tell apart.

    Of the bases whose vectors are as short as they can be (within 2 %), those with the most acute
    angles, between the shorter vectors first: for fcc the rhombohedral cell with angles of 60
    degrees. They are right-handed and differ by rotations of the lattice.

    Parameters
    ----------
    lattice : (3, 3) array
        Vectors in rows.
    """
    reduced = minkowski_reduce(lattice[None])[0]
    steps = np.array([s for s in product((-1, 0, 1), repeat=3) if any(s)])
    vectors = steps @ reduced
    lengths = np.linalg.norm(vectors, axis=1)
    shortest = np.linalg.norm(reduced, axis=1)
    choices = [np.flatnonzero(lengths < (1 + EQUAL_LENGTH) * s) for s in shortest]
    index = np.stack(np.meshgrid(*choices, indexing="ij"), -1).reshape(-1, 3)
    index = index[np.rint(np.linalg.det(steps[index])) == 1]
    bases = vectors[index]
    unit = bases / lengths[index][..., None]
    cosines = [(unit[:, i] * unit[:, j]).sum(axis=1) for i, j in ((0, 1), (0, 2), (1, 2))]
    score = 4 * cosines[0] + 2 * cosines[1] + cosines[2]
    result: Array = bases[score > score.max() - 1e-3]
    return result


def _frame(basis: Array) -> Array:
    x = basis[0] / np.linalg.norm(basis[0])
    z = np.cross(basis[0], basis[1])
    z /= np.linalg.norm(z)
    return np.stack([x, np.cross(z, x), z])


def _typical_distance(atoms: Atoms, positions: Array) -> float:
    """First maximum of the pair distribution, Angstrom; noise and vacancies leave it in place."""
    if atoms.pbc.all():
        space = PeriodicSpace.of(atoms)
        wrapped = space.wrap(positions)
        depth = 2.2 * (abs(np.linalg.det(space.basis)) / len(positions)) ** (1 / 3)
        everywhere, _ = space.with_ghosts(wrapped, depth)
    else:
        wrapped = everywhere = positions
    some = wrapped[:: max(1, len(wrapped) // 500)]
    nearest = cKDTree(everywhere).query(some, k=min(25, len(everywhere)))[0][:, 1:]
    lengths = nearest[np.isfinite(nearest)]
    shortest = float(np.quantile(nearest[:, 0][np.isfinite(nearest[:, 0])], 0.1))
    # Blurred by a tenth, on a logarithmic scale, which is what 1 / r^3 belongs to.
    edges = np.arange(-0.5, 1.5, 0.01)
    counts = np.histogram(np.log(lengths / shortest), edges, weights=lengths**-3.0)[0]
    density = gaussian_filter1d(counts, 7.0, mode="constant")
    inner = density[1:-1]
    peaks = 1 + np.flatnonzero((inner >= density[:-2]) & (inner > density[2:]))
    high = peaks[density[peaks] > 0.4 * density[peaks].max()]
    near = np.abs(np.log(lengths / shortest) - edges[high[0]]) < 0.1
    return float(np.median(lengths[near]))


def _settle(
    positions: Array, numbers: NDArray[np.int64], bases: Array, distance: float
) -> AverageCell:
    """Find the sites, and the setting in which their coordinates come first in order."""
    folded = positions @ np.linalg.inv(bases[0])
    means, site, _ = _sites(folded, bases[0], distance)
    counts = np.bincount(site, minlength=len(means))
    species = np.array([np.bincount(numbers[site == s]).argmax() for s in range(len(means))])
    best: tuple[Array, Array, Array, Array] | None = None
    # Settings of symmetric crystals differ in nothing; in others the first in order is taken.
    for basis in bases if 1 < len(means) <= 400 / len(bases) else bases[:1]:
        fractional = means @ bases[0] @ np.linalg.inv(basis)
        for origin in _origins(fractional):
            inside = (fractional - origin) % 1.0
            order = np.lexsort(np.rint(inside.T[::-1] * 1e3))
            key = np.rint(inside[order] * 1e3).ravel()
            if best is None or _before(key, best[0]):
                best = key, basis, origin, inside
    assert best is not None
    _, basis, origin, inside = best
    frame = _frame(basis)
    return AverageCell(
        lattice=basis @ frame.T,
        frame=frame,
        sites=inside,
        numbers=species,
        atoms=counts,
        origin=origin,
    )


def _before(first: Array, second: Array) -> bool:
    different = np.flatnonzero(np.abs(first - second) > 1.5)
    return bool(len(different)) and bool(first[different[0]] < second[different[0]])


def _sites(
    folded: Array, basis: Array, distance: float, most: int | None = None
) -> tuple[Array, NDArray[np.int64], float]:
    """Mean fractional positions of the sites that atoms fold onto, and the site of each atom.

    Places too near to a fuller one are no sites: their atoms (the third result is the share) are
    displaced far, or the lattice is wrong. Empty if there are more places than `most`.
    """
    centers: list[Array] = []
    counts: list[int] = []
    left = np.arange(len(folded))
    while len(left):
        center = folded[left[0]]
        inside = np.zeros(len(left), bool)
        for _ in range(3):
            offset = folded[left] - center
            offset -= np.rint(offset)
            inside = np.linalg.norm(offset @ basis, axis=1) < SITE_RADIUS * distance
            if not inside.any():
                break
            center = center + offset[inside].mean(axis=0)
        inside[0] = True  # an atom that is alone is a place of its own
        centers.append(center % 1.0)
        counts.append(int(inside.sum()))
        left = left[~inside]
        if most is not None and len(centers) > most:
            return np.empty((0, 3)), np.empty(0, np.int64), 1.0
    places, filled = np.array(centers), np.array(counts)
    order = np.argsort(-filled, kind="stable")
    kept: list[int] = []
    for place in order:
        offset = places[kept] - places[place]
        offset -= np.rint(offset)
        # A place with few atoms may be the tail of a blurred site and must be the farther away.
        least = np.where(filled[place] < FEW * filled[kept], 1 - SITE_RADIUS / 4, LEAST_APART)
        if (np.linalg.norm(offset @ basis, axis=1) >= least * distance).all():
            kept.append(int(place))
    merged = 1.0 - filled[kept].sum() / len(folded)
    sites = places[sorted(kept)]
    nearest = np.empty(len(folded), np.int64)
    shift = np.empty_like(folded)
    for start in range(0, len(folded), 512):
        rows = slice(start, start + 512)
        offset = folded[rows, None] - sites
        offset -= np.rint(offset)
        nearest[rows] = np.linalg.norm(offset @ basis, axis=-1).argmin(axis=1)
        shift[rows] = offset[np.arange(len(offset)), nearest[rows]]
    used, nearest = np.unique(nearest, return_inverse=True)
    means = np.array([sites[u] + shift[nearest == i].mean(axis=0) for i, u in enumerate(used)])
    return means % 1.0, nearest, float(merged)


def _origins(fractional: Array) -> list[Array]:
    """Corners of the cell whose faces are farthest from the sites; several where that is a tie."""
    faces = []
    for coordinate in fractional.T:
        ordered = np.sort(coordinate % 1.0)
        gaps = np.diff(np.append(ordered, ordered[0] + 1.0))
        widest = np.flatnonzero(gaps > gaps.max() - 1e-3)[:4]
        faces.append((ordered[widest] + gaps[widest] / 2) % 1.0)
    return [np.array(corner) for corner in product(*faces)]
