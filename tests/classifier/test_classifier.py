"""Model folders: what is refused, by name and in one line; what a prediction promises."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
import zipfile
from dataclasses import FrozenInstanceError
from pathlib import Path

import h5py
import numpy as np
import pytest

from ase_crystalnet.analyzer import CrystalNet
from ase_crystalnet.classifier import card, network
from ase_crystalnet.classifier import classifier as module
from ase_crystalnet.classifier.card import ModelCard, file_hash, list_models
from ase_crystalnet.classifier.classifier import Classifier
from ase_crystalnet.classifier.network import load_network
from ase_crystalnet.errors import InputError, ModelError
from ase_crystalnet.xrd.answer.network import PowderCard, find_xrd_model
from tests.support import REPOSITORY
from tests.support.tiny_models import CLASSES, write_card, write_network

FIELDS = ("card_version", "name", "classes", "sha256", "input", "fingerprint", "window_atoms")


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder, to be read only."""
    folder = tmp_path_factory.mktemp("tiny")
    write_network(folder / "model.keras")
    write_card(folder)
    return folder


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """Model folder of one's own."""
    return Path(shutil.copytree(tiny, tmp_path / "copy"))


@pytest.fixture(scope="session")
def loaded(tiny: Path) -> Classifier:
    return Classifier(tiny)


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 64, 64, 3)).astype(np.float32)


def refusal(folder: Path) -> str:
    """The message of a folder that no prediction can be had from; one line."""
    with pytest.raises(ModelError) as caught:
        Classifier(folder).predict(images(1))
    message = str(caught.value)
    assert "\n" not in message
    assert folder.name in message, "the message does not say which model"
    return message


# ---------------------------------------------------------------- finding a model
def test_unknown_name_lists_the_known_ones(copy, monkeypatch):
    monkeypatch.setattr(card, "models_folder", lambda: copy.parent)
    with pytest.raises(ModelError, match=r"model 'locale' is unknown: use one of copy, or a fol"):
        Classifier("locale")
    assert Classifier("copy").classes == CLASSES


def test_unknown_name_where_nothing_is_installed(tmp_path, monkeypatch):
    monkeypatch.setattr(card, "models_folder", lambda: tmp_path)
    with pytest.raises(ModelError, match=r"use one of \(none installed\)"):
        CrystalNet("local")


def test_a_path_may_be_a_string(tiny):
    assert Classifier(str(tiny)).card.name == "tiny"


def test_list_models_sorted_by_folder(copy):
    shutil.copytree(copy, copy.parent / "another")
    write_card(copy.parent / "another", name="another")
    (copy.parent / "notes").mkdir()
    cards = list_models(copy.parent)
    assert [card.name for card in cards] == ["another", "tiny"]
    assert cards[1].classes == CLASSES
    assert cards[1].window_atoms == (64, 512)
    assert list_models(copy.parent / "notes") == []


# ---------------------------------------------------------------- damaged cards
def test_folder_without_card(tmp_path):
    assert "no card.json" in refusal(tmp_path)
    assert "no card.json" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "content",
    [b"", b'{"name": "tiny", ', b"\xff\xfe\x00card", b"not json"],
    ids=["empty", "cut off", "binary", "text"],
)
def test_card_that_is_no_json(copy, content):
    (copy / "card.json").write_bytes(content)
    assert "is damaged" in refusal(copy)


@pytest.mark.parametrize("content", ["[]", "null", '"card"', "3"])
def test_card_of_another_kind(copy, content):
    (copy / "card.json").write_text(content)
    assert "lacks card_version" in refusal(copy)


@pytest.mark.parametrize("field", FIELDS)
def test_card_that_lacks_a_field(copy, field):
    card = json.loads((copy / "card.json").read_text())
    del card[field]
    (copy / "card.json").write_text(json.dumps(card))
    assert f"lacks {field}:" in refusal(copy)


def test_card_of_another_version(copy):
    write_card(copy, card_version=99)
    message = refusal(copy)
    assert "card version 99" in message
    assert "reads 1" in message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("classes", "fcc"),
        ("classes", []),
        ("classes", ["fcc", "fcc"]),
        ("classes", [1, 2]),
        ("window_atoms", 250),
        ("window_atoms", [64]),
        ("window_atoms", [512, 64]),
        ("window_atoms", ["a", "b"]),
        ("fingerprint", [5.0]),
        ("input", "log"),
        ("mode", "windows"),
        ("name", 7),
        ("sha256", 5),
    ],
)
def test_card_with_a_field_of_the_wrong_kind(copy, field, value):
    write_card(copy, **{field: value})
    message = refusal(copy)
    assert field in message


