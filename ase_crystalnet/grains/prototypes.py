"""Names of common structure types, by space group and the sizes of the orbits of each species."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["TYPES", "StructureType", "structure_type"]


@dataclass(frozen=True)
class StructureType:
    """A structure type.

    Attributes
    ----------
    name : str
        Strukturbericht symbol where there is one, and the name in use.
    space_group : int
    orbits : tuple of tuple of int
        Of each kind of site, sizes of its orbits in the conventional cell, ascending.
    bonds : tuple of (int, int), optional
        Bounds of the number of neighbours within 1.15 of the nearest, averaged over the sites,
        where orbits alone do not tell types apart.
    """

    name: str
    space_group: int
    orbits: tuple[tuple[int, ...], ...]
    bonds: tuple[float, float] = (0, 99)


#: Orbits as in AFLOW's encyclopedia of prototypes: Mehl et al., Comput. Mater. Sci. 136, S1 (2017);
#: Hicks et al., ibid. 161, S1 (2019) and 199, 110450 (2021).
TYPES: tuple[StructureType, ...] = (
    StructureType("A1 (fcc)", 225, ((4,),)),
    StructureType("A2 (bcc)", 229, ((2,),)),
    StructureType("A3 (hcp)", 194, ((2,),)),
    StructureType("A3' (dhcp)", 194, ((2, 2),), (5, 13)),
    StructureType("A9 (graphite)", 194, ((2, 2),), (2, 4.5)),
    StructureType("lonsdaleite", 194, ((4,),), (3.5, 4.5)),
    StructureType("A4 (diamond)", 227, ((8,),)),
    StructureType("A5 (beta-Sn)", 141, ((4,),)),
    StructureType("A6 (In)", 139, ((2,),)),
    StructureType("A7 (As)", 166, ((6,),)),
    StructureType("A10 (alpha-Hg)", 166, ((3,),)),
    StructureType("A12 (alpha-Mn)", 217, ((2, 8, 24, 24),)),
    StructureType("A13 (beta-Mn)", 213, ((8, 12),)),
    StructureType("A15 (Cr3Si)", 223, ((2,), (6,))),
    StructureType("A_h (sc)", 221, ((1,),)),
    StructureType("B1 (NaCl)", 225, ((4,), (4,))),
    StructureType("B2 (CsCl)", 221, ((1,), (1,))),
    StructureType("B3 (zincblende)", 216, ((4,), (4,))),
    StructureType("B4 (wurtzite)", 186, ((2,), (2,))),
    StructureType("B8_1 (NiAs)", 194, ((2,), (2,))),
    StructureType("B19 (AuCd)", 51, ((2,), (2,))),
    StructureType("B32 (NaTl)", 227, ((8,), (8,))),
    StructureType("B_h (WC)", 187, ((1,), (1,))),
    StructureType("L1_0 (CuAu)", 123, ((1,), (1,))),
    StructureType("L1_1 (CuPt)", 166, ((3,), (3,))),
    StructureType("L1_2 (Cu3Au)", 221, ((1,), (3,))),
    StructureType("L2_1 (Heusler)", 225, ((4,), (4,), (8,))),
    StructureType("C1 (fluorite)", 225, ((4,), (8,))),
    StructureType("C1_b (half-Heusler)", 216, ((4,), (4,), (4,))),
    StructureType("C2 (pyrite)", 205, ((4,), (8,))),
    StructureType("C3 (cuprite)", 224, ((2,), (4,))),
    StructureType("C4 (rutile)", 136, ((2,), (4,))),
    StructureType("C6 (CdI2)", 164, ((1,), (2,))),
    StructureType("C8 (quartz)", 152, ((3,), (6,))),
    StructureType("C8 (quartz)", 154, ((3,), (6,))),
    StructureType("C8 (beta-quartz)", 180, ((3,), (6,))),
    StructureType("C8 (beta-quartz)", 181, ((3,), (6,))),
    StructureType("C11_b (MoSi2)", 139, ((2,), (4,))),
    StructureType("C14 (MgZn2)", 194, ((2, 6), (4,))),
    StructureType("C15 (MgCu2)", 227, ((8,), (16,))),
    StructureType("C16 (CuAl2)", 140, ((4,), (8,))),
    StructureType("C32 (AlB2)", 191, ((1,), (2,))),
    StructureType("D0_3 (BiF3)", 225, ((4,), (4, 8))),
    StructureType("D0_19 (Ni3Sn)", 194, ((2,), (6,))),
    StructureType("D0_22 (Al3Ti)", 139, ((2,), (2, 4))),
    StructureType("D0_23 (Al3Zr)", 139, ((4,), (4, 4, 4))),
    StructureType("D1_a (Ni4Mo)", 87, ((2,), (8,))),
    StructureType("D2_d (CaCu5)", 191, ((1,), (2, 3))),
    StructureType("D5_1 (corundum)", 167, ((12,), (18,))),
    StructureType("E1_1 (chalcopyrite)", 122, ((4,), (4,), (8,))),
    StructureType("E2_1 (perovskite)", 221, ((1,), (1,), (3,))),
    StructureType("H1_1 (spinel)", 227, ((8,), (16,), (32,))),
)


def structure_type(
    space_group: int, orbits: Sequence[Sequence[int]], bonds: float
) -> StructureType | None:
    """The structure type of a crystal; None if it is none of `TYPES`.

    Parameters
    ----------
    space_group : int
    orbits : sequence of sequences of int
        Of each kind of site, sizes of its orbits in the conventional cell.
    bonds : float
        Mean number of neighbours within 1.15 of the nearest.
    """
    key = tuple(sorted(tuple(sorted(int(size) for size in kind)) for kind in orbits))
    for each in TYPES:
        same = each.space_group == space_group and tuple(sorted(each.orbits)) == key
        if same and each.bonds[0] <= bonds <= each.bonds[1]:
            return each
    return None
