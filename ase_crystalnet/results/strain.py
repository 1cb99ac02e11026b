"""Parts of the strain of lattices: change of shape and change of volume."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["VOIGT", "cell_volumes", "voigt", "volumetric", "von_mises"]

#: Components in the order of Voigt: xx, yy, zz, yz, xz, xy.
VOIGT = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def von_mises(strain: ArrayLike) -> NDArray[np.float64]:
    """Equivalent strain of von Mises: how far a shape has changed, whatever the volume.

    Parameters
    ----------
    strain : (..., 3, 3) array
        Symmetric.

    Returns
    -------
    (...) array
        sqrt(2/3 e:e) of the deviator e; of a uniaxial stretch without change of volume, the
        stretch. nan where the strain is.
    """
    full = np.asarray(strain, np.float64)
    trace = np.trace(full, axis1=-2, axis2=-1)[..., None, None]
    deviator = full - trace / 3 * np.eye(3)
    return np.asarray(np.sqrt(2 / 3 * (deviator**2).sum(axis=(-2, -1))))


def cell_volumes(
    lattice: NDArray[np.float64], superlattice: NDArray[np.integer]
) -> NDArray[np.float64]:
    """Volumes (W,) of the primitive cells that give the names, Angstrom^3; nan if unknown.

    Parameters
    ----------
    lattice : (W, 3, 3) array
        Angstrom.
    superlattice : (W,) integer array
        Cells of the parent in one of the lattice; 0 counts as 1.
    """
    with np.errstate(invalid="ignore"):  # unknown lattices
        volumes = np.abs(np.linalg.det(lattice))
    return np.asarray(volumes / np.maximum(superlattice, 1))


def volumetric(
    volumes: NDArray[np.float64], labels: NDArray[np.integer], known: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Change of volume (W,) against the median of the same structure; nan where not known.

    Parameters
    ----------
    volumes : (W,) array
    labels : (W,) integer array
    known : (W,) bool array
        Windows that have a strain.
    """
    out = np.full(len(volumes), np.nan, np.float32)
    known = known & np.isfinite(volumes) & (labels >= 0)
    for label in np.unique(labels[known]):
        rows = known & (labels == label)
        out[rows] = volumes[rows] / np.median(volumes[rows]) - 1
    return out


def voigt(strain: NDArray[np.floating]) -> NDArray[np.floating]:
    """Six components (..., 6) of symmetric tensors (..., 3, 3), in the order of `VOIGT`."""
    return np.stack([strain[..., i, j] for i, j in VOIGT], axis=-1)
