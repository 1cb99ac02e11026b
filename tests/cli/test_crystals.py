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


def test_grains_of_a_trajectory(tmp_path):
    atoms, _, _ = crystals.polycrystal(crystals.fcc(), 4000, 2, sigma=0.0, rng=1)
    rng = np.random.default_rng(0)
    frames = []
    for step in range(3):
        moved = atoms.copy()
        moved.positions += rng.normal(scale=0.15, size=moved.positions.shape)
        moved.info["time_ps"] = 2.0 * step
        frames.append(moved)
    write(tmp_path / "md.extxyz", frames)
    names = ["grains.csv", "sizes.png", "labelled.extxyz", "cells.cif"]
    outputs = [part for name in names for part in ("-o", tmp_path / name)]
    found = run(tmp_path / "md.extxyz", "--frames", "::2", *outputs)
    assert found.exit_code == 0, found.output
    rows = list(csv.DictReader((tmp_path / "grains.csv").open()))
    assert [(row["frame"], row["time"], row["grain"]) for row in rows] == [
        ("0", "0.0", "1"),
        ("0", "0.0", "2"),
        ("2", "4.0", rows[2]["grain"]),
        ("2", "4.0", rows[3]["grain"]),
    ]
    assert {rows[2]["grain"], rows[3]["grain"]} == {"1", "2"}
    labelled = read(tmp_path / "labelled.extxyz", ":")
    assert len(labelled) == 2
    same = labelled[0].arrays["crystalnet_grain"] == labelled[1].arrays["crystalnet_grain"]
    assert same.mean() > 0.9
    assert (tmp_path / "sizes.png").stat().st_size > 10_000
    assert (tmp_path / "cells.cif").read_text().count("data_grain") == 2
    assert "GrainHistory: 2 grains in 2 frames" in found.output
    # One frame of it, as a structure.
    one = run(tmp_path / "md.extxyz", "--frame", "-1")
    assert one.exit_code == 0 and "GrainHistory" not in one.output


def test_no_such_frame_is_one_line(tmp_path):
    write(tmp_path / "one.extxyz", crystals.supercell(crystals.fcc(), 600))
    found = run(tmp_path / "one.extxyz", "--frames", "5:")
    assert found.exit_code != 0
    assert "no frames among those asked for" in found.output


def test_a_map_and_figures_of_texture(tmp_path):
    atoms, _, _ = crystals.polycrystal(crystals.fcc(), 3000, 2, sigma=0.05, rng=1)
    write(tmp_path / "md.extxyz", atoms)
    found = run(
        tmp_path / "md.extxyz", "-o", tmp_path / "map.ctf", "-o", tmp_path / "map.ang",
        "--plane", "x=3.5", "--figures", tmp_path / "texture",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    head = (tmp_path / "map.ctf").read_text().splitlines()
    assert head[0] == "Channel Text File" and "x = 0.3500 nm" in head[1]
    assert "A1 (fcc)\t11\t225" in head[13]
    assert "fcc" in (tmp_path / "map.ang").read_text()
    names = {path.name for path in (tmp_path / "texture").iterdir()}
    assert names == {"map.png", "pole_figures.png", "inverse_pole_figures.png"}
    wrong = run(tmp_path / "md.extxyz", "--plane", "w")
    assert wrong.exit_code == 2
    assert "expected x, y or z" in wrong.stderr
    again = run(tmp_path / "md.extxyz", "--figures", tmp_path / "texture")
    assert again.exit_code != 0 and "--overwrite" in again.stderr


def test_the_strain_field_is_a_table(tmp_path):
    cell = crystals.fcc()
    cell.write(tmp_path / "matrix.cif")
    atoms = crystals.supercell(cell, 3000)
    atoms.set_cell(atoms.cell.array * [1.01, 1, 1], scale_atoms=True)
    atoms.positions += np.random.default_rng(1).normal(0, 0.08, (len(atoms), 3))
    write(tmp_path / "md.extxyz", atoms)
    path = tmp_path / "strain.csv"
    found = run(
        tmp_path / "md.extxyz", "--reference", tmp_path / "matrix.cif", "--strain-field", path
    )
    assert found.exit_code == 0, found.output
    rows = list(csv.DictReader(path.open()))
    assert {row["against"] for row in rows} == {"matrix"} and {row["grain"] for row in rows} == {
        "1"
    }
    assert abs(np.mean([float(row["strain_xx"]) for row in rows]) - 0.01) < 0.002
    assert run(tmp_path / "md.extxyz", "--strain-field", tmp_path / "strain.txt").exit_code == 2
