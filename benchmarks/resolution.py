"""How near to a flat interface the labels are right, for several windows; PTM and a-CNA beside it.

    python benchmarks/resolution.py [--model local] [--per 40] [--json FILE] [--figure FILE]

Interfaces of known place: crystal and liquid, stacking faults and hcp slabs in fcc, a sigma-5 grain
boundary. The crystals carry Gaussian displacements; the liquids come from molecular dynamics
(``python -m ase_crystalnet.training.md benchmark``; a random packing where they are missing).
Lengths are in the crystal's nearest-neighbour distance, d.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from common import markdown, show, write_json
from interfaces import MELTS, REACH, Interface, interfaces, melt
from numpy.typing import NDArray
from resolution_methods import TAPERED, TAPERS, Answer, all_answers, method, windows_answers

from ase_crystalnet import crystals
from ase_crystalnet.classes import CLASSES
from ase_crystalnet.lattice import misorientation
from ase_crystalnet.local import LocalAnalysis

Array = NDArray[np.float64]

SIZES = (64, 120, 250)
SIGMAS = (0.05, 0.08)
#: Choices among the windows: the smallest that is certain, the largest that is certain.
ADAPTIVE = ("up", "down")
DRAWN = ("fcc-liquid", "twin", "hcp slab 6")
BINS = np.arange(-REACH, REACH + 0.25, 0.5)
#: An orientation is right within this many degrees.
ANGLE = 5.0
#: Fewest atoms that a share of 99 % is read from.
FEWEST = 30
#: Disorder of whole crystals, for `crystals.supercell`.
BULK: dict[str, dict[str, float]] = {
    "sigma 0.08": {"sigma": 0.08},
    "sigma 0.15": {"sigma": 0.15},
    "vacancies 40 %": {"vacancies": 0.4},
    "vacancies 60 %": {"vacancies": 0.6},
    "sigma 0.08, vacancies 40 %": {"sigma": 0.08, "vacancies": 0.4},
    "sigma 0.15, vacancies 40 %": {"sigma": 0.15, "vacancies": 0.4},
}


# ---------------------------------------------------------------------- measures
def choose(case: Interface, per: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """At most `per` atoms from every half d within `REACH` of an interface."""
    bins = np.digitize(case.distance / case.nearest, BINS)
    picked = []
    for k in range(1, len(BINS)):
        inside = np.flatnonzero(bins == k)
        picked.append(rng.choice(inside, min(per, len(inside)), replace=False))
    return np.sort(np.concatenate(picked))


def resolution(distance: Array, right: NDArray[np.bool_]) -> float | None:
    """Smallest distance beyond which (up to `REACH`) 99 % are right; None if there is none."""
    order = np.argsort(distance)
    beyond = np.cumsum(right[order][::-1])[::-1] / np.arange(len(order), 0, -1)
    good = np.flatnonzero(beyond[: max(len(order) - FEWEST + 1, 0)] >= 0.99)
    if len(good) == 0:
        return None
    return 0.0 if good[0] == 0 else float(distance[order][good[0]])


def profile(x: Array, right: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Percent right in every half d that holds atoms: middle of the bin, percent."""
    bins = np.digitize(x, BINS)
    there = [k for k in range(1, len(BINS)) if np.any(bins == k)]
    return {
        "distance": [float((BINS[k - 1] + BINS[k]) / 2) for k in there],
        "percent": [100 * float(right[bins == k].mean()) for k in there],
    }


def measure(case: Interface, chosen: NDArray[np.intp], answer: Answer) -> dict[str, Any]:
    """Resolution on both sides, share right on each, and the profile, of labels; and the same of
    labels with the right orientation where grains meet."""
    x = case.distance[chosen] / case.nearest
    right = answer.labels == case.truth[chosen]
    kinds = {"label": right}
    if case.grains is not None and answer.orientation is not None:
        own = case.grains[(x > 0).astype(int)]
        known = np.isfinite(answer.orientation).all(axis=1)
        angle = np.full(len(x), np.inf)
        angle[known] = misorientation(answer.orientation[known], own[known], "cubic")
        kinds["grain"] = right & (angle < ANGLE)
    result: dict[str, Any] = {}
    for kind, good in kinds.items():
        sides = {}
        for name, here in zip(case.sides, (x <= 0, x > 0), strict=True):
            reach = resolution(np.abs(x[here]), good[here])
            sides[name] = {
                "d": reach,
                "angstrom": None if reach is None else reach * case.nearest,
                "percent": float(np.mean(profile(x[here], good[here])["percent"])),
            }
        result[kind] = {"sides": sides, "profile": profile(x, good)}
    return result


