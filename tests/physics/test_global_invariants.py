"""What the global fingerprint must not depend on: supercell, orientation, order, place."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from ase_crystalnet import crystals
from ase_crystalnet.crystals.elements import elemental_structures
from ase_crystalnet.whole.analysis import global_fingerprints

NAMES = ("bct139", "bct141", "hex/rh", "sc", "fcc", "diam", "bcc")


def supercells(name: str) -> list[tuple[int, int, int]]:
    """Repetitions that make about 32, 128 and 1,024 atoms."""
    sites = len(crystals.unit_cell(name))
    edges = [max(2, round((count / sites) ** (1 / 3))) for count in (32, 128, 1024)]
    return [(n, n, n) for n in edges]


@pytest.mark.parametrize("name", NAMES)
def test_supercell(name: str) -> None:
    crystal = crystals.unit_cell(name)
    given_cells = [
        crystal,
        *(crystal.repeat(n) for n in supercells(name)),
        crystal.repeat((2, 3, 5)),
    ]
    images = global_fingerprints(given_cells)
    assert len(given_cells[-2]) > 700
    assert np.abs(images - images[0]).max() < 1e-5


@given(name=st.sampled_from(NAMES), seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_orientation_permutation_and_place(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    crystal = crystals.unit_cell(name).repeat(3)
    turned = crystals.rotated(crystal, rng)[0]
    moved = turned[rng.permutation(len(turned))]
    moved.translate(rng.normal(size=3) * 20)
    first, second = global_fingerprints([crystal, moved])
    assert np.abs(first - second).max() < 1e-5


@given(seed=st.integers(0, 10_000))
@settings(max_examples=10, deadline=None)
def test_choice_of_the_cell_and_its_size(seed: int) -> None:
    rng = np.random.default_rng(seed)
    crystal = crystals.unit_cell(str(rng.choice(NAMES)))
    shear = np.eye(3, dtype=int)
    shear[0, 1], shear[1, 2] = rng.integers(-2, 3, 2)
    other = Atoms(crystal.numbers, crystal.positions, cell=shear @ crystal.cell.array, pbc=True)
    larger = crystal.copy()
    larger.set_cell(1.7 * crystal.cell.array, scale_atoms=True)
    images = global_fingerprints([crystal, other, larger])
    assert np.abs(images - images[0]).max() < 1e-5


def test_every_prototype_in_another_orientation() -> None:
    rng = np.random.default_rng(3)
    chosen = {e.prototype.split()[0]: e.atoms for e in elemental_structures(rng, 80)}
    structures = [atoms for atoms in chosen.values() if len(atoms) <= 40]
    assert len(structures) >= 12
    turned = [crystals.rotated(atoms.repeat((2, 1, 1)), rng)[0] for atoms in structures]
    difference = np.abs(global_fingerprints(structures) - global_fingerprints(turned))
    worst = difference.max(axis=(1, 2, 3))
    assert (worst < 1e-4).all(), dict(zip(chosen, worst, strict=False))
