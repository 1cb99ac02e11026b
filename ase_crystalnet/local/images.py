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
    """

    lattices: Lattices
    positions: NDArray[np.float32]
    images: NDArray[np.float32]
    strains: Strains | None
    superlattices: Superlattices | None
    frame: Lattices


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

        Raises
        ------
        InputError
            Shapes do not fit, or atoms do not come first in their rows.
        """
        lattices = self.finder(positions, mask, weights, threads=threads)
        superlattices = strains = None
        if self.parents is not None:
            superlattices = self.parents(positions, mask, lattices, threads=threads)
            dropped = (superlattices.index > 1)[:, None, None]
            lattices = reframed(lattices, np.where(dropped, superlattices.lattice, np.nan))
        frame, moved = lattices, np.asarray(positions, np.float32)
        if self.strains is not None:
            strains = self.strains(lattices.lattice, threads=threads)
            frame, moved = without_strain(lattices, moved, strains)
        standard = frame.standardize(moved)
        images = self.fingerprint(standard, mask, weights, numbers=numbers, threads=threads)
        return WindowImages(lattices, standard, images, strains, superlattices, frame)
