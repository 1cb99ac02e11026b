"""Crystals without training: right space group, grains, orientation, chemical order.

    python benchmarks/crystals.py [--draws 2] [--data DIR] [--stride 12] [--json FILE] [PART ...]

Parts: types, md, aflow, structures, none, grains, sigma, order, errors, cost (default: all). DIR,
or $CRYSTALNET_DATA, is a folder of external data with molecular dynamics, the AFLOW prototypes and
structures of the Materials Project; without it these three parts are left out. Regions are balls in
random orientation about a random point; "right" is the number of the space group, of 230.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import spglib
from ase import Atoms
from ase.build import bulk
from ase.spacegroup import crystal
from common import markdown, show, where, write_json
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.spatial.transform import Rotation

from ase_crystalnet import crystals
from ase_crystalnet.grains import crystal_of, find_crystals
from ase_crystalnet.io.trajectories import iter_frames

RIGHT = [90, 90, 90]
HEXAGONAL = [90, 90, 120]
THIRD = 1 / 3


def _cubic(symbols: list[str], places: list[tuple[float, ...]], group: int, a: float) -> Atoms:
    return crystal(symbols, places, spacegroup=group, cellpar=[a, a, a, *RIGHT])


def _other(
    symbols: list[str], places: list[tuple[float, ...]], group: int, cell: list[float]
) -> Atoms:
    return crystal(symbols, places, spacegroup=group, cellpar=cell)


#: The eighteen structure types: crystal and space group.
TYPES: dict[str, tuple[Atoms, int]] = {
    "NaCl": (_cubic(["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], 225, 5.64), 225),
    "CsCl": (_cubic(["Cs", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], 221, 4.12), 221),
    "zincblende": (_cubic(["Zn", "S"], [(0, 0, 0), (0.25, 0.25, 0.25)], 216, 5.41), 216),
    "wurtzite": (
        _other(["Zn", "O"], [(THIRD, 2 * THIRD, 0), (THIRD, 2 * THIRD, 0.382)], 186,
               [3.25, 3.25, 5.2, *HEXAGONAL]), 186),
    "fluorite": (_cubic(["Ca", "F"], [(0, 0, 0), (0.25, 0.25, 0.25)], 225, 5.46), 225),
    "perovskite": (
        _cubic(["Sr", "Ti", "O"], [(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0)], 221, 3.905), 221),
    "rutile": (
        _other(["Ti", "O"], [(0, 0, 0), (0.305, 0.305, 0)], 136, [4.594, 4.594, 2.959, *RIGHT]),
        136),
    "L1_2": (_cubic(["Al", "Ni"], [(0, 0, 0), (0.5, 0.5, 0)], 221, 3.57), 221),
    "L1_0": (
        _other(["Fe", "Pt"], [(0, 0, 0), (0.5, 0.5, 0.5)], 123, [2.72, 2.72, 3.71, *RIGHT]), 123),
    "A15": (_cubic(["Nb", "Sn"], [(0.25, 0, 0.5), (0, 0, 0)], 223, 5.29), 223),
    "C15": (
        crystal(["Mg", "Cu"], [(0.125, 0.125, 0.125), (0.5, 0.5, 0.5)], spacegroup=227, setting=2,
                cellpar=[7.03, 7.03, 7.03, *RIGHT]), 227),
    "hcp": (bulk("Mg"), 194),
    "fcc": (bulk("Cu", cubic=True), 225),
    "diamond": (bulk("Si", cubic=True), 227),
    "dhcp": (
        _other(["La", "La"], [(0, 0, 0), (THIRD, 2 * THIRD, 0.25)], 194,
               [3.77, 3.77, 12.16, *HEXAGONAL]), 194),
    "graphite": (
        _other(["C", "C"], [(0, 0, 0.25), (THIRD, 2 * THIRD, 0.25)], 194,
               [2.46, 2.46, 6.71, *HEXAGONAL]), 194),
    "NiAs": (
        _other(["Ni", "As"], [(0, 0, 0), (THIRD, 2 * THIRD, 0.25)], 194,
               [3.62, 3.62, 5.03, *HEXAGONAL]), 194),
    "quartz": (
        _other(["Si", "O"], [(0.4697, 0, 2 * THIRD), (0.4133, 0.2672, 0.7855)], 154,
               [4.916, 4.916, 5.405, *HEXAGONAL]), 154),
}  # fmt: skip
#: Displacements in nearest-neighbour distances, share of vacancies, atoms.
CONDITIONS = ((0.03, 0.0, 1500), (0.06, 0.0, 1500), (0.10, 0.0, 3000), (0.06, 0.2, 1500))
#: Files of the data folder with crystals of a known group, and the frame.
MD = (
    ("md/pyscal/conf.fcc.dump", 225),
    ("md/pyscal/conf.bcc.dump", 229),
    ("md/pyscal/conf.hcp.dump", 194),
    ("md/mdapy/HexDiamond.xyz", 194),
    ("md/mdapy/hea.0.xyz", 225),
    ("md/atomman/fcc_Al_base.dump", 225),
    ("md/atomman/fcc_Al_disl.dump", 225),
    ("md/lammps_examples/data.sigma5.gz", 225),
    ("aet/PdPt_TO.xyz", 225),
    ("md/pyscal/conf.lqd.Al.dump", None),
)
ALLOYS: dict[str, tuple[Atoms, str]] = {
    "L1_2": (TYPES["L1_2"][0], "L1_2 (Cu3Au)"),
    "B2": (_cubic(["Al", "Ni"], [(0, 0, 0), (0.5, 0.5, 0.5)], 221, 2.89), "B2 (CsCl)"),
    "L1_0": (
        _other(["Fe", "Pt"], [(0, 0, 0), (0.5, 0.5, 0.5)], 123, [2.72, 2.72, 3.71, *RIGHT]),
        "L1_0 (CuAu)",
    ),
    "D0_3": (
        _cubic(["Al", "Fe", "Fe"], [(0, 0, 0), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)], 225, 5.8),
        "D0_3 (BiF3)",
    ),
}


NUMBERS = {"fcc": 225, "bcc": 229, "hcp": 194, "diamond": 227}


def ball(
    cell: Atoms, atoms: int, sigma: float, vacancies: float, rng: np.random.Generator
) -> Atoms:
    """A ball of so many atoms."""
    per_atom = cell.get_volume() / len(cell) / (1 - vacancies)
    radius = 1.02 * (3 * atoms * per_atom / (4 * np.pi)) ** (1 / 3)
    found = crystals.random_cluster(cell, radius, sigma=sigma, vacancies=vacancies, rng=rng)[0]
    return found[np.argsort((found.positions**2).sum(axis=1))[:atoms]]


def group_of(atoms: Atoms) -> int:
    """Number of the space group of a ball; 0 for none."""
    found = crystal_of(atoms.positions, atoms.numbers)
    return 0 if found is None else found.space_group


def rand_index(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Adjusted Rand index (Hubert & Arabie, J. Classif. 2, 193 (1985))."""
    pairs = np.unique(first, return_inverse=True)[1], np.unique(second, return_inverse=True)[1]
    table = coo_matrix((np.ones(len(first)), pairs)).tocsr().data

    def twos(counts: NDArray[Any]) -> float:
        return float((counts * (counts - 1) / 2).sum())

    a, b = (twos(np.bincount(each).astype(float)) for each in pairs)
    expected = a * b / (len(first) * (len(first) - 1) / 2)
    return (twos(table) - expected) / ((a + b) / 2 - expected)


