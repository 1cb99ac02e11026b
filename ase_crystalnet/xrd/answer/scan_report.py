"""What one scan shows besides the probabilities of space groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.xrd.indexing.indexer import IndexedCell
from ase_crystalnet.xrd.measured.lines import Findings
from ase_crystalnet.xrd.phases.mixture import Mixture

__all__ = ["ScanReport"]


@dataclass(frozen=True)
class ScanReport:
    """What one scan shows besides the probabilities of space groups.

    Attributes
    ----------
    findings : Findings
        Lines, humps, verdict.
    mixture : Mixture or None
        Phases of the library; None where there are no lines to ask about.
    trust : float
        Weight of the first phase in the answer.
    refusal : str
        Why the space group is refused whatever its certainty; "" where it is not.
    prediction_set : (n,) int array
        Space groups that hold the right one in nine of ten patterns, most probable first; none
        where the scan is refused.
    notes : tuple of str
        What else the user should know.
    cells : tuple of IndexedCell or None
        Cells that explain the lines, best first, by indexing; None where a phase decides the answer
        and nothing was indexed.
    """

    findings: Findings
    mixture: Mixture | None
    trust: float
    refusal: str
    prediction_set: NDArray[np.int64]
    notes: tuple[str, ...] = ()
    cells: tuple[IndexedCell, ...] | None = None

    @property
    def cell(self) -> IndexedCell | None:
        """The cell that indexing found, if it is more than chance."""
        return self.cells[0] if self.cells and self.cells[0].convincing else None
