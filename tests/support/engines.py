"""What two engines are compared on: windows of every disorder, and powder patterns."""

from __future__ import annotations

import numpy as np

from ase_crystalnet.classes import CLASSES
from ase_crystalnet.crystals.disordered import random_packing
from ase_crystalnet.crystals.pools import Pool
from ase_crystalnet.crystals.sampling import Disorder, cut_crystal, sample_crystal
from ase_crystalnet.local.images import ImageMaker
from ase_crystalnet.training.shards import pad_windows
from ase_crystalnet.xrd.pattern import TWO_THETA, broaden

__all__ = ["fingerprints", "powder_patterns"]


def fingerprints(count: int, seed: int = 5) -> np.ndarray:
    """Fingerprints (count, 64, 64, 3) of windows: crystals from cold to hardly any, and none."""
    rng = np.random.default_rng(seed)
    packings = [Pool.of("packing", *random_packing(d, rng, sweeps=60)) for d in (0.8, 1.2)]
    windows = []
    for number in range(count):
        atoms = int(rng.integers(64, 320))
        if number % 8 == 7:
            windows.append(packings[number % 16 // 8].cut(atoms, 0.0, rng, on_atom=True))
            continue
        crystal = sample_crystal(CLASSES[number % 7], rng)
        vacancies = float(rng.choice([0.0, rng.uniform(0, 0.72)]))
        disorder = Disorder(sigma=float(rng.uniform(0, 0.2)), vacancy_fraction=vacancies)
        windows.append(cut_crystal(crystal, atoms, disorder, rng))
    images = ImageMaker.default()
    parts = [windows[start : start + 256] for start in range(0, count, 256)]
    return np.concatenate([images(*pad_windows(part)).images for part in parts])


def powder_patterns(count: int, seed: int = 5) -> np.ndarray:
    """Patterns (count, 8500) of a few to very many lines, of any width, over noise."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        lines = int(rng.integers(1, 80))
        angles = rng.uniform(TWO_THETA[0] + 1, TWO_THETA[-1] - 1, lines)
        row = broaden(np.sort(angles), rng.exponential(1.0, lines), rng.uniform(0.05, 0.5))
        rows.append(row / row.max() + rng.uniform(0, 0.05) * rng.random(len(row)))
    return np.array(rows, np.float32)
