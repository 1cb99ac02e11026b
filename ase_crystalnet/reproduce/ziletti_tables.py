"""Tables of Ziletti et al. (2018): pristine crystals, displacements, vacancies, substitution.

The paper's network sees whole structures; beside it stand spglib at three tolerances on the same
structures, and the local model on windows of the same crystals in random orientation about random
centres.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet.errors import InputError
from ase_crystalnet.reproduce import figures, symmetry_baseline
from ase_crystalnet.reproduce.report import Check, Picture, Report, Table
from ase_crystalnet.reproduce.steps import Memo, Store
from ase_crystalnet.reproduce.ziletti_bench import Bench, axial_ratio, evenly

__all__ = [
    "DISPLACEMENTS",
    "SUBSTITUTIONS",
    "VACANCIES",
    "Condition",
    "databases",
    "displacements",
    "pristine",
    "substitutions",
    "table_1",
    "vacancies",
]

#: Standard deviations of a displacement component, Angstrom, and the paper's accuracy in percent.
DISPLACEMENTS: dict[float, float] = {
    0.001: 100.0,
    0.002: 100.0,
    0.005: 100.0,
    0.01: 100.0,
    0.02: 100.0,
    0.04: 100.0,
    0.06: 100.0,
    0.08: 99.97,
    0.10: 99.91,
}
#: Percent of the atoms removed, and the paper's accuracy in percent.
VACANCIES: dict[float, float] = {
    1: 100.0,
    2: 100.0,
    5: 100.0,
    10: 100.0,
    15: 100.0,
    20: 100.0,
    25: 100.0,
    30: 100.0,
    40: 100.0,
    50: 99.56,
    60: 97.18,
    70: 89.05,
}
#: Number of species that share the sites, and the paper's accuracy in percent.
SUBSTITUTIONS: dict[float, float] = {2: 100.0, 3: 100.0}

_TABLE_1 = {"table-s1": (0.001, 0.01, 0.02, 0.06, 0.10), "table-s2": (1, 10, 25, 40, 60, 70)}
_WINDOW = 250  # atoms of the local model's windows
_MARGIN = 2.5  # cluster about such a window, in windows


@dataclass(frozen=True)
class Condition:
    """A defect and its size.

    Attributes
    ----------
    kind : str
        "pristine", "displacement", "vacancy" or "substitution".
    value : float
        Angstrom, percent, or species.
    """

    kind: str
    value: float = 0.0

    def apply(self, atoms: Atoms, rng: np.random.Generator) -> Atoms:
        """A defective copy."""
        from ase_crystalnet.training import defects

        if self.kind == "displacement":
            return defects.displaced(atoms, self.value, rng)
        if self.kind == "vacancy":
            return defects.with_vacancies(atoms, self.value / 100, rng)
        if self.kind == "substitution":
            from ase_crystalnet.training import elements

            others = [z for z in elements.ELEMENTS if z != atoms.numbers[0]]
            added = rng.choice(others, int(self.value) - 1, replace=False)
            return defects.substituted(atoms, [int(atoms.numbers[0]), *map(int, added)], rng)
        return atoms.copy()

    @property
    def kept(self) -> float:
        """Share of the atoms that is left."""
        return 1 - self.value / 100 if self.kind == "vacancy" else 1.0


# ------------------------------------------------------------------ one condition
def measure(bench: Bench, condition: Condition) -> dict[str, Any]:
    """Accuracy of the paper's network, spglib and the local model under one condition."""
    sample = bench.sample

    def spoilt(index: int) -> Atoms:
        rng = bench.rng(condition.kind, condition.value, index)
        return condition.apply(bench.supercell(index), rng)

    row: dict[str, Any] = {"kind": condition.kind, "value": condition.value}
    labels = most_probable(bench.probabilities([spoilt(i) for i in range(len(sample))]))
    row["global"] = score(labels, sample.truth, bench.classes)
    part = evenly(len(sample), bench.sizes.spglib)
    found = symmetry_baseline.space_groups([spoilt(i) for i in part])
    right = symmetry_baseline.matches(found, sample.space_groups[part])
    row["spglib"] = {"structures": len(part)} | {
        name: 100 * float(right[:, column].mean())
        for column, (name, *_) in enumerate(symmetry_baseline.TOLERANCES)
    }
    part = evenly(len(sample), bench.sizes.local)
    rng = bench.rng("local", condition.kind, condition.value)
    labels = local_labels(bench, [sample.cells[i] for i in part], condition, rng)
    names = bench.local.classes
    truth = np.array([names.index(bench.classes[c]) for c in sample.truth[part]])
    row["local"] = score(labels, truth, names)
    known = sample.familiar[part]
    row["local familiar"] = score(labels[known], truth[known], names)
    return row


