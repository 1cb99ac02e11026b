"""Statistics of regions: random species look random, clusters and surfaces do not."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from ase_crystalnet.atom_probe import regions
from ase_crystalnet.atom_probe.analysis import AtomProbeOptions, analyze_windows
from ase_crystalnet.atom_probe.files import Reconstruction
from ase_crystalnet.atom_probe.files.ranges import Ion, RangeTable
from ase_crystalnet.atom_probe.output.tables import parse_surface, write_tables
from ase_crystalnet.atom_probe.windows import IonWindower
from ase_crystalnet.errors import InputError


@pytest.fixture
def points(rng):
    return rng.uniform(0, 100, (10_000, 3))


def clustered(points, rng):
    centers = rng.uniform(0, 100, (8, 3))
    near = (np.linalg.norm(points[:, None] - centers, axis=2) < 12).any(axis=1)
    return rng.random(len(points)) < np.where(near, 0.6, 0.04)


def test_random_species_are_like_random_ones(points, rng):
    chosen = rng.random(len(points)) < 0.1
    radial = regions.radial_distribution(points, chosen, rng, reach=20)
    assert np.abs(radial.value[5:] - 1).max() < 0.15
    assert np.abs(((radial.value - radial.random) / radial.random_error)[5:]).max() < 5
    nearest = regions.nearest_neighbors(points, chosen, rng)
    expected = 0.554 * (len(points) * 0.1 / 1e6) ** (-1 / 3)
    mean = np.average(nearest.distance, weights=nearest.value)
    assert mean == pytest.approx(expected, rel=0.08)
    blocks = regions.frequency_distribution(points, chosen)
    assert blocks.p_value > 0.001 and blocks.value.sum() == 100
    assert blocks.value @ blocks.distance == pytest.approx(chosen.sum())


def test_clusters_differ(points, rng):
    chosen = clustered(points, rng)
    radial = regions.radial_distribution(points, chosen, rng, reach=30)
    assert (
        radial.value[2] > 1.8 and radial.value[2] > radial.random[2] + 10 * (radial.random_error[2])
    )
    assert radial.value[-1] < radial.value[2]
    second = regions.nearest_neighbors(points, chosen, rng, order=3)
    assert np.average(second.distance, weights=second.value) < 0.92 * np.average(
        second.distance, weights=second.random
    )
    assert regions.frequency_distribution(points, chosen).p_value < 1e-6


def test_p_values_of_blocks_are_even(points, rng):
    p = [
        regions.frequency_distribution(points, rng.random(len(points)) < 0.2).p_value
        for _ in range(30)
    ]
    assert 0.2 < np.mean(np.array(p) < 0.5) < 0.8


def reconstruction(points, solute):
    ions = (Ion.of([("Ni", 1)]), Ion.of([("Al", 1)]), Ion.of([("Al", 1), ("O", 1)]))
    table = RangeTable(ions, np.array([57.0, 26, 42]), np.array([59.0, 28, 44]), np.arange(3))
    mass = np.where(solute, 27.0, 58.0)
    return Reconstruction(
        points.astype(np.float32), mass.astype(np.float32), np.full(len(points), -1, np.int16)
    ).ranged(table)


def test_composition_has_counting_errors(points, rng):
    ions = reconstruction(points, rng.random(len(points)) < 0.1)
    share, error, number = regions.composition(ions)["Al"]
    assert number == (ions.species == 1).sum() and share == number / len(points)
    assert error == pytest.approx(np.sqrt(share * (1 - share) / len(points)))
    assert "O" not in {k for k, v in regions.composition(ions).items() if v[2]}


def test_proximity_histogram_of_a_step(rng):
    points = rng.uniform(0, 100, (40_000, 3))
    share = np.where(points[:, 0] > 50, 0.4, 0.1)
    ions = reconstruction(points, rng.random(len(points)) < share)
    distance, shares, counts = regions.proximity_histogram(ions, "Al", 0.25, reach=30, step=4)
    assert counts.sum() > 20_000
    np.testing.assert_allclose(shares["Al"][distance < -8], 0.1, atol=0.02)
    np.testing.assert_allclose(shares["Al"][distance > 8], 0.4, atol=0.02)
    np.testing.assert_allclose(shares["Al"] + shares["Ni"], 1.0)
    with pytest.raises(InputError, match="none is"):
        regions.proximity_histogram(ions, "Al", 0.9)
    with pytest.raises(InputError, match="no ion"):
        regions.proximity_histogram(ions, "Fe", 0.1)


def test_tables(points, rng, tmp_path):
    ions = reconstruction(points, clustered(points, rng))
    found = analyze_windows(IonWindower(1000).prepare(ions), AtomProbeOptions())
    found = replace(found, settings={**found.settings, "order_species": ["Al"]})
    paths = write_tables(tmp_path / "t", "x", ions, found, ("Al", 0.2))
    assert {p.name for p in paths} == {
        f"x-{n}.csv" for n in ("composition", "radial", "neighbors", "frequency", "proximity")
    }
    with open(tmp_path / "t" / "x-composition.csv") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["element"] == "Ni" and float(rows[0]["percent"]) > 70
    assert parse_surface("Al:0.2") == ("Al", 0.2)
    for bad in ("Al", "Al:2", ":0.1", "Al:x"):
        with pytest.raises(InputError):
            parse_surface(bad)


def test_bad_input_is_refused(points):
    with pytest.raises(InputError, match="too few"):
        regions.frequency_distribution(points, np.zeros(len(points), bool))
    with pytest.raises(InputError, match="block"):
        regions.frequency_distribution(points, np.arange(len(points)) < 5, block=1)
    with pytest.raises(InputError, match="expected positions"):
        regions.frequency_distribution(points[:, :2], np.arange(len(points)) < 5)
