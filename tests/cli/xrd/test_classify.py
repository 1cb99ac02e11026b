"""The command `crystalnet xrd classify`."""

from __future__ import annotations

import csv
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests.support.commands import run

xrd = partial(run, "xrd")


def test_answer_for_a_file(halite: Path) -> None:
    result = xrd("classify", halite, "--model", "none")
    assert result.exit_code == 0, result.output
    assert "crystal system  cubic" in result.stdout
    assert "225 (F m -3 m)" in result.stdout
    assert "close match:" in result.stdout
    assert "library of known patterns answers alone" in result.stderr


def test_outputs(halite: Path, tmp_path: Path) -> None:
    part = tmp_path / "part.xy"
    x, y = np.loadtxt(halite, unpack=True)
    inside = (x > 20) & (x < 70)
    np.savetxt(part, np.c_[x[inside], y[inside] + 50])
    result = xrd(
        "classify", halite, part, "-o", tmp_path / "a.json", "-o", tmp_path / "a.csv", "--top", 2,
        "--model", "none",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "note: not measured below 20.0 and above 70.0" in result.stdout
    data = json.loads((tmp_path / "a.json").read_text())
    assert data["answered_by"] == "library alone"
    first, second = data["files"]
    assert first["space_group"] == second["space_group"] == 225
    assert first["close_match"] and first["matches"][0]["correlation"] > 0.95
    assert second["covered"] == [pytest.approx(20, abs=0.02), pytest.approx(70, abs=0.02)]
    assert {n["relation"] for n in first["neighbors"]} <= {
        "subgroup", "supergroup", "subgroup and supergroup"
    }  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert [r["space_group"] for r in rows] == ["225", "225"]
    assert rows[0]["refused"] == "False"
    assert xrd("classify", halite, "-o", tmp_path / "a.json").exit_code == 2


def test_refused(halite: Path) -> None:
    result = xrd("classify", halite, "--min-certainty", 1.0, "--model", "none")
    assert result.exit_code == 0
    assert "refused; most probable 225" in result.stdout
    wrong = xrd("classify", halite, "--min-certainty", 50)
    assert wrong.exit_code == 2 and "0 to 1" in wrong.stderr


def test_bad_files_are_said_and_the_rest_answered(halite: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.xy"
    picture.write_bytes(b"\x89PNG\r\n" + bytes(300))
    result = xrd("classify", picture, halite, tmp_path / "none.xy", tmp_path, "--model", "none")
    assert result.exit_code == 2
    assert "225 (F m -3 m)" in result.stdout
    errors = [line for line in result.stderr.splitlines() if "error" in line]
    assert len(errors) == 3
    assert "PNG picture" in errors[0] and "no such file" in errors[1] and "director" in errors[2]
    alone = xrd("classify", picture)
    assert alone.exit_code == 2 and alone.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--wavelength", "copper-ish"), "Cu, Mo"),
        (("--wavelength", "99"), "0.1 to 5"),
        (("-o", "answer.txt"), ".json, .csv"),
        (("--coverage", "0.5", "--min-certainty", "0.5"), "one of them"),
    ],
)
def test_wrong_options(halite: Path, arguments: tuple[str, ...], message: str) -> None:
    result = xrd("classify", halite, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_unknown_model(halite: Path) -> None:
    result = xrd("classify", halite, "--model", "nobody")
    assert result.exit_code == 1
    assert "unknown" in result.stderr


def test_figures_and_refusals(halite: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = np.arange(10, 80, 0.02)
    np.savetxt(tmp_path / "noise.xy", np.c_[x, rng.poisson(200, len(x))], fmt="%.2f")
    result = xrd(
        "classify", halite, tmp_path / "noise.xy", "--model", "none", "--figures",
        tmp_path / "figures", "-o", tmp_path / "a.json", "-o", tmp_path / "a.csv",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "refused         no lines" in result.stdout
    assert "phases          NaCl, space group 225" in result.stdout
    names = sorted(path.name for path in (tmp_path / "figures").iterdir())
    assert names == ["halite.xy.png", "noise.xy.png"]
    first, second = json.loads((tmp_path / "a.json").read_text())["files"]
    assert first["phases"][0]["space_group"] == 225 and first["prediction_set"] == [225]
    assert first["phases"][0]["cell"][0] == pytest.approx(5.64, abs=0.01)
    assert second["refused"] and second["verdict"] == "no lines" and second["matches"] == []
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert rows[0]["prediction_set"] == "225" and rows[1]["verdict"] == "no lines"
    again = xrd("classify", halite, "--model", "none", "--figures", tmp_path / "figures")
    assert again.exit_code == 2 and "exists" in again.stderr
    wrong = xrd("classify", halite, "--model", "none", "--figures", tmp_path / "a.csv")
    assert wrong.exit_code == 2 and "folder" in wrong.stderr
