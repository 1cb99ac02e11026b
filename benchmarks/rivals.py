"""CrystalNet and other programs on the same atoms, by the same score.

    python benchmarks/rivals.py [--data DIR] [--atoms 1000] [--json FILE]

Each program runs in a process of its own: percent of the atoms whose structure it names rightly,
atoms a second (second of two runs, so that nothing is compiled or loaded in it), and peak memory. A
program that is not installed is left out and said. Atoms that a program gives no type count as
disordered, and so as right in a liquid; CrystalNet's "other", a crystal without a name, is wrong
everywhere. Methods for diamond and for ice are asked about diamond structures and liquids only,
which is what they are made for.

The extra `rivals` installs them: OVITO, pyscal3, freud.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from common import markdown, peak_memory, write_json
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ase_crystalnet import crystals
from ase_crystalnet.classes import STRUCTURES

Names = NDArray[np.str_]
#: Standard deviation of displacements in nearest-neighbour distances, and share of vacancies.
CONDITIONS = ((0.03, 0.0), (0.08, 0.0), (0.12, 0.0), (0.05, 0.2))
CRYSTALS = ("fcc", "hcp", "bcc", "sc", "diam", "hexdiam")
#: Molecular dynamics by others: file below DIR, what it is.
FILES = (
    ("md/pyscal/conf.fcc.dump", "fcc"),
    ("md/pyscal/conf.bcc.dump", "bcc"),
    ("md/pyscal/conf.hcp.dump", "hcp"),
    ("md/pyscal/conf.lqd.Al.dump", "disordered"),
    ("md/mdapy/hea.0.xyz", "fcc"),
)
_DIAMONDS = ("diam", "hexdiam", "disordered")


def half_molten(name: str, atoms: int, rng: np.random.Generator) -> tuple[Atoms, Names]:
    """A hot crystal below a packing in a periodic box: two interfaces; the truth by atom."""
    solid = crystals.supercell(crystals.unit_cell(name), atoms, sigma=0.08, rng=rng)
    edges = solid.cell.lengths()
    volume = edges.prod() / len(solid)
    liquid = crystals.random_packing(atoms, rng=rng)
    # As dense as the crystal, in its box; what is too near the crystal is taken away.
    count = round(edges.prod() / volume)
    places = rng.permutation(liquid.get_scaled_positions(wrap=True))[:count] * edges
    solid.wrap()
    kept = solid[solid.positions[:, 2] < edges[2] / 2]
    added = Atoms(f"X{len(places)}", places, cell=solid.cell, pbc=True)
    added = added[places[:, 2] >= edges[2] / 2]
    tree = cKDTree(kept.positions, boxsize=edges)
    near = tree.query(np.mod(added.positions, edges))[0]
    added = added[near > 0.75 * crystals.nearest_distance(crystals.unit_cell(name))]
    added.numbers[:] = kept.numbers[0]
    truth = np.array([name] * len(kept) + ["disordered"] * len(added))
    return kept + added, truth


def samples(atoms: int, data: Path | None) -> list[tuple[str, str, Atoms, Names]]:
    """Condition, structure, atoms, and the truth for each; the same in every process."""
    rng = np.random.default_rng(20261201)
    found = []
    for sigma, vacancies in CONDITIONS:
        condition = f"sigma {sigma:.2f}" + (f", {100 * vacancies:.0f} % gone" if vacancies else "")
        for name in CRYSTALS:
            cell = crystals.unit_cell(name)
            made = crystals.supercell(cell, atoms, sigma=sigma, vacancies=vacancies, rng=rng)
            found.append((condition, name, made, np.full(len(made), name)))
    for name in ("fcc", "bcc", "diam"):
        made, truth = half_molten(name, 4 * atoms, rng)
        found.append(("half molten", name, made, truth))
    packing = crystals.random_packing(atoms, rng=rng)
    found.append(("liquid", "disordered", packing, np.full(len(packing), "disordered")))
    if data is not None:
        from ase_crystalnet.io.trajectories import iter_frames

        for file, name in FILES:
            frame = next(iter_frames(str(data / file)))
            truth = np.full(len(frame.atoms), name)
            found.append(("others' files", name, frame.atoms, truth))
    return found


# ---------------------------------------------------------------------- programs


def crystalnet(centers: str) -> Callable[[Atoms], Names]:
    from ase_crystalnet import CrystalNet

    net = CrystalNet()
    return lambda atoms: net.analyze(atoms, centers=centers).class_names()


def ptm(cutoff: float | None) -> Callable[[Atoms], Names]:
    from ovito_modifier.neighbor_methods import ptm_labels

    classes = np.array(STRUCTURES)
    return lambda atoms: classes[ptm_labels(atoms, cutoff, classes=STRUCTURES)]


def acna(diamond: bool) -> Callable[[Atoms], Names]:
    from ovito_modifier.neighbor_methods import acna_labels

    classes = np.array(STRUCTURES)
    return lambda atoms: classes[acna_labels(atoms, diamond=diamond, classes=STRUCTURES)]


def ovito(modifier: Callable[[Any, Atoms], Any], names: dict[str, str]) -> Callable[[Atoms], Names]:
    """Another of OVITO's modifiers; `names` are those of its types in our words."""
    from ovito import modifiers
    from ovito.io.ase import ase_to_ovito

    def label(atoms: Atoms) -> Names:
        bare = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=True)
        data = ase_to_ovito(bare)
        data.apply(modifier(modifiers, atoms))
        types = data.particles["Structure Type"]
        table = {each.id: names.get(each.name, "disordered") for each in types.types}
        return np.array([table[number] for number in np.asarray(types).tolist()])

    return label


