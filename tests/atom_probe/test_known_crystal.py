"""From windows to named poles, order and phases, and back from the file."""

from __future__ import annotations

import numpy as np
import pytest

from ase_crystalnet.atom_probe.analysis import AtomProbeOptions, analyze_windows
from ase_crystalnet.atom_probe.crystal import read_crystal
from ase_crystalnet.atom_probe.files import Reconstruction
from ase_crystalnet.atom_probe.files.ranges import Ion, RangeTable
from ase_crystalnet.atom_probe.known_crystal import find_order, name_analysis
from ase_crystalnet.atom_probe.output.order_figures import plot_order
from ase_crystalnet.atom_probe.output.report import report
from ase_crystalnet.atom_probe.results import read_analysis, write_analysis
from ase_crystalnet.atom_probe.windows import IonWindower
from ase_crystalnet.errors import InputError

EDGE = 3.6
CRYSTAL = f"fcc:{EDGE}"


def alloy(rng, ordered, blur=(0.6, 0.6, 0.2)):
    """A block of L1_2, or of the same composition at random, half of it detected."""
    grid = np.stack(np.meshgrid(*[np.arange(14)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    sites = np.array([(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)])
    points = (grid + sites).reshape(-1, 3) * EDGE
    solute = np.tile(np.arange(4) == 0, len(grid))
    if not ordered:
        solute = rng.permutation(solute)
    kept = rng.random(len(points)) < 0.6
    points = points[kept] + rng.normal(size=(int(kept.sum()), 3)) * blur
    table = RangeTable(
        (Ion.of([("Ni", 1)]), Ion.of([("Al", 1)])),
        np.array([57.0, 26.0]), np.array([59.0, 28.0]), np.arange(2),
    )  # fmt: skip
    mass = np.where(solute[kept], 27.0, 58.0).astype(np.float32)
    ions = Reconstruction(points.astype(np.float32), mass, np.full(len(mass), -1, np.int16))
    return ions.ranged(table)


def analyzed(ions):
    windows = IonWindower(window_ions=400).prepare(ions)
    found = analyze_windows(windows, AtomProbeOptions())
    return windows, name_analysis(found, read_crystal(CRYSTAL))


def test_poles_order_and_phases_there_and_back(rng, tmp_path):
    windows, named = analyzed(alloy(rng, True))
    assert named.named.certain and named.named.depth_scale == pytest.approx(1.0, abs=0.01)
    assert {"{1 1 1}", "{2 0 0}"} & set(named.named.names)
    found = find_order(named, windows, read_crystal(CRYSTAL), "L1_2")
    assert found.settings["order_species"] == ["Al"]
    resolved = np.isfinite(found.order.order)
    assert found.order.significant[resolved].mean() > 0.9
    assert np.median(found.order.order[resolved]) == pytest.approx(1.0, abs=0.15)
    (phase,) = found.order_map.phases
    assert phase.counts[1] / phase.counts.sum() == pytest.approx(0.25, abs=0.02)
    text = report(found)
    assert "order L1_2 of Al" in text and "ordered phases" in text and "multiply k x F" in text
    write_analysis(tmp_path / "a.h5", found)
    again = read_analysis(tmp_path / "a.h5")
    assert again.named.names == found.named.names
    np.testing.assert_array_equal(again.order.order, found.order.order)
    np.testing.assert_array_equal(again.order_map.ion_region, found.order_map.ion_region)
    np.testing.assert_array_equal(again.order_map.phases[0].counts, phase.counts)
    assert len(plot_order(again, windows).axes) >= 4


def test_an_alloy_at_random_shows_no_order(rng):
    windows, named = analyzed(alloy(rng, False))
    found = find_order(named, windows, read_crystal(CRYSTAL), "L1_2", ["Al"])
    assert found.order.significant.mean() < 0.1
    assert not found.order_map.phases


def test_without_planes_the_lattice_is_not_known(rng):
    windows, named = analyzed(alloy(rng, True, blur=(9.0, 9.0, 9.0)))
    assert named.named is None or not any(named.named.names)
    found = find_order(named, windows, read_crystal(CRYSTAL), "L1_2", ["Al"])
    assert found.order is None and "no pole can be named" in report(found)
    with pytest.raises(InputError, match="no order was looked for"):
        plot_order(found, windows)


def test_species_that_cannot_order_are_refused(rng):
    ions = alloy(rng, True)
    windows, named = analyzed(ions)
    crystal = read_crystal(CRYSTAL)
    with pytest.raises(InputError, match="expected one of Ni, Al"):
        find_order(named, windows, crystal, "L1_2", ["Fe"])
    with pytest.raises(InputError, match="superlattice of bcc"):
        find_order(named, windows, crystal, "B2", ["Al"])
