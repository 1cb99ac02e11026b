"""How near to a flat interface the labels are right, for several windows; PTM and a-CNA beside it.

    python benchmarks/resolution.py [--model local] [--per 40] [--json FILE] [--figure FILE]

Interfaces of known place: crystal and liquid, stacking faults and hcp slabs in fcc, a sigma-5 grain
boundary. The crystals carry Gaussian displacements; the liquids come from molecular dynamics
(``python -m ase_crystalnet.training.md benchmark``; a random packing where they are missing).
Lengths are in the crystal's nearest-neighbour distance, d.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from common import markdown, show, write_json
from interfaces import MELTS, REACH, Interface, interfaces, melt
from numpy.typing import NDArray

from ase_crystalnet import testing
from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.orientation import conventional_setting, misorientation
from ase_crystalnet.training.crystals import CLASSES
from ase_crystalnet.windows import WindowBatch

Array = NDArray[np.float64]

SIZES = (64, 120, 250)
SIGMAS = (0.05, 0.08)
BINS = np.arange(-REACH, REACH + 0.25, 0.5)
#: A smaller window is trusted above this certainty.
CERTAIN = 0.9
#: An orientation is right within this many degrees.
ANGLE = 5.0
#: Fewest atoms that a share of 99 % is read from.
FEWEST = 30
#: Disorder of whole crystals, for `testing.supercell`.
BULK: dict[str, dict[str, float]] = {
    "sigma 0.08": {"sigma": 0.08},
    "sigma 0.15": {"sigma": 0.15},
    "vacancies 40 %": {"vacancies": 0.4},
    "vacancies 60 %": {"vacancies": 0.6},
    "sigma 0.08, vacancies 40 %": {"sigma": 0.08, "vacancies": 0.4},
}

TAPERED = ("fcc-liquid", "hcp slab 6", "sigma-5")
TAPERS: dict[str, Callable[[Array], Array]] = {
    "Gaussian": lambda r: np.exp(-2.0 * r**2),  # half the radius is one standard deviation
    "cosine": lambda r: 0.5 + 0.5 * np.cos(np.pi * np.minimum(r, 1.0)),
}


# ---------------------------------------------------------------------- methods
class Recorder(CrystalNet):
    """CrystalNet that also keeps what it found before it looked again, and can taper windows."""

    taper: Callable[[Array], Array] | None = None
    first: dict[str, NDArray[Any]]

    def _look_again(self, atoms: Atoms, points: Array, found: dict[str, NDArray[Any]]) -> None:
        self.first = {name: values.copy() for name, values in found.items()}
        super()._look_again(atoms, points, found)

    def _classify(
        self, atoms: Atoms, batch: WindowBatch, good: NDArray[np.intp]
    ) -> dict[str, NDArray[Any]]:
        if self.taper is None:
            return super()._classify(atoms, batch, good)
        positions, mask = batch.positions[good], batch.mask[good]
        r = np.linalg.norm(positions, axis=2) / batch.radius[good, None]
        weights = np.where(mask, self.taper(r), 0.0).astype(np.float32)
        lattices = self.finder(positions, mask, weights)
        images = self.fingerprint(lattices.standardize(positions), mask, weights)
        return {
            "probabilities": self.classifier.predict(images),
            "coherence": lattices.coherence,
            **{
                name: getattr(lattices, name)
                for name in ("order", "lattice", "rank", "mean_square_displacement")
            },
            "nearest_neighbor_distance": lattices.nearest_neighbor_distance,
        }


@dataclass(frozen=True, eq=False)
class Answer:
    """Labels, certainty and orientation of the chosen atoms by one method; windows it took."""

    labels: NDArray[np.int16]
    certainty: Array | None = None
    orientation: Array | None = None
    windows: NDArray[np.intp] | None = None


def _answers(net: Recorder, atoms: Atoms, chosen: NDArray[np.intp]) -> tuple[Answer, Answer]:
    """With the second look, and without it."""
    frame = net.analyze(atoms, centers=chosen)
    p = net.first["probabilities"]
    known = np.isfinite(p).all(axis=1)
    labels = np.where(known, np.where(known[:, None], p, 0).argmax(axis=1), -1).astype(np.int16)
    setting = conventional_setting(net.first["lattice"], labels, net.classes)
    return (
        Answer(frame.labels, frame.certainty.astype(float), frame.orientation),
        Answer(labels, p.max(axis=1).astype(float), setting.orientation),
    )


def smallest_certain(answers: list[Answer]) -> Answer:
    """First answer (smallest window) whose certainty is above `CERTAIN`, else the last."""
    labels, certainty, orientation = (
        np.array(values)
        for values in zip(*((a.labels, a.certainty, a.orientation) for a in answers), strict=True)
    )
    sure = certainty > CERTAIN
    sure[-1] = True
    pick = sure.argmax(axis=0)
    row = np.arange(len(pick))
    return Answer(labels[pick, row], certainty[pick, row], orientation[pick, row], pick + 1)


def all_answers(
    nets: dict[str, Recorder], case: Interface, chosen: NDArray[np.intp]
) -> dict[str, Answer]:
    """Every method on the chosen atoms of an interface."""
    found: dict[str, Answer] = {}
    whole: list[Answer] = []
    for name, net in nets.items():
        if net.taper is not None and case.name not in TAPERED:
            continue
        found[name], found[f"{name}, undivided"] = _answers(net, case.atoms, chosen)
        if net.taper is None:
            whole.append(found[name])
    plain = [name for name, net in nets.items() if net.taper is None]
    found["adaptive"] = smallest_certain([found[name] for name in plain])
    found["adaptive, undivided"] = smallest_certain([found[f"{n}, undivided"] for n in plain])
    found |= _baselines(case, chosen)
    return found


def _baselines(case: Interface, chosen: NDArray[np.intp]) -> dict[str, Answer]:
    from baselines import MissingOvitoError, acna_labels, ptm_labels

    try:
        return {
            "PTM 0.1": Answer(ptm_labels(case.atoms, 0.1)[chosen]),
            "PTM none": Answer(ptm_labels(case.atoms, None)[chosen]),
            "a-CNA": Answer(acna_labels(case.atoms, diamond="diam" in case.sides)[chosen]),
        }
    except MissingOvitoError:
        return {}


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
    nets: dict[str, Recorder],
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
                "adaptive windows": float(np.mean(answers["adaptive"].windows)),
                "methods": {name: measure(case, chosen, a) for name, a in answers.items()},
            }
        )
    return rows


def bulk(nets: dict[str, Recorder], per: int, folder: Path, seed: int) -> list[dict[str, Any]]:
    """Percent right inside single crystals and liquids: what a small window costs."""
    rng = np.random.default_rng(seed)
    rows = []
    for condition, disorder in BULK.items():
        right: dict[str, list[float]] = {}
        for name in (c for c in CLASSES if c != "disordered"):
            # Atoms for the largest windows after vacancies.
            count = int(1500 / (1 - disorder.get("vacancies", 0.0)))
            atoms = testing.supercell(testing.unit_cell(name), count, rng=rng, **disorder)
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
    nets: dict[str, Recorder],
    atoms: Atoms,
    truth: int,
    per: int,
    rng: np.random.Generator,
    right: dict[str, list[float]],
) -> None:
    chosen = np.sort(rng.choice(len(atoms), per, replace=False))
    found = {}
    for name, net in nets.items():
        found[name], found[f"{name}, undivided"] = _answers(net, atoms, chosen)
    plain = [name for name, net in nets.items() if net.taper is None]
    found["adaptive"] = smallest_certain([found[name] for name in plain])
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
                    cells.append("" if got is None else _cell(got["sides"][side][value], value))
                lines.append(cells)
    return markdown(["interface: side", "d, A", *methods], lines)


def _cell(value: float | None, kind: str) -> str:
    if value is None:
        return "none"
    return f"{value:.1f}"


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Percent right against distance, for a melt and a slab."""
    from ase_crystalnet.plotting_style import new_figure

    styles = {
        "64": ("#56b4e9", "-"),
        "120": ("#0072b2", "-"),
        "250": ("#111111", "-"),
        "adaptive": ("#d55e00", "--"),
        "PTM none": ("#8f8f8f", ":"),
        "a-CNA": ("#e6b000", ":"),
    }
    figure = new_figure(8.0, 3.2)
    figure.set_dpi(110)
    shown = [r for r in rows if r["interface"] in ("fcc-liquid", "hcp slab 6")]
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
    axes[-1].legend(fontsize=8, frameon=False)
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
    nets = {str(size): Recorder(model, window_atoms=size) for size in SIZES}
    if not given.quick:
        for name, weight in TAPERS.items():
            for size in SIZES[1:]:
                nets[f"{size} {name}"] = net = Recorder(model, window_atoms=size)
                net.taper = weight
    result: dict[str, Any] = {"model": nets["250"].classifier.card.data["sha256"], "rows": []}
    for sigma in sigmas:
        rows = run(nets, given.md, sigma, per=per, seed=given.seed, names=names)
        result["rows"] += rows
        plain = [str(size) for size in SIZES] + ["adaptive"]
        others = [n for n in ("PTM 0.1", "PTM none", "a-CNA") if n in rows[0]["methods"]]
        main_columns = [*plain, *(f"{n}, undivided" for n in plain), *others]
        show(
            f"\nsigma {sigma}: distance in d beyond which 99 % of the atoms are labelled rightly\n"
        )
        show(table(rows, main_columns, "d"))
        show(f"\nsigma {sigma}: percent labelled rightly within {REACH:g} d\n")
        show(table(rows, main_columns, "percent"))
        tapers = [n for n, net in nets.items() if net.taper is not None]
        some = [row for row in rows if row["interface"] in TAPERED]
        if tapers and some:
            sides = [n for name in tapers for n in (name, f"{name}, undivided")]
            show(f"\nsigma {sigma}, tapered windows: distance in d, then percent\n")
            show(table(some, sides, "d") + "\n\n" + table(some, sides, "percent"))
        mean = np.mean([row["adaptive windows"] for row in rows])
        show(f"\nadaptive: {mean:.2f} windows an atom; {per} atoms from every half d")
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
