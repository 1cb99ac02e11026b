"""What can be said of one atom-probe window: accuracy table and false alarms.

    python benchmarks/atom_probe.py accuracy [--per-class 36] [--ions 250 1000] [--json FILE]
    python benchmarks/atom_probe.py alarms [--data DIR] [--windows 2000] [--json FILE]
    python benchmarks/atom_probe.py silicon --data DIR [--json FILE] [--figure FILE]
    python benchmarks/atom_probe.py order [--windows 2000] [--json FILE]
    python benchmarks/atom_probe.py detection [--per-class 36] [--ions 1000 4000] [--json FILE]
    python benchmarks/atom_probe.py poles [--tips 10] [--atoms 150000] [--json FILE]
    python benchmarks/atom_probe.py boundaries [--tips 10] [--atoms 150000] [--json FILE]
    python benchmarks/atom_probe.py large [--atoms 2000000] [--json FILE]

`accuracy` draws windows of the seven crystal classes, over their whole parameter ranges and in
random orientation, through a model of the measurement (`training.atom_probe.measurement`): 30 %
slow density variation, 1 % stretch and 1 % shear, and the efficiency and resolution of the row.
`alarms` counts windows in which a search at 1 % and 5 % finds planes where there are none: in a
gas, in dense packings, and in a reconstruction (``DIR/apt/Si.pos``) whose ions are jittered by
their own distance; and in the reconstruction as it is, with and without its bursts. `silicon` looks
at that reconstruction: bursts, S along the surface's normal, the pole in the density of its ions.
The others are of crystals that are known, in `atom_probe_crystals`: false alarms and detection of
chemical order, names of poles and the depth scale of simulated tips, boundaries of precipitates,
and the time and memory of a large file.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import atom_probe_crystals
import numpy as np
from ase import Atoms
from common import markdown, show, where, write_json
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from scipy.stats import binomtest

from ase_crystalnet.atom_probe import (
    AtomProbeClassifier,
    Background,
    PlaneFinder,
    burst_ions,
    jittered,
)
from ase_crystalnet.classes import CLASSES
from ase_crystalnet.crystals import Pool, cut_gas, prototype, random_packing, sample_crystal
from ase_crystalnet.training.atom_probe.measurement import Measurement, cut_measured
from ase_crystalnet.training.shards import pad_windows

Array = NDArray[np.float64]

EFFICIENCIES = (1.0, 0.8, 0.6, 0.5, 0.37, 0.25)
LATERAL = (0.0, 0.1, 0.2, 0.3, 0.4)
DEPTH = (0.0, 0.1, 0.2)
#: What a reconstruction adds to lost ions and blur.
SLOW = {"density_variation": 0.3, "stretch": 0.01, "shear": 0.01}
#: Certainties at which right and wrong answers are counted beside the classifier's own.
GATES = (0.9, 0.95, 0.98, 0.985, 0.99, 0.995)
#: Crystals for which PTM has templates.
PTM_CRYSTALS = {
    "fcc": ("fcc", ()),
    "bcc": ("bcc", ()),
    "sc": ("sc", ()),
    "diam": ("diam", ()),
    "hex/rh": ("hcp", (float(np.sqrt(8 / 3)),)),
}
#: Silicon's planes that field evaporation may show, Angstrom.
SILICON = {"(111)": 3.136, "(220)": 1.920, "(400)": 1.358}


# ---------------------------------------------------------------------------- accuracy
def cell(
    ions: int,
    measurement: Measurement,
    per_class: int,
    classifiers: dict[str, AtomProbeClassifier],
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Percent of windows right, refused and wrong, and of ranks; by model."""
    finder = PlaneFinder()
    ranks = np.zeros(4, int)
    counts = {name: np.zeros(3, int) for name in classifiers}
    gates = {name: np.zeros((len(GATES), 2), int) for name in classifiers}
    for truth, name in enumerate(CLASSES[:7]):
        windows = [
            cut_measured(sample_crystal(name, rng, shared=False), ions, measurement, rng)
            for _ in range(per_class)
        ]
        positions, mask = pad_windows(windows)
        found = finder(positions, mask)
        ranks += np.bincount(found.rank, minlength=4)
        for model, classifier in classifiers.items():
            answer = classifier(positions, mask, found)
            labels = answer.labels
            counts[model] += [
                np.count_nonzero(labels == truth),
                np.count_nonzero(labels < 0),
                np.count_nonzero((labels >= 0) & (labels != truth)),
            ]
            best = np.where(np.isfinite(answer.lattice[:, 0, 0]), answer.certainty, -1.0)
            guess = np.nan_to_num(answer.probabilities, nan=-1.0).argmax(axis=1)
            crystal = guess != classifier.classes.index("disordered")
            for k, gate in enumerate(GATES):
                given = crystal & (best >= gate)
                gates[model][k] += [
                    np.count_nonzero(given & (guess == truth)),
                    np.count_nonzero(given & (guess != truth)),
                ]
    total = 7 * per_class
    row: dict[str, Any] = {"windows": total, "rank": (100 * ranks / total).round(2).tolist()}
    for model, (right, refused, wrong) in counts.items():
        row[model] = {
            "right": 100 * right / total,
            "refused": 100 * refused / total,
            "wrong": 100 * wrong / total,
            "right of answered": 100 * right / max(right + wrong, 1),
            "right and wrong by certainty": {
                str(gate): (100 * pair / total).round(3).tolist()
                for gate, pair in zip(GATES, gates[model], strict=True)
            },
        }
    return row


