"""The one writer of model folders: whole, readable, and never a card beside other weights."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ase_crystalnet.classifier.card import ModelCard, file_hash
from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.classifier.network import load_network
from ase_crystalnet.errors import InputError
from ase_crystalnet.training import model_folder
from ase_crystalnet.training.model_folder import (
    divide_logits,
    save_network,
    write_card,
    write_model_folder,
)
from ase_crystalnet.training.provenance import code_that_began
from tests.support.tiny_models import CARD, CLASSES, write_network

GIVEN = {key: value for key, value in CARD.items() if key != "card_version"}


@pytest.fixture
def network(tmp_path: Path) -> Any:
    write_network(tmp_path / "made.keras")
    return load_network(tmp_path / "made.keras")


def test_a_folder_can_be_used_at_once_and_its_card_completed(network, tmp_path):
    out = tmp_path / "models" / "tiny"
    card = write_model_folder(out, network, GIVEN)
    assert sorted(os.listdir(out)) == ["card.json", "model.keras", "model.onnx"]
    read = ModelCard.read(out)
    assert read.classes == CLASSES and read.sha256 == file_hash(out / "model.keras")
    assert read.onnx_sha256 == file_hash(out / "model.onnx")
    assert read.data["parameters"] == network.count_params()
    assert {"keras", "python", "licence"} <= set(read.data)
    image = np.random.default_rng(0).random((2, 64, 64, 3)).astype(np.float32)
    said = network(np.sqrt(image)).numpy()
    for engine in ("onnx", "tensorflow"):
        found = Classifier(out, engine=engine).predict(image)
        np.testing.assert_allclose(found, said, atol=1e-6)
    card["accuracy"] = {"percent": {"clean": 50.0}}
    write_card(out, card)
    assert ModelCard.read(out).data == json.loads(json.dumps(card))


def test_what_is_filled_in_cannot_be_stated(network, tmp_path):
    with pytest.raises(InputError, match="states sha256, licence"):
        write_model_folder(tmp_path / "m", network, {**GIVEN, "sha256": "0", "licence": "none"})
    assert not (tmp_path / "m").exists()


def test_an_old_model_stays_whole_when_a_new_one_fails(network, tmp_path, monkeypatch):
    out = tmp_path / "m"
    write_model_folder(out, network, GIVEN)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    network.layers[-2].set_weights([2 * w for w in network.layers[-2].get_weights()])

    def full(card: Any) -> str:
        raise OSError("no space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(model_folder, "card_text", full)  # after the weights were written
        write_model_folder(out, network, GIVEN)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert Classifier(out).classes == CLASSES


def test_a_card_is_not_written_beside_other_weights(network, tmp_path):
    card = write_model_folder(tmp_path / "m", network, GIVEN)
    before = (tmp_path / "m" / "card.json").read_text()
    with pytest.raises(InputError, match="does not fit the card"):
        write_card(tmp_path / "m", {**card, "sha256": "0" * 64})
    assert (tmp_path / "m" / "card.json").read_text() == before


def test_compact_weights_are_rounded_and_load_as_any_other(network, tmp_path):
    save_network(network, tmp_path / "plain.keras")
    exact = network.get_weights()
    save_network(network, tmp_path / "compact.keras", compact=True)
    small, large = ((tmp_path / name).stat().st_size for name in ("compact.keras", "plain.keras"))
    assert small < 0.9 * large
    for a, b in zip(load_network(tmp_path / "compact.keras").get_weights(), exact, strict=True):
        rounded = b.astype(np.float16).astype(np.float32) if b.ndim > 1 else b
        np.testing.assert_array_equal(a, rounded)
    for a, b in zip(load_network(tmp_path / "plain.keras").get_weights(), exact, strict=True):
        np.testing.assert_array_equal(a, b)
    assert sorted(os.listdir(tmp_path)) == ["compact.keras", "made.keras", "plain.keras"]


def test_logits_are_divided(network):
    image = np.random.default_rng(0).random((3, 64, 64, 3)).astype(np.float32)
    before = np.log(network(image).numpy())
    divide_logits(network, 2.0)
    after = np.log(network(image).numpy())
    difference = after - before / 2
    np.testing.assert_allclose(difference, difference[:, :1].repeat(8, 1), atol=1e-4)


def test_the_code_that_began_a_run_is_kept(tmp_path, monkeypatch):
    first = code_that_began(tmp_path / "run")
    monkeypatch.setattr("ase_crystalnet.training.provenance.code_version", lambda: "later")
    assert code_that_began(tmp_path / "run") == first != "later"
    assert code_that_began(tmp_path / "other") == "later"
