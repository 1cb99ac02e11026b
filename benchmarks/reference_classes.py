"""Known crystals as classes per window: named where they are, refused where they are not.

    python benchmarks/reference_classes.py [--data DIR] [--stride 6] [--json FILE] [PART ...]

Parts: types, relatives, liquids, aflow (default: all). Balls of 1,500 atoms in random orientation;
counted are atoms within 0.7 of the radius. In "relatives" all crystals are of one species and one
volume an atom: only geometry tells them apart. DIR, or $CRYSTALNET_DATA, holds the AFLOW
prototypes; without it they are left out.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from common import markdown, show, where, write_json
from crystals import TYPES, ball
from numpy.typing import NDArray

from ase_crystalnet import crystals
from ase_crystalnet.grains import Reference, load_references
from ase_crystalnet.grains.reference_classes import recognise

#: Displacements in nearest-neighbour distances, share of vacancies.
CONDITIONS = ((0.04, 0.0), (0.08, 0.0), (0.11, 0.0), (0.06, 0.2), (0.06, 0.4))
#: Crystals whose atoms have the same places.
ALIKE = ({"NaCl", "sc"}, {"CsCl", "bcc"}, {"zincblende", "diamond"}, {"L1_2", "L1_0", "fcc"})
#: Volume of an atom of the relatives, Angstrom^3.
VOLUME = 12.0


def inside(atoms: Atoms) -> NDArray[np.bool_]:
    """Atoms whose windows are whole."""
    far = np.linalg.norm(atoms.positions, axis=1)
    return np.asarray(far < 0.7 * far.max())


def named(cell: Atoms, name: str) -> Reference:
    """A reference of this name."""
    cell = cell.copy()
    cell.info["name"] = name
    return load_references([cell])[0]


def types(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Eighteen structure types, each as its own reference."""
    rows = []
    for name, (cell, _) in TYPES.items():
        row: dict[str, Any] = {"structure": name}
        for sigma, vacancies in CONDITIONS:
            atoms = ball(cell, 1500, sigma, vacancies, rng)
            found = recognise(atoms, [named(cell, name)]).certainty[inside(atoms), 0]
            key = f"{sigma:.2f}" + (f" + {100 * vacancies:.0f} % vacancies" if vacancies else "")
            row[key] = round(100 * float((found > 0.5).mean()), 1)
        rows.append(row)
        show(str(row))
    return rows


