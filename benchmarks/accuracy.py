"""Accuracy of a model: disorder, small windows, hot crystals and liquids; PTM and a-CNA beside it.

    python benchmarks/accuracy.py [--windows 1001] [--md benchmark-data/md] [--json FILE]
    python benchmarks/accuracy.py --model structure --parts md

The molecular dynamics comes from ``python -m ase_crystalnet.training.md benchmark``; it was
made with other potentials than the liquids the model has seen. Lengths are in nearest-neighbour
distances.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from common import markdown, show, write_json

from ase_crystalnet import CrystalNet
from ase_crystalnet.classes import OTHER
from ase_crystalnet.classifier import ModelCard, find_model
from ase_crystalnet.crystals import Disorder
from ase_crystalnet.training.local.evaluate import (
    CONDITIONS,
    LIQUID_LIMIT,
    Row,
    disorder_table,
    liquid_row,
)

#: At 64 atoms: within 1.5 points of the values at 250.
SMALL: tuple[tuple[str, Disorder, float], ...] = tuple(
    (name, disorder, wanted - 1.5)
    for name, disorder, wanted in CONDITIONS
    if disorder.sigma <= 0.1 and disorder.vacancy_fraction <= 0.4 and disorder.strain == 0
)
STRUCTURES = {
    "fcc": "fcc",
    "bcc": "bcc",
    "hcp": "hex/rh",
    "diamond": "diam",
    "sc": "sc",
    "bct": "bct141",
}


def disorder_rows(rows: list[Row]) -> str:
    """The disorder table in markdown."""
    cells = []
    for row in rows:
        below = {k: f"{v:.1f}" for k, v in row.by_class().items() if v < 100}
        worst = ", ".join(f"{k} {v}" for k, v in below.items()) or "all 100"
        cells.append((row.name, f"{row.accuracy:.2f}", f"{row.wanted:.1f}", worst))
    return markdown(("condition", "right, %", "wanted", "classes below 100"), cells)


def molecular_dynamics(
    net: CrystalNet, folder: Path, atoms: int, seed: int
) -> list[dict[str, Any]]:
    """Percent of atoms right in every run of a folder, with the baselines where OVITO is."""
    from ase_crystalnet.crystals import load_frames

    rng = np.random.default_rng(seed)
    rows = []
    for path in sorted(folder.glob("*.npz")):
        frames = load_frames(path)
        info = frames[0].info
        truth = "disordered"
        if info["phase"] == "solid":
            truth = STRUCTURES[info["structure"]]
            if truth not in net.classes:
                truth = info["structure"]
        each = max(1, atoms // len(frames))
        right, certain_wrong, seen = 0, 0, 0
        for frame in frames:
            chosen = np.sort(rng.choice(len(frame), min(each, len(frame)), replace=False))
            found = net.analyze(frame, centers=chosen)
            hit = found.labels == net.classes.index(truth)
            right += int(hit.sum())
            certain_wrong += int((~hit & (found.certainty > 0.9)).sum())
            seen += len(hit)
        row = {
            "run": path.stem,
            "truth": truth,
            "atoms": seen,
            "CrystalNet": 100 * right / seen,
            "wrong and above 0.9": 100 * certain_wrong / seen,
        }
        row |= baselines(frames, truth)
        rows.append(row)
        show(" ".join(f"{k}={v:.2f}" if isinstance(v, float) else f"{v}" for k, v in row.items()))
    return rows


def baselines(frames: list[Atoms], truth: str) -> dict[str, float]:
    """PTM without and with cutoff, and a-CNA; empty where OVITO is not installed."""
    truth = "hex/rh" if truth == "hcp" else truth
    try:
        import ovito  # noqa: F401
    except ImportError:
        return {}
    from baselines import acna_labels, percent_right, ptm_labels

    return {
        "PTM 0.1": float(np.mean([percent_right(ptm_labels(f, 0.1), truth) for f in frames])),
        "PTM none": float(np.mean([percent_right(ptm_labels(f, None), truth) for f in frames])),
        "a-CNA": float(
            np.mean([percent_right(acna_labels(f, diamond=truth == "diam"), truth) for f in frames])
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="local", help="name or folder of a model")
    parser.add_argument("--windows", type=int, default=1001, help="windows a row")
    parser.add_argument("--parts", nargs="+", choices=("random", "md"), default=("random", "md"))
    parser.add_argument("--md", type=Path, default=Path("benchmark-data/md"))
    parser.add_argument("--liquids", type=Path, help="folder of liquids for the disordered row")
    parser.add_argument("--atoms", type=int, default=2000, help="atoms of each MD run")
    parser.add_argument("--seed", type=int, default=2018)
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    given = parser.parse_args()
    model = Path(given.model) if Path(given.model).is_dir() else given.model
    symmetry = OTHER not in ModelCard.read(find_model(model)).classes
    names: dict[str, Any] = {"classes": "symmetry"} if symmetry else {}
    net = CrystalNet(model, **names)
    liquids = sorted((given.liquids or given.md).glob("*_liquid_*.npz"))
    result: dict[str, Any] = {"model": net.classifier.card.sha256, "windows": given.windows}
    if "random" in given.parts:
        rows = disorder_table(net, windows=given.windows, seed=given.seed)
        rows.append(liquid_row(net, liquids, windows=given.windows, seed=given.seed))
        show(f"\n{given.windows} windows a row, {net.window_atoms} atoms\n")
        show(disorder_rows(rows))
        show(f"(disordered: at most {LIQUID_LIMIT} % may be called crystal)")
        small = CrystalNet(model, window_atoms=64, **names)
        small_rows = disorder_table(small, windows=given.windows, conditions=SMALL, seed=given.seed)
        show(f"\n{given.windows} windows a row, 64 atoms\n")
        show(disorder_rows(small_rows))
        for name, table in (("windows of 250", rows), ("windows of 64", small_rows)):
            result[name] = {
                r.name: {"percent": r.accuracy, "wanted": r.wanted, "classes": r.by_class()}
                for r in table
            }
    if "md" in given.parts and given.md.is_dir():
        show("\nMolecular dynamics, percent of atoms right\n")
        found = molecular_dynamics(net, given.md, given.atoms, given.seed)
        result["molecular dynamics"] = found
        heads = list(found[0]) if found else []
        show(
            "\n"
            + markdown(
                heads,
                [
                    [f"{row[n]:.2f}" if isinstance(row[n], float) else row[n] for n in heads]
                    for row in found
                ],
            )
        )
    write_json(given.json, result)


if __name__ == "__main__":
    main()