def ptm_percent(
    ions: int, measurement: Measurement, windows: int, rng: np.random.Generator
) -> dict[str, float]:
    """Percent of the ions of a window's inner part that PTM labels rightly; none without OVITO."""
    try:
        import ovito  # noqa: F401
    except ImportError:
        return {}
    from baselines import ptm_labels

    from ase_crystalnet.crystals import Crystal

    hits: dict[str, list[float]] = {"PTM 0.1": [], "PTM none": []}
    for name, (kind, parameters) in PTM_CRYSTALS.items():
        shape, sites = prototype(kind, *parameters)
        crystal = Crystal(kind, np.eye(8)[CLASSES.index(name)], shape, sites)
        for _ in range(windows):
            window = cut_measured(crystal, ions, measurement, rng)
            distance = np.linalg.norm(window, axis=1)
            inner = distance < 0.6 * distance.max()
            atoms = Atoms(f"Cu{len(window)}", positions=2.5 * window)
            for label, cutoff in (("PTM 0.1", 0.1), ("PTM none", None)):
                found = ptm_labels(atoms, cutoff)[inner]
                hits[label].append(100 * float(np.mean(found == CLASSES.index(name))))
    return {label: float(np.mean(values)) for label, values in hits.items()}


def accuracy(given: argparse.Namespace) -> dict[str, Any]:
    classifiers = {
        (Path(model).name if "/" in model else model): AtomProbeClassifier(
            Path(model) if "/" in model else model
        )
        for model in given.models
    }
    first = next(iter(classifiers))
    result: dict[str, Any] = {
        "where": where(),
        "slow": SLOW,
        "min_certainty": classifiers[first].min_certainty,
        "models": {k: c.classifier.card.sha256 for k, c in classifiers.items()},
        "cells": [],
    }
    for ions in given.ions:
        rows = []
        for efficiency in EFFICIENCIES:
            for lateral in LATERAL:
                for depth in DEPTH:
                    if given.only and f"{efficiency:g},{lateral:g},{depth:g}" not in given.only:
                        continue
                    rng = np.random.default_rng(
                        [
                            given.seed,
                            ions,
                            *np.rint(1000 * np.array([efficiency, lateral, depth])).astype(int),
                        ]
                    )
                    measurement = Measurement(efficiency, lateral, depth, **SLOW)
                    row = {
                        "ions": ions,
                        "efficiency": efficiency,
                        "lateral": lateral,
                        "depth": depth,
                    }
                    row |= cell(ions, measurement, given.per_class, classifiers, rng)
                    row |= ptm_percent(ions, measurement, given.ptm, rng) if given.ptm else {}
                    rows.append(row)
                    result["cells"].append(row)
                    best = row[first]
                    show(
                        f"{ions} ions, {efficiency:.0%}, lateral {lateral}, depth {depth}: right "
                        f"{best['right']:.1f}, refused {best['refused']:.1f}, wrong "
                        f"{best['wrong']:.2f}, rank 3 {row['rank'][3]:.0f}, "
                        f"PTM {row.get('PTM 0.1', float('nan')):.1f}"
                    )
        if not given.only:
            show(f"\n{ions} ions: right / wrong (PTM with cutoff 0.1 / without), percent\n")
            show(accuracy_table(rows, first))
        write_json(given.json, result)
    return result


