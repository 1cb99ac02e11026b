"""Thresholds of prediction sets: what windows they are for, and that they keep their promise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ase_crystalnet import CrystalNet
from ase_crystalnet.classes import STRUCTURES
from ase_crystalnet.errors import InputError
from ase_crystalnet.results.sets import prediction_sets
from ase_crystalnet.training.local.set_thresholds import calibrated_sets, held_out, usual
from ase_crystalnet.training.local.structures import StructureRecipe, StructureSampler
from ase_crystalnet.training.shards import pad_windows


def small(**more: object) -> StructureRecipe:
    """The recipe with few packings and crystals of no type, which take long to make."""
    return StructureRecipe(packings=2, packing_sweeps=(5, 10), other_crystals=40, **more)  # type: ignore[arg-type]


def test_usual_windows_are_bulk() -> None:
    sampler = StructureSampler.of_structures(usual(small()), [], 5, ())
    rng = np.random.default_rng(0)
    sizes = [len(sampler.draw(rng)[0]) for _ in range(60)]
    assert min(sizes) >= 180 and max(sizes) <= 300


def test_sets_hold_the_class_of_usual_windows() -> None:
    """Windows of other seeds than the calibration's: 95 % asked, of all classes together."""
    net = CrystalNet()
    method = net.of_windows()
    sampler = StructureSampler.of_structures(usual(small()), [], 77, ())
    rng = np.random.default_rng(78)
    drawn = [sampler.draw(rng) for _ in range(500)]
    drawn = [(window, target) for window, target in drawn if target.max() == 1]
    truth = np.array([target.argmax() for _, target in drawn])
    answers = method.answers(method.images(*pad_windows([window for window, _ in drawn])))
    least = method.classifier.card.sets_table()["least_probabilities"]
    inside = prediction_sets(answers, STRUCTURES, least, 0.95)
    hit = inside[np.arange(len(truth)), truth]
    assert hit.mean() > 0.91  # three standard deviations of 480 windows below 0.95
    assert inside.sum(axis=1).mean() < 1.3


def test_real_crystals_are_parted(tmp_path: Path) -> None:
    assert held_out(None, 10) == ((), ())
    rng = np.random.default_rng(0)
    lines = [
        json.dumps({"lattice": np.diag(rng.uniform(4, 9, 3)).tolist(),
                    "frac": rng.random((3, 3)).tolist()})
        for _ in range(40)
    ]  # fmt: skip
    import gzip

    with gzip.open(tmp_path / "materials_project_a.jsonl.gz", "wt") as file:
        file.write("\n".join(lines) + "\n")
    real, held = held_out(tmp_path, 30)
    assert len(held) == (len(real) + len(held)) // 6 and len(real) > 15


def test_a_model_of_symmetries_has_no_sets(local_model: Path) -> None:
    with pytest.raises(InputError, match="models that name structures"):
        calibrated_sets(local_model, small(), [], (), 1, windows=10)
