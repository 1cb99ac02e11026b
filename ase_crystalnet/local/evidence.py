"""What a window says besides its image: atoms in the cell, weak peaks, flat answers.

The network is asked which of its structures an image is most like. That a crystal is none of them
shows best elsewhere: a primitive cell of fcc holds one atom, and vacancies can make that less, but
never more. Fluorite, which looks like diamond, has three. Where the atoms of the cell lie is seen
as well, and whether empty sites are empty by chance.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classes import DISORDERED, OTHER
from ase_crystalnet.lattice.parent import SuperlatticeFinder
from ase_crystalnet.lattice.sites import site_misfit, vacancy_avoidance
from ase_crystalnet.local.images import WindowImages

__all__ = ["CELL_ATOMS", "count_cells", "look_again", "look_at_sites", "not_flat"]

#: Atoms in the primitive cell of each structure type; of several forms, the larger number.
CELL_ATOMS = {
    "fcc": 1, "bcc": 1, "sc": 1, "diam": 2, "hcp": 2, "dhcp": 4, "hexdiam": 4, "graphite": 4,
    "bct141": 2, "rh": 2, "bct139": 1,
}  # fmt: skip
#: Excess over that number at which a structure is as likely as not, and the width of the doubt. In
#: 250 atoms of crystals at sigma 0.12 the number is right within 2 %, in 64 within 5 %.
EXCESS, DOUBT = 1.13, 0.02
#: Structures that a weak superlattice makes, and not only decorates.
SUPERSTRUCTURES = ("dhcp", "graphite", "hexdiam", "rh")
#: Certainty above which the lattice with weak peaks is listened to.
SAID = 0.5
#: Misfit of the sites, in spacings, at which a structure is as likely as not, in a crystal without
#: displacements, and the width of the doubt. Below it lie shifts of sites that strain brings; alpha
#: oxygen, near to rhombohedral, has 0.04, alpha uranium, near to hcp, 0.13.
MISFIT, MISFIT_DOUBT = 0.027, 0.002
#: Variance of the misfit of two sites over its mean that chance does not reach.
BY_CHANCE = 7.0
#: Lack of pairs of vacancies, in standard deviations, at which they are as likely in order as not,
#: and the width of the doubt; and the least share of vacant sites that is looked at.
LACK, LACK_DOUBT, VACANT = -4.4, 0.08, 0.05
#: Share of the likeliest structure in all of them below which an answer is none, and above which it
#: is one.
FLAT, SINGLE = 0.3, 0.4


def look_again(
    probabilities: NDArray[np.float32],
    seen: WindowImages,
    own: NDArray[np.float32],
    classes: tuple[str, ...],
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Take the answers in the lattice with its weak peaks where these make the structure.

    The window without the peaks shows what the structure would be without them. With them it shows
    all there is, in a frame that a perfect crystal is rarely seen in. So that counts where it is
    sure of a structure of which such peaks are a part, and where the window's shape does not
    explain them: the fringes of a film are no structure.

    Parameters
    ----------
    probabilities : (B, C) float32 array
        In the parents' lattices; changed in place.
    seen : WindowImages
        Of B windows, K of them with superlattice peaks.
    own : (K, C) float32 array
        Answers to `seen.own_images`.
    classes : tuple of str

    Returns
    -------
    (B,) float64 array
        Atoms in the cell of the lattice whose answer counts.
    (B,) bool array
        Windows of which that is the lattice with the weak peaks.
    """
    atoms = seen.cell_atoms.copy()
    own_counts = np.zeros(len(atoms), bool)
    numbers = [classes.index(name) for name in SUPERSTRUCTURES if name in classes]
    sure = own.max(axis=1, initial=0.0)
    assert seen.superlattices is not None
    explained = seen.superlattices.significance[seen.own_rows] <= SuperlatticeFinder.chance
    taken = (
        ~explained
        & np.isin(own.argmax(axis=1), numbers)
        & (sure > np.maximum(SAID, probabilities[seen.own_rows].max(axis=1, initial=0.0) - 0.2))
    )
    rows = seen.own_rows[taken]
    probabilities[rows] = own[taken]
    atoms[rows] = seen.own_cell_atoms[taken]
    own_counts[rows] = True
    return atoms, own_counts


