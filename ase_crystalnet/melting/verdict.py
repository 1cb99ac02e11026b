"""Solid or liquid, of one configuration, quickly: what programs for free energies have to know."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ase_crystalnet.classes import DISORDERED
from ase_crystalnet.errors import InputError

if TYPE_CHECKING:
    from ase import Atoms

    from ase_crystalnet.analyzer import CrystalNet
    from ase_crystalnet.results.method import Method

__all__ = ["Verdict", "is_solid", "solid_probability", "verdict"]

#: Windows that are looked at: enough to cover some thousand atoms, few enough to be quick.
WINDOWS = 16
#: Powers of the inverse of the root of x^4 = x + 1: the additive sequence that fills space evenly.
_STEPS = 1 / 1.2207440846057596 ** np.arange(1, 4)


@dataclass(frozen=True)
class Verdict:
    """Whether a configuration is solid; true in a condition if it is.

    Attributes
    ----------
    solid_fraction : float
        Mean probability of the windows to be a crystal of any kind: the share of the structure
        that is solid, as far as the windows that were looked at show it.
    error : float
        Standard error of it, from the scatter of the windows that share no atoms.
    order : float
        Mean Bragg order: 1 in a cold crystal, about 0.08 in a liquid.
    windows : int
        Number of windows.
    structure : str
        The commonest class of the solid windows; empty where none is solid.
    """

    solid_fraction: float
    error: float
    order: float
    windows: int
    structure: str

    @property
    def solid(self) -> bool:
        """Whether at least half is solid."""
        return self.solid_fraction >= 0.5

    @property
    def mixed(self) -> bool:
        """Whether a part is solid and another liquid: a tenth at least, and beyond the error."""
        near = max(0.1, 2 * self.error)
        return near < self.solid_fraction < 1 - near

    def __bool__(self) -> bool:
        return self.solid


def is_solid(
    atoms: Atoms, analyzer: CrystalNet | Method | None = None, *, windows: int = WINDOWS
) -> bool:
    """Whether a configuration is solid rather than liquid (or another disordered structure).

    It needs one frame, no reference and no threshold, and takes less than 0.1 s of one processor
    once the network is loaded. A glass is not solid by it: there is no crystal in it.

    Parameters
    ----------
    atoms : ase.Atoms
        At least as many as make up a window.
    analyzer : CrystalNet, optional
        By default the shipped model of structures, which is kept for the next call.
    windows : int
        Places that are looked at.

    Raises
    ------
    InputError
        The structure cannot be used, or is too small or too sparse for a window.
    """
    return verdict(atoms, analyzer, windows=windows).solid


def verdict(
    atoms: Atoms, analyzer: CrystalNet | Method | None = None, *, windows: int = WINDOWS
) -> Verdict:
    """The same with how much is solid, how sure that is, and what.

    Parameters and exceptions are those of `is_solid`.
    """
    if windows < 1:
        raise InputError(f"windows: expected a number from 1 on, got {windows}")
    net = _default() if analyzer is None else analyzer
    frame = net.analyze(atoms, centers=spread(atoms, windows))
    solid = solid_probability(frame.probabilities, frame.classes)
    known = np.isfinite(solid)
    if not known.any():
        raise InputError(
            f"{len(atoms)} atoms are too few or too sparse for a window; set pbc if the structure "
            "is periodic, or use a larger cell"
        )
    of_crystals = frame.probabilities[known & (solid >= 0.5)]
    structure = ""
    if len(of_crystals):
        named = [i for i, name in enumerate(frame.classes) if name != DISORDERED]
        structure = frame.classes[named[int(of_crystals.mean(axis=0)[named].argmax())]]
    # Windows that share atoms say the same thing.
    size = int(frame.metadata.get("window_atoms") or 250)
    apart = max(1.0, min(float(known.sum()), len(atoms) / size))
    return Verdict(
        float(solid[known].mean()),
        float(solid[known].std() / np.sqrt(apart)),
        float(np.nanmean(frame.order[known])),
        int(known.sum()),
        structure,
    )


def solid_probability(
    probabilities: NDArray[np.float32], classes: tuple[str, ...]
) -> NDArray[np.float32]:
    """Probability to be no disordered structure, shape (...,) of probabilities (..., C).

    Raises
    ------
    InputError
        The model has no such class.
    """
    if DISORDERED not in classes:
        raise InputError(
            f"solid or liquid: expected a model with the class {DISORDERED!r}, got one of "
            f"{', '.join(classes)}; use 'structure' or 'local'"
        )
    return 1.0 - probabilities[..., classes.index(DISORDERED)]


def spread(atoms: Atoms, count: int) -> NDArray[np.int64]:
    """Atoms all over a structure, the same ones however it is turned into a list.

    Parameters
    ----------
    atoms : ase.Atoms
    count : int
        How many; fewer where there are not so many.

    Returns
    -------
    ndarray of int, shape (<= count,)
    """
    if not len(atoms) or not np.isfinite(atoms.positions).all():
        return np.arange(min(count, len(atoms)))  # whoever analyses them says what is wrong
    places = (0.5 + np.arange(1, count + 1)[:, None] * _STEPS) % 1.0
    positions = atoms.get_positions(wrap=True) if atoms.pbc.any() else atoms.positions
    if atoms.cell.rank == 3 and atoms.pbc.all():
        points = places @ atoms.cell.array
    else:
        low, high = positions.min(axis=0), positions.max(axis=0)
        points = low + places * (high - low)
    return np.unique(cKDTree(positions).query(points)[1])


@lru_cache(maxsize=1)
def _default() -> CrystalNet:
    from ase_crystalnet.analyzer import CrystalNet

    return CrystalNet(faults=False)
