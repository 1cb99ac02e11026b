"""Graph of the 230 space groups by maximal subgroups: how wrong is a wrong answer?

Two space groups are neighbours if one is a maximal subgroup of the other, translationengleiche (t)
or klassengleiche (k). The distance of two groups is the number of steps between them, up or down
(Vecsei et al. 2019). A network that errs sensibly errs to a neighbour: a small
distortion, or extinctions that are weak, is all that tells the two apart.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ase_crystalnet.errors import InputError

__all__ = [
    "Neighbors",
    "Step",
    "chance_distance",
    "neighbors",
    "subgroup_distance",
    "subgroup_distances",
]

GROUPS = 230


@dataclass(frozen=True)
class Step:
    """One step in the graph.

    Attributes
    ----------
    space_group : int
        Number of the group the step leads to, 1 to 230.
    kind : str
        "t" (translationengleiche: the lattice stays, the point group is halved or so), "k"
        (klassengleiche: the point group stays, translations are lost) or "tk" where there is one
        of each.
    index : int
        Smallest index of the subgroup in the group.
    """

    space_group: int
    kind: str
    index: int


@dataclass(frozen=True)
class Neighbors:
    """Groups one step from a space group, by number.

    Attributes
    ----------
    subgroups, supergroups : tuple of Step
    """

    subgroups: tuple[Step, ...]
    supergroups: tuple[Step, ...]

    @property
    def numbers(self) -> tuple[int, ...]:
        """Space groups one step away, ascending."""
        return tuple(sorted({s.space_group for s in (*self.subgroups, *self.supergroups)}))


@cache
def _edges() -> dict[tuple[int, int], Step]:
    """(group, subgroup) -> step down; a group is not a neighbour of itself."""
    table = files("ase_crystalnet.xrd").joinpath("data/maximal_subgroup_edges.csv").read_text()
    found: dict[tuple[int, int], Step] = {}
    for line in table.splitlines()[1:]:
        group, subgroup, kind, index = line.split(",")
        pair = int(group), int(subgroup)
        if pair[0] == pair[1]:
            continue
        known = found.get(pair)
        kinds = {kind} | set(known.kind if known else "")
        found[pair] = Step(
            pair[1],
            "".join(k for k in "tk" if k in kinds),
            min(int(index), known.index) if known else int(index),
        )
    return found


@cache
def neighbors(space_group: int) -> Neighbors:
    """Maximal subgroups and minimal supergroups of a space group.

    Raises
    ------
    InputError
        The number is not 1 to 230.
    """
    if not 1 <= space_group <= GROUPS:
        raise InputError(f"space group {space_group} does not exist; expected 1 to {GROUPS}")
    down, up = [], []
    for (group, subgroup), step in sorted(_edges().items()):
        if group == space_group:
            down.append(step)
        if subgroup == space_group:
            up.append(Step(group, step.kind, step.index))
    return Neighbors(tuple(down), tuple(up))


@cache
def subgroup_distances() -> NDArray[np.int8]:
    """Steps between any two space groups, up or down.

    Returns
    -------
    (230, 230) int8 array, read-only
        Element (i, j) belongs to the space groups i + 1 and j + 1. Symmetric, zero on the
        diagonal; every group is reached from every other.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import shortest_path

    pairs = np.array(sorted(_edges())) - 1
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(GROUPS, GROUPS))
    steps = shortest_path(graph.tocsr(), directed=False, unweighted=True).astype(np.int8)
    steps.flags.writeable = False
    return steps


def subgroup_distance(first: ArrayLike, second: ArrayLike) -> NDArray[np.int8]:
    """Distance of space groups in the graph of maximal subgroups.

    Parameters
    ----------
    first, second : arrays of int
        Numbers 1 to 230, broadcast against each other.

    Raises
    ------
    InputError
        A number is not 1 to 230.
    """
    a, b = np.asarray(first), np.asarray(second)
    for numbers in (a, b):
        if numbers.size and not (numbers.min() >= 1 and numbers.max() <= GROUPS):
            raise InputError(
                f"space groups {numbers.min()} to {numbers.max()}; expected 1 to {GROUPS}"
            )
    return subgroup_distances()[a - 1, b - 1]


def chance_distance(true: ArrayLike) -> float:
    """Mean distance of wrong answers that are drawn from the true labels without looking.

    What a guess with the right frequencies would have: the yardstick for the mean distance of a
    network's wrong answers.

    Parameters
    ----------
    true : (B,) array of int
        True space groups.
    """
    share = np.bincount(np.asarray(true), minlength=GROUPS + 1)[1:].astype(float)
    weight = np.outer(share, share)
    np.fill_diagonal(weight, 0)
    if not weight.any():
        return float("nan")
    return float((weight * subgroup_distances()).sum() / weight.sum())
