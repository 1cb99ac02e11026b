"""The crystal about a place, from windows that grow until a lattice is significant and holds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.grains.motif import Motif, filling, fold, reduced, refined, score
from ase_crystalnet.grains.superlattice import divided, enlarged
from ase_crystalnet.lattice.finder import LatticeFinder

__all__ = ["WINDOWS", "seed_motif"]

#: Atoms of the windows, one after the other; larger cells need larger ones.
WINDOWS = (250, 500, 1000, 2000, 4000)
#: Least log likelihood an atom against atoms anywhere, and least share of atoms on sites: of a
#: crystal. Liquids and glasses stay below (benchmarks/crystals.py).
LEAST_GAIN, LEAST_ON_SITES = 0.35, 0.6
#: Least share of sites that hold an atom: 40 % of vacancies and the surface of a window leave so
#: many; false lattices that are too fine have fewer.
LEAST_FILLING = 0.42
#: Windows of more atoms are asked, in a search that is not thorough, only if a smaller one held any
#: promise.
LARGE = 1000
#: Gain an atom below which not even a larger cell is looked for.
HOPELESS = 0.02
#: A lattice holds if the gain an atom in the next window is at least this share of that in its own.
HOLDS = 0.5
#: Share of the atoms on sites in the window and in the next, and gain an atom, at which no larger
#: window is asked; and largest index of the cell in that of the lattice found: a long way from a
#: false lattice goes astray.
CLEAN, ENOUGH, PLENTY, DIRECT = 0.985, 0.9, 1.0, 4
#: Cells of more sites must be clean in the next window as well.
FEW_SITES = 8
#: Least filled site in the fullest, and widest in the median one, of motifs whose sites are looked
#: at again.
UNEVEN_FILLING, UNEVEN_WIDTH = 0.7, 1.8
#: Nearest-neighbour distances that are tried where sites ran together, in those found.
SPACINGS = (1.0, 0.75, 0.55)
#: Share of the atoms on sites above which a window on a cell of few sites holds one crystal with
#: sites that ran together, and not two.
ONE_CRYSTAL = 0.78
#: Parted sites may be so much less filled than those they were parted from.
EMPTIER = 0.05


def seed_motif(
    positions: Array,
    numbers: NDArray[np.int64],
    *,
    lattice: Array | None = None,
    windows: tuple[int, ...] = WINDOWS,
    finder: LatticeFinder | None = None,
    thorough: bool = True,
) -> Motif | None:
    """The crystal about the origin; None where there is none, as in a liquid.

    Parameters
    ----------
    positions : (N, 3) array
        Atoms about a place, relative to it, in open space, Angstrom.
    numbers : (N,) integer array
        Atomic numbers.
    lattice : (3, 3) array, optional
        A lattice already found here, tried beside the others.
    windows : tuple of int
        Atoms of the windows.
    finder : LatticeFinder, optional
        The search for lattices.
    thorough : bool
        Ask large windows even if small ones hold no promise, as of a liquid or of a large cell.

    Returns
    -------
    Motif or None
        Of the least cell that explains species, occupation and sites.
    """
    order = np.argsort((positions**2).sum(axis=1), kind="stable")[: max(windows)]
    positions, numbers = positions[order], np.asarray(numbers)[order]
    finder = LatticeFinder() if finder is None else finder
    sizes = sorted({min(size, len(positions)) for size in windows})
    candidates_found: list[tuple[int, float, Motif]] = []
    hopeful = False
    for number, size in enumerate(sizes):
        if size > LARGE and not (hopeful or thorough):
            break
        following = sizes[min(number + 1, len(sizes) - 1)]
        inner = positions[:size]
        found = finder(inner[None].astype(np.float32), np.ones((1, size), bool))
        spacing = float(found.nearest_neighbor_distance[0])
        candidates = [found.lattice[0]]
        if lattice is not None and number == 0:
            candidates.append(lattice)
        for candidate in candidates:
            if not np.isfinite(candidate).all() or not spacing > 0:
                continue
            motif = fold(inner, candidate, spacing)
            if motif is None:
                continue
            motif = refined(reduced(motif), inner)
            if score(motif, motif.assign(inner), numbers[:size])[0] < HOPELESS * size:
                continue
            hopeful = True
            motif = enlarged(motif, inner, numbers[:size])
            own, own_on = score(motif, motif.assign(inner), numbers[:size])
            # The next window is not what it was fitted to: a lattice of the noise fails there.
            outer, known = positions[:following], numbers[:following]
            motif = enlarged(refined(motif, outer), outer, known)
            found_sites = motif.assign(outer)
            if filling(found_sites) < LEAST_FILLING:
                continue
            gain, on = score(motif, found_sites, known)
            if gain / following < max(LEAST_GAIN, HOLDS * own / size) or on < LEAST_ON_SITES:
                continue
            one = on > ONE_CRYSTAL or len(motif.sites) > FEW_SITES
            if one and (own_on < CLEAN or _uneven(motif, outer)):
                motif = _parted(motif, outer, known)
            motif = divided(motif, outer, known)
            candidates_found.append((following, on, motif))
            index = abs(np.linalg.det(motif.lattice) / np.linalg.det(candidate))
            sure = CLEAN if len(motif.sites) > FEW_SITES else ENOUGH
            clean = own_on > CLEAN and on > sure and not _uneven(motif, outer)
            if clean and gain > PLENTY * following and index < DIRECT + 0.5:
                return reduced(motif)
    return _best(candidates_found, positions, numbers)


def _best(
    found: list[tuple[int, float, Motif]], positions: Array, numbers: NDArray[np.int64]
) -> Motif | None:
    """Of the motifs with their windows and shares of atoms on sites, the one that explains most."""
    if not found:
        return None
    if len(found) == 1:
        return reduced(found[0][2])
    # The largest window that is one crystal; where none is, the smallest.
    whole = [size for size, on, _ in found if on > ENOUGH]
    size = max(whole) if whole else min(size for size, _, _ in found)
    positions, numbers = positions[:size], numbers[:size]
    best: tuple[float, Motif] | None = None
    for _, _, motif in found:
        fitted = divided(
            enlarged(refined(motif, positions), positions, numbers), positions, numbers
        )
        worth, _ = score(fitted, fitted.assign(positions), numbers)
        if best is None or worth > best[0]:
            best = (worth, fitted)
    return None if best is None else reduced(best[1])


def _uneven(motif: Motif, positions: Array) -> bool:
    """Whether some sites hold more atoms than others, or atoms that lie much farther apart."""
    found = motif.assign(positions)
    site, square = found.site[found.near], (found.offsets[found.near] ** 2).sum(axis=1)
    filled = np.bincount(site, minlength=len(motif.sites))
    variance = np.bincount(site, square, len(motif.sites)) / np.maximum(filled, 1)
    wide = variance.max() > UNEVEN_WIDTH**2 * np.median(variance)
    return bool(filled.min() < UNEVEN_FILLING * filled.max() or wide)


def _parted(motif: Motif, positions: Array, numbers: NDArray[np.int64]) -> Motif:
    """The motif with sites parted that had run together, if it is better.

    They do while the lattice is not exact, and if some bonds are far shorter than others.
    """
    found = motif.assign(positions)
    best = (score(motif, found, numbers)[0], motif)
    # Sites of two grains that meet in the window are no parts of one: either is empty in the other.
    least = filling(found) - EMPTIER
    for share in SPACINGS:
        again = fold(positions, motif.lattice, share * motif.spacing)
        if again is None:
            continue
        again = enlarged(refined(again, positions), positions, numbers)
        found = again.assign(positions)
        worth, _ = score(again, found, numbers)
        if worth > best[0] and filling(found) > least:
            best = (worth, again)
    return best[1]