def chill(modifiers: Any, atoms: Atoms) -> Any:
    """Chill+ with its cutoff where that of water is (3.5 Angstrom at a density of 2.75)."""
    volume = atoms.get_volume() / len(atoms)
    return modifiers.ChillPlusModifier(cutoff=3.5 * (volume / 30.0) ** (1 / 3))


_ICE = {"Cubic ice": "diam", "Hexagonal ice": "hexdiam"}
_AJ = {"FCC": "fcc", "HCP": "hcp", "BCC": "bcc"}


def pyscal(diamond: bool) -> Callable[[Atoms], Names]:
    import pyscal3

    method = pyscal3.diamond_structure if diamond else pyscal3.common_neighbor_analysis
    names = ["disordered", "fcc", "hcp", "bcc", "disordered"]
    if diamond:
        names = ["disordered", *["diam"] * 3, *["hexdiam"] * 3]

    def label(atoms: Atoms) -> Names:
        copy = atoms.copy()
        method(copy)
        return np.array(names)[copy.arrays["pyscal_structure"]]

    return label


def freud() -> Callable[[Atoms], Names]:
    """Averaged Steinhardt parameters (Lechner and Dellago 2008); the nearest reference names.

    freud has the parameters and no classifier: references and rule are made here, from crystals of
    sigma 0.05 and a packing.
    """
    import freud as program

    def parameters(atoms: Atoms) -> NDArray[np.float64]:
        box = program.box.Box.from_matrix(atoms.cell.array.T)
        system = (box, atoms.get_positions(wrap=True) - atoms.cell.array.sum(axis=0) / 2)
        neighbors = {"num_neighbors": 12, "exclude_ii": True}
        columns = []
        for l in (4, 6):  # noqa: E741
            found = program.order.Steinhardt(l, average=True).compute(system, neighbors)
            columns.append(found.particle_order)
        return np.stack(columns, axis=1)

    rng = np.random.default_rng(5)
    references = {"disordered": parameters(crystals.random_packing(3000, rng=rng)).mean(axis=0)}
    for name in CRYSTALS:
        made = crystals.supercell(crystals.unit_cell(name), 3000, sigma=0.05, rng=rng)
        references[name] = parameters(made).mean(axis=0)
    names, places = np.array(list(references)), np.stack(list(references.values()))

    def label(atoms: Atoms) -> Names:
        distance = np.linalg.norm(parameters(atoms)[:, None] - places, axis=2)
        return names[distance.argmin(axis=1)]

    return label


