"""Background of S(q): what ions scatter where there are no planes.

Jittered ions scatter S = 1 at every q. Ions of a reconstruction do not, even where there is no
crystal, and a search that compares with 1 takes the difference for planes:

* Dense matter has neighbours at preferred distances, so S rises to 2 or 3 in a shell of |q|, as in
  a liquid. The background is therefore taken as a function of |q|, from many windows.
* Ions evaporate in bursts: neighbours leave one after the other, and are put at the same depth.
  Pairs at the same depth scatter in phase along the depth axis at *every* |q|: S is 2 to 4 times
  its mean there, differently in each window. The level of a peak's own line through q = 0, away
  from the peak, is therefore part of its background (`line_levels`): bursts raise the whole line,
  planes one place on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ase_crystalnet._compute.types import Array

__all__ = ["CLIP", "Q_BINS", "Background", "clipped_mean", "fit_heterogeneity"]

#: S is clipped here before it is averaged, so that Bragg peaks do not become background.
CLIP = 4.0
Q_BINS = 32
#: Fewest windows whose line levels say how much these differ from window to window.
ENOUGH_WINDOWS = 32
#: Freedom of the prior if there are fewer: the background of a line is then its own level,
#: combined with one other line half as long.
FEW_FREEDOM = 10.0
MOST_FREEDOM = 1000.0


@dataclass(frozen=True, eq=False)
class Background:
    """Background of the windows of one reconstruction.

    Attributes
    ----------
    low, high : float
        Range of |q|, Angstrom^-1; 2 pi over the largest and smallest spacing searched.
    level : (bins,) array
        Mean of S over directions, in equal bins of |q|.
    line_level : (2,) array
        Mean level of lines of peaks outside and inside the depth cone.
    line_freedom : (2,) array
        How alike lines are: the level of a line scatters about `line_level` like the mean of this
        number of values of S. Large if lines differ little, infinite if the level is known.
    windows : int
        Windows it was made from.
    """

    low: float
    high: float
    level: Array
    line_level: Array
    line_freedom: Array
    windows: int

    def at(self, q: Array) -> Array:
        """Level at |q| of any shape, Angstrom^-1; linear between the bins."""
        step = (self.high - self.low) / len(self.level)
        middle = self.low + step * (np.arange(len(self.level)) + 0.5)
        return np.interp(q, middle, self.level)

    @property
    def mean(self) -> float:
        """Mean level over the volume of the shell."""
        edges = np.linspace(self.low, self.high, len(self.level) + 1) ** 3
        return float(np.average(self.level, weights=np.diff(edges)))


def clipped_mean(total: Array, points: Array) -> Array:
    """Mean of exponential variables from the mean of min(S, CLIP); 1 where there are no points."""
    mean = np.where(points > 0, total / np.maximum(points, 1), 1 - np.exp(-CLIP))
    result = mean.copy()
    for _ in range(100):
        result = mean / (1 - np.exp(-CLIP / np.maximum(result, 1e-3)))
    return np.asarray(np.maximum(result, 0.02), np.float64)


def fit_heterogeneity(level: Array, freedom: Array) -> tuple[float, float]:
    """Mean level of lines, and the freedom that their differences beyond chance amount to.

    Parameters
    ----------
    level, freedom : (n,) arrays
        Of lines, relative to the background over all directions.
    """
    good = freedom > 0
    if np.count_nonzero(good) < ENOUGH_WINDOWS:
        return 1.0, FEW_FREEDOM
    level, freedom = level[good], freedom[good]
    # Clipped, as planes may be in a few windows.
    mean = float(np.clip(np.mean(np.minimum(level, 4 * np.median(level))), 0.05, np.inf))
    excess = float(np.mean(np.minimum((level / mean - 1) ** 2, 9.0) - 1 / freedom))
    spread = float(np.std(np.minimum((level / mean - 1) ** 2, 9.0)) / np.sqrt(len(level)))
    if excess <= 2 * spread:
        error = float(np.sqrt(np.mean(1 / freedom) / len(level)))
        # Never below 1: in dense matter the lines of its strongest peaks are dimmer than most.
        return (1.0 if mean - 1 < 3 * error else mean), MOST_FREEDOM
    return mean, float(np.clip(1 / excess, 1.0, MOST_FREEDOM))
