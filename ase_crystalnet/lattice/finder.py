"""Average reciprocal lattice of a window: order, reduced cell, standard frame, Debye-Waller.

The Bragg peaks of a window span the reciprocal lattice of its *primitive* cell, whatever the
motif, so the cell found from them, and the frame tied to it, make everything that follows
independent of the window's orientation. Displacements dim the peaks and vacancies add a flat
background; neither moves them. Real-space neighbours have none of these properties.

Method: |sum_j exp(-i q.x_j)|^2 / N on a grid of half-integer points, local maxima refined by
Newton steps with the window's own spot shape, the triple of peaks with the largest evidence as
basis, superlattice peaks added to it, least squares on all predicted reflections, Minkowski
reduction.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.batches import first_atoms, per_atom
from ase_crystalnet._compute.threads import share

__all__ = ["LatticeFinder", "Lattices", "minkowski_reduce", "standard_frame"]

#: Cube root of the primitive volume in nearest-neighbour distances, taken where there is no
#: lattice: that of a dense random packing (0.95; 0.89 in fcc, 1.15 in diamond).
SCALE_WITHOUT_LATTICE = 0.95


@dataclass(frozen=True, eq=False)
class Lattices:
    """Lattices of B windows.

    What each quantity means, its range and where it can mislead: see docs/glossary.md.

    Attributes
    ----------
    lattice : (B, 3, 3) float64 array
        Reduced average lattice, vectors in rows, Angstrom; nan if unknown.
    frame : (B, 3, 3) float64 array
        Proper rotation into the standard frame: ``positions @ frame.T``.
    scale : (B,) float64 array
        Length that positions are divided by, Angstrom.
    order : (B,) float64 array
        Bragg order.
    rank : (B,) int8 array
        0 nothing, 1 planes, 2 rods, 3 lattice.
    mean_square_displacement : (B,) float64 array
        Per Cartesian component, Angstrom^2; nan without a lattice.
    nearest_neighbor_distance : (B,) float64 array
        Angstrom.
    coherence : (B,) float64 array
        Whether the centre belongs to the crystal that the window shows; nan without a lattice.
    """

    lattice: NDArray[np.float64]
    frame: NDArray[np.float64]
    scale: NDArray[np.float64]
    order: NDArray[np.float64]
    rank: NDArray[np.int8]
    mean_square_displacement: NDArray[np.float64]
    nearest_neighbor_distance: NDArray[np.float64]
    coherence: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.rank)

    def some(self, rows: NDArray[np.intp] | NDArray[np.bool_]) -> Lattices:
        """Those of some of the windows."""
        return Lattices(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def standardize(self, positions: NDArray[np.float32]) -> NDArray[np.float32]:
        """Positions (B, N, 3) turned into the standard frame and divided by the scale."""
        turn = (self.frame / self.scale[:, None, None]).astype(np.float32)
        result: NDArray[np.float32] = np.matmul(positions, turn.transpose(0, 2, 1))
        return result


@dataclass(frozen=True)
class LatticeFinder:
    """Parameters of the search for lattices; call it on windows.

    Parameters
    ----------
    penalty : float
        Weight S that a reflection predicted by a cell must repay on average; 1 is the mean of the
        noise.
    tolerance : float
        Distance, in steps of the map (about the radius of a spot), within which a cell indexes a
        peak.
    polishing : int
        Least-squares iterations on all predicted reflections.
    least_order : float
        Order below which peaks may be a liquid's and no lattice is reported.
    shaped_order : float
        Order from which on misfits of peaks count by the window's shape; above 1 they never do.
        Where half of the atoms are missing and the others blurred, noise moves peaks more.
    """

    penalty: float = 1.5
    tolerance: float = 0.9
    polishing: int = 2
    least_order: float = 0.12
    shaped_order: float = 0.3

    def __call__(
        self,
        positions: NDArray[np.float32],
        mask: NDArray[np.bool_],
        weights: NDArray[np.float32] | None = None,
        *,
        threads: int | None = None,
    ) -> Lattices:
        """Average lattice of each window.

        Parameters
        ----------
        positions : (B, N, 3) array
            Angstrom.
        mask : (B, N) bool array
            True for atoms, which come first in each row.
        weights : (B, N) array, optional
            Weight of each atom (a taper); 1 by default.
        threads : int, optional
            Threads to share the windows; default: numba's number (``NUMBA_NUM_THREADS``).

        Raises
        ------
        InputError
            If the shapes do not fit, or atoms do not come first in their rows.
        """
        from ase_crystalnet.lattice._kernels.window import FOUND, batch  # compiled on first use

        positions, counts = first_atoms(positions, mask)
        weights = per_atom("weights", weights, positions.shape[:2], np.float32, 1)
        total = len(positions)
        # The farthest atom stands for the radius: a ball of 40 atoms or more comes that near.
        radius = np.sqrt(np.einsum("bni,bni->bn", positions, positions).max(axis=1, initial=1e-6))
        spacing = np.zeros(total)
        basis = np.zeros((total, 3, 3))
        found = np.zeros(total, np.int64)
        info = np.zeros(total, FOUND)
        if total:
            weights = np.ascontiguousarray(weights, np.float32)
            fit = (self.penalty, self.tolerance, self.polishing)
            constants = (*fit, self.least_order, self.shaped_order)

            def part(start: int, stop: int) -> None:
                given = (positions, counts, weights, radius, start, stop, *constants)
                batch(*given, spacing, basis, found, info)

            share(part, total, threads)
        return _lattices(spacing, basis, found > 0, info)


def _lattices(
    spacing: NDArray[np.float64],
    basis: NDArray[np.float64],
    found: NDArray[np.bool_],
    info: NDArray[np.void],
) -> Lattices:
    safe = np.where(found[:, None, None], basis, np.eye(3))
    determinant = np.abs(np.linalg.det(safe))
    # A degenerate fit is no lattice.
    found = found & (determinant > 1e-3) & np.isfinite(determinant)
    safe = np.where(found[:, None, None], basis, np.eye(3))
    real = 2 * np.pi * np.linalg.inv(safe).transpose(0, 2, 1) * spacing[:, None, None]
    real = minkowski_reduce(real)
    frame = np.where(
        found[:, None, None],
        standard_frame(real[:, 0], real[:, 1]),
        standard_frame(info["first"], info["second"]),
    )
    scale = np.where(
        found,
        np.cbrt(np.abs(np.linalg.det(real))),
        np.where(spacing > 0, spacing, 1.0) * SCALE_WITHOUT_LATTICE,
    )
    # A frame is taken from whatever was found; a lattice is only reported above a liquid's peaks.
    reported = found & (info["rank"] == 3)
    return Lattices(
        lattice=np.where(reported[:, None, None], real, np.nan),
        frame=frame,
        scale=scale,
        order=np.clip(info["order"], 0.0, 1.0),
        rank=np.where(reported, 3, np.minimum(info["rank"], 2)).astype(np.int8),
        mean_square_displacement=np.where(reported, info["msd"] * spacing**2, np.nan),
        nearest_neighbor_distance=spacing,
        coherence=np.where(found, info["coherence"], np.nan),
    )


def standard_frame(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotations (B, 3, 3): `first` along x, `second` in the xy plane; the identity if they fail."""
    normal = np.cross(first, second)
    length = np.linalg.norm(normal, axis=1)
    good = length > 1e-9 * (1 + np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        x = first / np.linalg.norm(first, axis=1, keepdims=True)
        z = normal / length[:, None]
    result: NDArray[np.float64] = np.where(
        good[:, None, None], np.stack([x, np.cross(z, x), z], axis=1), np.eye(3)
    )
    return result


def minkowski_reduce(lattices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shortest lattice vectors (B, 3, 3) in rows, by length, right-handed; never fails.

    Parameters
    ----------
    lattices : (B, 3, 3) array
        Non-singular.
    """
    from ase_crystalnet._compute.algebra import reduce_batch

    reduced = np.array(lattices, np.float64, order="C")  # one order, compiled once
    reduce_batch(reduced)
    reduced[np.linalg.det(reduced) < 0] *= -1
    return reduced
