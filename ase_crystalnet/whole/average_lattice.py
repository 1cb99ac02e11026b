"""Average lattice of a whole structure, with its defects.

Three sources, in this order:

1. A periodic cell whose atoms have symmetry (spglib): the primitive lattice of its translations.
2. Any other periodic cell, such as a supercell with vacancies or displaced atoms: the lattice,
   commensurate with the cell, whose Bragg peaks hold the scattering. In a periodic cell S(q)
   lives on the cell's own reciprocal lattice, so its average lattice is a set of integers.
3. Finite or large structures: the average lattice of a window in the middle (`lattice`).
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.special import gammainccinv

from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError
from ase_crystalnet.geometry.periodic import PeriodicSpace
from ase_crystalnet.lattice.finder import LatticeFinder, minkowski_reduce
from ase_crystalnet.whole.sites import mean_sites, typical_distance

__all__ = ["NoLatticeError", "average_lattice"]
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
#: Chance that diffuse scattering alone makes a lattice finer.
ACCIDENT = 1e-6
#: Mean of S between the peaks of a random arrangement; a symmetric one has all but no noise.
MEAN_NOISE, SYMMETRIC_PEAK = 1.0, 0.1
#: Largest share of the atoms that may lie in such places.
MOST_MERGED = 0.1
#: Reflections looked at have |q| below this, per nearest-neighbour distance; about this many, if it
#: is the smaller number.
REACH, REFLECTIONS = 11.0, 8000


class NoLatticeError(InputError):
    """There is no lattice in the structure."""


def average_lattice(atoms: Atoms, positions: Array) -> Array:
    """Primitive lattice (3, 3) of a structure, vectors in rows, Angstrom.

    Raises
    ------
    NoLatticeError
        No lattice is found (finite and large structures only).
    InputError
        The structure is periodic in one or two directions only.
    """
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
    distance = typical_distance(atoms, positions)
    average: Array | None = None
    # What stands out of the noise, and of the diffuse scattering of phonons in large cells.
    peak = max(PEAK, PEAK_SHARE * count)
    if count >= MANY_ATOMS:
        average, complete = _by_scattering(cell, fractional, distance, peak)
        if average is not None and complete:
            return average
    primitive = None
    if count <= SYMMETRY_ATOMS:
        primitive = _by_symmetry(cell, fractional, atoms.numbers)
    if primitive is None:
        if average is None and count >= LEAST_ATOMS:
            average, _ = _by_scattering(cell, fractional, distance, peak)
        return cell if average is None else average
    primitive = _commensurate(primitive, cell)
    if _sites_of(primitive, cell, count) <= FEW_SITES or count < LEAST_ATOMS:
        return primitive
    average, _ = _by_scattering(cell, fractional, distance, SYMMETRIC_PEAK, WHOLLY)
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
    cell: Array, fractional: Array, distance: float, noise: float, least: float = EXPLAINED
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
    peaks = np.maximum(strength - noise, 0.0)
    # A cell of many sites spreads its scattering over many reflections: it repays little on each,
    # and is asked for less when no other is found.
    for penalty in PENALTIES:
        candidates.sort(key=lambda item: item[0] - penalty * item[1], reverse=True)
        found = _first_valid(
            candidates, penalty, points @ reduced, reduced, distance, hkl, peaks, least
        )
        if found is not None:
            if len(points) <= SYMMETRY_ATOMS:
                found = _finer(
                    found, candidates, points @ reduced, reduced, distance, hkl, strength
                )
            left = np.maximum(strength - MEAN_NOISE, 0.0)
            lit = _on_lattice(hkl, found[1])
            complete = bool(left[lit].sum() >= EXPLAINED * left.sum())
            return found[0], complete
    return None, False


def _finer(
    found: tuple[Array, NDArray[np.int64]],
    candidates: list[Candidate],
    positions: Array,
    reduced: Array,
    distance: float,
    hkl: NDArray[np.int64],
    strength: Array,
) -> tuple[Array, NDArray[np.int64]]:
    """A lattice of larger cells, where the reflections it adds are no accident.

    Long stackings spread what tells them from their average over many weak reflections. Diffuse
    scattering of defects has as many independent values as the larger cell has further atoms, so
    the more it has, the less their mean may exceed that of the others by accident.
    """
    best = found
    lit = _on_lattice(hkl, found[1])
    count, total = int(lit.sum()), float(strength[lit].sum())
    for its_total, its_count, basis in sorted(candidates, key=lambda item: item[1]):
        if its_count <= count:
            continue
        if its_count >= len(hkl) // 2:
            break
        added = its_count - count
        # Of a perfect crystal: rounding.
        diffuse = (float(strength.sum()) - its_total) / (len(hkl) - its_count)
        diffuse = max(diffuse, SYMMETRIC_PEAK)
        freedom = max(0.5 * len(positions) * added / len(hkl), 0.5)
        if its_total - total <= added * diffuse * gammainccinv(freedom, ACCIDENT) / freedom:
            continue
        whole = np.rint(basis).astype(np.int64)
        if not _on_lattice(hkl[lit], whole).all():
            continue
        lattice = minkowski_reduce((np.linalg.inv(basis).T @ reduced)[None])[0]
        if _sites_keep_apart(positions @ np.linalg.inv(lattice), lattice, distance):
            best, lit = (lattice, whole), _on_lattice(hkl, whole)
            count, total = its_count, its_total
    return best


def _first_valid(
    candidates: list[Candidate],
    penalty: float,
    positions: Array,
    reduced: Array,
    distance: float,
    hkl: NDArray[np.int64],
    peaks: Array,
    least: float,
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
        if explained < least * peaks.sum():
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
    _, site, merged = mean_sites(folded, lattice, distance, most=int(2 * per_cell) + 8)
    return len(site) > 0 and merged <= MOST_MERGED


def _reflections(
    cell: Array, points: Array, reach: float
) -> tuple[NDArray[np.int64], Array, Array]:
    """Indices (M, 3) of a half space of reflections within `reach`, S(q) and |q| of each."""
    from ase_crystalnet._compute.structure_factor import scattering  # compiled on first use

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
    from ase_crystalnet.windows.windower import Windower

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
