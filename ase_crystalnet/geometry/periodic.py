"""Periodic geometry: validate a structure, wrap points into its cell, add ghost images.

Everything that depends on the cell is here, so that the cutting of windows need not know of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from ase import Atoms
from ase.geometry import minkowski_reduce
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError

#: Smallest volume of the periodic vectors, relative to the product of their lengths, that is
#: still taken for a cell and not for a mistake.
DEGENERATE_VOLUME = 1e-6
#: Shortest distance in Angstrom between periodic images that is still one of atoms, and the longest
#: length: beyond a centimetre no double-precision coordinate tells atoms apart.
SHORTEST, LONGEST = 0.2, 1e8
#: Most periodic images beside the points themselves: so many, or so many a point. A frame of one
#: atom and windows of 512 takes 3e4, one of 1e7 atoms about 1e6; an image takes about 100 bytes.
MOST_IMAGES, MOST_IMAGES_EACH = 4_000_000, 30


@dataclass(frozen=True)
class PeriodicSpace:
    """Space with zero to three periodic directions.

    Attributes
    ----------
    basis : (3, 3) float array
        Rows in Angstrom: the periodic cell vectors as given; each non-periodic row is a unit
        vector at right angles to the periodic ones.
    reduced : (3, 3) float array
        The same lattice with the periodic vectors Minkowski-reduced, so that ghosts of a very
        oblique cell stay few.
    pbc : (3,) bool array
        Which rows are periodic.
    """

    basis: NDArray[np.float64]
    reduced: NDArray[np.float64]
    pbc: NDArray[np.bool_]

    @classmethod
    def of(cls, atoms: Atoms) -> PeriodicSpace:
        """Space of a structure.

        Raises
        ------
        InputError
            If ``pbc`` is set along a direction without a cell vector, or if the periodic vectors
            are not finite, span no volume, bring images of an atom nearer to it than any two atoms
            are, or are longer than a centimetre.
        """
        pbc = np.asarray(atoms.pbc, dtype=bool).copy()
        cell = np.asarray(atoms.cell.array, dtype=np.float64)
        periodic = cell[pbc]
        if not np.isfinite(periodic).all():
            raise InputError(
                "the cell has NaN or infinite entries along a periodic direction; "
                "give finite cell vectors in Angstrom"
            )
        # Not the root of the squares, which overflows.
        lengths = np.hypot(np.hypot(periodic[:, 0], periodic[:, 1]), periodic[:, 2])
        if (lengths == 0.0).any():
            raise InputError(
                f"pbc is {pbc.tolist()} but a periodic direction has no cell vector; "
                "set atoms.cell, or atoms.pbc = False for a finite structure"
            )
        if (lengths > LONGEST).any():
            raise InputError(
                f"expected cell vectors of at most {LONGEST:g} Angstrom, got one of "
                f"{lengths.max():.3g}; check the unit of the cell"
            )
        if pbc.any():
            # Before anything is computed with them: tiny ones overflow where they divide.
            _refuse_near_images(periodic, lengths)
            unit = periodic / lengths[:, None]
            volume = float(np.sqrt(max(np.linalg.det(unit @ unit.T), 0.0)))
            if volume < DEGENERATE_VOLUME:
                raise InputError(
                    "the periodic cell vectors span no volume (two of them are parallel or all "
                    "lie in a plane); give linearly independent vectors, or set atoms.pbc = False"
                )
        basis = _complete(cell, pbc)
        reduced = basis.copy()
        if pbc.sum() > 1:
            try:
                reduced = _complete(minkowski_reduce(basis, pbc)[0], pbc)
            except RuntimeError as error:
                raise InputError(
                    f"the cell cannot be reduced ({error}); check that its vectors are not nearly "
                    "parallel"
                ) from error
        if pbc.any():
            _refuse_near_images(reduced[pbc], lengths)
        return cls(basis=basis, reduced=reduced, pbc=pbc)

    def heights(self, reduced: bool = True) -> NDArray[np.float64]:
        """Distances in Angstrom between opposite faces of the (reduced) cell, (3,)."""
        inverse = np.linalg.inv(self.reduced if reduced else self.basis)
        return np.asarray(1.0 / np.linalg.norm(inverse, axis=0), dtype=np.float64)

    def wrap(self, points: NDArray[np.float64], reduced: bool = True) -> NDArray[np.float64]:
        """Points (M, 3) moved into the (reduced) cell along periodic directions; else as given."""
        if not self.pbc.any():
            return points.copy()
        basis = self.reduced if reduced else self.basis
        fractional = points @ np.linalg.inv(basis)
        shift = np.where(self.pbc, np.floor(fractional), 0.0)
        return np.asarray(points - shift @ basis, dtype=np.float64)

    def with_ghosts(
        self, points: NDArray[np.float64], depth: float
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Points and their periodic images up to `depth` Angstrom outside the reduced cell.

        Parameters
        ----------
        points : (M, 3) float array
            Wrapped points, Angstrom.
        depth : float
            Depth of the layer of images around the cell, Angstrom.

        Returns
        -------
        positions : (M + G, 3) float array
            The points themselves first, in their order, then the images.
        source : (M + G,) int array
            Index of the point each row is an image of.

        Raises
        ------
        InputError
            If there would be so many images that they fill the memory.

        Notes
        -----
        An image is a pair (point, lattice vector), each considered once: rounding at a face can
        neither lose an image that is within the depth nor make a second copy of it.
        """
        count = len(points)
        source = np.arange(count, dtype=np.int64)
        if not self.pbc.any() or count == 0:
            return points, source
        inverse = np.linalg.inv(self.reduced)
        fractional = points @ inverse
        margin = depth / self.heights() + 1e-9
        images = count * (float(np.prod(1.0 + 2.0 * margin[self.pbc])) - 1.0)
        if not images <= max(MOST_IMAGES, MOST_IMAGES_EACH * count):
            heights = ", ".join(f"{height:.3g}" for height in self.heights()[self.pbc])
            raise InputError(
                f"expected a cell in which windows need at most {MOST_IMAGES:.0e} periodic images, "
                f"got one of {heights} Angstrom between its faces whose {count} atoms need "
                f"{images:.1e} within {depth:.3g} Angstrom; check the cell, or set atoms.pbc = "
                "False along its thin directions"
            )
        shifts = np.zeros((count, 3))
        for axis in np.flatnonzero(self.pbc):
            low, high = -margin[axis], 1.0 + margin[axis]
            kept = [np.arange(len(source))]
            steps = [np.zeros(len(source))]
            coordinate = fractional[source, axis]
            reach = int(np.ceil(margin[axis])) + 1
            for step in [*range(-reach, 0), *range(1, reach + 1)]:
                inside = np.flatnonzero((coordinate + step >= low) & (coordinate + step <= high))
                kept.append(inside)
                steps.append(np.full(len(inside), float(step)))
            chosen = np.concatenate(kept)
            source = source[chosen]
            shifts = shifts[chosen]
            shifts[:, axis] = np.concatenate(steps)
        return points[source] + shifts @ self.reduced, source


