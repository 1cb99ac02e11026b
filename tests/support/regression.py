"""Numbers of shipped weights: the windows they are taken on, and how."""

from __future__ import annotations

import numpy as np
from ase import Atoms

from ase_crystalnet import crystals
from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.training.local.evaluate import CONDITIONS

TOLERANCE = 2e-3


#: Percent of 70 windows: two or, where the wanted accuracy is 99 %, three more may be wrong than
#: the accuracy table allows a thousand.
FLOORS = {name: 97.0 if wanted > 99.0 else 95.5 for name, _, wanted in CONDITIONS}


# ---------------------------------------------------------------- exact numbers
def shaken(cell: Atoms, sigma: float, vacancies: float) -> Atoms:
    """A ball of about 700 atoms, disturbed by arithmetic and not by a random generator."""
    block = cell.repeat(np.ceil(30.0 / cell.cell.lengths()).astype(int).tolist())
    offset = block.positions - block.cell.array.sum(axis=0) * [0.51, 0.493, 0.487]
    reach = np.sort(np.linalg.norm(offset, axis=1))[min(700, len(block) - 1)]
    offset = offset[np.linalg.norm(offset, axis=1) < reach]
    number = np.arange(len(offset))[:, None]
    # The fraction of a large sine is as good as random; its sum of three nearly Gaussian.
    noise = sum(
        np.sin(number * [12.9898, 78.233, 37.719] + 1.7 * k) * 43758.5453 % 1 for k in range(3)
    )
    offset = offset + 2 * sigma * 2.5 * (noise - 1.5)
    keep = np.sin(number[:, 0] * 57.583) * 24634.6345 % 1 >= vacancies
    turn, _ = np.linalg.qr(np.array([[0.8, 0.2, -0.5], [-0.1, 0.9, 0.4], [0.6, -0.3, 0.7]]))
    return Atoms(f"Cu{keep.sum()}", offset[keep] @ turn)


#: Name -> class (None where two meet), cell, sigma, vacancies.
WINDOWS: dict[str, tuple[str | None, Atoms, float, float]] = {
    "tetragonal": ("bct139", crystals.bct139(1.2), 0.05, 0.0),
    "white tin": ("bct141", crystals.bct141(0.5456), 0.08, 0.1),
    "hot hcp": ("hex/rh", crystals.hcp(), 0.12, 0.0),
    "sc with vacancies": ("sc", crystals.sc(), 0.05, 0.4),
    "fcc": ("fcc", crystals.fcc(), 0.03, 0.0),
    "hot diamond": ("diam", crystals.diamond(), 0.12, 0.0),
    "bcc with vacancies": ("bcc", crystals.bcc(), 0.05, 0.6),
    "displaced beyond order": ("disordered", crystals.fcc(), 0.45, 0.0),
    "between bcc and tetragonal": (None, crystals.bct139(1.046), 0.05, 0.0),
    "between tetragonal and fcc": (None, crystals.bct139(1.35), 0.05, 0.0),
    "hardly a crystal": (None, crystals.bcc(), 0.17, 0.2),
}


def numbers(net: CrystalNet) -> dict[str, dict[str, list[float]]]:
    """Probabilities and order of each of `WINDOWS`, by the weights alone (no second look)."""
    once = CrystalNet(net.classifier.card.folder, divide=False)
    out = {}
    for name, (_, cell, sigma, vacancies) in WINDOWS.items():
        frame = once.analyze(shaken(cell, sigma, vacancies), centers=[[0.1, 0.2, -0.15]])
        out[name] = {
            "probabilities": [round(float(p), 5) for p in frame.probabilities[0]],
            "order": [round(float(frame.order[0]), 5)],
        }
    return out
