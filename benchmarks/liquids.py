"""May windows without a strong peak leave early, as liquids? What a threshold gains, and loses.

    python benchmarks/liquids.py [--windows 300] [--json FILE]

For each size of window, the strongest peak of S(q) in crystals at their limits (displacements of
0.10 and 0.15 neighbour distances, 70 % vacancies, films), in windows of which a nucleus or one side
of an interface is 15 to 50 %, and in liquids (random packings, and the molten frame of the demo).
Of the windows that the network calls a crystal the smallest peak is the largest threshold that
loses none; the share of liquids below it is what would be gained.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ase.io import read
from common import markdown, show, write_json
from numpy.typing import NDArray

from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.classes import DISORDERED
from ase_crystalnet.crystals.disordered import random_packing
from ase_crystalnet.crystals.pools import Pool
from ase_crystalnet.crystals.sampling import Disorder, cut_crystal
from ase_crystalnet.training.local.structure_types import (
    STRUCTURE_TYPES,
    sample_other,
    sample_structure,
)
from ase_crystalnet.training.shards import pad_windows

SIZES = (64, 100, 250, 400)
DEMO = Path(__file__).resolve().parents[1] / "examples" / "demo" / "heating.extxyz.gz"
Window = NDArray[np.float64]


class Makers:
    """Windows of each kind, by number."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.pools = [
            Pool.of("packing", *random_packing(d, rng, sweeps=60)) for d in (0.7, 0.9, 1.1, 1.2)
        ]
        melt = read(DEMO, index=-1)
        self.pools.append(Pool.of("melt", melt.positions, melt.cell.array))

    def crystal(self, number: int, size: int, **disorder: float) -> Window:
        name = STRUCTURE_TYPES[number % len(STRUCTURE_TYPES)]
        crystal = sample_structure(name, self.rng) if number % 4 else sample_other(self.rng)
        return cut_crystal(crystal, size, Disorder(**disorder), self.rng)

    def liquid(self, number: int, size: int) -> Window:
        return self.pools[number % len(self.pools)].cut(
            size, 0.0, self.rng, on_atom=bool(number % 2)
        )

    def film(self, number: int, size: int) -> Window:
        window = self.crystal(number, 2 * size, sigma=0.12)
        reach = np.linalg.norm(window, axis=1).max()
        return window[np.abs(window @ self._direction()) < self.rng.uniform(0.25, 0.6) * reach]

    def interface(self, number: int, size: int) -> Window:
        inside, outside = self._both(number, size)
        direction = self._direction()
        height = np.quantile(inside @ direction, self.rng.uniform(0.15, 0.5))
        parts = inside[inside @ direction < height], outside[outside @ direction > height]
        return np.concatenate(parts)

    def nucleus(self, number: int, size: int) -> Window:
        inside, outside = self._both(number, size)
        near, far = (np.linalg.norm(part, axis=1) for part in (inside, outside))
        radius = near.max() * self.rng.uniform(0.15, 0.5) ** (1 / 3)
        return np.concatenate([inside[near < radius], outside[far > radius]])

    def _both(self, number: int, size: int) -> tuple[Window, Window]:
        """A crystal and a liquid in balls of one size."""
        crystal, liquid = self.crystal(number, size, sigma=0.10), self.liquid(number, size)
        reach = np.linalg.norm(crystal, axis=1).max() / np.linalg.norm(liquid, axis=1).max()
        return crystal, liquid * reach

    def _direction(self) -> Window:
        direction = self.rng.normal(size=3)
        return direction / np.linalg.norm(direction)


def looked_at(net: CrystalNet, windows: list[Window]) -> tuple[Window, NDArray[np.bool_]]:
    """Strongest peak of windows, and whether the network calls them a crystal."""
    method = net.of_windows()
    peaks, crystal = [], []
    for start in range(0, len(windows), 256):
        positions, mask = pad_windows(windows[start : start + 256])
        seen = method.images(positions, mask)
        peaks.append(seen.lattices.order * mask.sum(axis=1))
        answers = method.answers(seen).argmax(axis=1)
        crystal.append(answers != net.classes.index(DISORDERED))
    return np.concatenate(peaks), np.concatenate(crystal)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--windows", type=int, default=300, help="of each kind and size")
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    given = parser.parse_args()
    net, makers = CrystalNet(), Makers(np.random.default_rng(11))
    kinds: dict[str, Callable[[int, int], Window]] = {
        "sigma 0.10": lambda k, n: makers.crystal(k, n, sigma=0.10),
        "sigma 0.15": lambda k, n: makers.crystal(k, n, sigma=0.15),
        "vacancies 70 %": lambda k, n: makers.crystal(k, n, vacancy_fraction=0.7),
        "films": makers.film,
        "interfaces": makers.interface,
        "nuclei": makers.nucleus,
    }
    rows, record = [], {}
    for size in SIZES:
        liquid, _ = looked_at(net, [makers.liquid(k, size) for k in range(given.windows)])
        least = {}
        for name, make in kinds.items():
            peak, crystal = looked_at(net, [make(k, size) for k in range(given.windows)])
            least[name] = float(peak[crystal].min(initial=np.inf))
        threshold = min(least.values())
        bulk = min(value for name, value in least.items() if name not in ("interfaces", "nuclei"))
        gained, in_bulk = (100 * float((liquid < value).mean()) for value in (threshold, bulk))
        record[size] = {"least": least, "liquids": liquid.tolist(), "percent": [gained, in_bulk]}
        rows.append(
            (
                str(size),
                f"{np.median(liquid):.1f}, {liquid.max():.1f}",
                *(f"{value:.1f}" for value in least.values()),
                f"{in_bulk:.0f}",
                f"{gained:.0f}",
            )
        )
    head = ("atoms", "liquids: median, largest", *kinds, "% of liquids below all but the last two")
    show(markdown((*head, "below all"), rows))
    write_json(given.json, record)


if __name__ == "__main__":
    main()
