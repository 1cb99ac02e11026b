"""Labels of the neighbour-based methods, by OVITO, in the class names of this package.

    python benchmarks/baselines.py [--atoms 4000] [--seed 0]

prints how many percent of the atoms of noisy and incomplete crystals polyhedral template matching
(PTM, with and without RMSD cutoff) and adaptive common neighbour analysis (a-CNA) label rightly.
Needs the extra `ovito`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet import CrystalNetError, crystals
from ase_crystalnet.classes import CLASSES

Labels = NDArray[np.int16]

SIGMAS = (0.0, 0.02, 0.05, 0.08, 0.10, 0.12, 0.15)
VACANCIES = (0.0, 0.01, 0.05, 0.10, 0.20, 0.30, 0.40, 0.50, 0.60)


class MissingOvitoError(CrystalNetError):
    """The baselines were asked for on a machine without OVITO."""


def ptm_labels(*arguments: Any, **options: Any) -> Labels:
    """Labels by polyhedral template matching (`ovito_modifier.neighbor_methods`)."""
    return _label("ptm_labels", *arguments, **options)


def acna_labels(*arguments: Any, **options: Any) -> Labels:
    """Labels by adaptive common neighbour analysis (`ovito_modifier.neighbor_methods`)."""
    return _label("acna_labels", *arguments, **options)


def _label(method: str, *arguments: Any, **options: Any) -> Labels:
    try:
        from ovito_modifier import neighbor_methods

        labels: Labels = getattr(neighbor_methods, method)(*arguments, **options)
    except ImportError as error:
        raise MissingOvitoError(
            "the baselines need OVITO, which is not installed; run pip install '.[ovito]'"
        ) from error
    return labels


def percent_right(labels: Labels, name: str) -> float:
    """Percent of atoms with the label of a symmetry."""
    return 100.0 * float(np.mean(labels == CLASSES.index(name)))


METHODS: dict[str, Callable[[Atoms, str], Labels]] = {
    "PTM, cutoff 0.1, all": lambda atoms, _: ptm_labels(atoms, 0.1),
    "PTM, no cutoff, all": lambda atoms, _: ptm_labels(atoms, None),
    # As OVITO starts, with the one template more that the crystal needs.
    "PTM, cutoff 0.1, few": lambda atoms, name: ptm_labels(atoms, 0.1, _few(name)),
    "PTM, no cutoff, few": lambda atoms, name: ptm_labels(atoms, None, _few(name)),
    "a-CNA": lambda atoms, name: acna_labels(atoms, diamond=name == "diam"),
}


def _few(name: str) -> list[str]:
    more = {"disordered": "fcc", "hex/rh": "hcp"}.get(name, name)
    return sorted({"fcc", "hcp", "bcc", more})


def table(atoms: int, seed: int) -> dict[str, dict[str, list[float]]]:
    """Percent right of each method on each crystal, by noise and by vacancies; and on a packing."""
    rng = np.random.default_rng(seed)
    result: dict[str, dict[str, list[float]]] = {}
    for name in ("fcc", "bcc", "hex/rh", "diam", "sc"):
        cell = crystals.unit_cell(name)
        series = {
            "sigma": [crystals.supercell(cell, atoms, sigma=each, rng=rng) for each in SIGMAS],
            "vacancies": [
                crystals.supercell(cell, atoms, vacancies=each, rng=rng) for each in VACANCIES
            ],
        }
        for method, label in METHODS.items():
            result[f"{name}: {method}"] = {
                key: [percent_right(label(each, name), name) for each in structures]
                for key, structures in series.items()
            }
    packing = crystals.random_packing(atoms, rng=rng)
    for method, label in METHODS.items():
        wrong = 100.0 - percent_right(label(packing, "disordered"), "disordered")
        result[f"random packing: {method}"] = {"called crystal": [wrong]}
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--atoms", type=int, default=4000, help="atoms of a crystal")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    arguments = parser.parse_args()
    try:
        rows = table(arguments.atoms, arguments.seed)
    except MissingOvitoError as error:
        sys.stderr.write(f"baselines: {error}\n")
        return 1
    head = " ".join(f"{s:5.2f}" for s in SIGMAS), " ".join(f"{100 * v:5.0f}" for v in VACANCIES)
    lines = [f"{'percent right':32s} sigma/d_nn {head[0]}   vacancies % {head[1]}"]
    for name, row in rows.items():
        if "sigma" in row:
            noise = " ".join(f"{value:5.1f}" for value in row["sigma"])
            holes = " ".join(f"{value:5.1f}" for value in row["vacancies"])
            lines.append(f"{name:32s} {'':10s} {noise}   {'':11s} {holes}")
        else:
            lines.append(f"{name:32s} called crystal: {row['called crystal'][0]:.1f}")
    sys.stdout.write("\n".join(lines) + "\n")
    if arguments.json:
        arguments.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
