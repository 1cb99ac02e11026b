"""Tables and figures of Vecsei et al. (2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ase_crystalnet.classes import CLASS_COLORS
from ase_crystalnet.errors import InputError
from ase_crystalnet.plotting.style import INK, new_figure
from ase_crystalnet.reproduce.report import (
    Cell,
    Check,
    Picture,
    Report,
    Table,
)
from ase_crystalnet.reproduce.vecsei2019.bench import (
    MEASURED_SET,
    SIMULATED_SET,
    PaperBench,
    Said,
    scores,
)
from ase_crystalnet.xrd.pattern import CRYSTAL_SYSTEMS, SYSTEM_MATRIX, system_of
from ase_crystalnet.xrd.subgroups import chance_distance, subgroup_distance

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ase_crystalnet.reproduce.store import Memo

__all__ = [
    "by_group",
    "centrosymmetric",
    "certainty",
    "confusion",
    "distances",
    "refusal",
    "table_1",
    "top_n",
    "training",
]

#: The paper, percent: dense network, ensemble of ten, on measured patterns; on its test set.
PAPER_MEASURED = {"system": 70.0, "group": 54.0, "half_refused": 82.0}
PAPER_SIMULATED = {"system": 85.0, "group": 76.0}
#: The best published accuracy on measured patterns, percent (Salgado et al. 2023).
PUBLISHED = {"system": 81.7, "group": 66.2}
#: What the work is to reach on measured patterns, percent.
WANTED = {"system": 77.0, "group": 65.0, "half_refused": 91.0}
WANTED_CALIBRATION = 5.0
#: What a trial reached of the space groups of measured patterns that no library entry is like.
WANTED_UNLIKE = 25.0
_COLUMNS = ("system", "group", "top5", "half_refused")
_BLUE, _RED = CLASS_COLORS["bcc"], CLASS_COLORS["hex/rh"]
#: First and last number of the runs of centrosymmetric space groups.
_CENTERED = (
    (2, 2), (10, 15), (47, 74), (83, 88), (123, 142), (147, 148), (162, 167), (175, 176),
    (191, 194), (200, 206), (221, 230),
)  # fmt: skip


def has_center(space_group: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether space groups hold a centre of symmetry."""
    return np.any([(space_group >= a) & (space_group <= b) for a, b in _CENTERED], axis=0)


def _row(name: str, said: Said) -> tuple[Cell, ...]:
    found = scores(said)
    return (name, *(found[c] for c in _COLUMNS), found["calibration_error"])


def table_1(memo: Memo, bench: PaperBench) -> Report:
    """Accuracy of everyone on every test set."""
    header = (
        "answered by", "crystal system", "space group", "among the first five",
        "space group, half refused", "calibration error",
    )  # fmt: skip
    tables: list[Table] = []
    data: dict[str, Any] = {}
    for name, rows in bench.said.items():
        cells = [_row(who, said) for who, said in rows.items()]
        if name == MEASURED_SET:
            p, q = PAPER_MEASURED, PUBLISHED
            cells.append(
                ("the paper, dense, ten averaged", p["system"], p["group"], None, 82.0, None)
            )
            cells.append(("best published", q["system"], q["group"], None, None, None))
        if name == SIMULATED_SET:
            q = PAPER_SIMULATED
            cells.append(("the paper, its test set", q["system"], q["group"], None, None, None))
        size = len(next(iter(rows.values())).truth)
        title = f"{name[0].upper()}{name[1:]}: percent of {size} patterns"
        tables.append(Table(title, header, cells, decimals=1))
        data[name] = {who: scores(said) for who, said in rows.items()}
        if name != MEASURED_SET:
            tables.append(_with_and_without(name, rows))
    checks: list[Check] = []
    if MEASURED_SET in bench.said:
        tables += _halves(bench.said[MEASURED_SET])
        checks = _checks(bench.said[MEASURED_SET][bench.best], bench.best)
    network = next(iter(bench.networks), None)
    if SIMULATED_SET in bench.said and network:
        found = scores(bench.said[SIMULATED_SET][network])
        checks += [
            _at_least(f"{SIMULATED_SET}, {words} ({network})", PAPER_SIMULATED[key], found[key])
            for key, words in (("system", "crystal system"), ("group", "space group"))
        ]
    return Report(tuple(tables), tuple(checks), (), data)


