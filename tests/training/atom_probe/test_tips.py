"""Simulated tips: the right number of ions in the right places, with the right masses."""

from __future__ import annotations

import numpy as np
import pytest

from ase_crystalnet.atom_probe.files import read_ranges, read_reconstruction
from ase_crystalnet.errors import InputError
from ase_crystalnet.training.atom_probe.spectra import PEAKS, rrng_text
from ase_crystalnet.training.atom_probe.tip_files import ranged_tip, write_tip
from ase_crystalnet.training.atom_probe.tips import MATERIALS, TipPlan, simulate_tip

PERFECT = {
    "lateral": 0.0, "depth": 0.0, "pole_radius": 0.0, "bursts": 0.0, "multiple_loss": 0.0,
    "background": 0.0,
}  # fmt: skip


def test_a_perfect_tip_is_its_crystal(rng):
    plan = TipPlan("Al", atoms=40_000, efficiency=1.0, **PERFECT)
    tip = simulate_tip(plan, rng)
    assert len(tip) == pytest.approx(40_000, rel=0.02)
    np.testing.assert_allclose(tip.orientation @ tip.orientation.T, np.eye(3), atol=1e-12)
    index = tip.true_positions.astype(float) @ tip.orientation.T / MATERIALS["Al"].constant
    off = 2 * (index - index[0])
    assert np.abs(off - np.rint(off)).max() < 1e-3
    # Across depth ions are where they were; depth is counted, and is right to a part of a plane.
    off = tip.positions - tip.true_positions
    assert np.abs(off[:, :2]).max() < 1e-3
    assert np.abs(off[:, 2]).max() < 1.0


def test_ions_leave_from_the_cap_downwards(rng):
    tip = simulate_tip(TipPlan("W", atoms=20_000, axis=(0, 1, 1), **PERFECT), rng)
    sites = tip.true_positions.astype(float)
    rise = sites[:, 2] + 250.0 - np.sqrt(250.0**2 - (sites[:, :2] ** 2).sum(axis=1))
    assert (np.diff(rise) < 1e-3).all()


def test_efficiency_scales_and_losses(rng):
    half = simulate_tip(TipPlan("Al", atoms=30_000, efficiency=0.5, **PERFECT), rng)
    assert len(half) == pytest.approx(15_000, rel=0.03)
    given = {**PERFECT, "bursts": 0.5, "multiple_loss": 1.0}
    lossy = simulate_tip(TipPlan("Al", atoms=30_000, efficiency=0.5, **given), rng)
    assert 0.75 * len(half) < len(lossy) < 0.95 * len(half)
    deep = simulate_tip(TipPlan("Al", atoms=30_000, depth_scale=1.2, **PERFECT), rng)
    flat = np.linalg.norm(deep.positions[:, :2], axis=1) < 10
    slope = np.polyfit(deep.true_positions[flat, 2], deep.positions[flat, 2], 1)[0]
    assert slope == pytest.approx(1.2, abs=0.02)


def test_a_pole_leaves_a_hole(rng):
    plan = TipPlan("Al", atoms=60_000, tilt=0.0, **{**PERFECT, "pole_radius": 8.0})
    far = np.linalg.norm(simulate_tip(plan, rng).positions[:, :2], axis=1)
    inner, outer = (far < 6).sum() / 36, (far < 60).sum() / 3600
    assert inner < 0.3 * outer


def test_precipitates_are_ordered_and_the_matrix_is_not(rng):
    plan = TipPlan("Ni3Al", atoms=60_000, precipitate_radius=15.0, efficiency=1.0, **PERFECT)
    tip = simulate_tip(plan, rng)
    inside, solute = tip.precipitate >= 0, tip.elements == "Al"
    assert inside.any()
    assert solute[inside].mean() == pytest.approx(0.24, abs=0.03)
    assert solute[~inside].mean() == pytest.approx(0.08, abs=0.01)
    q = 2 * np.pi * tip.orientation[2] / MATERIALS["Ni3Al"].constant
    own = tip.precipitate == 0
    wave = np.exp(1j * tip.true_positions[own].astype(float) @ q)
    assert np.abs((solute[own] - solute[own].mean()) @ wave) / own.sum() == pytest.approx(
        0.24, abs=0.03
    )


def test_masses_are_ranged_again_but_for_overlaps(rng, tmp_path):
    tip = simulate_tip(TipPlan("Ni3Al", atoms=40_000), rng)
    ions = ranged_tip(tip, tmp_path)
    names = np.array([*(ion.name for ion in ions.ions), "none"])[ions.species]
    nickel = tip.elements == "Ni"
    assert (names[nickel] == "Ni").mean() > 0.93
    # AlH2+ lies on 58Ni2+, and the background is mostly in no range.
    assert 0 < (names[tip.elements == "Al"] == "Ni").mean() < 0.03
    assert (names[tip.elements == ""] == "none").mean() > 0.9


def test_ranges_do_not_overlap(tmp_path):
    path = tmp_path / "all.rrng"
    path.write_text(rrng_text(PEAKS))
    table = read_ranges(path)
    for element, peaks in PEAKS.items():
        for peak in peaks:
            name = table.ions[table.assign(np.array([peak.mass]))[0]].name
            assert name.startswith(element) or peak.share < 0.05


def test_files_and_seed(tmp_path):
    plan = TipPlan("Al", atoms=5_000)
    count = write_tip(tmp_path / "a.pos", plan, 4)
    write_tip(tmp_path / "b.pos", plan, 4)
    assert (tmp_path / "a.pos").read_bytes() == (tmp_path / "b.pos").read_bytes()
    ions = read_reconstruction(tmp_path / "a.pos", tmp_path / "a.rrng")
    truth = np.load(tmp_path / "a.npz")
    assert len(ions) == count == len(truth["site"]) == len(truth["element"])


@pytest.mark.parametrize(
    "given",
    [{"material": "Fe"}, {"atoms": 3}, {"efficiency": 1.2}, {"axis": (0, 0, 0)}, {"lateral": -1}],
)
def test_plans_out_of_range_are_refused(given):
    with pytest.raises(InputError):
        TipPlan(**given)