def run(
    nets: dict[str, LocalAnalysis],
    folder: Path,
    sigma: float,
    *,
    per: int,
    seed: int,
    names: list[str] | None = None,
) -> list[dict[str, Any]]:
    """Every interface at one sigma."""
    rows = []
    for case in interfaces(folder, sigma, names, seed):
        chosen = choose(case, per, np.random.default_rng(seed))
        answers = all_answers(nets, case, chosen)
        rows.append(
            {
                "interface": case.name,
                "sigma": sigma,
                "atoms": len(case.atoms),
                "windows": len(chosen),
                "d": case.nearest,
                "windows an atom": {n: float(np.mean(answers[n].windows)) for n in ADAPTIVE},
                "methods": {name: measure(case, chosen, a) for name, a in answers.items()},
            }
        )
    return rows


def bulk(nets: dict[str, LocalAnalysis], per: int, folder: Path, seed: int) -> list[dict[str, Any]]:
    """Percent right inside single crystals and liquids: what a small window costs."""
    rng = np.random.default_rng(seed)
    rows = []
    for condition, disorder in BULK.items():
        right: dict[str, list[float]] = {}
        for name in (c for c in CLASSES if c != "disordered"):
            # Atoms for the largest windows after vacancies.
            count = int(1500 / (1 - disorder.get("vacancies", 0.0)))
            atoms = crystals.supercell(crystals.unit_cell(name), count, rng=rng, **disorder)
            _bulk_answers(nets, atoms, CLASSES.index(name), per, rng, right)
        rows.append({"condition": condition, "percent": right})
    right = {}
    for material, name in MELTS.values():
        liquid = melt(folder, material, name, rng)[0]
        _bulk_answers(nets, liquid, CLASSES.index("disordered"), 2 * per, rng, right)
    rows.append({"condition": "liquids", "percent": right})
    return [
        {**row, "percent": {k: float(np.mean(v)) for k, v in row["percent"].items()}}
        for row in rows
    ]


def _bulk_answers(
    nets: dict[str, LocalAnalysis],
    atoms: Atoms,
    truth: int,
    per: int,
    rng: np.random.Generator,
    right: dict[str, list[float]],
) -> None:
    chosen = np.sort(rng.choice(len(atoms), per, replace=False))
    found = windows_answers(nets, atoms, chosen)
    for name, answer in found.items():
        right.setdefault(name, []).append(100 * float(np.mean(answer.labels == truth)))


# ---------------------------------------------------------------------- output
def table(rows: list[dict[str, Any]], methods: list[str], value: str) -> str:
    """One line a side of each interface; `value` is 'd' or 'percent'."""
    lines = []
    for row in rows:
        for kind in ("label", "grain"):
            first = next(iter(row["methods"].values()))
            if kind not in first:
                continue
            for side in first[kind]["sides"]:
                note = " and orientation" if kind == "grain" else ""
                cells = [f"{row['interface']}: {side}{note}", f"{row['d']:.2f}"]
                for name in methods:
                    got = row["methods"].get(name, {}).get(kind)
                    cells.append("" if got is None else _cell(got["sides"][side], value))
                lines.append(cells)
    return markdown(["interface: side", "d, A", *methods], lines)


