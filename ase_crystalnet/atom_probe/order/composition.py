"""Local share of a species at every ion: what composition is apart from the lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from ase_crystalnet._compute.types import Array
from ase_crystalnet.errors import InputError

__all__ = ["VoxelGrid", "local_share"]

#: Standard deviation over which a composition is taken, Angstrom. A superlattice of 3.6 Angstrom is
#: left out of it by exp(-(2 pi 6 / 3.6)^2 / 2); clusters and gradients wider than that are in it.
WIDTH = 6.0
#: Edge of the voxels, Angstrom, and the most of them.
EDGE, MOST = 2.5, 60_000_000


class VoxelGrid:
    """Sums over ions on a grid, smoothed with a Gaussian.

    Parameters
    ----------
    positions : (N, 3) array
        Angstrom.
    edge : float
        Of a voxel, Angstrom.
    margin : float
        Empty room around the ions, Angstrom.

    Raises
    ------
    InputError
        If the grid has too many voxels.
    """

    def __init__(self, positions: NDArray[np.floating], edge: float, margin: float = 0.0) -> None:
        self.edge = edge
        self.origin = positions.min(axis=0).astype(np.float64) - margin
        extent = positions.max(axis=0).astype(np.float64) + margin - self.origin
        self.shape = tuple(int(n) + 2 for n in extent / edge)
        if np.prod(self.shape, dtype=np.float64) > MOST:
            raise InputError(
                f"composition: voxels of {edge / 10:g} nm in {extent.max() / 10:.0f} nm are more "
                f"than {MOST:,}; take a part of the reconstruction"
            )
        self.place = ((positions - self.origin) / edge).astype(np.float32)
        self.cell = np.ravel_multi_index(
            tuple(np.rint(self.place).astype(np.int64).T), self.shape
        ).astype(np.int64)

    def total(self, weights: NDArray[np.floating] | None, width: float) -> NDArray[np.float32]:
        """Sum of weights (default: 1), smoothed by `width` Angstrom; per voxel."""
        size = int(np.prod(self.shape))
        image = np.bincount(self.cell, weights, minlength=size).astype(np.float32)
        return np.asarray(
            gaussian_filter(image.reshape(self.shape), width / self.edge, mode="constant")
        )

    def at_ions(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values (N,) of an image at the ions, linear between voxels."""
        return np.asarray(map_coordinates(image, self.place.T, order=1, output=np.float32))

    def centers(self, chosen: NDArray[np.int64]) -> Array:
        """Middles of voxels, by index (n, 3), Angstrom."""
        return np.asarray(self.origin + chosen * self.edge)


def local_share(
    positions: NDArray[np.floating], chosen: NDArray[np.bool_], width: float = WIDTH
) -> NDArray[np.float32]:
    """Share (N,) of the chosen ions among those around each ion, weighted by a Gaussian.

    Parameters
    ----------
    positions : (N, 3) array
        Angstrom.
    chosen : (N,) bool array
    width : float
        Standard deviation of the Gaussian, Angstrom.
    """
    grid = VoxelGrid(positions, EDGE)
    all_ions = grid.at_ions(grid.total(None, width))
    some = grid.at_ions(grid.total(chosen.astype(np.float64), width))
    share = np.clip(some / np.maximum(all_ions, 1e-12), 0.0, 1.0)
    return np.asarray(share, np.float32)
