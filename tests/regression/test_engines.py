"""Shipped networks answer alike through onnxruntime and TensorFlow, in any number of threads."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ase_crystalnet.classifier import engines
from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.training.onnx_export import AGREEMENT
from ase_crystalnet.xrd.answer.network import PowderNetwork
from tests.support import REPOSITORY
from tests.support.engines import fingerprints, powder_patterns

FOLDERS = sorted(path.parent for path in (REPOSITORY / "models").rglob("card.json"))
NAMES = [str(path.relative_to(REPOSITORY / "models")) for path in FOLDERS]

Answer = Callable[[np.ndarray], np.ndarray]
samples_of = {True: cache(powder_patterns), False: cache(fingerprints)}


@cache
def network(folder: Path, engine: str) -> Classifier | PowderNetwork:
    if folder.parent.name == "xrd":
        return PowderNetwork(folder, engine=engine)
    return Classifier(folder, engine=engine)


def both(folder: Path, count: int) -> tuple[np.ndarray, np.ndarray]:
    samples = samples_of[folder.parent.name == "xrd"](count)
    by_onnx, by_tensorflow = (network(folder, name).predict(samples) for name in engines.ENGINES)
    return by_onnx, by_tensorflow


def assert_agree(folder: Path, count: int) -> None:
    one, other = both(folder, count)
    assert one.shape == other.shape == (count, one.shape[1])
    assert one.dtype == other.dtype == np.float32
    np.testing.assert_allclose(one, other, rtol=0, atol=AGREEMENT)
    np.testing.assert_allclose(one.sum(axis=1), 1, atol=1e-5)
    # They are asked something: answers of many classes, sure ones and unsure ones.
    assert len(set(other.argmax(axis=1))) > 3
    assert other.max(axis=1).min() < 0.7
    apart = np.diff(np.sort(other, axis=1)[:, -2:], axis=1)[:, 0] > 2 * AGREEMENT
    np.testing.assert_array_equal(one.argmax(axis=1)[apart], other.argmax(axis=1)[apart])


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_every_shipped_model_has_a_file_for_onnxruntime(folder):
    assert network(folder, "onnx").card.onnx() == folder / "model.onnx"
    default = PowderNetwork(folder) if folder.parent.name == "xrd" else Classifier(folder)
    assert default.engine == "onnx"


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_engines_agree(folder):
    assert_agree(folder, 240)


@pytest.mark.slow
@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_engines_agree_on_two_thousand(folder):
    assert_agree(folder, 2000)


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_threads_and_company_do_not_matter(folder, monkeypatch):
    samples = samples_of[folder.parent.name == "xrd"](60)
    answer = network(folder, "onnx").predict
    alone = answer(samples)
    for threads in (1, 2, 5):
        monkeypatch.setattr(engines, "thread_count", lambda _, n=threads: n)
        assert answer(samples).tobytes() == alone.tobytes()
    for part in (1, 3, 17):
        np.testing.assert_allclose(answer(samples[:part]), alone[:part], rtol=0, atol=1e-6)
    np.testing.assert_allclose(answer(samples[::-1])[::-1], alone, rtol=0, atol=1e-6)
