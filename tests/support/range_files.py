"""Ranges written as a file, to be read again."""

from __future__ import annotations

from pathlib import Path

from ase_crystalnet.atom_probe.files.ranges import RangeTable

#: Cubic Angstrom in a cubic nanometre, the unit of the file.
NM3 = 1000.0


def write_rrng(path: str | Path, table: RangeTable) -> None:
    """Write ranges as .rrng, so that `read_ranges` gives the same ions and ranges again.

    Parameters
    ----------
    path : str or Path
        Replaced if it is there.
    table : RangeTable
        Ions without a range have no place in the format and are left out.
    """
    names = [
        part
        for i in dict.fromkeys(table.ion.tolist())
        for part, _ in table.ions[i].composition or ((table.ions[i].name, 1),)
    ]
    names = list(dict.fromkeys(names))
    lines = ["[Ions]", f"Number={len(names)}"]
    lines += [f"Ion{number}={name}" for number, name in enumerate(names, 1)]
    lines += ["[Ranges]", f"Number={len(table)}"]
    for number, (low, high, index) in enumerate(
        zip(table.low, table.high, table.ion, strict=True), 1
    ):
        ion = table.ions[index]
        volume = ion.volume / NM3 if ion.volume > 0 else 0.0
        words = [f"Range{number}={low:.9g} {high:.9g} Vol:{volume:.5f}"]
        words += [f"{part}:{n}" for part, n in ion.composition] or [f"Name:{ion.name}"]
        words.append("Color:" + "".join(f"{round(255 * c):02X}" for c in ion.color))
        lines.append(" ".join(words))
    Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
