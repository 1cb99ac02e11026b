"""Sites of an average crystal: where the atoms fold onto, and how far apart neighbours are."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.spatial import cKDTree

from ase_crystalnet._compute.types import Array
from ase_crystalnet.geometry.periodic import PeriodicSpace

__all__ = ["mean_sites", "typical_distance"]

#: Sites nearer to each other than this share of the nearest-neighbour distance are no sites.
LEAST_APART = 0.75
#: Places with a smaller share of a site's atoms are its tail, if they are nearer than a site is.
FEW = 0.35
#: Atoms belong to a site within this share of the nearest-neighbour distance.
SITE_RADIUS = 0.33


def typical_distance(atoms: Atoms, positions: Array) -> float:
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


def mean_sites(
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
