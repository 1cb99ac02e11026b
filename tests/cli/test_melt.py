"""The command `crystalnet melt`."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from ase.io import write
from typer.testing import CliRunner

from ase_crystalnet.cli.app import app
from ase_crystalnet.cli.melt import run_of
from ase_crystalnet.errors import InputError
from tests.support.two_phases import two_phases


def run(*arguments: object):
    return CliRunner().invoke(app, ["melt", *map(str, arguments)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crystal that grows by 2 Angstrom in 10 ps at 900 K, and one that melts at 960 K."""
    folder = tmp_path_factory.mktemp("runs")
    for name, change in (("grows", 2.0), ("melts", -3.0)):
        frames = []
        for k in range(4):
            half = 20 + change * k / 2
            atoms = two_phases(40 - half, 40 + half, seed=k)
            atoms.info["time_ps"] = 10.0 * k
            if name == "grows":
                atoms.info["temperature_K"] = 900.0
            frames.append(atoms)
        write(folder / f"{name}.extxyz", frames)
    return folder


def test_a_melting_point_between_two_runs(runs: Path, tmp_path: Path) -> None:
    outputs = [tmp_path / "melt.csv", tmp_path / "melt.png"]
    found = run(
        runs / "grows.extxyz", f"{runs / 'melts.extxyz'}@960", "--spacing", 5,
        "-o", outputs[0], "-o", outputs[1],
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    # 10 and -15 m/s: the line crosses zero at 924 K.
    point = float(found.output.split("melting point ")[1].split()[0])
    assert point == pytest.approx(924.0, abs=6.0)
    rows = list(csv.DictReader(outputs[0].open()))
    assert len(rows) == 8 and {row["run"] for row in rows} == {"grows.extxyz", "melts.extxyz"}
    assert float(rows[0]["thickness_A"]) == pytest.approx(40.0, abs=2.0)
    assert outputs[1].stat().st_size > 1000
    assert run(runs / "grows.extxyz", "-o", outputs[0]).exit_code == 2  # it exists


def test_a_single_run_has_a_velocity_and_no_melting_point(runs: Path) -> None:
    found = run(runs / "grows.extxyz", "--spacing", 5, "--axis", "c")
    assert found.exit_code == 0, found.output
    assert "melting point " not in found.output
    velocity, _, error = found.output.split()[-3:]
    assert float(velocity) == pytest.approx(10.0, abs=3 * float(error))


def test_what_is_missing_is_said(runs: Path, tmp_path: Path) -> None:
    found = run(runs / "melts.extxyz", "--frames", "0:1", "--spacing", 12)
    assert found.exit_code == 2 and "melts.extxyz@900" in found.output
    bare = two_phases(20.0, 60.0)
    write(tmp_path / "bare.extxyz", bare)
    found = run(f"{tmp_path / 'bare.extxyz'}@900")
    assert found.exit_code == 2 and "neither time nor step" in found.output
    for wrong in (("-o", "x.h5"), ("--axis", "d"), ("--timestep", "0")):
        assert run(runs / "melts.extxyz", *wrong).exit_code == 2


def test_names_with_a_temperature() -> None:
    assert run_of("a@b/run.dump@905.5").temperature == 905.5
    assert run_of("run.dump").temperature is None
    for wrong in ("run.dump@hot", "run.dump@-5"):
        with pytest.raises(InputError, match="expected kelvin"):
            run_of(wrong)
