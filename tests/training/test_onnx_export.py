"""Networks written for onnxruntime: every layer that is trained here, 16 bits, what cannot be."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ase_crystalnet.classifier.card import file_hash
from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.classifier.network import import_keras
from ase_crystalnet.classifier.session import open_session, run_session
from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.training import onnx_export
from ase_crystalnet.training.local.network import FAST, local_network
from ase_crystalnet.training.model_folder import add_onnx, save_network
from ase_crystalnet.training.onnx_export import check_exporters, export_onnx
from ase_crystalnet.training.powder.network import conv_network, dense_network, make_network
from ase_crystalnet.training.ziletti2018.network import ziletti_network
from tests.support.tiny_models import write_card, write_convolutions, write_network


def made(name: str) -> Any:
    """A network of this package with weights, and moments of batches, that do something."""
    network = {
        "local": lambda: local_network(8),
        "local-fast": lambda: local_network(8, FAST),
        "ziletti2018": lambda: ziletti_network(7),
        "resnet": lambda: make_network("resnet", 7),
        "conv": lambda: conv_network(7, points=2000),
        "dense": lambda: dense_network(7, points=300, units=(200, 50)),
    }[name]()
    rng = np.random.default_rng(1)
    for layer in network.layers:
        if layer.__class__.__name__ == "BatchNormalization":
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    return network


def answers(path: Path, network: Any, samples: np.ndarray) -> np.ndarray:
    return run_session(open_session(path, (network.input_shape, network.output_shape)), samples)


@pytest.mark.parametrize("name", ["local", "local-fast", "ziletti2018", "resnet", "dense", "conv"])
def test_every_kind_of_network_answers_the_same(name, tmp_path):
    network = made(name)
    path = tmp_path / "model.onnx"
    export_onnx(network, path)
    samples = np.random.default_rng(2).random((9, *network.input_shape[1:])).astype(np.float32)
    expected = network.predict(samples, verbose=0)
    np.testing.assert_allclose(answers(path, network, samples), expected, rtol=0, atol=1e-6)
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_what_16_bits_hold_is_stored_so(tmp_path):
    network = made("dense")
    export_onnx(network, tmp_path / "large.onnx")
    save_network(network, tmp_path / "model.keras", compact=True)  # rounds the network too
    export_onnx(network, tmp_path / "small.onnx")
    small, large = ((tmp_path / f"{name}.onnx").stat().st_size for name in ("small", "large"))
    assert 0.49 * large < small < 0.56 * large
    samples = np.random.default_rng(2).random((9, *network.input_shape[1:])).astype(np.float32)
    expected = network.predict(samples, verbose=0)
    np.testing.assert_allclose(
        answers(tmp_path / "small.onnx", network, samples), expected, rtol=0, atol=1e-6
    )


def test_a_file_that_would_answer_otherwise_is_not_written(tmp_path):
    keras = import_keras()
    inputs = keras.Input((64, 64, 3))
    # In 16 bits TensorFlow's answer is rounded, onnxruntime's is not, or it cannot at all.
    x = keras.layers.Conv2D(4, 9, dtype="mixed_bfloat16")(inputs)
    x = keras.layers.Flatten()(x)
    network = keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))
    with pytest.raises(ModelError, match=r"model\.onnx"):
        export_onnx(network, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_model_that_is_older_gets_its_file(tmp_path):
    write_convolutions(tmp_path / "model.keras")
    write_card(tmp_path, note="kept")
    assert Classifier(tmp_path).engine == "tensorflow"
    for _ in range(2):
        assert add_onnx(tmp_path) == tmp_path / "model.onnx"
        card = json.loads((tmp_path / "card.json").read_text())
        assert card["onnx_sha256"] == file_hash(tmp_path / "model.onnx")
        assert card["note"] == "kept"
    images = np.random.default_rng(0).random((5, 64, 64, 3)).astype(np.float32)
    one, other = (Classifier(tmp_path, engine=e).predict(images) for e in ("onnx", "tensorflow"))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    assert Classifier(tmp_path).engine == "onnx"


def test_other_weights_than_the_cards_get_none(tmp_path):
    write_network(tmp_path / "model.keras")
    write_card(tmp_path, sha256="0" * 64)
    with pytest.raises(ModelError, match="does not fit its card"):
        add_onnx(tmp_path)
    assert not (tmp_path / "model.onnx").exists()


def test_a_missing_converter_is_said(monkeypatch):
    monkeypatch.setattr(onnx_export, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"by onnx and tf2onnx, .* 'ase-crystalnet\[train\]'"):
        check_exporters()