def accuracy_table(rows: Sequence[dict[str, Any]], model: str) -> str:
    """Resolutions down, efficiencies across."""
    header = ["lateral, depth", *(f"{100 * e:.0f} %" for e in EFFICIENCIES)]
    body = []
    for lateral in LATERAL:
        for depth in DEPTH:
            line: list[str] = [f"{lateral}, {depth}"]
            for efficiency in EFFICIENCIES:
                row = next(
                    r
                    for r in rows
                    if (r["efficiency"], r["lateral"], r["depth"]) == (efficiency, lateral, depth)
                )
                text = f"{row[model]['right']:.0f} / {row[model]['wrong']:.1f}"
                if "PTM 0.1" in row:
                    text += f" ({row['PTM 0.1']:.0f} / {row['PTM none']:.0f})"
                line.append(text)
            body.append(line)
    return markdown(header, body)


# ---------------------------------------------------------------------------- false alarms
def gas(ions: int, count: int, rng: np.random.Generator) -> tuple[Any, Any]:
    return pad_windows([4.0 * cut_gas(ions, rng) for _ in range(count)])


def packing(ions: int, count: int, rng: np.random.Generator, lost: float) -> tuple[Any, Any]:
    """Windows of packings of 4,000 balls, 40 of each."""
    windows: list[Array] = []
    while len(windows) < count:
        pool = Pool.of("packing", *random_packing(1.2, rng, atoms=4000))
        windows += [2.5 * pool.cut(ions, lost, rng, on_atom=False) for _ in range(40)]
    return pad_windows(windows[:count])


def silicon(
    path: Path, ions: int, count: int, rng: np.random.Generator, *, thin: bool = False
) -> tuple[Any, Any]:
    """Balls of one radius at random ions; those cut by the surface are left out."""
    from ase_crystalnet.atom_probe import read_reconstruction

    positions = np.asarray(read_reconstruction(path).positions, np.float64)
    if thin:
        positions = positions[~burst_ions(positions)]
    tree = cKDTree(positions)
    probes = positions[rng.integers(len(positions), size=400)]
    density = np.median(tree.query_ball_point(probes, 20.0, return_length=True)) / (
        4 / 3 * np.pi * 20.0**3
    )
    radius = float((3 * ions / (4 * np.pi * density)) ** (1 / 3))
    windows: list[Array] = []
    while len(windows) < count:
        for center in positions[rng.integers(len(positions), size=200)]:
            window = positions[tree.query_ball_point(center, radius)] - center
            # Half of a ball at a surface has its centre of mass 3/8 of the radius away.
            if np.linalg.norm(window.mean(axis=0)) < 0.12 * radius and len(window) > 0.6 * ions:
                windows.append(window)
    return pad_windows(windows[:count])


def flat(background: Background) -> Background:
    """The background of jittered ions, S = 1 everywhere, over the same range."""
    ones = np.ones_like(background.level)
    return Background(
        background.low, background.high, ones, np.ones(2), np.full(2, 1e9), background.windows
    )


