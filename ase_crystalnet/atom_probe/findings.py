"""What the search for planes found in each window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError

__all__ = ["MAX_PEAKS", "WindowFindings"]

Array = NDArray[np.float64]

MAX_PEAKS = 8


@dataclass(frozen=True, eq=False)
class WindowFindings:
    """What each of B windows shows, and what it would have shown.

    Attributes
    ----------
    rank : (B,) int8 array
        0 nothing, 1 planes, 2 rods, 3 a lattice: directions of the significant peaks.
    p_value : (B,) array
        Chance that a window without planes has a peak as strong as this one's strongest, anywhere
        in the range searched. 1 where there was no peak at all.
    strength : (B,) array
        S of that peak over its background, of mean 1; also where it is not significant.
    line_level : (B,) array
        Level of S along the line of that peak (see `background`): above 1.5, ions that evaporated
        together are seen.
    spacing, spacing_error : (B,) arrays
        Of the strongest planes, Angstrom; nan where rank is 0.
    normal : (B, 3) array
        Unit vector with z >= 0; nan where rank is 0.
    normal_error : (B,) array
        Standard deviation of its direction, degrees.
    contrast : (B,) array
        Amplitude A of the density wave n (1 + A cos(q.x)); 2 for perfectly sharp planes.
    detection_limit : (B,) array
        Contrast of planes in any direction that would have been found half of the time.
    detection_limit_depth : (B,) array
        The same for planes whose normal lies in the depth cone, at the line level measured there.
    count : (B,) int64 array
        Number of significant peaks, at most `MAX_PEAKS`.
    wave_vectors : (B, 8, 3) array
        Of the significant peaks, most significant first, Angstrom^-1; nan after the last.
    strengths : (B, 8) array
        S of these over their background; nan after the last.
    """

    rank: NDArray[np.int8]
    p_value: Array
    strength: Array
    line_level: Array
    spacing: Array
    spacing_error: Array
    normal: Array
    normal_error: Array
    contrast: Array
    detection_limit: Array
    detection_limit_depth: Array
    count: NDArray[np.int64]
    wave_vectors: Array
    strengths: Array

    def __len__(self) -> int:
        return len(self.rank)

    @classmethod
    def concatenate(cls, parts: Sequence[WindowFindings]) -> WindowFindings:
        """Findings of several batches, one after the other.

        Raises
        ------
        InputError
            If there are none.
        """
        if not parts:
            raise InputError("no findings to join: give at least one batch")
        return cls(
            **{
                each.name: np.concatenate([getattr(part, each.name) for part in parts])
                for each in fields(cls)
            }
        )
