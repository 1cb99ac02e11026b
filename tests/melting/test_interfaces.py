"""Interfaces of slabs of crystal: of profiles that are known, and of structures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms

from ase_crystalnet import CrystalNet
from ase_crystalnet.errors import InputError
from ase_crystalnet.melting import find_interfaces, fit_interfaces
from tests.support.fakes import CLASSES, fake_frame
from tests.support.two_phases import two_phases


def profiled(
    low: float, high: float, *, axis: int = 2, noise: float = 0.02, seed: int = 0, tilt: float = 0.0
):
    """A structure and an analysis whose order is that of a slab seen through a window of 10 A."""
    rng = np.random.default_rng(seed)
    edges = np.full(3, 30.0)
    edges[axis] = 120.0
    cell = np.diag(edges)
    cell[axis, (axis + 1) % 3] = tilt
    fractional = rng.random((3000, 3))
    atoms = Atoms("Al3000", positions=fractional @ cell, cell=cell, pbc=True)
    z = fractional[:, axis] * 120.0
    center, half = (low + high) / 2, (high - low) / 2
    away = np.abs((z - center + 60) % 120 - 60)
    seen = 0.5 * (1 + np.tanh((half - away) / 5.0))
    order = 0.08 + 0.5 * (seen**2 + rng.normal(scale=noise, size=len(z)))
    frame = fake_frame(atoms)
    solid = np.zeros((len(z), len(CLASSES)))
    solid[:, 4], solid[:, 7] = away < half, away >= half
    return atoms, replace(frame, order=order, probabilities=solid, atom_probabilities=solid)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("tilt", [0.0, 12.0])
@pytest.mark.parametrize(("low", "high"), [(31.0, 87.0), (-20.0, 33.0), (70.0, 135.0)])
def test_a_known_slab_is_found_wherever_it_is(axis, tilt, low, high):
    atoms, frame = profiled(low, high, axis=axis, tilt=tilt)
    found = fit_interfaces(frame, atoms)
    assert found.found and found.axis == axis
    assert found.length == pytest.approx(120.0) and found.area == pytest.approx(900.0)
    for seen, true in ((found.low, low), (found.high, high)):
        assert abs((seen - true + 60) % 120 - 60) < 0.5
    assert found.thickness == pytest.approx(high - low, abs=0.5)
    assert found.width == pytest.approx(5.0, abs=0.5)
    assert found.solid_fraction == pytest.approx((high - low) / 120, abs=0.03)


def test_the_error_is_no_smaller_than_the_scatter():
    """Of profiles with independent noise, where windows that overlap would allow for more."""
    found = [
        fit_interfaces(frame, atoms)
        for atoms, frame in (profiled(31.0, 87.0, noise=0.1, seed=seed) for seed in range(40))
    ]
    scatter = np.std([each.low for each in found])
    error = np.mean([each.error for each in found])
    assert scatter < error < 10 * scatter
    assert np.mean([each.low for each in found]) == pytest.approx(31.0, abs=error)


def test_where_there_is_no_slab_it_is_said():
    atoms, frame = profiled(31.0, 87.0)
    crystal = 0.6 + np.random.default_rng(1).normal(scale=0.02, size=len(atoms))
    found = fit_interfaces(replace(frame, order=crystal), atoms)
    assert not found.found
    # The order of a crystal varies from place to place; its classes do not.
    certain = np.zeros((len(atoms), len(CLASSES)))
    certain[:, 4] = 1.0
    found = fit_interfaces(replace(frame, probabilities=certain), atoms)
    assert "solid all along" in found.reason
    assert not found.found and np.isnan(found.thickness) and "none" in repr(found)
    for low, high in ((50.0, 63.0), (63.0, 50.0 + 120.0)):  # windows are 18 A wide
        atoms, frame = profiled(low, high)
        assert "thinner" in fit_interfaces(frame, atoms).reason
    atoms, frame = profiled(31.0, 87.0)
    wide = replace(frame, radius=np.full(len(atoms), 35.0))
    assert "windows are 70 wide" in fit_interfaces(wide, atoms).reason
    sparse = replace(frame, sparse=np.ones(len(atoms), bool))
    assert "no window" in fit_interfaces(sparse, atoms).reason


def test_cells_that_have_none():
    atoms, frame = profiled(31.0, 87.0)
    with pytest.raises(InputError, match="axis: expected a periodic"):
        fit_interfaces(frame, atoms, axis=3)
    atoms.pbc = False
    with pytest.raises(InputError, match="set pbc"):
        fit_interfaces(frame, atoms)
    atoms.cell = None
    with pytest.raises(InputError, match="three vectors"):
        fit_interfaces(frame, atoms)
    atoms, frame = profiled(31.0, 87.0)
    no_liquid = replace(frame, classes=("a", "b", "c", "d", "e", "f", "g", "h"))
    with pytest.raises(InputError, match="class 'disordered'"):
        fit_interfaces(no_liquid, atoms)


def test_a_crystal_in_its_packing():
    """The place of the interface does not depend on the size of the windows."""
    atoms = two_phases(60.0, 20.0)  # across the face of the cell: 41 of 81 Angstrom
    found = find_interfaces(atoms, CrystalNet(divide=False, faults=False), spacing=5.0)
    small = CrystalNet(divide=False, faults=False, window_atoms=128)
    finer = find_interfaces(atoms, small, spacing=5.0)
    for each in (found, finer):
        assert each.found and each.axis == 2, each
        assert abs(each.low - 60.0) < 3 * each.error + 0.5
        assert abs(each.high - 20.0) < 3 * each.error + 0.5
    assert finer.width < found.width


def test_a_real_frame_of_sodium(data_dir: Path):
    """LAMMPS' example of two phases; order and classes must say the same."""
    from ase_crystalnet.io.trajectories.stream import iter_frames

    path = data_dir / "md" / "lammps_examples" / "data.interface"
    atoms = next(iter(iter_frames(path))).atoms
    found = find_interfaces(atoms, CrystalNet(divide=False, faults=False), spacing=7.0)
    assert found.axis == 0
    assert found.thickness / found.length == pytest.approx(found.solid_fraction, abs=0.05)
