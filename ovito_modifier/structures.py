"""Structure types of the classes: ids, names and colours as OVITO's users know them.

A class that polyhedral template matching (PTM) has, too, keeps PTM's id and colour, so that
expressions, colour legends and scripts written for PTM go on working. The others have ids of
their own from 10 on (PTM ends at 8) and the colours of `ase_crystalnet.classes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ase_crystalnet.classes import VOCABULARY, class_colors

__all__ = ["KNOWN", "OTHER", "PTM_IDS", "StructureType", "structure_types"]

Color = tuple[float, float, float]


@dataclass(frozen=True)
class StructureType:
    """One entry of the list of types.

    Attributes
    ----------
    id : int
        Value of the property ``Structure Type``.
    name : str
        As shown in OVITO.
    key : str
        In the names of attributes: ``CrystalNet.counts.<key>``.
    component : str
        In the names of vector components, as they can be written in OVITO's expressions.
    color : tuple of 3 float
        Red, green, blue from 0 to 1.
    """

    id: int
    name: str
    key: str
    component: str
    color: Color


#: Highest id that PTM and the modifiers made for it know.
PTM_IDS = 8
#: First id for classes that only a user's own model has.
FIRST_SPARE_ID = 20


def _hex(color: str) -> Color:
    red, green, blue = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


OTHER = StructureType(0, "Other", "OTHER", "other", (0.95, 0.95, 0.95))
"""Refused, unselected, or of a class that is switched off."""

KNOWN: dict[str, StructureType] = {
    name: StructureType(
        entry.ovito_id,
        entry.ovito_name,
        entry.ovito_key,
        name.replace("/", "_"),
        entry.ovito_color or _hex(entry.color),
    )
    for name, entry in VOCABULARY.items()
}
"""Types of the classes of the shipped model."""


def structure_types(classes: Sequence[str]) -> tuple[StructureType, ...]:
    """Types of a model's classes, in their order; classes of other models get ids from 20 on."""
    colors = class_colors(classes)
    types = []
    for number, name in enumerate(classes):
        safe = "".join(letter if letter.isalnum() else "_" for letter in name)
        spare = StructureType(
            FIRST_SPARE_ID + number,
            name,
            safe.upper(),
            safe,
            _hex(colors[name]),
        )
        types.append(KNOWN.get(name, spare))
    return tuple(types)
