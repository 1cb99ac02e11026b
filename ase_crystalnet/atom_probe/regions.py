"""Statistics of a region: composition, radial, nearest-neighbour and frequency distributions.

Each is compared with species at random on the same places, by permuting them, so that density
and the shape of the region do not matter. `proximity_histogram` counts composition by the distance
to a surface of one composition.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import binom, chi2

from ase_crystalnet._compute.types import Array
from ase_crystalnet.atom_probe.files.reconstruction import Reconstruction
from ase_crystalnet.atom_probe.order.composition import VoxelGrid
from ase_crystalnet.errors import InputError

__all__ = [
    "Compared",
    "composition",
    "frequency_distribution",
    "nearest_neighbors",
    "proximity_histogram",
    "radial_distribution",
]

#: Permutations that a distribution is compared with.
PERMUTATIONS = 20
#: Smoothing and voxels of the composition of which a surface is taken, Angstrom.
SMOOTHING, EDGE = 10.0, 5.0


@dataclass(frozen=True, eq=False)
class Compared:
    """A distribution, and that of species at random on the same places.

    Attributes
    ----------
    distance : (M,) array
        Middles of the bins, Angstrom, or numbers of ions of a block.
    value : (M,) array
    random, random_error : (M,) arrays
        Mean and standard deviation over permutations; of blocks, the binomial law and its.
    p_value : float
        Chance of so large a deviation anywhere; nan where it is not worked out.
    """

    distance: Array
    value: Array
    random: Array
    random_error: Array
    p_value: float = float("nan")


def composition(
    ions: Reconstruction, region: NDArray[np.bool_] | None = None
) -> dict[str, tuple[float, float, int]]:
    """Share of each element, its counting error, and the number of its atoms.

    Parameters
    ----------
    ions : Reconstruction
        Molecular ions are split; unranged ones do not count.
    region : (N,) bool array, optional
        Some of the ions.

    Notes
    -----
    The error of the share c of n atoms is sqrt(c (1 - c) / n); atoms of one molecule count as
    independent.
    """
    some = ions if region is None else ions.take(region)
    numbers: dict[str, int] = {}
    for ion, count in zip(some.ions, some.counts.tolist(), strict=True):
        for symbol, number in ion.composition or ((ion.name, 1),):
            numbers[symbol] = numbers.get(symbol, 0) + number * count
    total = max(sum(numbers.values()), 1)
    found = {}
    for symbol, number in sorted(numbers.items(), key=lambda item: -item[1]):
        share = number / total
        found[symbol] = share, float(np.sqrt(share * (1 - share) / total)), number
    return found


def radial_distribution(
    positions: NDArray[np.floating],
    chosen: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    reach: float = 50.0,
    step: float = 1.0,
    permutations: int = PERMUTATIONS,
) -> Compared:
    """Pairs of a species by their distance, over those that species at random would have.

    The partial radial distribution over that of all ions: 1 at random, whatever the density.

    Parameters
    ----------
    positions : (N, 3) array
        Of all ions that have a species, Angstrom.
    chosen : (N,) bool array
        Which are of the species.
    rng : numpy.random.Generator
        Of the permutations.
    reach, step : float
        Largest distance and width of the bins, Angstrom.
    permutations : int
    """
    points, chosen = _checked(positions, chosen)
    radii = np.arange(0.0, reach + step / 2, step)
    whole = cKDTree(points)
    every = np.diff(whole.count_neighbors(whole, radii))
    share = chosen.mean()

    def shares(mask: NDArray[np.bool_]) -> Array:
        own = cKDTree(points[mask])
        pairs = np.diff(own.count_neighbors(own, radii))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.asarray(pairs / (share**2 * every))

    middle = 0.5 * (radii[1:] + radii[:-1])
    # The first bin holds each ion itself.
    return _permuted(middle[1:], lambda mask: shares(mask)[1:], chosen, rng, permutations)


def nearest_neighbors(
    positions: NDArray[np.floating],
    chosen: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    order: int = 1,
    bins: int = 60,
    permutations: int = PERMUTATIONS,
) -> Compared:
    """Distances between ions of a species and their nearest ones of it, as a density.

    Parameters
    ----------
    positions, chosen, rng
        As of `radial_distribution`.
    order : int
        Which neighbour, from 1.
    bins, permutations : int
    """
    points, chosen = _checked(positions, chosen)
    if not 1 <= order < int(chosen.sum()):
        raise InputError(f"order={order!r}: expected a neighbour from 1 to {int(chosen.sum()) - 1}")

    def distances(mask: NDArray[np.bool_]) -> Array:
        some = points[mask]
        return np.asarray(cKDTree(some).query(some, k=[order + 1])[0][:, 0])

    largest = 1.05 * max(
        float(distances(chosen).max()), float(distances(rng.permutation(chosen)).max())
    )
    edges = np.linspace(0.0, largest, bins + 1)

    def density(mask: NDArray[np.bool_]) -> Array:
        return np.asarray(np.histogram(distances(mask), edges, density=True)[0])

    return _permuted(0.5 * (edges[1:] + edges[:-1]), density, chosen, rng, permutations)


def frequency_distribution(
    positions: NDArray[np.floating], chosen: NDArray[np.bool_], *, block: int = 100
) -> Compared:
    """How many blocks of so many ions hold 0, 1, 2, ... of a species, against a binomial law.

    Blocks are made by halving along the longest extent, until none can be halved.

    Parameters
    ----------
    positions : (N, 3) array
        Of all ions that have a species, Angstrom.
    chosen : (N,) bool array
    block : int
        Ions of a block; the last ones that fill none are left out.

    Returns
    -------
    Compared
        Its p-value is that of the index of dispersion (variance over that of the binomial law).
    """
    points, chosen = _checked(positions, chosen)
    if not 2 <= block <= len(points) // 2:
        raise InputError(f"block={block!r}: expected from 2 to half of the {len(points)} ions")
    counts = np.array([int(chosen[rows].sum()) for rows in _blocks(points, block)])
    share = float(counts.mean()) / block
    number = np.arange(block + 1)
    law = binom.pmf(number, block, share)
    observed = np.bincount(counts, minlength=block + 1)
    expected = len(counts) * law
    spread = max(block * share * (1 - share), 1e-12)
    dispersion = float(((counts - counts.mean()) ** 2).sum() / spread)
    p_value = float(chi2.sf(dispersion, max(len(counts) - 1, 1)))
    return Compared(number.astype(float), observed.astype(float), expected,
                    np.sqrt(expected * (1 - law)), p_value)  # fmt: skip


def proximity_histogram(
    ions: Reconstruction,
    element: str,
    share: float,
    *,
    reach: float = 50.0,
    step: float = 2.0,
) -> tuple[Array, dict[str, Array], NDArray[np.int64]]:
    """Composition by distance to the surface on which an element has a share (a proxigram).

    Parameters
    ----------
    ions : Reconstruction
    element : str
        Ions that hold it count.
    share : float
        Of the ranged ions, 0 to 1.
    reach, step : float
        Largest distance and width of the bins, Angstrom.

    Returns
    -------
    distance : (M,) array
        Angstrom, positive where the element is above the share.
    shares : dict of str to (M,) array
        Of each ion, by name; nan where a bin is empty.
    counts : (M,) int array
        Ranged ions in each bin.

    Raises
    ------
    InputError
        If there is no such element or surface, or scikit-image is not installed.

    Notes
    -----
    The surface is scikit-image's (marching cubes) of the composition smoothed by 1 nm.
    """
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise InputError("surfaces need a package: pip install ase-crystalnet[apt]") from error
    kinds = np.array([element == i.name or element in dict(i.composition) for i in ions.ions])
    if not kinds.any():
        raise InputError(f"surface: no ion of the ranges holds {element}")
    ranged = ions.take(ions.species >= 0)
    own = kinds[ranged.species]
    grid = VoxelGrid(ranged.positions, EDGE, margin=2 * EDGE)
    every = grid.total(None, SMOOTHING)
    some = grid.total(own.astype(np.float64), SMOOTHING)
    filled = every > 0.3 * float(np.median(grid.at_ions(every)))
    value = np.where(filled, some / np.maximum(every, 1e-12), np.nan).astype(np.float32)
    if not np.nanmin(value) < share < np.nanmax(value):
        raise InputError(
            f"surface: {element} has shares from {np.nanmin(value):.3f} to {np.nanmax(value):.3f}, "
            f"smoothed by 1 nm; none is {share:g}"
        )
    corners, faces, _, _ = marching_cubes(value, share)
    # Middles of the triangles as well: the nearest point of the mesh, to a fifth of a voxel.
    mesh = np.concatenate([corners, corners[faces].mean(axis=1)])
    mesh = mesh[np.isfinite(mesh).all(axis=1)]
    far = EDGE * cKDTree(mesh).query(grid.place, distance_upper_bound=reach / EDGE)[0]
    local = np.nan_to_num(grid.at_ions(np.nan_to_num(value)))
    signed = np.where(local > share, far, -far)
    edges = np.arange(-reach, reach + step / 2, step)
    inside = np.isfinite(signed)
    counts = np.histogram(signed[inside], edges)[0]
    shares = {}
    for number, ion in enumerate(ions.ions):
        mine = np.histogram(signed[inside & (ranged.species == number)], edges)[0]
        with np.errstate(invalid="ignore"):
            shares[ion.name] = np.where(counts > 0, mine / np.maximum(counts, 1), np.nan)
    return 0.5 * (edges[1:] + edges[:-1]), shares, counts


def _checked(
    positions: NDArray[np.floating], chosen: NDArray[np.bool_]
) -> tuple[Array, NDArray[np.bool_]]:
    points, mask = np.asarray(positions, np.float64), np.asarray(chosen, bool)
    if points.ndim != 2 or points.shape[1] != 3 or mask.shape != points.shape[:1]:
        raise InputError(
            f"expected positions (N, 3) and a mask (N,), got {points.shape} and {mask.shape}"
        )
    if mask.sum() < 2 or mask.all():
        raise InputError(f"{int(mask.sum())} of {len(mask)} ions are of the species; too few")
    return points, mask


def _permuted(
    distance: Array,
    value: Callable[[NDArray[np.bool_]], Array],
    chosen: NDArray[np.bool_],
    rng: np.random.Generator,
    permutations: int,
) -> Compared:
    """A distribution and its mean and deviation over permutations of the species."""
    drawn = np.array([value(rng.permutation(chosen)) for _ in range(permutations)])
    return Compared(distance, value(chosen), drawn.mean(axis=0), drawn.std(axis=0, ddof=1))


def _blocks(points: Array, block: int) -> list[NDArray[np.int64]]:
    """Rows of blocks of equal numbers, near each other."""
    todo, done = [np.arange(len(points))], []
    while todo:
        rows = todo.pop()
        if len(rows) < 2 * block:
            if len(rows) >= block:
                done.append(rows[:block])
            continue
        axis = int(np.ptp(points[rows], axis=0).argmax())
        half = (len(rows) // block // 2) * block
        rows = rows[np.argsort(points[rows, axis], kind="stable")]
        todo += [rows[:half], rows[half:]]
    return done