#: Program by its name: package, how to begin, which structures it is asked about.
PROGRAMS: dict[str, tuple[str, Callable[[], Callable[[Atoms], Names]], tuple[str, ...]]] = {
    "CrystalNet, atoms": ("ase_crystalnet", lambda: crystalnet("atoms"), ()),
    "CrystalNet, grid": ("ase_crystalnet", lambda: crystalnet("grid"), ()),
    "PTM, RMSD 0.1 (OVITO)": ("ovito", lambda: ptm(0.1), ()),
    "PTM, no cutoff (OVITO)": ("ovito", lambda: ptm(None), ()),
    "a-CNA (OVITO)": ("ovito", lambda: acna(False), ()),
    "Ackland-Jones (OVITO)": (
        "ovito", lambda: ovito(lambda m, _: m.AcklandJonesModifier(), _AJ), (),
    ),
    "diamond CNA (OVITO)": ("ovito", lambda: acna(True), _DIAMONDS),
    "Chill+ (OVITO)": ("ovito", lambda: ovito(chill, _ICE), _DIAMONDS),
    "a-CNA (pyscal3)": ("pyscal3", lambda: pyscal(False), ()),
    "diamond CNA (pyscal3)": ("pyscal3", lambda: pyscal(True), _DIAMONDS),
    "averaged q4, q6 (freud)": ("freud", freud, ()),
}  # fmt: skip

#: Structure types that each can name here, besides none.
TYPES = {
    "CrystalNet": 13, "PTM": 6, "a-CNA": 3, "Ackland-Jones": 3, "diamond CNA": 2, "Chill+": 2,
    "averaged q4": 6,
}  # fmt: skip


# ---------------------------------------------------------------------- scores


def measure(program: str, atoms: int, data: Path | None) -> dict[str, Any]:
    """Score of one program, in this process."""
    _, begin, only = PROGRAMS[program]
    label = begin()
    right: dict[str, dict[str, float]] = {}
    seconds, count = 0.0, 0
    given = [each for each in samples(atoms, data) if not only or each[1] in only]
    label(given[0][2])  # what is compiled, loaded or cached at first
    for number, (condition, name, structure, truth) in enumerate(given):
        began = time.perf_counter()
        found = label(structure)
        seconds += time.perf_counter() - began
        count += len(structure)
        key = name if condition != "others' files" else f"{name} {number}"
        right.setdefault(condition, {})[key] = round(100 * float(np.mean(found == truth)), 2)
    return {
        "right": right,
        "atoms/s": round(count / seconds),
        "MB": round(peak_memory()),
    }


def run(name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """The same in a process of its own, on one core; an error as a word."""
    command = [sys.executable, __file__, "--one", name, "--atoms", str(arguments.atoms)]
    if arguments.data is not None:
        command += ["--data", str(arguments.data)]
    one = dict.fromkeys(("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OVITO_THREAD_COUNT"), "1")
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **one}
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["?"])[-1]
        return {"left out": last[:120]}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def rows(found: dict[str, dict[str, Any]]) -> list[list[Any]]:
    """One row a program: mean percent right of its structures in each condition."""
    table = []
    for name, result in found.items():
        if "right" not in result:
            continue
        row: list[Any] = [name]
        for condition in conditions(found):
            values = list(result["right"].get(condition, {}).values())
            row.append(f"{np.mean(values):.1f}" if values else "-")
        types = next((count for key, count in TYPES.items() if name.startswith(key)), "-")
        table.append([*row, types, f"{result['atoms/s']:,}", result["MB"]])
    return table


def conditions(found: dict[str, dict[str, Any]]) -> list[str]:
    """Conditions of all programs, in order."""
    return list(dict.fromkeys(c for each in found.values() for c in each.get("right", {})))


def by_structure(found: dict[str, dict[str, Any]], condition: str) -> list[list[Any]]:
    """One row a program: percent right of each structure in one condition."""
    table = []
    for name, result in found.items():
        values = result.get("right", {}).get(condition, {})
        table.append([name, *(f"{values[n]:.1f}" if n in values else "-" for n in CRYSTALS)])
    return [row for row in table if set(row[1:]) != {"-"}]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--data", type=Path, help="folder with other people's files")
    parser.add_argument("--atoms", type=int, default=1000, help="atoms of a structure")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(measure(arguments.one, arguments.atoms, arguments.data)))
        return 0
    found = {}
    for name in PROGRAMS:
        found[name] = run(name, arguments)
        sys.stderr.write(f"{name}: {found[name]}\n")
    head = ["program", *conditions(found), "types", "atoms/s", "MB"]
    print(markdown(head, rows(found)))
    print()
    print(markdown(["sigma 0.08", *CRYSTALS], by_structure(found, "sigma 0.08")))
    for name, result in found.items():
        if "left out" in result:
            print(f"\nleft out: {name}: {result['left out']}")
    if arguments.json is not None:
        versions = _versions()
        write_json(arguments.json, {"versions": versions, "programs": found})
    return 0


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("ase-crystalnet", "ovito", "pyscal3", "freud-analysis"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
