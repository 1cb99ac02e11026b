"""Accuracy under one condition, for the tables of Ziletti et al. (2018).

The paper's network sees whole structures; beside it stand spglib at three tolerances on the same
structures, and the local model on windows of the same crystals in random orientation about random
centres.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet.reproduce.ziletti2018 import spglib_baseline as symmetry_baseline
from ase_crystalnet.reproduce.ziletti2018.bench import Bench, evenly

__all__ = ["Condition", "local_labels", "measure", "most_probable", "score"]

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
        from ase_crystalnet.crystals import defects

        if self.kind == "displacement":
            return defects.displaced(atoms, self.value, rng)
        if self.kind == "vacancy":
            return defects.with_vacancies(atoms, self.value / 100, rng)
        if self.kind == "substitution":
            from ase_crystalnet.crystals import elements

            others = [z for z in elements.ELEMENTS if z != atoms.numbers[0]]
            added = rng.choice(others, int(self.value) - 1, replace=False)
            return defects.substituted(atoms, [int(atoms.numbers[0]), *map(int, added)], rng)
        return atoms.copy()

    @property
    def kept(self) -> float:
        """Share of the atoms that is left."""
        return 1 - self.value / 100 if self.kind == "vacancy" else 1.0


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
    from ase_crystalnet.crystals.sampling import Crystal, Disorder, cut_crystal
    from ase_crystalnet.training.local.evaluate import predict_windows

    clusters = []
    for cell in cells:
        sites = cell.get_scaled_positions(wrap=False)
        crystal = Crystal("", np.zeros(len(bench.local.classes)), cell.cell.array, sites)
        size = int(_MARGIN * _WINDOW / condition.kept)
        points = cut_crystal(crystal, size, Disorder(), rng, on_atom=False)
        block = Atoms(np.full(len(points), cell.numbers[0]), points)
        clusters.append(condition.apply(block, rng).positions)
    return most_probable(predict_windows(bench.local, clusters))
