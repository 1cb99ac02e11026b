"""Defects put into a structure: displacements, vacancies, substitution, missing body centres.

Ziletti et al., Nat. Commun. 9, 2775 (2018): the defective structures of Tables 1 and S1-S2, and the
transition of Fig. 4b. Every function returns a new structure and leaves the one given alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ase import Atoms
from ase.data import atomic_numbers

from ase_crystalnet.errors import InputError

__all__ = ["displaced", "substituted", "with_vacancies", "without_body_centers"]


def displaced(atoms: Atoms, sigma: float, rng: np.random.Generator) -> Atoms:
    """Move every atom at random.

    Parameters
    ----------
    atoms : ase.Atoms
    sigma : float
        Standard deviation of each component of the Gaussian displacement, Angstrom.
    rng : numpy.random.Generator

    Raises
    ------
    InputError
        `sigma` is negative or not finite.
    """
    if not (np.isfinite(sigma) and sigma >= 0):
        raise InputError(f"sigma is {sigma}; expected a displacement of 0 Angstrom or more")
    result = atoms.copy()
    result.positions += rng.normal(scale=sigma, size=result.positions.shape)
    return result


def with_vacancies(atoms: Atoms, fraction: float, rng: np.random.Generator) -> Atoms:
    """Take a share of the atoms away, each with the same chance.

    Parameters
    ----------
    atoms : ase.Atoms
    fraction : float
        0 to below 1; the nearest whole number of atoms goes, and at least one atom stays.
    rng : numpy.random.Generator

    Raises
    ------
    InputError
        `fraction` is out of range.
    """
    if not 0 <= fraction < 1:
        raise InputError(f"the fraction of vacancies is {fraction}; expected 0 to below 1")
    gone = min(round(fraction * len(atoms)), len(atoms) - 1)
    kept = np.sort(rng.permutation(len(atoms))[gone:])
    result: Atoms = atoms[kept]
    return result


def substituted(
    atoms: Atoms,
    species: Sequence[str | int],
    rng: np.random.Generator,
    fractions: Sequence[float] | None = None,
) -> Atoms:
    """Make a random alloy: every site is given one of the species, independently.

    Parameters
    ----------
    atoms : ase.Atoms
    species : sequence of str or int
        Symbols or atomic numbers: two make a binary, three a ternary.
    rng : numpy.random.Generator
    fractions : sequence of float, optional
        Chance of each species; equal by default.

    Raises
    ------
    InputError
        A species is unknown, or the fractions do not fit or do not sum to one.
    """
    known = [s if isinstance(s, str) else int(s) for s in species]
    for s in known:
        fits = s in atomic_numbers if isinstance(s, str) else 1 <= s <= 118
        if not fits or s == "X":
            raise InputError(f"species {s!r} is unknown; expected chemical symbols or 1 to 118")
    if not known:
        raise InputError("no species given; expected one symbol or more")
    if fractions is not None and (
        len(fractions) != len(known) or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6
    ):
        raise InputError(
            f"fractions are {list(fractions)} for {len(known)} species; expected one of 0 or more "
            "for each, with the sum 1"
        )
    numbers = np.array([atomic_numbers[s] if isinstance(s, str) else s for s in known])
    result = atoms.copy()
    result.numbers = numbers[rng.choice(len(numbers), size=len(atoms), p=fractions)]
    return result


def without_body_centers(supercell: Atoms, fraction: float, rng: np.random.Generator) -> Atoms:
    """Take body centres out of a bcc supercell: without any it is simple cubic (Fig. 4b).

    Parameters
    ----------
    supercell : ase.Atoms
        Conventional bcc cell (two atoms) repeated, ``cell.repeat(n)``, with one sublattice at the
        corners, as ``ase.build.bulk("Fe", cubic=True)`` makes it; undistorted.
    fraction : float
        Of the body centres, 0 to 1; the nearest whole number of atoms.
    rng : numpy.random.Generator

    Raises
    ------
    InputError
        `fraction` is out of range, or the structure is no supercell of bcc in cubic axes.
    """
    if not 0 <= fraction <= 1:
        raise InputError(f"the fraction of body centres is {fraction}; expected 0 to 1")
    cells = len(supercell) / 2
    edge = (supercell.get_volume() / max(cells, 1)) ** (1 / 3)
    corner = (supercell.positions - supercell.positions[0]) / edge
    offset = corner - np.rint(corner)
    centers = np.flatnonzero((np.abs(offset) > 0.4).all(axis=1))
    corners = np.flatnonzero((np.abs(offset) < 0.1).all(axis=1))
    if len(centers) != cells or len(corners) != cells:
        raise InputError(
            f"the structure of {len(supercell)} atoms is no bcc supercell in cubic axes; expected "
            "the conventional cell of two atoms, repeated"
        )
    gone = rng.permutation(centers)[: round(fraction * len(centers))]
    result: Atoms = supercell[np.setdiff1d(np.arange(len(supercell)), gone)]
    return result
