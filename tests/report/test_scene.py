"""What the 3-D view is given, decoded as the script decodes it."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest

from ase_crystalnet.errors import InputError
from ase_crystalnet.grains.tracking import TrackedFrame
from ase_crystalnet.report.scene import Coloring, Points, Scene, ShownFrame, scene_of_frames
from tests.support.fakes import CLASSES, fake_frame, frames


def bytes_of(text: str, kind: str) -> np.ndarray[Any, Any]:
    return np.frombuffer(base64.b64decode(text), kind)


def places(scene: dict[str, Any], frame: int = 0) -> np.ndarray[Any, Any]:
    low, high = np.array(scene["low"]), np.array(scene["high"])
    stored = bytes_of(scene["frames"][frame]["positions"], "<u2").reshape(-1, 3)
    return low + stored / 65535 * (high - low)


def test_places_and_labels_of_atoms_come_back() -> None:
    given = frames(2, size=3)
    shown = [ShownFrame(i, fake_frame(atoms), atoms) for i, atoms in enumerate(given)]
    scene, words = scene_of_frames(shown, 1000)
    found = scene.json()
    assert words == "All 108 atoms"
    for number, atoms in enumerate(given):
        assert np.allclose(places(found, number), atoms.get_positions(wrap=True), atol=1e-3)
        labels = bytes_of(found["frames"][number]["values"]["structure"], "u1")
        assert (labels == shown[number].analysis.atom_labels).all()
        assert np.allclose(found["frames"][number]["cell"], atoms.cell.array)
    assert found["colorings"]["structure"]["names"] == (*CLASSES, "refused")
    certainty = bytes_of(found["frames"][0]["values"]["certainty"], "u1") / 254
    assert np.allclose(certainty, shown[0].analysis.atom_certainty, atol=0.003)
    assert pytest.approx(found["radius"]) == 0.5 * 2.5
    # The fake knows no strain, and nobody looked for grains.
    assert list(found["colorings"]) == ["structure", "certainty", "Bragg order"]


def test_a_thinned_frame_shows_the_same_atoms_each_time_and_larger_balls() -> None:
    given = frames(2, size=3)
    shown = [ShownFrame(i, fake_frame(atoms), atoms) for i, atoms in enumerate(given)]
    scene, words = scene_of_frames(shown, 27)
    found = scene.json()
    first, second = (bytes_of(frame["atoms"], "<u4") for frame in found["frames"])
    assert (first == second).all() and len(np.unique(first)) == 27
    assert words == "27 of 108 atoms"
    assert np.allclose(places(found, 1), given[1].get_positions(wrap=True)[second], atol=1e-3)
    assert found["radius"] == pytest.approx(1.25 * 4 ** (1 / 3), rel=1e-3)


def test_without_the_trajectory_windows_are_shown() -> None:
    atoms = frames(1, size=3)[0]
    analysis = fake_frame(atoms, centers="grid")
    scene, words = scene_of_frames([ShownFrame(0, analysis)], 1000)
    assert words.startswith("All 27 windows (the trajectory was not at hand")
    assert np.allclose(places(scene.json()), analysis.centers, atol=1e-3)
    assert "cell" not in scene.json()["frames"][0]
    # Windows about every atom are as good as the trajectory: only its box is missing.
    every, words = scene_of_frames([ShownFrame(0, fake_frame(atoms))], 1000)
    assert words == "All 108 atoms" and np.allclose(
        places(every.json()), atoms.positions, atol=1e-3
    )


def test_refused_atoms_are_a_class_and_unknown_numbers_are_none() -> None:
    atoms = frames(1)[0]
    analysis = fake_frame(atoms, min_certainty=0.8)
    scene, _ = scene_of_frames([ShownFrame(0, analysis, atoms)], 1000)
    labels = bytes_of(scene.json()["frames"][0]["values"]["structure"], "u1")
    refused = analysis.atom_labels < 0
    assert refused.any() and (labels[refused] == len(CLASSES)).all()
    scale = Coloring.scale("viridis", 0.0, 2.0)
    assert scale.values(np.array([0.0, 1.0, 2.0, 5.0, np.nan])).tolist() == [0, 127, 254, 254, 255]


def test_grains_beyond_what_a_byte_holds_share_the_last_number() -> None:
    atoms = frames(1)[0]
    grains = np.arange(len(atoms), dtype=np.int32) * 20
    tracked = TrackedFrame(0, 0.0, np.arange(1), grains, [])
    scene, _ = scene_of_frames([ShownFrame(0, fake_frame(atoms), atoms, tracked)], 1000)
    found = scene.json()
    numbers = bytes_of(found["frames"][0]["values"]["grain"], "u1")
    assert numbers.tolist() == [min(20 * i, 254) for i in range(len(atoms))]
    names = found["colorings"]["grain"]["names"]
    assert (names[0], names[20], names[254]) == ("in no grain", "grain 20", "further grains")


def test_a_scene_without_points_is_refused() -> None:
    with pytest.raises(InputError, match="expected points with finite positions"):
        Scene([Points(np.empty((0, 3)), {})], {}, 1.0)
