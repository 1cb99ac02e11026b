"""The command `crystalnet crystals`."""

from __future__ import annotations

import csv

import numpy as np
from ase.io import read, write
from typer.testing import CliRunner

from ase_crystalnet import crystals
from ase_crystalnet.cli.app import app
from tests.grains.conftest import cubic


def run(*arguments: object):
    return CliRunner().invoke(app, ["crystals", *map(str, arguments)])


def test_a_reference_names_the_grain(tmp_path):
    salt = cubic(["Na", "Cl"], [(0, 0, 0), (0.5, 0.5, 0.5)], 225, 5.64)
    atoms = crystals.random_cluster(salt, 18.0, sigma=0.06, rng=np.random.default_rng(2))[0]
    write(tmp_path / "hot.extxyz", atoms)
    write(tmp_path / "halite.cif", salt)
    found = run(
        tmp_path / "hot.extxyz", "--reference", tmp_path / "halite.cif",
        "-o", tmp_path / "grains.csv", "-o", tmp_path / "labelled.extxyz",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    assert "halite" in found.output
    (row,) = csv.DictReader((tmp_path / "grains.csv").open())
    assert (row["reference"], row["label"], row["space_group"]) == (
        "halite",
        "AB_cF8_225_a_b",
        "225",
    )
    assert "halite" in read(tmp_path / "labelled.extxyz").arrays["crystalnet_reference"]
