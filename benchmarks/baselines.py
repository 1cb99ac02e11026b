"""Labels of the neighbour-based methods, by OVITO, in the class names of this package.

    python benchmarks/baselines.py [--atoms 4000] [--seed 0]

prints how many percent of the atoms of noisy and incomplete crystals polyhedral template matching
(PTM, with and without RMSD cutoff) and adaptive common neighbour analysis (a-CNA) label rightly.
`ptm_labels` and `acna_labels` are what the accuracy benchmark calls. Needs the extra `ovito`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
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


def ptm_labels(
    atoms: Atoms,
    rmsd_cutoff: float | None = 0.1,
    structures: Sequence[str] = ("fcc", "hcp", "bcc", "sc", "diam"),
    classes: Sequence[str] = CLASSES,
) -> Labels:
    """Labels (N,) by polyhedral template matching.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic or finite.
    rmsd_cutoff : float or None
        Largest deviation from a template, in its nearest-neighbour distance; None for no limit.
    structures : sequence of str
        Templates that are on; hexagonal diamond goes with diam. OVITO itself starts with fcc, hcp
        and bcc.
    classes : sequence of str
        Whose numbers the labels are: symmetries (hcp and hexagonal diamond are hex/rh) or
        structures.

    Notes
    -----
    Icosahedron and graphene are off. PTM has no template for the tetragonal classes: they can only
    be called something else.
    """
    modifiers = _ovito().modifiers
    method = modifiers.PolyhedralTemplateMatchingModifier
    modifier = method(rmsd_cutoff=0.0 if rmsd_cutoff is None else rmsd_cutoff)
    types = method.Type
    templates = {
        "fcc": {int(types.FCC): "fcc"},
        "hcp": {int(types.HCP): "hcp"},
        "bcc": {int(types.BCC): "bcc"},
        "sc": {int(types.SC): "sc"},
        "diam": {int(types.CUBIC_DIAMOND): "diam", int(types.HEX_DIAMOND): "hexdiam"},
    }
    names = {number: name for key in structures for number, name in templates[key].items()}
    for entry in modifier.structures:
        entry.enabled = entry.id in names
    return _labels(atoms, modifier, names, classes)


def acna_labels(atoms: Atoms, diamond: bool = False, classes: Sequence[str] = CLASSES) -> Labels:
    """Labels (N,) by adaptive common neighbour analysis.

    Parameters
    ----------
    atoms : ase.Atoms
        Periodic or finite.
    diamond : bool
        Use its extension to diamond structures instead (which then finds nothing else); the outer
        two shells about a diamond atom count as diamond, as OVITO displays them.
    """
    modifiers = _ovito().modifiers
    if diamond:
        names = dict.fromkeys((1, 2, 3), "diam") | dict.fromkeys((4, 5, 6), "hexdiam")
        return _labels(atoms, modifiers.IdentifyDiamondModifier(), names, classes)
    method = modifiers.CommonNeighborAnalysisModifier
    types = method.Type
    names = {int(types.FCC): "fcc", int(types.HCP): "hcp", int(types.BCC): "bcc"}
    modifier = method(mode=method.Mode.AdaptiveCutoff)
    return _labels(atoms, modifier, names, classes)


def _labels(atoms: Atoms, modifier: Any, names: dict[int, str], classes: Sequence[str]) -> Labels:
    """Run a structure-identification modifier; whatever has no name is disordered."""
    bare = Atoms(numbers=atoms.numbers, positions=atoms.positions, cell=atoms.cell, pbc=atoms.pbc)
    free = [axis for axis in range(3) if not bare.pbc[axis]]
    if free:  # OVITO wants a box of some volume also where nothing repeats
        box = bare.cell.complete()
        box[free] *= np.maximum(1.0, 10.0 / np.linalg.norm(box[free], axis=1))[:, None]
        bare.set_cell(box)
    data = _ovito().io.ase.ase_to_ovito(bare)
    data.apply(modifier)
    found = np.asarray(data.particles["Structure Type"])
    table = np.full(max(int(found.max()), *names) + 1, classes.index("disordered"), dtype=np.int16)
    for number, name in names.items():
        table[number] = classes.index(name if name in classes else "hex/rh")
    labels: Labels = table[found]
    return labels


def _ovito() -> Any:
    try:
        import ovito
        import ovito.io.ase
        import ovito.modifiers
    except ImportError as error:
        raise MissingOvitoError(
            "the baselines need OVITO, which is not installed; run pip install '.[ovito]'"
        ) from error
    return ovito


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
