"""Known phases in a pattern: library, search, cells, mixtures, words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write

from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.training.powder.calibrate_phases import simulated_scan
from ase_crystalnet.xrd import PatternLibrary
from ase_crystalnet.xrd.answer.classifier import PowderClassifier
from ase_crystalnet.xrd.answer.scans import examined
from ase_crystalnet.xrd.answer.trust import Trust, features_of, mirrored, near_groups
from ase_crystalnet.xrd.measured.lines import findings
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import WAVELENGTH
from ase_crystalnet.xrd.phase_figure import answer_figure
from ase_crystalnet.xrd.phases import _kernels as kernels
from ase_crystalnet.xrd.phases.build import (
    build_phases,
    everyday_crystal,
    everyday_records,
    shipped_sources,
)
from ase_crystalnet.xrd.phases.cell import positions_of, refine
from ase_crystalnet.xrd.phases.library import PhaseLibrary
from ase_crystalnet.xrd.phases.mixture import decompose
from ase_crystalnet.xrd.phases.search import PhaseIndex

DOUBLET = 0.002484


@pytest.fixture(scope="module")
def index() -> PhaseIndex:
    return PhaseIndex(PhaseLibrary.load())


def entry_named(library: PhaseLibrary, identifier: str) -> int:
    return int(np.flatnonzero(library.identifier == f"everyday:{identifier}")[0])


def scan_of(
    library: PhaseLibrary,
    parts: dict[str, float],
    *,
    stretch: float = 1.0,
    displacement: float = 0.0,
    wavelength: float = WAVELENGTH,
    counts: float = 10_000,
    fwhm: float = 0.12,
    seed: int = 0,
) -> Scan:
    """Phases whose cells are `stretch` times as large, with K-alpha 2 and counting noise."""
    rng = np.random.default_rng(seed)
    low, high = (10.0, 80.0) if wavelength > 1.5 else (5.0, 36.0)
    x = np.arange(low, high, 0.02)
    y = np.zeros(len(x))
    for identifier, height in parts.items():
        angle, intensity = library.lines(entry_named(library, identifier))
        sine = np.sin(np.radians(angle / 2)) / stretch * wavelength / WAVELENGTH
        place = 2 * np.degrees(np.arcsin(sine[sine < 0.99]))
        place = place + displacement * np.cos(np.radians(place / 2))
        kernels.render(
            y, place, height * intensity[sine < 0.99], x[0], 0.02, fwhm, 0.5,
            DOUBLET if wavelength > 1.5 else 0.006042,
        )  # fmt: skip
    drawn = rng.poisson(counts * y + 0.02 * counts).astype(float)
    return Scan(x, drawn, wavelength)


def found_in(scan: Scan, index: PhaseIndex):
    return decompose(scan, findings(scan), index)


# ------------------------------------------------------------------ the library


def test_everyday_phases_are_the_crystals_they_are_called() -> None:
    """Space group as spglib finds it where sites are not shared; no two atoms too near."""
    import spglib

    for record in everyday_records():
        crystal = everyday_crystal(record)
        away = crystal.fractional[:, None] - crystal.fractional[None]
        distance = np.linalg.norm((away - np.round(away)) @ crystal.lattice, axis=-1)
        assert distance[distance > 0.05].min() > 1.05, record["id"]
        whole = np.round(crystal.fractional % 1.0, 4) % 1.0
        if len(np.unique(whole, axis=0)) == len(whole):
            cell = (crystal.lattice, crystal.fractional, crystal.numbers)
            assert spglib.get_symmetry_dataset(cell, 0.01).number == record["sg"], record["id"]


def test_the_shipped_library(index: PhaseIndex) -> None:
    library = index.library
    assert len(library) > 30_000
    path = Path(str(shipped_sources()[0])).with_name("phases.npz")
    assert path.stat().st_size < 30_000_000
    for name in ("ZnO:186", "CeO2:225", "Fe2O3:167", "CuO:15", "KBr:225", "LiCoO2:166",
                 "TiO2:136", "Al2Si2O5(OH)4:1", "FeOOH:62"):  # fmt: skip
        entry_named(library, name)
    # I/Ic of the handbooks, to a quarter: without absorption and vibration
    for name, handbook in (("Si:227", 4.7), ("NaCl:225", 4.4), ("CaF2:225", 3.8), ("ZnO:186", 5.4),
                           ("TiO2:136", 3.4), ("CaCO3:167", 3.2)):  # fmt: skip
        assert library.reference[entry_named(library, name)] == pytest.approx(handbook, rel=0.25)


def test_a_library_of_ones_own_is_built_saved_and_joined(tmp_path: Path) -> None:
    for symbol, a in (("Cu", 3.615), ("Ni", 3.524), ("Ag", 4.086)):
        write(tmp_path / f"{symbol}.cif", bulk(symbol, "fcc", a, cubic=True))
    write(tmp_path / "again.cif", bulk("Cu", "fcc", 3.615))
    made = build_phases([tmp_path])
    assert len(made) == 3  # the primitive cell of copper is copper
    assert set(made.space_group) == {225}
    np.testing.assert_allclose(np.sort(made.cell[:, 0]), [3.524, 3.615, 4.086], atol=1e-3)
    made.save(tmp_path / "a.npz")
    again = PhaseLibrary.load(tmp_path / "a.npz")
    assert (again.identifier == made.identifier).all()
    both = PhaseLibrary.concatenate([made, again])
    assert len(both) == 6 and both.offsets[-1] == 2 * made.offsets[-1]
    np.testing.assert_array_equal(both.lines(4)[0], made.lines(1)[0])
    assert (both.subset(np.arange(3)).angle == made.angle).all()
    with pytest.raises(InputError, match="no structures"):
        build_phases([tmp_path.joinpath("empty")] if tmp_path.joinpath("empty").mkdir() else [
            tmp_path / "empty"
        ])  # fmt: skip
    with pytest.raises(ModelError, match="missing"):
        PhaseLibrary.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "change",
    [
        {"cell": np.zeros((3, 6), np.float32)},
        {"cell": np.ones((3, 5), np.float32)},
        {"offsets": np.array([0, 1, 1, 3])},
        {"space_group": np.array([0, 1, 2])},
        {"reference": np.array([1.0, np.nan, 1.0])},
        {"name": np.array(["a"])},
        {"height": np.ones(2, np.uint8)},
        {"version": 3},
        {"version": None},
    ],
)
def test_damaged_libraries_are_refused(tmp_path: Path, change: dict) -> None:
    whole = PhaseLibrary.load().subset(np.arange(3))
    content = {name: getattr(whole, name) for name in whole.__dataclass_fields__}
    content = {"version": 2, **content, **change}
    np.savez(tmp_path / "a.npz", **{k: v for k, v in content.items() if v is not None})
    with pytest.raises(ModelError, match=r"a\.npz"):
        PhaseLibrary.load(tmp_path / "a.npz")


# ------------------------------------------------------------------ search and cells


@pytest.mark.parametrize("stretch", [0.98, 0.99, 1.0, 1.01, 1.02])
def test_cells_breathe(index: PhaseIndex, stretch: float) -> None:
    library = index.library
    scan = scan_of(library, {"CuO:15": 1.0}, stretch=stretch)
    found = found_in(scan, index)
    first = found.phases[0]
    assert library.space_group[first.entry] == 15
    wanted = library.cell[entry_named(library, "CuO:15")][:3] * stretch
    volume = np.prod(first.cell.parameters[:3]) / np.prod(wanted)
    assert volume == pytest.approx(1, abs=0.004)


@pytest.mark.parametrize(
    ("name", "group"),
    [("ZnO:186", 186), ("CeO2:225", 225), ("Fe2O3:167", 167), ("LiCoO2:166", 166),
     ("LiFePO4:62", 62), ("Al2Si2O5(OH)4:1", 1), ("CuO:15", 15)],
)  # fmt: skip
def test_lattice_parameters_with_errors(index: PhaseIndex, name: str, group: int) -> None:
    """Of samples whose cells are half a percent larger, displaced by 0.05 degrees."""
    library = index.library
    entry = entry_named(library, name)
    scan = scan_of(library, {name: 1.0}, stretch=1.005, displacement=0.05, counts=20_000)
    positions = positions_of(scan, findings(scan).lines)
    angle, intensity = library.lines(entry)
    cell, places = refine(positions, group, library.cell[entry], angle, intensity, 1 / 1.004, 0.03)
    assert cell.refined and cell.residual < 0.03
    truth = library.cell[entry].astype(float) * np.array([1.005] * 3 + [1.0] * 3)
    off = cell.parameters - truth
    assert np.abs(off[:3] / truth[:3]).max() < 0.002
    assert np.abs(off[3:]).max() < 0.3
    free = cell.errors > 0
    assert (np.abs(off[free]) < 6 * cell.errors[free] + 2e-3).all()
    assert cell.displacement == pytest.approx(0.05, abs=0.03)
    moved = np.sin(np.radians(angle / 2)) / 1.005
    wanted = 2 * np.degrees(np.arcsin(moved)) + 0.05 * np.cos(np.arcsin(moved))
    strong = intensity > 0.1
    assert np.abs(places - wanted)[strong].max() < 0.06


def test_molybdenum_radiation(index: PhaseIndex) -> None:
    scan = scan_of(index.library, {"TiO2:136": 1.0}, wavelength=0.70932, fwhm=0.07)
    found = found_in(scan, index)
    first = found.phases[0]
    assert index.library.space_group[first.entry] == 136
    np.testing.assert_allclose(first.cell.parameters[[0, 2]], [4.5937, 2.9587], rtol=1e-3)


# ------------------------------------------------------------------ mixtures


def test_two_phases_and_their_shares(index: PhaseIndex) -> None:
    library = index.library
    scan = scan_of(library, {"Al2O3:167": 1.0, "CeO2:225": 1.0})
    found = found_in(scan, index)
    groups = {int(library.space_group[phase.entry]) for phase in found.phases}
    assert groups == {167, 225}
    shares = {int(library.space_group[phase.entry]): phase.share for phase in found.phases}
    assert sum(shares.values()) == pytest.approx(1)
    # equal heights: corundum scatters 16 times less
    assert shares[167] > 0.85
    assert found.explained > 0.95


def test_a_single_phase_stays_one(index: PhaseIndex) -> None:
    for name in ("SrTiO3:221", "ZnO:186", "CaCO3:167"):
        found = found_in(scan_of(index.library, {name: 1.0}), index)
        assert len(found.phases) == 1, name
        assert not (found.positions.height[found.unexplained] > 0.03).any()


def test_lines_of_a_phase_that_is_not_known_are_left(index: PhaseIndex) -> None:
    """Rutile and lines at places where it has none: said to be unidentified."""
    scan = scan_of(index.library, {"TiO2:136": 1.0})
    more = sum(
        1200 * np.exp(-4 * np.log(2) * ((scan.two_theta - place) / 0.12) ** 2)
        for place in (23.87, 31.13, 47.71)
    )
    scan = replace(scan, intensity=scan.intensity + np.round(more))
    found = found_in(scan, index)
    assert index.library.space_group[found.phases[0].entry] == 136
    strong = found.positions.angle[found.unexplained & (found.positions.height > 0.05)]
    if len(found.phases) == 1:
        np.testing.assert_allclose(strong, [23.87, 31.13, 47.71], atol=0.05)
        report = PowderClassifier(None).classify_scans([scan]).reports[0]
        assert any("unidentified lines" in note for note in report.notes)


def test_ghosts_of_k_beta_are_no_phase(index: PhaseIndex) -> None:
    scan = scan_of(index.library, {"Si:227": 1.0})
    x, y = scan.two_theta, scan.intensity.copy()
    angle, intensity = index.library.lines(entry_named(index.library, "Si:227"))
    sine = np.sin(np.radians(angle / 2)) * 0.9036
    for place, height in zip(2 * np.degrees(np.arcsin(sine)), intensity, strict=True):
        y += np.round(500 * height * np.exp(-4 * np.log(2) * ((x - place) / 0.12) ** 2))
    found = found_in(replace(scan, intensity=y), index)
    assert found.ghosts == ("K-beta",)
    assert not (found.positions.height[found.unexplained] > 0.02).any()


# ------------------------------------------------------------------ answers


def test_trust_rises_with_what_shows_the_sample(index: PhaseIndex) -> None:
    trust = Trust.load()
    good = features_of(found_in(scan_of(index.library, {"ZnO:186": 1.0}), index), index.library)
    assert trust.of(good)[0] > 0.8
    for k, worse in ((1, -5.0), (2, -3.0), (4, -2.0)):
        bad = good.copy()
        bad[k] += worse
        assert trust.of(bad)[0] < trust.of(good)[0]
    assert trust.of(np.zeros(8))[0] == 0.0
    assert trust.of(good * 100)[0] < 1.0


def test_mirror_images_share(index: PhaseIndex) -> None:
    assert mirrored(152) == 154 and mirrored(154) == 152 and mirrored(225) is None
    found = found_in(scan_of(index.library, {"SiO2:154": 1.0}), index)
    near = near_groups(found, index.library)
    assert near.sum() == pytest.approx(1)
    assert near[151] > 0.1 and near[153] > 0.1


def test_a_fit_of_the_trust(rng: np.random.Generator, tmp_path: Path) -> None:
    x = np.c_[np.ones(600), rng.normal(size=(600, 7))]
    right = rng.uniform(size=600) < 1 / (1 + np.exp(-(0.5 + 2 * x[:, 1])))
    weights = Trust.fit(x, right)
    assert weights[1] == pytest.approx(2, abs=0.5)
    assert max(abs(w) for w in weights[2:]) < 0.5
    trust = Trust(weights, {"match": 0.9, "network": 0.95}, "drawn numbers")
    trust.save(tmp_path / "a.json")
    assert Trust.load(tmp_path / "a.json") == trust
    p = np.zeros(230)
    p[[4, 9, 99]] = 0.6, 0.32, 0.08
    assert trust.prediction_set(p, 0.9).tolist() == [5, 10]
    assert trust.prediction_set(p, 0.1).tolist() == [5, 10, 100]
    with pytest.raises(InputError, match="50"):
        Trust.fit(x[:10], right[:10])
    (tmp_path / "b.json").write_text(json.dumps({"weights": [1], "set_mass": {}}))
    with pytest.raises(ModelError, match="damaged"):
        Trust.load(tmp_path / "b.json")


def test_answers_for_scans(index: PhaseIndex, tmp_path: Path) -> None:
    """A phase decides; noise and glass are refused; words, JSON and figure say so."""
    from ase_crystalnet.xrd.report import entry, lines, table

    library = PatternLibrary.load()
    classifier = PowderClassifier(None, library, index.library)
    rng = np.random.default_rng(0)
    x = np.arange(10.0, 80.0, 0.02)
    noise = Scan(x, rng.poisson(np.full(len(x), 200.0)).astype(float), name="noise.xy")
    scans = [scan_of(index.library, {"Y2O3:206": 1.0}), noise]
    said = classifier.classify_scans(scans)
    assert said.space_group.tolist() == [206, -1]
    assert said.reports[0].prediction_set[0] == 206
    assert said.reports[1].findings.verdict == "no lines"
    words = lines(scans[0], said, 0, library, 3, index.library)
    assert any("a = 10.60" in line for line in words)
    assert "refused" in lines(noise, said, 1, library, 3, index.library)[1]
    entries = [entry(scan, said, i, library, 3, index.library) for i, scan in enumerate(scans)]
    json.dumps(entries)
    assert entries[0]["phases"][0]["space_group"] == 206
    assert entries[1]["refused"] and entries[1]["matches"] == [] and entries[1]["phases"] == []
    assert len(table(entries).splitlines()) == 3
    for i, scan in enumerate(scans):
        figure = answer_figure(scan, said, i, index.library)
        figure.savefig(tmp_path / f"{i}.png")
        assert (tmp_path / f"{i}.png").stat().st_size > 5000
    with pytest.raises(InputError, match="no scan"):
        classifier.classify_scans([])


def test_simulated_scans_are_patterns_of_their_entries(index: PhaseIndex) -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for entry in rng.choice(len(index.library), 12, replace=False).tolist():
        scan = simulated_scan(index.library, entry, rng)
        found = findings(scan)
        if found.usable:
            mixture = decompose(scan, found, index)
            group = index.library.space_group[entry]
            hits += bool(mixture.phases) and (
                index.library.space_group[mixture.phases[0].entry] == group
            )
    assert hits >= 5


def test_another_anode_is_named_where_it_fits(index: PhaseIndex) -> None:
    """Molybdenum's pattern, taken for copper's because the file does not say."""
    scan = scan_of(index.library, {"Al2O3:167": 1.0}, wavelength=0.70932, fwhm=0.08)
    report = examined(replace(scan, wavelength=WAVELENGTH, assumed=True), index)
    assert any("radiation of Mo" in note for note in report.notes)
    right = examined(scan, index)
    assert not any("radiation of" in note for note in right.notes)
