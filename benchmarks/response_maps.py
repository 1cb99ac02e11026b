"""How much of a model's response maps lies on Bragg spots, and whether the maps are true.

    python benchmarks/response_maps.py [--model local] [--per-class 12] [--figures FOLDER]

For each class and layer: the share of the energy of the response maps within two pixels of a Bragg
spot, with its 95 % bootstrap interval over crystals, and the same share of maps shuffled around the
centre, of networks with random weights, and of the ring's area. Then the correlation, over the
spots, of the evidence for a class with what wiping out the spot does to the class's logit. Once for
perfect crystals, once for hot and incomplete ones.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ase_crystalnet import CrystalNet
from ase_crystalnet.crystals import unit_cell
from ase_crystalnet.explain import Explainer, plot_explanation, plot_filter_sums, subject
from ase_crystalnet.explain.study import (
    Sample,
    ShareRow,
    bootstrap_mean,
    local_sample,
    occlusion_correlations,
    sample_of,
    share_rows,
)
from ase_crystalnet.io import write_whole

CONDITIONS = {
    "perfect": (0.0, 0.0),
    "sigma 0.10, vacancies 30 %": (0.10, 0.30),
}


def global_sample(
    net: CrystalNet, per_class: int, rng: np.random.Generator, sigma: float, vacancies: float
) -> Sample:
    """Elemental crystals as a model of whole structures is trained on, disturbed."""
    from ase_crystalnet.crystals import (
        displaced,
        elemental_structures,
        nearest_distance,
        with_vacancies,
    )
    from ase_crystalnet.whole import perfect_supercell, standard_conventional_cell

    elements = elemental_structures(rng, count=100 * len(net.classes))
    structures, labels = [], []
    for label, name in enumerate(net.classes):
        of_class = [element.atoms for element in elements if element.label == name]
        for number in rng.permutation(len(of_class))[:per_class]:
            atoms = perfect_supercell(of_class[number])
            if sigma:
                distance = nearest_distance(standard_conventional_cell(atoms))
                atoms = displaced(atoms, sigma * distance, rng)
            structures.append(with_vacancies(atoms, vacancies, rng) if vacancies else atoms)
            labels.append(label)
    return sample_of(net, structures, labels)


def study(net: CrystalNet, per_class: int, untrained: int, seed: int) -> dict[str, Any]:
    """All numbers of both conditions."""
    explainer = Explainer(net.classifier)
    conditions = {}
    for name, (sigma, vacancies) in CONDITIONS.items():
        rng = np.random.default_rng(seed)
        if net.mode == "global":
            sample = global_sample(net, per_class, rng, sigma, vacancies)
        else:
            sample = local_sample(net, per_class, rng, sigma=sigma, vacancy_fraction=vacancies)
        rows = share_rows(explainer, sample, net.fingerprint, rng, untrained=untrained, say=print)
        sums = explainer.filter_sums(sample.images)[:, None].repeat(len(net.classes), axis=1)
        occlusion = {
            "evidence": correlations(explainer, sample, None, rng),
            "sum over filters": correlations(explainer, sample, sums, rng),
        }
        conditions[name] = {
            "crystals": len(sample.labels),
            "rows": [asdict(row) for row in rows],
            "over_classes": [asdict(row) for row in over_classes(rows)],
            "occlusion": occlusion,
        }
        print(f"\n{name}\n{table(rows + over_classes(rows))}")
        print(f"maps against loss by occlusion, r: {occlusion}\n")
    return conditions


def correlations(
    explainer: Explainer, sample: Sample, maps: np.ndarray | None, rng: np.random.Generator
) -> dict[str, tuple[float, float, float]]:
    """Mean correlation over crystals and its interval, for the right class and for the others."""
    told = occlusion_correlations(explainer, sample, maps)
    right = sample.labels[:, None] == np.arange(told.shape[1])
    ours, others = told[right], np.nanmean(np.where(right, np.nan, told), axis=1)
    return {
        "right class": bootstrap_mean(ours[np.isfinite(ours)], rng),
        "other classes": bootstrap_mean(others[np.isfinite(others)], rng),
    }


def over_classes(rows: Sequence[ShareRow]) -> list[ShareRow]:
    """Means over the classes; the interval is that of the classes' means."""
    found = []
    for maps in dict.fromkeys(row.maps for row in rows):
        these = [row for row in rows if row.maps == maps]
        mean = {
            name: float(np.mean([getattr(row, name) for row in these]))
            for name in ("share", "shuffled", "untrained", "area")
        }
        low, high = min(row.share for row in these), max(row.share for row in these)
        found.append(
            ShareRow("all", maps, low=low, high=high, count=sum(r.count for r in these), **mean)
        )
    return found


