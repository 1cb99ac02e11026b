"""The name of strained crystals, films and particles; PTM and a-CNA beside it.

    python benchmarks/names.py [--windows 500] [--data DIR] [--quick] [--json FILE]

Crystals of five structures at 0 to 8 % tension and compression along [100], [110] and [111], simple
shear and random strain of that size, in random orientation, with Gaussian displacements; films of 3
to 8 layers; copper on its way to melting (the demo); a measured nanoparticle where DIR, a folder of
external data, has one. Every row gives the percent of windows named rightly with names as
structures (the default) and as symmetries, their mean certainty, and the percent of the same atoms
that PTM (RMSD cutoff 0.1 / none) and adaptive common neighbour analysis name rightly.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bcc100, bcc110, diamond100, fcc100, fcc111, hcp0001
from ase.io import read
from baselines import MissingOvitoError, acna_labels, ptm_labels
from common import markdown, show, write_json
from numpy.typing import NDArray

from ase_crystalnet import CrystalNet, crystals

Array = NDArray[np.float64]

STRUCTURES = ("fcc", "bcc", "sc", "diam", "hex/rh")
SIZES = (0.02, 0.04, 0.06, 0.08)
AXES = {"[100]": (1, 0, 0), "[110]": (1, 1, 0), "[111]": (1, 1, 1)}
DEMO = Path(__file__).resolve().parents[1] / "examples" / "demo" / "heating.extxyz.gz"
BELOW_MELTING = 24  # frames of the demo before the surface melts


def gradients(size: float, rng: np.random.Generator) -> Iterator[tuple[str, Array]]:
    """Deformation gradients of one size, for row vectors; uniaxial ones keep the volume."""
    for sign, word in ((1, "tension"), (-1, "compression")):
        along = 1 + sign * size
        for name, axis in AXES.items():
            n = np.array(axis) / np.linalg.norm(axis)
            plane = np.eye(3) - np.outer(n, n)
            yield f"{word} {name}", along * np.outer(n, n) + along**-0.5 * plane
    yield "simple shear", np.eye(3) + size * np.outer([1, 0, 0], [0, 1, 0])
    tensor = rng.normal(size=(3, 3))
    tensor = (tensor + tensor.T) / 2
    tensor -= np.trace(tensor) / 3 * np.eye(3)
    yield "random", np.eye(3) + size * tensor / np.abs(np.linalg.eigvalsh(tensor)).max()


def block(name: str, gradient: Array, sigma: float, rng: np.random.Generator) -> Atoms:
    """Some 3,000 atoms, strained, displaced, turned."""
    cell = crystals.unit_cell(name)
    atoms = cell.repeat(int(np.ceil((3000 / len(cell)) ** (1 / 3))))
    distance = crystals.nearest_distance(atoms)
    atoms.set_cell(atoms.cell.array @ gradient, scale_atoms=True)
    atoms.positions += rng.normal(scale=sigma * distance, size=atoms.positions.shape)
    return crystals.rotated(atoms, rng)[0]


def films(layers: int) -> Iterator[tuple[str, str, Atoms]]:
    """Kind, structure and atoms of films of so many layers."""
    size = (12, 12, layers)
    yield "fcc(100)", "fcc", fcc100("Cu", size, vacuum=10.0)
    yield "fcc(111)", "fcc", fcc111("Cu", size, vacuum=10.0)
    yield "bcc(100)", "bcc", bcc100("Fe", size, vacuum=10.0)
    yield "bcc(110)", "bcc", bcc110("Fe", size, vacuum=10.0)
    yield "hcp(0001)", "hex/rh", hcp0001("Mg", size, vacuum=10.0)
    yield "diam(100)", "diam", diamond100("Si", (10, 10, 2 * layers), vacuum=10.0)


class Bench:
    """Analyses structures by every method and keeps the rows."""

    def __init__(self, model: str | Path, windows: int, rng: np.random.Generator) -> None:
        self.structure = CrystalNet(model)
        self.symmetry = CrystalNet(model, classes="symmetry")
        self.windows, self.rng = windows, rng
        self.rows: list[dict[str, Any]] = []

    def row(self, group: str, name: str, wanted: str, parts: list[Atoms], **more: Any) -> None:
        """Add a row: the same chosen atoms of all parts by every method."""
        each = -(-self.windows // len(parts))
        right: dict[str, list[Array]] = {}
        certainty = []
        for atoms in parts:
            chosen = self.rng.choice(len(atoms), min(each, len(atoms)), replace=False)
            for method, net in (("structure", self.structure), ("symmetry", self.symmetry)):
                frame = net.analyze(atoms, centers=chosen)
                hit = frame.labels == frame.classes.index(wanted)
                right.setdefault(method, []).append(hit)
                if method == "structure":
                    certainty.append(frame.certainty)
            number = self.structure.classes.index(wanted)
            try:
                others = {
                    "PTM 0.1": ptm_labels(atoms, 0.1),
                    "PTM none": ptm_labels(atoms, None),
                    "a-CNA": acna_labels(atoms, diamond=wanted == "diam"),
                }
            except MissingOvitoError:
                others = {}
            for method, labels in others.items():
                right.setdefault(method, []).append(labels[chosen] == number)
        percent = {
            method: 100 * float(np.concatenate(hits).mean()) for method, hits in right.items()
        }
        sure = float(np.nanmean(np.concatenate(certainty)))
        self.rows.append(
            {"group": group, "name": name, "wanted": wanted, "percent": percent, "certainty": sure}
            | more
        )
        shown = ", ".join(f"{method} {value:.1f}" for method, value in percent.items())
        show(f"{group}, {name}, {wanted}: {shown}; certainty {sure:.3f}")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="local")
    parser.add_argument("--windows", type=int, default=500, help="of each cell")
    parser.add_argument("--data", type=Path, help="folder of external data")
    parser.add_argument("--quick", action="store_true", help="strains of 0, 4 and 8 % only")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    model = Path(given.model) if Path(given.model).is_dir() else given.model
    bench = Bench(model, given.windows, rng)
    for sigma in (0.05, 0.10):
        for name in STRUCTURES:
            bench.row(f"sigma {sigma:.2f}", "0 %", name, [block(name, np.eye(3), sigma, rng)])
            for size in (0.04, 0.08) if given.quick else SIZES:
                for kind, gradient in gradients(size, rng):
                    atoms = block(name, gradient, sigma, rng)
                    bench.row(f"sigma {sigma:.2f}", f"{100 * size:.0f} % {kind}", name, [atoms])
    for layers in (3, 4, 5, 6, 8):
        for kind, name, film in films(layers):
            film.positions += rng.normal(
                scale=0.05 * crystals.nearest_distance(film), size=film.positions.shape
            )
            bench.row("films", f"{kind}, {layers} layers", name, [film])
    frames = read(DEMO, index=f":{BELOW_MELTING}:6")
    bench.row("demo", "copper below melting", "fcc", frames)
    particle = given.data / "aet" / "PdPt_TO.xyz" if given.data else None
    if particle is not None and particle.exists():
        atoms = read(particle)
        radius = np.linalg.norm(atoms.positions - atoms.positions.mean(axis=0), axis=1)
        core = np.flatnonzero(radius < np.quantile(radius, 0.4))
        for method, net in (("structure", bench.structure), ("symmetry", bench.symmetry)):
            frame = net.analyze(atoms, centers=core)
            share = 100 * float((frame.labels == frame.classes.index("fcc")).mean())
            show(f"measured PdPt particle, core, fcc, {method}: {share:.1f}")
            bench.rows.append(
                {
                    "group": "particle",
                    "name": "PdPt core",
                    "wanted": "fcc",
                    "percent": {method: share},
                }
            )
    methods = ("structure", "symmetry", "PTM 0.1", "PTM none", "a-CNA")
    table = []
    for group in dict.fromkeys(row["group"] for row in bench.rows):
        for wanted in STRUCTURES:
            cells = [r for r in bench.rows if r["group"] == group and r["wanted"] == wanted]
            if cells:
                least = [
                    f"{min(c['percent'][m] for c in cells if m in c['percent']):.1f}"
                    if any(m in c["percent"] for c in cells)
                    else "-"
                    for m in methods
                ]
                sure = [c["certainty"] for c in cells if "certainty" in c]
                table.append(
                    [group, wanted, len(cells), *least, f"{min(sure, default=np.nan):.3f}"]
                )
    head = ("group", "structure", "cells", *methods, "certainty")
    show("\nThe worst cell of each group, percent right; smallest mean certainty:\n")
    show(markdown(head, table))
    write_json(given.json, {"windows": given.windows, "seed": given.seed, "rows": bench.rows})


if __name__ == "__main__":
    main()
