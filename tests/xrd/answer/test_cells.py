"""Cells by indexing in answers: what they say, how they are pooled, told and drawn."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.xrd.answer.answers import PowderAnswers
from ase_crystalnet.xrd.answer.cells import (
    CellEvidence,
    Pool,
    cell_evidence,
    fit_pool,
    pooled,
    with_cells,
)
from ase_crystalnet.xrd.answer.scan_report import ScanReport
from ase_crystalnet.xrd.answer.scans import no_matches
from ase_crystalnet.xrd.answer.trust import Trust
from ase_crystalnet.xrd.indexing.lattices import angles_of, centred, metric_of, reflections_in
from ase_crystalnet.xrd.measured.lines import findings
from ase_crystalnet.xrd.measured.scan import Scan
from ase_crystalnet.xrd.pattern import system_of
from ase_crystalnet.xrd.phase_figure import answer_figure
from ase_crystalnet.xrd.phase_report import report_entry, report_lines, report_row


def scan_of(lengths=(5.36, 5.36, 8.9), centring="I", seed=0) -> Scan:
    """A body-centred tetragonal crystal's lines with exponential intensities, and counts."""
    rng = np.random.default_rng(seed)
    hkl, squares = reflections_in(metric_of(np.diag(lengths)), 0.75)
    places = angles_of(squares[centred(hkl, centring)])
    x = np.arange(10, 80, 0.02)
    y = np.full(len(x), 40.0)
    for place in places:
        y += rng.exponential(1500) * np.exp(-4 * np.log(2) * ((x - place) / 0.12) ** 2)
    return Scan(x, rng.poisson(y).astype(float), name="unknown.xy")


@pytest.fixture(scope="module")
def indexed() -> tuple[Scan, ScanReport]:
    scan = scan_of()
    empty = np.empty(0, np.int64)
    return scan, with_cells(scan, ScanReport(findings(scan), None, 0.0, "", empty), 0.0)


def test_a_cell_is_found_where_no_phase_decides(indexed):
    _, report = indexed
    assert report.cell is not None
    assert report.cell.lattice == "tI"
    assert report.cell.parameters[[0, 2]] == pytest.approx([5.36, 8.9], rel=1e-3)
    assert not report.notes


def test_nothing_is_indexed_where_a_phase_decides():
    scan = scan_of()
    plain = ScanReport(findings(scan), None, 0.9, "", np.empty(0, np.int64))
    assert with_cells(scan, plain, 0.9).cells is None


def test_lines_of_no_single_cell_are_called_more_than_one_phase():
    rng = np.random.default_rng(4)
    x = np.arange(10, 80, 0.02)
    y = np.full(len(x), 40.0)
    for place in rng.uniform(12, 78, 30):
        y += rng.uniform(300, 3000) * np.exp(-4 * np.log(2) * ((x - place) / 0.1) ** 2)
    scan = Scan(x, rng.poisson(y).astype(float))
    report = with_cells(scan, ScanReport(findings(scan), None, 0.0, "", np.empty(0, int)), 0.0)
    assert report.cell is None
    assert any("more than one phase" in note for note in report.notes)
    assert "more than one phase" in " ".join(report_lines(report, None))


def test_the_cell_moves_the_answer_to_its_system(indexed):
    scan, report = indexed
    evidence = cell_evidence(scan, report)
    network = np.full(230, 1 / 460)
    network[1] += 0.5  # a network that says triclinic
    answer = pooled(network, evidence, Pool(0.9, 0.3, 0.2))
    assert answer.sum() == pytest.approx(1)
    systems = np.bincount(system_of(np.arange(1, 231)), answer, 7)
    assert systems.argmax() == 3
    body = pooled(network, evidence, Pool(1.0, 0.0, 0.0))
    assert body == pytest.approx(network / network.sum())


def test_weights_of_the_pool_are_found_again():
    rng = np.random.default_rng(1)
    number = 400
    network = rng.dirichlet(np.full(230, 0.05), number) + 1e-4
    network /= network.sum(axis=1, keepdims=True)
    evidence, truth = [], []
    for row in network:
        merit = np.where(rng.random(230) < 0.2, rng.uniform(0, 20), 0.0)
        each = CellEvidence(merit, np.zeros(230))
        evidence.append(each)
        p = pooled(row, each, Pool(0.7, 0.25, 0.0))
        truth.append(int(rng.choice(230, p=p)) + 1)
    found = fit_pool(network, evidence, truth, np.ones(number))
    assert found.network == pytest.approx(0.7, abs=0.1)
    assert found.merit == pytest.approx(0.25, abs=0.06)
    with pytest.raises(InputError, match="12 patterns"):
        fit_pool(network[:12], evidence[:12], truth[:12], np.ones(12))


def test_the_pool_is_kept_with_the_trust(tmp_path):
    trust = Trust((0.0,) * 8, {"match": 0.9, "network": 0.9}, "nothing", Pool(0.8, 0.2, 0.1))
    trust.save(tmp_path / "trust.json")
    assert Trust.load(tmp_path / "trust.json") == trust
    data = json.loads((tmp_path / "trust.json").read_text())
    del data["pool"]
    (tmp_path / "older.json").write_text(json.dumps(data))
    assert Trust.load(tmp_path / "older.json").pool == Pool()
    data["pool"] = {"network": "much"}
    (tmp_path / "damaged.json").write_text(json.dumps(data))
    with pytest.raises(ModelError, match="damaged"):
        Trust.load(tmp_path / "damaged.json")


def test_a_cell_is_told_in_words_json_and_table(indexed):
    _, report = indexed
    words = " ".join(report_lines(report, None))
    assert "tI by indexing, a = 5.3" in words
    assert "M20 = " in words
    entry = json.loads(json.dumps(report_entry(report, None)))
    first = entry["indexed"][0]
    assert first["lattice"] == "tI"
    assert first["more_than_chance"]
    assert first["cell"][2] == pytest.approx(8.9, rel=1e-3)
    row = report_row(entry)
    assert "tI" in row
    assert first["de_wolff"] in row


def test_the_cell_is_drawn_under_the_pattern(indexed, tmp_path):
    scan, report = indexed
    p = np.full((1, 230), 1 / 230, np.float32)
    answers = PowderAnswers(p, no_matches(1), np.zeros(1), None, np.ones(1, bool), (report,))
    figure = answer_figure(scan, answers, 0, None)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert any("tI cell by indexing" in label for label in labels)
    figure.savefig(tmp_path / "cell.png")
    assert (tmp_path / "cell.png").stat().st_size > 1000
