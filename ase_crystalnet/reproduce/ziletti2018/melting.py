"""Supplementary Fig. 1 of Ziletti et al. (2018): crystals that lose their order by displacement.

The Lindemann parameter here is the standard deviation of each component of a displacement over the
nearest-neighbour distance, which is how the authors' published code (ai4materials) scales
displacements; the root mean square length of a displacement is sqrt(3) times that.
"""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
from ase import Atoms
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ase_crystalnet._compute.types import Array
from ase_crystalnet.crystals.defects import displaced
from ase_crystalnet.fingerprint.exact import exact_fingerprints
from ase_crystalnet.fingerprint.fingerprint import Fingerprint
from ase_crystalnet.geometry.periodic import PeriodicSpace
from ase_crystalnet.reproduce import figures
from ase_crystalnet.reproduce.report import (
    Cell,
    Check,
    Picture,
    Report,
    Table,
)
from ase_crystalnet.reproduce.store import Memo
from ase_crystalnet.reproduce.ziletti2018.bench import Bench, evenly
from ase_crystalnet.reproduce.ziletti2018.paths import crossing, turned
from ase_crystalnet.whole.average_cell import AverageCell, average_cell
from ase_crystalnet.whole.cluster import padded, perfect_supercell

__all__ = ["WAYS", "crystals_to_melt", "lindemann"]

LARGEST = 0.3
MELTING = (0.1, 0.2)  # where the paper's probabilities fall
SHOWN = 7  # parameters in the table
CHUNK = 5  # parameters that are kept at a time
#: How the fingerprint of a displaced crystal is come by.
WAYS = {
    "found": "cell and scale found in the displaced crystal",
    "known": "cell and scale of the crystal before",
    "own scale": "cell of the crystal before, scale of the displaced atoms",
}


def crystals_to_melt() -> dict[str, Atoms]:
    """Fcc copper, bcc iron, body-centred tetragonal indium (c/a 1.52): conventional cells."""
    from ase.build import bulk

    indium = Atoms(
        "In2", cell=[3.253, 3.253, 4.947], scaled_positions=[(0, 0, 0), (0.5,) * 3], pbc=True
    )
    return {
        "fcc": bulk("Cu", "fcc", a=3.615, cubic=True),
        "bcc": bulk("Fe", "bcc", a=2.866, cubic=True),
        "bct139": indium,
    }


def nearest_distances(atoms: Atoms) -> Array:
    """Distance of every atom of a periodic structure to its nearest neighbour, Angstrom."""
    space = PeriodicSpace.of(atoms)
    positions = space.wrap(atoms.positions)
    depth = 2.0 * (atoms.get_volume() / len(atoms)) ** (1 / 3)
    everywhere, _ = space.with_ghosts(positions, depth)
    return np.asarray(cKDTree(everywhere).query(positions, k=2)[0][:, 1], np.float64)


def bragg_intensity(positions: Array, lattice: Array) -> float:
    """Mean S / N of the shortest reciprocal lattice vectors: 1 in a perfect lattice."""
    hkl = np.array([h for h in product(range(-2, 3), repeat=3) if h > (0, 0, 0)])
    length = np.linalg.norm(hkl @ np.linalg.inv(lattice).T, axis=1)
    first = hkl[length < 1.001 * length.min()]
    phases = 2 * np.pi * positions @ np.linalg.inv(lattice) @ first.T
    return float((np.abs(np.exp(1j * phases).mean(axis=0)) ** 2).mean())


def _measure(bench: Bench, name: str, deltas: Array) -> list[dict[str, list[float]]]:
    """Mean probabilities (C,) each way, and Bragg intensities, at each parameter."""
    crystal = crystals_to_melt()[name]
    cell = average_cell(crystal)
    perfect = perfect_supercell(crystal)
    fingerprint = Fingerprint(**bench.classifier.card.fingerprint)
    result = []
    for delta in deltas:
        rng = bench.rng("lindemann", name, f"{delta:.3f}")
        sigma = float(delta) * cell.nearest_neighbor_distance
        moved = [displaced(perfect, sigma, rng) for _ in range(bench.sizes.repeats)]
        # A structure without a lattice has no class: it counts as no probability for any.
        found = np.nan_to_num(bench.probabilities([turned(atoms, rng) for atoms in moved]))
        row = {"found": found.mean(axis=0)}
        for way in ("known", "own scale"):
            clusters = [_cluster(atoms, perfect, cell, way) for atoms in moved]
            images = exact_fingerprints(fingerprint, *padded(clusters))
            row[way] = bench.classifier.predict(images).mean(axis=0)
        row["bragg"] = np.mean([bragg_intensity(a.positions, cell.lattice) for a in moved])
        result.append({key: np.ravel(values).astype(float).tolist() for key, values in row.items()})
    return result


