"""The library of prototypes that CrystalNet ships: `ase_crystalnet/grains/data/prototypes.json.gz`.

    python benchmarks/prototype_library.py [--data DIR] [--output FILE]

From AFLOW's prototypes as pymatgen ships them (MIT licence; Mehl et al. 2017, Hicks et al. 2019;
each entry names the determination it is from) and, with DIR or $CRYSTALNET_DATA, the bulk
prototypes of Leitherer, Ziletti and Ghiringhelli, Nat. Commun. 12, 6234 (2021), CC BY 4.0.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import spglib
from ase import Atoms
from ase.io import read
from common import show

#: Folders of Leitherer's prototypes that are crystals in three dimensions and not among AFLOW's.
FOLDERS = ("Ternaries", "Quaternaries")
LEITHERER = "Leitherer et al., Nat. Commun. 12, 6234 (2021)"


def _entry(atoms: Atoms, symprec: float = 0.01) -> dict[str, Any] | None:
    given = (atoms.cell.array, atoms.get_scaled_positions(), atoms.numbers)
    known = spglib.get_symmetry_dataset(given, symprec=symprec)
    primitive = spglib.find_primitive(given, symprec=symprec)
    if known is None or primitive is None:
        return None
    lattice, places, numbers = primitive
    return {
        "space_group": int(known.number),
        "cell": np.round(lattice, 4).tolist(),
        "positions": np.round(places % 1.0, 5).tolist(),
        "numbers": [int(number) for number in numbers],
    }


def _source(references: str) -> str:
    """Authors, journal, volume, page and year of the first reference of a BibTeX list."""

    def field(name: str) -> str:
        found = re.search(rf"\b{name} = [\"{{]+(.*?)[\"}}]+,?\n", references)
        return re.sub(r"\s+", " ", re.sub(r"[{}]", "", found.group(1))).strip() if found else ""

    authors = [each.split()[-1] if each else "" for each in field("author").split(" and ")]
    if len(authors) > 2:
        authors = [f"{authors[0]} et al."]
    parts = [" and ".join(authors), field("journal"), field("volume"), field("page_first")]
    year = field("year")
    return ", ".join(part for part in parts if part) + (f" ({year})" if year else "")


def aflow() -> list[dict[str, Any]]:
    """AFLOW's prototypes."""
    path = files("pymatgen.analysis.prototypes") / "aflow_prototypes.json.gz"
    with path.open("rb") as raw, gzip.open(raw) as file:
        given = json.load(file)
    result = []
    for each in given:
        structure, tags = each["snl"], each["tags"]
        names = [site["species"][0]["element"] for site in structure["sites"]]
        names = ["H" if name in ("D", "T") else name for name in names]
        places = [site["abc"] for site in structure["sites"]]
        atoms = Atoms(names, cell=structure["lattice"]["matrix"], scaled_positions=places, pbc=True)
        entry = _entry(atoms)
        if entry is None:
            continue
        strukturbericht = tags["strukturbericht"]
        head = {
            "label": tags["aflow"],
            "strukturbericht": "" if strukturbericht == "None" else strukturbericht,
            "name": tags["mineral"].replace("\\", "").replace("{", "").replace("}", ""),
            "formula": atoms.symbols.get_chemical_formula("metal", empirical=True),
            "source": f"AFLOW; {_source(structure['about']['references'])}",
        }
        result.append(head | entry)
    return result


def leitherer(data: Path) -> list[dict[str, Any]]:
    """The bulk crystals of Leitherer et al."""
    result = []
    for folder in FOLDERS:
        for path in sorted((data / "prototypes" / folder).glob("*/*.in")):
            atoms = read(path, format="aims")
            entry = _entry(atoms, symprec=0.02)
            if entry is None:
                continue
            head = {
                "label": "",
                "strukturbericht": "",
                "name": path.parent.name.replace("_", " "),
                "formula": atoms.symbols.get_chemical_formula("metal", empirical=True),
                "source": LEITHERER,
            }
            result.append(head | entry)
    return result


def main() -> None:
    """Write the library."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CRYSTALNET_DATA"))
    default = Path(__file__).parents[1] / "ase_crystalnet" / "grains" / "data"
    parser.add_argument("--output", type=Path, default=default / "prototypes.json.gz")
    given = parser.parse_args()
    entries = aflow()
    if given.data is not None:
        entries += leitherer(given.data)
    lines = (json.dumps(entry, separators=(",", ":")) for entry in entries)
    text = "[\n" + ",\n".join(lines) + "\n]\n"
    buffer = io.BytesIO()
    # Without a time, so that the same library is the same file.
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0, compresslevel=9) as file:
        file.write(text.encode())
    given.output.write_bytes(buffer.getvalue())
    show(f"{given.output}: {len(entries)} prototypes, {given.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