def _cell(side: dict[str, float | None], value: str) -> str:
    if side[value] is None:
        return "none"
    angstrom = f" ({side['angstrom']:.1f})" if value == "d" and side[value] >= 0.05 else ""
    return f"{side[value]:.1f}{angstrom}"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Percent right against distance, for some of the interfaces."""
    from ase_crystalnet.plotting import new_figure

    styles = {
        "64": ("#56b4e9", "-"),
        "120": ("#0072b2", "-"),
        "250": ("#111111", "-"),
        "up": ("#009e73", "--"),
        "down": ("#d55e00", "--"),
        "PTM none": ("#8f8f8f", ":"),
        "a-CNA": ("#e6b000", ":"),
    }
    shown = [r for r in rows if r["interface"] in DRAWN]
    figure = new_figure(3.0 * len(shown) + 1.2, 3.0)
    figure.set_dpi(110)
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axis, row in zip(axes, shown, strict=True):
        for name, (color, style) in styles.items():
            if name in row["methods"]:
                line = row["methods"][name]["label"]["profile"]
                axis.plot(line["distance"], line["percent"], style, color=color, label=name)
        axis.axvline(0, color="#cccccc", zorder=0)
        left, right = next(iter(row["methods"].values()))["label"]["sides"]
        axis.set_title(f"{row['interface']}, sigma {row['sigma']}", fontsize=10)
        axis.set_xlabel(f"{left}  |  distance / d  |  {right}")
    axes[0].set_ylabel("atoms labelled rightly, %")
    axes[0].set_ylim(-3, 103)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right", fontsize=8)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="local", help="name or folder of a model")
    parser.add_argument("--per", type=int, default=40, help="atoms from every half d")
    parser.add_argument("--md", type=Path, default=Path("benchmark-data/md"))
    parser.add_argument("--sigma", type=float, nargs="+", default=list(SIGMAS))
    parser.add_argument("--only", nargs="+", help="interfaces by name")
    parser.add_argument("--quick", action="store_true", help="two interfaces, no tapers, seconds")
    parser.add_argument("--seed", type=int, default=2019)
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    parser.add_argument("--figure", type=Path, help="draw this PNG")
    given = parser.parse_args()
    names = ["fcc-liquid", "hcp slab 6"] if given.quick else given.only
    sigmas = given.sigma[-1:] if given.quick else given.sigma
    per = min(given.per, 8) if given.quick else given.per
    model = Path(given.model) if Path(given.model).is_dir() else given.model
    nets = {str(size): method(model, size) for size in SIZES}
    if not given.quick:
        for name in TAPERS:
            for size in SIZES[1:]:
                nets[f"{size} {name}"] = method(model, size, name)
    result: dict[str, Any] = {"model": nets["250"].classifier.card.sha256, "rows": []}
    for sigma in sigmas:
        rows = run(nets, given.md, sigma, per=per, seed=given.seed, names=names)
        result["rows"] += rows
        plain = [str(size) for size in SIZES]
        others = [n for n in ("PTM 0.1", "PTM none", "a-CNA") if n in rows[0]["methods"]]
        main_columns = [*plain, *ADAPTIVE, *(f"{n}, undivided" for n in plain), *others]
        show(f"\nsigma {sigma}: distance in d (A) beyond which 99 % of the labels are right\n")
        show(table(rows, main_columns, "d"))
        show(f"\nsigma {sigma}: percent labelled rightly within {REACH:g} d\n")
        show(table(rows, main_columns, "percent"))
        tapers = [n for n, net in nets.items() if net.taper is not None]
        some = [row for row in rows if row["interface"] in TAPERED]
        if tapers and some:
            sides = [n for name in tapers for n in (name, f"{name}, undivided")]
            show(f"\nsigma {sigma}, tapered windows: distance in d (A), then percent\n")
            show(table(some, sides, "d") + "\n\n" + table(some, sides, "percent"))
        for name in ADAPTIVE:
            mean = np.mean([row["windows an atom"][name] for row in rows])
            show(f"\n{name}: {mean:.2f} windows an atom; {per} atoms from every half d")
        if given.figure and sigma == sigmas[-1]:
            draw(rows, given.figure)
    if not given.quick and not given.only:
        result["bulk"] = rows = bulk(nets, 2 * per, given.md, given.seed)
        names = [n for n in rows[0]["percent"] if "," not in n]
        lines = [[r["condition"], *(f"{r['percent'][n]:.1f}" for n in names)] for r in rows]
        show("\nWhole crystals of all classes, and liquids: percent right\n")
        show(markdown(["", *names], lines))
    write_json(given.json, result)


if __name__ == "__main__":
    main()
