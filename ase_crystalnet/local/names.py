"""What names mean: structures, or the symmetries that a window has as it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classes import DISORDERED, OTHER, STRUCTURES
from ase_crystalnet.errors import InputError
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.lattice.finder import LatticeFinder
from ase_crystalnet.lattice.parent import SuperlatticeFinder
from ase_crystalnet.lattice.strain import PARENTS, STRAIN_LIMIT, ParentFinder, Strains
from ase_crystalnet.local.images import ImageMaker

__all__ = [
    "MEANINGS",
    "image_maker",
    "kept_classes",
    "meaning_of",
    "model_of",
    "naming_of",
    "only_kept",
    "share_with_rival",
]

#: What a class name can mean, and the model that answers it.
MEANINGS = ("structure", "symmetry")
MODELS = {"structure": "structure", "symmetry": "local"}


def meaning_of(
    classes: str | Sequence[str] | None,
) -> tuple[str | None, tuple[str, ...] | None]:
    """What names mean, and the structures that were chosen; None where that is left open.

    Raises
    ------
    InputError
        A name is no structure.
    """
    if classes is None or isinstance(classes, str):
        # The name of one structure is a choice of one.
        if classes in STRUCTURES:
            return "structure", (str(classes),)
        return classes, None
    chosen = tuple(classes)
    unknown = [name for name in chosen if name not in STRUCTURES]
    if unknown or not chosen:
        raise InputError(
            f"classes={chosen!r}: expected names of structures, some of {', '.join(STRUCTURES)}"
        )
    return "structure", chosen


def model_of(meaning: str | None) -> str:
    """Name of the shipped model that answers a question; `image_maker` refuses unknown ones."""
    return MODELS.get(meaning or "structure", MODELS["structure"])


def kept_classes(classes: tuple[str, ...], chosen: tuple[str, ...] | None) -> tuple[str, ...]:
    """Classes of the answers where some were chosen: these, other and disordered.

    Raises
    ------
    InputError
        The model does not name structures.
    """
    if chosen is None:
        return classes
    if OTHER not in classes:
        raise InputError(
            "a choice of structures needs a model that knows 'other'; this one has "
            f"{', '.join(classes)}"
        )
    return tuple(name for name in classes if name in {*chosen, OTHER, DISORDERED})


def only_kept(
    probabilities: NDArray[np.float32], classes: tuple[str, ...], kept: tuple[str, ...]
) -> NDArray[np.float32]:
    """Probabilities (B, K) of the kept classes; that of the structures left out is in 'other'."""
    if kept == classes:
        return probabilities
    columns = [classes.index(name) for name in kept]
    result = probabilities[:, columns]
    gone = np.setdiff1d(np.arange(len(classes)), columns)
    result[:, kept.index(OTHER)] += probabilities[:, gone].sum(axis=1)
    return result


def image_maker(
    fingerprint: Fingerprint, classes: str = "structure", strain_limit: float | None = None
) -> ImageMaker:
    """The stages between a window and the network, for names of one meaning.

    Parameters
    ----------
    fingerprint : Fingerprint
        With the constants of a model's card.
    classes : {'structure', 'symmetry'}
    strain_limit : float, optional
        Largest principal logarithmic stretch that is taken for a strain; by default 0.10.

    Raises
    ------
    InputError
        The meaning is unknown, the limit is out of range, or is given although strain stays in.
    """
    if classes not in MEANINGS:
        raise InputError(
            f"classes={classes!r} is unknown; expected {' or '.join(map(repr, MEANINGS))}"
        )
    if classes == "symmetry":
        if strain_limit is not None:
            raise InputError(
                "strain_limit does not apply to classes='symmetry', which leaves the strain in; "
                "leave it out"
            )
        return ImageMaker(LatticeFinder(), fingerprint)
    limit = STRAIN_LIMIT if strain_limit is None else strain_limit
    return ImageMaker(LatticeFinder(), fingerprint, SuperlatticeFinder(), ParentFinder(limit))


def naming_of(images: ImageMaker, chosen: tuple[str, ...] | None = None) -> dict[str, str | float]:
    """What names mean with these stages, for the record of a result."""
    if images.strains is None:
        return {"names": "symmetry"}
    choice = {} if chosen is None else {"chosen": " ".join(chosen)}
    return {"names": "structure", "strain_limit": images.strains.limit, **choice}


def share_with_rival(
    probabilities: NDArray[np.float32], classes: tuple[str, ...], strains: Strains
) -> None:
    """Give a name's probability to the name of the second nearest parent as far as that is near.

    On the Bain path from bcc to fcc a lattice is taken for the nearer one and its strain undone, so
    that the network sees a perfect crystal of it and is certain. How near the other one is, it
    cannot see; `Strains.margin` says it: in the middle both have one half.

    Parameters
    ----------
    probabilities : (B, C) float32 array
        Changed in place, where the most probable class is that of the nearest parent.
    classes : tuple of str
        Names of the C classes.
    strains : Strains
        Of the B windows.
    """
    numbers = np.array([classes.index(name) if name in classes else -1 for name in PARENTS])
    own = np.where(strains.parent >= 0, numbers[strains.parent], -1)
    other = np.where(strains.rival >= 0, numbers[strains.rival], -1)
    best = probabilities.argmax(axis=1)
    rows = np.flatnonzero((own >= 0) & (other >= 0) & (best == own))
    moved = probabilities[rows, own[rows]] * (1 - strains.margin[rows]).astype(np.float32)
    probabilities[rows, own[rows]] -= moved
    probabilities[rows, other[rows]] += moved
