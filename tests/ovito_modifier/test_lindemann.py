"""The OVITO modifier on trajectories: Lindemann over a window of frames, time series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("ovito", reason="OVITO is not installed (pip install '.[ovito]')")

from ase import Atoms
from ase.io import write
from ovito.io import export_file, import_file
from ovito.io.ase import ase_to_ovito
from ovito.modifiers import (
    DeleteSelectedModifier,
    ExpressionSelectionModifier,
    TimeSeriesModifier,
)

import ovito_modifier.modifier as module
from ase_crystalnet import crystals
from ase_crystalnet.errors import InputError
from ase_crystalnet.frames.lindemann import LindemannTracker
from ovito_modifier import CrystalNetModifier
from ovito_modifier.lindemann import frame_window
from tests.support.fakes import CLASSES, fake_frame

FRAMES = 6
DISTANCE = 2.5  # what the fake analysis says


class FakeNet:
    classes = CLASSES
    min_certainty = None

    def __init__(self) -> None:
        self.calls = 0

    def analyze(self, atoms, centers="atoms", spacing=None, progress=None):
        self.calls += 1
        return fake_frame(atoms)


@pytest.fixture(autouse=True)
def net(monkeypatch: pytest.MonkeyPatch) -> FakeNet:
    fake = FakeNet()
    monkeypatch.setattr(module, "_analyzer", lambda model, window_atoms: fake)
    return fake


@pytest.fixture(scope="module")
def frames() -> list[Atoms]:
    """A crystal that shakes, drifts across the border of its cell and expands."""
    rng = np.random.default_rng(4)
    perfect = crystals.supercell(crystals.fcc(DISTANCE), 108)
    made = []
    for number in range(FRAMES):
        atoms = perfect.copy()
        atoms.positions += rng.normal(scale=0.1, size=(len(atoms), 3)) + 0.7 * number
        atoms.set_cell(atoms.cell * (1 + 0.001 * number), scale_atoms=True)
        atoms.wrap()
        atoms.set_array("id", np.arange(len(atoms)) + 1)
        made.append(atoms)
    return made


def saved(path: Path, frames: list[Atoms], ids: bool = True, shuffle: bool = False) -> str:
    rng = np.random.default_rng(0)
    out = []
    for atoms in frames:
        atoms = atoms[rng.permutation(len(atoms))] if shuffle else atoms.copy()
        if not ids:
            del atoms.arrays["id"]
        out.append(atoms)
    write(path, out, format="extxyz")
    return str(path)


def load(path: str):
    """Not left to OVITO to find out: it sometimes takes a file for a single frame at first."""
    return import_file(path, multiple_frames=True)


def expected(frames: list[Atoms], last: int, length: int) -> np.ndarray:
    tracker = LindemannTracker()
    for atoms in frames[max(last - length + 1, 0) : last + 1]:
        value = tracker.add(atoms, DISTANCE)
    return value


def value(data) -> np.ndarray:
    return np.asarray(data.particles["CrystalNet Lindemann"])


@pytest.mark.parametrize("ids", [True, False])
def test_as_the_library(frames, tmp_path, ids):
    pipeline = load(saved(tmp_path / "t.xyz", frames, ids))
    pipeline.modifiers.append(CrystalNetModifier(lindemann_frames=3))
    for number in range(2, FRAMES):
        data = pipeline.compute(number)
        assert np.allclose(value(data), expected(frames, number, 3), rtol=1e-4)
        index = data.attributes["CrystalNet.lindemann_index"]
        assert index == pytest.approx(value(data).mean(), rel=1e-5)
        assert 0.03 < index < 0.1  # sqrt(3 * 2/3) * 0.1 / 2.5 = 0.057


def test_first_frames_use_those_that_follow(frames, tmp_path):
    assert [list(frame_window(f, 3, 6)) for f in (0, 1, 2, 5)] == [
        [0, 1, 2],
        [0, 1, 2],
        [0, 1, 2],
        [3, 4, 5],
    ]
    assert list(frame_window(1, 9, 4)) == [0, 1, 2, 3]
    pipeline = load(saved(tmp_path / "t.xyz", frames))
    pipeline.modifiers.append(CrystalNetModifier(lindemann_frames=3))
    assert np.allclose(value(pipeline.compute(0)), expected(frames, 2, 3), rtol=0.02)


def test_particles_are_matched_by_identifier(frames, tmp_path):
    pipeline = load(saved(tmp_path / "t.xyz", frames, shuffle=True))
    pipeline.modifiers.append(CrystalNetModifier(lindemann_frames=4))
    data = pipeline.compute(FRAMES - 1)
    wanted = expected(frames, FRAMES - 1, 4)
    ids = np.asarray(data.particles.identifiers)
    assert not np.array_equal(ids, np.sort(ids))
    assert np.allclose(value(data), wanted[ids - 1], rtol=1e-4)


def test_particles_that_come_and_go(frames, tmp_path):
    """Deleted upstream, others in each frame: those that are in all frames have a value."""
    pipeline = load(saved(tmp_path / "t.xyz", frames))
    pipeline.modifiers.append(
        ExpressionSelectionModifier(
            expression="ParticleIdentifier > 10 * Frame && ParticleIdentifier <= 10 * Frame + 10"
        )
    )
    pipeline.modifiers.append(DeleteSelectedModifier())
    pipeline.modifiers.append(CrystalNetModifier(lindemann_frames=2))
    data = pipeline.compute(3)
    ids = np.asarray(data.particles.identifiers)
    assert len(ids) == 98
    there = (ids <= 20) | (ids > 30)  # those were not there in the frame before
    assert np.array_equal(np.isfinite(value(data)), there)
    assert np.allclose(value(data)[there], expected(frames, 3, 2)[ids[there] - 1], rtol=0.2)


def test_changing_numbers_without_identifiers_are_an_error(frames, tmp_path):
    changed = [frames[0], frames[1][:-1]]
    pipeline = load(saved(tmp_path / "t.xyz", changed, ids=False))
    pipeline.modifiers.append(CrystalNetModifier(lindemann_frames=2))
    with pytest.raises(InputError, match="no unique identifiers"):
        pipeline.compute(1)


def test_one_frame_has_no_displacement(frames):
    data = ase_to_ovito(frames[0])
    data.apply(CrystalNetModifier(lindemann_frames=5))
    assert np.isnan(value(data)).all()
    assert np.isnan(data.attributes["CrystalNet.lindemann_index"])


def test_only_selected(frames, tmp_path):
    """The others count for the drift, as they are in the box, but have no value."""
    pipeline = load(saved(tmp_path / "t.xyz", frames))
    pipeline.modifiers.append(ExpressionSelectionModifier(expression="ParticleIdentifier <= 50"))
    pipeline.modifiers.append(CrystalNetModifier(lindemann_frames=3, only_selected=True))
    found = value(pipeline.compute(4))
    wanted = expected(frames, 4, 3)
    assert np.allclose(found[:50], wanted[:50], rtol=1e-4)
    assert np.isnan(found[50:]).all()


def test_off_by_default(frames):
    data = ase_to_ovito(frames[0])
    data.apply(CrystalNetModifier())
    assert "CrystalNet Lindemann" not in data.particles
    assert "CrystalNet.lindemann_index" not in data.attributes


def test_caching_hints_save_work_upstream(frames, tmp_path):
    pipeline = load(saved(tmp_path / "t.xyz", frames))
    evaluated = []
    pipeline.modifiers.append(lambda frame, data: evaluated.append(frame))
    pipeline.modifiers.append(CrystalNetModifier(lindemann_frames=3))
    for number in range(FRAMES):
        pipeline.compute(number)
    # Without hints each frame would be evaluated for each window that it is in.
    assert sorted(set(evaluated)) == list(range(FRAMES))
    assert len(evaluated) <= FRAMES + 2


def test_time_series_of_fractions(frames, tmp_path, net):
    pipeline = load(saved(tmp_path / "t.xyz", frames))
    pipeline.modifiers.append(CrystalNetModifier())
    direct = [pipeline.compute(n).attributes["CrystalNet.fraction.FCC"] for n in range(FRAMES)]
    series = TimeSeriesModifier(
        operate_on=("CrystalNet.fraction.FCC", "CrystalNet.fraction.DISORDERED")
    )
    pipeline.modifiers.append(series)
    table = pipeline.compute().tables["time-series"]
    assert np.allclose(np.asarray(table.y)[:, 0], direct)
    assert np.allclose(np.asarray(table.y).sum(axis=1), 1.0)


def test_table_of_attributes_can_be_exported(frames, tmp_path):
    pipeline = load(saved(tmp_path / "t.xyz", frames))
    pipeline.modifiers.append(CrystalNetModifier())
    columns = ["SourceFrame", "CrystalNet.fraction.FCC", "CrystalNet.mean_certainty"]
    path = tmp_path / "out.txt"
    export_file(pipeline, str(path), "txt/attr", columns=columns, multiple_frames=True)
    assert np.loadtxt(path).shape == (FRAMES, 3)