def validated_positions(atoms: Atoms) -> NDArray[np.float64]:
    """Positions (N, 3) of a structure, in Angstrom, checked.

    Raises
    ------
    InputError
        If `atoms` is no ``ase.Atoms``, holds no atoms, or has NaN or infinite positions.
    """
    if not isinstance(atoms, Atoms):
        raise InputError(
            f"expected an ase.Atoms, got {type(atoms).__name__}; "
            "read a file with ase.io.read or build one with ase.Atoms(...)"
        )
    if len(atoms) == 0:
        raise InputError("the structure holds no atoms; at least one is needed")
    positions = np.array(atoms.positions, dtype=np.float64)
    bad = ~np.isfinite(positions).all(axis=1)
    if bad.any():
        raise InputError(
            f"{int(bad.sum())} of {len(atoms)} atoms have NaN or infinite positions, the first is "
            f"atom {int(np.argmax(bad))}; remove them or mend the file"
        )
    far = np.abs(positions).max(axis=1)
    if far.max() > LONGEST:
        raise InputError(
            f"expected positions within {LONGEST:g} Angstrom of the origin, got atom "
            f"{int(np.argmax(far))} at {far.max():.3g}; remove it or check the unit"
        )
    return positions


def _refuse_near_images(reduced: NDArray[np.float64], given: NDArray[np.float64]) -> None:
    """Raise where the shortest of the reduced vectors (P, 3) is shorter than atoms are apart."""
    shortest = float(np.linalg.norm(reduced, axis=1).min())
    if shortest >= SHORTEST:
        return
    lengths = ", ".join(f"{length:.3g}" for length in given)
    if shortest < 0.5 * given.min():
        why = "its vectors are nearly parallel"
    elif given.max() < 1e-6:
        why = "the lengths look like metres: multiply positions and cell by 1e10"
    elif given.max() < SHORTEST:
        why = "convert positions and cell to Angstrom"
    else:
        why = "check the unit of the cell, or set atoms.pbc = False along its thin directions"
    raise InputError(
        f"expected a cell whose images are at least {SHORTEST:g} Angstrom apart, got "
        f"{shortest:.3g} (cell vectors of {lengths} Angstrom); {why}"
    )


def _complete(cell: NDArray[np.float64], pbc: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Keep the periodic rows; the others become unit vectors at right angles to them."""
    basis = np.array(cell, dtype=np.float64)
    periodic = np.flatnonzero(pbc)
    free = np.flatnonzero(~pbc)
    if len(periodic) == 3:
        return basis
    if len(periodic) == 0:
        return np.eye(3)
    if len(periodic) == 2:
        normal = np.cross(basis[periodic[0]], basis[periodic[1]])
        basis[free[0]] = normal / np.linalg.norm(normal)
        return basis
    along = basis[periodic[0]] / np.linalg.norm(basis[periodic[0]])
    start = np.eye(3)[int(np.argmin(np.abs(along)))]
    second = start - (start @ along) * along
    second /= np.linalg.norm(second)
    basis[free[0]] = second
    basis[free[1]] = np.cross(along, second)
    return basis