def table(rows: Sequence[ShareRow]) -> str:
    """Percentages; of all classes, the smallest and largest class instead of an interval."""
    lines = ["class       maps              share   95 %          shuffled  untrained  area"]
    for row in rows:
        lines.append(
            f"{row.label:11s} {row.maps:16s} {100 * row.share:6.1f}  {100 * row.low:5.1f}-"
            f"{100 * row.high:5.1f}  {100 * row.shuffled:8.1f}  {100 * row.untrained:9.1f}  "
            f"{100 * row.area:4.1f}"
        )
    return "\n".join(lines)


def markdown(report: dict[str, Any]) -> str:
    """Tables of docs/explain.md: means over the classes, and the last layer class by class."""
    lines = [
        "| crystals | maps | % near spots (classes) | shuffled | untrained | area |",
        "|---|---|---|---|---|---|",
    ]
    for name, condition in report["conditions"].items():
        for row in condition["over_classes"]:
            share, low, high, *rest = (
                f"{100 * row[key]:.0f}"
                for key in ("share", "low", "high", "shuffled", "untrained", "area")
            )
            untrained = "-" if row["maps"] == "input" else rest[1]
            lines.append(
                f"| {name} | {row['maps']} | {share} ({low}-{high}) | {rest[0]} | {untrained} | "
                f"{rest[2]} |"
            )
    names = list(report["conditions"])
    lines += ["", "| class | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    rows = {name: report["conditions"][name]["rows"] for name in names}
    last = [row["maps"] for row in rows[names[0]]][-2]
    for label in dict.fromkeys(row["label"] for row in rows[names[0]]):
        cells = [
            f"{100 * row['share']:.1f} ({100 * row['low']:.1f}-{100 * row['high']:.1f}), "
            f"{100 * row['shuffled']:.0f}"
            for name in names
            for row in rows[name]
            if (row["label"], row["maps"]) == (label, last)
        ]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    lines += ["", "| crystals | maps | r, right class | r, other classes |", "|---|---|---|---|"]
    for name, condition in report["conditions"].items():
        for maps, r in condition["occlusion"].items():
            cells = (f"{mean:.2f} ({low:.2f} to {high:.2f})" for mean, low, high in r.values())
            lines.append(f"| {name}, {condition['crystals']} | {maps} | {' | '.join(cells)} |")
    return "\n".join(lines)


def draw(net: CrystalNet, folder: Path) -> None:
    """Figures of the prototypes."""
    explainer = Explainer(net.classifier)
    names = [name for name in net.classes if name != "disordered"]
    subjects = [subject(net, unit_cell(name)) for name in names]
    folder.mkdir(parents=True, exist_ok=True)
    images = np.stack([one.image for one in subjects])
    sums = plot_filter_sums(names, images, explainer.filter_sums(images))
    sums.savefig(folder / f"sums_{net.classifier.card.name}.png", dpi=150)
    for name in ("fcc", "hex/rh"):
        one = subjects[names.index(name)]
        title = f"{name}, model {net.classifier.card.name}"
        figure = plot_explanation(explainer.explain(one.image), title, one.spots)
        place = folder / f"{name.replace('/', '-')}_{net.classifier.card.name}.png"
        figure.savefig(place, dpi=130)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="local")
    parser.add_argument("--per-class", type=int, default=12)
    parser.add_argument("--untrained", type=int, default=2, help="networks with random weights")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--figures", type=Path, help="folder for figures of the prototypes")
    options = parser.parse_args()
    net = CrystalNet(options.model)
    name = net.classifier.card.name
    start = time.perf_counter()
    report = {
        "model": name,
        "model_sha256": net.classifier.card.sha256,
        "seed": options.seed,
        "untrained_networks": options.untrained,
        "conditions": study(net, options.per_class, options.untrained, options.seed),
    }
    print(f"{time.perf_counter() - start:.0f} s")
    output = options.output or Path(f"benchmarks/results/response_maps_{name}.json")
    write_whole(output, json.dumps(report, indent=1) + "\n")
    if options.figures is not None:
        draw(net, options.figures)
    print(f"{markdown(report)}\n\nwritten to {output}")


if __name__ == "__main__":
    main()
