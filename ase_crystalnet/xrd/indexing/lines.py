"""Which lines of a pattern are indexed, and how far their positions are trusted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.pattern import WAVELENGTH
from ase_crystalnet.xrd.phases.cell import Positions

__all__ = ["FEWEST", "IndexLines", "squares_of"]

#: Fewer lines fix no cell that would be worth more than chance.
FEWEST = 6
#: Lines that are indexed, from the lowest angle on.
MOST = 45
#: Lines wider than this many usual ones are waves of the background or several lines in one.
WIDEST = 2.6
#: Lines below this share of the strongest, or less significant, are left to others.
WEAKEST, LEAST_SIGNIFICANT = 0.004, 6.0
#: Positions are worth no more than this share of a width, and no more than this, degrees.
OF_WIDTH, FLOOR = 0.05, 0.008
#: A reflection this many deviations away still is the line; least and largest tolerance, degrees.
DEVIATIONS, NEAREST, FARTHEST = 2.5, 0.025, 0.10
#: Chance that a strong line is another phase's, and what is added for the weakest.
SPURIOUS, SPURIOUS_WEAK, WEAK = 0.05, 0.25, 0.03


def squares_of(angle: ArrayLike) -> NDArray[np.float64]:
    """1/d^2 (1/Angstrom^2) of angles of Cu K-alpha 1 in degrees."""
    return np.asarray((2 * np.sin(np.radians(np.asarray(angle, float)) / 2) / WAVELENGTH) ** 2)


@dataclass(frozen=True)
class IndexLines:
    """Lines for indexing, by angle.

    Attributes
    ----------
    angle, sigma : (n,) arrays
        Two-theta for Cu K-alpha 1 and its standard deviation, degrees.
    height : (n,) array
        Over the strongest.
    """

    angle: NDArray[np.float64]
    sigma: NDArray[np.float64]
    height: NDArray[np.float64]

    @classmethod
    def of(cls, positions: Positions, keep: NDArray[np.bool_] | None = None) -> IndexLines:
        """The lines of a scan that are worth it.

        Parameters
        ----------
        positions : Positions
        keep : (n,) bool array, optional
            False for lines known to be another's (K-beta, tungsten).
        """
        usual = max(positions.usual_width, 0.06) if len(positions.angle) else 0.06
        good = (
            (positions.width < WIDEST * usual)
            & (positions.height > WEAKEST)
            & (positions.significance > LEAST_SIGNIFICANT)
        )
        if keep is not None:
            good &= keep
        part = np.flatnonzero(good)[:MOST]
        sigma = np.sqrt(
            positions.error[part] ** 2 + (OF_WIDTH * positions.width[part]) ** 2 + FLOOR**2
        )
        return cls(positions.angle[part], sigma, positions.height[part])

    @classmethod
    def from_angles(
        cls, angle: ArrayLike, sigma: ArrayLike = 0.01, height: ArrayLike = 1.0
    ) -> IndexLines:
        """Lines of a list.

        Parameters
        ----------
        angle : (n,) array
            Two-theta for Cu K-alpha 1, degrees.
        sigma : (n,) array or float
            Standard deviations, degrees.
        height : (n,) array or float
            Over the strongest.

        Raises
        ------
        InputError
            They are no angles, not in order, or their deviations are not positive.
        """
        x = np.asarray(angle, float)
        if x.ndim != 1 or not np.isfinite(x).all() or ((x <= 0) | (x >= 180)).any():
            raise InputError(
                f"lines of shape {x.shape}; expected a list of angles between 0 and 180 degrees"
            )
        if (np.diff(x) <= 0).any():
            raise InputError("the angles of lines do not rise; sort them, each angle once")
        s, h = np.broadcast_to(sigma, x.shape), np.broadcast_to(height, x.shape)
        if not (np.isfinite(s).all() and (np.asarray(s) > 0).all()):
            raise InputError("deviations of lines are not positive; expected degrees, such as 0.01")
        return cls(x[:MOST], np.array(s[:MOST], float), np.array(h[:MOST], float))

    def __len__(self) -> int:
        return len(self.angle)

    @property
    def squares(self) -> NDArray[np.float64]:
        """1/d^2 (n,), 1/Angstrom^2."""
        return squares_of(self.angle)

    @property
    def tolerance(self) -> NDArray[np.float64]:
        """How far 1/d^2 may be off (n,), 1/Angstrom^2."""
        reach = np.clip(DEVIATIONS * self.sigma, NEAREST, FARTHEST)
        return np.asarray(np.radians(reach) * 2 * np.sin(np.radians(self.angle)) / WAVELENGTH**2)

    @property
    def doubt(self) -> NDArray[np.float64]:
        """Chance of each line to be no reflection of the cell (n,)."""
        return np.asarray(SPURIOUS + SPURIOUS_WEAK * np.exp(-self.height / WEAK))
