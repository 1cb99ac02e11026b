"""What a reader hands on: a curve on the axis that its file has, and what was noticed on the way.

Several scans of one file become one curve here, and angles that fall where they should rise are put
in order, or refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError

__all__ = ["Profile", "joined", "ordered"]

#: A run of fewer points is no scan of its own.
SHORTEST_RUN = 20
#: Angles that fall by less than this, in steps, are the encoder's and are put in order.
JITTER = 2.5
#: Scans that share more than this of the shorter one's range are one range, measured again.
SAME_RANGE = 0.8
#: Scans of a file beyond this number are a series, not ranges.
MOST_SCANS = 200


@dataclass(frozen=True)
class Profile:
    """A curve as a file has it.

    Attributes
    ----------
    x, y : (M,) float64 arrays
        Axis and intensity.
    axis : str
        "two_theta" (degrees), "q" (1/Angstrom) or "d" (Angstrom).
    wavelength : float or None
        Angstrom, where the columns themselves or the instrument's header imply one.
    seconds : float or None
        Counting time of a point.
    notes : tuple of str
        What the reader left out, changed or took for granted, in words.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    axis: str = "two_theta"
    wavelength: float | None = None
    seconds: float | None = None
    notes: tuple[str, ...] = ()

    def noting(self, *notes: str) -> Profile:
        """The same with more notes."""
        return replace(self, notes=(*self.notes, *notes))


def ordered(profile: Profile) -> Profile:
    """With an axis that rises; ranges that follow one another in the columns become one.

    Raises
    ------
    InputError
        The axis falls in a way that is neither an encoder's jitter nor another range.
    """
    x, y = profile.x, profile.y
    steps = np.diff(x)
    if len(x) < SHORTEST_RUN or not np.isfinite(x).all() or (steps > 0).all():
        return profile  # what is wrong otherwise is said by `Scan`
    if (steps < 0).all():
        said = () if profile.axis == "d" else ("the angles fall throughout: turned round",)
        return replace(profile, x=x[::-1], y=y[::-1]).noting(*said)
    usual = float(np.median(np.abs(steps)))
    falls = np.flatnonzero(steps <= 0)
    far = falls[steps[falls] < -JITTER * usual]
    if len(far):
        edges = [0, *(far + 1).tolist(), len(x)]
        lengths = np.diff(edges)
        if len(lengths) > MOST_SCANS or lengths.min() < SHORTEST_RUN:
            raise InputError(_falling(x, int(far[0])))
        parts = [
            ordered(replace(profile, x=x[a:b], y=y[a:b], notes=())) for a, b in pairwise(edges)
        ]
        return joined(parts).noting(*profile.notes)
    if len(falls) > max(3, len(x) // 20):
        raise InputError(_falling(x, int(falls[0])))
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    # An angle that stands twice is one point: the mean of both.
    first = np.concatenate([[True], np.diff(x) > 0])
    place = np.cumsum(first) - 1
    counts = np.bincount(place)
    merged = replace(profile, x=x[first], y=np.bincount(place, y) / counts)
    many = "angle did" if len(falls) == 1 else "angles did"
    return merged.noting(f"{len(falls)} {many} not rise from point to point: sorted")


def _falling(x: NDArray[np.float64], i: int) -> str:
    return (
        f"angles do not rise: {x[i]:g} is followed by {x[i + 1]:g} (point {i + 2}); expected one "
        "scan with two-theta ascending"
    )


def joined(scans: Sequence[Profile]) -> Profile:
    """One curve of the scans of a file.

    Ranges that follow one another are put together, each per second of its counting time where
    these differ; where two overlap, the earlier one's points stand. Of scans over the same range
    the first stands.

    Raises
    ------
    InputError
        There is no scan.
    """
    usable = [scan for scan in scans if len(scan.x)]
    if not usable:
        raise InputError("it holds no scan")
    if len(usable) == 1:
        return usable[0]
    kept: list[Profile] = []
    repeated = 0
    for scan in usable:
        if any(_shared(scan, other) > SAME_RANGE for other in kept):
            repeated += 1
        else:
            kept.append(scan)
    kept.sort(key=lambda scan: float(scan.x.min()))
    times = {scan.seconds for scan in kept}
    per_second = len(times) > 1 and all(time and time > 0 for time in times)
    longest = max(float(scan.seconds or 0) for scan in kept)
    x, y = np.empty(0), np.empty(0)
    for scan in kept:
        new = scan.x > (x[-1] if len(x) else -np.inf)
        scale = longest / float(scan.seconds or 1) if per_second else 1.0
        x = np.concatenate([x, scan.x[new]])
        y = np.concatenate([y, scan.y[new] * scale])
    notes = list(dict.fromkeys(note for scan in kept for note in scan.notes))
    if len(kept) > 1:
        ranges = ", ".join(f"{scan.x[0]:g} to {scan.x[-1]:g}" for scan in kept[:4])
        more = ", ..." if len(kept) > 4 else ""
        notes.append(f"{len(kept)} ranges are joined ({ranges}{more})")
    if repeated:
        word = "scan" if repeated == 1 else "scans"
        notes.append(f"{repeated} more {word} over the same range: the first is used")
    return replace(kept[0], x=x, y=y, notes=tuple(notes))


def _shared(a: Profile, b: Profile) -> float:
    """Share of the shorter range that both have."""
    low, high = max(a.x.min(), b.x.min()), min(a.x.max(), b.x.max())
    shorter = min(np.ptp(a.x), np.ptp(b.x))
    return float((high - low) / shorter) if shorter > 0 else float(high >= low)