def alarms(given: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {"where": where(), "windows": given.windows, "rows": []}
    for ions in given.ions:
        rng = np.random.default_rng([given.seed, ions])
        count = given.windows if ions < 500 else given.windows // 2
        samples: dict[str, tuple[Any, Any]] = {
            "gas": gas(ions, count, rng),
            "dense packing": packing(ions, count, rng, 0.0),
            "dense packing, half of it lost": packing(ions, count, rng, 0.5),
        }
        path = given.data / "apt" / "Si.pos" if given.data else None
        if path is not None and path.is_file():
            real = silicon(path, ions, count, rng)
            apart = (
                4 / 3 * np.pi * np.percentile(np.abs(real[0]).max(axis=(1, 2)), 50) ** 3 / ions
            ) ** (1 / 3)
            samples["silicon, ions jittered"] = (jittered(*real, float(apart), rng), real[1])
            samples["silicon as it is"] = real
            samples["silicon without bursts"] = silicon(path, ions, count, rng, thin=True)
        for name, (positions, mask) in samples.items():
            result["rows"].append(alarm_row(name, ions, positions, mask))
    show("\n" + alarm_table(result["rows"]))
    write_json(given.json, result)
    return result


def alarm_row(name: str, ions: int, positions: Any, mask: Any) -> dict[str, Any]:
    finder = PlaneFinder()
    background = finder.reference(positions[:400], mask[:400])
    parts = [slice(i, i + 256) for i in range(0, len(positions), 256)]
    judged = [finder(positions[p], mask[p], reference=background) for p in parts]
    p_value = np.concatenate([f.p_value for f in judged])
    naive = np.concatenate(
        [finder(positions[p], mask[p], reference=flat(background)).p_value for p in parts]
    )
    row: dict[str, Any] = {"sample": name, "ions": ions, "windows": len(p_value)}
    for rate in (0.01, 0.05):
        hits = int(np.count_nonzero(p_value < rate))
        interval = binomtest(hits, len(p_value)).proportion_ci(0.95, "exact")
        row[f"at {rate:.0%}"] = [100 * hits / len(p_value), 100 * interval.low, 100 * interval.high]
    row["against jittered ions only, at 1%"] = 100 * float(np.mean(naive < 0.01))
    row["line level in the cone"] = float(background.line_level[1])
    row["detection limit"] = float(np.median(np.concatenate([f.detection_limit for f in judged])))
    row["detection limit along depth"] = float(
        np.median(np.concatenate([f.detection_limit_depth for f in judged]))
    )
    row["ranks"] = np.bincount(np.concatenate([f.rank for f in judged]), minlength=4).tolist()
    if name.startswith("silicon"):
        significant = np.concatenate([f.spacing for f in judged])
        normal = np.concatenate([f.normal for f in judged])
        seen = np.flatnonzero(np.isfinite(significant))
        row["planes"] = [
            {
                "spacing": round(float(significant[i]), 3),
                "tilt": round(float(np.rad2deg(np.arccos(normal[i, 2]))), 1),
                "p": float(p_value[i]),
                "nearest of silicon": min(SILICON, key=lambda k: abs(SILICON[k] - significant[i])),
            }
            for i in seen
        ]
    show(str({k: v for k, v in row.items() if k != "planes"}))
    return row


def alarm_table(rows: Sequence[dict[str, Any]]) -> str:
    header = ["windows of", "ions", "windows", "at 1 %", "at 5 %", "against S = 1, at 1 %"]
    body = [
        [
            r["sample"],
            r["ions"],
            r["windows"],
            "{:.2f} ({:.2f} to {:.2f})".format(*r["at 1%"]),
            "{:.1f} ({:.1f} to {:.1f})".format(*r["at 5%"]),
            f"{r['against jittered ions only, at 1%']:.1f}",
        ]
        for r in rows
    ]
    return markdown(header, body)


# ---------------------------------------------------------------------------- silicon
def silicon_facts(given: argparse.Namespace) -> dict[str, Any]:
    """Bursts of the silicon reconstruction, S along and across its surface's normal, its pole."""
    from ase_crystalnet.atom_probe import read_reconstruction

    rng = np.random.default_rng(given.seed)
    ions = np.asarray(read_reconstruction(given.data / "apt" / "Si.pos").positions, np.float64)
    facts: dict[str, Any] = {"where": where(), "ions": len(ions)}
    step = ions[1:, :2] - ions[:-1, :2]
    other = ions[rng.permutation(len(ions)), :2]
    facts["percent of successive ions within 4 nm"] = 100 * np.mean(np.hypot(*step.T) < 40)
    facts["percent of random pairs within 4 nm"] = 100 * np.mean(
        np.hypot(*(other[1:] - other[:-1]).T) < 40
    )
    facts["percent of ions in bursts"] = 100 * np.mean(burst_ions(ions))
    # Windows in the silicon below the cap; the normal leans as on a sphere about the axis.
    inside = (ions[:, 2] > -700) & (ions[:, 2] < -200)
    axis = np.median(ions[inside, :2], axis=0)
    tree = cKDTree(ions)
    centers = ions[rng.choice(np.flatnonzero(inside), 6000, replace=False)]
    centers = centers[np.linalg.norm(centers[:, :2] - axis, axis=1) < 130][:1500]
    windows = [ions[tree.query_ball_point(center, 23.0)] - center for center in centers]
    q = np.linspace(1.25, 5.0, 76)

    def spectrum(radius: float) -> Array:
        total = np.zeros(len(q))
        for center, window in zip(centers, windows, strict=True):
            normal = np.append((center[:2] - axis) / radius, 1.0)
            phase = np.outer(q, window @ (normal / np.linalg.norm(normal)))
            total += (np.cos(phase).sum(1) ** 2 + np.sin(phase).sum(1) ** 2) / len(window)
        return total / len(windows)

    radii = np.arange(250.0, 551.0, 100.0)
    levels = [float(spectrum(r).mean()) for r in radii]
    best = float(radii[int(np.argmax(levels))])
    along = spectrum(best)
    facts["radius of curvature with the highest level along the normal, nm"] = best / 10
    facts["mean S along that normal"] = float(along.mean())
    facts["mean S along that normal, smallest and largest over q"] = [
        float(along.min()),
        float(along.max()),
    ]
    facts["standard error"] = float(along.mean() / np.sqrt(len(windows)))
    lateral = np.zeros(len(q))
    for window in windows:
        phase = np.outer(q, window[:, 0])
        lateral += (np.cos(phase).sum(1) ** 2 + np.sin(phase).sum(1) ** 2) / len(window)
    lateral /= len(windows)
    facts["mean S across"] = float(lateral.mean())
    for name, spacing in SILICON.items():
        facts[f"S along the normal at {name}"] = float(np.interp(2 * np.pi / spacing, q, along))
    for key, value in facts.items():
        show(f"{key}: {value}")
    if given.figure:
        _silicon_figure(given.figure, ions, q, along, lateral)
    write_json(given.json, facts)
    return facts


def _silicon_figure(path: Path, ions: Array, q: Array, along: Array, lateral: Array) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4.2), layout="constrained")
    deep = ions[(ions[:, 2] > -700) & (ions[:, 2] < -520)] / 10
    edges = np.arange(-20, 22, 0.4)
    counts, _, _ = np.histogram2d(deep[:, 0], deep[:, 1], bins=(edges, edges))
    image = left.imshow(
        (counts / (0.4 * 0.4 * 18.0)).T,
        origin="lower",
        extent=(edges[0], edges[-1], edges[0], edges[-1]),
        cmap="gray",
    )
    figure.colorbar(image, ax=left, label="detected ions per nm$^3$")
    left.set(xlabel="x (nm)", ylabel="y (nm)", title="52 to 70 nm deep")
    right.plot(2 * np.pi / q, along, label="along the surface's normal")
    right.plot(2 * np.pi / q, lateral, label="across")
    for name, spacing in SILICON.items():
        right.axvline(spacing, color="0.6", lw=0.8)
        right.text(spacing, 0.2, name, rotation=90, ha="right", fontsize=8)
    right.set(xlabel="interplanar spacing (Å)", ylabel="mean S", ylim=(0, None))
    right.legend(frameon=False)
    figure.savefig(path, dpi=130)