def count_cells(
    probabilities: NDArray[np.float32], atoms: NDArray[np.float64], classes: tuple[str, ...]
) -> None:
    """Give names to which there are too many atoms in the cell over to 'other', in place.

    Parameters
    ----------
    probabilities : (B, C) float32 array
    atoms : (B,) float64 array
        In the primitive cell; nan where there is none.
    classes : tuple of str
    """
    named = [k for k, name in enumerate(classes) if name in CELL_ATOMS]
    most = np.array([CELL_ATOMS[classes[k]] for k in named])
    excess = np.where(np.isfinite(atoms), atoms, 0.0)[:, None] / most
    doubt = 0.5 + 0.5 * np.tanh((excess - EXCESS) / (2 * DOUBT))
    moved = probabilities[:, named] * doubt.astype(np.float32)
    probabilities[:, named] -= moved
    probabilities[:, classes.index(OTHER)] += moved.sum(axis=1)


def look_at_sites(
    probabilities: NDArray[np.float32],
    seen: WindowImages,
    atoms: NDArray[np.float64],
    own_counts: NDArray[np.bool_],
    classes: tuple[str, ...],
) -> None:
    """Give names whose atoms lie elsewhere, or are missing in order, to 'other', in place.

    Parameters
    ----------
    probabilities : (B, C) float32 array
    seen : WindowImages
        Of B windows.
    atoms, own_counts : (B,) arrays
        Results of `look_again`.
    classes : tuple of str
    """
    labels = probabilities.argmax(axis=1)
    most = np.array([CELL_ATOMS.get(name, 0) for name in classes])[labels]
    rows = np.flatnonzero(most > 0)
    parent = np.where(own_counts[:, None, None], seen.found.lattice, seen.lattices.lattice)[rows]
    positions, mask = seen.given[rows], seen.mask[rows]
    found = seen.found.some(rows)
    misfit, noise = site_misfit(positions, mask, found, parent, labels[rows], classes)
    known = np.isfinite(misfit)
    allowed = np.sqrt(MISFIT**2 + BY_CHANCE * noise[known] ** 2)
    doubt = np.zeros(len(rows))
    doubt[known] = 0.5 + 0.5 * np.tanh((misfit[known] - allowed) / (2 * MISFIT_DOUBT))
    with np.errstate(invalid="ignore"):
        sparse = (atoms[rows] < (1 - VACANT) * most[rows]) & known
    lack = vacancy_avoidance(
        positions[sparse],
        mask[sparse],
        parent[sparse],
        found.nearest_neighbor_distance[sparse],
    )
    ordered = 0.5 + 0.5 * np.tanh((LACK - lack) / (2 * LACK_DOUBT))
    doubt[sparse] = np.maximum(doubt[sparse], ordered)
    moved = probabilities[rows, labels[rows]] * doubt.astype(np.float32)
    probabilities[rows, labels[rows]] -= moved
    probabilities[rows, classes.index(OTHER)] += moved


def not_flat(probabilities: NDArray[np.float32], classes: tuple[str, ...]) -> None:
    """Give answers that single out no structure to 'other', in place.

    A network that has never seen the like of an image spreads its answer. Which of many small
    probabilities is the largest is chance, and never a name.

    Parameters
    ----------
    probabilities : (B, C) float32 array
    classes : tuple of str
    """
    named = [k for k, name in enumerate(classes) if name not in (OTHER, DISORDERED)]
    total = probabilities[:, named].sum(axis=1)
    best = probabilities[:, named].max(axis=1, initial=0.0) / np.maximum(total, 1e-12)
    share = np.clip((SINGLE - best) / (SINGLE - FLAT), 0, 1)
    moved = probabilities[:, named] * share[:, None].astype(np.float32)
    probabilities[:, named] -= moved
    probabilities[:, classes.index(OTHER)] += moved.sum(axis=1)
