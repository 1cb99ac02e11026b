"""Windows on a grid against a window at every atom: how often the labels agree, and at what cost.

    python benchmarks/grid.py [--data DIR] [--atoms 30000] [--json FILE]

Bulk crystals are hot (sigma 0.08 of the neighbour distance) or incomplete. The bicrystal, the
sodium interface and the nucleus in its melt are files of others; they are left out where DIR (or
$CRYSTALNET_DATA) does not hold them.
"""

from __future__ import annotations

import argparse
import gzip
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ase import Atoms
from ase.io import read
from common import markdown, show, write_json

from ase_crystalnet import CrystalNet, crystals

MODES = ("grid", "adaptive")


def bulk_crystals(atoms: int) -> Iterator[tuple[str, Atoms]]:
    """Bulk crystals, hot and incomplete."""
    for name in ("fcc", "bcc", "hex/rh", "diam"):
        for label, sigma, vacancies in (("hot", 0.08, 0.0), ("40 % missing", 0.05, 0.4)):
            cell = crystals.unit_cell(name)
            yield (
                f"{name}, {label}",
                crystals.supercell(cell, atoms, sigma=sigma, vacancies=vacancies, rng=1),
            )


def files(data: Path | None) -> Iterator[tuple[str, Atoms]]:
    """Two phases, two grains: structures that others made."""
    if data is None:
        return
    interface = data / "md/lammps_examples/data.interface"
    if interface.is_file():
        yield "Na, bcc and its melt", read(interface, format="lammps-data")
    bicrystal = data / "md/lammps_examples/data.sigma5.gz"
    if bicrystal.is_file():
        with gzip.open(bicrystal, "rt") as stream:
            yield "fcc, sigma-5 boundaries", read(stream, format="lammps-data")
    nucleus = data / "md/pyscal/cluster.dump"
    if nucleus.is_file():
        yield "nucleus in its melt", read(nucleus, format="lammps-dump-text")


def compare(net: CrystalNet, name: str, atoms: Atoms) -> dict[str, Any]:
    """Agreement of each mode with a window at every atom, and windows and seconds of each."""
    start = time.perf_counter()
    wanted = net.analyze(atoms).atom_labels
    row: dict[str, Any] = {
        "structure": name,
        "atoms": len(atoms),
        "seconds at atoms": time.perf_counter() - start,
    }
    for mode in MODES:
        start = time.perf_counter()
        frame = net.analyze(atoms, centers=mode)
        row[f"seconds, {mode}"] = time.perf_counter() - start
        row[f"windows, {mode}"] = frame.number_of_windows
        row[f"agree, {mode}, %"] = 100 * float((frame.atom_labels == wanted).mean())
    return row


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("CRYSTALNET_DATA"))
    parser.add_argument("--atoms", type=int, default=30_000)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    net = CrystalNet()
    net.analyze(crystals.supercell(crystals.fcc(), 500))  # compiles
    data = None if given.data is None else Path(given.data)
    rows = []
    for source in (bulk_crystals(given.atoms), files(data)):
        for name, atoms in source:
            rows.append(compare(net, name, atoms))
            show(f"{name}: " + ", ".join(f"{rows[-1][f'agree, {m}, %']:.2f} % {m}" for m in MODES))
            write_json(given.json, {"rows": rows})
    header = list(rows[0])
    show(
        markdown(
            header,
            [
                [f"{row[k]:.2f}" if isinstance(row[k], float) else row[k] for k in header]
                for row in rows
            ],
        )
    )


if __name__ == "__main__":
    main()
