"""Twin planes and stacking faults, layer by layer; PTM and a-CNA beside it.

    python benchmarks/faults.py [--repeats 3] [--md] [--potentials DIR] [--json FILE]

Crystals with one fault or a pair of twin planes, in random orientation, with Gaussian
displacements: fcc, also with vacancies, strained, and as films with free surfaces; hcp and diamond.
With --md, instead, copper, silver and aluminium with two twin planes and an intrinsic fault in
molecular dynamics at 0.5, 0.8 and 0.95 of the melting point. Every row gives the percent of the
atoms of the fault that are called by its stacking (hcp in fcc, fcc in hcp), the percent of all
others that are called so wrongly, and how many structures had their faults named rightly, by
windows on a grid; the first two also without the search for faults, and by polyhedral template
matching (RMSD cutoff none and 0.1) and adaptive common neighbour analysis. The last line is the
cost of the search for faults.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.io import read, write
from baselines import MissingOvitoError, acna_labels, ptm_labels
from common import markdown, show, write_json
from numpy.typing import NDArray

from ase_crystalnet import CrystalNet, crystals
from ase_crystalnet.classes import stacking_class
from ase_crystalnet.crystals.stackings import close_packed, letters_of
from ase_crystalnet.training.md.lammps import find_potential, input_script, run_lammps
from ase_crystalnet.training.md.materials import BENCHMARK, TRAINING, Material

Array = NDArray[np.float64]

SIGMAS = (0.05, 0.08, 0.10, 0.12)
#: Shifts of the layers; kinds of the faults that are in them.
IN_FCC = {
    "twin": ((1,) * 9 + (-1,) * 9, ("twin", "twin")),
    "intrinsic": ((1,) * 9 + (-1,) + (1,) * 10, ("intrinsic",)),
    "extrinsic": ((1,) * 9 + (-1, -1) + (1,) * 11, ("extrinsic",)),
}
IN_HCP = {
    "I1": ((1, -1) * 5 + (-1, 1) * 5, ("I1", "I1")),
    "I2": ((1, -1) * 5 + (1, 1, 1) + (-1, 1) * 5 + (-1, -1, -1), ("I2", "I2")),
    "E": ((1, -1) * 5 + (1,) * 4 + (-1, 1) * 5 + (-1,) * 4, ("E", "E")),
}
WITH_MD = ((1,) * 6 + (-1,) + (1,) * 6 + (-1,) * 8, ("twin", "twin", "intrinsic"))
METALS = ("Cu", "Ag", "Al")
TEMPERATURES = (0.5, 0.8, 0.95)


def hcp_layers(word: Sequence[int]) -> NDArray[np.bool_]:
    """Which layers of a cell of this word of shifts lie between two of one kind."""
    letters = letters_of(tuple(word))
    return np.asarray(np.roll(letters, 1) == np.roll(letters, -1))


def stacked(
    word: Sequence[int], size: int, *, diamond: bool = False, orthogonal: bool = False
) -> tuple[Atoms, NDArray[np.bool_]]:
    """A crystal of a word of shifts, spacing 1 in the layers, and which atoms are hcp."""
    cell, sites = close_packed(tuple(word), np.sqrt(2 / 3))
    hcp = hcp_layers(word)
    if diamond:
        sites = np.vstack([sites, sites + np.array([0, 0, 0.75 / len(sites)])])
        hcp = np.tile(hcp, 2)
    layers = Atoms("Cu" * len(sites), cell=cell, scaled_positions=sites, pbc=True)
    if not orthogonal:
        return layers.repeat((size, size, 1)), np.tile(hcp, size * size)
    two = layers.repeat((1, 2, 1))  # along y: -1/2, sqrt(3)/2, twice, less the first vector
    two.set_cell([[1, 0, 0], [0, np.sqrt(3), 0], cell[2]])
    two.wrap()
    rows = round(size / np.sqrt(3))
    return two.repeat((size, rows, 1)), np.tile(hcp, 2 * size * rows)


class Bench:
    """Analyses structures by every method and keeps the rows."""

    def __init__(self, model: str | Path, repeats: int, rng: np.random.Generator) -> None:
        self.net = CrystalNet(model)
        self.with_faults = self.net.of_windows()
        self.without = replace(self.with_faults, faults=False)
        self.repeats, self.rng = repeats, rng
        self.rows: list[dict[str, Any]] = []

    def row(
        self,
        group: str,
        name: str,
        parts: list[tuple[Atoms, NDArray[np.bool_]]],
        kinds: Sequence[str],
        host: str = "fcc",
    ) -> None:
        """Add a row: structures, which of their atoms are hcp, faults that each one has."""
        diamond = host in ("diam", "hexdiam")
        in_hcp = host in ("hcp", "hexdiam")
        state = "fcc" if in_hcp else "hcp"
        wanted = stacking_class(self.net.classes, state, diamond)
        found: dict[str, list[NDArray[np.bool_]]] = {}
        truth, right = [], 0
        for atoms, hcp in parts:
            prepared, points, owners, table = self.windows(atoms)
            frame = self.with_faults.concluded(prepared, points, owners, table)
            without = self.without.concluded(prepared, points, owners, table)
            labels = {"CrystalNet": frame.atom_labels, "faults=False": without.atom_labels}
            try:
                structures = ("diam",) if diamond else ("fcc", "hcp", "bcc")
                classes = self.net.classes
                labels["PTM none"] = ptm_labels(atoms, None, structures, classes)
                labels["PTM 0.1"] = ptm_labels(atoms, 0.1, structures, classes)
                labels["a-CNA"] = acna_labels(atoms, diamond, classes)
            except MissingOvitoError:
                pass
            for method, label in labels.items():
                found.setdefault(method, []).append(label == wanted)
            truth.append(~hcp if in_hcp else hcp)
            right += sorted(f.kind for f in frame.faults) == sorted(kinds)
        of_fault = np.concatenate(truth)
        percent = {
            method: [
                100 * float(np.concatenate(hits)[rows].mean()) if rows.any() else None
                for rows in (of_fault, ~of_fault)
            ]
            for method, hits in found.items()
        }
        self.rows.append(
            {"group": group, "name": name, "atoms": int(of_fault.sum()), "percent": percent}
            | {"kind_right": right, "structures": len(parts)}
        )
        shown = ", ".join(f"{m} {_two(values)}" for m, values in percent.items())
        show(f"{group}, {name}: {shown}; kinds {right} of {len(parts)}")

    def windows(self, atoms: Atoms) -> tuple[Any, Any, Any, Any]:
        """A structure with a grid of windows, and what these show."""
        method = self.with_faults
        prepared = method.windower.prepare(atoms)
        points, owners = prepared.centers("grid")
        table = method.measured(atoms, prepared, points)
        return prepared, points, owners, method.settled(atoms, prepared, points, table)

    def parts(
        self, word: Sequence[int], sigma: float, size: int = 12, diamond: bool = False, **how: Any
    ) -> list[tuple[Atoms, NDArray[np.bool_]]]:
        """So many copies of a stacking as are asked for, each disturbed and turned."""
        return [
            self.disturbed(*stacked(word, size, diamond=diamond), sigma, diamond=diamond, **how)
            for _ in range(self.repeats)
        ]

    def disturbed(
        self,
        atoms: Atoms,
        hcp: NDArray[np.bool_],
        sigma: float,
        *,
        diamond: bool = False,
        vacancies: float = 0.0,
        strain: float = 0.0,
    ) -> tuple[Atoms, NDArray[np.bool_]]:
        """Pulled along a random axis at constant volume, displaced, incomplete, turned."""
        scale = 2.55 if not diamond else 3.84
        axis = self.rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        along = np.outer(axis, axis)
        pull = (1 + strain) * along + (1 + strain) ** -0.5 * (np.eye(3) - along)
        atoms.set_cell(scale * atoms.cell.array @ pull, scale_atoms=True)
        bond = scale * np.sqrt(3 / 8) if diamond else scale
        atoms.positions += self.rng.normal(scale=sigma * bond, size=atoms.positions.shape)
        kept = self.rng.random(len(atoms)) >= vacancies
        return crystals.rotated(atoms[kept], self.rng)[0], hcp[kept]


def films(rng: np.random.Generator, sigma: float) -> Iterator[tuple[str, Atoms, Any, Any]]:
    """Films with free surfaces: name, atoms, which are hcp, kinds of the faults."""
    from ase.build import fcc100, fcc110, fcc111

    size = (12, 12, 12)
    for name, film in (
        ("(111)", fcc111("Cu", size, vacuum=10.0)),
        ("(100)", fcc100("Cu", size, vacuum=10.0)),
        ("(110)", fcc110("Cu", size, vacuum=10.0)),
    ):
        film.positions += rng.normal(scale=sigma * 2.55, size=film.positions.shape)
        yield f"perfect {name}", film, np.zeros(len(film), bool), ()
    word, kinds = IN_FCC["intrinsic"]
    film, hcp = stacked(word, 12)
    film.set_cell(2.55 * film.cell.array, scale_atoms=True)
    film.positions += rng.normal(scale=sigma * 2.55, size=film.positions.shape)
    film.pbc = (True, True, False)
    yield "(111) with an intrinsic fault", film, hcp, kinds


def simulated(
    material: Material, reduced: float, potentials: Path | None, seed: int
) -> tuple[list[Atoms], NDArray[np.bool_]]:
    """Frames of molecular dynamics of a metal with two twin planes and an intrinsic fault."""
    crystal, hcp = stacked(WITH_MD[0], 10, orthogonal=True)
    crystal.set_cell(material.a / np.sqrt(2) * crystal.cell.array, scale_atoms=True)
    crystal.symbols = material.symbols[0]
    script = input_script(
        material, reduced * material.melting_temperature, "solid",
        equilibration=4.0, production=3.0, frames=2, seed=seed,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name in material.files:
            shutil.copyfile(find_potential(name, potentials), work / name)
        write(
            work / "start.data", crystal, format="lammps-data", masses=True, atom_style="atomic",
            specorder=list(material.symbols),
        )  # fmt: skip
        run_lammps(script, work)
        frames = read(
            work / "frames.dump", index="1:", format="lammps-dump-text",
            specorder=list(material.symbols),
        )  # fmt: skip
    return list(frames), hcp


def displaced(bench: Bench) -> None:
    """Rows of crystals with Gaussian displacements."""
    for sigma in SIGMAS:
        for name, (word, kinds) in IN_FCC.items():
            bench.row("fcc", f"{name}, sigma {sigma:.2f}", bench.parts(word, sigma), kinds)
    word, kinds = IN_FCC["intrinsic"]
    for sigma in (0.05, 0.10):
        parts = bench.parts(word, sigma, vacancies=0.1)
        bench.row("fcc, 10 % vacancies", f"intrinsic, sigma {sigma:.2f}", parts, kinds)
    for strain in (-0.08, -0.04, 0.04, 0.08):
        parts = bench.parts(word, 0.08, strain=strain)
        bench.row("fcc, strained", f"intrinsic, {100 * strain:+.0f} %, sigma 0.08", parts, kinds)
    for sigma in (0.05, 0.10):
        for name, film, hcp, expected in films(bench.rng, sigma):
            bench.row("fcc films", f"{name}, sigma {sigma:.2f}", [(film, hcp)], expected)
    for sigma in (0.05, 0.10):
        for name, (word, kinds) in IN_HCP.items():
            bench.row("hcp", f"{name}, sigma {sigma:.2f}", bench.parts(word, sigma), kinds, "hcp")
        for name, (word, kinds) in IN_FCC.items():
            parts = bench.parts(word, sigma, 9, diamond=True)
            bench.row("diamond", f"{name}, sigma {sigma:.2f}", parts, kinds, "diam")


def dynamics(bench: Bench, potentials: Path | None, seed: int) -> None:
    """Rows of hot metals with two twin planes and an intrinsic fault."""
    known = {job.material.name: job.material for job in (*TRAINING, *BENCHMARK)}
    for metal in METALS:
        for reduced in TEMPERATURES:
            frames, hcp = simulated(known[metal], reduced, potentials, seed)
            parts = [(frame, hcp) for frame in frames]
            bench.row("MD", f"{metal}, {reduced:.2f} Tm", parts, WITH_MD[1])


def cost(bench: Bench) -> dict[str, float]:
    """Microseconds an atom of the search for faults, on 35,000 atoms with two twin planes."""
    atoms, _ = bench.parts(IN_FCC["twin"][0], 0.08, size=44)[0]
    result = {"atoms": float(len(atoms))}
    start = time.perf_counter()
    given = bench.windows(atoms)
    result["windows"] = 1e6 * (time.perf_counter() - start) / len(atoms)
    for name, method in (("with", bench.with_faults), ("without", bench.without)):
        times = []
        for _ in range(3):
            start = time.perf_counter()
            method.concluded(*given)
            times.append(1e6 * (time.perf_counter() - start) / len(atoms))
        result[name] = min(times)
    result["faults"] = result["with"] - result["without"]
    return result


def _two(values: Sequence[float | None]) -> str:
    """Percent of the fault's atoms found / of the others falsely."""
    return " / ".join("-" if v is None else f"{v:.2f}" for v in values)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="local")
    parser.add_argument("--repeats", type=int, default=3, help="structures of each row")
    parser.add_argument("--md", action="store_true", help="molecular dynamics (LAMMPS) instead")
    parser.add_argument("--potentials", type=Path, help="folder of potential files")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    model = Path(given.model) if Path(given.model).is_dir() else given.model
    bench = Bench(model, given.repeats, np.random.default_rng(given.seed))
    if given.md:
        dynamics(bench, given.potentials, given.seed)
    else:
        displaced(bench)
    price = cost(bench)
    methods = ("CrystalNet", "faults=False", "PTM none", "PTM 0.1", "a-CNA")
    table = [
        [
            *(r["group"], r["name"]),
            *(_two(r["percent"].get(m, [None, None])) for m in methods),
            f"{r['kind_right']}/{r['structures']}",
        ]
        for r in bench.rows
    ]
    show("\nPercent of the fault's atoms called by its stacking / of all others wrongly:\n")
    show(markdown(("group", "fault", *methods, "kinds"), table))
    show(
        f"\nFaults: {price['faults']:.1f} microseconds an atom; windows on the grid, with the "
        f"network, {price['windows']:.1f}"
    )
    write_json(given.json, {"repeats": given.repeats, "rows": bench.rows, "cost": price})


if __name__ == "__main__":
    main()
