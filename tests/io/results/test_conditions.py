"""What a trajectory states of its frames goes through every result; OVITO's own columns."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest
from ase.io import read, write

from ase_crystalnet.errors import InputError
from ase_crystalnet.frames.run import analyze_frames
from ase_crystalnet.io.results.hdf5_reader import ResultFile
from ase_crystalnet.io.results.outputs import Outputs
from ase_crystalnet.plotting import plot_trajectory
from ase_crystalnet.results.trajectory import TrajectoryAnalysis, TrajectoryBuilder
from tests.support.fakes import CLASSES, FakeAnalyzer, frames


def analysed(folder: Path, stated: bool = True) -> TrajectoryAnalysis:
    """Three frames through all outputs."""
    some = frames(3)
    for number, atoms in enumerate(some):
        if stated:
            atoms.info.update(step=100 * number, time=0.5 * number, temperature=300.0 + number)
    write(folder / "in.extxyz", some)
    outputs = Outputs([folder / f"out.{kind}" for kind in ("h5", "csv", "extxyz")], settings={})
    builder = TrajectoryBuilder(CLASSES)
    for frame, analysis in analyze_frames(FakeAnalyzer(), folder / "in.extxyz"):
        outputs.append(frame, analysis)
        builder.append(analysis, frame.number, frame.source)
    outputs.finish(builder.build())
    return builder.build()


def test_conditions_are_kept(tmp_path):
    summary = analysed(tmp_path)
    with ResultFile(tmp_path / "out.h5") as file:
        stored = file.trajectory()
        assert file[2].metadata["time"] == 1.0 and file[2].metadata["step"] == 200
        assert "pressure" not in file[2].metadata and "time" not in file.metadata
    for trajectory in (summary, stored):
        np.testing.assert_array_equal(trajectory.time, [0.0, 0.5, 1.0])
        np.testing.assert_array_equal(trajectory.temperature, [300, 301, 302])
        assert np.isnan(trajectory.pressure).all()
    with (tmp_path / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["time_ps"] for row in rows] == ["0", "0.5", "1"]
    assert "pressure_GPa" not in rows[0] and rows[1]["temperature_K"] == "301"


def test_figures_are_drawn_against_the_time(tmp_path):
    assert plot_trajectory(analysed(tmp_path)).axes[-1].get_xlabel() == "time (ps)"
    (tmp_path / "other").mkdir()
    bare = analysed(tmp_path / "other", stated=False)
    assert plot_trajectory(bare).axes[-1].get_xlabel() == "frame"
    assert "time_ps" not in bare.columns()


def test_columns_that_ovito_takes_for_its_own(tmp_path):
    analysed(tmp_path)
    atoms = read(tmp_path / "out.extxyz", 0)
    names = atoms.arrays["crystalnet_class"]
    assert set(atoms.arrays["structure_type"][names == "fcc"]) == {1}
    assert set(atoms.arrays["structure_type"][names == "disordered"]) == {12}
    assert atoms.arrays["color"].shape == (32, 3) and atoms.arrays["color"].max() <= 1
    assert len(np.unique(atoms.arrays["color"], axis=0)) == 2
    io = pytest.importorskip("ovito.io")
    data = io.import_file(str(tmp_path / "out.extxyz")).compute(0)
    for name, width in (("Structure Type", 1), ("Orientation", 4), ("Color", 3)):
        values = np.asarray(data.particles[name])
        assert values.reshape(32, -1).shape == (32, width)
    np.testing.assert_array_equal(
        np.sort(data.particles["Structure Type"]), np.sort(atoms.arrays["structure_type"])
    )


def test_tables_of_others(tmp_path):
    summary = analysed(tmp_path)
    table = summary.to_dataframe()
    assert len(table) == 3 and table["time_ps"].tolist() == [0.0, 0.5, 1.0]
    with ResultFile(tmp_path / "out.h5") as file:
        frame = file[0]
    atoms, windows = frame.to_dataframe(), frame.to_dataframe("windows")
    assert len(atoms) == 32 and set(atoms["class"]) == {"fcc", "disordered"}
    assert {"center_indices", "centers_x", "lattice_zy", "probabilities_fcc"} <= set(windows)
    with pytest.raises(ValueError, match="'atoms' or 'windows'"):
        frame.to_dataframe("nonsense")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pandas", None)
        with pytest.raises(InputError, match="to_dataframe needs the package pandas"):
            summary.to_dataframe()
    pytest.importorskip("xarray")
    data = summary.to_xarray()
    assert data["class_fractions"].dims == ("frame", "class")
    assert data["time"].attrs["units"] == "ps"
    for shown in (frame, summary):
        page = shown._repr_html_()
        assert page.count("<table>") == 1 and "fcc" in page
