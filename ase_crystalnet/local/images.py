"""From windows to what the network sees: lattice, parent lattice, strain out, fingerprint.

The network answers by the symmetry of what it is shown. Shown a window as it is, it names the
symmetry; shown the window without its strain, in the frame of the lattice behind weak superlattice
peaks and thickness fringes, it names the structure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.lattice.finder import LatticeFinder, Lattices
from ase_crystalnet.lattice.parent import SuperlatticeFinder, Superlattices
from ase_crystalnet.lattice.strain import ParentFinder, Strains, reframed, without_strain

__all__ = ["ImageMaker", "WindowImages"]


class _Imaging(Protocol):
    """A fingerprint of windows: `Fingerprint`, or one that averages several."""

    def __call__(
        self,
        positions: NDArray[np.float32],
        mask: NDArray[np.bool_],
        weights: Any = None,
        *,
        numbers: Any = None,
        threads: int | None = None,
    ) -> NDArray[np.float32]: ...


@dataclass(frozen=True, eq=False)
class WindowImages:
    """B windows as the network sees them.

    Attributes
    ----------
    lattices : Lattices
        Of the windows as they are; the parent lattice where superlattice peaks were set aside.
    positions : (B, N, 3) float32 array
        In the standard frame, in units of the lattice's scale.
    images : (B, P, P, 3) float32 array
        Diffraction fingerprints D_F.
    strains : Strains or None
        What was taken out of the windows; None where nothing was to be.
    superlattices : Superlattices or None
        What was set aside; None where nothing was to be.
    frame : Lattices
        In whose frame and scale the images are taken: parents, without strain.
    cell_atoms : (B,) float64 array
        Atoms in the primitive cell of `frame`, by their density about the centre: 2 in diamond;
        vacancies and surfaces make it smaller; nan without a lattice.
    own_rows : (K,) integer array
        Windows of which superlattice peaks were set aside.
    own_images : (K, P, P, 3) float32 array
        Their fingerprints in the lattice that was found, with these peaks.
    own_cell_atoms : (K,) float64 array
        Atoms in the primitive cell of that lattice.
    found : Lattices
        Of the windows as they are, with weak peaks.
    given : (B, N, 3) float32 array
        Positions as they were given, Angstrom.
    mask : (B, N) bool array
        True for atoms.
    """

    lattices: Lattices
    positions: NDArray[np.float32]
    images: NDArray[np.float32]
    strains: Strains | None
    superlattices: Superlattices | None
    frame: Lattices
    cell_atoms: NDArray[np.float64]
    own_rows: NDArray[np.intp]
    own_images: NDArray[np.float32]
    own_cell_atoms: NDArray[np.float64]
    found: Lattices
    given: NDArray[np.float32]
    mask: NDArray[np.bool_]


@dataclass(frozen=True)
class ImageMaker:
    """The stages between a window and the network; the only place that puts them together.

    Parameters
    ----------
    finder : LatticeFinder
    fingerprint : Fingerprint
        With the constants of a model's card, or anything that is called like it.
    parents : SuperlatticeFinder, optional
        Finds the lattice behind superlattice peaks; None takes lattices as they are found.
    strains : ParentFinder, optional
        Finds the strain that is taken out; None leaves it in.
    """

    finder: LatticeFinder
    fingerprint: _Imaging
    parents: SuperlatticeFinder | None = None
    strains: ParentFinder | None = None

    @classmethod
    def default(cls) -> ImageMaker:
        """With the constants that the models of local windows are trained with."""
        return cls(LatticeFinder(), Fingerprint())

    def __call__(
        self,
        positions: NDArray[np.float32],
        mask: NDArray[np.bool_],
        *,
        weights: NDArray[np.float32] | None = None,
        numbers: NDArray[np.integer] | None = None,
        threads: int | None = None,
        found: Lattices | None = None,
    ) -> WindowImages:
        """Images of windows.

        Parameters
        ----------
        positions : (B, N, 3) array
            Relative to the centre, Angstrom.
        mask : (B, N) bool array
            True for atoms, which come first in each row.
        weights : (B, N) array, optional
            Weight of each atom (a taper); 1 by default.
        numbers : (B, N) integer array, optional
            Atomic numbers where species are to count; 0 where there is no atom.
        threads : int, optional
            Threads to share the windows; default: numba's number.
        found : Lattices, optional
            What the finder found in these windows, where that is known.

        Raises
        ------
        InputError
            Shapes do not fit, or atoms do not come first in their rows.
        """
        if found is None:
            found = self.finder(positions, mask, weights, threads=threads)
        lattices = found
        superlattices = strains = None
        own_rows = np.empty(0, np.intp)
        if self.parents is not None:
            superlattices = self.parents(positions, mask, lattices, threads=threads)
            own_rows = np.flatnonzero(superlattices.index > 1)
            dropped = (superlattices.index > 1)[:, None, None]
            lattices = reframed(lattices, np.where(dropped, superlattices.lattice, np.nan))
        positions = np.asarray(positions, np.float32)

        def shown(
            lattices: Lattices, rows: NDArray[np.intp] | slice, strains: Strains | None
        ) -> tuple[Lattices, NDArray[np.float32], NDArray[np.float32], NDArray[np.float64]]:
            """Frame, standard positions, images and atoms a cell of some windows."""
            frame, moved = lattices, positions[rows]
            if strains is not None:
                frame, moved = without_strain(lattices, moved, strains)
            standard = frame.standardize(moved)
            images = self.fingerprint(
                standard,
                mask[rows],
                None if weights is None else weights[rows],
                numbers=None if numbers is None else numbers[rows],
                threads=threads,
            )
            atoms = _atoms_in_cell(standard, mask[rows])
            atoms[~np.isfinite(lattices.lattice).all(axis=(1, 2))] = np.nan
            return frame, standard, images, atoms

        if self.strains is not None:
            strains = self.strains(lattices.lattice, threads=threads)
        frame, standard, images, cell_atoms = shown(lattices, slice(None), strains)
        own_images = np.empty((0, *images.shape[1:]), np.float32)
        own_cell_atoms = np.empty(0)
        if len(own_rows):
            own = found.some(own_rows)
            own_strains = (
                None if self.strains is None else self.strains(own.lattice, threads=threads)
            )
            _, _, own_images, own_cell_atoms = shown(own, own_rows, own_strains)
        return WindowImages(
            lattices,
            standard,
            images,
            strains,
            superlattices,
            frame,
            cell_atoms,
            own_rows,
            own_images,
            own_cell_atoms,
            found,
            positions,
            mask,
        )


def _atoms_in_cell(standard: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Density about the centres (B,) of positions (B, N, 3) whose unit volume is the cell's.

    Atoms are weighted by (1 - r^2 / R^2)^2, R the farthest atom's distance: a sharp edge would
    count whole shells in or out.
    """
    square = np.where(mask, np.einsum("bni,bni->bn", standard, standard), 0.0)
    reach = square.max(axis=1, initial=0.0, keepdims=True)
    safe = np.where(reach > 0, reach, 1.0)
    weight = np.where(mask, (1 - square / safe) ** 2, 0.0).sum(axis=1)
    # The integral of the weight over the ball.
    return np.asarray(weight / (32 * np.pi / 105 * safe[:, 0] ** 1.5), np.float64)