def _with_and_without(name: str, rows: Any) -> Table:
    """A simulated set: patterns that an entry of the library is like, and the others."""
    cells: list[tuple[Cell, ...]] = []
    for who, said in rows.items():
        parts = [scores(said.part(part)) for part in (said.close, ~said.close)]
        cells.append((who, *(found[c] for found in parts for c in ("patterns", *_COLUMNS[:2]))))
    header = ("answered by", "close match: number", "system", "group",
              "none: number", "system", "group")  # fmt: skip
    return Table(f"{name[0].upper()}{name[1:]}: with a close match and without", header, cells,
                 decimals=1)  # fmt: skip


def _halves(rows: Any) -> list[Table]:
    """Measured patterns apart: open to tuning or not, with a close match or without."""
    cells: list[tuple[Cell, ...]] = []
    for who, said in rows.items():
        for name, part in (
            ("even id (open to tuning)", said.even),
            ("odd id", ~said.even),
            ("with a close match", said.close),
            ("without", ~said.close),
        ):
            found = scores(said.part(part))
            cells.append((who, name, *(found[c] for c in ("patterns", *_COLUMNS[:2])),
                          found["half_refused"], found["calibration_error"]))  # fmt: skip
    header = ("answered by", "patterns", "number", "crystal system", "space group",
              "space group, half refused", "calibration error")  # fmt: skip
    note = "A match is close if its correlation is 0.6 or more."
    return [Table("Measured, apart", header, cells, note, decimals=1)]


def _at_least(name: str, wanted: float, found: float | None) -> Check:
    value = float(found or 0)
    return Check(name, f"{wanted:g} %", f"{value:.1f} %", value >= wanted)


def _checks(said: Said, who: str) -> list[Check]:
    """What was to be shown on measured patterns."""
    found = scores(said)
    checks = [
        _at_least(f"measured, {words} ({who})", WANTED[key], found[key])
        for key, words in (
            ("system", "crystal system"),
            ("group", "space group"),
            ("half_refused", "space group, half refused"),
        )
    ]
    if not said.close.all():
        unlike = scores(said.part(~said.close))["group"]
        name = f"measured, space group without a close match ({who})"
        checks.append(_at_least(name, WANTED_UNLIKE, unlike))
    for words, part in (("", said), (", odd id alone", said.part(~said.even))):
        error = float(scores(part)["calibration_error"] or 0)
        checks.append(
            Check(
                f"measured{words}, expected calibration error ({who})",
                f"at most {WANTED_CALIBRATION:g} %",
                f"{error:.1f} %",
                error <= WANTED_CALIBRATION,
            )
        )
    return checks


def _main(bench: PaperBench) -> tuple[str, Said]:
    """Test set and answers of the figures: measured patterns where there are any."""
    name = MEASURED_SET if MEASURED_SET in bench.said else next(iter(bench.said))
    return name, bench.said[name][bench.best]


def training(memo: Memo, bench: PaperBench) -> Report:
    """Loss and accuracy while training, of every network that brought its history."""
    if not bench.histories:
        raise InputError("training: no network brought the history of its training (history.json)")
    figure = new_figure(7.0, 2.8)
    left, right = figure.subplots(1, 2)
    rows: list[tuple[Cell, ...]] = []
    for (name, history), color in zip(
        bench.histories.items(), list(CLASS_COLORS.values()) * 4, strict=False
    ):
        seen = [row["patterns"] / 1e3 for row in history]
        plan = bench.networks[name].card.data.get("trained_on", {}).get("plan", {})
        if plan.get("cost") != "alternating":  # a mean over two costs is neither
            left.plot(seen, [row["loss"] for row in history], color=color)
        right.plot([], [], color=color, label=name)
        for split, style in (("random", "-"), ("composition", "--"), ("type", ":")):
            key = "group" if bench.networks[name].card.classes == 230 else "system"
            share = [row["tests"].get(split, {}).get(key, np.nan) for row in history]
            right.plot(seen, share, style, color=color)
        last = history[-1]
        rows.append((name, last["patterns"], round(last["seconds"] / 60, 1), last["loss"]))
    left.set(xlabel="patterns (thousands)", ylabel="loss")
    right.set(xlabel="patterns (thousands)", ylabel="right (%)")
    right.legend(frameon=False, fontsize=7, loc="center right")
    caption = (
        "Training. Left: loss on the patterns drawn, of networks that learned by cross-entropy "
        "alone. Right: accuracy on structures held out at random (solid), by composition (dashed), "
        "by structure type (dotted)."
    )
    table = Table("Training", ("network", "patterns", "minutes", "last loss"), rows)
    return Report((table,), (), (Picture("curves", caption, figure),))


