"""The command `crystalnet tip`, and what `crystalnet apt` says of its tip."""

from __future__ import annotations

import numpy as np
import pytest

from ase_crystalnet.atom_probe.results import read_analysis
from tests.support.commands import run


def test_a_tip_is_written_with_its_ranges_and_truth(tmp_path):
    outcome = run("tip", tmp_path / "t.pos", "--atoms", 4000, "--material", "W")
    assert outcome.exit_code == 0, outcome.output
    assert {p.suffix for p in tmp_path.iterdir()} == {".pos", ".rrng", ".npz"}
    again = run("tip", tmp_path / "t.pos")
    assert again.exit_code == 2 and "exists already; --overwrite" in again.stderr
    assert run("tip", tmp_path / "t.txt").exit_code == 2
    odd = run("tip", tmp_path / "u.pos", "--axis", "up")
    assert odd.exit_code == 2 and "three whole numbers" in odd.stderr


@pytest.mark.slow
def test_poles_and_order_of_a_superalloy(tmp_path):
    assert run(
        "tip", tmp_path / "t.pos", "--material", "Ni3Al", "--atoms", 300_000, "--precipitates", 2.0,
        "--depth-scale", 1.04, "--seed", 3, "--efficiency", 0.8,
    ).exit_code == 0  # fmt: skip
    outcome = run(
        "apt", tmp_path / "t.pos", "-r", tmp_path / "t.rrng", "--crystal", "fcc:3.555",
        "--order", "L1_2", "--model", "none", "-o", tmp_path / "t.h5", "-o",
        tmp_path / "t.extxyz", "--figures", tmp_path / "figures", "-q",
    )  # fmt: skip
    assert outcome.exit_code == 0, outcome.output
    assert "{2 0 0}" in outcome.stdout and "order L1_2 of Al" in outcome.stdout
    found = read_analysis(tmp_path / "t.h5")
    assert found.named.depth_scale == pytest.approx(1.04, abs=0.012)
    assert found.order_map.phases and found.order.significant.sum() > 5
    truth = np.load(tmp_path / "t.npz")
    inside = found.order_map.ion_region > 0
    assert (truth["precipitate"][inside] >= 0).mean() > 0.6
    assert (tmp_path / "figures" / "t-order.png").exists()


def test_order_needs_a_crystal_of_its_lattice(tmp_path):
    run("tip", tmp_path / "t.pos", "--atoms", 4000)
    for more, text in (
        (("--order", "L1_2"), "--crystal"),
        (("--order", "L1_2", "--crystal", "W"), "superlattice of fcc"),
        (("--order", "L9", "--crystal", "Al"), "expected one of"),
        (("--crystal", "nothing.cif"), "expected an element"),
        (("--crystal", "Al:x"), "constant in Angstrom"),
    ):
        outcome = run("apt", tmp_path / "t.pos", "-r", tmp_path / "t.rrng", *more)
        assert outcome.exit_code == 2 and text in outcome.stderr, outcome.output
