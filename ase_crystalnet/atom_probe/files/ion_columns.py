"""What a file of ions gives, before it is a reconstruction, and what is odd about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ANGSTROM", "IonColumns", "plausible_share", "remark_on_units"]

#: A nanometre.
ANGSTROM = 10.0
#: Ions looked at where all need not be; fewest that a judgement is of.
_SAMPLE, _FEWEST = 10_000, 64
#: Ions from which a density is taken.
_MOST = 1_000_000
#: Nanometres that a coordinate may have, and Da that a mass may have, to be of an ion.
_NEAREST, _FARTHEST, _LIGHTEST, _HEAVIEST = 1e-9, 1e5, 0.5, 2000.0
#: Ions in a cubic nanometre of a material that is detected in part: from organic matter to diamond.
_DENSITIES = (2.0, 180.0)


@dataclass(frozen=True, eq=False)
class IonColumns:
    """Columns of a file.

    Attributes
    ----------
    positions : (N, 3) array
        nm, but for `scale`.
    mass : (N,) array
        Mass over charge number, Da.
    detector : mapping of str to (N, ...) array
        Other columns.
    notes : tuple of str
        What was noticed, in words.
    scale : float
        Angstrom that a unit of `positions` has.
    unit_stated : bool
        Whether the file itself says what unit that is.
    """

    positions: NDArray[Any]
    mass: NDArray[Any]
    detector: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    scale: float = ANGSTROM
    unit_stated: bool = False


def plausible_share(positions: NDArray[Any], mass: NDArray[Any]) -> float:
    """Share of ions whose place and mass can be those of ions, 0 to 1; nan for too few ions.

    Parameters
    ----------
    positions : (N, 3) array
        nm.
    mass : (N,) array
        Da.
    """
    if len(mass) < _FEWEST:
        return float("nan")
    step = max(len(mass) // _SAMPLE, 1)
    # Bytes in the wrong order make numbers of any exponent, also such as are no numbers.
    with np.errstate(all="ignore"):
        place = np.abs(positions[::step].astype(np.float64))
        weight = mass[::step].astype(np.float64)
        good = ((place < _FARTHEST) & ((place == 0.0) | (place > _NEAREST))).all(axis=1)
        good &= (weight > _LIGHTEST) & (weight < _HEAVIEST)
    return float(good.mean())


def remark_on_units(positions: NDArray[Any]) -> tuple[str, ...]:
    """Say that a reconstruction is a thousand times thinner than matter, as in Angstrom for nm.

    Parameters
    ----------
    positions : (N, 3) array
        In the unit of the file, taken for nm.

    Notes
    -----
    The density is that of the cell in which the median ion lies, of cells of the bounding box that
    would hold 100 ions if the box were full. A reconstruction of a dilute species alone is as thin,
    which is why the numbers are left as they are.
    """
    if len(positions) < 1000:
        return ()
    step = max(len(positions) // _MOST, 1)
    positions = positions[::step]
    low, high = positions.min(axis=0), positions.max(axis=0)
    extent = np.maximum((high - low).astype(np.float64), 1e-6)
    edge = float(np.cbrt(extent.prod() * 100.0 / len(positions)))
    counts = np.clip(np.ceil(extent / edge), 1, 1000).astype(np.int64)
    index = np.zeros(len(positions), np.int64)
    for axis, count in enumerate(counts.tolist()):
        inside = (positions[:, axis] - low[axis]) * (count / extent[axis])
        index = index * count + np.clip(inside.astype(np.int64), 0, count - 1)
    cells = np.bincount(index, minlength=int(counts.prod()))
    density = step * float(np.median(cells[index]) / (extent / counts).prod())
    if not _DENSITIES[0] / 1000.0 <= density <= _DENSITIES[1] / 1000.0:
        return ()
    return (
        f"{density:.2g} ions in a cubic nanometre, a thousandth of what matter has: the positions "
        "seem to be in Angstrom, not nm (then say so: units 'angstrom'), unless only a dilute "
        "species is in the file",
    )
