"""What ASE's own formats and Parquet keep of a run."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from ase.db import connect

from ase_crystalnet.errors import InputError, OutputExistsError
from ase_crystalnet.io.results.outputs import Outputs
from ase_crystalnet.io.trajectories.stream import StreamFrame
from ase_crystalnet.results.trajectory import TrajectoryAnalysis, TrajectoryBuilder
from tests.support.fakes import CLASSES, fake_frame, frames


def run(paths: list[Path], count: int = 3, lindemann: bool = True) -> TrajectoryAnalysis:
    """Write the results of a few frames with energies to files."""
    outputs = Outputs(paths, settings={})
    builder = TrajectoryBuilder(CLASSES)
    for number, atoms in enumerate(frames(count)):
        analysis = fake_frame(atoms, min_certainty=0.7)
        if lindemann:
            analysis = analysis.with_lindemann(np.full(len(atoms), 0.1 * number))
        atoms.calc = SinglePointCalculator(atoms, energy=-1.5 * number)
        atoms.info |= {"temperature": 300.0 + number, "odd": object()}
        outputs.append(StreamFrame("md.extxyz", number, atoms), analysis)
        builder.append(analysis, number, "md.extxyz")
    summary = builder.build()
    outputs.finish(summary)
    return summary


def test_traj_keeps_types_as_tags_and_results_in_info(tmp_path: Path) -> None:
    path = tmp_path / "a.traj"
    run([path, tmp_path / "a.extxyz"])
    found = ase.io.read(path, index=":")
    labelled = ase.io.read(tmp_path / "a.extxyz", index=":")
    assert len(found) == 3
    for number, (atoms, other, given) in enumerate(zip(found, labelled, frames(3), strict=True)):
        kept = atoms.info["crystalnet"]
        expected = fake_frame(given, min_certainty=0.7)
        np.testing.assert_array_equal(kept["label"], expected.atom_labels)
        np.testing.assert_array_equal(atoms.get_tags(), other.arrays["structure_type"])
        np.testing.assert_allclose(kept["certainty"], expected.atom_certainty, rtol=1e-6)
        np.testing.assert_allclose(kept["probabilities"], expected.atom_probabilities, rtol=1e-6)
        np.testing.assert_allclose(kept["lindemann"], 0.1 * number, rtol=1e-6)
        assert kept["classes"] == list(CLASSES) and kept["frame"] == number
        assert atoms.get_potential_energy() == -1.5 * number
        assert atoms.info["temperature"] == 300.0 + number
        np.testing.assert_allclose(atoms.positions, given.positions)
        assert not any(name.startswith("crystalnet") for name in atoms.arrays)


@pytest.mark.parametrize("suffix", [".db", ".json"])
def test_databases_have_shares_to_select_by(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    summary = run([path], lindemann=False)
    with connect(path) as file:
        rows = list(file.select())
        assert len(rows) == 3
        fcc = CLASSES.index("fcc")
        for number, (row, given) in enumerate(zip(rows, frames(3), strict=True)):
            assert row.cn_fraction_fcc == pytest.approx(summary.class_fractions[number, fcc])
            assert row.cn_source == "md.extxyz" and row.cn_frame == number
            assert "cn_lindemann_index" not in row  # not a number: there was no trajectory
            expected = fake_frame(given, min_certainty=0.7)
            np.testing.assert_array_equal(row.data["label"], expected.atom_labels)
            np.testing.assert_allclose(row.data["order"], expected.atom_order, rtol=1e-6)
            assert row.data["info"]["temperature"] == 300 + number
            assert row.energy == -1.5 * number
        most = max(row.cn_mean_certainty for row in rows)
        assert len(list(file.select(f"cn_mean_certainty>={most}"))) >= 1
    if suffix == ".json":
        json.loads(path.read_text())


def test_what_a_format_cannot_hold_is_said(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.h5", "a.traj", "a.db", "a.json", "a.csv", "a.extxyz")]
    outputs = Outputs(paths, settings={})
    notes = outputs.notes()
    outputs.discard()
    assert [note.split(":")[0] for note in notes] == ["a.traj", "a.db", "a.json"]
    assert all("windows are left out" in note and "\n" not in note for note in notes)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".traj", ".db", ".json", ".csv"])
def test_a_run_that_fails_leaves_nothing_of_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_text("before")
    with pytest.raises(OutputExistsError, match="--overwrite"):
        Outputs([path], settings={})
    outputs = Outputs([path], settings={}, overwrite=True)
    (atoms,) = frames(1)
    outputs.append(StreamFrame("md.extxyz", 0, atoms), fake_frame(atoms))
    outputs.discard()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]
    for kind in (".traj", ".db", ".json"):
        with pytest.raises(InputError, match="cannot be resumed"):
            Outputs([tmp_path / "b.h5", tmp_path / f"b{kind}"], settings={}, resume=True)


def test_parquet_has_the_columns_of_csv_with_types_and_units(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    parquet = pytest.importorskip("pyarrow.parquet")
    summary = run([tmp_path / "a.parquet", tmp_path / "a.csv"])
    table = pandas.read_parquet(tmp_path / "a.parquet")
    other = pandas.read_csv(tmp_path / "a.csv")
    assert list(table) == list(other) == list(summary.columns())
    assert table["frame"].dtype.kind == "i" and table["mean_certainty"].dtype.kind == "f"
    np.testing.assert_array_equal(table["mean_certainty"], summary.mean_certainty)  # to the bit
    np.testing.assert_allclose(other["mean_certainty"], summary.mean_certainty, rtol=1e-5)
    assert table["source"].tolist() == list(summary.sources)
    from dataclasses import replace

    from ase_crystalnet.io.results.table_files import ParquetFile

    timed = replace(summary, time=np.arange(3.0))
    file = ParquetFile(tmp_path / "b.parquet")
    file.complete(timed)
    file.rename()
    schema = parquet.read_schema(tmp_path / "b.parquet")
    assert schema.field("time_ps").metadata == {b"unit": b"ps"}
    assert not schema.field("frame").metadata


def test_without_pyarrow_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"a\.parquet: Parquet needs the package pyarrow"):
        Outputs([tmp_path / "a.parquet"], settings={})
    assert list(tmp_path.iterdir()) == []
