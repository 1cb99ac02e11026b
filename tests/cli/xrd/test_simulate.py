"""The command `crystalnet xrd simulate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ase_crystalnet.xrd.pattern import TWO_THETA
from tests.support.commands import run

xrd = partial(run, "xrd")


def test_lines_of_a_structure(halite: Path) -> None:
    result = xrd("simulate", halite.with_suffix(".cif"))
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
    result = xrd(
        "simulate", halite.with_suffix(".cif"), "--wavelength", "Mo", "--width", 0.2,
        *(x for p in places for x in ("-o", p)),
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert places[0].read_bytes()[:4] == b"\x89PNG"
    rows = places[2].read_text().splitlines()
    assert "0.70932" in rows[0] and len(rows) == 8502
    assert xrd("classify", places[2]).stdout.count("225 (F m -3 m)") >= 1  # wavelength was read
    again = xrd("simulate", halite.with_suffix(".cif"), "-o", places[0])
    assert again.exit_code == 2 and "--overwrite" in again.stderr


def test_grid_of_the_written_pattern(halite: Path) -> None:
    x, y = np.loadtxt(halite, unpack=True)
    np.testing.assert_allclose(x, TWO_THETA, atol=0.0051)
    assert y.max() == 1000
