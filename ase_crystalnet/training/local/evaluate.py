"""Accuracy of a model from structure to label: disorder table, reliability, risk and coverage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.classes import CLASSES, OTHER
from ase_crystalnet.crystals.disordered import random_packing
from ase_crystalnet.crystals.pools import Pool, load_pools
from ase_crystalnet.crystals.sampling import Crystal, Disorder, cut_crystal, sample_crystal
from ase_crystalnet.training.local.structure_types import (
    STRUCTURE_TYPES,
    sample_other,
    sample_structure,
)

__all__ = ["CONDITIONS", "Row", "disorder_table", "predict_windows"]

#: Rows of the disorder table: name, disorder, wanted accuracy in percent at 250 atoms.
CONDITIONS: tuple[tuple[str, Disorder, float], ...] = (
    ("clean", Disorder(), 99.9),
    ("sigma 0.05", Disorder(sigma=0.05), 99.9),
    ("sigma 0.10", Disorder(sigma=0.10), 99.5),
    ("sigma 0.15", Disorder(sigma=0.15), 99.0),
    ("vacancies 40 %", Disorder(vacancy_fraction=0.4), 99.9),
    ("vacancies 60 %", Disorder(vacancy_fraction=0.6), 99.5),
    ("vacancies 70 %", Disorder(vacancy_fraction=0.7), 99.0),
    ("sigma 0.08 + vacancies 40 %", Disorder(sigma=0.08, vacancy_fraction=0.4), 99.5),
    ("strain 2 %", Disorder(strain=0.02), 99.5),
)
LIQUID_LIMIT = 0.5

_CLUSTERS = 64  # windows analysed in one structure, as clusters far apart


@dataclass(frozen=True, eq=False)
class Row:
    """Outcome of one condition.

    Attributes
    ----------
    name : str
    truth : (W,) int array
        Index into `classes`.
    probabilities : (W, C) array
    wanted : float
        Percent.
    kinds : tuple of str
        Prototype of each window.
    classes : tuple of str
        Of the model.
    """

    name: str
    truth: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    wanted: float
    kinds: tuple[str, ...]
    classes: tuple[str, ...] = CLASSES

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each window's most probable class is its own; sparse windows are wrong."""
        known = np.asarray(np.isfinite(self.probabilities).all(axis=1))
        safe = np.where(known[:, None], self.probabilities, 0)
        return np.asarray((safe.argmax(axis=1) == self.truth) & known)

    @property
    def accuracy(self) -> float:
        """Percent right."""
        return 100 * float(self.right.mean())

    def by_class(self) -> dict[str, float]:
        """Percent right of each class that occurs."""
        return {
            self.classes[c]: 100 * float(self.right[self.truth == c].mean())
            for c in np.unique(self.truth)
        }


def predict_windows(net: CrystalNet, clusters: Sequence[NDArray[np.float64]]) -> NDArray[Any]:
    """Probabilities (W, C) at the origins of clusters (n, 3), analysed in one finite structure."""
    out = np.empty((len(clusters), len(net.classes)), np.float32)
    for start in range(0, len(clusters), _CLUSTERS):
        part = clusters[start : start + _CLUSTERS]
        step = 3 * max(np.abs(c).max() for c in part)
        side = int(np.ceil(len(part) ** (1 / 3)))
        origins = np.array([(i // side**2, i // side % side, i % side) for i in range(len(part))])
        centers = origins * step
        positions = np.concatenate([c + o for c, o in zip(part, centers, strict=True)])
        frame = net.analyze(Atoms(np.full(len(positions), 29), positions), centers=centers)
        out[start : start + len(part)] = frame.probabilities
    return out


def disorder_table(
    net: CrystalNet,
    *,
    windows: int = 1000,
    atoms: int | None = None,
    conditions: Sequence[tuple[str, Disorder, float]] = CONDITIONS,
    seed: int = 2018,
    progress: Callable[[str], None] | None = None,
) -> list[Row]:
    """Accuracy over random crystals of a model's classes, orientations and centres.

    Of a model of structures the crystals of no type are among them, and those near the limit of
    strain are not strained.

    Parameters
    ----------
    net : CrystalNet
    windows : int
        A condition, spread evenly over the classes.
    atoms : int, optional
        Size of the window; the analyzer's by default.
    conditions : sequence of (name, Disorder, wanted percent)
    seed : int
        Independent of every seed used in training.
    """
    size = net.window_atoms if atoms is None else atoms
    rows = []
    for number, (name, disorder, wanted) in enumerate(conditions):
        if progress:
            progress(name)
        rng = np.random.default_rng([seed, number])
        names, draw = _drawn(net.classes, disorder.strain > 0)
        truth = np.array([net.classes.index(names[k % len(names)]) for k in range(windows)])
        clusters, kinds = [], []
        for c in truth:
            crystal = draw(net.classes[c], rng)
            kinds.append(crystal.name)
            # 2.5 times the window, so that the window is inside its cluster.
            clusters.append(3.0 * cut_crystal(crystal, int(2.5 * size), disorder, rng))
        answers = predict_windows(net, clusters)
        rows.append(Row(name, truth, answers, wanted, tuple(kinds), net.classes))
    return rows


def _drawn(
    classes: tuple[str, ...], strained: bool
) -> tuple[tuple[str, ...], Callable[[str, np.random.Generator], Crystal]]:
    """Names of the crystals that are drawn for a model, and what draws one."""
    if OTHER not in classes:
        return classes[:7], lambda name, rng: sample_crystal(name, rng, shared=False)

    def draw(name: str, rng: np.random.Generator) -> Crystal:
        while True:
            crystal = sample_other(rng) if name == OTHER else sample_structure(name, rng)
            # Some on the rhombohedral path are named by a cubic parent, or by none.
            if crystal.target[classes.index(name)] == 1:
                return crystal

    return (STRUCTURE_TYPES[:8] if strained else (*STRUCTURE_TYPES, OTHER)), draw


def liquid_row(
    net: CrystalNet, md_files: Sequence[Path], *, windows: int = 1000, seed: int = 2018
) -> Row:
    """Liquids and glasses of molecular dynamics and random packings: all are disordered."""
    rng = np.random.default_rng([seed, 999])
    pools = load_pools(md_files)
    pools += [
        Pool.of("packing", *random_packing(d, rng, sweeps=60)) for d in np.linspace(0.7, 1.3, 6)
    ]
    size = net.window_atoms
    clusters, kinds = [], []
    for k in range(windows):
        pool = pools[k % len(pools)]
        kinds.append(pool.name)
        clusters.append(pool.cut(int(2.5 * size), 0.0, rng, on_atom=bool(k % 2)))
    truth = np.full(windows, net.classes.index("disordered"))
    answers = predict_windows(net, clusters)
    wanted = 100 - LIQUID_LIMIT
    return Row("disordered", truth, answers, wanted, tuple(kinds), net.classes)
