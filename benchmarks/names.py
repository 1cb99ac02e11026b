"""The names of crystals as people mean them; PTM and a-CNA beside it.

    python benchmarks/names.py [--windows 500] [--data DIR] [--quick] [--parts ...] [--json FILE]

strain     crystals of five structures at 0 to 8 % tension and compression along [100], [110] and
           [111], simple shear and random strain of that size, in random orientation, with Gaussian
           displacements; and how far the strain that is found is from it
types      all structure types, and elements, at sigma 0.02 to 0.10
films      of 3 to 8 layers
particles  copper on its way to melting (the demo); icosahedra against a-CNA of the cold ones; a
           measured nanoparticle where DIR, a folder of external data, has one
no class   AFLOW prototypes (pymatgen's) that are none of the types when all atoms count alike, nor
           a little distorted (PTM, RMSD cutoff 0.15, finds one type in 90 % of the cold atoms):
           share named with certainty above 0.5, and how well "other" parts them from the types
sets       prediction sets of all these windows: coverage of 99 % asked, size

Every row gives the percent of windows named rightly with names as structures (the default) and as
symmetries, their mean certainty, and the percent of the same atoms that PTM (RMSD cutoff 0.1 /
none) and adaptive common neighbour analysis name rightly.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bcc100, bcc110, bulk, diamond100, fcc100, fcc111, hcp0001
from ase.cluster import Icosahedron
from ase.io import read
from ase.spacegroup import crystal
from baselines import MissingOvitoError, acna_labels, ptm_labels
from common import markdown, show, write_json
from numpy.typing import NDArray

from ase_crystalnet import CrystalNet, crystals
from ase_crystalnet.classes import STRUCTURES
from ase_crystalnet.results import FrameAnalysis
from ase_crystalnet.results.sets import prediction_sets
from ase_crystalnet.training.local.structure_types import STRUCTURE_TYPES, type_of

Array = NDArray[np.float64]

STRAINED = ("fcc", "bcc", "sc", "diam", "hcp")
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
    yield "hcp(0001)", "hcp", hcp0001("Mg", size, vacuum=10.0)
    yield "diam(100)", "diam", diamond100("Si", (10, 10, 2 * layers), vacuum=10.0)


def elements() -> Iterator[tuple[str, str, Atoms]]:
    """Name, structure and cell of every type and of some elements."""
    for name in STRUCTURE_TYPES:
        yield name, name, crystals.unit_cell(name)
    yield "Zn", "hcp", bulk("Zn")
    yield "Cd", "hcp", bulk("Cd", a=2.98, c=5.62)
    yield "Ti", "hcp", bulk("Ti")
    yield (
        "As",
        "rh",
        crystal("As", [(0, 0, 0.2271)], spacegroup=166, cellpar=[3.76, 3.76, 10.55, 90, 90, 120]),
    )
    yield (
        "Sb",
        "rh",
        crystal("Sb", [(0, 0, 0.2335)], spacegroup=166, cellpar=[4.31, 4.31, 11.27, 90, 90, 120]),
    )
    yield (
        "Bi",
        "rh",
        crystal("Bi", [(0, 0, 0.2339)], spacegroup=166, cellpar=[4.55, 4.55, 11.86, 90, 90, 120]),
    )
    yield "Hg", "rh", bulk("Hg", "rhombohedral", a=3.005, alpha=70.5)
    yield (
        "Sn",
        "bct141",
        crystal("Sn", [(0, 0, 0)], spacegroup=141, cellpar=[5.83, 5.83, 3.18, 90, 90, 90]),
    )
    yield (
        "Pa",
        "bct139",
        crystal("Pa", [(0, 0, 0)], spacegroup=139, cellpar=[3.92, 3.92, 3.24, 90, 90, 90]),
    )
    yield (
        "In",
        "fcc",
        crystal("In", [(0, 0, 0)], spacegroup=139, cellpar=[3.25, 3.25, 4.95, 90, 90, 90]),
    )
    yield "NaCl (sc)", "sc", bulk("NaCl", "rocksalt", a=5.64, cubic=True)
    yield "CsCl (bcc)", "bcc", bulk("CsCl", "cesiumchloride", a=4.12)
    yield "GaAs (diam)", "diam", bulk("GaAs", "zincblende", a=5.65, cubic=True)
    yield "ZnO (hexdiam)", "hexdiam", bulk("ZnO", "wurtzite", a=3.25, c=5.2)
    yield (
        "Cu3Au (fcc)",
        "fcc",
        crystal(
            ["Au", "Cu"],
            [(0, 0, 0), (0, 0.5, 0.5)],
            spacegroup=221,
            cellpar=[3.75, 3.75, 3.75, 90, 90, 90],
        ),
    )


def prototypes() -> Iterator[tuple[str, Atoms]]:
    """AFLOW prototypes that are none of the types when all atoms count alike."""
    from pymatgen.analysis.prototypes import AFLOW_PROTOTYPE_LIBRARY
    from pymatgen.io.ase import AseAtomsAdaptor

    for entry in AFLOW_PROTOTYPE_LIBRARY:
        structure = entry["snl"].structure
        atoms = AseAtomsAdaptor.get_atoms(structure.get_primitive_structure())
        unit = atoms.cell.array / crystals.nearest_distance(atoms)
        if type_of(unit, atoms.get_scaled_positions())[0] != "other":
            continue
        labels = ptm_labels(crystals.supercell(atoms, 500), 0.15, classes=STRUCTURES)
        shares = np.bincount(labels, minlength=len(STRUCTURES)) / len(labels)
        if shares[: STRUCTURES.index("other")].max() < 0.9:
            yield entry["tags"]["aflow"], atoms


def noisy(cell: Atoms, sigma: float, rng: np.random.Generator, atoms: int = 2500) -> Atoms:
    """A turned crystal with Gaussian displacements."""
    return crystals.rotated(crystals.supercell(cell, atoms, sigma=sigma, rng=rng), rng)[0]


class Bench:
    """Analyses structures by every method and keeps the rows."""

    def __init__(self, model: str | Path, windows: int, rng: np.random.Generator) -> None:
        self.structure = CrystalNet(model)
        self.symmetry = CrystalNet(classes="symmetry")
        self.windows, self.rng = windows, rng
        self.sizes: tuple[float, ...] = SIZES
        self.rows: list[dict[str, Any]] = []
        self.probabilities: list[Array] = []
        self.truth: list[Array] = []
        self.least: dict[str, Any] = {}

    def row(self, group: str, name: str, wanted: str, parts: list[Atoms], **more: Any) -> None:
        """Add a row: the same chosen atoms of all parts by every method."""
        each = -(-self.windows // len(parts))
        right: dict[str, list[Array]] = {}
        certainty = []
        for atoms in parts:
            chosen = self.rng.choice(len(atoms), min(each, len(atoms)), replace=False)
            for method, net in (("structure", self.structure), ("symmetry", self.symmetry)):
                frame = net.analyze(atoms, centers=chosen)
                own = wanted if wanted in frame.classes else "hex/rh"
                hit = frame.labels == frame.classes.index(own)
                right.setdefault(method, []).append(hit)
                if method == "structure":
                    certainty.append(frame.certainty)
                    self.keep(frame, wanted)
            number = STRUCTURES.index(wanted)
            try:
                diamond = wanted in ("diam", "hexdiam")
                others = {
                    "PTM 0.1": ptm_labels(atoms, 0.1, classes=STRUCTURES),
                    "PTM none": ptm_labels(atoms, None, classes=STRUCTURES),
                    "a-CNA": acna_labels(atoms, diamond=diamond, classes=STRUCTURES),
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

    def keep(self, frame: FrameAnalysis, wanted: str) -> None:
        """Keep answers and truth for the prediction sets."""
        self.least = frame.metadata["least_probabilities"]
        self.probabilities.append(frame.probabilities)
        self.truth.append(np.full(len(frame.labels), frame.classes.index(wanted)))

    def strains(self) -> None:
        """Crystals of five structures, strained in many ways."""
        for sigma in (0.05, 0.10):
            for name in STRAINED:
                whole = block(name, np.eye(3), sigma, self.rng)
                self.row(f"sigma {sigma:.2f}", "0 %", name, [whole])
                for size in self.sizes:
                    for kind, gradient in gradients(size, self.rng):
                        atoms = block(name, gradient, sigma, self.rng)
                        error = self.strain_error(atoms, gradient, name)
                        words = f"{100 * size:.0f} % {kind}"
                        self.row(f"sigma {sigma:.2f}", words, name, [atoms], strain_error=error)

    def strain_error(self, atoms: Atoms, gradient: Array, name: str) -> float | None:
        """Root mean square error of the mean principal strains of cubic crystals."""
        if name == "hcp":
            return None  # its c/a is its own: only what breaks the symmetry is a strain
        chosen = self.rng.choice(len(atoms), min(50, len(atoms)), replace=False)
        strain = self.structure.analyze(atoms, centers=chosen).strain
        assert strain is not None
        right = np.linalg.svd(gradient / np.cbrt(np.linalg.det(gradient)), compute_uv=False) - 1
        found = np.linalg.eigvalsh(strain[np.isfinite(strain).all(axis=(1, 2))])[:, ::-1]
        return float(np.sqrt(np.mean((found - np.sort(right)[::-1]) ** 2)))

    def types(self) -> None:
        """All types, and elements."""
        for sigma in (0.02, 0.05, 0.08, 0.10):
            for name, wanted, cell in elements():
                atoms = [noisy(cell, sigma, self.rng)]
                self.row(f"types, sigma {sigma:.2f}", name, wanted, atoms)

    def films(self) -> None:
        """Films of few layers."""
        for layers in (3, 4, 5, 6, 8):
            for kind, name, film in films(layers):
                film.positions += self.rng.normal(
                    scale=0.05 * crystals.nearest_distance(film), size=film.positions.shape
                )
                self.row("films", f"{kind}, {layers} layers", name, [film])

    def particles(self, data: Path | None) -> None:
        """Copper below melting, icosahedra, a measured particle."""
        frames = read(DEMO, index=f":{BELOW_MELTING}:6")
        self.row("demo", "copper below melting", "fcc", frames)
        for shells in (6, 8, 10):
            self.icosahedron(shells)
        particle = data / "aet" / "PdPt_TO.xyz" if data else None
        if particle is not None and particle.exists():
            atoms = read(particle)
            radius = np.linalg.norm(atoms.positions - atoms.positions.mean(axis=0), axis=1)
            core = np.flatnonzero(radius < np.quantile(radius, 0.4))
            for method, net in (("structure", self.structure), ("symmetry", self.symmetry)):
                frame = net.analyze(atoms, centers=core)
                share = 100 * float((frame.labels == frame.classes.index("fcc")).mean())
                show(f"measured PdPt particle, core, fcc, {method}: {share:.1f}")
                self.rows.append(
                    {"group": "particle", "name": "PdPt core", "wanted": "fcc",
                     "percent": {method: share}}
                )  # fmt: skip

    def icosahedron(self, shells: int) -> None:
        """Agreement with a-CNA of the cold particle on the atoms it names, cold and hot."""
        cold = Icosahedron("Cu", shells, latticeconstant=3.61)
        try:
            labels = acna_labels(cold, classes=STRUCTURES)
        except MissingOvitoError:
            return
        named = np.isin(labels, [STRUCTURES.index("fcc"), STRUCTURES.index("hcp")])
        for sigma in (0.0, 0.08):
            atoms = cold.copy()
            atoms.positions += self.rng.normal(scale=sigma * 2.5, size=atoms.positions.shape)
            frame = self.structure.analyze(atoms)
            same = 100 * float((frame.atom_labels == labels)[named].mean())
            hot = 100 * float((acna_labels(atoms, classes=STRUCTURES) == labels)[named].mean())
            show(f"icosahedron of {len(cold)} atoms, sigma {sigma}: {same:.1f}, a-CNA {hot:.1f}")
            self.rows.append(
                {"group": "icosahedra", "name": f"{len(cold)} atoms, sigma {sigma}",
                 "wanted": "fcc and hcp", "percent": {"structure": same, "a-CNA": hot}}
            )  # fmt: skip

    def no_class(self, windows: int) -> None:
        """Crystals of no class: how many are named, and how well 'other' parts them."""
        wrong: dict[float, list[float]] = {0.0: [], 0.06: []}
        other = STRUCTURES.index("other")
        scores = []
        for name, cell in prototypes():
            for sigma, shares in wrong.items():
                atoms = noisy(cell, sigma, self.rng, atoms=2000)
                chosen = self.rng.choice(len(atoms), min(windows, len(atoms)), replace=False)
                frame = self.structure.analyze(atoms, centers=chosen)
                named = frame.labels < other
                shares.append(100 * float((named & (frame.certainty > 0.5)).mean()))
                scores.append(frame.probabilities[:, other])
                if sigma > 0:
                    self.keep(frame, "other")
                self.rows.append(
                    {"group": "no class", "name": name, "sigma": sigma, "named": shares[-1],
                     "as": sorted({frame.classes[k] for k in frame.labels[named]})}
                )  # fmt: skip
        for sigma, shares in wrong.items():
            worst = float(np.max(shares))
            show(
                f"{len(shares)} prototypes of no class at sigma {sigma}: {np.mean(shares):.2f} % "
                f"named with certainty above 0.5, worst {worst:.0f} %, "
                f"{sum(s > 5 for s in shares)} of them above 5 %"
            )
        if self.probabilities:
            truth = np.concatenate(self.truth)
            mine = np.concatenate(self.probabilities)[truth != other][:, other]
            theirs = np.concatenate(scores)
            rank = np.argsort(np.argsort(np.concatenate([mine, theirs])))
            high = rank[len(mine) :].sum() - len(theirs) * (len(theirs) - 1) / 2
            area = float(high / (len(mine) * len(theirs)))
            show(f"'other' against the types, area under the curve: {area:.4f}")
            self.rows.append({"group": "no class", "name": "area under the curve", "value": area})

    def sets(self) -> None:
        """Coverage and size of the prediction sets of all windows so far."""
        truth = np.concatenate(self.truth)
        probabilities = np.concatenate(self.probabilities)
        inside = prediction_sets(probabilities, STRUCTURES, self.least, 0.99)
        hit = inside[np.arange(len(truth)), truth]
        rows = [
            [STRUCTURES[k], int((truth == k).sum()), f"{100 * hit[truth == k].mean():.2f}",
             f"{inside[truth == k].sum(axis=1).mean():.3f}"]
            for k in np.unique(truth)
        ]  # fmt: skip
        size = inside.sum(axis=1).mean()
        rows.append(["all", len(truth), f"{100 * hit.mean():.2f}", f"{size:.3f}"])
        show("\nPrediction sets, 99 % asked:\n")
        show(markdown(("class", "windows", "coverage %", "mean size"), rows))
        self.rows.append({"group": "sets", "rows": rows})


PARTS = ("strain", "types", "films", "particles", "no class", "sets")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="structure")
    parser.add_argument("--windows", type=int, default=500, help="of each cell")
    parser.add_argument("--data", type=Path, help="folder of external data")
    parser.add_argument("--quick", action="store_true", help="strains of 0, 4 and 8 %% only")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    model = Path(given.model) if Path(given.model).is_dir() else given.model
    bench = Bench(model, given.windows, rng)
    bench.sizes = (0.04, 0.08) if given.quick else SIZES
    steps = {
        "strain": bench.strains,
        "types": bench.types,
        "films": bench.films,
        "particles": lambda: bench.particles(given.data),
        "no class": lambda: bench.no_class(max(20, given.windows // 10)),
        "sets": bench.sets,
    }
    for part in given.parts:
        steps[part]()
    methods = ("structure", "symmetry", "PTM 0.1", "PTM none", "a-CNA")
    table = []
    rows = [row for row in bench.rows if "percent" in row]
    for group, wanted in dict.fromkeys((row["group"], row["wanted"]) for row in rows):
        cells = [r for r in rows if (r["group"], r["wanted"]) == (group, wanted)]
        least = [
            f"{min(c['percent'][m] for c in cells if m in c['percent']):.1f}"
            if any(m in c["percent"] for c in cells)
            else "-"
            for m in methods
        ]
        sure = [c["certainty"] for c in cells if "certainty" in c]
        errors = [c["strain_error"] for c in cells if c.get("strain_error") is not None]
        table.append(
            [group, wanted, len(cells), *least, f"{min(sure, default=np.nan):.3f}",
             f"{100 * max(errors):.2f}" if errors else "-"]
        )  # fmt: skip
    head = ("group", "structure", "cells", *methods, "certainty", "strain error, %")
    show("\nThe worst cell of each group, percent right; smallest mean certainty:\n")
    show(markdown(head, table))
    write_json(given.json, {"windows": given.windows, "seed": given.seed, "rows": bench.rows})


if __name__ == "__main__":
    main()