def _cluster(
    atoms: Atoms, perfect: Atoms, cell: AverageCell, way: str
) -> tuple[Array, NDArray[np.int64]]:
    """The displaced block in the standard setting of the crystal before, scaled."""
    scale = cell.nearest_neighbor_distance
    if way == "own scale":
        scale = float(nearest_distances(atoms).mean())
    return (atoms.positions - perfect.positions.mean(axis=0)) / scale, atoms.numbers


def _random_atoms(bench: Bench) -> list[float]:
    """Mean probabilities of atoms without any order, at the density of fcc."""
    rng = bench.rng("lindemann", "random")
    edge = (250 / np.sqrt(2)) ** (1 / 3)  # nearest-neighbour distances
    clusters = [
        (edge * (rng.random((250, 3)) - 0.5), np.full(250, 29)) for _ in range(bench.sizes.repeats)
    ]
    fingerprint = Fingerprint(**bench.classifier.card.fingerprint)
    images = exact_fingerprints(fingerprint, *padded(clusters))
    return [float(p) for p in bench.classifier.predict(images).mean(axis=0)]


def lindemann(memo: Memo, bench: Bench) -> Report:
    """Supplementary Fig. 1: probabilities against the Lindemann parameter."""
    deltas = np.linspace(0, LARGEST, bench.sizes.displacements)
    parts = np.array_split(deltas, max(1, len(deltas) // CHUNK))
    measured = {
        name: [
            row
            for part in parts
            for row in memo(
                f"{name} {part[0]:.3g} to {part[-1]:.3g}", partial(_measure, bench, name, part)
            )
        ]
        for name in crystals_to_melt()
    }
    random = memo("random atoms", lambda: _random_atoms(bench))
    shown = evenly(len(deltas), SHOWN)
    checks: list[Check] = []
    rows: list[list[Cell]] = []
    losses: list[list[Cell]] = []
    for name, points in measured.items():
        own = {w: np.array([p[w][bench.classes.index(name)] for p in points]) for w in WAYS}
        bragg = np.array([p["bragg"][0] for p in points])
        rows += [[name, way, *(float(v) for v in own[way][shown])] for way in WAYS]
        rows.append([name, "Bragg intensity", *(float(v) for v in bragg[shown])])
        for way in WAYS:
            place = crossing(deltas, own[way])
            left = None if place is None else float(np.interp(place, deltas, bragg))
            # Diffuse scattering of N independent displacements: (1 - left) / N of the whole.
            over = None if left is None else left / max(1 - left, 1e-9) * _sites(name)
            vector = None if place is None else np.sqrt(3) * place
            losses.append([name, WAYS[way], place, vector, left, over])
        place = crossing(deltas, own["found"])
        checks.append(
            Check(
                f"{name} is lost",
                "probability below a half between Lindemann 0.1 and 0.2",
                "never" if place is None else f"at {place:.3f}",
                place is not None and MELTING[0] <= place <= MELTING[1],
            )
        )
    tables = (
        Table(
            "Probability of the crystal's own class against the Lindemann parameter",
            ("crystal", "way", *(f"{d:.2f}" for d in deltas[shown])),
            rows,
            "; ".join(f"{way}: {words}" for way, words in WAYS.items())
            + f". Mean over {bench.sizes.repeats} displaced crystals of about 250 atoms. Bragg "
            "intensity: of the shortest reciprocal lattice vectors, 1 in a perfect crystal.",
            decimals=3,
        ),
        Table(
            "Where the probability falls below a half",
            (
                "crystal",
                "way",
                "Lindemann parameter",
                "rms length over distance",
                "Bragg intensity left",
                "Bragg over diffuse",
            ),
            losses,
            "Empty: not by 0.3. Bragg over diffuse: intensity of a Bragg spot over that between "
            "the spots.",
            decimals=3,
        ),
        Table(
            "What the network says of atoms without any order",
            tuple(bench.classes),
            [list(random)],
            "Mean probabilities of 250 atoms at random places, at the density of fcc.",
            decimals=3,
        ),
    )
    p = np.array([[point["found"] for point in points] for points in measured.values()])
    figure = figures.probability_lines(
        deltas,
        p,
        bench.classes,
        "Lindemann parameter (each component over the nearest-neighbour distance)",
        band=MELTING,
        titles=list(measured),
        top=(float(np.sqrt(3)), "rms length of a displacement over the nearest-neighbour distance"),
    )
    caption = "Probabilities against the Lindemann parameter (Supplementary Fig. 1)."
    data = {
        "lindemann": deltas.tolist(),
        "classes": bench.classes,
        "measured": measured,
        "random atoms": random,
        "lost": losses,
    }
    return Report(tables, tuple(checks), (Picture("melting", caption, figure),), data)


def _sites(name: str) -> int:
    return len(perfect_supercell(crystals_to_melt()[name]))
