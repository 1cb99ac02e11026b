"""Windows of atom-probe reconstructions: radius, density, efficiency, surface, species."""

from __future__ import annotations

import numpy as np
import pytest

from ase_crystalnet import crystals
from ase_crystalnet.atom_probe.files.ranges import UNRANGED, Ion, RangeTable
from ase_crystalnet.atom_probe.files.reconstruction import Reconstruction
from ase_crystalnet.atom_probe.windows import IonWindower, occupied_volumes, typical_density
from ase_crystalnet.errors import InputError

ALUMINIUM = 4.05**3 / 4  # Å^3 an atom


def ranges(*ions: Ion) -> RangeTable:
    """Range 1-2 Da for the first ion, 3-4 for the second ..."""
    low = 1.0 + 2 * np.arange(len(ions))
    return RangeTable(ions, low, low + 1, np.arange(len(ions)))


def reconstruction(positions, table=None, mass=None) -> Reconstruction:
    mass = np.full(len(positions), 1.5, np.float32) if mass is None else mass
    species = np.full(len(positions), UNRANGED, np.int16)
    found = Reconstruction(np.asarray(positions, np.float32), mass, species)
    return found if table is None else found.ranged(table)


@pytest.fixture
def tip(rng) -> Reconstruction:
    """A ball of aluminium of 60 Angstrom radius, 40 % of its atoms detected."""
    cluster, _ = crystals.random_cluster(crystals.fcc(4.05 / np.sqrt(2)), 60.0, rng=rng)
    kept = cluster.positions[rng.random(len(cluster)) < 0.4]
    return reconstruction(kept, ranges(Ion("Al", (("Al", 1),), volume=ALUMINIUM)))


def test_density_and_efficiency_are_those_of_the_measurement(tip):
    # In so small a tip many of the neighbours that there would be are outside.
    assert 0.85 < typical_density(tip.positions) * ALUMINIUM / 0.4 < 1.02
    windows = IonWindower(window_ions=300).prepare(tip)
    measures = [windows.measure(batch) for batch in windows.batches()]
    density = np.concatenate([m.density for m in measures])
    efficiency = np.concatenate([m.efficiency for m in measures])
    surface = np.concatenate([m.surface for m in measures])
    count = np.concatenate([m.count for m in measures])
    # Windows that reach out of the ball are known as such and have no density.
    reach = np.linalg.norm(windows.centers - tip.positions.mean(axis=0), axis=1) + windows.radius
    np.testing.assert_allclose(density[reach < 58].mean(), 0.4 / ALUMINIUM, rtol=0.02)
    np.testing.assert_allclose(efficiency[reach < 58].mean(), 0.4, rtol=0.02)
    # A little of a window may be outside unnoticed.
    np.testing.assert_allclose(np.nanmean(density), 0.4 / ALUMINIUM, rtol=0.04)
    assert surface[reach > 70].all() and not surface[reach < 58].any()
    assert np.isnan(density[surface]).all() and np.isnan(efficiency[surface]).all()
    assert np.median(count[~surface]) == pytest.approx(300, rel=0.1)


def test_a_volume_can_be_given(tip):
    windows = IonWindower(window_ions=300).prepare(tip)
    batch = next(windows.batches())
    own, double = windows.measure(batch), windows.measure(batch, 2 * ALUMINIUM)
    np.testing.assert_allclose(double.efficiency, 2 * own.efficiency)


def test_a_radius_instead_of_a_number(tip):
    windows = IonWindower(radius=15.0, spacing=10.0).prepare(tip)
    assert windows.radius == 15.0
    steps = np.diff(np.unique(windows.centers[:, 0].round(6)))
    assert steps.max() <= 10.0 + 1e-6
    batch = next(windows.batches())
    distance = np.linalg.norm(batch.positions, axis=2)[batch.mask]
    assert distance.max() <= 15.0 and (batch.radius == 15.0).all()
    for center, row, mask in zip(batch.centers, batch.indices, batch.mask, strict=True):
        near = np.linalg.norm(tip.positions - center, axis=1) < 15.0 - 1e-3
        assert set(np.flatnonzero(near)) <= set(row[mask])


def test_windows_do_not_depend_on_where_the_origin_is(tip):
    shift = np.array([1234.5, -800.0, 99.0], np.float32)
    here = IonWindower(window_ions=300).prepare(tip)
    there = IonWindower(window_ions=300).prepare(reconstruction(tip.positions + shift))
    assert there.radius == pytest.approx(here.radius, rel=1e-4)
    np.testing.assert_allclose(there.centers, here.centers + shift, atol=0.05)


def test_species_are_counted_and_unranged_ions_too(rng):
    points = rng.uniform(0, 60, (6000, 3))
    mass = rng.choice(np.array([1.5, 3.5, 9.0], np.float32), 6000, p=[0.6, 0.3, 0.1])
    table = ranges(Ion("Si", (("Si", 1),)), Ion("CrO", (("Cr", 1), ("O", 1)), volume=40.0))
    ions = reconstruction(points, table, mass)
    windows = IonWindower(window_ions=400).prepare(ions)
    batch = next(windows.batches())
    found = windows.measure(batch).species_counts
    assert found.shape == (len(batch), 3)
    np.testing.assert_array_equal(found.sum(axis=1), batch.mask.sum(axis=1))
    row = ions.species[batch.indices[0][batch.mask[0]]]
    assert found[0].tolist() == [(row == 0).sum(), (row == 1).sum(), (row == -1).sum()]
    assert found.sum(axis=0)[0] / found.sum() == pytest.approx(0.6, abs=0.03)


def test_an_ion_of_unknown_volume_is_taken_for_an_average_one():
    table = ranges(Ion("Si", (("Si", 1),)), Ion("CrO", volume=40.0), Ion("un1"))
    mass = np.array([1.5] * 3 + [3.5] + [5.5] * 5, np.float32)
    silicon = 5.43**3 / 8
    volumes = occupied_volumes(reconstruction(np.zeros((9, 3)), table, mass))
    mean = (3 * silicon + 40.0) / 4
    assert volumes == pytest.approx([silicon, 40.0, mean, mean], rel=1e-3)
    assert np.isnan(occupied_volumes(reconstruction(np.zeros((9, 3))))).all()


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"window_ions": 10}, "less than 64"),
        ({"radius": 0.0}, "radius=0.0 is not a positive length"),
        ({"spacing": float("nan")}, "spacing=nan is not a positive length"),
    ],
)
def test_parameters_out_of_range(parameters, says):
    with pytest.raises(InputError, match=says):
        IonWindower(**parameters)


def test_too_few_ions_or_all_in_one_place(rng):
    with pytest.raises(InputError, match="holds 20 ions, too few"):
        IonWindower().prepare(reconstruction(rng.normal(size=(20, 3))))
    with pytest.raises(InputError, match="all in one place"):
        IonWindower().prepare(reconstruction(np.zeros((500, 3))))