# ---------------------------------------------------------------------- parts
def types(given: argparse.Namespace, rng: np.random.Generator) -> list[dict[str, Any]]:
    """The eighteen structure types."""
    rows = []
    for name, (cell, number) in TYPES.items():
        row: dict[str, Any] = {"structure": name, "group": number}
        for sigma, vacancies, atoms in CONDITIONS:
            key = f"{sigma:.2f}" + (f" + {100 * vacancies:.0f} % vacancies" if vacancies else "")
            got = [group_of(ball(cell, atoms, sigma, vacancies, rng)) for _ in range(given.draws)]
            row[key] = round(100 * float(np.mean([each == number for each in got])), 1)
        rows.append(row)
        show(str(row))
    mean = {key: round(float(np.mean([row[key] for row in rows])), 2) for key in list(rows[0])[2:]}
    return [*rows, {"structure": "all", "group": "", **mean}]


def md(given: argparse.Namespace, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Files of other programs."""
    rows = []
    for name, number in MD:
        path = given.data / name
        if not path.exists():
            continue
        atoms = next(iter_frames(str(path), 0, 1)).atoms
        start = time.perf_counter()
        found = find_crystals(atoms)
        row = {
            "file": name,
            "atoms": len(atoms),
            "true group": "none" if number is None else number,
            "found": " ".join(str(one.space_group) for one in found[:4]) or "none",
            "in grains, %": round(100 * float((found.grains > 0).mean()), 1),
            "boundary": " ".join(f"Sigma {b.sigma}" for b in found.boundaries[:2] if b.sigma),
            "seconds": round(time.perf_counter() - start, 1),
        }
        rows.append(row)
        show(str(row))
    return rows


def aflow(given: argparse.Namespace, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Prototypes of AFLOW by the number of sites of their primitive cells."""
    bins = ((1, 4), (5, 16), (17, 40), (41, 10_000))
    right: dict[tuple[int, int], dict[float, list[bool]]] = {each: {} for each in bins}
    stated: dict[tuple[int, int], list[float]] = {each: [] for each in bins}
    labelled: dict[tuple[int, int], list[bool]] = {each: [] for each in bins}
    answers: list[tuple[float, bool]] = []
    with gzip.open(given.data / "prototypes" / "aflow_prototypes.json.gz") as file:
        entries = json.load(file)
    for entry in entries[given.offset :: given.stride]:
        structure = entry["snl"]
        lattice = np.array(structure["lattice"]["matrix"])
        places = np.array([site["abc"] for site in structure["sites"]])
        names = [site["species"][0]["element"] for site in structure["sites"]]
        names = ["H" if name in ("D", "T") else name for name in names]
        cell = Atoms(names, cell=lattice, scaled_positions=places, pbc=True)
        known = spglib.get_symmetry_dataset((lattice, places, cell.numbers), symprec=0.01)
        sites = len(np.unique(known.mapping_to_primitive))
        size = next(each for each in bins if each[0] <= sites <= each[1])
        for sigma in (0.04, 0.08):
            atoms = ball(cell, max(3000, 60 * sites), sigma, 0.0, rng)
            one = crystal_of(atoms.positions, atoms.numbers)
            got = 0 if one is None else one.space_group
            right[size].setdefault(sigma, []).append(got == known.number)
            stated[size].append(0.0 if one is None else one.probability)
            answers.append((stated[size][-1], got == known.number))
            if one is not None and got == known.number:
                label = "" if one.library is None else one.library.reference.label
                labelled[size].append(label == entry["tags"]["aflow"])
            if got != known.number:
                show(f"{structure.get('about', {}).get('remarks', '')} {cell.symbols} {sites} "
                     f"sites, sigma {sigma}: {got}, true {known.number}")  # fmt: skip
    rows = []
    for (low, high), found in right.items():
        if found:
            row: dict[str, Any] = {"sites": f"{low}-{high}" if high < 1000 else f"{low} or more"}
            row["prototypes"] = len(found[0.04])
            row |= {f"sigma {s:.2f}": round(100 * float(np.mean(x)), 1) for s, x in found.items()}
            row["mean stated probability"] = round(100 * float(np.mean(stated[low, high])), 1)
            row["of the right ones with AFLOW's label"] = round(
                100 * float(np.mean(labelled[low, high])), 1
            )
            rows.append(row)
    show(f"calibration error of the stated probability: {calibration_error(answers):.3f}")
    for row in rows:
        row["calibration error, all"] = round(calibration_error(answers), 3)
    return rows


def calibration_error(answers: list[tuple[float, bool]]) -> float:
    """Mean difference of stated probability and share that is right, over bins of the former."""
    stated, right = (np.array(each, float) for each in zip(*answers, strict=True))
    part = np.digitize(stated, (0.05, 0.5, 0.9, 0.95, 0.99))
    return float(
        sum(
            (part == k).mean() * abs(stated[part == k].mean() - right[part == k].mean())
            for k in np.unique(part)
        )
    )


def structures(given: argparse.Namespace, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Structures of the Materials Project by the number of sites, hot balls and frames at rest."""
    with gzip.open(given.data / "structures" / "materials_project_a.jsonl.gz", "rt") as file:
        entries = [json.loads(line) for line in file]
    # Whose group does not hang on the tolerance.
    entries = [each for each in entries if each["sg"] == each["sg_01"] and len(each["Z"]) <= 60]
    bins = ((1, 4), (5, 16), (17, 40), (41, 60))
    right: dict[tuple[int, int], dict[str, list[bool]]] = {
        each: {"sigma 0.04": [], "at rest": []} for each in bins
    }
    answers: list[tuple[float, bool]] = []
    for row in rng.choice(len(entries), given.structures, replace=False):
        entry = entries[row]
        cell = Atoms(entry["Z"], cell=entry["lattice"], scaled_positions=entry["frac"], pbc=True)
        size = next(each for each in bins if each[0] <= len(cell) <= each[1])
        atoms = ball(cell, max(3000, 60 * len(cell)), 0.04, 0.0, rng)
        one = crystal_of(atoms.positions, atoms.numbers)
        got = 0 if one is None else one.space_group
        right[size]["sigma 0.04"].append(got == entry["sg"])
        answers.append((0.0 if one is None else one.probability, got == entry["sg"]))
        edge = (1500 * cell.get_volume() / len(cell)) ** (1 / 3)
        copies = np.maximum(np.rint(edge / cell.cell.lengths()), 1).astype(int)
        found = find_crystals(cell.repeat(copies.tolist()))
        rest = found[0].space_group if len(found) else 0
        right[size]["at rest"].append(rest == entry["sg"])
        if got != entry["sg"] or rest != entry["sg"]:
            show(f"{entry['id']} {len(cell)} sites: {got}, at rest {rest}, true {entry['sg']}")
    error = round(calibration_error(answers), 3)
    stated = round(100 * float(np.mean([each[0] for each in answers])), 1)
    return [
        {"sites": f"{low}-{high}", "structures": len(found["at rest"])}
        | {key: round(100 * float(np.mean(values)), 1) for key, values in found.items()}
        | {"mean stated probability, all": stated, "calibration error, all": error}
        for (low, high), found in right.items()
        if found["at rest"]
    ]


def none(given: argparse.Namespace, rng: np.random.Generator) -> list[dict[str, Any]]:
    """What is no crystal."""
    rows = []
    for density in (0.9, 1.0, 1.1, 1.2, 1.3):
        share, number = [], 0
        for _ in range(given.draws):
            atoms = crystals.random_packing(2000, density=density, rng=rng)
            found = find_crystals(atoms)
            share.append(float((found.grains > 0).mean()))
            number += len(found)
        rows.append(
            {
                "packing of density": density,
                "frames": given.draws,
                "crystals": number,
                "atoms in crystals, %": round(100 * float(np.mean(share)), 3),
            }
        )
        show(str(rows[-1]))
    return rows


def grains(given: argparse.Namespace, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Polycrystals."""
    rows = []
    group = {"fcc": "O", "bcc": "O", "hcp": "D6", "diamond": "O"}
    for name, symmetry in group.items():
        cell = getattr(crystals, name)()
        turns = Rotation.create_group(symmetry)
        for sigma in (0.05, 0.10):
            atoms, true, rotations = crystals.polycrystal(
                cell, given.atoms, given.grains, sigma=sigma, rng=rng
            )
            start = time.perf_counter()
            found = find_crystals(atoms)
            seconds = time.perf_counter() - start
            inside = found.grains > 0
            angles, strains = [], []
            for one in found:
                its = rotations[np.bincount(true[one.atoms]).argmax()]
                between = its.inv() * Rotation.from_quat(one.orientation)
                if symmetry == "D6":
                    # The standard cell of spglib may lie 30 degrees from that of the builder.
                    between = between * Rotation.from_euler("z", [[0], [30]], degrees=True)
                    choices = [(each * turns).magnitude().min() for each in between]
                else:
                    choices = [(between * turns).magnitude().min()]
                angles.append(np.degrees(min(choices)))
                volume = one.conventional.get_volume() / len(one.conventional)
                truth = cell.get_volume() / len(cell)
                strains.append(abs(np.log(volume / truth)) / 3)
            rows.append(
                {
                    "structure": name,
                    "sigma": sigma,
                    "atoms": len(atoms),
                    "grains": f"{len(found)} of {given.grains}",
                    "right group": sum(
                        one.space_group
                        == {"fcc": 225, "bcc": 229, "hcp": 194, "diamond": 227}[name]
                        for one in found
                    ),
                    "in grains, %": round(100 * float(inside.mean()), 1),
                    "Rand index": round(rand_index(true[inside], found.grains[inside]), 4),
                    "with all atoms": round(rand_index(true, found.grains), 4),
                    "orientation, degrees": round(float(np.median(angles)), 3),
                    "strain, %": round(100 * float(np.median(strains)), 3),
                    "microseconds an atom": round(1e6 * seconds / len(atoms)),
                }
            )
            show(str(rows[-1]))
    return rows


def sigma(given: argparse.Namespace, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Coincidence boundaries of copper: two halves of a cube, one of them turned."""
    turns = {3: (60.0, (1, 1, 1)), 5: (36.87, (1, 0, 0)), 9: (38.94, (1, 1, 0))}
    rows = []
    for number, (angle, axis) in turns.items():
        row: dict[str, Any] = {"boundary": f"Sigma {number}"}
        for width in (0.05, 0.08, 0.10):
            named, deviation = 0, []
            for _ in range(given.draws):
                first = Rotation.random(random_state=int(rng.integers(2**31)))
                between = Rotation.from_rotvec(
                    np.radians(angle) * np.array(axis) / np.linalg.norm(axis)
                )
                halves = []
                for turn, side in ((first, -1), (first * between, 1)):
                    half = bulk("Cu", cubic=True).repeat(18)
                    half.positions = turn.apply(half.positions - half.positions.mean(axis=0))
                    inside = (np.abs(half.positions) < 22).all(axis=1)
                    halves.append(half[inside & (side * half.positions[:, 0] > 0.9)])
                atoms = halves[0] + halves[1]
                atoms.pbc = False
                atoms.positions += rng.normal(0, width * 2.556, (len(atoms), 3))
                found = find_crystals(atoms)
                known = [each for each in found.boundaries if each.sigma == number]
                named += len(found) == 2 and bool(known)
                deviation += [each.misorientation for each in known]
            row[f"named at {width:.2f}, %"] = round(100 * named / given.draws, 1)
        row["misorientation, degrees"] = round(float(np.mean(deviation)), 2) if deviation else ""
        rows.append(row)
        show(str(row))
    return rows


def order(given: argparse.Namespace, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Alloys of partial order."""
    rows = []
    for name, (cell, prototype) in ALLOYS.items():
        for true in (1.0, 0.7, 0.4, 0.2, 0.0):
            found, named, significant = [], 0, 0
            for _ in range(given.draws):
                atoms = ball(cell, 1500, 0.08, 0.0, rng)
                mixed = rng.random(len(atoms)) > true
                numbers = atoms.numbers.copy()
                numbers[mixed] = rng.permutation(numbers[mixed])
                one = crystal_of(atoms.positions, numbers)
                if one is None or one.order is None:
                    continue
                found.append(one.order.parameter)
                named += one.prototype == prototype
                significant += one.order.p_value < 0.01
            rows.append(
                {
                    "type": name,
                    "true S": true,
                    "found S": round(float(np.mean(found)), 3),
                    "spread": round(float(np.std(found)), 3),
                    "type named, %": round(100 * named / given.draws, 1),
                    "significant, %": round(100 * significant / given.draws, 1),
                }
            )
            show(str(rows[-1]))
    return rows


def errors(given: argparse.Namespace, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Stated errors of lattice constants and probabilities of groups."""
    rows = []
    for sigma in (0.03, 0.06, 0.10):
        within, sure, right = [], [], []
        for name in ("fcc", "diamond", "NaCl", "CsCl", "A15"):
            cell, number = TYPES[name]
            for _ in range(2 * given.draws):
                # Not cut after the displacements: atoms that left a ball would be missed.
                radius = (3 * 2000 * cell.get_volume() / len(cell) / (4 * np.pi)) ** (1 / 3)
                atoms, _ = crystals.random_cluster(cell, radius, sigma=sigma, rng=rng)
                one = crystal_of(atoms.positions, atoms.numbers)
                if one is None:
                    continue
                right.append(one.space_group == number)
                sure.append(one.probability)
                if right[-1]:
                    truth = (cell.get_volume() / len(cell) * len(one.conventional)) ** (1 / 3)
                    # Of a cubic cell: the mean of three independent lengths.
                    error = one.cell_error / np.sqrt(3)
                    within.append(abs(one.cell_parameters[0] / truth - 1) < 2 * error)
        rows.append(
            {
                "sigma": sigma,
                "crystals": len(right),
                "right group, %": round(100 * float(np.mean(right)), 1),
                "mean stated probability, %": round(100 * float(np.mean(sure)), 1),
                "a within two errors, %": round(100 * float(np.mean(within)), 1),
            }
        )
        show(str(rows[-1]))
    return rows


def cost(given: argparse.Namespace, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Processor time of grains and all that follows beside that of the analysis of every atom."""
    from ase_crystalnet import CrystalNet

    atoms, _, _ = crystals.polycrystal(
        crystals.fcc(), given.cost_atoms, max(given.cost_atoms // 20_000, 2), sigma=0.06, rng=rng
    )
    net = CrystalNet()
    net.analyze(atoms[:2000], np.arange(0, 2000, 20))  # compiles
    find_crystals(crystals.polycrystal(crystals.fcc(), 3000, 2, sigma=0.06, rng=rng)[0])
    # Windows of some atoms stand for those of all; what a frame costs whatever their number is the
    # rest of two such times.
    spent = []
    for stride in (given.cost_stride, 4 * given.cost_stride):
        at = np.arange(0, len(atoms), stride)
        start = time.process_time()
        net.analyze(atoms, at)
        spent.append((len(at), time.process_time() - start))
    (many, longer), (few, shorter) = spent
    each = (longer - shorter) / (many - few)
    analysis = longer + each * (len(atoms) - many)
    start = time.process_time()
    found = find_crystals(atoms)
    own = time.process_time() - start
    return [
        {
            "atoms": len(atoms),
            "grains": len(found),
            "analysis, s": round(analysis, 1),
            "grains, s": round(own, 1),
            "share, %": round(100 * own / analysis, 1),
        }
    ]


PARTS: dict[str, Callable[[argparse.Namespace, np.random.Generator], list[dict[str, Any]]]] = {
    "types": types,
    "md": md,
    "aflow": aflow,
    "structures": structures,
    "none": none,
    "grains": grains,
    "sigma": sigma,
    "order": order,
    "errors": errors,
    "cost": cost,
}


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--draws", type=int, default=2, help="of each cell of a table")
    parser.add_argument("--stride", type=int, default=12, help="of the prototypes of AFLOW")
    parser.add_argument("--offset", type=int, default=0, help="first of the prototypes")
    parser.add_argument("--structures", type=int, default=60, help="of the Materials Project")
    parser.add_argument("--atoms", type=int, default=20_000, help="of a polycrystal")
    parser.add_argument("--grains", type=int, default=8, help="of a polycrystal")
    parser.add_argument("--cost-atoms", type=int, default=250_000, help="of the part cost")
    parser.add_argument("--cost-stride", type=int, default=25, help="one atom of so many")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--data", type=Path, default=os.environ.get("CRYSTALNET_DATA"))
    parser.add_argument(
        "--json", type=Path, default=Path(__file__).parent / "results" / "crystals.json"
    )
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"unknown parts {', '.join(sorted(unknown))}; expected {', '.join(PARTS)}")
    os.environ.setdefault("SPGLIB_WARNING", "OFF")
    results: dict[str, Any] = {}
    if given.json.exists():
        # Parts that are not run this time are kept, each with what made it.
        results = json.loads(given.json.read_text()).get("parts", {})
    for name in given.parts or PARTS:
        if name in ("md", "aflow", "structures") and given.data is None:
            show(f"{name}: left out, without a folder of data")
            continue
        rows = PARTS[name](given, np.random.default_rng(given.seed))
        if not rows:
            continue
        show(f"\n{PARTS[name].__doc__}\n")
        show(markdown(list(rows[0]), [list(row.values()) for row in rows]) + "\n")
        results[name] = {"command": where()["command"], "rows": rows}
        write_json(given.json, {"parts": results})


if __name__ == "__main__":
    main()
