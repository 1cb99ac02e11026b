"""What is to be explained: the fingerprint of a window or of a whole structure, and its spots."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.explain.bragg_spots import BraggSpots, bragg_spots

if TYPE_CHECKING:
    from ase_crystalnet.analyzer import CrystalNet

__all__ = ["Subject", "subject"]

#: Share of the brightest pixel that a spot of a window must reach: in a hot crystal the diffuse
#: light between the spots does not.
_LEAST = 0.03


@dataclass(frozen=True, eq=False)
class Subject:
    """One fingerprint as a model sees it.

    Attributes
    ----------
    image : (P, P, 3) float32 array
        D_F.
    spots : BraggSpots or None
        None where there is no lattice.
    atoms : int
        Atoms in it.
    """

    image: NDArray[np.float32]
    spots: BraggSpots | None
    atoms: int


def subject(net: CrystalNet, atoms: Atoms, center: Any = 0) -> Subject:
    """Fingerprint and Bragg spots that a model classifies.

    Parameters
    ----------
    net : CrystalNet
        Of either mode.
    atoms : ase.Atoms
    center : int, or (3,) float array in Angstrom
        Atom or point in the middle of the window; without meaning to a model of whole structures.

    Returns
    -------
    Subject
        In global mode the spots are those of the average crystal, complete and undisplaced; in
        local mode those of the window's average lattice that the window itself shows.

    Raises
    ------
    InputError
        There is no such atom, the window is sparse, or a whole structure has no lattice.
    """
    return _structure(net, atoms) if net.mode == "global" else _window(net, atoms, center)


def _window(net: CrystalNet, atoms: Atoms, center: Any) -> Subject:
    method = net.of_windows()
    prepared = method.windower.prepare(atoms)
    points, _ = prepared.centers(np.asarray(center)[None])
    batch = next(prepared.batches(points, 1))
    if batch.sparse[0]:
        raise InputError(
            f"the window holds only {int(batch.mask.sum())} atoms, too few to classify; choose "
            "another centre or a smaller window, or set pbc if the structure is periodic"
        )
    seen = method.images_of(atoms, batch)
    image, lattices = seen.images[0], seen.frame
    spots = None
    if lattices.rank[0] == 3:
        spots = bragg_spots(
            image,
            lattices.lattice[0] @ lattices.frame[0].T / lattices.scale[0],
            net.fingerprint,
            seen.positions[batch.mask],
            least=_LEAST,
        )
    return Subject(image, spots, int(batch.mask.sum()))


def _structure(net: CrystalNet, atoms: Atoms) -> Subject:
    from ase_crystalnet.fingerprint.exact import exact_fingerprints
    from ase_crystalnet.whole.average_cell import average_cell
    from ase_crystalnet.whole.cluster import cluster_of

    cell = average_cell(atoms)
    cluster = cluster_of(atoms, cell)
    perfect = Atoms(cell.numbers, cell=cell.lattice, scaled_positions=cell.sites, pbc=True)
    perfect = cluster_of(perfect, replace(cell, frame=np.eye(3), origin=np.zeros(3)))
    unit = cell.nearest_neighbor_distance
    image, model = (
        exact_fingerprints(net.fingerprint, (a.positions / unit)[None], None, a.numbers[None])[0]
        for a in (cluster, perfect)
    )
    spots = bragg_spots(model, cell.lattice / unit, net.fingerprint, perfect.positions / unit)
    return Subject(image, spots, len(cluster))
