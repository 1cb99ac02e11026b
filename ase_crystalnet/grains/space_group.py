"""Space group of an average crystal, as a probability over groups; no tolerance is chosen.

Candidates are the groups formed by the operations that map the average crystal nearly onto itself,
from the most exact on, with species told apart more and less finely. Each is charged chi squared,
the lattice, sites and species made symmetric against the ones that were found, with their
covariance, and credited the logarithm of the number of coordinates for every parameter that it
saves (Bayesian information criterion, Schwarz 1978).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from ase_crystalnet._compute.symmetry import answer_of
from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError
from ase_crystalnet.grains.average_crystal import AverageCrystal
from ase_crystalnet.grains.operations import (
    Operations,
    generated_groups,
    near_operations,
    products_of,
    symmetric_sites,
)

__all__ = ["ELASTIC_STRAIN", "SpaceGroup", "find_space_group"]

#: Root mean square of the components of elastic strain that a grain among others is thought to
#: carry without being another crystal. Neighbours and dislocations strain grains by so much:
#: without it a nickel bicrystal in a box that is 1.4 % too long is tetragonal, as by its lattice it
#: is.
ELASTIC_STRAIN = 0.005
#: Elastic strains that a crystal on its own may carry, each decade as likely as another.
STRAINS = np.geomspace(1e-4, 0.02, 48)
#: Prior density of a free component of the metric is one over this: how far crystals whose sites
#: do not lower the symmetry are from the higher one (some tenths), how seldom there are such
#: crystals, and that the best of three axes of a cube or of four diagonals is looked at.
METRIC_WIDTH = 3.0

#: Tolerance handed to spglib for crystals that were made symmetric, nearest-neighbour distances.
NEARLY_EXACT = 2e-3
#: Differences of composition at which sites are told apart, one after the other.
CONTRASTS = (0.02, 0.08, 0.2, 0.45, 2.0)
#: Groups that are less probable are not listed.
LEAST_PROBABILITY = 1e-6
#: Of exact ones, when the symmetric crystal is described, in nearest-neighbour distances.
EXACT = 1e-3


@dataclass(frozen=True, eq=False)
class SpaceGroup:
    """Space group of a crystal, and the crystal in its standard setting.

    Attributes
    ----------
    number : int
        1 to 230.
    symbol : str
        International short symbol.
    probability : float
        Of this group against the others that were compared.
    probabilities : tuple of (int, float)
        Groups and their probabilities, the most probable first.
    higher : tuple of (int, float) or None
        The next higher group that the crystal nearly has, and what it would cost, in nats: the
        pseudosymmetry. None where there is none among the candidates.
    wyckoff : tuple of str
        Letter of each site of the standard cell.
    pearson : str
        Pearson symbol.
    cell : (3, 3) array
        Standardised conventional cell (spglib's convention), Angstrom.
    positions : (M, 3) array
        Fractional positions of its sites.
    parent_site : (M,) integer array
        Site of the average crystal that each is an image of.
    primitive : (3, 3) array
        Primitive cell in the axes of the standard cell.
    primitive_positions : (P, 3) array
    primitive_site : (P,) integer array
        Site of the average crystal each is an image of.
    orbits : (K,) integer array
        Number of the orbit of each site of the average crystal.
    rotations : (G, 3, 3) array
        Proper rotations of the Laue group, in Cartesian axes of the standard cell.
    orientation : (3, 3) array
        Rotation from the axes of the standard cell to those of the sample.
    strain : (3, 3) array
        Biot strain of the found lattice against the symmetric one, in the axes of the standard
        cell: the part of a strain that breaks the symmetry, and noise.
    """

    number: int
    symbol: str
    probability: float
    probabilities: tuple[tuple[int, float], ...]
    higher: tuple[int, float] | None
    wyckoff: tuple[str, ...]
    pearson: str
    cell: Array
    positions: Array
    parent_site: NDArray[np.int64]
    primitive: Array
    primitive_positions: Array
    primitive_site: NDArray[np.int64]
    orbits: NDArray[np.int64]
    rotations: Array
    orientation: Array
    strain: Array


@dataclass(frozen=True, eq=False)
class _Candidate:
    number: int
    order: int
    bic: float
    lattice: Array
    sites: Array
    labels: NDArray[np.int64]


def find_space_group(
    crystal: AverageCrystal, elastic_strain: float | None = None
) -> SpaceGroup | None:
    """Space group of an average crystal; None if spglib does not know its operations.

    Parameters
    ----------
    crystal : AverageCrystal
    elastic_strain : float, optional
        Root mean square of the components of a strain that is no change of symmetry; 0 takes the
        lattice as it is, to its errors. By default the lattice itself tells: strain has components
        of one size in any direction, a crystal of lower symmetry only those that its group leaves
        free (`_lattice_evidence`).

    Raises
    ------
    InputError
        The strain is negative.
    """
    if elastic_strain is not None and not elastic_strain >= 0:
        raise InputError(f"elastic_strain is {elastic_strain}; expected 0 or more")
    candidates = _candidates(crystal, elastic_strain)
    if not candidates:
        return None
    candidates.sort(key=lambda each: (each.bic, -each.order))
    least = candidates[0].bic
    weights: dict[int, float] = {}
    for each in candidates:
        weights[each.number] = max(weights.get(each.number, 0.0), np.exp(-(each.bic - least) / 2))
    total = sum(weights.values())
    ranked = sorted(((n, float(w / total)) for n, w in weights.items()), key=lambda x: -x[1])
    probabilities = tuple(x for x in ranked if x[1] >= LEAST_PROBABILITY)
    for best in candidates:
        described = _described(crystal, best)
        if described is not None:
            break
    else:
        return None
    above = [each for each in candidates if each.order > best.order and each.number != best.number]
    higher = None
    if above:
        nearest = min(above, key=lambda each: each.bic)
        higher = (nearest.number, float(nearest.bic - best.bic) / 2)
    number = described.pop("number")
    return SpaceGroup(
        number=number,
        probability=dict(ranked).get(number, 0.0),
        probabilities=probabilities,
        higher=higher,
        **described,
    )


# ---------------------------------------------------------------------- candidates
def _candidates(crystal: AverageCrystal, elastic_strain: float | None) -> list[_Candidate]:
    """Groups of operations that the crystal has nearly, from few to many."""
    usual = ELASTIC_STRAIN if elastic_strain is None else elastic_strain
    strain_variance = crystal.strain_variance + usual**2
    result: list[_Candidate] = []
    seen: set[bytes] = set()
    for labels in _labellings(crystal):
        every = near_operations(crystal, labels)
        products = products_of(every)
        site_error = float(np.sqrt((crystal.site_error**2).mean()))
        along, across = every.strain / np.sqrt(strain_variance), every.offset / site_error
        for measure in (np.hypot(along, across), along, across):
            order = np.argsort(measure, kind="stable")
            for rows in generated_groups(products, order):
                key = labels.tobytes() + rows.tobytes()
                if key in seen:
                    continue
                seen.add(key)
                tried = _tried(crystal, labels, every.those(rows), elastic_strain)
                if tried is not None:
                    result.append(tried)
    return result


def _labellings(crystal: AverageCrystal) -> list[NDArray[np.int64]]:
    """Labels of sites (K,), from the finest that composition and filling give to one for all."""
    count = len(crystal.sites)
    if count == 1:
        return [np.zeros(1, np.int64)]
    content = crystal.composition * crystal.filling[:, None]
    tree = linkage(pdist(content, "cityblock"), "average")
    result: list[NDArray[np.int64]] = []
    for contrast in CONTRASTS:
        labels = fcluster(tree, contrast, "distance")
        labels = np.unique(labels, return_inverse=True)[1]
        if not any(np.array_equal(labels, other) for other in result):
            result.append(labels)
    return result


def _tried(
    crystal: AverageCrystal,
    labels: NDArray[np.int64],
    operations: Operations,
    elastic_strain: float | None,
) -> _Candidate | None:
    """A group with its Bayesian information criterion; None if spglib does not know it."""
    import spglib

    rotations, count = operations.rotations, len(crystal.sites)
    sites = symmetric_sites(crystal.sites, operations)
    metric = crystal.lattice @ crystal.lattice.T
    averaged = np.mean(rotations.transpose(0, 2, 1) @ metric @ rotations, axis=0)
    lattice = _with_metric(crystal.lattice, averaged)
    given: Any = (lattice, sites, labels)
    try:
        found = spglib.get_symmetry_dataset(given, symprec=NEARLY_EXACT * crystal.spacing)
    except Exception:  # spglib's errors differ from version to version: "none found"
        return None
    if found is None or len(found.rotations) != len(rotations):
        return None
    # Strain from the symmetric metric to the found one.
    gradient = np.linalg.inv(np.linalg.cholesky(averaged)) @ np.linalg.cholesky(metric)
    strain = (gradient @ gradient.T - np.eye(3)) / 2
    # Trace of the action on symmetric tensors: the mean is the number of free components.
    traces = np.trace(rotations, axis1=1, axis2=2)
    squares = np.einsum("gij,gji->g", rotations, rotations)
    fixed_metric = 6.0 - float((traces**2 + squares).mean()) / 2
    square = float((strain**2).sum())
    if elastic_strain is None:
        chi, saved = -2 * _lattice_evidence(square, fixed_metric, crystal.strain_variance), 0.0
    else:
        chi, saved = square / (crystal.strain_variance + elastic_strain**2), fixed_metric
    moved = (crystal.sites - sites) @ crystal.lattice
    moved -= moved.mean(axis=0)
    chi += float((moved**2 / crystal.site_error[:, None] ** 2).sum())
    # The origin is no parameter: along polar axes it is free, elsewhere symmetry fixes it.
    fixed = (operations.images == np.arange(count)).sum(axis=1)
    saved += 3 * count - 3 + float(traces.mean()) - float((fixed * traces).mean())
    chemical = _chemical(crystal, operations.images)
    chi, saved = chi + chemical[0], saved + chemical[1]
    bic = chi - saved * np.log(3 * crystal.number_of_atoms)
    return _Candidate(int(found.number), len(rotations), bic, lattice, sites, labels)


def _lattice_evidence(square: float, fixed: float, variance: float) -> float:
    """Log likelihood of a metric under a group, against one all of whose components are free.

    The components that the group fixes differ from zero by noise and by an elastic strain of
    unknown size, the same for all of them; the others may be anything within `METRIC_WIDTH`. A
    crystal whose only deviation is one that a lower group leaves free, and whose other components
    are zero within the errors, is so of the lower group; one that is strained this way and that
    is of the higher.

    Parameters
    ----------
    square : float
        Sum of the squares of the components of the strain from the symmetric to the found metric.
    fixed : float
        Number of components that the group fixes, 0 to 5.
    variance : float
        Of a component of the mean strain, from noise.
    """
    total = variance + STRAINS**2
    terms = -0.5 * square / total - 0.5 * fixed * np.log(2 * np.pi * total / METRIC_WIDTH**2)
    return float(np.logaddexp.reduce(terms) - np.log(len(terms)))


def _chemical(crystal: AverageCrystal, images: NDArray[np.int64]) -> tuple[float, float]:
    """Chi squared and degrees of freedom of equal composition and filling on equivalent sites."""
    orbit = images.min(axis=0)
    filled = crystal.counts.sum(axis=1)
    chi, saved = 0.0, 0.0
    for number in np.unique(orbit):
        rows = np.flatnonzero(orbit == number)
        if len(rows) == 1:
            continue
        counts = crystal.counts[rows]
        overall = counts.sum(axis=0) / counts.sum()
        there = overall > 0
        expected = counts.sum(axis=1, keepdims=True) * overall[there]
        chi += float(((counts[:, there] - expected) ** 2 / np.maximum(expected, 0.5)).sum())
        saved += (len(rows) - 1) * (int(there.sum()) - 1)
        # Which sites at the edge of a region are counted is a matter of its shape.
        mean = float(filled[rows].mean())
        share = min(mean / max(filled.max(), 1), 1.0)
        variance = mean * share * (1 - share) + 0.25 * mean ** (4 / 3) + 1
        chi += float(((filled[rows] - mean) ** 2).sum()) / variance
        saved += len(rows) - 1
    return chi, saved


def _with_metric(lattice: Array, metric: Array) -> Array:
    """The lattice strained, without a rotation, to the metric."""
    root = np.linalg.cholesky(metric)
    # lattice . stretch has the metric when stretch^2 = inv(lattice) metric inv(lattice).T.
    square = np.linalg.inv(lattice) @ (root @ root.T) @ np.linalg.inv(lattice).T
    value, vector = np.linalg.eigh(square)
    return np.asarray(lattice @ (vector * np.sqrt(value)) @ vector.T)


# ---------------------------------------------------------------------- description
def _described(crystal: AverageCrystal, best: _Candidate) -> dict[str, Any] | None:
    """The symmetric crystal in its standard setting."""
    import spglib

    given: Any = (best.lattice, best.sites % 1.0, best.labels)
    try:
        found = spglib.get_symmetry_dataset(given, symprec=EXACT * crystal.spacing)
    except Exception:  # as above
        return None
    if found is None:
        return None
    cell = np.asarray(found.std_lattice)
    mapping = np.asarray(found.std_mapping_to_primitive)
    to_primitive = np.asarray(found.mapping_to_primitive)
    parent = np.array([np.flatnonzero(to_primitive == m)[0] for m in mapping])
    letters = tuple(found.wyckoffs[k] for k in parent)
    # Rows of the standard cell, rotated back: std = rotation . given.
    turn = np.asarray(found.std_rotation_matrix)
    gradient = np.linalg.solve(best.lattice, crystal.lattice)
    # Vectors of the standard cell as they lie in the sample: v . turn (rows), then the strain.
    rows = turn @ gradient
    u, _, vt = np.linalg.svd(rows.T)
    orientation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    stretch = orientation.T @ rows.T
    standard: Any = (cell, np.asarray(found.std_positions), np.asarray(found.std_types))
    primitive = answer_of(spglib.find_primitive, standard, symprec=EXACT * crystal.spacing)
    if primitive is None:
        return None
    frame, places = (np.asarray(each, np.float64) for each in primitive[:2])
    difference = (places @ frame)[:, None] @ np.linalg.inv(cell) - np.asarray(found.std_positions)
    difference -= np.rint(difference)
    origin = np.linalg.norm(difference @ cell, axis=2).argmin(axis=1)
    symmetry: Any = spglib.get_symmetry(standard, symprec=EXACT * crystal.spacing)
    kept: Array = np.asarray(symmetry["rotations"], np.float64)
    cartesian = cell.T @ kept @ np.linalg.inv(cell.T)
    determinant = np.linalg.det(cartesian)
    proper = np.unique(np.round(cartesian * determinant[:, None, None], 6) + 0.0, axis=0)
    return {
        "number": int(found.number),
        "symbol": str(found.international),
        "wyckoff": letters,
        "pearson": _pearson(int(found.number), str(found.international), len(mapping)),
        "cell": cell,
        "positions": np.asarray(found.std_positions),
        "parent_site": parent,
        "primitive": np.asarray(frame),
        "primitive_positions": np.asarray(places),
        "primitive_site": parent[origin],
        "orbits": np.asarray(found.crystallographic_orbits, np.int64),
        "rotations": proper,
        "orientation": orientation,
        "strain": (stretch + stretch.T) / 2 - np.eye(3),
    }


def _pearson(number: int, symbol: str, sites: int) -> str:
    """Pearson symbol; of rhombohedral crystals with the sites of the primitive cell (hR1)."""
    bounds = ((2, "a"), (15, "m"), (74, "o"), (142, "t"), (194, "h"), (230, "c"))
    family = next(letter for last, letter in bounds if number <= last)
    centring = symbol[0]
    if centring == "R":
        return f"hR{sites // 3}"
    return f"{family}{'S' if centring in 'ABC' else centring}{sites}"
