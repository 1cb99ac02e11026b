"""Accuracy of a model of whole structures: pristine, defective, and from databases."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.crystals.defects import displaced, substituted, with_vacancies
from ase_crystalnet.crystals.elements import LABELS, Element, elemental_structures
from ase_crystalnet.errors import InputError
from ase_crystalnet.whole.analysis import global_probabilities
from ase_crystalnet.whole.cluster import perfect_supercell

__all__ = ["CONDITIONS", "GlobalRow", "Known", "database_elements", "database_row", "defect_table"]

Defect = Callable[[Atoms, np.random.Generator], Atoms]


@dataclass(frozen=True, eq=False)
class Known:
    """A structure of known class.

    Attributes
    ----------
    name : str
    atoms : ase.Atoms
    label : str
    """

    name: str
    atoms: Atoms
    label: str


@dataclass(frozen=True, eq=False)
class GlobalRow:
    """Outcome of one condition.

    Attributes
    ----------
    name : str
    wanted : float
        Percent.
    structures : tuple of Known
        As they are before the defect.
    predicted : tuple of str
        Most probable class of each.
    """

    name: str
    wanted: float
    structures: tuple[Known, ...]
    predicted: tuple[str, ...]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each structure's class was found."""
        pairs = zip(self.structures, self.predicted, strict=True)
        return np.array([known.label == label for known, label in pairs], bool)

    @property
    def accuracy(self) -> float:
        """Percent right."""
        return 100 * float(self.right.mean())

    def by_class(self) -> dict[str, float]:
        """Percent right of each class that occurs."""
        labels = np.array([known.label for known in self.structures])
        return {c: 100 * float(self.right[labels == c].mean()) for c in sorted(set(labels))}

    def failures(self) -> list[str]:
        """``name: class, taken for class`` of each structure that was not recognised."""
        return [
            f"{known.name}: {known.label}, taken for {label}"
            for known, label in zip(self.structures, self.predicted, strict=True)
            if known.label != label
        ]


def _binary(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    return substituted(atoms, rng.choice(np.arange(1, 84), 2, replace=False).tolist(), rng)


def _ternary(atoms: Atoms, rng: np.random.Generator) -> Atoms:
    return substituted(atoms, rng.choice(np.arange(1, 84), 3, replace=False).tolist(), rng)


#: Rows: name, defect, the paper's value (Ziletti et al., Table 1 and Supplementary Tables 1-2).
CONDITIONS: tuple[tuple[str, Defect, float], ...] = (
    ("pristine", lambda atoms, rng: atoms, 100.0),
    ("sigma 0.06 Angstrom", lambda atoms, rng: displaced(atoms, 0.06, rng), 100.0),
    ("sigma 0.10 Angstrom", lambda atoms, rng: displaced(atoms, 0.10, rng), 99.91),
    ("vacancies 40 %", lambda atoms, rng: with_vacancies(atoms, 0.4, rng), 100.0),
    ("vacancies 50 %", lambda atoms, rng: with_vacancies(atoms, 0.5, rng), 99.56),
    ("vacancies 60 %", lambda atoms, rng: with_vacancies(atoms, 0.6, rng), 97.18),
    ("vacancies 70 %", lambda atoms, rng: with_vacancies(atoms, 0.7, rng), 89.05),
    ("random binary", _binary, 100.0),
    ("random ternary", _ternary, 100.0),
)


def known_elements(elements: Sequence[Element]) -> list[Known]:
    """Structures of the pristine dataset with names that tell element and prototype."""
    return [
        Known(f"{e.atoms.symbols[0]} {e.prototype} ({e.space_group})", e.atoms, e.label)
        for e in elements
    ]


def defect_table(
    classifier: Classifier,
    structures: Sequence[Known],
    *,
    conditions: Sequence[tuple[str, Defect, float]] = CONDITIONS,
    seed: int = 7,
    progress: Callable[[str], None] | None = None,
) -> list[GlobalRow]:
    """Percent right of structures after each defect, in supercells of about 250 atoms."""
    supercells = [perfect_supercell(known.atoms) for known in structures]
    rows = []
    for number, (name, defect, wanted) in enumerate(conditions):
        if progress is not None:
            progress(name)
        rng = np.random.default_rng([seed, number])
        spoilt = [defect(atoms, rng) for atoms in supercells]
        rows.append(_row(name, wanted, classifier, structures, spoilt))
    return rows


def fresh_structures(count: int, seed: int) -> list[Known]:
    """Pristine structures of another seed than any training's."""
    return known_elements(elemental_structures(np.random.default_rng([seed, 99]), count))


def database_elements(folder: Path, labels: dict[int, str] | None = None) -> list[Known]:
    """Elements of the eight space groups in a folder of ``*.jsonl.gz`` files.

    Every line is a JSON object with ``id``, ``lattice`` (3 rows, Angstrom), ``Z``, ``frac`` and
    ``sg``, the space group's number; lines without these are passed over.

    Raises
    ------
    InputError
        There is no such file, or no element in them.
    """
    labels = LABELS if labels is None else labels
    found = []
    for path in sorted(folder.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                entry: dict[str, Any] = json.loads(line)
                if not {"lattice", "Z", "frac", "sg"} <= entry.keys():
                    continue
                if entry["sg"] not in labels or len(set(entry["Z"])) != 1:
                    continue
                atoms = Atoms(
                    entry["Z"], cell=entry["lattice"], scaled_positions=entry["frac"], pbc=True
                )
                name = f"{atoms.symbols[0]}{len(atoms)} {entry.get('id', '')} ({entry['sg']})"
                found.append(Known(name, atoms, labels[entry["sg"]]))
    if not found:
        raise InputError(
            f"{folder} holds no elements of the space groups {', '.join(map(str, labels))}; "
            "expected .jsonl.gz files with lattice, Z, frac and sg in every line"
        )
    return found


def database_row(classifier: Classifier, structures: Sequence[Known]) -> GlobalRow:
    """Percent right of structures as they are in a database."""
    atoms = [known.atoms for known in structures]
    return _row("elements of the folder", 99.5, classifier, structures, atoms)


def _row(
    name: str,
    wanted: float,
    classifier: Classifier,
    structures: Sequence[Known],
    atoms: Sequence[Atoms],
) -> GlobalRow:
    probabilities = global_probabilities(classifier, atoms)
    predicted = tuple(classifier.classes[i] for i in probabilities.argmax(axis=1))
    return GlobalRow(name, wanted, tuple(structures), predicted)
