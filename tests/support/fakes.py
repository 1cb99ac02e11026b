"""An analyzer that needs no model: results that depend on the atoms in a simple, checkable way."""

from __future__ import annotations

from typing import Any

import numpy as np
from ase import Atoms
from ase.build import bulk

from ase_crystalnet.errors import InputError
from ase_crystalnet.results.frame import FrameAnalysis

CLASSES = ("bct139", "bct141", "hex/rh", "sc", "fcc", "diam", "bcc", "disordered")


def fake_frame(
    atoms: Atoms, *, min_certainty: float | None = None, centers: str = "atoms", model: str = "fake"
) -> FrameAnalysis:
    """Atoms in the upper half of the cell are disordered, the others fcc; certainty 0.6 to 1."""
    n = len(atoms)
    height = atoms.get_scaled_positions()[:, 2]
    certainty = 0.6 + 0.4 * np.abs(2 * height - 1)
    true = np.where(height < 0.5, 4, 7)
    probabilities = np.repeat(((1 - certainty) / 7)[:, None], len(CLASSES), axis=1)
    probabilities[np.arange(n), true] = certainty
    labels = np.where(certainty < (min_certainty or 0), -1, true)
    pick = np.arange(n) if centers == "atoms" else np.arange(0, n, 4)
    order = 1 - height
    lattice = np.repeat(np.eye(3)[None], n, axis=0) * 2.5
    orientation = np.tile([0.0, 0.0, 0.0, 1.0], (n, 1))
    lattice[true == 7] = orientation[true == 7] = np.nan
    return FrameAnalysis(
        classes=CLASSES,
        centers=atoms.positions[pick],
        center_indices=pick if centers == "atoms" else np.full(len(pick), -1),
        probabilities=probabilities[pick],
        labels=labels[pick],
        certainty=certainty[pick],
        order=order[pick],
        lattice=lattice[pick],
        orientation=orientation[pick],
        rank=np.where(true[pick] == 4, 3, 0),
        mean_square_displacement=np.where(true[pick] == 4, 0.01, np.nan),
        nearest_neighbor_distance=np.full(len(pick), 2.5),
        sparse=np.zeros(len(pick), dtype=bool),
        radius=np.full(len(pick), 9.0),
        atom_probabilities=probabilities,
        atom_labels=labels,
        atom_certainty=certainty,
        atom_order=order,
        atom_orientation=orientation,
        min_certainty=min_certainty,
        metadata={"model": model, "window_atoms": 250, "centers": centers},
    )


class FakeAnalyzer:
    """Stands where CrystalNet stands: counts its calls, refuses NaN, may fail at a given call."""

    def __init__(self, model: str = "local", fail_at: int | None = None, **options: Any) -> None:
        self.model, self.options, self.fail_at = model, options, fail_at
        self.calls = 0

    def analyze(
        self, atoms: Atoms, centers: Any = "atoms", spacing: Any = None, progress: Any = None
    ) -> FrameAnalysis:
        if self.calls == self.fail_at:
            raise RuntimeError("stopped on purpose")
        self.calls += 1
        if not np.isfinite(atoms.positions).all():
            raise InputError("positions hold NaN or infinite values")
        if progress is not None:
            progress(len(atoms), len(atoms))
        return fake_frame(
            atoms,
            min_certainty=self.options.get("min_certainty"),
            centers=centers if isinstance(centers, str) else "points",
            model=self.model,
        )


def frames(count: int, size: int = 2, seed: int = 0) -> list[Atoms]:
    """A small copper crystal, shaken more from frame to frame."""
    rng = np.random.default_rng(seed)
    out = []
    for number in range(count):
        atoms = bulk("Cu", "fcc", a=3.6, cubic=True) * (size, size, size)
        atoms.positions += rng.normal(scale=0.02 * (number + 1), size=atoms.positions.shape)
        out.append(atoms)
    return out