def top_n(memo: Memo, bench: PaperBench) -> Report:
    """Share of true groups among the n most probable."""
    name, _ = _main(bench)
    numbers = (1, 2, 3, 5, 10, 20)
    rows: list[tuple[Cell, ...]] = []
    for who, said in bench.said[name].items():
        if not said.of_groups:
            continue
        order = np.argsort(-said.probabilities, axis=1)
        rank = (order == said.target[:, None]).argmax(axis=1)
        rows.append((who, *(100 * float((rank < n).mean()) for n in numbers)))
    title = f"Percent of {name} patterns whose group is among the n most probable"
    return Report((Table(title, ("answered by", *(f"n = {n}" for n in numbers)), rows),))


def certainty(memo: Memo, bench: PaperBench) -> Report:
    """Certainty of right and of wrong answers, and how often answers of a certainty are right."""
    name, said = _main(bench)
    figure = new_figure(7.0, 2.8)
    left, right = figure.subplots(1, 2)
    edges = np.linspace(0, 1, 21)
    left.hist(said.certainty[said.right], edges, color=_BLUE, alpha=0.7, label="right")
    left.hist(said.certainty[~said.right], edges, color=_RED, alpha=0.7, label="wrong")
    left.set(xlabel="certainty", ylabel="patterns")
    left.legend(frameon=False)
    bins = np.array_split(np.argsort(said.certainty), 10)
    means = [float(said.certainty[b].mean()) for b in bins]
    shares = [float(said.right[b].mean()) for b in bins]
    right.plot([0, 1], [0, 1], color=INK, linewidth=0.7)
    right.plot(means, shares, "o-", color=_BLUE)
    right.set(xlabel="certainty", ylabel="share right", xlim=(0, 1), ylim=(0, 1))
    caption = (
        f"Certainty on {name} patterns, {bench.best}. Left: of right and wrong answers. Right: how "
        "often they are right, in ten bins of equal numbers."
    )
    data = {"certainty": means, "share_right": shares}
    return Report((), (), (Picture("histogram", caption, figure),), data)


