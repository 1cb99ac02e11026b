"""Splits of structures that say what a network has learned, and how often each is drawn.

A random split measures how well relatives of the training structures are recognized: databases
hold the same compound many times. So one test set holds no chemical system, and another no
structure type, that occurs in training.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.training.powder.synthetic import SYNTHETIC
from ase_crystalnet.xrd.simulated.structures import StructureSet

__all__ = ["SPLITS", "sampling_weights", "split_structures"]

SPLITS = ("train", "random", "composition", "type")


def split_structures(
    structures: StructureSet,
    rng: np.random.Generator,
    *,
    share: float = 0.04,
    keep: NDArray[np.bool_] | None = None,
) -> NDArray[np.str_]:
    """Which set each structure belongs to.

    Parameters
    ----------
    structures : StructureSet
    rng : numpy.random.Generator
    share : float
        Of all structures, in each of the three test sets, about.
    keep : (S,) array of bool, optional
        Structures that must be trained on.

    Returns
    -------
    (S,) array of str
        ``"train"``; ``"random"``, drawn one by one; ``"composition"``, whose set of elements, and
        ``"type"``, whose structure type (space group and sizes of the orbits of occupied
        positions) occurs in no other set.

    Raises
    ------
    InputError
        The share leaves nothing to train on.
    """
    if not 0 < share < 0.3:
        raise InputError(f"the share of a test set is {share}; expected above 0 and below 0.3")
    size = len(structures)
    result = np.full(size, "train", dtype="<U11")
    keep = np.zeros(size, bool) if keep is None else keep
    for name, groups in (
        ("composition", structures.elements),
        ("type", structures.structure_type),
    ):
        _, label, counts = np.unique(groups, return_inverse=True, return_counts=True)
        # A group larger than the test set itself would be the test set.
        small = counts <= 0.1 * share * size + 1
        small[np.unique(label[keep])] = False
        order = rng.permutation(np.flatnonzero(small))
        wanted = share * size
        taken = order[: np.searchsorted(np.cumsum(counts[order]), wanted) + 1]
        chosen = np.isin(label, taken)
        # Free of the other split's structures: those of both belong to neither test nor training.
        result[chosen & (result != "train")] = "both"
        result[chosen & (result == "train")] = name
    rest = np.flatnonzero((result == "train") & ~keep)
    result[rng.permutation(rest)[: int(share * size)]] = "random"
    return result


def sampling_weights(
    structures: StructureSet,
    *,
    mineral: float = 4.0,
    favored: tuple[str, ...] = (),
    favor: float = 1.0,
    balance: float = 0.0,
    synthetic: float = 0.0,
) -> NDArray[np.float64]:
    """Probability (S,) with which training draws each structure.

    Parameters
    ----------
    structures : StructureSet
    mineral : float
        Times more often than others that entries of minerals are drawn; the entries of one
        mineral share what the root of their number would get, because quartz and olivine fill
        pages of the database.
    favored, favor
        Sources drawn `favor` times more often still.
    balance : float
        Exponent of the imbalance of space groups: 0 leaves it, 1 makes all equally frequent.
    synthetic : float
        Share of random crystals (`synthetic.SYNTHETIC`), where there are any and others.
    """
    weights = np.ones(len(structures))
    is_mineral = structures.mineral != ""
    if is_mineral.any():
        names = np.array([_species(name) for name in structures.mineral[is_mineral]])
        _, label, counts = np.unique(names, return_inverse=True, return_counts=True)
        part = counts[label] ** -0.5
        weights[is_mineral] = mineral * part / part.mean()
    weights[np.isin(structures.source, favored)] *= favor
    total = np.bincount(structures.space_group, weights, minlength=231)
    weights *= total[structures.space_group] ** -balance
    random = structures.source == SYNTHETIC
    if random.any() and not random.all():
        weights[random] *= synthetic / weights[random].sum()
        weights[~random] *= (1 - synthetic) / weights[~random].sum()
    return np.asarray(weights / weights.sum())


def _species(name: Any) -> str:
    return str(name).split("-(")[0].strip().lower()
