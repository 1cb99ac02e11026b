"""Reflections of a crystal and the lines of its powder pattern (Vecsei et al. 2019, Sec. II).

The same physics as `pymatgen.analysis.diffraction.xrd.XRDCalculator` (form factors of its table,
Lorentz-polarization factor, no Debye-Waller factor), compiled, because training needs 50,000
structures. Reflections are kept as vectors, not as lines, so that a strained, textured or
warmer copy of a structure costs no new structure factors.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd import _reflections_kernel as kernels
from ase_crystalnet.xrd.pattern import WAVELENGTH

if TYPE_CHECKING:
    from ase import Atoms

__all__ = ["Reflections", "peaks", "reflections", "reflections_of", "sites_of"]

#: Largest |g| kept, 1/Angstrom: 90 degrees is 0.918; the rest is room for strain and shifts.
G_MAX = 0.965
#: Form factors are interpolated in s^2 = (sin(theta)/lambda)^2 in this step.
S2_STEP = 1.6e-4
#: Cells beyond this have tens of thousands of reflections and no use in training, Angstrom^3.
LARGEST_VOLUME = 20_000.0
#: Sets of Miller indices that are looked at, and those times the atoms: a long cell that is nearly
#: flat, or a reduced one that is not, has billions.
MOST_INDICES = 5_000_000
MOST_TERMS = 3_000_000_000


@dataclass(frozen=True)
class Reflections:
    """One of each Friedel pair of a crystal's reflections.

    Attributes
    ----------
    vectors : (n, 3) array
        Reciprocal lattice vectors, |g| = 1/d = 2 sin(theta) / wavelength, 1/Angstrom.
    strengths : (n,) array
        |F|^2, electrons squared.
    """

    vectors: NDArray[Any]
    strengths: NDArray[Any]

    @property
    def lengths(self) -> NDArray[np.float64]:
        """|g| (n,), 1/Angstrom."""
        return np.asarray(np.sqrt((self.vectors.astype(np.float64) ** 2).sum(axis=1)))

    def stronger_than(self, relative: float, wavelength: float = WAVELENGTH) -> Reflections:
        """Those whose line is stronger than `relative` times the strongest line."""
        keep = kernels.strong(
            self.lengths, self.strengths.astype(np.float64), wavelength, float(relative)
        )
        return Reflections(self.vectors[keep], self.strengths[keep])


@cache
def _gaussians() -> dict[str, list[list[float]]]:
    """(a, b) of the Gaussians of elements (De Graef & McHenry's table, as pymatgen has it)."""
    table = files("ase_crystalnet.xrd").joinpath("data", "scattering_factors.json")
    return dict(json.loads(table.read_text(encoding="utf-8")))


@cache
def _form_factors(number: int) -> NDArray[np.float64]:
    """f(s) of an element at s^2 = i * S2_STEP."""
    from ase.data import chemical_symbols

    symbol = chemical_symbols[number] if 0 < number < len(chemical_symbols) else str(number)
    if symbol not in _gaussians():
        raise InputError(f"no X-ray form factor is known for element {symbol!r}")
    a, b = np.array(_gaussians()[symbol]).T
    s2 = S2_STEP * np.arange(math.ceil((G_MAX / 2) ** 2 / S2_STEP) + 2)
    gauss = (a * np.exp(-s2[:, None] * b)).sum(axis=1)
    return np.asarray(number - 41.78214 * s2 * gauss)


def reflections(
    lattice: ArrayLike,
    numbers: ArrayLike,
    fractional: ArrayLike,
    occupancies: ArrayLike | None = None,
) -> Reflections:
    """Reflections with |g| up to 0.965 1/Angstrom (two-theta 96 degrees with Cu K-alpha).

    Parameters
    ----------
    lattice : (3, 3) array
        Lattice vectors in rows, Angstrom.
    numbers : (N,) array of int
        Atomic numbers.
    fractional : (N, 3) array
        Positions in units of the lattice vectors.
    occupancies : (N,) array, optional
        1 by default. Atoms that share a site stand in the list each with its occupancy.

    Raises
    ------
    InputError
        There is no cell, no atom, an element without form factor, or nothing diffracts.
    """
    cell = np.array(lattice, np.float64)
    z = np.array(numbers, np.int64)
    x = np.array(fractional, np.float64)
    occupancy = np.ones(len(z)) if occupancies is None else np.array(occupancies, np.float64)
    if cell.shape != (3, 3) or not np.isfinite(cell).all():
        raise InputError(f"lattice has shape {cell.shape}; expected (3, 3) and finite numbers")
    if len(z) == 0 or x.shape != (len(z), 3) or occupancy.shape != (len(z),):
        raise InputError(
            f"{len(z)} atomic numbers, positions {x.shape} and occupancies {occupancy.shape}; "
            "expected N > 0, (N, 3) and (N,)"
        )
    if not (np.isfinite(x).all() and np.isfinite(occupancy).all()):
        raise InputError("positions or occupancies are not finite numbers")
    _check_volume(cell)
    kinds, species = np.unique(z, return_inverse=True)
    factors = np.array([_form_factors(int(kind)) for kind in kinds])
    reach = np.floor(G_MAX * np.linalg.norm(cell, axis=1))
    with np.errstate(over="ignore"):
        size = float(np.prod(np.array([1.0, 2.0, 2.0]) * reach + 1.0))
    if not (size <= MOST_INDICES and size * len(z) <= MOST_TERMS):
        raise InputError(
            f"{len(z)} atoms in a cell with vectors of {', '.join(_lengths(cell))} Angstrom need "
            f"{size * len(z):.1e} terms; reduce the cell to one with short vectors"
        )
    vectors, strengths = kernels.structure_factors(
        np.ascontiguousarray(np.linalg.inv(cell).T),
        reach.astype(np.int64),
        G_MAX,
        species.astype(np.int64),
        x,
        occupancy,
        factors,
        S2_STEP,
        int(size),
    )
    if not len(strengths) or not strengths.max() > 0:
        raise InputError("the crystal has no reflection within 96 degrees")
    return Reflections(vectors.copy(), strengths.copy())


def _check_volume(cell: NDArray[np.float64]) -> None:
    """Refuse the cell of what is no crystal, before anything is divided by its volume."""
    with np.errstate(over="ignore", invalid="ignore"):
        volume = abs(float(np.linalg.det(cell)))
    if not 1.0 < volume < LARGEST_VOLUME:
        raise InputError(
            f"the cell's volume is {volume:.4g} Angstrom^3; expected 1 to {LARGEST_VOLUME:g} "
            "(a crystal, periodic in three directions)"
        )


def _lengths(cell: NDArray[np.float64]) -> list[str]:
    return [f"{length:.4g}" for length in np.linalg.norm(cell, axis=1)]


def sites_of(
    atoms: Atoms,
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Atomic numbers (N,), fractional positions (N, 3) and occupancies (N,) of a structure.

    ASE's CIF reader lists a site once, with its most frequent element, and keeps the shares of
    all its elements in ``atoms.info["occupancy"]``; here each has its own row.

    Raises
    ------
    InputError
        The cell has no volume.
    """
    _check_volume(atoms.cell.array)
    positions = atoms.get_scaled_positions(wrap=False)
    occupancy = atoms.info.get("occupancy")
    kinds = atoms.arrays.get("spacegroup_kinds")
    if not occupancy or kinds is None:
        return atoms.numbers.astype(np.int64), positions, np.ones(len(atoms))
    from ase.data import atomic_numbers, chemical_symbols

    rows = [
        (atomic_numbers[symbol], position, share)
        for position, number, kind in zip(positions, atoms.numbers, kinds, strict=True)
        for symbol, share in occupancy.get(str(kind), {chemical_symbols[number]: 1.0}).items()
    ]
    return (
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows]),
        np.array([row[2] for row in rows], np.float64),
    )


def reflections_of(atoms: Atoms) -> Reflections:
    """Reflections of a structure; the occupancies of ASE's CIF reader are respected."""
    return reflections(atoms.cell.array, *sites_of(atoms))


def peaks(
    found: Reflections,
    *,
    wavelength: float = WAVELENGTH,
    two_theta: tuple[float, float] = (5.0, 90.0),
    tolerance: float = 1e-5,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lines of the powder pattern with Lorentz-polarization factor, the strongest 100.

    Parameters
    ----------
    found : Reflections
    wavelength : float
        Angstrom.
    two_theta : (float, float)
        First and last angle, degrees.
    tolerance : float
        Lines closer than this are one, degrees (pymatgen's default).

    Returns
    -------
    two_theta, intensity : (m,) float64 arrays
        Degrees; the strongest line is 100. Empty where no line lies in the range.

    Raises
    ------
    InputError
        The range needs reflections that are not there: two-theta to 95 degrees at most with
        Cu K-alpha.
    """
    low, high = two_theta
    end = 2 * math.sin(math.radians(high / 2)) / wavelength
    if not (0 <= low < high <= 180 and end <= G_MAX):
        raise InputError(
            f"two-theta {low:g} to {high:g} degrees at {wavelength:g} Angstrom; expected ascending "
            f"angles with 2 sin(theta) / wavelength below {G_MAX} 1/Angstrom"
        )
    g = found.lengths
    inside = (g <= end) & (g >= 2 * math.sin(math.radians(low / 2)) / wavelength) & (g > 0)
    angles, intensity = kernels.lines(
        g[inside], found.strengths[inside].astype(np.float64), wavelength, tolerance
    )
    if len(intensity):
        intensity = intensity * (100 / intensity.max())
    return angles, intensity
