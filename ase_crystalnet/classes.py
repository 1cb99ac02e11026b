"""The vocabulary of classes: names, colours, Bravais types, cells, OVITO's structure types.

Classes keep one colour everywhere: the hues of OVITO's structure types (fcc green, hcp red, bcc
blue, sc violet, diamond sky blue), in shades that eyes without red or green cones tell apart too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError

__all__ = [
    "CLASSES",
    "CLASS_COLORS",
    "DISORDERED",
    "OTHER",
    "REFUSED",
    "STACKED",
    "STRUCTURES",
    "VOCABULARY",
    "CrystalClass",
    "checked_certainty",
    "class_colors",
    "flat_below",
    "labels_of",
    "stacking_class",
]


@dataclass(frozen=True)
class CrystalClass:
    """What a class is called, and everything that goes with its name.

    Attributes
    ----------
    name : str
    color : str
        Hexadecimal, in figures.
    bravais : tuple of (str, bool, bool)
        Bravais types its crystals may have: centring (P, F, I, R), hexagonal axes, c/a is free.
    cell : tuple of (str, tuple of float) or None
        A typical crystal of it: prototype and parameters of `crystals.prototype`.
    ovito_id, ovito_name, ovito_key : int, str, str
        Structure type in OVITO: polyhedral template matching's (to 8) where it has the type, ids
        of our own from 10 on; the key is that of ``CrystalNet.counts.<key>``.
    ovito_color : tuple of 3 float or None
        Red, green, blue from 0 to 1, where it is PTM's; None: `color`.
    """

    name: str
    color: str
    bravais: tuple[tuple[str, bool, bool], ...]
    cell: tuple[str, tuple[float, ...]] | None
    ovito_id: int
    ovito_name: str
    ovito_key: str
    ovito_color: tuple[float, float, float] | None = None


_TETRAGONAL = (("I", False, True),)
_HEXAGONAL = (("P", True, True),)

VOCABULARY: Mapping[str, CrystalClass] = {
    entry.name: entry
    for entry in (
        CrystalClass(
            "bct139", "#7c5400", _TETRAGONAL, ("bct139", (0.8235,)), 10, "BCT 139", "BCT139"
        ),
        CrystalClass(
            "bct141", "#4d1a00", _TETRAGONAL, ("bct141", (0.5456,)), 11, "BCT 141", "BCT141"
        ),
        CrystalClass(
            "hex/rh",
            "#de680f",
            (("P", True, True), ("R", True, True)),
            ("hcp", (math.sqrt(8 / 3),)),
            2,
            "HEX/RH",
            "HEX_RH",
            (1.0, 0.4, 0.4),
        ),
        CrystalClass(
            "sc",
            "#9b4fa5",
            (("P", False, False),),
            ("sc", ()),
            5,
            "Simple cubic",
            "SC",
            (160 / 255, 20 / 255, 254 / 255),
        ),
        CrystalClass(
            "fcc", "#146853", (("F", False, False),), ("fcc", ()), 1, "FCC", "FCC", (0.4, 1.0, 0.4)
        ),
        CrystalClass(
            "diam",
            "#53c3f9",
            (("F", False, False),),
            ("diam", ()),
            6,
            "Cubic diamond",
            "CUBIC_DIAMOND",
            (19 / 255, 160 / 255, 254 / 255),
        ),
        CrystalClass(
            "bcc", "#0b1f59", (("I", False, False),), ("bcc", ()), 3, "BCC", "BCC", (0.4, 0.4, 1.0)
        ),
        CrystalClass(
            "hcp",
            "#de680f",
            _HEXAGONAL,
            ("hcp", (math.sqrt(8 / 3),)),
            2,
            "HCP",
            "HCP",
            (1.0, 0.4, 0.4),
        ),
        CrystalClass(
            "dhcp", "#e772c0", _HEXAGONAL, ("dhcp", (2 * math.sqrt(8 / 3),)), 13, "DHCP", "DHCP"
        ),
        CrystalClass(
            "hexdiam",
            "#22e191",
            _HEXAGONAL,
            ("hexdiamond", (math.sqrt(8 / 3),)),
            7,
            "Hexagonal diamond",
            "HEX_DIAMOND",
            (0.0, 200 / 255, 180 / 255),
        ),
        CrystalClass(
            "graphite",
            "#000000",
            (("P", True, True), ("R", True, True)),
            ("graphite", (2.726,)),
            14,
            "Graphite",
            "GRAPHITE",
        ),
        CrystalClass(
            "rh",
            "#552b44",
            (("R", True, True),),
            ("alpha-As", (2.605, 0.2341)),
            15,
            "Rhombohedral",
            "RHOMBOHEDRAL",
        ),
        CrystalClass("other", "#fae03e", (), None, 16, "Other-crystal", "OTHER_CRYSTAL"),
        CrystalClass("disordered", "#9e9e9e", (), None, 12, "Disordered", "DISORDERED"),
    )
}
"""All classes that a model of windows may have, by their names."""

CLASSES = ("bct139", "bct141", "hex/rh", "sc", "fcc", "diam", "bcc", "disordered")
"""Symmetries, in the order of the probabilities of the model "local": Ziletti et al. 2018, Table 1,
and disordered matter."""

STRUCTURES = (
    "fcc", "bcc", "sc", "diam", "hcp", "dhcp", "hexdiam", "graphite", "bct141", "rh", "bct139",
    "other", "disordered",
)  # fmt: skip
"""Structure types, in the order of the probabilities of the model "structure". ``rh``: alpha-As and
its kin, alpha-Hg, beta-Po; ``bct139`` beyond the limit of strain of fcc and bcc (alpha-Pa);
``other``: a crystal, but none of these."""

OTHER = "other"
"""Class of crystals that have no name of their own."""

STACKED: Mapping[str, str] = {
    "fcc": "cubic",
    "diam": "diamond",
    "hex/rh": "hexagonal",
    "hcp": "hexagonal",
    "dhcp": "hexagonal",
    "hexdiam": "hexagonal",
}
"""Classes whose crystals are stackings of close-packed planes or double layers, and their lattice:
face-centred cubic with one atom or two, or hexagonal with some layers (graphite and A7 crystals,
which are hex/rh too, are told apart by their cells)."""

_STACKING_CLASSES = {"fcc": ("fcc",), "hcp": ("hcp", "hex/rh")}
_STACKING_CLASSES_OF_DIAMOND = {"fcc": ("diam",), "hcp": ("hexdiam", "hex/rh")}


def stacking_class(classes: Sequence[str], stacking: str, diamond: bool = False) -> int | None:
    """Number of the class that an atom of one stacking belongs to; None if there is none.

    Where that class was left out it is "other".

    Parameters
    ----------
    classes : sequence of str
    stacking : {'fcc', 'hcp'}
    diamond : bool
        Of double layers.
    """
    names = (_STACKING_CLASSES_OF_DIAMOND if diamond else _STACKING_CLASSES)[stacking]
    return next((list(classes).index(name) for name in (*names, OTHER) if name in classes), None)


DISORDERED = "disordered"
"""Class of matter without a lattice: liquids, glasses, gases."""

REFUSED = "refused"
"""What a refused atom (label -1) is called where a name is needed; never an empty string, which
whitespace-separated formats such as extxyz cannot hold."""

CLASS_COLORS: Mapping[str, str] = {
    **{name: entry.color for name, entry in VOCABULARY.items()},
    REFUSED: "#e8e8e8",
}
"""Colour of each class, and of refused atoms."""


_MORE_COLORS = ("#cc79a7", "#44aa99", "#332288", "#999933", "#882255", "#117733")


def class_colors(classes: Sequence[str]) -> dict[str, str]:
    """Colour of each class, and of ``'refused'``; classes of other models get further colours."""
    spare = iter(_MORE_COLORS * (1 + len(classes) // len(_MORE_COLORS)))
    colors = {name: CLASS_COLORS.get(name) or next(spare) for name in classes}
    return {**colors, REFUSED: CLASS_COLORS[REFUSED]}


def flat_below(classes: int) -> float:
    """Certainty below which an answer is flat: which of so many classes is likeliest is chance.

    That is 0.05 above what each would have if they were all alike, and at most 1.5 times it.
    """
    return min(1 / classes + 0.05, 1.5 / classes)


def labels_of(
    probabilities: NDArray[np.float32], min_certainty: float | None = None
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """Labels and certainty of some answers (Vecsei et al. 2019, Eq. 13).

    Parameters
    ----------
    probabilities : (B, C) array
        nan where nothing is known.
    min_certainty : float, optional
        Answers that are less certain are refused; None refuses none but flat ones, of which no
        class is likelier than by chance (see `flat_below`): none of them is printed as a name.

    Returns
    -------
    labels : (B,) int16 array
        Most probable class; -1 where refused, flat or nothing is known.
    certainty : (B,) float32 array
        max_i p_i; nan where nothing is known.
    """
    known = np.asarray(np.isfinite(probabilities).all(axis=1))
    safe = np.where(known[:, None], probabilities, 0)
    labels = safe.argmax(axis=1).astype(np.int16)
    certainty = np.where(known, safe.max(axis=1, initial=0), np.nan).astype(np.float32)
    threshold = max(min_certainty or 0.0, flat_below(probabilities.shape[1]))
    labels[~known | ~(certainty >= threshold)] = -1
    return labels, certainty


def checked_certainty(min_certainty: float | None) -> float | None:
    """A threshold of certainty that makes sense.

    Raises
    ------
    InputError
        It is not between 0 and 1.
    """
    if min_certainty is not None and not 0.0 <= min_certainty <= 1.0:
        raise InputError(f"min_certainty={min_certainty!r} is not between 0 and 1 (or None)")
    return min_certainty
