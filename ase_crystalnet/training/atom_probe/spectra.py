"""Mass spectra of simulated tips: isotopes, charge states, hydrides, tails, and their ranges.

Peaks overlap where they do in measurements: AlH2+ at 29.0 Da lies on 58Ni2+, and the tails and the
background of one ion reach into the ranges of others, so that some ions are counted as another
species. Masses and abundances: IUPAC (2013), as in every table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["PEAKS", "Peak", "assign_masses", "rrng_text"]

#: Full width of a peak at half of its height is its mass over this.
RESOLVING_POWER = 1100.0
#: Share of the ions in a peak's tail towards heavy masses, and its length in full widths.
TAIL_SHARE, TAIL_WIDTHS = 0.15, 2.5
#: Heaviest mass of the background, Da.
HEAVIEST = 120.0
_ISOTOPES = {
    "Al": ((26.98154, 1.0),),
    "Ni": ((57.93534, 0.68077), (59.93079, 0.26223), (60.93106, 0.01140), (61.92835, 0.03635),
           (63.92797, 0.00926)),
    "W": ((181.94820, 0.2662), (182.95022, 0.1431), (183.95093, 0.3064), (185.95436, 0.2843)),
}  # fmt: skip
#: Charge number, hydrogen atoms and share of each ion of an element.
_STATES = {
    "Al": ((1, 0, 0.66), (2, 0, 0.30), (3, 0, 0.02), (1, 1, 0.015), (1, 2, 0.005)),
    "Ni": ((2, 0, 0.85), (1, 0, 0.15)),
    "W": ((3, 0, 0.75), (4, 0, 0.25)),
}
_HYDROGEN = 1.00783
#: Volumes of the elements' atoms in range files, nm^3, and their colours.
_VOLUMES = {"Al": 0.01660, "Ni": 0.01094, "W": 0.01585}
_COLORS = {"Al": "3C8CDC", "Ni": "2E9E48", "W": "8040A0"}


@dataclass(frozen=True)
class Peak:
    """One peak of the spectrum.

    Attributes
    ----------
    element : str
    mass : float
        Mass over charge number, Da.
    share : float
        Of the element's ions.
    hydrogen : int
        Hydrogen atoms of the ion.
    """

    element: str
    mass: float
    share: float
    hydrogen: int


def _peaks(element: str) -> tuple[Peak, ...]:
    return tuple(
        Peak(element, (mass + hydrogen * _HYDROGEN) / charge, share * abundance, hydrogen)
        for charge, hydrogen, share in _STATES[element]
        for mass, abundance in _ISOTOPES[element]
    )


#: Peaks of each element.
PEAKS = {element: _peaks(element) for element in _ISOTOPES}


def assign_masses(elements: NDArray[np.str_], rng: np.random.Generator) -> NDArray[np.float32]:
    """Mass over charge number (N,) of ions, Da.

    Parameters
    ----------
    elements : (N,) str array
        '' for background, which is even in time of flight.
    rng : numpy.random.Generator
    """
    mass = np.empty(len(elements))
    for element, peaks in PEAKS.items():
        rows = np.flatnonzero(elements == element)
        shares = np.array([peak.share for peak in peaks])
        chosen = rng.choice(len(peaks), size=len(rows), p=shares / shares.sum())
        place = np.array([peak.mass for peak in peaks])[chosen]
        width = place / RESOLVING_POWER
        tail = rng.random(len(rows)) < TAIL_SHARE
        late = np.where(tail, rng.exponential(size=len(rows)) * TAIL_WIDTHS, 0.0)
        mass[rows] = place + width * (rng.normal(size=len(rows)) / 2.355 + late)
    rows = np.flatnonzero(elements == "")
    mass[rows] = HEAVIEST * rng.random(len(rows)) ** 2
    return mass.astype(np.float32)


def rrng_text(elements: Iterable[str]) -> str:
    """A .rrng file of the peaks of some elements, as an analyst would range them.

    A range begins a full width before its peak and ends four behind it, or where the next begins.
    A peak that lies on a larger one of another element is not ranged: its ions are counted as that
    element's.
    """
    chosen = sorted(set(elements))
    peaks = sorted((p for e in chosen for p in PEAKS[e]), key=lambda peak: peak.mass)
    larger: list[Peak] = []
    for peak in peaks:
        width = 2 * peak.mass / RESOLVING_POWER
        if all(p is peak or abs(p.mass - peak.mass) > width or p.share < peak.share for p in peaks):
            larger.append(peak)
    lines = []
    for i, peak in enumerate(larger):
        width = peak.mass / RESOLVING_POWER
        low, high = peak.mass - width, peak.mass + 4 * width
        if i + 1 < len(larger):
            high = min(high, larger[i + 1].mass * (1 - 1 / RESOLVING_POWER) - 1e-4)
        parts = f"{peak.element}:1" + (f" H:{peak.hydrogen}" if peak.hydrogen else "")
        lines.append(
            f"Range{i + 1}={low:.4f} {high:.4f} Vol:{_VOLUMES[peak.element]:.5f} {parts} "
            f"Color:{_COLORS[peak.element]}"
        )
    names = [*chosen, *(["H"] if "Al" in chosen else [])]
    head = ["[Ions]", f"Number={len(names)}"]
    head += [f"Ion{i + 1}={name}" for i, name in enumerate(names)]
    return "\n".join([*head, "[Ranges]", f"Number={len(lines)}", *lines]) + "\n"
