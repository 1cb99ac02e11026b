"""The commands `crystalnet xrd ...`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from ase.io import write
from typer.testing import CliRunner, Result

from ase_crystalnet.cli.entry import app
from ase_crystalnet.xrd.pattern import TWO_THETA, broaden
from ase_crystalnet.xrd.report import symbol
from ase_crystalnet.xrd.simulated.reflections import peaks, reflections_of


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["xrd", *map(str, arguments)])


@pytest.fixture(scope="module")
def halite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("halite")
    write(folder / "halite.cif", bulk("NaCl", "rocksalt", 5.64, cubic=True))
    result = run("simulate", folder / "halite.cif", "-o", folder / "halite.xy")
    assert result.exit_code == 0, result.output
    return folder / "halite.xy"


def test_lines_of_a_structure(halite: Path) -> None:
    result = run("simulate", halite.with_suffix(".cif"))
    assert result.exit_code == 0
    rows = [line.split() for line in result.stdout.splitlines()[1:]]
    by_angle = {float(r[0]): (float(r[1]), float(r[2])) for r in rows}
    # JCPDS 5-628: 31.69 (200) 2.821 100; 45.45 (220) 1.994 55
    strongest = max(by_angle, key=lambda angle: by_angle[angle][1])
    assert strongest == pytest.approx(31.70, abs=0.02)
    assert by_angle[strongest] == (pytest.approx(2.82, abs=0.002), 100)
    second = sorted(by_angle, key=lambda angle: -by_angle[angle][1])[1]
    assert second == pytest.approx(45.45, abs=0.02)
    assert 50 < by_angle[second][1] < 75


def test_figure_and_table_of_a_structure(halite: Path, tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("a.png", "a.svg", "a.csv")]
    result = run(
        "simulate", halite.with_suffix(".cif"), "--wavelength", "Mo", "--width", 0.2,
        *(x for p in places for x in ("-o", p)),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert places[0].read_bytes()[:4] == b"\x89PNG"
    rows = places[2].read_text().splitlines()
    assert "0.70932" in rows[0] and len(rows) == 8502
    assert run("classify", places[2]).stdout.count("225 (F m -3 m)") >= 1  # wavelength was read
    again = run("simulate", halite.with_suffix(".cif"), "-o", places[0])
    assert again.exit_code == 2 and "--overwrite" in again.stderr


def test_answer_for_a_file(halite: Path) -> None:
    result = run("classify", halite, "--model", "none")
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
    result = run(
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
    assert run("classify", halite, "-o", tmp_path / "a.json").exit_code == 2


def test_refused(halite: Path) -> None:
    result = run("classify", halite, "--min-certainty", 1.0, "--model", "none")
    assert result.exit_code == 0
    assert "refused; most probable 225" in result.stdout
    wrong = run("classify", halite, "--min-certainty", 50)
    assert wrong.exit_code == 2 and "0 to 1" in wrong.stderr


def test_bad_files_are_said_and_the_rest_answered(halite: Path, tmp_path: Path) -> None:
    picture = tmp_path / "picture.xy"
    picture.write_bytes(b"\x89PNG\r\n" + bytes(300))
    result = run("classify", picture, halite, tmp_path / "none.xy", tmp_path, "--model", "none")
    assert result.exit_code == 2
    assert "225 (F m -3 m)" in result.stdout
    errors = [line for line in result.stderr.splitlines() if "error" in line]
    assert len(errors) == 3
    assert "PNG picture" in errors[0] and "no such file" in errors[1] and "director" in errors[2]
    alone = run("classify", picture)
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
    result = run("classify", halite, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_unknown_model(halite: Path) -> None:
    result = run("classify", halite, "--model", "nobody")
    assert result.exit_code == 1
    assert "unknown" in result.stderr


def test_a_library_of_ones_own(halite: Path, tmp_path: Path) -> None:
    result = run("library", halite.parent, "-o", tmp_path / "own.npz", "--processes", 1)
    assert result.exit_code == 0, result.output
    assert "1 patterns" in result.stdout
    said = run("classify", halite, "--library", tmp_path / "own.npz", "--model", "none")
    assert "halite; correlation" in said.stdout
    wrong = run("classify", halite, "--library", tmp_path / "none.npz")
    assert wrong.exit_code == 1 and "missing" in wrong.stderr


def test_calibration_needs_measured_patterns(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.ones((3, 10)), space_group=[1, 2, 3], ids=[0, 1, 2])
    result = run("calibrate", tmp_path / "a.npz", "--model", "none")
    assert result.exit_code == 2 and "8500" in result.stderr
    (tmp_path / "b.npz").write_text("x")
    assert "expected a .npz" in run("calibrate", tmp_path / "b.npz", "--model", "none").stderr
    assert run("calibrate", tmp_path / "none.npz").exit_code == 2


def test_symbols() -> None:
    assert [symbol(n) for n in (1, 14, 62, 152, 225)] == [
        "P 1", "P 21/c", "P n m a", "P 31 2 1", "F m -3 m"
    ]  # fmt: skip


def test_grid_of_the_written_pattern(halite: Path) -> None:
    x, y = np.loadtxt(halite, unpack=True)
    np.testing.assert_allclose(x, TWO_THETA, atol=0.0051)
    assert y.max() == 1000


@pytest.mark.slow
def test_train_calibrate_classify(tmp_path: Path, rng: np.random.Generator) -> None:
    """The whole chain: structures, network, weights of network and library, answer."""
    folder = tmp_path / "cifs"
    folder.mkdir()
    kinds = ("fcc", "bcc", "sc", "diamond")
    for k in range(80):
        symbol = ("Cu", "Al", "Ag", "Au", "Ni")[k % 5]
        write(folder / f"{k}.cif", bulk(symbol, kinds[k % 4], a=3 + 0.03 * k, cubic=True))
    arguments = ("train", folder, "-o", tmp_path / "m", "--work", tmp_path / "w")
    result = run(*arguments, "--patterns", 256, "--processes", 1, "--quiet")
    assert result.exit_code == 0, result.output
    card = json.loads((tmp_path / "m" / "card.json").read_text())
    assert card["classes"] == 230 and card["trained_on"]["patterns"] >= 256
    patterns, groups = [], []
    for k in range(120):
        kind, group = ("fcc", 225) if k % 2 else ("bcc", 229)
        crystal = bulk("Cu", kind, a=3 + 0.01 * k, cubic=True)
        clean = broaden(*peaks(reflections_of(crystal)), 0.12)
        patterns.append(np.maximum(clean + rng.normal(0, 0.01, len(clean)), 0))
        groups.append(group)
    np.savez(tmp_path / "p.npz", X=patterns, space_group=groups, ids=np.arange(120) // 2)
    result = run("calibrate", tmp_path / "p.npz", "--model", tmp_path / "m")
    assert result.exit_code == 0, result.output
    np.savetxt(tmp_path / "a.xy", np.c_[TWO_THETA, patterns[31]])
    result = run("classify", tmp_path / "a.xy", "--model", tmp_path / "m", "-o", tmp_path / "a.csv")
    assert result.exit_code == 0, result.output
    assert "225 (F m -3 m)" in result.stdout and "answers alone" not in result.stderr
    other = run(*arguments, "--patterns", 512, "--processes", 1)
    assert other.exit_code == 2 and "another plan" in other.stderr
