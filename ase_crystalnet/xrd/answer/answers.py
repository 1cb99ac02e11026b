"""From probabilities and library matches to an answer or a refusal.

The answer mixes two cases. If the nearest entry is the sample, its space group decides; the weight
of this case rises with the correlation. If not, the network decides, with a small contribution from
similar entries. The six numbers of this mixture are fitted on measured patterns, once for each
network and once for the library alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.xrd.answer.library import Matches
from ase_crystalnet.xrd.answer.scan_report import ScanReport
from ase_crystalnet.xrd.pattern import CRYSTAL_SYSTEMS, SYSTEM_MATRIX
from ase_crystalnet.xrd.subgroups import neighbors

__all__ = ["PowderAnswers", "answered"]


def answered(
    certainty: ArrayLike, *, min_certainty: float | None = None, coverage: float | None = None
) -> NDArray[np.bool_]:
    """Which patterns are answered; the others are refused (Vecsei et al. 2019, Sec. V).

    Parameters
    ----------
    certainty : (B,) array
    min_certainty : float, optional
        Smallest certainty of an answer, 0 to 1.
    coverage : float, optional
        Share of these patterns that is answered, the most certain first, 0 to 1.

    Raises
    ------
    InputError
        Both were given, or one is not 0 to 1.
    """
    c = np.asarray(certainty, float)
    if min_certainty is not None and coverage is not None:
        raise InputError("a smallest certainty and a coverage were given; give one of them")
    for name, value in (("min_certainty", min_certainty), ("coverage", coverage)):
        if value is not None and not 0 <= value <= 1:
            raise InputError(f"{name} is {value}; expected 0 to 1")
    if coverage is not None:
        keep = np.zeros(len(c), bool)
        keep[np.argsort(-c, kind="stable")[: round(coverage * len(c))]] = True
        return keep
    return np.asarray(c >= (min_certainty or 0.0))


@dataclass(frozen=True)
class PowderAnswers:
    """Answers for B powder patterns.

    What each quantity means and where it can mislead: see docs/glossary.md.

    Attributes
    ----------
    probabilities : (B, 230) float32 array
        Of the space groups 1 to 230.
    matches : Matches
        Nearest entries of the library.
    trust : (B,) array
        Weight of the nearest entry in the answer.
    network : (B, 230) float32 array or None
        Probabilities by the network alone; None without a network.
    answered : (B,) bool array
        False where the space group is refused.
    reports : tuple of B ScanReport
        Lines, phases, prediction set of each scan; empty for patterns on the grid.
    """

    probabilities: NDArray[np.float32]
    matches: Matches
    trust: NDArray[np.float64]
    network: NDArray[np.float32] | None
    answered: NDArray[np.bool_]
    reports: tuple[ScanReport, ...] = ()

    def __len__(self) -> int:
        return len(self.probabilities)

    @cached_property
    def certainty(self) -> NDArray[np.float32]:
        """Largest probability of a space group (B,)."""
        return np.asarray(self.probabilities.max(axis=1))

    @cached_property
    def space_group(self) -> NDArray[np.int64]:
        """Most probable space group (B,), 1 to 230; -1 where refused."""
        return np.where(self.answered, self.probabilities.argmax(axis=1) + 1, -1)

    @cached_property
    def system_probabilities(self) -> NDArray[np.float32]:
        """Of the crystal systems (B, 7), in the order of `pattern.CRYSTAL_SYSTEMS`."""
        return np.asarray(self.probabilities @ SYSTEM_MATRIX)

    @cached_property
    def system(self) -> tuple[str, ...]:
        """Most probable crystal system of each pattern, refused or not."""
        return tuple(CRYSTAL_SYSTEMS[i] for i in self.system_probabilities.argmax(axis=1))

    @cached_property
    def system_certainty(self) -> NDArray[np.float32]:
        """Largest probability of a crystal system (B,)."""
        return np.asarray(self.system_probabilities.max(axis=1))

    def top(self, number: int = 5) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The most probable space groups (B, number), best first, and their probabilities."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :number]
        return order + 1, np.take_along_axis(self.probabilities, order, 1)

    def alternatives(self, index: int) -> Sequence[tuple[int, str, float]]:
        """Sub- and supergroups of the most probable group of one pattern, most probable first.

        A small distortion, or extinctions too weak to see, would lead to these.

        Returns
        -------
        list of (space group, relation, probability)
            Relation "subgroup" or "supergroup" (or both, of different settings).
        """
        row = self.probabilities[index]
        near = neighbors(int(row.argmax()) + 1)
        below = {step.space_group for step in near.subgroups}
        above = {step.space_group for step in near.supergroups}
        found = [
            (
                number,
                " and ".join(
                    relation
                    for relation, group in (("subgroup", below), ("supergroup", above))
                    if number in group
                ),
                float(row[number - 1]),
            )
            for number in near.numbers
        ]
        return sorted(found, key=lambda entry: -entry[2])
