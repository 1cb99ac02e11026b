"""Findings of the search for planes in each window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet._compute.types import Array
from ase_crystalnet.atom_probe.search.background import Background
from ase_crystalnet.atom_probe.search.peaks import PeakSearch
from ase_crystalnet.errors import InputError

__all__ = ["MAX_PEAKS", "WindowFindings", "findings_of"]

MAX_PEAKS = 8
#: Peaks nearer to each other than this, degrees, point the same way; nearer than that to a plane of
#: two others, they lie in it.
SAME_DIRECTION, SAME_PLANE = 20.0, 15.0


@dataclass(frozen=True, eq=False)
class WindowFindings:
    """Planes, rods or lattices of B windows, and detection limits.

    What each quantity means, its range and where it can mislead: see docs/glossary.md.

    Attributes
    ----------
    rank : (B,) int8 array
        0 nothing, 1 planes, 2 rods, 3 lattice, by the significant peaks.
    p_value : (B,) array
        Significance of the strongest peak; 1 without a peak.
    strength : (B,) array
        S of that peak over its background.
    line_level : (B,) array
        Level of S along the line of that peak (see `background`).
    spacing, spacing_error : (B,) arrays
        Of the strongest planes, Angstrom; nan where rank is 0.
    normal : (B, 3) array
        Unit vector with z >= 0; nan where rank is 0.
    normal_error : (B,) array
        Standard deviation of its direction, degrees.
    contrast : (B,) array
        Amplitude of the density wave.
    detection_limit : (B,) array
        Contrast found in half of the cases, planes in any direction.
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
            If no findings are given.
        """
        if not parts:
            raise InputError("no findings to join: give at least one batch")
        return cls(
            **{
                each.name: np.concatenate([getattr(part, each.name) for part in parts])
                for each in fields(cls)
            }
        )


def findings_of(
    peaks: Array,
    values: Array,
    ratio: Array,
    line: Array,
    p_value: Array,
    significant: NDArray[np.bool_],
    search: PeakSearch,
    background: Background,
    limits: Array,
) -> WindowFindings:
    """Findings of peaks in the order of their p-values.

    Parameters
    ----------
    peaks : (B, K, 3) array
        Wave vectors, Angstrom^-1, most significant first.
    values, ratio : (B, K) arrays
        S of them, and S over its background.
    line : (B,) array
        Level of S along the line of the first peak.
    p_value : (B,) array
        Of the first peak.
    significant : (B, K) bool array
    search : PeakSearch
        Moments and counts of the windows.
    background : Background
    limits : (B, 2) array
        Detection limits outside and inside the depth cone.
    """
    rank = _rank(peaks, significant)
    any_found = rank > 0
    strongest = np.where(any_found[:, None], peaks[:, 0], np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        q = np.linalg.norm(strongest, axis=1)
        normal = strongest / q[:, None]
        normal *= np.where(normal[:, 2:] < 0, -1.0, 1.0)
        noise = background.at(np.linalg.norm(peaks[:, 0], axis=1)) * line
        excess = np.maximum(values[:, 0] - noise, 0.0)
        # Cramer-Rao: variance 1 / (2 S C) of q along each axis, C the variance of the positions.
        extent = np.sqrt(np.trace(search.moments, axis1=1, axis2=2) / 3)
        error = 1 / (extent * np.sqrt(2 * np.maximum(values[:, 0] / noise, 1e-9)))
    p_value = np.where(values[:, 0] > 0, p_value, 1.0)
    count = np.minimum(significant.sum(axis=1), MAX_PEAKS)
    shown = np.arange(MAX_PEAKS) < count[:, None]
    # Significant peaks come first, since they are in the order of their p-values.
    return WindowFindings(
        rank=rank,
        p_value=p_value,
        strength=ratio[:, 0],
        line_level=line,
        spacing=2 * np.pi / q,
        spacing_error=2 * np.pi / q**2 * error,
        normal=normal,
        normal_error=np.where(any_found, np.rad2deg(error / q), np.nan),
        contrast=np.where(any_found, 2 * np.sqrt(excess / np.maximum(search.counts, 1)), np.nan),
        detection_limit=limits[:, 0],
        detection_limit_depth=limits[:, 1],
        count=count.astype(np.int64),
        wave_vectors=np.where(shown[..., None], peaks[:, :MAX_PEAKS], np.nan),
        strengths=np.where(shown, ratio[:, :MAX_PEAKS], np.nan),
    )


def _rank(peaks: Array, significant: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Dimensions (B,) that the significant wave vectors span, most significant first."""
    sine, slope = np.sin(np.deg2rad([SAME_DIRECTION, SAME_PLANE]))
    with np.errstate(invalid="ignore", divide="ignore"):
        unit = np.nan_to_num(peaks / np.linalg.norm(peaks, axis=-1, keepdims=True))
    rank = significant[:, 0].astype(np.int8)
    first = unit[:, 0]
    normal = np.zeros_like(first)
    for k in range(1, peaks.shape[1]):
        cross = np.cross(first, unit[:, k])
        size = np.linalg.norm(cross, axis=1)
        out = np.abs(np.einsum("bi,bi->b", normal, unit[:, k]))
        new = significant[:, k] & (rank == 1) & (size > sine)
        third = significant[:, k] & (rank == 2) & (out > slope)
        with np.errstate(invalid="ignore", divide="ignore"):
            normal = np.where(new[:, None], np.nan_to_num(cross / size[:, None]), normal)
        rank = (rank + new + third).astype(np.int8)
    return rank
