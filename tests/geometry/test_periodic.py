"""Cells that would need images without number."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from ase_crystalnet.errors import InputError
from ase_crystalnet.geometry.periodic import MOST_IMAGES, PeriodicSpace
from ase_crystalnet.windows.windower import Windower


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ([20, 20, 0.004], r"at least 0.2 Angstrom apart, got 0.004 .*; check the unit"),
        ([[3, 0, 0], [3, 1e-4, 0], [0, 0, 3]], "got 0.0001 .*; its vectors are nearly parallel"),
        ([[10, 0, 0], [10, 0.1, 0], [0, 0, 10]], "got 0.1 .*; its vectors are nearly parallel"),
        ([3e-10] * 3, "look like metres"),
        ([1e9, 3, 3], r"at most 1e\+08 Angstrom, got one of 1e\+09"),
        ([1e200, 3, 3], r"at most 1e\+08 Angstrom"),
    ],
)
def test_cells_of_no_atoms_are_refused_in_one_line(cell, message):
    with pytest.raises(InputError, match=message) as caught:
        PeriodicSpace.of(Atoms("Cu", cell=cell, pbc=True))
    assert "\n" not in str(caught.value)


def test_positions_beyond_all_precision_are_refused():
    with pytest.raises(InputError, match=r"got atom 1 at 1e\+150"):
        Windower().prepare(Atoms("Cu2", [[0, 0, 0], [0, 1e150, 0]]))


def test_images_have_a_bound():
    space = PeriodicSpace.of(Atoms("Cu", cell=[1e4, 1, 1], pbc=True))
    points = space.wrap(np.random.default_rng(0).random((100, 3)) * [1e4, 1, 1])
    with pytest.raises(InputError, match=r"1, 1, 1e\+04 Angstrom.*100 atoms need 4.8e\+08"):
        space.with_ghosts(points, 1000.0)
    images, _ = space.with_ghosts(points, 50.0)
    assert 100 * 99**2 < len(images) < MOST_IMAGES


@pytest.mark.parametrize("count", [1, 100, 400])
def test_a_long_thin_cell_is_cut_into_windows_of_its_density(count):
    rng = np.random.default_rng(0)
    places = np.linspace(0, 1e4, count, endpoint=False)[:, None] + rng.random((count, 3))
    atoms = Atoms(f"Cu{count}", places, cell=[1e4, 1, 1], pbc=True)
    system = Windower(workers=1).prepare(atoms)
    for spec in ("atoms", "grid"):
        centers, _ = system.centers(spec)
        assert 0 < len(centers) <= count
        batch = next(system.batches(centers[:20]))
        assert not batch.sparse.any()