PARTS = {
    "accuracy": accuracy,
    "alarms": alarms,
    "silicon": silicon_facts,
    "order": atom_probe_crystals.order,
    "detection": atom_probe_crystals.detection,
    "poles": atom_probe_crystals.poles,
    "boundaries": atom_probe_crystals.boundaries,
    "large": atom_probe_crystals.large,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("part", choices=tuple(PARTS))
    parser.add_argument("--ions", type=int, nargs="+", default=[250, 1000])
    parser.add_argument("--models", nargs="+", default=["atomprobe", "local"])
    parser.add_argument("--per-class", type=int, default=36, help="windows of each class and row")
    parser.add_argument(
        "--ptm", type=int, default=3, help="windows of each crystal for PTM; 0: none"
    )
    parser.add_argument("--windows", type=int, default=2000, help="windows of each control")
    parser.add_argument(
        "--data",
        type=Path,
        default=Path(os.environ["CRYSTALNET_DATA"]) if "CRYSTALNET_DATA" in os.environ else None,
        help="folder that holds apt/Si.pos",
    )
    parser.add_argument(
        "--only", nargs="+", help="rows to make, as efficiency,lateral,depth; default: all"
    )
    parser.add_argument("--tips", type=int, default=10, help="simulated tips of each kind")
    parser.add_argument("--atoms", type=int, default=150_000, help="atoms of a simulated tip")
    parser.add_argument("--seed", type=int, default=2021)
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    parser.add_argument("--figure", type=Path, help="figure of the silicon reconstruction")
    given = parser.parse_args()
    if given.part == "silicon" and given.data is None:
        parser.error("silicon needs --data")
    PARTS[given.part](given)


if __name__ == "__main__":
    main()