def relatives(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Atoms that get the name of another crystal, percent, and how sure the right ones are."""
    cells = {name: cell.copy() for name, (cell, _) in TYPES.items()}
    cells |= {"bcc": crystals.bcc(), "sc": crystals.sc()}
    for cell in cells.values():
        cell.numbers[:] = 29
        factor = (VOLUME * len(cell) / cell.get_volume()) ** (1 / 3)
        cell.set_cell(cell.cell.array * factor, scale_atoms=True)
    references = {name: named(cell, name) for name, cell in cells.items()}
    rows = []
    for sigma, vacancies in CONDITIONS:
        own, other, worst = [], [], (0.0, "")
        for name, cell in cells.items():
            atoms = ball(cell, 1500, sigma, vacancies, rng)
            rows_in = inside(atoms)
            for known, reference in references.items():
                found = recognise(atoms, [reference]).certainty[rows_in, 0]
                if known == name:
                    own.append(found)
                elif not any({known, name} <= group for group in ALIKE):
                    other.append(found)
                    wrong = 100 * float((found > 0.5).mean())
                    worst = max(worst, (wrong, f"{name} as {known}"))
        right, false = np.concatenate(own), np.concatenate(other)
        rows.append(
            {
                "sigma": sigma,
                "vacancies, %": round(100 * vacancies),
                "named rightly, %": round(100 * float((right > 0.5).mean()), 2),
                "mean certainty of these, %": round(100 * float(right[right > 0.5].mean()), 2),
                "named wrongly, %": round(100 * float((false > 0.5).mean()), 3),
                "worst pair": f"{worst[1]}, {worst[0]:.1f} %" if worst[0] else "none",
            }
        )
        show(str(rows[-1]))
    return rows


def liquids(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Random packings asked for each of the types."""
    rows = []
    for density in (0.9, 1.0, 1.1, 1.2, 1.3):
        worst = []
        for name, (cell, _) in TYPES.items():
            atoms = crystals.random_packing(2000, density=density, rng=rng)
            atoms.numbers = rng.choice(cell.numbers, len(atoms))
            volume = cell.get_volume() / len(cell) * len(atoms) / atoms.get_volume()
            atoms.set_cell(atoms.cell.array * volume ** (1 / 3), scale_atoms=True)
            found = recognise(atoms, [named(cell, name)]).certainty
            worst.append(float((found > 0.5).mean()))
        rows.append({"density": density, "named, %": round(100 * float(np.mean(worst)), 4)})
        show(str(rows[-1]))
    return rows


def aflow(data: Path, stride: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """AFLOW's prototypes up to 100 sites, each as its own reference."""
    bins = ((1, 4), (5, 16), (17, 40), (41, 100))
    shares: dict[tuple[int, int], dict[float, list[float]]] = {}
    seconds: dict[tuple[int, int], list[float]] = {}
    with gzip.open(data / "prototypes" / "aflow_prototypes.json.gz") as file:
        entries = json.load(file)
    for entry in entries[::stride]:
        structure = entry["snl"]
        names = [site["species"][0]["element"] for site in structure["sites"]]
        names = ["H" if name in ("D", "T") else name for name in names]
        places = [site["abc"] for site in structure["sites"]]
        cell = Atoms(names, cell=structure["lattice"]["matrix"], scaled_positions=places, pbc=True)
        reference = named(cell, entry["tags"]["aflow"])
        sites = len(reference.positions)
        size = next((each for each in bins if each[0] <= sites <= each[1]), None)
        if size is None:
            continue
        for sigma in (0.04, 0.08):
            atoms = ball(cell, 1500, sigma, 0.0, rng)
            start = time.perf_counter()
            found = recognise(atoms, [reference]).certainty[inside(atoms), 0]
            seconds.setdefault(size, []).append(time.perf_counter() - start)
            share = float((found > 0.5).mean())
            shares.setdefault(size, {}).setdefault(sigma, []).append(share)
            if share < 0.98:
                show(f"{reference.name} {cell.symbols} {sites} sites, sigma {sigma}: {share:.2f}")
    return [
        {
            "sites": f"{low}-{high}",
            "prototypes": len(found[0.04]),
            **{f"sigma {s:.2f}": round(100 * float(np.mean(x)), 1) for s, x in found.items()},
            "seconds, 1,500 atoms": round(float(np.median(seconds[low, high])), 2),
        }
        for (low, high), found in sorted(shares.items())
    ]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help="default: all of them")
    parser.add_argument("--stride", type=int, default=6, help="of the prototypes of AFLOW")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=os.environ.get("CRYSTALNET_DATA"))
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results" / "reference_classes.json"
    )
    given = parser.parse_args()
    os.environ.setdefault("SPGLIB_WARNING", "OFF")
    rng = np.random.default_rng(given.seed)
    made = {
        "types": lambda: types(rng),
        "relatives": lambda: relatives(rng),
        "liquids": lambda: liquids(rng),
        "aflow": lambda: aflow(Path(given.data), given.stride, rng) if given.data else [],
    }
    if unknown := set(given.parts) - set(made):
        parser.error(f"unknown parts {', '.join(sorted(unknown))}; expected {', '.join(made)}")
    results: dict[str, Any] = {}
    if given.json.exists():
        # Parts that are not run this time are kept, each with what made it.
        results = json.loads(given.json.read_text()).get("parts", {})
    for name in given.parts or made:
        rows = made[name]()
        if not rows:
            continue
        show(f"\n{name}\n")
        show(markdown(list(rows[0]), [list(row.values()) for row in rows]) + "\n")
        results[name] = {"command": where()["command"], "rows": rows}
        write_json(given.json, {"parts": results})


if __name__ == "__main__":
    main()
