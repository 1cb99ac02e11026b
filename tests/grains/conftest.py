"""Crystals for the tests of grains."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.spacegroup import crystal

from ase_crystalnet import crystals


def ball(cell: Atoms, atoms: int, rng: np.random.Generator, **options: float) -> Atoms:
    """A ball of about so many atoms of a crystal, in random orientation."""
    per_atom = cell.get_volume() / len(cell) / (1 - options.get("vacancies", 0.0))
    radius = (3 * atoms * per_atom / (4 * np.pi)) ** (1 / 3)
    return crystals.random_cluster(cell, radius, rng=rng, **options)[0]


def cubic(symbols: list[str], places: list[tuple[float, ...]], group: int, a: float) -> Atoms:
    """A cubic crystal."""
    return crystal(symbols, places, spacegroup=group, cellpar=[a, a, a, 90, 90, 90])


@pytest.fixture(scope="session")
def l1_2() -> Atoms:
    """Cu3Au's type: gold on the corners, copper on the faces."""
    return cubic(["Au", "Cu"], [(0, 0, 0), (0.5, 0.5, 0)], 221, 3.75)


@pytest.fixture(scope="session")
def polycrystal() -> tuple[Atoms, np.ndarray, object]:
    """Eight grains of an fcc crystal at a standard deviation of 0.06."""
    return crystals.polycrystal(crystals.fcc(), 12_000, 8, sigma=0.06, rng=3)