def refusal(memo: Memo, bench: PaperBench) -> Report:
    """Accuracy of the answers that are left when the least certain are refused."""
    name, _ = _main(bench)
    figure = new_figure(6.5, 3.2)
    axes: Axes = figure.add_subplot()
    rows: list[tuple[Cell, ...]] = []
    shares = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9)
    for (who, said), color in zip(
        bench.said[name].items(), list(CLASS_COLORS.values()) * 4, strict=False
    ):
        if not said.of_groups:
            continue
        right = said.right[np.argsort(-said.certainty, kind="stable")]
        kept = np.arange(1, len(right) + 1)
        accuracy = np.cumsum(right) / kept
        best = who == bench.best
        axes.plot(
            100 * (1 - kept / len(right)),
            100 * accuracy,
            color=INK if best else color,
            linewidth=2.0 if best else 1.0,
            label=who,
        )
        cells = [100 * float(accuracy[max(round((1 - s) * len(right)), 1) - 1]) for s in shares]
        rows.append((who, *cells))
    axes.set(xlabel="refused (%)", ylabel="space group right (%)", xlim=(0, 100))
    axes.legend(frameon=False, fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    caption = f"Accuracy on {name} patterns against the share refused, least certain first."
    header = ("answered by", *(f"{100 * s:g} % refused" for s in shares))
    note = f"The paper, half refused: {PAPER_MEASURED['half_refused']:g} %."
    table = Table(f"Percent right of {name} patterns", header, rows, note)
    return Report((table,), (), (Picture("curve", caption, figure),))


def distances(memo: Memo, bench: PaperBench) -> Report:
    """How far wrong answers are from the truth in the graph of maximal subgroups."""
    name, best = _main(bench)
    rows: list[tuple[Cell, ...]] = []
    for tested, answers in bench.said.items():
        for who, said in answers.items():
            if said.of_groups and not said.right.all():
                away = _away(said)
                by_chance = chance_distance(said.truth)
                rows.append((tested, who, len(away), float(away.mean()), by_chance))
    steps = np.arange(1, 7)
    figure = new_figure(5.0, 3.0)
    axes = figure.add_subplot()
    if not best.right.all():
        shares = [float((_away(best) == s).mean()) for s in steps]
        axes.bar(steps, shares, color=_BLUE, label=bench.best)
    axes.plot(steps, _by_chance(best.truth, steps), "o", color=_RED, label="chance")
    axes.set(xlabel="steps in the graph of maximal subgroups", ylabel="share of wrong answers")
    axes.legend(frameon=False)
    caption = f"Distance of the wrong answers on {name} patterns from the truth."
    header = ("patterns", "answered by", "wrong", "mean distance", "by chance")
    note = "By chance: answers drawn with the frequencies of the true groups, right ones left out."
    table = Table("Subgroup distance", header, rows, note)
    return Report((table,), (), (Picture("histogram", caption, figure),))


def _away(said: Said) -> NDArray[np.int64]:
    """Distances of the wrong answers."""
    wrong = ~said.right
    answer = said.probabilities.argmax(axis=1)[wrong] + 1
    return subgroup_distance(answer, said.truth[wrong]).astype(int)


def _by_chance(truth: NDArray[np.int64], steps: NDArray[Any]) -> list[float]:
    """Shares of the distances between pairs of different true groups."""
    a, b = (x.ravel() for x in np.meshgrid(truth, truth))
    away = subgroup_distance(a[a != b], b[a != b])
    return [float((away == s).mean()) for s in steps]


def by_group(memo: Memo, bench: PaperBench) -> Report:
    """Accuracy of each space group that occurs ten times or more."""
    name, said = _main(bench)
    groups, counts = np.unique(said.truth, return_counts=True)
    rows: list[tuple[Cell, ...]] = []
    for group, count in zip(groups, counts, strict=True):
        if count >= 10:
            mine = said.truth == group
            rows.append((int(group), int(count), 100 * float(said.right[mine].mean())))
    rare = np.isin(said.truth, groups[counts < 10])
    if rare.any():
        rows.append(("all rarer", int(rare.sum()), 100 * float(said.right[rare].mean())))
    header = ("space group", "patterns", "right")
    title = f"Percent right by space group, {name} patterns, {bench.best}"
    return Report((Table(title, header, rows),))


def confusion(memo: Memo, bench: PaperBench) -> Report:
    """Crystal systems: true against answered."""
    name, said = _main(bench)
    table = np.zeros((7, 7), int)
    answer = (said.probabilities @ SYSTEM_MATRIX if said.of_groups else said.probabilities).argmax(
        axis=1
    )
    np.add.at(table, (system_of(said.truth), answer), 1)
    rows: list[tuple[Cell, ...]] = [
        (CRYSTAL_SYSTEMS[i], *(int(n) for n in table[i])) for i in range(7)
    ]
    title = f"Patterns by true (rows) and answered (columns) system, {name}, {bench.best}"
    return Report((Table(title, ("true", *CRYSTAL_SYSTEMS), rows),))


def centrosymmetric(memo: Memo, bench: PaperBench) -> Report:
    """With and without a centre of symmetry, which diffraction hardly tells."""
    name, _ = _main(bench)
    rows: list[tuple[Cell, ...]] = []
    for who, said in bench.said[name].items():
        centered = has_center(said.truth)
        for kind, part in (("centrosymmetric", centered), ("not", ~centered)):
            found = scores(said.part(part))
            rows.append((who, kind, *(found[c] for c in ("patterns", "system", "group"))))
    header = ("answered by", "true group", "number", "crystal system", "space group")
    return Report((Table(f"Percent of {name} patterns", header, rows),))
