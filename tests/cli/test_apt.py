"""The command `crystalnet apt`."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from ase.build import bulk

from ase_crystalnet.atom_probe.files.reconstruction import write_pos
from ase_crystalnet.atom_probe.results import read_analysis
from tests.support.commands import run

apt = partial(run, "apt")

RRNG = """[Ranges]
Number=1
Range1=26.5 27.5 Vol:0.0166 Al:1 Color:0099FF
"""


@pytest.fixture
def tip(tmp_path):
    """Aluminium, planes across z: 60 % of the atoms, blurred in x and y, a tenth unranged."""
    rng = np.random.default_rng(3)
    atoms = bulk("Al", cubic=True).repeat((13, 13, 16))
    points = atoms.positions[rng.random(len(atoms)) < 0.6]
    points = points + rng.normal(size=points.shape) * [1.2, 1.2, 0.1]
    mass = np.where(rng.random(len(points)) < 0.9, 27.0, 44.0)
    write_pos(tmp_path / "tip.pos", points, mass)
    (tmp_path / "tip.rrng").write_text(RRNG)
    return tmp_path


def test_planes_along_depth_are_found_and_no_lattice_is_claimed(tip):
    outcome = apt(
        tip / "tip.pos", "-r", tip / "tip.rrng", "--model", "none", "--window-ions", 400,
        "-o", tip / "a.h5", "-o", tip / "a.extxyz", "-q",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    assert "Al 100.00 at.%" in outcome.stdout and "unranged" in outcome.stdout
    found = read_analysis(tip / "a.h5")
    assert found.rank_shares["planes"] > 0.9
    planes = found.findings.rank == 1
    np.testing.assert_allclose(found.findings.spacing[planes], 2.025, atol=0.03)
    assert (found.findings.normal[planes, 2] > 0.99).all()
    # Some windows of so small a block reach out of it unnoticed.
    assert np.nanmax(found.measures.efficiency) == pytest.approx(0.6, rel=0.1)
    pole = found.poles[0]
    assert pole.spacing == pytest.approx(2.025, abs=0.02) and pole.normal[2] > 0.995
    assert "spacing 0.202" in outcome.stdout
    assert found.settings["model"] == "none" and found.classes is None
    assert (tip / "a.extxyz").stat().st_size > 100_000


def test_figures_and_species(tip):
    outcome = apt(
        tip / "tip.pos", "-r", tip / "tip.rrng", "--model", "none", "--window-ions", 400,
        "--species", "Al", "--figures", tip / "figures",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    assert "(only Al)" in outcome.stdout
    assert "0.00 %" in outcome.stdout.split("unranged")[1].splitlines()[0]
    names = {path.name for path in (tip / "figures").iterdir()}
    assert names == {
        f"tip-{name}.png"
        for name in ("composition", "density", "structure", "best-windows", "depth", "poles")
    }
    print_ready = apt(
        tip / "tip.pos", "-r", tip / "tip.rrng", "--model", "none", "--window-ions", 400,
        "--figures", tip / "figures", "--as", "pdf", "--as", "svg",
    )  # fmt: skip
    assert print_ready.exit_code == 0, print_ready.output
    assert len(list((tip / "figures").glob("*.pdf"))) == 6
    assert len(list((tip / "figures").glob("*.svg"))) == 6
    again = apt(tip / "tip.pos", "--figures", tip / "figures")
    assert again.exit_code == 2 and "exists already; --overwrite" in again.stderr


def test_remarks_on_a_file_are_said(tip):
    positions = np.fromfile(tip / "tip.pos", ">f4").reshape(-1, 4)
    positions[:, :3] *= 10  # Angstrom
    positions.astype("<f4").tofile(tip / "odd.pos")
    (tip / "odd.rrng").write_text("[Ions]\nNumber=1\nIon1=Fe\n" + RRNG)
    arguments = ("-r", tip / "odd.rrng", "--model", "none", "--window-ions", 400)
    outcome = apt(tip / "odd.pos", *arguments)
    assert outcome.exit_code == 0, outcome.output
    for words in ("little-endian", "seem to be in Angstrom", "declared without any range: Fe"):
        assert f"{words}" in outcome.stderr and "note: " in outcome.stderr
    told = apt(tip / "odd.pos", *arguments, "--units", "angstrom", "-q")
    assert told.exit_code == 0 and "note" not in told.stderr
    assert told.stdout == apt(tip / "tip.pos", *arguments, "-q").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["none.pos"], "none.pos: no such file"),
        (["tip.rrng"], "expected a reconstruction (.pos, .epos, .apt)"),
        (["tip.pos", "-r", "none.rrng"], "none.rrng: no such file"),
        (["tip.pos", "-r", "tip.pos"], "expected a range file"),
        (["tip.pos", "-r", "tip.rrng", "-s", "Fe"], "expected one of Al, or unranged; got 'Fe'"),
        (["tip.pos", "-o", "a.xyz"], "a.xyz: expected a name that ends in .h5"),
        (["tip.pos", "--window-ions", "5"], "less than 64"),
        (["tip.pos", "--radius", "-1"], "not a positive length"),
        (["tip.pos", "--false-alarm", "2"], "false_alarm=2.0 is not between"),
        (["text.pos"], "holds text; expected the binary records of a .pos file"),
        (["tip.pos", "--model", "nowhere"], "nowhere"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tip, monkeypatch, arguments, says):
    monkeypatch.chdir(tip)
    (tip / "text.pos").write_text("1 2 3 4\n")
    outcome = apt(*arguments)
    assert outcome.exit_code in (1, 2)
    lines = outcome.stderr.strip().splitlines()
    assert len(lines) == 1 and says in lines[0], outcome.stderr