def most_probable(probabilities: NDArray[Any]) -> NDArray[np.int64]:
    """Index of the most probable class (B,), -1 where there is no answer (nan)."""
    known = np.isfinite(probabilities).all(axis=1)
    return np.where(known, np.where(known[:, None], probabilities, 0).argmax(axis=1), -1)


def score(labels: NDArray[Any], truth: NDArray[Any], classes: Sequence[str]) -> dict[str, Any]:
    """Percent right in all and of each class, and what the wrong ones were taken for."""
    right = labels == truth
    wrong = Counter(
        (classes[t], classes[p] if p >= 0 else "none")
        for t, p in zip(truth[~right], labels[~right], strict=True)
    )
    return {
        "structures": len(truth),
        "percent": 100 * float(right.mean()) if len(truth) else float("nan"),
        "percent_by_class": {
            classes[c]: 100 * float(right[truth == c].mean()) for c in np.unique(truth)
        },
        "wrong": [[true, given, n] for (true, given), n in wrong.most_common()],
    }


def local_labels(
    bench: Bench, cells: Sequence[Atoms], condition: Condition, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Labels by the local model of one window of each crystal, turned at random.

    The window is about a random point, so neither the orientation nor the cell nor the origin of
    the crystal is known. It holds 250 of the atoms that are left.
    """
    from ase_crystalnet.training.crystals import Crystal, Disorder, cut_crystal
    from ase_crystalnet.training.evaluate import predict_windows

    clusters = []
    for cell in cells:
        sites = cell.get_scaled_positions(wrap=False)
        crystal = Crystal("", np.zeros(len(bench.local.classes)), cell.cell.array, sites)
        size = int(_MARGIN * _WINDOW / condition.kept)
        points = cut_crystal(crystal, size, Disorder(), rng, on_atom=False)
        block = Atoms(np.full(len(points), cell.numbers[0]), points)
        clusters.append(condition.apply(block, rng).positions)
    return most_probable(predict_windows(bench.local, clusters))


# ------------------------------------------------------------------ the tables
_METHODS = (
    "this work",
    "paper",
    "local model, any orientation: crystals it was made for",
    "all crystals",
    "spglib loose",
    "spglib medium",
    "spglib tight",
)


def _row(name: str, measured: dict[str, Any], paper: float | None) -> list[Any]:
    spglib = [measured["spglib"][setting] for setting, *_ in symmetry_baseline.TOLERANCES]
    local = [measured[kind]["percent"] for kind in ("local familiar", "local")]
    return [name, measured["global"]["percent"], paper, *local, *spglib]


def _defect_table(
    memo: Memo,
    bench: Bench,
    kind: str,
    paper: dict[float, float],
    *,
    title: str,
    unit: str,
    name: str,
) -> Report:
    rows = [memo(f"{v:g} {unit}", partial(measure, bench, Condition(kind, v))) for v in paper]
    cells = [_row(f"{v:g}", row, paper[v]) for v, row in zip(paper, rows, strict=True)]
    missed = [
        f"{v:g}: {row['global']['percent']:.2f} of {paper[v]:g}"
        for v, row in zip(paper, rows, strict=True)
        if round(row["global"]["percent"], 2) < paper[v]
    ]
    check = Check(
        title.split(":")[0],
        "at least the paper's value in every row",
        "; ".join(missed) or "all",
        not missed,
    )
    lines: dict[str, Any] = {
        "this work": [r["global"]["percent"] for r in rows],
        "paper": list(paper.values()),
        "local, any orientation": [r["local familiar"]["percent"] for r in rows],
    }
    for setting, *_ in symmetry_baseline.TOLERANCES:
        lines[f"spglib {setting}"] = [r["spglib"][setting] for r in rows]
    pictures: tuple[Picture, ...] = ()
    if len(rows) > 2:
        figure = figures.accuracy_lines(list(paper), lines, name)
        pictures = (Picture("accuracy", f"{title}: percent right.", figure),)
    tables = (
        Table(title, (name, *_METHODS), cells, _sizes_note(rows[0])),
        _class_table(rows, [f"{v:g}" for v in paper], name, bench.classes),
    )
    return Report(tables, (check,), pictures, {"rows": rows})


def _sizes_note(row: dict[str, Any]) -> str:
    familiar = row["local familiar"]["structures"]
    return (
        f"Percent of {row['global']['structures']} structures a row (spglib: "
        f"{row['spglib']['structures']} of them; local model: {familiar} crystals it was made for "
        f"among {row['local']['structures']})."
    )


def _class_table(
    rows: Sequence[dict[str, Any]], names: Sequence[str], name: str, classes: Sequence[str]
) -> Table:
    """This work's accuracy of each class, and the local model's where it is worst."""
    cells = [
        [
            label,
            *(row["global"]["percent_by_class"].get(c) for c in classes),
            _worst(row["local familiar"]["percent_by_class"]),
        ]
        for label, row in zip(names, rows, strict=True)
    ]
    return Table(
        "The same by class", (name, *classes, "local model's worst class"), cells, decimals=2
    )


def _worst(by_class: dict[str, float]) -> str:
    name = min(by_class, key=lambda key: by_class[key])
    return f"{name} {by_class[name]:.2f}"


def displacements(memo: Memo, bench: Bench) -> Report:
    """Supplementary Table 1: Gaussian displacements."""
    return _defect_table(
        memo,
        bench,
        "displacement",
        DISPLACEMENTS,
        title="Supplementary Table 1: displacements",
        unit="A",
        name="sigma (Å)",
    )


def vacancies(memo: Memo, bench: Bench) -> Report:
    """Supplementary Table 2: vacancies."""
    return _defect_table(
        memo,
        bench,
        "vacancy",
        VACANCIES,
        title="Supplementary Table 2: vacancies",
        unit="percent",
        name="vacancies (%)",
    )


def substitutions(memo: Memo, bench: Bench) -> Report:
    """Random binaries and ternaries on the sites of elemental crystals."""
    return _defect_table(
        memo,
        bench,
        "substitution",
        SUBSTITUTIONS,
        title="Substitution: random binaries and ternaries",
        unit="species",
        name="species",
    )


def pristine(memo: Memo, bench: Bench) -> Report:
    """Pristine crystals that the network has not seen."""
    row = memo("pristine", lambda: measure(bench, Condition("pristine")))
    missed = memo("missed", lambda: _missed(bench))
    percent = row["global"]["percent"]
    check = Check("pristine structures", "100 %", f"{percent:.2f} %", percent == 100)
    tables = [
        Table(
            "Pristine structures", ("", *_METHODS), [_row("pristine", row, 100.0)], _sizes_note(row)
        ),
        _class_table([row], ["pristine"], "", bench.classes),
    ]
    if missed:
        note = (
            f"Rhombohedral crystals are bcc, simple cubic and fcc at c/a = {0.375**0.5:.4f}, "
            f"{1.5**0.5:.4f} and {6**0.5:.4f}; body-centred tetragonal ones bcc and fcc at 1 and "
            f"{2**0.5:.4f}. These crystals are missed in the tables of defects as well."
        )
        header = ("prototype", "element", "space group", "c/a", "taken for", "certainty")
        tables.append(Table("Taken for another class", header, missed, note, 4))
    return Report(tuple(tables), (check,), (), {"rows": [row]})


def _missed(bench: Bench) -> list[list[Any]]:
    """What the pristine crystals are that the network takes for another class."""
    sample = bench.sample
    p = bench.probabilities([bench.supercell(i) for i in range(len(sample))])
    labels = most_probable(p)
    return [
        [
            sample.prototypes[i],
            str(sample.cells[i].symbols[0]),
            int(sample.space_groups[i]),
            axial_ratio(sample.cells[i]),
            bench.classes[labels[i]] if labels[i] >= 0 else "none",
            float(p[i].max()),
        ]
        for i in np.flatnonzero(labels != sample.truth)
    ]


def table_1(memo: Memo, store: Store) -> Report:
    """Table 1: what the supplementary tables say, in brief."""
    rows: list[list[Any]] = []
    for step, unit in (("pristine", ""), ("table-s1", " Å"), ("table-s2", " %")):
        report = store.load(step)
        if report is None:
            raise InputError(f"table-1 is made of the others: run --only {step} first")
        for row in report.data["rows"]:
            if step not in _TABLE_1:
                rows.append(_row("pristine", row, 100.0))
            elif row["value"] in _TABLE_1[step]:
                paper = (DISPLACEMENTS if step == "table-s1" else VACANCIES)[row["value"]]
                kind = "sigma" if step == "table-s1" else "vacancies"
                rows.append(_row(f"{kind} {row['value']:g}{unit}", row, paper))
    return Report((Table("Table 1: accuracy in percent", ("defect", *_METHODS), rows),))


# ------------------------------------------------------------------ databases
#: What the names of a database's entries begin with.
_SOURCES = {"Materials Project": "mp-", "AFLOW": "aflow"}


def databases(memo: Memo, bench: Bench) -> Report:
    """Elements of the Materials Project and of AFLOW: test sets that no generator made.

    Raises
    ------
    InputError
        The folder was not given, or holds none of them.
    """
    from ase_crystalnet.training.evaluate_global import database_elements

    if bench.data is None:
        raise InputError("databases needs --data DIR, a folder with structures/*.jsonl.gz")
    known = database_elements(bench.data / "structures")

    def make(prefix: str) -> dict[str, Any]:
        entries = [k for k in known if k.name.split()[1].startswith(prefix)]
        truth = np.array([bench.classes.index(k.label) for k in entries], np.int64)
        probabilities = bench.probabilities([k.atoms for k in entries])
        labels = most_probable(probabilities)
        wrong = [
            [
                entries[i].name,
                entries[i].label,
                bench.classes[labels[i]] if labels[i] >= 0 else "none",
                float(probabilities[i].max()),
            ]
            for i in np.flatnonzero(labels != truth)
        ]
        return score(labels, truth, bench.classes) | {"entries": wrong}

    rows = {name: memo(name, partial(make, prefix)) for name, prefix in _SOURCES.items()}
    percent = rows["Materials Project"]["percent"]
    check = Check(
        "Materials Project elements", "at least 99.5 %", f"{percent:.2f} %", percent >= 99.5
    )
    tables = [
        Table(
            "Elements of the eight space groups, percent right",
            ("database", "elements", "all", *bench.classes),
            [
                [name, row["structures"], row["percent"]]
                + [row["percent_by_class"].get(c) for c in bench.classes]
                for name, row in rows.items()
            ],
        )
    ]
    wrong = [entry for row in rows.values() for entry in row["entries"]]
    if wrong:
        header = ("cell, entry, space group", "class", "taken for", "certainty")
        tables.append(Table("Taken for another class", header, wrong, decimals=3))
    return Report(tuple(tables), (check,), (), {"rows": rows})