def test_card_with_an_unknown_constant_of_the_fingerprint(copy):
    write_card(copy, fingerprint={"wavelenght": 0.05})
    with pytest.raises(ModelError, match="wavelenght") as caught:
        CrystalNet(copy)
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- weights and card
def test_weights_missing(copy):
    (copy / "model.keras").unlink()
    assert "model.keras is missing" in refusal(copy)


def test_weights_tampered_with(copy):
    weights = bytearray((copy / "model.keras").read_bytes())
    weights[len(weights) // 2] ^= 1
    (copy / "model.keras").write_bytes(bytes(weights))
    with pytest.raises(ModelError, match=r"does not fit its card \(hash \w{12}, card says \w{12}"):
        Classifier(copy)  # at once, before anything is predicted


@pytest.mark.parametrize("damage", ["text", "cut off"])
def test_weights_that_keras_cannot_load_though_the_hash_fits(copy, damage):
    weights = copy / "model.keras"
    whole = weights.read_bytes()
    weights.write_bytes(b"no weights" if damage == "text" else whole[: len(whole) // 2])
    write_card(copy)
    assert "cannot be loaded by Keras" in refusal(copy)


def test_weights_are_opened_only_if_their_hash_is_the_cards(copy, monkeypatch):
    """Also where they were changed after the card was read."""
    classifier = Classifier(copy)
    with (copy / "model.keras").open("ab") as file:
        file.write(b"more")
    monkeypatch.setattr(module, "load_network", lambda *_, **__: pytest.fail("they were opened"))
    with pytest.raises(ModelError, match="does not fit its card"):
        _ = classifier.network


def test_weights_that_unpack_to_too_much_are_not_unpacked(copy, monkeypatch):
    with zipfile.ZipFile(copy / "model.keras", "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("more", bytes(20_000_000))
    write_card(copy)
    monkeypatch.setattr(network, "LARGEST", 10_000_000)
    monkeypatch.setattr(network, "import_keras", lambda: pytest.fail("Keras was asked"))
    assert "unpacks to" in refusal(copy)


@pytest.mark.parametrize("trick", ["large", "soft link", "external link", "external storage"])
def test_weights_that_are_large_or_lie_elsewhere_are_not_read(copy, monkeypatch, tmp_path, trick):
    """A chunked dataset of zeros takes no room in its file, and a link reads another file."""
    (tmp_path / "secret").write_bytes(bytes(100))
    with h5py.File(tmp_path / "w.h5", "w") as file:
        if trick == "large":
            file.create_dataset("a/b", (10**10,), "f4", chunks=True, compression="gzip")
        elif trick == "soft link":
            file["a"] = h5py.SoftLink("/b")
        elif trick == "external link":
            file["a"] = h5py.ExternalLink(str(tmp_path / "secret"), "/")
        else:
            file.create_dataset("a", (100,), "u1", external=[(str(tmp_path / "secret"), 0, 100)])
    weights = copy / "model.keras"
    with zipfile.ZipFile(weights) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["model.weights.h5"] = (tmp_path / "w.h5").read_bytes()
    with zipfile.ZipFile(weights, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    write_card(copy)
    monkeypatch.setattr(network, "import_keras", lambda: pytest.fail("Keras was asked"))
    assert ("40000 MB" if trick == "large" else "links to others") in refusal(copy)


@pytest.mark.parametrize("name", ["card.json", "model.keras"])
def test_pipes_and_folders_in_a_model_folder_are_refused(copy, name):
    (copy / name).unlink()
    os.mkfifo(copy / name)
    assert "is a pipe" in refusal(copy)
    (copy / name).unlink()
    (copy / name).mkdir()
    with pytest.raises((ModelError, IsADirectoryError), match="is a directory"):
        Classifier(copy)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"card_version": 1' + "0" * 5000 + "}"])
def test_card_that_no_parser_likes(copy, content):
    (copy / "card.json").write_text(content)
    assert "is damaged" in refusal(copy)


def test_card_with_a_long_value_is_refused_in_a_short_line(copy):
    write_card(copy, input="x" * 100_000)
    assert len(refusal(copy)) < 600


def test_weights_with_code_in_them_are_not_loaded(tmp_path):
    write_network(tmp_path / "model.keras", code=True)
    write_card(tmp_path)
    assert "cannot be loaded by Keras" in refusal(tmp_path)


@pytest.mark.parametrize("options", [{"side": 32}, {"outputs": 5}])
def test_weights_of_another_input_or_other_classes(tmp_path, options):
    write_network(tmp_path / "model.keras", **options)
    write_card(tmp_path)
    message = refusal(tmp_path)
    assert "(None, 64, 64, 3) to (None, 8)" in message
    assert f"{options.get('side', 64)}, 3" in message


def test_a_network_is_read_with_its_optimizer_only_when_asked_for(tmp_path):
    import keras

    write_network(tmp_path / "bare.keras")
    network = load_network(tmp_path / "bare.keras")
    network.compile(keras.optimizers.Adam(0.125), "categorical_crossentropy")
    network.train_on_batch(images(2), np.eye(8, dtype=np.float32)[:2])
    network.save(tmp_path / "trained.keras")
    again = load_network(tmp_path / "trained.keras", compiled=True)
    assert int(again.optimizer.iterations) == 1
    assert getattr(load_network(tmp_path / "trained.keras"), "optimizer", None) is None


# ---------------------------------------------------------------- predictions
@pytest.mark.parametrize("shape", [(64, 64, 3), (2, 64, 64), (2, 64, 64, 1), (2, 32, 64, 3), (0,)])
def test_wrong_shape_of_fingerprints(loaded, shape):
    with pytest.raises(InputError, match=r"expected \(B, 64, 64, 3\)") as caught:
        loaded.predict(np.zeros(shape, np.float32))
    assert str(shape) in str(caught.value)


def test_rows_are_probabilities(loaded):
    probabilities = loaded.predict(images(40))
    assert probabilities.shape == (40, len(CLASSES))
    assert probabilities.dtype == np.float32
    assert (probabilities >= 0).all()
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    assert loaded.predict(images(0)).shape == (0, len(CLASSES))


def test_batches_do_not_matter(loaded):
    many = images(23)
    whole = loaded.predict(many)
    for size in (1, 7, 23, 100):
        np.testing.assert_allclose(loaded.predict(many, size), whole, atol=1e-6)
    np.testing.assert_allclose(loaded.predict(many[::-1])[::-1], whole, atol=1e-6)


def test_the_network_is_given_the_root_that_the_card_asks_for(loaded, copy):
    write_card(copy, input="linear")
    direct = Classifier(copy)
    many = images(5)
    np.testing.assert_allclose(direct.predict(np.sqrt(many)), loaded.predict(many), atol=1e-5)
    assert np.abs(direct.predict(many) - loaded.predict(many)).max() > 1e-3


def test_card_keeps_what_it_read(tiny):
    read = ModelCard.read(tiny)
    assert read.folder == tiny
    assert read.fingerprint == {"wavelength": 0.05, "grid": "detector"}
    assert (read.name, read.input, read.mode, read.classes) == ("tiny", "sqrt", "local", CLASSES)
    assert read.window_atoms == (64, 512)
    assert read.sha256 == file_hash(tiny / "model.keras")
    assert read.weights() == tiny / "model.keras"
    assert read.data == json.loads((tiny / "card.json").read_text())
    with pytest.raises(FrozenInstanceError):
        read.mode = "global"  # type: ignore[misc]


def test_every_shipped_card_is_read_by_one_reader():
    cards = {one.name: one for one in list_models()}
    assert {"local", "local-fast", "atomprobe", "ziletti2018"} <= set(cards)
    assert {name for name, one in cards.items() if one.mode == "global"} == {"ziletti2018"}
    powder = PowderCard.read(find_xrd_model("powder"))
    assert (powder.name, powder.classes) == ("powder", 230)
    for one in (*cards.values(), powder):
        assert one.weights().is_file()


def test_a_prediction_does_not_depend_on_its_company(net, rng):
    images = rng.random((12, 64, 64, 3), dtype=np.float32)
    together = net.classifier.predict(images)
    for size in (1, 2, 5, 9):
        alone = net.classifier.predict(images[:size])
        np.testing.assert_allclose(alone, together[:size], rtol=0, atol=1e-6)
        np.testing.assert_array_equal(alone.argmax(axis=1), together[:size].argmax(axis=1))
    assert net.classifier.predict(images[:0]).shape == (0, len(net.classes))


FORKED = """
    import os, signal, sys
    sys.path[:0] = [{root!r}]
    import numpy as np
    from ase_crystalnet.classifier import Classifier
    from ase_crystalnet.errors import WorkerError

    images = np.zeros((3, 64, 64, 3), np.float32)
    classifier = Classifier({model!r})

    def in_child(classifier):
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            assert os.waitpid(pid, 0)[1] == 0
            return
        signal.alarm(120)  # what waits for ever is ended
        try:
            print(classifier.predict(images).shape, flush=True)
        except WorkerError as error:
            print(error, flush=True)
        os._exit(0)

    in_child(classifier)  # nothing has been started yet
    classifier.predict(images)
    in_child(classifier)
    in_child(Classifier({model!r}))  # nor by another one
    print(classifier.predict(images).shape)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks are POSIX")
def test_a_forked_process_says_so_and_does_not_hang(tiny):
    code = textwrap.dedent(FORKED.format(root=str(REPOSITORY), model=str(tiny)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, after, fresh, parent = done.stdout.splitlines()
    assert before == parent == "(3, 8)"
    for line in (after, fresh):
        assert line.startswith("expected a process that starts its own network, got process ")
        assert "'spawn'" in line
